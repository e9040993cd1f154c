//! Targets that answer whatever a test wants.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use periskop_client::DEFAULT_PATH;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::task::JoinHandle;

use crate::eventually;

/// A target on a free port of loopback. It is gone when it is dropped.
#[derive(Debug)]
pub struct Target {
    /// Where it listens, `host:port`.
    pub address: String,
    scrapes: Arc<AtomicU64>,
    server: JoinHandle<Result<(), std::io::Error>>,
}

impl Target {
    /// A target whose n-th answer, from 0, is `answer(n)`, at whatever path.
    pub async fn answering(answer: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> Self {
        let scrapes = Arc::new(AtomicU64::new(0));
        let counted = scrapes.clone();
        let answer = Arc::new(answer);
        let handler = async move || answer(counted.fetch_add(1, Ordering::SeqCst));
        Self::serving(Router::new().route(DEFAULT_PATH, axum::routing::get(handler)), scrapes).await
    }

    /// A target that is any application; it counts no scrapes.
    pub async fn application(app: Router) -> Self {
        Self::serving(app, Arc::default()).await
    }

    async fn serving(app: Router, scrapes: Arc<AtomicU64>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let server = tokio::spawn(async move { axum::serve(listener, app).await });
        Self { address, scrapes, server }
    }

    /// How often it has been scraped.
    pub fn scrapes(&self) -> u64 {
        self.scrapes.load(Ordering::SeqCst)
    }

    /// Waits until it has been scraped `n` more times, so that the answers to the first `n - 1` of
    /// them have been read: one target is scraped serially.
    pub async fn scraped_again(&self, n: u64) {
        let enough = self.scrapes() + n;
        eventually("it is scraped", || async {
            let scrapes = self.scrapes();
            if scrapes >= enough { Ok::<_, u64>(()) } else { Err(scrapes) }
        })
        .await;
    }
}

impl Drop for Target {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// A body without end.
pub fn endless(chunk: &'static [u8]) -> Response {
    let chunks = futures_util::stream::repeat_with(move || Ok::<_, Infallible>(chunk));
    Response::new(Body::from_stream(chunks))
}

/// A payload as some exporter would write it.
pub fn payload(target_uuid: Option<&str>, errors: &[Value]) -> Vec<u8> {
    let mut payload = json!({ "aggregated_errors": errors });
    if let Some(target_uuid) = target_uuid {
        payload["target_uuid"] = target_uuid.into();
    }
    payload.to_string().into_bytes()
}

/// An error of a payload, with one occurrence per time. Its class is its key.
pub fn error(key: &str, count: u64, created_at: Option<&str>, times: &[String]) -> Value {
    let occurrence = |time: &String| {
        json!({
            "uuid": format!("{key} {time}"),
            "timestamp": time,
            "severity": "error",
            "error": { "class": key, "message": time, "stacktrace": ["frame"], "cause": null },
            "http_context": null,
        })
    };
    let mut error = json!({
        "aggregation_key": key,
        "total_count": count,
        "severity": "error",
        "latest_errors": times.iter().map(occurrence).collect::<Vec<_>>(),
    });
    if let Some(created_at) = created_at {
        error["created_at"] = created_at.into();
    }
    error
}
