//! A server with targets, and requests sent byte by byte: a client that tidies up a path would
//! hide what the routes have to cope with.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use periskop_server::Periskop;
use periskop_server::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// An instance that answers `body`, whatever it is asked.
pub(crate) async fn instance(body: impl Into<String>) -> SocketAddr {
    let body: String = body.into();
    let answer = async move || ([(CONTENT_TYPE, "application/json")], body);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(get(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// A file of `tests/corpus/samples`.
pub(crate) fn sample(name: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/corpus/samples");
    std::fs::read_to_string(Path::new(folder).join(name)).unwrap()
}

/// A payload with errors of the given keys, each counted once.
pub(crate) fn payload(keys: &[&str]) -> String {
    let errors: Vec<_> = keys
        .iter()
        .map(|key| {
            serde_json::json!({
                "aggregation_key": key,
                "total_count": 1,
                "severity": "error",
                "created_at": "2026-11-01T00:00:00Z",
                "latest_errors": [{
                    "uuid": format!("uuid of {key}"),
                    "timestamp": "2026-11-01T00:00:00Z",
                    "severity": "error",
                    "error": {"class": "Oops", "message": format!("about {key}"), "stacktrace": ["a", "b"], "cause": null},
                    "http_context": null
                }]
            })
        })
        .collect();
    serde_json::json!({"target_uuid": "one", "aggregated_errors": errors}).to_string()
}

/// A running server on a port of its own.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    serving: JoinHandle<()>,
}

impl Server {
    /// One that has scraped each of its targets.
    pub(crate) async fn start(config: &str) -> Self {
        let config = Config::parse(config, Path::new("")).unwrap_or_else(|p| panic!("{p}"));
        let server = Self::serve(Periskop::builder().config(config).build()).await;
        server
            .until("every target was scraped", async |server| {
                let targets = server.get("/api/v1/targets").await;
                !targets.body.contains(r#""health":"unknown""#)
            })
            .await;
        server
    }

    /// One service for each name, with a target that answers its payload.
    pub(crate) async fn of(services: &[(&str, String)]) -> Self {
        let mut config = String::from("services:\n");
        for (name, body) in services {
            let target = instance(body.as_str()).await;
            config.push_str(&format!(
                "- name: '{name}'\n  static_configs: [{{targets: ['{target}']}}]\n  scraper: {{refresh_interval: 200ms}}\n"
            ));
        }
        Self::start(&config).await
    }

    /// One that is ready.
    pub(crate) async fn serve(periskop: Periskop) -> Self {
        let server = Self::begin(periskop).await;
        server.until("it is ready", async |s| s.get("/-/ready").await.status == 200).await;
        server
    }

    /// One that listens.
    pub(crate) async fn begin(periskop: Periskop) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            periskop.serve(listener, std::future::pending()).await.unwrap();
        });
        Self { address, serving }
    }

    /// Waits until something is so.
    pub(crate) async fn until(&self, what: &str, is_so: impl AsyncFn(&Self) -> bool) {
        let begun = Instant::now();
        while !is_so(self).await {
            assert!(begun.elapsed() < PATIENCE, "in {PATIENCE:?} it was never so that {what}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// A page, as a browser gets it.
    pub(crate) async fn browse(&self, path: &str) -> Answer {
        self.send("GET", path, &[("Accept", "text/html")], "").await
    }

    pub(crate) async fn get(&self, path: &str) -> Answer {
        self.send("GET", path, &[], "").await
    }

    pub(crate) async fn delete(&self, path: &str) -> Answer {
        self.send("DELETE", path, &[], "").await
    }

    pub(crate) async fn post(&self, path: &str, body: &str) -> Answer {
        self.send("POST", path, &[], body).await
    }

    /// A request whose path is sent as it is.
    pub(crate) async fn send(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        send(self.address, method, path, headers, body).await
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.serving.abort();
    }
}

/// A request whose path is sent as it is, to whoever listens there.
pub(crate) async fn send(
    address: SocketAddr,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\n");
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request.push_str(&format!("Host: {}\r\n", address));
    }
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str(&format!("Content-Length: {}\r\n\r\n{body}", body.len()));
    let exchange = async {
        let mut stream = TcpStream::connect(address).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).await.unwrap();
        answer
    };
    let answer = timeout(PATIENCE, exchange).await.expect("an answer in time");
    Answer::parse(&String::from_utf8_lossy(&answer))
}

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a whole head");
        let mut lines = head.lines();
        let status = lines.next().and_then(|line| line.split(' ').nth(1)).unwrap();
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(": "))
            .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
            .collect();
        let chunked = headers.iter().any(|(n, v)| n == "transfer-encoding" && v == "chunked");
        assert!(!chunked, "answers are whole");
        Self { status: status.parse().unwrap(), headers, body: body.to_owned() }
    }

    pub(crate) fn header(&self, name: &str) -> &str {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }
}
