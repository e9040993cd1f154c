//! The examples run, and do what they are there to show.

use periskop_tests::{PATIENCE, skip, workspace};
use tokio::process::Command;
use tokio::time::timeout;

/// What an example prints when it is to look once and end.
async fn printed(name: &str) -> Option<String> {
    let Some(example) = workspace::example(name) else {
        skip(format_args!("`cargo test --workspace` would have built the example {name}"));
        return None;
    };
    let mut command = Command::new(example);
    let output = timeout(PATIENCE, command.arg("--once").kill_on_drop(true).output()).await;
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
