//! The gateway as its clients see it: over real sockets.

#![allow(clippy::unwrap_used, reason = "what helps a test fails as a test does")]

use std::io::Write;
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, SystemTime};

use periskop_core::target::Labels;
use periskop_core::wire::exporter::{Limits, Options, parse};
use periskop_core::{Observer, ReplicaId, Report, ServiceName, Timestamp};
use periskop_pushgw::{Gateway, Settings, Web};
use reqwest::{Client, Method, StatusCode};
use serde_json::Value;
use tokio::net::TcpListener;

/// A gateway that listens on a free port of loopback.
struct Running {
    url: String,
    client: Client,
}

impl Running {
    async fn start(settings: Settings) -> Self {
        let listener = TcpListener::bind(SocketAddr::from(([127, 0, 0, 1], 0))).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let gateway = Gateway::new(settings, ReplicaId::from_u64(7));
        tokio::spawn(gateway.serve(listener, Web::open(), std::future::pending()));
        Self { url, client: http() }
    }

    /// Pushes with these headers and no others.
    async fn push(&self, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> reqwest::Response {
        let mut request = self.client.post(format!("{}/errors", self.url)).body(body.into());
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        request.send().await.unwrap()
    }

    async fn text(&self, path: &str) -> String {
        let answer = self.client.get(format!("{}{path}", self.url)).send().await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK, "{path}");
        answer.text().await.unwrap()
    }

    /// What it exports.
    async fn export(&self) -> Report {
        let body = self.text("/-/errors").await;
        parse(body.as_bytes(), now(), &Options::default()).unwrap()
    }

    /// Keys and totals of what a server knows that scrapes it twice.
    async fn scraped(&self) -> Vec<(String, u64)> {
        let mut server = Observer::new(ReplicaId::from_u64(8), Default::default(), now());
        for _ in 0..2 {
            let (service, labels) = (ServiceName::from("svc"), Labels::default());
            server.scraped(now(), &service, "http://gw/-/errors", &labels, self.export().await);
        }
        let known = server.state().errors().map(|view| (view.key().to_string(), view.total()));
        known.collect()
    }
}

fn http() -> Client {
    // Fails when another test has installed one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    Client::builder().no_proxy().timeout(Duration::from_secs(60)).build().unwrap()
}

/// After everything in the samples.
fn now() -> Timestamp {
    Timestamp::parse("2026-12-01T00:00:00Z").unwrap()
}

fn sample(client: &str) -> String {
    let file = format!("/../tests/corpus/samples/clients/periskop-{client}.json");
    std::fs::read_to_string(format!("{}{file}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

/// Keys and counts of a payload, as a server sorts them.
fn counted(payload: &str) -> Vec<(String, u64)> {
    let payload: Value = serde_json::from_str(payload).unwrap();
    let one = |error: &Value| {
        let key = error["aggregation_key"].as_str().unwrap().to_owned();
        (key, error["total_count"].as_u64().unwrap())
    };
    let mut all: Vec<_> =
        payload["aggregated_errors"].as_array().unwrap().iter().map(one).collect();
    all.sort();
    all
}

/// One error that `source` has counted for a minute: readers of sums are told less of what is
/// older than the retention.
fn payload(source: &str, count: u64) -> String {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let now = Timestamp::EPOCH.plus(since_epoch);
    let created_at = now.minus(Duration::from_secs(60));
    format!(
        r#"{{"target_uuid": "{source}", "aggregated_errors": [{{"aggregation_key": "k",
        "total_count": {count}, "severity": "error", "created_at": "{created_at}",
        "latest_errors": [{{"error": {{"class": "C", "message": "m"}}, "uuid": "{source}-1",
        "timestamp": "{now}"}}]}}]}}"#
    )
}

#[tokio::test]
async fn every_published_client_counts_exactly_however_often_it_pushes() {
    // Python and Go name no content type, Ruby says JSON, Scala says it is a form.
    for (client, headers) in [
        ("python-0.2.0", &[][..]),
        ("go", &[("content-type", "application/json")]),
        ("ruby", &[("content-type", "application/json")]),
        ("scala", &[("content-type", "application/x-www-form-urlencoded")]),
    ] {
        let gateway = Running::start(Settings::default()).await;
        for _ in 0..100 {
            let answer = gateway.push(headers, sample(client)).await;
            assert_eq!(answer.status(), StatusCode::OK, "{client}");
        }
        assert_eq!(gateway.scraped().await, counted(&sample(client)), "{client}");
    }
}

#[tokio::test]
async fn workers_and_jobs_add_up_and_occurrences_are_those_that_were_pushed() {
    let gateway = Running::start(Settings::default()).await;
    for n in 0..50 {
        gateway.push(&[], payload(&format!("job-{n}"), 2)).await;
    }
    assert_eq!(gateway.scraped().await, [("k".to_owned(), 100)]);
    let report = gateway.export().await;
    assert_eq!(report.target_uuid, None);
    assert_eq!(report.errors[0].total_count, 100);
    assert_eq!(report.errors[0].incarnations.as_ref().unwrap().len(), 50);
    assert_eq!(report.errors[0].occurrences.len(), 10);
    assert!(report.errors[0].occurrences[0].name.starts_with("job-"));
}

#[tokio::test]
async fn a_compressed_push_is_decompressed() {
    let plain = payload("u", 3).into_bytes();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&plain).unwrap();
    let mut deflate = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::fast());
    deflate.write_all(&plain).unwrap();
    let bodies = [
        ("gzip", gzip.finish().unwrap()),
        ("deflate", deflate.finish().unwrap()),
        ("zstd", zstd::encode_all(&plain[..], 3).unwrap()),
        ("identity", plain),
    ];
    for (encoding, body) in bodies {
        let gateway = Running::start(Settings::default()).await;
        let answer = gateway.push(&[("content-encoding", encoding)], body).await;
        assert_eq!(answer.status(), StatusCode::OK, "{encoding}");
        assert_eq!(gateway.scraped().await, [("k".to_owned(), 3)], "{encoding}");
    }
}

#[tokio::test]
async fn nonsense_is_refused_with_its_place_and_a_bad_part_costs_itself() {
    let gateway = Running::start(Settings::default()).await;
    for body in ["", "<html>", "{\"aggregated_errors\": [}", "null", "{}", "[1"] {
        let answer = gateway.push(&[], body).await;
        assert_eq!(answer.status(), StatusCode::BAD_REQUEST, "{body}");
        assert_eq!(answer.headers()["content-type"], "application/problem+json");
        let problem: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
        assert!(problem["detail"].as_str().is_some_and(|detail| detail.contains("line")));
        assert!(problem["offset"].is_u64() && problem["line"].is_u64(), "{problem}");
    }
    let partly = r#"{"aggregated_errors": [{"aggregation_key": "bad", "total_count": "many"},
        {"aggregation_key": "good", "total_count": 2, "created_at": "2026-03-01T12:00:00Z"}]}"#;
    let answer = gateway.push(&[], partly).await;
    assert_eq!(answer.status(), StatusCode::OK);
    let told: Value = serde_json::from_slice(&answer.bytes().await.unwrap()).unwrap();
    assert_eq!((&told["errors"], &told["skipped"]), (&1.into(), &1.into()), "{told}");
    assert_eq!(gateway.scraped().await, [("good".to_owned(), 2)]);
    let metrics = gateway.text("/metrics").await;
    assert!(metrics.contains("pushes_refused_total{reason=\"malformed\"} 6"), "{metrics}");
    assert!(metrics.contains("periskop_pushgw_errors_skipped_total 1"), "{metrics}");
}

#[tokio::test]
async fn what_is_over_a_limit_is_refused_and_counted() {
    let limits = Limits { payload_length: 10_000, errors: 2, ..Limits::default() };
    let options = Options { limits, ..Options::default() };
    let gateway = Running::start(Settings { options, ..Settings::default() }).await;
    let bomb = zstd::encode_all(&vec![b' '; 16 << 20][..], 3).unwrap();
    assert!(bomb.len() < 10_000);
    let error = r#"{"aggregation_key": "k", "total_count": 1}"#;
    let three = format!(r#"{{"aggregated_errors": [{error}, {error}, {error}]}}"#);
    for (headers, body) in [
        (&[][..], vec![b' '; 10_001]),
        (&[("content-encoding", "zstd")], bomb),
        (&[], three.into_bytes()),
    ] {
        let answer = gateway.push(headers, body).await;
        assert_eq!(answer.status(), StatusCode::PAYLOAD_TOO_LARGE);
    }
    let answer = gateway.push(&[("content-encoding", "br")], "x").await;
    assert_eq!(answer.status(), StatusCode::UNSUPPORTED_MEDIA_TYPE);
    let answer = gateway.push(&[("content-encoding", "gzip")], "not gzip").await;
    assert_eq!(answer.status(), StatusCode::BAD_REQUEST);
    let metrics = gateway.text("/metrics").await;
    assert!(metrics.contains("pushes_refused_total{reason=\"too_large\"} 3"), "{metrics}");
    assert!(metrics.contains("pushes_refused_total{reason=\"encoding\"} 2"), "{metrics}");
    assert_eq!(gateway.scraped().await, []);
}

#[tokio::test]
async fn no_page_of_another_origin_can_push() {
    let gateway = Running::start(Settings::default()).await;
    for headers in [
        &[("origin", "http://evil.example")][..],
        &[("origin", "null")],
        &[("sec-fetch-site", "cross-site")],
        &[("host", "evil.example")],
    ] {
        let answer = gateway.push(headers, payload("u", 1)).await;
        assert_eq!(answer.status(), StatusCode::FORBIDDEN, "{headers:?}");
        assert!(!answer.headers().contains_key("access-control-allow-origin"));
    }
    assert_eq!(gateway.scraped().await, []);
    let own = gateway.url.clone();
    let answer = gateway.push(&[("origin", &own)], payload("u", 1)).await;
    assert_eq!(answer.status(), StatusCode::OK);
}

#[tokio::test]
async fn only_the_methods_that_are_listed_do_anything() {
    let gateway = Running::start(Settings::default()).await;
    for path in ["/errors", "/errors/", "/-/errors", "/-/errors/", "/metrics", "/", "/-/ready"] {
        for method in ["PUT", "DELETE", "PATCH", "OPTIONS", "HEAD", "POST", "BREW"] {
            if method == "POST" && path.starts_with("/errors") {
                continue;
            }
            let url = format!("{}{path}", gateway.url);
            let method = Method::from_bytes(method.as_bytes()).unwrap();
            let request = gateway.client.request(method.clone(), url).body(payload("u", 1));
            let status = request.send().await.unwrap().status();
            let expected = match method.as_str() {
                "OPTIONS" => StatusCode::NO_CONTENT,
                "HEAD" => StatusCode::OK,
                _ => StatusCode::METHOD_NOT_ALLOWED,
            };
            assert_eq!(status, expected, "{method} {path}");
        }
    }
    assert_eq!(gateway.scraped().await, []);
    let answer = gateway.client.get(format!("{}/nowhere", gateway.url)).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_page_shows_who_pushed_and_runs_nothing_of_it() {
    let gateway = Running::start(Settings::default()).await;
    assert!(gateway.text("/").await.contains("Nobody yet"));
    let evil = "<script>alert(1)</script>'&";
    let pushed = serde_json::json!({"target_uuid": evil, "aggregated_errors": []});
    gateway.push(&[], pushed.to_string()).await;
    gateway.push(&[], payload("job-7", 3)).await;
    let answer = gateway.client.get(format!("{}/", gateway.url)).send().await.unwrap();
    let policy = answer.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.contains("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
    let page = answer.text().await.unwrap();
    assert!(page.contains("job-7") && page.contains("127.0.0.1"), "{page}");
    assert!(page.contains("alert(1)") && !page.contains("<script"), "{page}");
    assert!(gateway.text("/-/style.css").await.contains("color-scheme"));
}

#[tokio::test]
async fn health_and_its_own_exceptions_are_answered_with_and_without_slash() {
    let gateway = Running::start(Settings::default()).await;
    for path in ["/-/health", "/-/health/", "/-/healthy", "/-/ready"] {
        assert_eq!(gateway.text(path).await, "OK");
    }
    gateway.push(&[], payload("u", 1)).await;
    for path in ["/errors", "/errors/"] {
        let own = parse(gateway.text(path).await.as_bytes(), now(), &Options::default()).unwrap();
        assert_eq!(own.errors, [], "what is pushed is not the gateway's own");
        assert!(own.target_uuid.is_some());
    }
    assert_eq!(gateway.text("/-/errors/").await, gateway.text("/-/errors").await);
}

/// The binary, killed if the test fails.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        // It has ended by itself where the test got that far.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[cfg(unix)]
#[test]
fn the_binary_says_where_it_listens_and_stops_when_asked() {
    use std::io::{BufRead, BufReader};

    let mut program = Command::new(env!("CARGO_BIN_EXE_periskop-pushgw"));
    program.args(["--listen", "127.0.0.1:0", "--retention", "1d", "--log-format", "json"]);
    let mut program = Program(program.stdout(Stdio::piped()).spawn().unwrap());
    let mut line = String::new();
    let output = program.0.stdout.take().unwrap();
    BufReader::new(output).read_line(&mut line).unwrap();
    let url = line.strip_prefix("listening on ").unwrap().trim();
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let answer = runtime.block_on(async {
        http().get(format!("{url}/-/ready")).send().await.unwrap().text().await.unwrap()
    });
    assert_eq!(answer, "OK");
    drop(runtime);
    let asked = Command::new("kill").args(["-TERM", &program.0.id().to_string()]).status();
    assert!(asked.unwrap().success());
    let (ended, waited) = std::sync::mpsc::channel();
    std::thread::spawn(move || ended.send(program.0.wait().map(|status| status.success())));
    assert!(waited.recv_timeout(Duration::from_secs(30)).unwrap().unwrap());
}
