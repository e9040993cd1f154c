//! The HTTP client beside real servers, with TLS and through proxies.
use std::fs;
use std::time::Duration;

use crate::support::{
    Authority, Server, client, ok, redirect, self_signed_authority, server_config, settings,
};
use periskop_discovery::http_client::{HttpClient, HttpError};
use reqwest::{Method, Response};
use url::Url;

async fn get(client: &HttpClient, url: Url) -> Result<Response, HttpError> {
    client.get(url).timeout(Duration::from_secs(20)).send().await
}

async fn body(client: &HttpClient, url: Url) -> String {
    get(client, url).await.unwrap().text().await.unwrap()
}

mod tls {
    use super::*;

    #[tokio::test]
    async fn the_ca_file_is_read_again_when_it_changes() {
        let (right, wrong) = (Authority::new(), Authority::new());
        let server = Server::tls(right.server("127.0.0.1"), |_| ok("hello")).await;
        let dir = tempfile::tempdir().unwrap();
        let ca = dir.path().join("ca.pem");
        fs::write(&ca, wrong.pem()).unwrap();
        let client = client(&format!("tls_config: {{ca_file: {}}}", ca.display()));

        let error = get(&client, server.url("/")).await.unwrap_err();
        assert!(error.to_string().contains("invalid peer certificate"), "{error}");

        fs::write(&ca, right.pem()).unwrap();
        assert_eq!(body(&client, server.url("/")).await, "hello");

        fs::remove_file(&ca).unwrap();
        let error = get(&client, server.url("/")).await.unwrap_err();
        assert!(matches!(&error, HttpError::File { path, .. } if *path == ca), "{error}");
    }

    #[tokio::test]
    async fn a_client_certificate_is_shown_and_a_renewed_one_after_it() {
        let authority = Authority::new();
        let server = Server::tls(authority.server_for_clients("127.0.0.1"), |_| ok("")).await;
        let dir = tempfile::tempdir().unwrap();
        let path = |name: &str| dir.path().join(name);
        fs::write(path("ca"), authority.pem()).unwrap();
        let write = |(cert, key): (String, String)| {
            fs::write(path("cert"), cert).unwrap();
            fs::write(path("key"), key).unwrap();
        };
        write(Authority::new().issue("stranger"));
        let stranger_then_friend = client(&format!(
            "tls_config: {{ca_file: {}, cert_file: {}, key_file: {}}}",
            path("ca").display(),
            path("cert").display(),
            path("key").display(),
        ));
        let anonymous = client(&format!("tls_config: {{ca_file: {}}}", path("ca").display()));

        assert!(get(&anonymous, server.url("/")).await.is_err());
        assert!(get(&stranger_then_friend, server.url("/")).await.is_err());
        write(authority.issue("friend"));
        assert!(get(&stranger_then_friend, server.url("/")).await.is_ok());
    }

    #[tokio::test]
    async fn server_name_is_the_name_that_is_expected() {
        let authority = Authority::new();
        let server = Server::tls(authority.server("backend.internal"), |_| ok("")).await;
        let ca = authority.pem().replace('\n', "\n    ");
        let tls = format!("tls_config:\n  ca: |\n    {ca}\n");

        let error = get(&client(&tls), server.url("/")).await.unwrap_err();
        assert!(error.to_string().contains("not valid for name"), "{error}");
        let named = client(&format!("{tls}\n  server_name: backend.internal\n"));
        assert!(get(&named, server.url("/")).await.is_ok());
        let other = client(&format!("{tls}\n  server_name: other.internal\n"));
        assert!(get(&other, server.url("/")).await.is_err());
    }

    #[tokio::test]
    async fn server_name_chooses_among_the_certificates_of_a_server() {
        let authority = Authority::new();
        let config = authority.server_of_two("wrong.internal", "backend.internal");
        let server = Server::tls(config, |_| ok("")).await;
        let ca = authority.pem().replace('\n', "\n    ");
        let named =
            client(&format!("tls_config:\n  server_name: backend.internal\n  ca: |\n    {ca}\n"));
        for _ in 0..2 {
            assert_eq!(get(&named, server.url("/")).await.unwrap().status(), 200);
        }
        let host = server.address.to_string();
        assert_eq!(server.last().header("host"), Some(host.as_str()), "still who is meant");
        assert_eq!(server.connections(), 1, "kept alive");
    }

    #[tokio::test]
    async fn any_certificate_will_do_where_verification_is_off() {
        let server = Server::tls(Authority::new().server("other"), |_| ok("")).await;
        assert!(get(&client("{}"), server.url("/")).await.is_err());
        let insecure = client("tls_config: {insecure_skip_verify: true}");
        assert!(get(&insecure, server.url("/")).await.is_ok());
    }

    #[tokio::test]
    async fn a_self_signed_authority_is_a_servers_certificate_where_it_is_named_as_ca() {
        let (cert, key) = self_signed_authority("127.0.0.1");
        let server = Server::tls(server_config(&cert, &key, None), |_| ok("")).await;
        let (same_name, _) = self_signed_authority("127.0.0.1");
        let trusting = |pem: &str| {
            client(&format!("tls_config:\n  ca: |\n    {}\n", pem.replace('\n', "\n    ")))
        };
        assert!(get(&trusting(&cert), server.url("/")).await.is_ok());
        assert!(get(&trusting(&same_name), server.url("/")).await.is_err());
    }

    #[tokio::test]
    async fn versions_that_leave_nothing_are_refused_when_the_client_is_made() {
        let none = settings("tls_config: {min_version: TLS13, max_version: TLS12}");
        assert!(matches!(HttpClient::new(&none, "t"), Err(HttpError::Setting { .. })));
        let old = settings("tls_config: {min_version: TLS10}");
        assert!(HttpClient::new(&old, "t").is_ok());
        let missing = settings("tls_config: {ca_file: /nowhere/ca.pem}");
        assert!(matches!(HttpClient::new(&missing, "t"), Err(HttpError::File { .. })));
    }
}

mod credentials {
    use super::*;

    #[tokio::test]
    async fn a_changed_password_file_is_used_with_the_next_request() {
        let server = Server::plain(|_| ok("")).await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("password");
        let yaml = format!("basic_auth: {{username: me, password_file: {}}}", file.display());
        let client = client(&yaml);

        assert!(matches!(get(&client, server.url("/")).await, Err(HttpError::File { .. })));
        for (password, header) in [("one\n", "Basic bWU6b25l"), ("two", "Basic bWU6dHdv")] {
            fs::write(&file, password).unwrap();
            get(&client, server.url("/")).await.unwrap();
            assert_eq!(server.last().header("authorization"), Some(header));
        }
        assert_eq!(server.connections(), 1, "kept alive");
    }

    #[tokio::test]
    async fn authorization_and_the_old_bearer_token_are_the_same_header() {
        let server = Server::plain(|_| ok("")).await;
        for (yaml, header) in [
            ("authorization: {credentials: abc}", "Bearer abc"),
            ("authorization: {type: Token, credentials: abc}", "Token abc"),
            ("bearer_token: abc", "Bearer abc"),
        ] {
            get(&client(yaml), server.url("/")).await.unwrap();
            assert_eq!(server.last().header("authorization"), Some(header), "{yaml}");
        }
    }

    #[tokio::test]
    async fn configured_headers_are_sent_from_values_secrets_and_files() {
        let server = Server::plain(|_| ok("")).await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("value");
        fs::write(&file, " c \n").unwrap();
        let yaml = format!(
            "http_headers: {{x-tenant: {{values: [a], secrets: [b], files: [{}]}}}}",
            file.display()
        );
        get(&client(&yaml), server.url("/")).await.unwrap();
        assert_eq!(server.last().all("x-tenant"), ["a", "b", "c"]);
        assert_eq!(server.last().header("user-agent"), Some("test/1"));
    }

    #[test]
    fn no_credential_is_ever_printed() {
        let all = "{basic_auth: {username: me, password: hunter2}, \
                   http_headers: {X-Key: {secrets: [hunter2]}}, \
                   proxy_url: 'http://me:hunter2@proxy:3128', \
                   proxy_connect_header: {X-Key: [hunter2]}, tls_config: {server_name: s}}";
        let oauth2 = "oauth2: {client_id: me, client_secret: hunter2, \
                      token_url: 'http://me:hunter2@tokens/', endpoint_params: {assertion: hunter2}}";
        for yaml in [all, oauth2, "authorization: {credentials: hunter2}"] {
            let settings = settings(yaml);
            let client = HttpClient::new(&settings, "t").unwrap();
            let effective = periskop_core::config::Node::mapping(settings.effective());
            let printed = format!("{settings:?} {client:?} {effective}");
            assert!(!printed.contains("hunter2"), "{printed}");
        }
    }

    #[tokio::test]
    async fn a_password_in_the_url_is_in_no_error() {
        let url: Url = "http://me:hunter2@127.0.0.1:1/".parse().unwrap();
        let error = get(&client("{}"), url).await.unwrap_err();
        assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
    }
}

mod redirects {
    use super::*;

    #[tokio::test]
    async fn a_redirect_is_followed_with_credentials_on_the_same_host_only() {
        let elsewhere = Server::plain(|_| ok("there")).await;
        let away = elsewhere.url("/there");
        let server = Server::plain(move |asked| match asked.path() {
            "/near" => redirect(302, "/here"),
            "/far" => redirect(307, &away),
            _ => ok("here"),
        })
        .await;
        let yaml = "{bearer_token: abc, http_headers: {X-Key: {secrets: [k]}}}";
        let client = client(yaml);

        assert_eq!(body(&client, server.url("/near")).await, "here");
        assert_eq!(server.last().header("authorization"), Some("Bearer abc"));
        assert_eq!(server.last().header("x-key"), Some("k"));

        assert_eq!(body(&client, server.url("/far")).await, "there");
        assert_eq!(elsewhere.last().header("authorization"), None);
        assert_eq!(elsewhere.last().header("x-key"), None);
        assert_eq!(elsewhere.last().header("user-agent"), Some("test/1"));
    }

    #[tokio::test]
    async fn where_they_are_not_followed_the_redirect_is_the_answer() {
        let server = Server::plain(|_| redirect(301, "/other")).await;
        let client = client("follow_redirects: false");
        assert_eq!(get(&client, server.url("/")).await.unwrap().status(), 301);
        assert_eq!(server.asked().len(), 1);
    }

    #[tokio::test]
    async fn a_circle_ends_after_ten() {
        let server = Server::plain(|_| redirect(302, "/")).await;
        let error = get(&client("{}"), server.url("/")).await.unwrap_err();
        assert!(matches!(error, HttpError::TooManyRedirects(10)), "{error}");
        let server = Server::plain(|_| redirect(302, "file:///etc/passwd")).await;
        let error = get(&client("{}"), server.url("/")).await.unwrap_err();
        assert!(matches!(error, HttpError::Redirect { .. }), "{error}");
    }

    #[tokio::test]
    async fn a_post_becomes_a_get_but_for_307_and_308() {
        let server = Server::plain(|asked| match asked.path() {
            "/303" => redirect(303, "/end"),
            "/308" => redirect(308, "/end"),
            _ => ok(""),
        })
        .await;
        for (path, line, sent) in
            [("/303", "GET /end HTTP/1.1", ""), ("/308", "POST /end HTTP/1.1", "data")]
        {
            let request = client("{}").request(Method::POST, server.url(path)).body("data");
            request.send().await.unwrap();
            assert_eq!((server.last().line.as_str(), server.last().body.as_str()), (line, sent));
        }
    }
}

mod proxies {
    use super::*;

    #[tokio::test]
    async fn tls_goes_through_a_connect_with_the_configured_headers() {
        let authority = Authority::new();
        let server = Server::tls(authority.server("127.0.0.1"), |_| ok("hello")).await;
        let proxy = Server::plain(|_| ok("not a proxy's answer")).await;
        let client = client(&format!(
            "{{proxy_url: 'http://me:secret@{}', proxy_connect_header: {{X-Via: [a, b]}}, \
             tls_config: {{insecure_skip_verify: true}}, bearer_token: abc}}",
            proxy.address
        ));
        assert_eq!(body(&client, server.url("/")).await, "hello");
        let connect = proxy.last();
        assert_eq!(connect.line, format!("CONNECT {} HTTP/1.1", server.address));
        assert_eq!(connect.all("x-via"), ["a", "b"]);
        assert_eq!(connect.header("proxy-authorization"), Some("Basic bWU6c2VjcmV0"));
        assert_eq!(connect.header("authorization"), None, "the proxy is not the backend");
        assert_eq!(server.last().header("x-via"), None);
    }

    #[tokio::test]
    async fn plain_http_is_asked_of_the_proxy_and_no_proxy_goes_around_it() {
        let server = Server::plain(|_| ok("direct")).await;
        let proxy = Server::plain(|_| ok("proxied")).await;
        let yaml = format!(
            "{{proxy_url: 'http://{}', proxy_connect_header: {{X-Via: [a]}}}}",
            proxy.address
        );
        assert_eq!(body(&client(&yaml), server.url("/x")).await, "proxied");
        assert_eq!(proxy.last().line, format!("GET {} HTTP/1.1", server.url("/x")));
        assert_eq!(proxy.last().header("x-via"), None, "this is no CONNECT");

        let yaml = format!("{{proxy_url: 'http://{}', no_proxy: example.org}}", proxy.address);
        assert_eq!(body(&client(&yaml), server.url("/x")).await, "direct", "loopback");
    }
}

mod oauth2 {
    use super::*;

    fn token(token: &str, seconds: u64) -> crate::support::Reply {
        let answer = format!(
            r#"{{"access_token": "{token}", "token_type": "bearer", "expires_in": {seconds}}}"#
        );
        (200, vec!["Content-Type: application/json".into()], answer)
    }

    #[tokio::test]
    async fn a_token_is_fetched_once_and_again_when_the_secret_changes() {
        let tokens = Server::plain(|_| token("t0", 3600)).await;
        let server = Server::plain(|_| ok("")).await;
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("secret");
        fs::write(&file, "s 1").unwrap();
        let client = client(&format!(
            "oauth2: {{client_id: me, client_secret_file: {}, token_url: '{}', \
             scopes: [a, b], endpoint_params: {{audience: x}}}}",
            file.display(),
            tokens.url("/token")
        ));
        for _ in 0..3 {
            get(&client, server.url("/")).await.unwrap();
            assert_eq!(server.last().header("authorization"), Some("Bearer t0"));
        }
        assert_eq!(tokens.asked().len(), 1);
        let asked = tokens.last();
        assert_eq!(asked.body, "grant_type=client_credentials&scope=a+b&audience=x");
        assert_eq!(asked.header("authorization"), Some("Basic bWU6cysx"), "me:s+1");

        fs::write(&file, "s2").unwrap();
        get(&client, server.url("/")).await.unwrap();
        assert_eq!(tokens.asked().len(), 2);
    }

    #[tokio::test]
    async fn a_token_is_signed_for_where_the_grant_is_jwt_bearer() {
        use base64::Engine as _;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;

        let tokens = Server::plain(|_| token("t0", 3600)).await;
        let server = Server::plain(|_| ok("")).await;
        let key = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/src/sd/rsa_key.pem");
        let client = client(&format!(
            "oauth2: {{client_id: me, token_url: '{}', scopes: [a, b], \
             grant_type: 'urn:ietf:params:oauth:grant-type:jwt-bearer', \
             client_certificate_key_file: {key}, client_certificate_key_id: k1, \
             signature_algorithm: RS384, claims: {{level: 3, on: [yes, 'yes']}}, \
             endpoint_params: {{tenant: x}}}}",
            tokens.url("/token")
        ));
        for _ in 0..2 {
            get(&client, server.url("/")).await.unwrap();
            assert_eq!(server.last().header("authorization"), Some("Bearer t0"));
        }
        let [asked] = &tokens.asked()[..] else { panic!("one token is enough") };
        assert_eq!(asked.header("authorization"), None);
        let form: std::collections::HashMap<_, _> =
            url::form_urlencoded::parse(asked.body.as_bytes()).into_owned().collect();
        assert_eq!(form["grant_type"], "urn:ietf:params:oauth:grant-type:jwt-bearer");
        assert_eq!(form["tenant"], "x");
        let part = |n| -> serde_json::Value {
            let part = form["assertion"].split('.').nth(n).unwrap();
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(part).unwrap()).unwrap()
        };
        assert_eq!(part(0)["alg"], "RS384");
        assert_eq!(part(0)["kid"], "k1");
        let mut claims = part(1);
        let lifetime = claims["exp"].as_u64().unwrap() - claims["iat"].as_u64().unwrap();
        assert_eq!(lifetime, 3600);
        claims.as_object_mut().unwrap().retain(|name, _| name != "exp" && name != "iat");
        let url = tokens.url("/token").to_string();
        let wanted = serde_json::json!({
            "iss": "me", "sub": "me", "aud": url, "scope": "a b", "level": 3, "on": [true, "yes"],
        });
        assert_eq!(claims, wanted);
    }

    #[tokio::test]
    async fn an_endpoint_that_wants_the_secret_in_the_body_gets_it_there() {
        let tokens = Server::plain(|asked| match asked.header("authorization") {
            Some(_) => (401, vec![], r#"{"error": "invalid_client"}"#.into()),
            // Too short a life to be used twice.
            None => token("t1", 5),
        })
        .await;
        let server = Server::plain(|_| ok("")).await;
        let client = client(&format!(
            "oauth2: {{client_id: me, client_secret: s, token_url: '{}'}}",
            tokens.url("/token")
        ));
        for _ in 0..2 {
            get(&client, server.url("/")).await.unwrap();
            assert_eq!(server.last().header("authorization"), Some("Bearer t1"));
        }
        assert!(tokens.last().body.ends_with("&client_id=me&client_secret=s"));
        assert_eq!(tokens.asked().len(), 3, "the way is found out once");
    }

    #[tokio::test]
    async fn a_refusal_is_told_without_the_secret() {
        let tokens = Server::plain(|_| (400, vec![], r#"{"error": "invalid_scope"}"#.into())).await;
        let client = client(&format!(
            "oauth2: {{client_id: me, client_secret: hunter2, token_url: '{}'}}",
            tokens.url("/token")
        ));
        let error = get(&client, tokens.url("/")).await.unwrap_err();
        assert!(matches!(error, HttpError::Token { .. }), "{error}");
        let error = error.to_string();
        assert!(error.contains("invalid_scope") && !error.contains("hunter2"), "{error}");
    }
}

#[tokio::test]
async fn the_timeout_reaches_into_the_body() {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url: Url = format!("http://{}/", listener.local_addr().unwrap()).parse().unwrap();
    let server = tokio::spawn(async move {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let (mut stream, _) = listener.accept().await.unwrap();
        while stream.read_u8().await.unwrap() != b'\n' {}
        stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf").await.unwrap();
        std::future::pending::<()>().await;
    });
    let client = client("{}");
    let mut response = client.get(url).timeout(Duration::from_millis(300)).send().await.unwrap();
    let error = loop {
        match response.chunk().await {
            Ok(Some(_)) => {}
            Ok(None) => panic!("the body never ends"),
            Err(error) => break HttpError::from(error),
        }
    };
    assert!(matches!(error, HttpError::Timeout), "{error}");
    server.abort();
}

#[tokio::test]
async fn a_refused_connection_says_so() {
    let error = get(&client("{}"), "http://127.0.0.1:1/".parse().unwrap()).await.unwrap_err();
    assert!(error.to_string().contains("refused"), "{error}");
}
