//! `/api/v1`.

use serde_json::json;

use crate::support::{Server, payload, sample};

#[tokio::test]
async fn errors_are_filtered_sorted_and_paged() {
    let mock = sample("reference-mocktarget.json");
    let server = Server::of(&[("mock", mock), ("other/one", payload(&["x", "y"]))]).await;
    let count = async |query: &str| {
        let answer = server.get(&format!("/api/v1/errors?{query}")).await;
        assert_eq!(answer.status, 200, "{query}: {}", answer.body);
        answer.json()["total"].as_u64().unwrap()
    };
    assert_eq!(count("").await, 7);
    assert_eq!(count("service=other%2Fone").await, 2);
    assert_eq!(count("service=mock&service=other%2Fone&severity=info").await, 1);
    assert_eq!(count("state=resolved").await, 0);
    assert_eq!(count("query=NOOOOES").await, 1);
    assert_eq!(count("query=i+caused").await, 1, "causes are searched");
    assert_eq!(count("query=another-endpoint").await, 4, "URLs are searched");
    assert_eq!(count("query=nothing+has+this").await, 0);

    let mut seen = Vec::new();
    let mut cursor = String::new();
    loop {
        let path = format!("/api/v1/errors?sort=count&limit=2&cursor={cursor}");
        let page = server.get(&path).await.json();
        seen.extend(page["errors"].as_array().unwrap().iter().map(|error| {
            (error["total_count"].as_u64().unwrap(), error["aggregation_key"].to_string())
        }));
        match page["next_cursor"].as_str() {
            Some(next) => cursor = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(seen.len(), 7);
    assert!(seen.is_sorted_by(|a, b| a.0 >= b.0), "{seen:?}");
    seen.dedup();
    assert_eq!(seen.len(), 7, "no error is on two pages");

    let facets = server.get("/api/v1/errors?severity=info").await.json()["facets"].clone();
    let as_if_not_chosen = json!({"error": 6, "info": 1, "warning": 0});
    assert_eq!(facets["severity"], as_if_not_chosen);
    assert_eq!(facets["service"], json!({"mock": 1}));
}

#[tokio::test]
async fn a_request_that_makes_no_sense_is_a_problem_with_a_reason() {
    let server = Server::of(&[("s", payload(&["k"]))]).await;
    for (path, status) in [
        ("/api/v1/errors?limit=0", 400),
        ("/api/v1/errors?sate=open", 400),
        ("/api/v1/errors/s/nothing", 404),
        ("/api/v1/errors/nothing/k", 404),
        ("/api/v1/errors/s/k/series?from=yesterday", 400),
        ("/api/v1/errors/s/k/series?step=1s", 400),
        ("/api/v1/errors/s/k/series?from=2000-01-01T00:00:00Z", 400),
        ("/api/v1/errors/s/%ff", 400),
        ("/api/v1/nothing", 404),
        ("/api/v1/targets?state=gone", 400),
    ] {
        let answer = server.get(path).await;
        assert_eq!(answer.status, status, "{path}: {}", answer.body);
        assert_eq!(answer.header("content-type"), "application/problem+json", "{path}");
        assert_eq!(answer.json()["status"], status);
        assert!(!answer.json()["detail"].as_str().unwrap().is_empty());
    }
}

#[tokio::test]
async fn an_error_is_resolved_and_reopened_and_remembers_who_did_it() {
    let server = Server::of(&[("a/b", payload(&["k/ ?%"]))]).await;
    let path = "/api/v1/errors/a%2Fb/k%2F%20%3F%25";
    let error = server.get(path).await.json();
    assert_eq!(error["state"], "open");
    assert_eq!(error["occurrences"][0]["error"]["class"], "Oops");
    assert_eq!(error["sources"][0]["count"], 1);
    assert_eq!(error["sources"][0]["exported"], true);
    assert_eq!(error["instances"], json!({"reporting": 1, "known": 1}));

    let body = r#"{"by": "me", "why": "deployed 1.2"}"#;
    let resolved = server.post(&format!("{path}/resolve"), body).await;
    assert_eq!((resolved.status, &resolved.json()["state"]), (200, &json!("resolved")));
    assert_eq!(resolved.json()["history"][0]["by"], "me");
    assert_eq!(resolved.json()["history"][0]["action"], "resolve");
    assert_eq!(server.get("/services/a%2Fb/errors/").await.json(), json!([]));

    assert_eq!(server.post(&format!("{path}/reopen"), "").await.json()["state"], "open");
    assert_eq!(server.post(&format!("{path}/resolve"), "nonsense").await.status, 400);
    assert_eq!(server.post("/api/v1/errors/a%2Fb/none/resolve", "").await.status, 404);
}

#[tokio::test]
async fn targets_have_the_shape_of_prometheus() {
    let server = Server::of(&[("up", payload(&[])), ("down", "<html>".to_owned())]).await;
    let answer = server.get("/api/v1/targets").await.json();
    assert_eq!(answer["status"], "success");
    let targets = answer["data"]["activeTargets"].as_array().unwrap();
    let of = |pool: &str| targets.iter().find(|t| t["scrapePool"] == pool).unwrap();
    assert_eq!((&of("up")["health"], &of("up")["lastError"]), (&json!("up"), &json!("")));
    assert_eq!(of("down")["health"], "down");
    assert!(of("down")["lastError"].as_str().unwrap().contains("at byte 0"), "{}", of("down"));
    assert_eq!(of("up")["labels"]["job"], "up");
    assert_eq!(of("up")["discoveredLabels"]["__metrics_path__"], "/-/exceptions");
    assert!(of("up")["lastScrapeDuration"].as_f64().unwrap() > 0.0);
    let only = server.get("/api/v1/targets?state=active&scrapePool=up").await.json();
    assert_eq!(only["data"]["activeTargets"].as_array().unwrap().len(), 1);
}

#[tokio::test]
async fn a_series_covers_what_is_asked_for() {
    let server = Server::of(&[("s", payload(&["k"]))]).await;
    let path =
        "/api/v1/errors/s/k/series?from=2026-11-20T00:00:00Z&to=2026-11-20T02:00:00Z&step=1h";
    let series = server.get(path).await.json();
    assert_eq!(series["step"], "1h");
    assert_eq!(series["points"].as_array().unwrap().len(), 2, "{series}");
}

#[tokio::test]
async fn status_shows_the_configuration_without_secrets() {
    let server = Server::start(
        "services: [{name: s, scraper: {basic_auth: {username: u, password: hunter2}}}]",
    )
    .await;
    let config = server.get("/api/v1/status/config").await;
    assert!(config.json()["data"]["yaml"].as_str().unwrap().contains("<secret>"));
    assert!(!config.body.contains("hunter2"));
    let runtime = server.get("/api/v1/status/runtimeinfo").await.json();
    assert_eq!(runtime["data"]["services"], 1);
    assert!(server.get("/api/v1/status/buildinfo").await.json()["data"]["version"].is_string());
}
