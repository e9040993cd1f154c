//! The published Go client, unchanged: what it is told is what the server shows.

use periskop_tests::app::{App, go_app};
use periskop_tests::server::Server;

#[tokio::test]
async fn totals_and_occurrences_are_what_the_go_client_was_told() {
    let Some(mut command) = go_app("0") else { return };
    let mut app = App::start(&mut command).await;
    app.raise("order", 3).await;
    let server = Server::scraping("go", &app.address).await;
    server.error_of("go", "main.orderError", 3).await;

    let told = app.raise("order", 12).await;
    let shown = server.error_of("go", "main.orderError", told.count).await;
    assert_eq!(told.count, 15);
    assert_eq!(shown.aggregation_key, "orders/lost in transit – 100%");
    assert_eq!(shown.severity, "warning");
    let newest: Vec<_> = told.messages.iter().rev().take(10).collect();
    assert_eq!(shown.messages(), newest);
    let occurrence = &shown.latest_errors[0];
    assert!(occurrence.error.stacktrace[0].contains("main.go:"), "{occurrence:?}");
    let request = occurrence.http_context.as_ref().unwrap();
    assert_eq!(request["request_headers"]["X-Request"], "7");
    assert_eq!(request["request_body"], "ä");
    assert!(!request.to_string().contains("s3cr3t"), "credentials are masked: {request}");

    let told = app.raise("plain", 5).await;
    let shown = server.error_of("go", "*errors.errorString", told.count).await;
    assert_eq!(shown.messages(), told.messages);
    assert!(shown.latest_errors[0].http_context.is_none());
}

#[tokio::test]
async fn a_go_program_that_restarts_behind_the_same_address_adds_up() {
    let Some(mut command) = go_app("0") else { return };
    let mut first = App::start(&mut command).await;
    let address = first.address.clone();
    let before = first.raise("plain", 4).await;
    let server = Server::scraping("go", &address).await;
    server.error_of("go", "*errors.errorString", before.count).await;
    first.kill().await;

    let port = address.rsplit(':').next().unwrap();
    let mut second = App::start(&mut go_app(port).unwrap()).await;
    let after = second.raise("plain", 9).await;
    server.error_of("go", "*errors.errorString", before.count + after.count).await;
}
