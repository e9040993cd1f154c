//! The examples run, and do what they are there to show.

use periskop_tests::target::Target;
use periskop_tests::{PATIENCE, skip, workspace};
use tokio::process::Command;
use tokio::time::timeout;

/// What an example prints when it is to look once and end.
async fn printed(name: &str) -> Option<String> {
    printed_of(name, &["--once"]).await
}

async fn printed_of(name: &str, arguments: &[&str]) -> Option<String> {
    let Some(example) = workspace::example(name) else {
        skip(format_args!("`cargo test --workspace` would have built the example {name}"));
        return None;
    };
    let mut command = Command::new(example);
    let output = timeout(PATIENCE, command.args(arguments).kill_on_drop(true).output()).await;
    let output = output.expect("it ends").expect("it can be started");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    Some(String::from_utf8(output.stdout).expect("it prints text"))
}

#[tokio::test]
async fn embed_shows_the_errors_of_the_application_that_it_is_in() {
    let Some(printed) = printed("embed").await else { return };
    assert!(printed.contains("/ops/errors/"), "{printed}");
    assert!(printed.contains("me: 1 x core::num::error::ParseIntError@"), "{printed}");
}

#[tokio::test]
async fn custom_discovery_finds_what_its_inventory_names() {
    let Some(printed) = printed("custom_discovery").await else { return };
    assert!(printed.contains("http://127.0.0.1:9001/-/exceptions"), "{printed}");
    assert!(printed.contains("http://127.0.0.1:9002/-/exceptions"), "{printed}");
}

#[tokio::test]
async fn custom_storage_knows_after_a_restart_what_it_kept() {
    let Some(printed) = printed("custom_storage").await else { return };
    assert!(printed.contains("still known: "), "{printed}");
}

#[tokio::test]
async fn axum_service_reports_with_its_request_what_goes_wrong() {
    let Some(printed) = printed("axum_service").await else { return };
    for expected in [
        "/orders/twelve: 500",
        "/stock: 200",
        "/panic: 500",
        "NoSuchOrder",
        "core::num::error::ParseIntError",
        "the printer is on fire",
        "the stock is an hour old",
        "/orders/twelve\"",
        "\"authorization\":\"<redacted>\"",
    ] {
        assert!(printed.contains(expected), "{expected} in {printed}");
    }
}

#[tokio::test]
async fn batch_job_pushes_what_went_wrong() {
    let (sender, mut pushed) = tokio::sync::mpsc::unbounded_channel();
    let take = async move |body: String| _ = sender.send(body);
    let app = axum::Router::new().route("/errors", axum::routing::post(take));
    let gateway = Target::application(app).await;
    let url = format!("http://{}/errors", gateway.address);
    let Some(printed) = printed_of("batch_job", &[&url]).await else { return };
    assert!(printed.contains("3 rows failed, and the gateway knows"), "{printed}");
    let pushed = pushed.recv().await.expect("a push");
    assert!(pushed.contains(r#""total_count":3"#), "{pushed}");
}

#[tokio::test]
async fn panic_hook_tells_where_it_was() {
    let Some(printed) = printed("panic_hook").await else { return };
    assert!(printed.contains("order 17 is lost, and that was counted"), "{printed}");
    assert!(printed.contains(r#""total_count":2"#), "{printed}");
    assert!(printed.contains("panic_hook.rs:") && printed.contains("order 12 is too large"));
}
