//! The API does what its description says: schemathesis makes requests of every kind that the
//! description allows, and of kinds that it does not, and compares the answers with it.
//!
//! `PERISKOP_PYTHON` names an interpreter beside which the program lies; `scripts/test` prepares both.

use std::time::Duration;

use periskop_tests::server::Server;
use periskop_tests::skip;
use periskop_tests::target::Target;
use serde_json::json;
use tokio::process::Command;
use tokio::time::timeout;

/// How long it may take. It sends some thousand requests.
const PATIENCE: Duration = Duration::from_secs(300);

/// An error with everything that an answer may have. It happens all the time: what is forgotten is soon
/// there again.
fn payload(n: u64) -> Vec<u8> {
    let cause = json!({"class": "Inner", "message": null, "stacktrace": [], "cause": null});
    json!({"target_uuid": "one", "aggregated_errors": [{
        "aggregation_key": "k",
        "total_count": n + 3,
        "severity": "warning",
        "created_at": "2026-11-01T00:00:00Z",
        "latest_errors": [{
            "uuid": "u",
            "timestamp": "2026-11-01T00:00:00Z",
            "severity": "warning",
            "error": {"class": "Outer", "message": "m", "stacktrace": ["a"], "cause": cause},
            "http_context": {
                "request_method": "GET",
                "request_url": "/x",
                "request_headers": {"A": "b"},
                "request_body": null
            }
        }]
    }]})
    .to_string()
    .into_bytes()
}

#[tokio::test]
async fn every_answer_is_as_it_is_described() {
    let program = std::env::var_os("PERISKOP_PYTHON")
        .map(|python| std::path::Path::new(&python).with_file_name("schemathesis"))
        .filter(|program| program.exists());
    let Some(program) = program else {
        skip(format_args!("there is no schemathesis beside PERISKOP_PYTHON"));
        return;
    };
    let target = Target::answering(payload).await;
    let server = Server::scraping("s", &target.address).await;
    target.scraped_again(2).await;
    let folder = tempfile::tempdir().expect("a temporary directory");
    // Any names, and those of an error that is there.
    let there = "[parameters]\n\"path.service\" = \"s\"\n\"path.key\" = \"k\"\n";
    for configuration in ["", there] {
        let file = folder.path().join("schemathesis.toml");
        std::fs::write(&file, configuration).expect("the directory can be written to");
        let run = Command::new(&program)
            .current_dir(folder.path())
            .arg("--config-file")
            .arg(&file)
            .arg("run")
            .arg(format!("{}/api/v1/openapi.json", server.url))
            // A stream of events has no end; the server's own tests listen to it.
            .args(["--exclude-path", "/api/v1/events"])
            // No schema says what a cursor is, or that `from` is before `to`.
            .args(["--checks", "all", "--exclude-checks", "positive_data_acceptance"])
            .args(["--max-examples", "25", "--seed", "1", "--no-color"])
            .kill_on_drop(true)
            .output();
        let output = timeout(PATIENCE, run).await.expect("it ends in time");
        let output = output.expect("it can be started");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        server.is_ready().await;
    }
}
