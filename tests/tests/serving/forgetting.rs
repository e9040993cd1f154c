//! Forgetting: what people wanted gone is in no answer and in no store, while an instance goes on
//! exporting it, and after a restart.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_client::Timestamp;
use periskop_tests::server::Server;
use periskop_tests::store::{DURABLE, Store};
use periskop_tests::target::Target;
use periskop_tests::workspace;
use reqwest::{Method, StatusCode};
use serde_json::json;
use tokio::process::Command;

const BEGUN: &str = "2026-11-01T00:00:00Z";
const SECRET: &str = "the password is hunter2";

/// A target that exports the secret for ever, and another error.
async fn target(count: &Arc<AtomicU64>) -> Target {
    let count = Arc::clone(count);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    // After whatever is forgotten here.
    let later = Timestamp::EPOCH.plus(now).plus(Duration::from_secs(240)).to_string();
    Target::answering(move |_| {
        let count = count.load(Ordering::SeqCst);
        let occurrence = |class: &str, uuid: &str, at: &str, message: &str| {
            json!({
                "uuid": uuid, "timestamp": at, "severity": "error",
                "error": {"class": class, "message": message, "stacktrace": ["main"], "cause": null},
                "http_context": null
            })
        };
        let mut occurrences = vec![occurrence("Leak", "first", BEGUN, SECRET)];
        if count > 1 {
            occurrences.push(occurrence("Leak", "second", &later, "harmless now"));
        }
        json!({"target_uuid": "instance", "aggregated_errors": [
            {"aggregation_key": "leak", "total_count": count, "severity": "error",
             "created_at": BEGUN, "latest_errors": occurrences},
            {"aggregation_key": "other", "total_count": 1, "severity": "error",
             "created_at": BEGUN, "latest_errors": [occurrence("Other", "third", BEGUN, "another")]}
        ]})
        .to_string()
        .into_bytes()
    })
    .await
}

fn configuration(store: &Store, address: &str) -> String {
    let repository = match store.spec.split_once(':') {
        Some((kind @ ("sled" | "sqlite"), path)) => format!("{{type: {kind}, path: '{path}'}}"),
        Some((kind, _)) => format!("{{type: {kind}, dsn: '{}'}}", store.spec),
        None => panic!("no repository: {}", store.spec),
    };
    format!(
        "repository: {repository}\n\
         services:\n\
         - name: shop\n  \
           static_configs: [{{targets: ['{address}']}}]\n  \
           scraper: {{endpoint: /-/exceptions, refresh_interval: 200ms}}\n"
    )
}

/// No way of asking gives the text.
async fn nobody_is_told(server: &Server) {
    for path in [
        "/services/shop/errors/",
        "/api/v1/errors?state=open,resolved,regressed,muted",
        "/api/v1/errors/shop/leak",
        "/errors?state=all",
        "/errors/shop/leak",
        "/metrics",
    ] {
        let (_, body) = server.get(path).await;
        assert!(!body.contains("hunter2"), "{path}: {body}");
    }
    let (status, found) = server.get("/api/v1/errors?query=hunter2").await;
    assert_eq!(status, StatusCode::OK);
    assert!(found.contains("\"total\":0"), "{found}");
}

async fn forgotten_for_good(kind: &str) {
    let Some(store) = Store::fresh(kind).await else { return };
    let count = Arc::new(AtomicU64::new(1));
    let target = target(&count).await;
    let configuration = configuration(&store, &target.address);
    let server = Server::start(&configuration).await;
    server.error_of("shop", "Leak", 1).await;
    let (_, found) = server.get("/api/v1/errors?query=hunter2").await;
    assert!(found.contains("\"total\":1"), "{found}");

    let forget = "/api/v1/errors/shop/leak/forget";
    assert_eq!(server.send(Method::POST, forget).await.0, StatusCode::NO_CONTENT);
    target.scraped_again(3).await;
    nobody_is_told(&server).await;
    count.store(3, Ordering::SeqCst);
    let again = server.error_of("shop", "Leak", 2).await;
    assert_eq!(again.latest_errors.len(), 1, "counted on, and the new occurrence is shown");
    nobody_is_told(&server).await;
    // What somebody does is durable when it is answered, and so is all that was before it.
    let resolve = "/api/v1/errors/shop/other/resolve";
    assert_eq!(server.send(Method::POST, resolve).await.0, StatusCode::OK);
    server.kill().await;

    let server = Server::start(&configuration).await;
    server.is_ready().await;
    target.scraped_again(3).await;
    assert_eq!(server.error_of("shop", "Leak", 2).await.latest_errors.len(), 1);
    nobody_is_told(&server).await;
    server.kill().await;
    let export = Command::new(workspace::binary("periskop-server"))
        .args(["storage", "export", "--storage", &store.spec])
        .output()
        .await
        .expect("it can be started");
    let export = String::from_utf8_lossy(&export.stdout).into_owned();
    assert!(export.contains("harmless now") && !export.contains("hunter2"), "{kind}: {export}");
}

#[tokio::test]
async fn what_is_forgotten_is_in_no_answer_and_in_no_store() {
    for kind in DURABLE {
        forgotten_for_good(kind).await;
    }
}
