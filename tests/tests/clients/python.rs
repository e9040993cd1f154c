//! The published Python client, unchanged: what it is told is what the server shows.

use periskop_tests::app::{App, python_app};
use periskop_tests::server::Server;

#[tokio::test]
async fn totals_and_occurrences_are_what_the_python_client_was_told() {
    let Some(mut command) = python_app("0") else { return };
    let mut app = App::start(&mut command).await;
    app.raise("value", 3).await;
    let server = Server::scraping("python", &app.address).await;
    server.error_of("python", "ValueError", 3).await;

    let told = app.raise("value", 12).await;
    let shown = server.error_of("python", "ValueError", told.count).await;
    assert_eq!(told.count, 15);
    assert_eq!(shown.severity, "error");
    // Once the client has ten it replaces the newest, so that it has the first nine and the last.
    let mut kept = told.messages[..9].to_vec();
    kept.push(told.messages[14].clone());
    kept.reverse();
    assert_eq!(shown.messages(), kept);
    let error = &shown.latest_errors[0].error;
    assert_eq!(error.stacktrace[0], "Traceback (most recent call last):");
    assert!(error.cause.is_none());

    let told = app.raise("timeout", 2).await;
    let shown = server.error_of("python", "TimeoutError", told.count).await;
    let request = shown.latest_errors[0].http_context.as_ref().unwrap();
    assert_eq!(request["request_method"], "POST");
    assert_eq!(request["request_url"], "http://shop.example/pay?order=1");
    assert_eq!(request["request_headers"]["X-Request"], "7");
    assert_eq!(request["request_body"], "ä");
    assert!(!request.to_string().contains("s3cr3t"), "credentials are masked: {request}");
}

#[tokio::test]
async fn a_python_program_that_restarts_behind_the_same_address_adds_up() {
    let Some(mut command) = python_app("0") else { return };
    let mut first = App::start(&mut command).await;
    let address = first.address.clone();
    let before = first.raise("value", 4).await;
    let server = Server::scraping("python", &address).await;
    server.error_of("python", "ValueError", before.count).await;
    first.kill().await;

    let port = address.rsplit(':').next().unwrap();
    let mut second = App::start(&mut python_app(port).unwrap()).await;
    let after = second.raise("value", 9).await;
    server.error_of("python", "ValueError", before.count + after.count).await;
}
