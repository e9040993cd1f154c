//! Our own client: what it is told is what the server shows, causes included.

use std::sync::Arc;

use periskop_client::{Capture, Collector, DEFAULT_PATH, HttpContext, Severity};
use periskop_tests::server::Server;
use tokio::net::TcpListener;
use tokio::sync::RwLock;

#[derive(Debug)]
struct Unpaid(std::num::ParseIntError);

impl std::fmt::Display for Unpaid {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the order <b>is</b> not paid")
    }
}

impl std::error::Error for Unpaid {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.0)
    }
}

fn unpaid() -> Unpaid {
    Unpaid("x".parse::<u8>().expect_err("x is no number"))
}

/// An application that answers with the export of whatever collector is in it.
async fn application(collector: Collector) -> (String, Arc<RwLock<Collector>>) {
    let current = Arc::new(RwLock::new(collector));
    let answering = current.clone();
    let answer = async move || answering.read().await.export();
    let app = axum::Router::new().route(DEFAULT_PATH, axum::routing::get(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, current)
}

#[tokio::test]
async fn totals_occurrences_and_causes_are_what_the_rust_client_was_told() {
    let collector = Collector::new();
    let (address, _app) = application(collector.clone()).await;
    let server = Server::scraping("rust", &address).await;

    for _ in 0..15 {
        collector.report(&unpaid());
    }
    let shown = server.error_of("rust", "clients::rust::Unpaid", 15).await;
    assert_eq!(shown.latest_errors.len(), 10);
    let error = &shown.latest_errors[0].error;
    assert_eq!(error.message.as_deref(), Some("the order <b>is</b> not paid"));
    assert!(error.stacktrace[0].contains("rust.rs:"), "{error:?}");
    let cause = error.cause.as_ref().unwrap();
    assert_eq!(cause.class, "core::num::error::ParseIntError");
    assert_eq!(cause.message.as_deref(), Some("invalid digit found in string"));

    let request = HttpContext {
        method: Some("GET".into()),
        url: Some("http://shop.example/".into()),
        headers: vec![("authorization".into(), "Bearer s3cr3t".into())],
        body: None,
    };
    let capture = Capture::message("slow").class("Slow").severity(Severity::Info).http(request);
    collector.record(capture.key("slow/ä?#%"));
    let shown = server.error_of("rust", "Slow", 1).await;
    assert_eq!((shown.aggregation_key.as_str(), shown.severity.as_str()), ("slow/ä?#%", "info"));
    let request = shown.latest_errors[0].http_context.as_ref().unwrap();
    assert_eq!(request["request_method"], "GET");
    assert!(!request.to_string().contains("s3cr3t"), "credentials are masked: {request}");
}

#[tokio::test]
async fn a_rust_program_that_restarts_adds_up() {
    let one = Collector::new();
    let (address, app) = application(one.clone()).await;
    let report = |collector: &Collector, n| (0..n).for_each(|_| collector.report(&unpaid()));
    report(&one, 4);
    let server = Server::scraping("rust", &address).await;
    server.error_of("rust", "clients::rust::Unpaid", 4).await;

    let restarted = Collector::new();
    report(&restarted, 9);
    *app.write().await = restarted;
    server.error_of("rust", "clients::rust::Unpaid", 13).await;
}
