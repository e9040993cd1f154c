//! The published Go client, unchanged: what it is told is what the server shows.
//!
//! The program is built where there is a Go toolchain and the pinned module can be had.

use std::path::PathBuf;
use std::sync::OnceLock;

use periskop_tests::app::App;
use periskop_tests::server::Server;
use periskop_tests::{skip, workspace};
use tokio::process::Command;

/// The program, built once for all tests here; else why not.
fn built() -> Result<PathBuf, String> {
    static BUILT: OnceLock<Result<PathBuf, String>> = OnceLock::new();
    let build = || {
        let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("go-app");
        let output = std::process::Command::new("go")
            .current_dir(workspace::root().join("tests/clients/go"))
            .args(["build", "-mod=readonly", "-o"])
            .arg(&program)
            .arg(".")
            .output()
            .map_err(|error| format!("there is no Go: {error}"))?;
        let complaint = String::from_utf8_lossy(&output.stderr);
        match complaint.trim() {
            _ if output.status.success() => Ok(program),
            complaint if complaint.contains("go.sum") || complaint.contains("main.go") => {
                panic!("the program for the Go client is broken:\n{complaint}")
            }
            complaint => Err(format!("the Go client cannot be had: {complaint}")),
        }
    };
    BUILT.get_or_init(build).clone()
}

fn app(port: &str) -> Option<Command> {
    match built() {
        Ok(program) => {
            let mut command = Command::new(program);
            command.arg(port);
            Some(command)
        }
        Err(why) => {
            skip(why.replace('\n', " "));
            None
        }
    }
}

#[tokio::test]
async fn totals_and_occurrences_are_what_the_go_client_was_told() {
    let Some(mut command) = app("0") else { return };
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
    let Some(mut command) = app("0") else { return };
    let mut first = App::start(&mut command).await;
    let address = first.address.clone();
    let before = first.raise("plain", 4).await;
    let server = Server::scraping("go", &address).await;
    server.error_of("go", "*errors.errorString", before.count).await;
    first.kill().await;

    let port = address.rsplit(':').next().unwrap();
    let mut second = App::start(&mut app(port).unwrap()).await;
    let after = second.raise("plain", 9).await;
    server.error_of("go", "*errors.errorString", before.count + after.count).await;
}
