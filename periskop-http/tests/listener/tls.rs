//! Certificates, of servers and of clients.

use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;

use crate::support::{Authority, Listening, connect, get, impatient, read_all, until};

const FILES: &str = "cert_file: cert.pem, key_file: key.pem";

#[tokio::test]
async fn http2_is_spoken_over_tls_unless_it_is_turned_off() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path());
    for (settings, version) in [
        ("", reqwest::Version::HTTP_2),
        ("\nhttp_server_config: {http2: false}", reqwest::Version::HTTP_11),
    ] {
        let text = format!("tls_server_config: {{{FILES}}}{settings}");
        let server = Listening::configured(&text, folder.path()).await;
        let answer = authority.get(&server.url(), None).await.unwrap();
        assert_eq!(answer.version(), version);
        assert_eq!(answer.text().await.unwrap(), "nobody");
    }
}

#[tokio::test]
async fn clients_show_the_certificates_that_are_asked_of_them() {
    let (folder, ours, others) = (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    ours.write(folder.path());
    let ca = "client_ca_file: ca.pem";
    let verified = "client_auth_type: RequireAndVerifyClientCert";
    for (settings, none, good, foreign, name) in [
        (format!("{verified}, {ca}"), false, true, false, "ada.example"),
        (
            format!("client_auth_type: VerifyClientCertIfGiven, {ca}"),
            true,
            true,
            false,
            "ada.example",
        ),
        ("client_auth_type: RequireAnyClientCert".to_owned(), false, true, true, "nobody"),
        ("client_auth_type: RequestClientCert".to_owned(), true, true, true, "nobody"),
        (
            format!("{verified}, {ca}, client_allowed_sans: [x.example, ada.example]"),
            false,
            true,
            false,
            "ada.example",
        ),
        (format!("{verified}, {ca}, client_allowed_sans: [example]"), false, false, false, ""),
        (
            "client_auth_type: RequireAnyClientCert, client_allowed_sans: [bob.example]".to_owned(),
            false,
            false,
            false,
            "",
        ),
    ] {
        let text = format!("tls_server_config: {{{FILES}, {settings}}}");
        let server = Listening::configured(&text, folder.path()).await;
        let ask = async |identity| match ours.get(&server.url(), identity).await {
            Ok(answer) => Some(answer.text().await.unwrap()),
            Err(_) => None,
        };
        assert_eq!(ask(None).await.is_some(), none, "without one: {settings}");
        let shown = ask(Some(ours.issue("ada.example"))).await;
        assert_eq!(shown.as_deref(), good.then_some(name), "ours: {settings}");
        let shown = ask(Some(others.issue("ada.example"))).await;
        assert_eq!(shown.is_some(), foreign, "another's: {settings}");
    }
}

#[tokio::test]
async fn a_certificate_that_is_replaced_on_disk_is_taken_and_a_broken_one_is_not() {
    let (folder, old, new) = (tempfile::tempdir().unwrap(), Authority::new(), Authority::new());
    old.write(folder.path());
    let text = format!("tls_server_config: {{{FILES}}}");
    let server = Listening::configured(&text, folder.path()).await;
    let tls = server.tls.as_ref().unwrap();
    assert!(old.get(&server.url(), None).await.is_ok());
    assert!(new.get(&server.url(), None).await.is_err());

    let key = std::fs::read_to_string(folder.path().join("key.pem")).unwrap();
    std::fs::write(folder.path().join("cert.pem"), "half a certif").unwrap();
    until("the trouble is noticed", async || tls.trouble().is_some()).await;
    let trouble = tls.trouble().unwrap().to_string();
    assert!(!trouble.contains(key.lines().nth(1).unwrap()), "{trouble}");
    assert!(old.get(&server.url(), None).await.is_ok(), "the old one stays");

    new.write(folder.path());
    until("the new one is taken", async || new.get(&server.url(), None).await.is_ok()).await;
    assert_eq!(tls.trouble(), None);
    assert!(old.get(&server.url(), None).await.is_err());
}

#[tokio::test]
async fn versions_below_the_least_are_not_spoken() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path());
    let text = format!("tls_server_config: {{{FILES}, min_version: TLS13}}");
    let server = Listening::configured(&text, folder.path()).await;
    for (version, is_spoken) in [(&rustls::version::TLS12, false), (&rustls::version::TLS13, true)]
    {
        let client = authority.client(None, &[version], &[]);
        assert_eq!(get(&server.url(), client).await.is_ok(), is_spoken, "{version:?}");
    }
}

#[tokio::test]
async fn plain_http_on_a_tls_port_is_told_so_and_noise_is_not_answered() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path());
    let text = format!("tls_server_config: {{{FILES}}}");
    let server = Listening::configured(&text, folder.path()).await;
    let stream = connect(server.address, "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n").await;
    let answer = read_all(stream).await;
    assert!(answer.starts_with("HTTP/1.1 400 ") && answer.ends_with("only HTTPS.\n"), "{answer}");
    let length = answer.split("\r\n\r\n").nth(1).unwrap().len();
    assert!(answer.contains(&format!("Content-Length: {length}\r\n")), "{answer}");
    assert_eq!(read_all(connect(server.address, "\x01\x02\x03").await).await, "");
}

#[tokio::test]
async fn neither_silence_nor_a_connection_without_requests_lasts() {
    let (folder, authority) = (tempfile::tempdir().unwrap(), Authority::new());
    authority.write(folder.path());
    let text = format!("tls_server_config: {{{FILES}}}");
    let web = periskop_http::WebConfig::parse(&text, folder.path()).unwrap();
    let tls = periskop_http::Tls::new(web.tls.as_ref().unwrap(), true).unwrap();
    let server = Listening::start(axum::Router::new(), Some(tls), impatient()).await;
    assert_eq!(read_all(connect(server.address, "").await).await, "", "no handshake");
    assert_eq!(read_all(connect(server.address, "\x16\x03\x01").await).await, "", "half of one");

    // HTTP/2: a greeting, and then nothing.
    let client = std::sync::Arc::new(authority.client(None, rustls::ALL_VERSIONS, &["h2"]));
    let connector = tokio_rustls::TlsConnector::from(client);
    let stream = TcpStream::connect(server.address).await.unwrap();
    let mut stream = connector.connect("localhost".try_into().unwrap(), stream).await.unwrap();
    stream.write_all(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await.unwrap();
    read_all(stream).await;
}
