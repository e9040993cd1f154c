//! What may change something, and what may not.

use crate::support::{Server, payload};

const KEYS: [&str; 8] = [
    "plain",
    "java.lang.Run/ timeException@123",
    "50%",
    "what? ever",
    "a/errors/b",
    "ends/",
    "#anchor ☃ ümlaut",
    "a@b:c",
];

fn encoded(text: &str) -> String {
    percent_encoding::utf8_percent_encode(text, percent_encoding::NON_ALPHANUMERIC).to_string()
}

async fn open_keys(server: &Server, service: &str) -> Vec<String> {
    let errors = server.get(&format!("/services/{}/errors/", encoded(service))).await.json();
    let keys = errors.as_array().unwrap().iter();
    keys.map(|error| error["aggregation_key"].as_str().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn every_key_is_resolved_percent_encoded() {
    let server = Server::of(&[("a/b c", payload(&KEYS))]).await;
    for key in KEYS {
        let path = format!("/services/{}/errors/{}/", encoded("a/b c"), encoded(key));
        assert_eq!(server.delete(&path).await.status, 204, "{key}");
        assert!(!open_keys(&server, "a/b c").await.contains(&key.to_owned()), "{key}");
        assert_eq!(server.delete(&path).await.status, 204, "{key}: it already was");
    }
}

#[tokio::test]
async fn every_key_is_resolved_as_the_references_ui_sends_it() {
    let server = Server::of(&[("s/t", payload(&KEYS))]).await;
    for key in KEYS.into_iter().filter(|key| !key.contains('#')) {
        // A browser makes `%20` of a blank, and leaves the rest.
        let path = format!("/services/s/t/errors/{}/", key.replace(' ', "%20"));
        assert_eq!(server.delete(&path).await.status, 204, "{key}");
        assert!(!open_keys(&server, "s/t").await.contains(&key.to_owned()), "{key}");
    }
}

#[tokio::test]
async fn only_the_listed_methods_do_anything() {
    let server = Server::of(&[("s", payload(&["k"]))]).await;
    for method in ["OPTIONS", "HEAD", "GET", "POST", "PUT", "PATCH"] {
        let answer = server.send(method, "/services/s/errors/k/", &[], "").await;
        assert!(answer.status == 405 || method == "OPTIONS", "{method}: {}", answer.status);
    }
    for path in ["/api/v1/errors/s/k/resolve", "/-/reload"] {
        for method in ["OPTIONS", "HEAD", "GET", "PUT", "DELETE"] {
            let answer = server.send(method, path, &[], "").await;
            assert!(answer.status == 405 || method == "OPTIONS", "{method} {path}");
        }
    }
    assert_eq!(open_keys(&server, "s").await, ["k"]);
}

#[tokio::test]
async fn another_origin_changes_nothing() {
    let server = Server::of(&[("s", payload(&["k"]))]).await;
    let own = format!("http://{}", server.address);
    let resolve = "/services/s/errors/k/";
    for (name, value) in
        [("Origin", "http://evil.example"), ("Origin", "null"), ("Sec-Fetch-Site", "cross-site")]
    {
        assert_eq!(server.send("DELETE", resolve, &[(name, value)], "").await.status, 403);
        let path = "/api/v1/errors/s/k/resolve";
        assert_eq!(server.send("POST", path, &[(name, value)], "").await.status, 403);
        assert_eq!(server.send("POST", "/-/reload", &[(name, value)], "").await.status, 403);
    }
    assert_eq!(open_keys(&server, "s").await, ["k"]);
    assert_eq!(server.send("DELETE", resolve, &[("Origin", &own)], "").await.status, 204);
}

#[tokio::test]
async fn on_loopback_a_rebound_name_is_not_answered() {
    let server = Server::of(&[("s", payload(&["k"]))]).await;
    for method in ["GET", "DELETE"] {
        let host = [("Host", "evil.example")];
        assert_eq!(server.send(method, "/services/s/errors/k/", &host, "").await.status, 403);
    }
    assert_eq!(server.send("GET", "/services/", &[("Host", "localhost:1")], "").await.status, 200);
}

#[tokio::test]
async fn every_answer_says_how_it_may_be_used() {
    let server = Server::of(&[("s", payload(&["k"]))]).await;
    for path in ["/", "/services/", "/services/x/errors/", "/api/v1/nothing", "/metrics", "/x"] {
        let answer = server.get(path).await;
        assert_eq!(answer.header("x-content-type-options"), "nosniff", "{path}");
        assert!(answer.header("content-security-policy").contains("default-src 'none'"), "{path}");
        assert_eq!(answer.header("access-control-allow-origin"), "", "{path}");
        assert!(!answer.header("content-type").is_empty(), "{path}");
        assert!(!answer.body.is_empty(), "{path}");
    }
}
