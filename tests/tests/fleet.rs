//! The load tool, its fleet scraped by a real server or pushed to a real gateway.

use std::path::{Path, PathBuf};
use std::process::Output;

use periskop_tests::gateway::Gateway;
use periskop_tests::server::Server;
use tempfile::TempDir;
use tokio::process::Command;

/// A place for what the tool writes.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

async fn fleet(arguments: &str, config: &Path, more: &[&str]) -> Output {
    let output = Command::new(env!("CARGO_BIN_EXE_fleet"))
        .args(arguments.split_whitespace())
        .arg("--write-config")
        .arg(config)
        .args(more)
        .kill_on_drop(true)
        .output();
    output.await.expect("the tool can be started")
}

/// A server with the configuration that the tool writes when it is called like this.
async fn server_for(arguments: &str, config: &Path) -> Server {
    let output = fleet(arguments, config, &["--duration", "1ms"]).await;
    assert!(output.status.success(), "{output:?}");
    Server::start(&std::fs::read_to_string(config).expect("it was written")).await
}

/// Both for some seconds; what the tool said in the end.
async fn agreed(arguments: &str) -> String {
    let place = Place::new();
    let (config, truth) = (place.file("periskop.yaml"), place.file("truth.json"));
    let server = server_for(arguments, &config).await;
    let truth_file = truth.to_str().expect("its name is text");
    let more = ["--duration", "4s", "--check", &server.url, "--truth", truth_file];
    let output = fleet(arguments, &config, &more).await;
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.ends_with("the server shows the truth\n"), "{said}");
    let written = std::fs::read_to_string(truth).expect("the truth was written");
    let written: serde_json::Value = serde_json::from_str(&written).expect("it is JSON");
    let of_service = written["fleet-000"].as_object().expect("it has errors");
    assert!(of_service.values().all(|total| total.as_u64() > Some(0)));
    said
}

/// What the tool counted, by what it calls it.
fn counted(said: &str, what: &str) -> u64 {
    let line = said.lines().find(|line| line.contains(" answers, ") && !line.starts_with('['));
    let before = line.and_then(|line| line.split_once(&format!(" {what}")));
    let number = before.and_then(|(before, _)| before.rsplit(' ').next()?.parse().ok());
    number.unwrap_or_else(|| panic!("{what}: {said}"))
}

#[tokio::test]
async fn a_server_shows_the_truth_of_a_fleet_that_lives() {
    let said = agreed(
        "--port 0 --first-address 127.11.0.1 --instances 12 --services 2 --errors 5 --gzip \
         --interval 300ms --changes 40/s --restarts 4/s --churn 2/s \
         --hostile hang=1,slow=1,garbage=1,huge=1,cut=1,bomb=1,refuse=1 --relent 3",
    )
    .await;
    for what in ["changes", "restarts", "replaced", "hostile"] {
        assert!(counted(&said, what) > 0, "{what}: {said}");
    }
}

#[tokio::test]
async fn a_server_shows_the_truth_of_errors_with_ever_new_incarnations() {
    let said = agreed(
        "--port 0 --first-address 127.12.0.1 --instances 5 --errors 3 --size small --shared \
         --interval 200ms --changes 2/scrape --restarts 1/scrape --one-listener",
    )
    .await;
    assert!(counted(&said, "restarts") > 5, "{said}");
}

#[tokio::test]
async fn a_server_behind_a_gateway_shows_the_truth_of_what_was_pushed() {
    let gateway = Gateway::start(&[]).await;
    let said = agreed(&format!(
        "--push {} --instances 5 --errors 3 --interval 300ms --changes 1/scrape --restarts 2/s",
        gateway.address()
    ))
    .await;
    assert!(counted(&said, "restarts") > 0, "{said}");
}

#[tokio::test]
async fn a_server_that_does_not_show_the_truth_is_found_out() {
    let place = Place::new();
    let server = Server::start("services: []").await;
    let more = ["--check", &server.url, "--patience", "1s", "--duration", "1ms"];
    let arguments = "--port 0 --first-address 127.13.0.1 --instances 1 --errors 2";
    let output = fleet(arguments, &place.file("periskop.yaml"), &more).await;
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("2 of 2 totals are not the truth:"), "{said}");
    assert!(said.contains("expected, nothing shown"), "{said}");
}

#[tokio::test]
async fn the_help_helps() {
    let help = Command::new(env!("CARGO_BIN_EXE_fleet")).arg("--help").output().await;
    let help = String::from_utf8_lossy(&help.expect("it can be started").stdout).into_owned();
    for told in ["periskop-server --config", "--changes <PACE>", "such as 100/s", "--check <URL>"] {
        assert!(help.contains(told), "{told} is not in\n{help}");
    }
}
