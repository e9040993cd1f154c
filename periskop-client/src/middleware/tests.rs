use axum::Router;
use axum::body::Body;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use periskop_core::ReportedError;
use tower::ServiceExt;

use super::*;
use crate::{Severity, install_panic_hook};

#[derive(Debug, thiserror::Error)]
#[error("the order is not paid")]
struct Unpaid(#[source] std::num::ParseIntError);

fn unpaid() -> Unpaid {
    Unpaid("x".parse::<u8>().expect_err("x is no number"))
}

fn application(collector: &Collector) -> Router {
    let own = collector.clone();
    let noticed = collector.clone();
    let despairing = collector.clone();
    Router::new()
        .route(
            "/despairs",
            get(async move || {
                despairing.report(&unpaid());
                panics().await
            }),
        )
        .route("/fine", get(async || "fine"))
        .route("/missing", get(async || StatusCode::NOT_FOUND))
        .route("/broken/{id}", get(async || StatusCode::BAD_GATEWAY))
        .route("/attached", get(attached))
        .route("/panics", get(panics))
        .route(
            "/reported",
            get(async move || {
                own.report(&unpaid());
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .route(
            "/noticed",
            get(async move || {
                noticed.record(Capture::message("slow").severity(Severity::Warning));
                StatusCode::INTERNAL_SERVER_ERROR
            }),
        )
        .layer(ReportLayer::new(collector))
}

async fn attached() -> Response {
    (StatusCode::SERVICE_UNAVAILABLE, axum::Extension(Reported::new(&unpaid()))).into_response()
}

async fn panics() -> &'static str {
    panic!("order {} is lost", 17)
}

async fn ask(collector: &Collector, path: &str) -> StatusCode {
    let request = Request::get(path)
        .header("Host", "shop.example")
        .header("Authorization", "Bearer s3cr3t")
        .header("Accept", "text/html")
        .body(Body::empty())
        .expect("a request");
    application(collector).oneshot(request).await.expect("an answer").status()
}

async fn reported(path: &str) -> (StatusCode, Vec<ReportedError>) {
    let collector = Collector::new();
    let status = ask(&collector, path).await;
    (status, collector.snapshot().errors)
}

#[tokio::test]
async fn what_succeeds_or_is_the_clients_fault_is_not_reported() {
    assert_eq!(reported("/fine").await, (StatusCode::OK, vec![]));
    assert_eq!(reported("/missing").await, (StatusCode::NOT_FOUND, vec![]));
}

#[tokio::test]
async fn an_answer_of_5xx_is_an_error_of_its_route_with_the_request() {
    let collector = Collector::new();
    for path in ["/broken/17?token=s3cr3t&page=2", "/broken/18"] {
        assert_eq!(ask(&collector, path).await, StatusCode::BAD_GATEWAY);
    }
    let report = collector.snapshot();
    let [error] = &report.errors[..] else { panic!("{report:?}") };
    assert_eq!(error.total_count, 2);
    let occurrence = &error.occurrences[0];
    let exception = &occurrence.exceptions[0];
    assert_eq!(exception.class.as_deref(), Some("HTTP 502"));
    assert_eq!(exception.message.as_deref(), Some("502 Bad Gateway"));
    assert_eq!(exception.stacktrace, ["answered 502 to GET /broken/{id}"]);
    let http = occurrence.http.as_ref().unwrap();
    assert_eq!(http.method.as_deref(), Some("GET"));
    let url = "//shop.example/broken/17?token=<redacted>&page=2";
    assert_eq!(http.url.as_deref(), Some(url));
    let headers: Vec<_> = http.headers.iter().map(|(n, v)| (n.as_str(), v.as_str())).collect();
    let expected =
        [("accept", "text/html"), ("authorization", "<redacted>"), ("host", "shop.example")];
    assert_eq!(headers, expected);
}

#[tokio::test]
async fn the_error_behind_an_answer_is_reported_with_its_causes() {
    let (status, errors) = reported("/attached").await;
    assert_eq!(status, StatusCode::SERVICE_UNAVAILABLE);
    let occurrence = &errors[0].occurrences[0];
    let classes: Vec<_> =
        occurrence.exceptions.iter().map(|e| e.class.as_deref().unwrap()).collect();
    assert_eq!(
        classes,
        ["periskop_client::middleware::tests::Unpaid", "core::num::error::ParseIntError"]
    );
    let frames = &occurrence.exceptions[0].stacktrace;
    assert!(frames[0].contains("middleware/tests.rs:"), "where it was made: {frames:?}");
    assert_eq!(frames[1], "answered 503 to GET /attached");
    assert!(occurrence.http.is_some());
}

#[tokio::test]
async fn what_the_handler_has_reported_itself_is_not_counted_again_and_gets_the_request() {
    let (_, errors) = reported("/reported").await;
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(error.total_count, 1);
    let http = error.occurrences[0].http.as_ref().unwrap();
    assert_eq!(http.url.as_deref(), Some("//shop.example/reported"));
    let (_, errors) = reported("/noticed").await;
    assert_eq!(errors.len(), 2, "a warning is not why it failed: {errors:?}");
}

#[tokio::test]
async fn a_panic_is_answered_and_counted_once_with_and_without_the_hook() {
    let (status, errors) = reported("/panics").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    let [error] = &errors[..] else { panic!("{errors:?}") };
    let exception = &error.occurrences[0].exceptions[0];
    assert_eq!(exception.class.as_deref(), Some("panic"));
    assert_eq!(exception.message.as_deref(), Some("order 17 is lost"));

    let collector = Collector::new();
    install_panic_hook(&collector);
    assert_eq!(ask(&collector, "/panics").await, StatusCode::INTERNAL_SERVER_ERROR);
    let errors = collector.snapshot().errors.into_iter();
    let of_this: Vec<_> = errors
        .filter(|error| {
            error.occurrences[0].exceptions[0].message.as_deref() == Some("order 17 is lost")
        })
        .filter(|error| error.occurrences[0].http.is_some())
        .collect();
    let [error] = &of_this[..] else { panic!("{of_this:?}") };
    assert_eq!(error.total_count, 1);
    let frames = &error.occurrences[0].exceptions[0].stacktrace;
    assert!(frames[0].contains("middleware/tests.rs:"), "the hook knows where it was: {frames:?}");
}

#[tokio::test]
async fn a_panic_after_an_error_that_was_reported_is_another_error() {
    let (status, errors) = reported("/despairs").await;
    assert_eq!(status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(errors.len(), 2, "{errors:?}");
}

#[tokio::test]
async fn a_service_that_panics_before_its_future_is_answered_too() {
    let collector = Collector::new();
    let service = tower::service_fn(|_: Request<()>| -> std::future::Ready<Result<Response, ()>> {
        panic!("at once")
    });
    let answer = ReportLayer::new(&collector).layer(service).oneshot(Request::new(())).await;
    assert_eq!(answer.unwrap().status(), StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(collector.snapshot().errors[0].total_count, 1);
}

#[tokio::test]
async fn where_no_router_tells_the_route_ids_do_not_split_an_error() {
    let collector = Collector::new();
    let service = tower::service_fn(async |_: Request<()>| {
        let mut response = Response::new(Body::empty());
        *response.status_mut() = StatusCode::BAD_GATEWAY;
        Ok::<_, ()>(response)
    });
    let service = ReportLayer::new(&collector).layer(service);
    for path in ["/items/17", "/items/0a1b2c", "/carts/x"] {
        let request = Request::get(path).body(()).unwrap();
        assert!(service.clone().oneshot(request).await.is_ok());
    }
    let mut counts: Vec<_> = collector.snapshot().errors.iter().map(|e| e.total_count).collect();
    counts.sort_unstable();
    assert_eq!(counts, [1, 2]);
}
