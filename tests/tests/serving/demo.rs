//! `periskop-server demo`: what somebody sees who tries it for the first time.

use std::time::Duration;

use periskop_tests::eventually;
use periskop_tests::server::Server;
use tokio::time::Instant;

#[tokio::test]
async fn within_seconds_the_demo_shows_the_merged_errors_of_a_fleet() {
    let begun = Instant::now();
    let server = Server::demo().await;
    let merged = eventually("two instances of the shop have counted one error", || async {
        let (_, body) = server.get("/api/v1/errors?service=shop").await;
        let shown: serde_json::Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
        let errors = shown["errors"].as_array().ok_or_else(|| body.clone())?;
        let of_two = |e: &&serde_json::Value| e["instances"]["reporting"].as_u64() >= Some(2);
        errors.iter().find(of_two).cloned().ok_or(body)
    })
    .await;
    assert!(merged["total_count"].as_u64() >= Some(2), "{merged}");
    // Not a measurement: a demo that needs a minute is no demo.
    assert!(begun.elapsed() < Duration::from_secs(60));

    eventually("what the batch job pushed is there", || async {
        let errors = server.errors("nightly-import").await;
        if errors.is_empty() { Err("nothing yet") } else { Ok(()) }
    })
    .await;

    let down = eventually("one target is down, with its reason", || async {
        let (_, body) = server.get("/api/v1/targets").await;
        let targets: serde_json::Value = serde_json::from_str(&body).map_err(|e| e.to_string())?;
        let active = targets["data"]["activeTargets"].as_array().ok_or_else(|| body.clone())?;
        active.iter().find(|target| target["health"] == "down").cloned().ok_or(body)
    })
    .await;
    assert!(down["lastError"].as_str().is_some_and(|e| e.contains("503")), "{down}");
}
