//! Reload, stores, embedding.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use axum::Router;
use axum::http::Uri;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use periskop_core::observer::Pruned;
use periskop_core::storage::{Storage, StorageError, Stored};
use periskop_core::{Delta, ReplicaId};
use periskop_server::config::Config;
use periskop_server::{Periskop, ServeError};
use periskop_storage::{Fault, Faulty, MemoryStorage};
use serde_json::json;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;

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

/// Tells one target to whoever discovers, and writes down who asked.
async fn backend() -> (SocketAddr, Arc<Mutex<Vec<String>>>) {
    let asked = Arc::new(Mutex::new(Vec::new()));
    let written = Arc::clone(&asked);
    let answer = async move |uri: Uri| {
        let host = uri.path().trim_start_matches('/').to_owned();
        written.lock().unwrap().push(uri.to_string());
        ([(CONTENT_TYPE, "application/json")], json!([{"targets": [host + ":1"]}]).to_string())
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let app = Router::new().fallback(get(answer));
    tokio::spawn(async move { axum::serve(listener, app).await });
    (address, asked)
}

#[tokio::test]
async fn a_reload_lets_discoveries_work_on_whose_settings_did_not_change() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("periskop.yaml");
    let (address, asked) = backend().await;
    let write = |one: &str, two: &str| {
        let discovery = |path: &str| {
            format!(
                "http_sd_configs: [{{url: 'http://{address}/{path}', refresh_interval: 1000h}}]"
            )
        };
        let text = format!(
            "services:\n- name: one\n  {}\n{one}- name: two\n  {}\n",
            discovery("one"),
            discovery(two)
        );
        std::fs::write(&file, text).unwrap();
    };
    write("", "two");
    let server = Server::serve(Periskop::builder().config_file(&file).unwrap().build()).await;
    let known = async |server: &Server, url: &str| {
        let targets = server.get("/api/v1/targets?state=active").await.json();
        let all = targets["data"]["activeTargets"].as_array().unwrap();
        all.iter().filter_map(|target| target["scrapeUrl"].as_str()).any(|known| known == url)
    };
    let one = "http://one:1/-/exceptions";
    server.until("one is found", async |s| known(s, one).await).await;
    server.until("two is found", async |s| known(s, "http://two:1/-/exceptions").await).await;

    // Its service has other targets and rules, and so its discovery has others beside it.
    write(
        "  static_configs: [{targets: ['more:1']}]\n  \
         relabel_configs: [{target_label: zone, replacement: north}]\n",
        "three",
    );
    assert_eq!(server.post("/-/reload", "").await.status, 200);
    assert!(known(&server, one).await, "what it told is relabelled without asking it again");
    server.until("more is found", async |s| known(s, "http://more:1/-/exceptions").await).await;
    server.until("three is found", async |s| known(s, "http://three:1/-/exceptions").await).await;
    let mut asked = asked.lock().unwrap().clone();
    asked.sort();
    assert_eq!(asked, ["/one", "/three", "/two"], "each once");
    let targets = server.get("/api/v1/targets").await.json();
    let labels = targets["data"]["activeTargets"].as_array().unwrap().iter();
    assert_eq!(labels.filter(|target| target["labels"]["zone"] == "north").count(), 2);
    assert!(!known(&server, "http://two:1/-/exceptions").await, "one that is gone has no say");
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

/// A store that is away while the flag says so.
fn reachable(store: &MemoryStorage, is_away: &Arc<AtomicBool>) -> impl Storage + 'static {
    let is_away = Arc::clone(is_away);
    Faulty::new(store.clone(), move |_| is_away.load(Ordering::Relaxed).then_some(Fault::Before))
}

#[tokio::test]
async fn a_store_that_is_away_at_the_start_delays_no_scrape_and_is_joined_when_it_is_back() {
    let (store, is_away) = (MemoryStorage::new(), Arc::new(AtomicBool::new(false)));
    let old = instance(payload(&["old", "k"])).await;
    let start = |target| {
        Periskop::builder().config(config(target)).storage(reachable(&store, &is_away)).build()
    };
    let periskop = start(old);
    let handle = periskop.handle().clone();
    let server = Server::serve(periskop).await;
    let path = "/api/v1/errors/s/k";
    server.until("it is scraped", async |s| s.get(path).await.status == 200).await;
    assert_eq!(server.post(&format!("{path}/resolve"), "").await.status, 200);
    handle.stop().await;
    drop(server);

    is_away.store(true, Ordering::Relaxed);
    let new = instance(payload(&["new", "k"])).await;
    let server = Server::begin(start(new)).await;
    let ready = server.get("/-/ready").await;
    assert_eq!((ready.status, ready.header("content-type")), (503, "text/plain; charset=utf-8"));
    server.until("it scrapes without", async |s| s.get(path).await.status == 200).await;
    assert_eq!(server.get(path).await.json()["state"], "open", "one time too many is allowed");
    let ready = server.get("/-/ready").await;
    assert_eq!(ready.status, 503);
    assert!(ready.body.starts_with("store: faulty: unavailable: as planned (since 2"));
    assert_eq!(ready.body.trim_end().lines().count(), 1, "{}", ready.body);
    let refused = server.post(&format!("{path}/resolve"), "").await;
    assert_eq!(refused.status, 503);
    assert!(refused.body.contains("not loaded yet"), "{}", refused.body);
    for page in ["/", "/errors", "/targets", "/status", "/errors/s/k"] {
        let shown = server.browse(page).await.body;
        assert!(shown.contains("Until it is loaded, what was resolved shows as open"), "{page}");
    }

    is_away.store(false, Ordering::Relaxed);
    server.until("it is ready", async |s| s.get("/-/ready").await.status == 200).await;
    assert_eq!(server.get(path).await.json()["state"], "resolved");
    assert_eq!(server.get("/api/v1/errors/s/old").await.status, 200);
    assert_eq!(server.post("/api/v1/errors/s/new/resolve", "").await.status, 200);
    assert!(!server.browse("/").await.body.contains("Until it is loaded"));
    let held = store.clone().load().await.unwrap().state;
    assert_eq!(held.errors().count(), 3, "what was found without it is written");
}

#[tokio::test]
async fn a_store_that_goes_away_is_said_everywhere_and_scraping_goes_on() {
    let is_away = Arc::new(AtomicBool::new(false));
    let target = instance(payload(&["k"])).await;
    let store = reachable(&MemoryStorage::new(), &is_away);
    let periskop = Periskop::builder().config(config(target)).storage(store).build();
    let server = Server::serve(periskop).await;
    let path = "/api/v1/errors/s/k";
    server.until("it is scraped", async |s| s.get(path).await.status == 200).await;
    server
        .until("it is stored", async |s| {
            s.get("/metrics").await.body.contains("periskop_store_pending_errors 0")
        })
        .await;
    let well = server.get("/-/ready").await;
    assert_eq!((well.status, well.body.as_str()), (200, "OK"));
    let info = async || server.get("/api/v1/status/runtimeinfo").await.json()["data"].clone();
    let store = &info().await["store"];
    assert_eq!((&store["name"], &store["up"]), (&json!("custom"), &json!(true)));
    assert_eq!((&store["loaded"], &store["lastError"]), (&json!(true), &json!(null)));

    is_away.store(true, Ordering::Relaxed);
    let answer = server.post(&format!("{path}/resolve"), "").await;
    assert_eq!(answer.status, 503, "it is not durable: {}", answer.body);
    assert_eq!(server.get(path).await.json()["state"], "resolved", "and known all the same");
    let ready = server.get("/-/ready").await;
    assert_eq!(ready.status, 200);
    assert!(ready.body.starts_with("OK; store: faulty: unavailable: as planned (since 2"));
    let store = &info().await["store"];
    assert_eq!((&store["up"], &store["pending"]), (&json!(false), &json!(1)));
    assert_eq!(store["lastError"], "faulty: unavailable: as planned");
    for page in ["/", "/errors", "/targets", "/status", "/errors/s/k", "/nope"] {
        let shown = server.browse(page).await.body;
        assert!(shown.contains("The store: faulty: unavailable: as planned"), "{page}");
    }
    let form = &[("Content-Type", "application/x-www-form-urlencoded")];
    let page = server.send("POST", "/errors/s/k", form, "act=reopen").await;
    assert_eq!(page.status, 503);
    assert!(page.body.contains("Not stored yet") && page.body.contains("lost if this process"));
    let metrics = server.get("/metrics").await.body;
    for line in ["periskop_store_up 0", "periskop_store_pending_errors 1"] {
        assert!(metrics.contains(line), "{line}");
    }
    let value = |name: &str| {
        let line = metrics.lines().find(|line| line.starts_with(&format!("{name} "))).unwrap();
        line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()
    };
    assert!(value("periskop_store_failures_total") > 1);
    assert!(value("periskop_store_commits_total") > 0);
    assert_eq!(
        value("periskop_store_commits_total"),
        value("periskop_store_commit_duration_seconds_count")
    );

    is_away.store(false, Ordering::Relaxed);
    let written = async |s: &Server| s.get("/-/ready").await.body == "OK";
    server.until("it works again", written).await;
    assert_eq!(info().await["store"]["pending"], 0);
}

#[tokio::test]
async fn without_a_store_nothing_is_said_of_one() {
    let server = Server::serve(Periskop::builder().build()).await;
    assert_eq!(server.get("/-/ready").await.body, "OK");
    let info = server.get("/api/v1/status/runtimeinfo").await.json();
    assert_eq!(info["data"]["store"], json!(null));
    let metrics = server.get("/metrics").await.body;
    assert!(metrics.contains("periskop_store_failures_total 0"));
    assert!(!metrics.contains("periskop_store_up"));
    assert!(server.browse("/status").await.body.contains("lost when this process ends"));
}

/// What a newer version of this program has written.
struct Newer;

#[async_trait]
impl Storage for Newer {
    async fn identify(&mut self, _: ReplicaId) -> Result<ReplicaId, StorageError> {
        Err(StorageError::Newer { store: "sqlite:periskop.db".into(), found: 3, known: 1 })
    }

    async fn load(&mut self) -> Result<Stored, StorageError> {
        Ok(Stored::default())
    }

    async fn commit(&mut self, _: &Delta) -> Result<(), StorageError> {
        Ok(())
    }

    async fn prune(&mut self, _: &Pruned) -> Result<(), StorageError> {
        Ok(())
    }
}

#[tokio::test]
async fn a_store_of_a_newer_version_is_the_end() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let periskop = Periskop::builder().storage(Newer).build();
    let ended = periskop.serve(listener, std::future::pending()).await.unwrap_err();
    assert!(matches!(ended, ServeError::Storage(_)));
    assert_eq!(ended.to_string(), "sqlite:periskop.db: has version 3, this program reads up to 1");
}

#[tokio::test]
async fn how_a_target_was_found_last_is_shown_until_it_is_tried_again() {
    let store = MemoryStorage::new();
    let closed = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap();
    let periskop = Periskop::builder().config(config(closed)).storage(store.clone()).build();
    let handle = periskop.handle().clone();
    let server = Server::serve(periskop).await;
    let target = async |server: &Server| {
        let targets = server.get("/api/v1/targets").await.json();
        targets["data"]["activeTargets"][0].clone()
    };
    server.until("it is down", async |s| target(s).await["health"] == "down").await;
    let reason = target(&server).await["lastError"].as_str().unwrap().to_owned();
    handle.stop().await;
    drop(server);

    // It is not due for a long while.
    let text = format!(
        "services: [{{name: s, static_configs: [{{targets: ['{closed}']}}], scraper: {{refresh_interval: 1000h}}}}]"
    );
    let config = Config::parse(&text, std::path::Path::new("")).unwrap();
    let server = Server::serve(Periskop::builder().config(config).storage(store).build()).await;
    let target = target(&server).await;
    assert_eq!((&target["health"], &target["lastError"]), (&json!("unknown"), &json!(reason)));
    let page = server.browse("/targets").await.body;
    assert!(page.contains("not tried yet; was down since <time datetime=\"2"), "{page}");
}

/// An instance that accepts, and never answers; told when it is asked.
async fn hanging() -> (SocketAddr, Arc<Notify>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let asked = Arc::new(Notify::new());
    let notify = Arc::clone(&asked);
    tokio::spawn(async move {
        let mut held = Vec::new();
        while let Ok((stream, _)) = listener.accept().await {
            held.push(stream);
            notify.notify_one();
        }
    });
    (address, asked)
}

#[tokio::test]
async fn a_stop_waits_for_no_scrape_no_listener_and_no_slow_client_and_loses_nothing() {
    let (mut store, good) = (MemoryStorage::new(), instance(payload(&["k"])).await);
    let (bad, asked) = hanging().await;
    // One of them is due soon, and waits for its answer for much longer than a stop may take.
    let hung: String =
        (0..40).map(|n| format!("{{targets: ['{bad}'], labels: {{n: '{n}'}}}},")).collect();
    let text = format!(
        "services:\n\
         - {{name: good, static_configs: [{{targets: ['{good}']}}], scraper: {{refresh_interval: 200ms}}}}\n\
         - {{name: hung, static_configs: [{hung}], scraper: {{refresh_interval: 20s, timeout: 20s}}}}\n"
    );
    let config = Config::parse(&text, std::path::Path::new("")).unwrap_or_else(|p| panic!("{p}"));
    let periskop = Periskop::builder().config(config).storage(store.clone()).build();
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let serving = tokio::spawn(periskop.serve(listener, async move { stopped.await.unwrap() }));
    let is_known =
        async || send(address, "GET", "/services/good/errors/", &[], "").await.status == 200;
    let begun = tokio::time::Instant::now();
    while !is_known().await {
        assert!(begun.elapsed() < crate::support::PATIENCE, "it was never scraped");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }

    let ask = async |path: &str, times: usize| {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\n\r\n").repeat(times);
        // Some of it may wait: nobody reads the answers.
        let _ = tokio::time::timeout(Duration::from_secs(1), stream.write_all(request.as_bytes()))
            .await;
        stream
    };
    let mut events = ask("/api/v1/events", 1).await;
    events.read_exact(&mut [0; 12]).await.unwrap();
    let slow = ask("/assets/htmx.min.js", 2_000).await;

    asked.notified().await;
    let begun = tokio::time::Instant::now();
    stop.send(()).unwrap();
    // Two seconds on a machine that has nothing else to do.
    let ended = tokio::time::timeout(Duration::from_secs(4), serving).await;
    ended.unwrap_or_else(|_| panic!("still there after {:?}", begun.elapsed())).unwrap().unwrap();
    drop((events, slow));
    let held = store.load().await.unwrap().state;
    assert_eq!(held.errors().count(), 1);
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
