//! Targets that mean harm, or have lost their minds: each is shown as down with a reason, or its
//! good part is counted; the others keep their rhythm, and memory stays bounded.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::StatusCode;
use axum::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use flate2::{Compress, Compression, FlushCompress};
use periskop_tests::server::Server;
use periskop_tests::target::{Target, endless, error, payload};
use periskop_tests::{eventually, skip};
use serde_json::{Value, json};
use std::sync::Mutex;
use tokio::time::Instant;

const INTERVAL: Duration = Duration::from_millis(500);

/// The kinds of target that must be down.
const DOWN: [&str; 9] = [
    "empty",
    "not_json",
    "html",
    "null",
    "gzipped_spaces",
    "endless",
    "hanging",
    "trickling",
    "status_500",
];

/// The kinds whose good part is counted, and what of it.
const COUNTED: [(&str, u64); 3] = [("Nested", 7), ("WrongTypes", 3), ("Year2999", 4)];

fn valid() -> Vec<u8> {
    payload(Some("500"), &[error("Refused", 9, Some("2026-01-01T00:00:00Z"), &[])])
}

/// 200,000 causes, each in the one before.
fn nested() -> Vec<u8> {
    let mut body = String::from(
        r#"{"target_uuid": "n", "aggregated_errors": [{"aggregation_key": "Nested",
        "total_count": 7, "created_at": "2026-01-01T00:00:00Z", "latest_errors": [{"uuid": "1",
        "timestamp": "2026-01-01T00:00:00Z", "error": "#,
    );
    for n in 0..200_000 {
        let _ = write!(body, r#"{{"class": "Nested", "message": "{n}", "cause": "#);
    }
    body.push_str("null");
    body.push_str(&"}".repeat(200_000));
    body.push_str("}]}]}");
    body.into_bytes()
}

/// A gzip stream of 1 GiB of spaces: one compressed mebibyte, again and again. Nobody should read
/// so far that the missing checksum matters.
fn gzipped_spaces() -> Vec<u8> {
    let mut compress = Compress::new(Compression::fast(), false);
    let mut mebibyte = Vec::with_capacity(1 << 20);
    compress
        .compress_vec(&vec![b' '; 1 << 20], &mut mebibyte, FlushCompress::Full)
        .expect("spaces can be compressed");
    let mut gzip = vec![0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
    gzip.extend(mebibyte.repeat(1 << 10));
    gzip.extend([3, 0]);
    gzip
}

fn wrong_types() -> Vec<u8> {
    let wrong = json!([1, null, "x", [], {"aggregation_key": 5, "total_count": 1},
        {"aggregation_key": "Negative", "total_count": -1},
        {"aggregation_key": "Text", "total_count": "12"},
        {"aggregation_key": "WrongTypes", "total_count": 3, "severity": [], "created_at": {},
         "latest_errors": [7, {"error": [], "uuid": 5, "timestamp": {}, "http_context": "x"},
            {"error": {"class": "WrongTypes", "message": {}, "stacktrace": {"a": 1}, "cause": 9},
             "timestamp": true, "http_context": {"request_headers": [1], "request_body": {"a": 1}}}]}]);
    json!({ "target_uuid": ["x"], "aggregated_errors": wrong }).to_string().into_bytes()
}

fn year_2999() -> Vec<u8> {
    let far = "2999-01-01T00:00:00Z";
    payload(Some("far"), &[error("Year2999", 4, Some(far), &[far.to_owned()])])
}

/// A byte now and then: always alive, never done.
fn trickling() -> Response {
    let bytes = futures_util::stream::unfold((), |()| async {
        tokio::time::sleep(INTERVAL / 4).await;
        Some((Ok::<_, std::convert::Infallible>(" "), ()))
    });
    Response::new(Body::from_stream(bytes))
}

async fn hostile() -> Target {
    let body = |body: Vec<u8>| {
        let body = bytes::Bytes::from(body);
        get(move || {
            let body = body.clone();
            async move { body }
        })
    };
    let spaces = bytes::Bytes::from(gzipped_spaces());
    let html = "<!doctype html><title>404</title>";
    let app = Router::new()
        .route("/empty", get(|| async {}))
        .route("/not_json", body(b"not json".to_vec()))
        .route("/html", get(move || async move { ([(CONTENT_TYPE, "text/html")], html) }))
        .route("/null", body(b"null".to_vec()))
        .route(
            "/gzipped_spaces",
            get(move || {
                let spaces = spaces.clone();
                async move { ([(CONTENT_ENCODING, "gzip")], spaces) }
            }),
        )
        .route("/endless", get(|| async { endless(&[b' '; 16 * 1024]) }))
        .route("/hanging", get(std::future::pending::<()>))
        .route("/trickling", get(|| async { trickling() }))
        .route(
            "/status_500",
            get(|| async { (StatusCode::INTERNAL_SERVER_ERROR, valid()).into_response() }),
        )
        .route("/Nested", body(nested()))
        .route("/WrongTypes", body(wrong_types()))
        .route("/Year2999", body(year_2999()));
    Target::application(app).await
}

/// A target that notes when it is scraped.
async fn healthy() -> (Target, Arc<Mutex<Vec<Instant>>>) {
    let times: Arc<Mutex<Vec<Instant>>> = Arc::default();
    let noting = times.clone();
    let target = Target::answering(move |_| {
        noting.lock().expect("nobody panics with it").push(Instant::now());
        payload(Some("healthy"), &[error("Fine", 1, Some("2026-01-01T00:00:00Z"), &[])])
    })
    .await;
    (target, times)
}

fn configuration(hostile: &Target, healthy: &Target) -> String {
    let mut text = String::from("services:\n- name: hostile\n  static_configs:\n");
    for kind in DOWN.iter().chain(COUNTED.iter().map(|(kind, _)| kind)) {
        let _ = writeln!(text, "  - targets: ['{}']", hostile.address);
        let _ = writeln!(text, "    labels: {{__metrics_path__: /{kind}, kind: '{kind}'}}");
    }
    let interval = INTERVAL.as_millis();
    let scraper = format!("  scraper: {{refresh_interval: {interval}ms}}\n");
    let _ = write!(text, "{scraper}- name: healthy\n  static_configs:\n");
    let _ = writeln!(text, "  - targets: ['{}']", healthy.address);
    text + &scraper
}

/// Health and last error of every target of a service, by its label `kind`.
async fn targets(server: &Server) -> BTreeMap<String, (String, String)> {
    let (_, body) = server.get("/api/v1/targets").await;
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    let active = answer["data"]["activeTargets"].as_array().expect("a list");
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let of = |target: &Value| {
        let told = (text(&target["health"]), text(&target["lastError"]));
        (text(&target["labels"]["kind"]), told)
    };
    active.iter().map(of).filter(|(kind, _)| !kind.is_empty()).collect()
}

#[tokio::test]
async fn hostile_targets_harm_only_themselves() {
    let hostile = hostile().await;
    let (healthy, times) = healthy().await;
    let server = Server::start(&configuration(&hostile, &healthy)).await;

    eventually("every target has been judged", || async {
        let targets = targets(&server).await;
        let down = |kind: &&str| {
            matches!(targets.get(*kind), Some((health, why)) if health == "down" && !why.is_empty())
        };
        let up = |kind: &&str| matches!(targets.get(*kind), Some((health, _)) if health == "up");
        let judged = DOWN.iter().all(down) && COUNTED.iter().all(|(kind, _)| up(kind));
        if judged { Ok(()) } else { Err(targets) }
    })
    .await;
    let errors = server.errors("hostile").await;
    let counts: BTreeMap<_, _> =
        errors.iter().map(|(key, error)| (key.as_str(), error.total_count)).collect();
    assert_eq!(counts, BTreeMap::from(COUNTED), "the good part counts, and nothing else");
    let year_2999: Vec<_> =
        errors["Year2999"].latest_errors.iter().map(|occurrence| occurrence.timestamp).collect();
    assert!(year_2999.iter().all(|seconds| *seconds < 4_102_444_800), "{year_2999:?}");

    // From here on everything has been met once. The healthy one keeps its rhythm all the while.
    healthy.scraped_again(10).await;
    let times = times.lock().expect("nobody panics with it").clone();
    let mut intervals: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
    intervals.sort();
    let median = intervals[intervals.len() / 2];
    assert!(median < INTERVAL * 3 / 2, "the healthy target is scraped each {median:?}");

    match server.peak_memory() {
        // Several bodies of 32 MiB at once, each moved as it grows, and what the allocator gives back
        // a moment later.
        Some(peak) => assert!(peak < 512 << 20, "{} MiB", peak >> 20),
        None => skip("this system does not tell the peak of a process's memory"),
    }
}
