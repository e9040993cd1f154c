//! The HTTP interface: pushes in, everything merged out.

mod page;

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, DefaultBodyLimit, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, get};
use futures_util::StreamExt;
use periskop_core::Warning;
use periskop_http::{Access, Guard, Problem};
use serde::Serialize;

use crate::body::{Collected, Encoding, NoRoom};
use crate::clock;
use crate::gateway::Gateway;
use crate::push_error::{PushError, Pushed};
use crate::web::need;

/// How long a body may take to arrive. Clients send theirs at once.
const PATIENCE: Duration = Duration::from_secs(30);

/// All routes, guarded. `on_loopback`: nothing but loopback is listened on.
pub(crate) fn router(gateway: Gateway, access: Access, on_loopback: bool) -> Router {
    let counting = gateway.clone();
    let routes = Router::new()
        .route("/", get(page::page))
        .route("/-/style.css", get(page::style))
        .merge(both("/errors", get(own_errors).post(push)))
        .merge(both("/-/errors", get(export)))
        .merge(both("/metrics", get(metrics)))
        .merge(both("/-/health", get(health)))
        .merge(both("/-/healthy", get(health)))
        .merge(both("/-/ready", get(ready)))
        .fallback(unknown)
        .method_not_allowed_fallback(wrong_method)
        // The limit of a push is its own; nothing else has a body.
        .layer(DefaultBodyLimit::disable())
        .with_state(gateway);
    Guard::new(access, need)
        .on_loopback(on_loopback)
        .counting(move |refusal| counting.shared.metrics.refused(refusal.as_str()))
        .around(routes)
}

/// A route with and without the slash at its end.
fn both(path: &str, route: MethodRouter<Gateway>) -> Router<Gateway> {
    Router::new().route(path, route.clone()).route(&format!("{path}/"), route)
}

/// `POST /errors`: the exporter format, whatever the Content-Type says. The published clients send
/// none, or that of a form.
async fn push(State(gateway): State<Gateway>, request: Request) -> Response {
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|ConnectInfo(address)| address.ip().to_canonical());
    let encoding = encoding_of(request.headers());
    let done = match encoding {
        Ok(encoding) => match collect(request, &gateway).await {
            Ok(body) => gateway.push_encoded(encoding, body, address).await,
            Err(error) => Err(error),
        },
        Err(error) => Err(error),
    };
    gateway.shared.metrics.pushed(&done);
    match done {
        Ok(pushed) => {
            if let Some(warning) = pushed.warnings.first() {
                log(&gateway, address, "warning", &warning.message);
            }
            Accepted::from(pushed).into_response()
        }
        Err(error) => {
            log(&gateway, address, error.reason(), &error.to_string());
            refusal(&error)
        }
    }
}

/// Says what was wrong with a push, but not of every one; metrics have them all.
fn log(gateway: &Gateway, address: Option<IpAddr>, kind: &'static str, text: &str) {
    if let Some(unsaid) = gateway.shared.seldom.due(clock::now(), kind) {
        let address = address.map_or_else(|| "unknown".to_owned(), |address| address.to_string());
        tracing::warn!(address, kind, unsaid, "a push: {text}");
    }
}

fn encoding_of(headers: &HeaderMap) -> Result<Encoding, PushError> {
    let text = |value: &header::HeaderValue| String::from_utf8_lossy(value.as_bytes()).into_owned();
    let mut all = headers.get_all(header::CONTENT_ENCODING).iter().map(text);
    let first = all.next();
    let named = match all.next() {
        // Two headers are one list (RFC 9110, 5.3).
        Some(second) => Some(format!("{}, {second}", first.unwrap_or_default())),
        None => first,
    };
    Encoding::parse(named.as_deref()).ok_or_else(|| {
        PushError::UnknownEncoding(named.unwrap_or_default().chars().take(100).collect())
    })
}

/// The whole body, unless it is too large or too slow.
async fn collect(request: Request, gateway: &Gateway) -> Result<Collected, PushError> {
    let limit = gateway.body_limit();
    let mut frames = request.into_body().into_data_stream();
    let read = async {
        // It grows with what arrives: what is announced may never come.
        let mut body = Collected::default();
        while let Some(frame) = frames.next().await {
            let frame = frame.map_err(|error| PushError::Incomplete(error.to_string()))?;
            if body.bytes.len() + frame.len() > limit {
                return Err(PushError::TooLarge { limit, decompressed: false });
            }
            body.push(&frame, &gateway.shared.large).map_err(|NoRoom| PushError::Busy)?;
        }
        Ok(body)
    };
    let read = tokio::time::timeout(PATIENCE, read).await.unwrap_or(Err(PushError::Slow(PATIENCE)));
    if matches!(read, Err(PushError::TooLarge { .. } | PushError::Busy)) {
        // Who is still writing does not read the answer, and would only see the connection end.
        let rest = async {
            let mut left = limit;
            while let Some(Ok(frame)) = frames.next().await
                && frame.len() <= left
            {
                left -= frame.len();
            }
        };
        // However it ends, the answer is the same.
        let _ = tokio::time::timeout(PATIENCE, rest).await;
    }
    read
}

/// The answer to a push; the published clients ignore it, people with `curl` do not.
#[derive(Serialize)]
struct Accepted {
    errors: usize,
    skipped: usize,
    warnings: Vec<ShownWarning>,
}

#[derive(Serialize)]
struct ShownWarning {
    offset: usize,
    message: String,
}

impl From<Pushed> for Accepted {
    fn from(pushed: Pushed) -> Self {
        let shown = |Warning { offset, message }| ShownWarning { offset, message };
        Self {
            errors: pushed.errors,
            skipped: pushed.skipped,
            warnings: pushed.warnings.into_iter().map(shown).collect(),
        }
    }
}

impl IntoResponse for Accepted {
    fn into_response(self) -> Response {
        let body = serde_json::to_vec(&self).expect("text and numbers can be written to memory");
        ([(header::CONTENT_TYPE, "application/json")], body).into_response()
    }
}

fn refusal(error: &PushError) -> Response {
    let mut problem = Problem::new(error.status(), error.to_string());
    if let PushError::Payload { source, line, column } = error {
        problem = problem.at(source.offset(), *line, *column);
    }
    let mut refusal = problem.into_response();
    if let Some(after) = error.retry_after() {
        refusal.headers_mut().insert(header::RETRY_AFTER, after.as_secs().into());
    }
    refusal
}

pub(crate) fn refused(status: StatusCode, detail: impl Into<String>) -> Response {
    Problem::new(status, detail).into_response()
}

/// `GET /-/errors`: everything that was pushed, merged.
async fn export(State(gateway): State<Gateway>) -> Response {
    let exporter = gateway.clone();
    // A large state takes a while to write; pushes to other workers go on.
    match tokio::task::spawn_blocking(move || exporter.export(clock::now())).await {
        Ok(body) => {
            ([(header::CONTENT_TYPE, "application/json")], Body::from(body)).into_response()
        }
        Err(panic) => {
            gateway.collector().report(&panic);
            refused(StatusCode::INTERNAL_SERVER_ERROR, "the gateway failed to write its state")
        }
    }
}

/// `GET /errors`: the gateway's own exceptions.
async fn own_errors(State(gateway): State<Gateway>) -> Response {
    let json = [(header::CONTENT_TYPE, "application/json")];
    (json, gateway.collector().export()).into_response()
}

async fn metrics(State(gateway): State<Gateway>) -> Response {
    let (kind, text) = gateway.shared.metrics.text(&gateway.overview(), gateway.keeping());
    ([(header::CONTENT_TYPE, kind)], text).into_response()
}

async fn health() -> Response {
    text(StatusCode::OK, "OK".into())
}

/// `GET /-/ready`: 503 until what is stored is loaded. Pushes are taken all the same, and a store
/// that is away later makes no gateway worth less than none.
async fn ready(State(gateway): State<Gateway>) -> Response {
    let Some(store) = gateway.store() else { return text(StatusCode::OK, "OK".into()) };
    match store.trouble() {
        Some(trouble) if !store.is_loaded => {
            text(StatusCode::SERVICE_UNAVAILABLE, format!("store: {trouble}"))
        }
        Some(trouble) => text(StatusCode::OK, format!("OK; store: {trouble}")),
        None => text(StatusCode::OK, "OK".into()),
    }
}

fn text(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response()
}

async fn unknown(uri: Uri) -> Response {
    let path: String = uri.path().chars().take(200).collect();
    refused(StatusCode::NOT_FOUND, format!("there is nothing at {path}"))
}

/// `OPTIONS` changes nothing and grants nothing: what is allowed stands in `Allow`.
async fn wrong_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    refused(StatusCode::METHOD_NOT_ALLOWED, format!("{method} does nothing here"))
}
