//! Reload, stores, embedding.

use std::time::Duration;

use axum::Router;
use axum::routing::get;
use periskop_server::Periskop;
use periskop_server::config::Config;
use periskop_storage::{Fault, Faulty, MemoryStorage};
use serde_json::json;
use tokio::net::TcpListener;

use crate::support::{Server, instance, payload, send};

#[tokio::test]
async fn a_reload_takes_over_what_is_new_and_a_broken_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("periskop.yaml");
    let (one, two) = (instance(payload(&["k"])).await, instance(payload(&["l"])).await);
    let service = |name: &str, target| {
        format!(
            "- {{name: {name}, static_configs: [{{targets: ['{target}']}}], scraper: {{refresh_interval: 300ms}}}}\n"
        )
    };
    std::fs::write(&file, format!("services:\n{}", service("one", one))).unwrap();
    let periskop = Periskop::builder().config_file(&file).unwrap().build();
    let server = Server::serve(periskop).await;
    let is_scraped = async |service: &str| {
        let path = format!("/services/{service}/errors/");
        server.until("it is scraped", async |s| s.get(&path).await.status == 200).await;
    };
    is_scraped("one").await;

    std::fs::write(&file, "servces: []\n").unwrap();
    let refused = server.post("/-/reload", "").await;
    assert_eq!(refused.status, 422);
    assert!(refused.json()["detail"].as_str().unwrap().contains("services"), "{}", refused.body);
    let metrics = server.get("/metrics").await.body;
    assert!(metrics.contains("periskop_config_last_reload_successful 0"));
    assert_eq!(server.get("/targets/").await.json().as_object().unwrap().len(), 1);

    let both = format!("services:\n{}{}", service("one", one), service("two", two));
    std::fs::write(&file, both).unwrap();
    let scraped =
        |targets: serde_json::Value| targets["data"]["activeTargets"][0]["health"].clone();
    assert_eq!(server.post("/-/reload", "").await.status, 200);
    let kept = server.get("/api/v1/targets?scrapePool=one").await.json();
    assert_eq!(scraped(kept), "up", "what did not change goes on");
    is_scraped("two").await;

    std::fs::write(&file, format!("services:\n{}", service("two", two))).unwrap();
    assert_eq!(server.post("/-/reload", "").await.status, 200);
    let targets = server.get("/targets/").await.json();
    assert!(targets.get("one").is_none(), "{targets}");
    let metrics = server.get("/metrics").await.body;
    assert!(!metrics.contains("periskop_instances_scrapped{service_name=\"one\"}"));
    assert!(metrics.contains("periskop_config_last_reload_successful 1"));
}

fn config(target: impl std::fmt::Display) -> Config {
    let text = format!(
        "services: [{{name: s, static_configs: [{{targets: ['{target}']}}], scraper: {{refresh_interval: 200ms}}}}]"
    );
    Config::parse(&text, std::path::Path::new("")).unwrap()
}

#[tokio::test]
async fn what_was_resolved_stays_so_over_a_restart_on_a_store() {
    let (store, target) = (MemoryStorage::new(), instance(payload(&["k"])).await);
    let start = || Periskop::builder().config(config(target)).storage(store.clone()).build();
    let periskop = start();
    let handle = periskop.handle().clone();
    let server = Server::serve(periskop).await;
    let path = "/api/v1/errors/s/k";
    server.until("it is scraped", async |s| s.get(path).await.status == 200).await;
    assert_eq!(server.post(&format!("{path}/resolve"), "").await.status, 200);
    handle.stop().await;
    drop(server);

    let server = Server::serve(start()).await;
    assert_eq!(server.get(path).await.json()["state"], "resolved", "it is known at once");
    server
        .until("it is scraped again", async |s| {
            let targets = s.get("/api/v1/targets").await.json();
            targets["data"]["activeTargets"][0]["health"] == "up"
        })
        .await;
    let error = server.get(path).await.json();
    assert_eq!((&error["state"], &error["total_count"]), (&json!("resolved"), &json!(1)));
}

#[tokio::test]
async fn a_store_that_is_away_is_waited_for() {
    let target = instance(payload(&["k"])).await;
    // Not there for the first two attempts; gone again after it was loaded.
    let store = Faulty::new(MemoryStorage::new(), |operation| {
        (!(2..=3).contains(&operation)).then_some(Fault::Before)
    });
    let server =
        Server::serve(Periskop::builder().config(config(target)).storage(store).build()).await;
    let path = "/api/v1/errors/s/k";
    server.until("it is scraped", async |s| s.get(path).await.status == 200).await;
    let answer = server.post(&format!("{path}/resolve"), "").await;
    assert_eq!(answer.status, 503, "it is not durable: {}", answer.body);
    assert_eq!(server.get(path).await.json()["state"], "resolved", "and known all the same");
    assert!(!server.get("/metrics").await.body.contains("periskop_store_failures_total 0"));
}

#[tokio::test]
async fn it_lives_below_a_path_of_another_application() {
    let target = instance(payload(&["k"])).await;
    let periskop = Periskop::builder().config(config(target)).base_path("/ops/errors/").build();
    let app = Router::new().route("/", get(|| async { "mine" })).merge(periskop.router());
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, app).await });
    let get = async |path: &str| {
        let answer = send(address, "GET", path, &[], "").await;
        (answer.status, answer.body)
    };
    assert_eq!(get("/").await, (200, "mine".to_owned()));
    assert_eq!(get("/ops/errors/-/health").await, (200, "OK".to_owned()));
    assert_eq!(get("/ops/errors/services/").await.0, 200);
    assert_eq!(get("/ops/errors/api/v1/errors").await.0, 200);
    for top in ["/ops/errors", "/ops/errors/", "/ops/errors/?x=y"] {
        let page = get(top).await;
        assert_eq!(page.0, 200, "{top}");
        assert!(page.1.contains("/ops/errors/assets/"), "links begin with the base path");
    }
    assert_eq!(get("/services/").await.0, 404);
    tokio::time::timeout(Duration::from_secs(10), periskop.stop()).await.unwrap();
}
