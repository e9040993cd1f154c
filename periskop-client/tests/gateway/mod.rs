//! A gateway that remembers what it was pushed and answers as it is told.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::body::Bytes;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, Uri};
use tokio::net::TcpListener;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::timeout;

/// How long anything may take on a machine that has other things to do.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// A push that arrived.
#[derive(Debug)]
pub(crate) struct Push {
    pub(crate) path: String,
    pub(crate) body: Vec<u8>,
    headers: HeaderMap,
}

impl Push {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// The count of its only error.
    pub(crate) fn total(&self) -> u64 {
        self.json()["aggregated_errors"][0]["total_count"].as_u64().unwrap_or(0)
    }

    pub(crate) fn target_uuid(&self) -> String {
        self.json()["target_uuid"].to_string()
    }

    fn json(&self) -> serde_json::Value {
        serde_json::from_slice(&self.body).expect("a push is JSON")
    }
}

type Answer = (StatusCode, HeaderMap, String);

pub(crate) struct FakeGateway {
    url: String,
    answer: Arc<Mutex<Answer>>,
    count: Arc<Mutex<usize>>,
    arrived: tokio::sync::Mutex<UnboundedReceiver<Push>>,
}

impl FakeGateway {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}/errors", listener.local_addr().expect("it is bound"));
        let answer = Arc::new(Mutex::new((StatusCode::OK, HeaderMap::new(), String::new())));
        let count = Arc::new(Mutex::new(0));
        let (sender, arrived) = unbounded_channel();
        let app = application(sender, answer.clone(), count.clone());
        tokio::spawn(async move { axum::serve(listener, app).await });
        Self { url, answer, count, arrived: tokio::sync::Mutex::new(arrived) }
    }

    pub(crate) fn url(&self) -> String {
        self.url.clone()
    }

    /// What it answers from now on.
    pub(crate) fn answers(&self, status: StatusCode, headers: &[(&str, &str)], said: &str) {
        let headers = headers.iter().map(|(name, value)| {
            let name = HeaderName::try_from(*name).expect("a header's name");
            (name, HeaderValue::try_from(*value).expect("a header's value"))
        });
        *lock(&self.answer) = (status, headers.collect(), said.to_owned());
    }

    /// How many pushes have arrived.
    pub(crate) fn pushes(&self) -> usize {
        *lock(&self.count)
    }

    pub(crate) async fn next_push(&self) -> Push {
        self.next_push_that(|_| true).await
    }

    /// The first push from now on that is as `wanted`.
    pub(crate) async fn next_push_that(&self, wanted: impl Fn(&Push) -> bool) -> Push {
        let mut arrived = self.arrived.lock().await;
        loop {
            let push = timeout(PATIENCE, arrived.recv()).await.expect("a push arrives in time");
            let push = push.expect("the gateway runs");
            if wanted(&push) {
                return push;
            }
        }
    }
}

/// Waits until it is so.
pub(crate) async fn eventually(is_so: impl Fn() -> bool) {
    let asked = async {
        while !is_so() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    timeout(PATIENCE, asked).await.expect("it is so in time");
}

fn application(
    sender: UnboundedSender<Push>,
    answer: Arc<Mutex<Answer>>,
    count: Arc<Mutex<usize>>,
) -> Router {
    let take = async move |uri: Uri, headers: HeaderMap, body: Bytes| {
        *lock(&count) += 1;
        let answer = lock(&answer).clone();
        let push = Push { path: uri.path().to_owned(), body: body.to_vec(), headers };
        // Nobody may be waiting any more.
        let _ = sender.send(push);
        answer
    };
    Router::new().fallback(axum::routing::post(take))
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
