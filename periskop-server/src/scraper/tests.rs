//! Scrapes over real sockets: what is good is read, and what is not says why.

use std::io::Write as _;
use std::net::SocketAddr;
use std::path::Path;

use flate2::Compression;
use flate2::write::GzEncoder;
use periskop_core::engine::{Engine, Output};
use periskop_core::target::{Labels, TargetGroup};
use periskop_core::{Observer, ReplicaId, Settings};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;
use crate::clock;
use crate::config::Config;

/// A server that reads one request after the other and answers each with the same bytes; kept
/// open afterwards if the answer does not end.
async fn server(answer: impl Into<Vec<u8>>, then: Then) -> SocketAddr {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let answer: Arc<[u8]> = answer.into().into();
    tokio::spawn(async move {
        loop {
            let (mut stream, _) = listener.accept().await.unwrap();
            let answer = Arc::clone(&answer);
            tokio::spawn(async move {
                let mut request = [0; 4096];
                while stream.read(&mut request).await.is_ok_and(|n| n > 0) {
                    if stream.write_all(&answer).await.is_err() {
                        return;
                    }
                    match then {
                        Then::Waits => {}
                        Then::Ends => return,
                        Then::GoesOn => {
                            while stream.write_all(&[b' '; 65_536]).await.is_ok() {}
                            return;
                        }
                    }
                }
            });
        }
    });
    address
}

/// What follows the answer.
#[derive(Clone, Copy)]
enum Then {
    Waits,
    Ends,
    GoesOn,
}

fn ok(headers: &str, body: &[u8]) -> Vec<u8> {
    let head = format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n{headers}\r\n", body.len());
    [head.as_bytes(), body].concat()
}

fn gzip(body: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(body).unwrap();
    encoder.finish().unwrap()
}

const GOOD: &[u8] = br#"{"target_uuid": "u", "aggregated_errors": [
    {"aggregation_key": "a", "total_count": 1, "created_at": "2026-11-01T00:00:00Z", "latest_errors": []},
    {"aggregation_key": "b", "total_count": 2, "created_at": "2026-11-01T00:00:00Z", "latest_errors": []}]}"#;

/// A scraper with one service, and the request for its one target.
fn scraper(settings: &str, address: SocketAddr) -> (Scraper, ScrapeRequest) {
    let text = format!("services: [{{name: s, scraper: {{{settings}}}}}]");
    let config = Config::parse(&text, Path::new("")).unwrap_or_else(|p| panic!("{p}"));
    let scraper = Scraper::new();
    scraper.configure(&config.services, &config.redact);
    let now = clock::now();
    let observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
    let mut engine = Engine::new(observer, now);
    engine.handle_services(now, vec![config.services[0].spec(vec![1])]);
    let target = Labels::from([("__address__", address.to_string())]);
    let group = TargetGroup { targets: vec![target], ..TargetGroup::default() };
    engine.handle_groups(now, &"s".into(), 1, vec![group]);
    engine.handle_timeout(engine.poll_timeout().unwrap());
    let request = std::iter::from_fn(|| engine.poll_output()).find_map(|output| match output {
        Output::Scrape(request) => Some(request),
        _ => None,
    });
    (scraper, request.unwrap())
}

async fn outcome(settings: &str, answer: impl Into<Vec<u8>>, then: Then) -> Result<Report, String> {
    let (scraper, request) = scraper(settings, server(answer, then).await);
    let scrape = scraper.scrape(&request, clock::now).await;
    scrape.outcome.map_err(|failure| failure.to_string())
}

#[tokio::test]
async fn what_did_not_change_is_not_read_again() {
    let address = server(ok("", GOOD), Then::Waits).await;
    let (scraper, mut request) = scraper("", address);
    let first = scraper.scrape(&request, clock::now).await.outcome.unwrap();
    assert_eq!((first.errors.len(), first.unchanged.len()), (2, 0));
    let second = scraper.scrape(&request, clock::now).await.outcome.unwrap();
    assert_eq!((second.errors.len(), second.unchanged.len()), (0, 2));
    request.memo_epoch += 1;
    let third = scraper.scrape(&request, clock::now).await.outcome.unwrap();
    assert_eq!(third.errors.len(), 2, "what is remembered is void");
    scraper.retain(|_| false);
    let fourth = scraper.scrape(&request, clock::now).await.outcome.unwrap();
    assert_eq!(fourth.errors.len(), 2, "what a departed target told is forgotten");
}

#[tokio::test]
async fn every_encoding_is_read() {
    let zstd = zstd::encode_all(GOOD, 3).unwrap();
    for (name, body) in [("gzip", gzip(GOOD)), ("zstd", zstd), ("identity", GOOD.to_vec())] {
        let headers = format!("Content-Encoding: {name}\r\n");
        let report = outcome("", ok(&headers, &body), Then::Waits).await.unwrap();
        assert_eq!(report.errors.len(), 2, "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_is_none_says_why() {
    let bomb = gzip(&vec![b' '; 4 << 20]);
    let nested = format!("{}{}", r#"{"aggregated_errors": "#, "[".repeat(200_000));
    for (what, settings, answer, then, reason) in [
        ("empty", "", ok("", b""), Then::Waits, "the body is empty"),
        ("not JSON", "", ok("", b"<html>"), Then::Waits, "at byte 0 (line 1, column 1)"),
        ("cut off", "", ok("", b"{\"aggregated_errors\": ["), Then::Waits, "not JSON"),
        ("nested", "", ok("", nested.as_bytes()), Then::Waits, "not JSON"),
        ("no object", "", ok("", b"null"), Then::Waits, "no object"),
        (
            "an error with a good body",
            "",
            [b"HTTP/1.1 500 Oops\r\nContent-Length: 2\r\n\r\n{}".as_slice(), b""].concat(),
            Then::Waits,
            "server returned HTTP status 500 Internal Server Error",
        ),
        ("no content", "", b"HTTP/1.1 204 No Content\r\n\r\n".to_vec(), Then::Waits, "status 204"),
        (
            "a bomb",
            "body_size_limit: 1MB",
            ok("Content-Encoding: gzip\r\n", &bomb),
            Then::Waits,
            "larger than the limit of 1048576 bytes once decompressed",
        ),
        (
            "endless",
            "body_size_limit: 1MB",
            b"HTTP/1.1 200 OK\r\n\r\n".to_vec(),
            Then::GoesOn,
            "larger than the limit of 1048576 bytes",
        ),
        (
            "announced too large",
            "body_size_limit: 1MB",
            b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n".to_vec(),
            Then::Waits,
            "larger than the limit of 1048576 bytes",
        ),
        (
            "an unknown encoding",
            "",
            ok("Content-Encoding: rot13\r\n", GOOD),
            Then::Waits,
            "content encoding `rot13` is not supported",
        ),
        ("not compressed", "", ok("Content-Encoding: gzip\r\n", GOOD), Then::Waits, "broken gzip"),
        ("hanging", "timeout: 200ms", Vec::new(), Then::Waits, "no complete answer within 200ms"),
        (
            "hanging in the body",
            "timeout: 200ms",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec(),
            Then::Waits,
            "no complete answer within 200ms",
        ),
        (
            "broken off",
            "",
            b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\n{".to_vec(),
            Then::Ends,
            "",
        ),
        (
            "a redirect that is not followed",
            "follow_redirects: false",
            b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Then::Waits,
            "status 302",
        ),
        (
            "a redirect to itself",
            "",
            b"HTTP/1.1 302 Found\r\nLocation: /x\r\nContent-Length: 0\r\n\r\n".to_vec(),
            Then::Waits,
            "redirects",
        ),
        ("not HTTP", "", b"SSH-2.0-OpenSSH_9.6\r\n".to_vec(), Then::Ends, ""),
    ] {
        let failure = outcome(settings, answer, then).await.expect_err(what);
        assert!(failure.contains(reason), "{what}: {failure}");
        assert!(!failure.is_empty(), "{what}");
    }
}

#[tokio::test]
async fn the_good_part_of_a_bad_answer_is_read() {
    let body = br#"{"aggregated_errors": [null, 7, {"aggregation_key": {}, "total_count": "x"},
        {"aggregation_key": "good", "total_count": 3, "severity": [], "created_at": 5,
         "latest_errors": [null, {"timestamp": "2999-01-01T00:00:00Z", "error": "x"}]}]}"#;
    let report = outcome("", ok("", body), Then::Waits).await.unwrap();
    assert_eq!(report.errors.len(), 1);
    assert_eq!(report.errors[0].total_count, 3);
    assert!(report.skipped > 0 && !report.warnings.is_empty());
}

#[tokio::test]
async fn a_long_answer_is_read_as_well() {
    let frames = vec![r#""at com.example.Main.main(Main.java:1)""#; 900].join(",");
    let errors: Vec<_> = (0..60)
        .map(|i| {
            format!(
                r#"{{"aggregation_key": "k{i}", "total_count": 1, "latest_errors": [
                    {{"uuid": "{i}", "error": {{"class": "C", "stacktrace": [{frames}]}}}}]}}"#
            )
        })
        .collect();
    let body = format!(r#"{{"aggregated_errors": [{}]}}"#, errors.join(","));
    assert!(body.len() > LONG);
    assert_eq!(outcome("", ok("", body.as_bytes()), Then::Waits).await.unwrap().errors.len(), 60);
}
