//! The HTTP interface: the reference's routes, and `/api/v1` beyond them.

mod json;
mod need;
mod path;
mod reference;
mod v1;
mod view;

use std::time::Duration;

use axum::Router;
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{MethodRouter, any, get, post};
use tower::ServiceExt;

pub(crate) use self::view::{occurrence_indented, without_userinfo};
use crate::external_url::ExternalUrl;
use crate::handle::{Handle, ReloadError};
use crate::ui;
use periskop_http::{BodyLimit, Guard, Problem};

/// What a request may bring along: a reason, and the names of ten thousand errors; never a payload.
const BODY: BodyLimit = BodyLimit { bytes: 1024 * 1024, patience: Duration::from_secs(10) };

/// All routes, pages included, guarded: who may do what stands in the configuration. `on_loopback`:
/// nothing but loopback is listened on.
pub(crate) fn router(handle: &Handle, on_loopback: bool) -> Router {
    let base_path = handle.base_path().to_owned();
    let routes = Router::new()
        .nest("/api/v1", v1::router().fallback(unknown))
        .merge(both("/targets", get(reference::targets)))
        .merge(both("/metrics", get(reference::metrics)))
        .merge(both("/errors", get(reference::own_errors)))
        .merge(both("/-/health", get(reference::health)))
        .merge(both("/-/healthy", get(reference::health)))
        .merge(both("/-/ready", get(ready)))
        .merge(both("/-/reload", post(reload)))
        .fallback(reference::services)
        .method_not_allowed_fallback(wrong_method)
        .with_state(handle.clone());
    let routes = BODY.around(ui::routes::mount(handle.clone(), routes));
    let (speaker, counter) = (handle.clone(), handle.clone());
    let routes = Guard::new(handle.access().clone(), need::need)
        .on_loopback(on_loopback)
        .answering_to(handle.external_url().map(ExternalUrl::authority))
        .in_words(move |parts, problem| refusal(&speaker, parts, problem))
        .counting(move |refusal| counter.metrics().refused(refusal))
        .around(routes);
    if base_path.is_empty() { routes } else { below(&base_path, routes) }
}

/// A page for browsers, problem+json for the API, plain text on the reference's routes, whose
/// readers show it as it is.
fn refusal(handle: &Handle, parts: &Parts, problem: Problem) -> Response {
    if let Some(page) = ui::routes::refusal(handle, parts, &problem) {
        page
    } else if parts.uri.path().starts_with("/api/") {
        problem.into_response()
    } else {
        problem.into_text()
    }
}

/// The same routes below a path. `nest` takes the path itself for the top, and not the path with
/// a slash at its end, which is what people type.
fn below(base_path: &str, routes: Router) -> Router {
    let top = routes.clone();
    let at_top = async move |mut request: Request| {
        let query = request.uri().query().map(|query| format!("?{query}"));
        let uri = format!("/{}", query.unwrap_or_default());
        if let Ok(uri) = uri.parse() {
            *request.uri_mut() = uri;
        }
        top.oneshot(request).await
    };
    Router::new().nest(base_path, routes).route(&format!("{base_path}/"), any(at_top))
}

/// A route with and without the slash at its end.
fn both(path: &str, route: MethodRouter<Handle>) -> Router<Handle> {
    Router::new().route(path, route.clone()).route(&format!("{path}/"), route)
}

async fn unknown(uri: Uri) -> Problem {
    Problem::not_found(format!("there is nothing at {}", uri.path()))
}

/// `OPTIONS` changes nothing and grants nothing: what is allowed stands in `Allow`.
async fn wrong_method(method: Method) -> Response {
    if method == Method::OPTIONS {
        return StatusCode::NO_CONTENT.into_response();
    }
    let refused = format!("{method} does nothing here");
    Problem::new(StatusCode::METHOD_NOT_ALLOWED, refused).into_response()
}

/// `GET /-/ready`: 503 until what was stored is loaded. A store that is away later makes no server
/// worth less than none: it goes on from memory, and says so.
async fn ready(State(handle): State<Handle>) -> Response {
    let trouble = handle.store().and_then(|store| store.trouble());
    let trouble = trouble.map(|trouble| format!("store: {trouble}"));
    if !handle.is_ready() {
        let reason = trouble.unwrap_or_else(|| "starting or stopping".to_owned());
        return Problem::new(StatusCode::SERVICE_UNAVAILABLE, reason).into_text();
    }
    let said = trouble.map_or_else(|| "OK".to_owned(), |trouble| format!("OK; {trouble}"));
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], said).into_response()
}

/// `POST /-/reload`: what is wrong with the file stands in the answer.
async fn reload(State(handle): State<Handle>) -> Result<StatusCode, Problem> {
    match handle.reload().await {
        Ok(()) => Ok(StatusCode::OK),
        Err(error @ (ReloadError::NoFile | ReloadError::Config(_))) => {
            Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, error.to_string()))
        }
        Err(error) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}
