//! The server over TLS, as the binary serves it.

use std::path::Path;

use periskop_server::Periskop;
use tokio::net::TcpListener;

use crate::support::PATIENCE;

/// Writes a certificate for `localhost` and its key; answers the certificate.
fn put_certificate(folder: &Path) -> reqwest::Certificate {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    std::fs::write(folder.join("server.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.join("server.crt"), made.cert.pem()).unwrap();
    reqwest::Certificate::from_pem(made.cert.pem().as_bytes()).unwrap()
}

fn client(trusted: reqwest::Certificate) -> reqwest::Client {
    // Another test may have installed it.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let client = reqwest::Client::builder().no_proxy().tls_certs_only([trusted]);
    client.timeout(PATIENCE).build().unwrap()
}

fn write(folder: &Path, web: &str) {
    std::fs::write(folder.join("periskop.yaml"), format!("web:\n{web}")).unwrap();
}

const TLS: &str = "  tls_server_config: {cert_file: server.crt, key_file: server.key}\n";

#[tokio::test]
async fn tls_is_spoken_and_its_state_is_shown_and_a_reload_takes_over_users_and_certificates() {
    let folder = tempfile::tempdir().unwrap();
    let first = client(put_certificate(folder.path()));
    write(folder.path(), TLS);
    let file = folder.path().join("periskop.yaml");
    let periskop = Periskop::builder().config_file(&file).unwrap().build();
    let handle = periskop.handle().clone();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://localhost:{}", listener.local_addr().unwrap().port());
    let serving = tokio::spawn(periskop.serve(listener, std::future::pending()));

    let metrics = first.get(format!("{url}/metrics")).send().await.unwrap();
    assert_eq!(metrics.version(), reqwest::Version::HTTP_2);
    assert!(metrics.text().await.unwrap().contains("\nperiskop_tls_files_in_force 1\n"));
    let info = first.get(format!("{url}/api/v1/status/runtimeinfo")).send().await.unwrap();
    assert!(info.text().await.unwrap().contains("\"accessControl\":false"));

    let second = client(put_certificate(folder.path()));
    let token = "tokens: [{name: a, role: read, token: 0123456789abcdef}]";
    write(folder.path(), &format!("{TLS}  {token}\n"));
    handle.reload().await.unwrap();
    let asked = second.get(format!("{url}/metrics"));
    assert_eq!(asked.try_clone().unwrap().send().await.unwrap().status(), 401);
    let answered = asked.bearer_auth("0123456789abcdef").send().await.unwrap();
    assert_eq!(answered.status(), 200);

    std::fs::write(folder.path().join("server.crt"), "half a certif").unwrap();
    assert!(handle.reload().await.is_err(), "a broken certificate is a broken configuration");
    handle.stop().await;
    serving.await.unwrap().unwrap();
}
