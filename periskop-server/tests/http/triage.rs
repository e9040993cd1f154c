//! What people do to errors by the API, one by one and in bulk.

use serde_json::{Value, json};

use crate::support::{Server, payload};

async fn keys(server: &Server, query: &str) -> Vec<String> {
    let answer = server.get(&format!("/api/v1/errors?sort=count&{query}")).await;
    assert_eq!(answer.status, 200, "{query}: {}", answer.body);
    let errors = answer.json()["errors"].clone();
    let key = |error: &Value| error["aggregation_key"].as_str().unwrap().to_owned();
    errors.as_array().unwrap().iter().map(key).collect()
}

async fn act(server: &Server, path: &str, body: &Value) -> Value {
    let answer = server.post(&format!("/api/v1/errors/{path}"), &body.to_string()).await;
    assert_eq!(answer.status, 200, "{path}: {}", answer.body);
    answer.json()
}

#[tokio::test]
async fn an_error_is_muted_for_a_time_for_a_count_and_for_ever_and_unmuted() {
    let server = Server::of(&[("s", payload(&["k"]))]).await;
    let muted =
        act(&server, "s/k/mute", &json!({"until": "7d", "by": "ann", "why": "known"})).await;
    assert_eq!(muted["state"], "muted");
    let action = &muted["history"][0];
    assert_eq!((&action["by"], &action["why"]), (&json!("ann"), &json!("known")));
    assert!(action["until"].is_string());
    assert_eq!(keys(&server, "state=muted").await, ["k"]);
    assert_eq!(server.get("/services/s/errors/").await.json(), json!([]), "it is hidden");
    assert_eq!(act(&server, "s/k/unmute", &json!({})).await["state"], "open");
    assert_eq!(act(&server, "s/k/mute", &json!({"count": 3})).await["history"][0]["count"], 3);
    assert_eq!(act(&server, "s/k/resolve", &json!({})).await["state"], "muted", "it stays muted");
    assert_eq!(act(&server, "s/k/unmute", &json!({})).await["state"], "resolved");
    assert_eq!(act(&server, "s/k/mute", &json!({})).await["state"], "muted");
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_answer_while_instances_go_on_exporting_it() {
    let server = Server::of(&[("s", payload(&["secret", "other"]))]).await;
    assert_eq!(keys(&server, "query=about+secret").await, ["secret"]);
    let gone = server.post("/api/v1/errors/s/secret/forget", "").await;
    assert_eq!((gone.status, gone.body.as_str()), (204, ""), "it is not listed any more");
    // It is scraped five times a second.
    let scrapes = async || {
        let targets = server.get("/api/v1/targets").await.json();
        targets["data"]["activeTargets"][0]["lastScrape"].clone()
    };
    let mut before = scrapes().await;
    server.until("it is being scraped", async |_| scrapes().await != before).await;
    before = scrapes().await;
    server.until("it was scraped again", async |_| scrapes().await != before).await;
    for path in [
        "/api/v1/errors?query=about",
        "/api/v1/errors?state=open,resolved,muted,regressed",
        "/services/s/errors/",
        "/errors?q=about",
        "/metrics",
    ] {
        let answer = server.browse(path).await;
        assert!(!answer.body.contains("about secret"), "{path}: {}", answer.body);
    }
    assert_eq!(keys(&server, "").await, ["other"]);
    assert_eq!(server.get("/api/v1/errors/s/secret").await.status, 404);
    assert_eq!(server.post("/api/v1/errors/s/secret/forget", "").await.status, 404);
}

#[tokio::test]
async fn several_errors_are_dealt_with_at_once() {
    let server =
        Server::of(&[("a", payload(&["one", "two"])), ("b", payload(&["one", "three"]))]).await;
    let listed = json!({"errors": [
        {"service": "a", "aggregation_key": "one"},
        {"service": "a", "aggregation_key": "nothing"},
        {"service": "a", "aggregation_key": "one"},
    ], "by": "ann"});
    assert_eq!(
        act(&server, "resolve", &listed).await,
        json!({"matched": 2, "done": 1, "unknown": [{"service": "a", "aggregation_key": "nothing"}]})
    );
    assert_eq!(keys(&server, "state=resolved").await, ["one"]);
    let found = json!({"query": "one", "state": ["open"], "until": "1h"});
    assert_eq!(act(&server, "mute", &found).await["done"], 1);
    assert_eq!(keys(&server, "state=muted&service=b").await, ["one"]);
    let of_service = json!({"service": ["b"]});
    assert_eq!(act(&server, "resolve", &of_service).await["done"], 2);
    assert_eq!(keys(&server, "state=open").await, ["two"]);
}

#[tokio::test]
async fn ten_thousand_errors_are_named_at_once_and_no_more() {
    let server = Server::of(&[("s", payload(&["k"]))]).await;
    let named = |n: usize| {
        let name = |n| json!({"service": "s", "aggregation_key": format!("no such key {n}")});
        json!({"errors": (0..n).map(name).collect::<Vec<_>>()}).to_string()
    };
    let most = server.post("/api/v1/errors/resolve", &named(10_000)).await;
    assert_eq!((most.status, &most.json()["matched"]), (200, &json!(10_000)));
    let more = server.post("/api/v1/errors/resolve", &named(10_001)).await;
    assert_eq!(more.status, 400, "{}", more.body);
    assert_eq!(server.post("/api/v1/errors/resolve", &" ".repeat(2 << 20)).await.status, 413);
}

#[tokio::test]
async fn nobody_means_every_error_by_saying_nothing() {
    let server = Server::of(&[("s", payload(&["k"]))]).await;
    for (body, status) in [
        ("", 400),
        ("{}", 400),
        (r#"{"query": " "}"#, 400),
        (r#"{"query": "sevrity:error"}"#, 400),
        (r#"{"query": "k", "errors": []}"#, 400),
        (r#"{"errors": [], "state": ["open"]}"#, 400),
        (r#"{"query": "k", "state": ["closed"]}"#, 400),
        (r#"{"errors": [{"service": "s"}]}"#, 400),
        (r#"{"errors": [["s", "k"]]}"#, 400),
        (r#"{"errors": null, "query": "nothing has this"}"#, 200),
        (r#"{"errors": []}"#, 200),
    ] {
        let answer = server.post("/api/v1/errors/forget", body).await;
        assert_eq!(answer.status, status, "{body}: {}", answer.body);
    }
    assert_eq!(server.post("/api/v1/errors/delete", r#"{"query": "k"}"#).await.status, 404);
    assert_eq!(server.post("/api/v1/errors/s/k/delete", "").await.status, 404);
    assert_eq!(server.post("/api/v1/errors/s/k/series", "").await.status, 405);
    assert_eq!(keys(&server, "").await, ["k"]);
}

#[tokio::test]
async fn a_query_that_does_not_parse_is_a_problem_with_its_place_and_a_way_out() {
    let server = Server::of(&[("s", payload(&["k"]))]).await;
    let answer = server.get("/api/v1/errors?query=about+sevrity%3Aerror").await;
    assert_eq!(answer.status, 400, "{}", answer.body);
    assert_eq!(answer.json()["position"], 6, "{}", answer.body);
    assert_eq!(answer.json()["suggestion"], "about severity:error");
    assert_eq!(keys(&server, "query=about+severity%3Aerror").await, ["k"]);
    assert_eq!(keys(&server, "query=-severity%3Aerror").await, [""; 0]);
}

#[tokio::test]
async fn counts_are_grouped_by_a_label_and_lists_narrowed_by_it() {
    let server = Server::start(
        &(format!(
            "services:\n- name: s\n  static_configs:\n  - targets: ['{}']\n    labels: {{zone: eu}}\n  \
             - targets: ['{}']\n    labels: {{zone: us}}\n",
            crate::support::instance(payload(&["k", "other"])).await,
            crate::support::instance(payload(&["k"]).replace("one", "two")).await,
        ) + "  scraper: {refresh_interval: 200ms}\n"),
    )
    .await;
    server
        .until("both are counted", async |server| {
            server.get("/api/v1/errors/s/k").await.json()["total_count"] == 2
        })
        .await;
    let by_zone = server.get("/api/v1/errors/s/k/counts?by=zone").await.json();
    assert_eq!(
        by_zone,
        json!({"label": "zone", "counts": [{"value": "eu", "count": 1}, {"value": "us", "count": 1}]})
    );
    let of_service = server.get("/api/v1/services/s/counts?by=zone").await.json();
    assert_eq!(of_service["counts"][0], json!({"value": "eu", "count": 2}));
    assert_eq!(keys(&server, "query=label.zone%3Aus").await, ["k"]);
    let facets = server.get("/api/v1/errors?facet_label=zone").await.json()["facets"].clone();
    assert_eq!(facets["label"], json!({"eu": 2, "us": 1}));
    for path in ["/api/v1/errors/s/k/counts", "/api/v1/services/s/counts?by="] {
        assert_eq!(server.get(path).await.status, 400, "{path}");
    }
    for path in ["/api/v1/errors/s/x/counts?by=zone", "/api/v1/services/x/counts?by=zone"] {
        assert_eq!(server.get(path).await.status, 404, "{path}");
    }
    let series = server.get("/api/v1/services/s/series?step=1h").await.json();
    assert!(series["points"].as_array().unwrap().len() >= 24, "{series}");
    assert_eq!(server.get("/api/v1/services/x/series").await.status, 404);
}
