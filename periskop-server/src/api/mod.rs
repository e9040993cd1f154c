//! The HTTP interface: the reference's routes, and `/api/v1` beyond them.

mod guard;
mod json;
mod path;
mod problem;
mod reference;
mod v1;
mod view;

use std::sync::Arc;

use axum::Router;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{Method, StatusCode, Uri, header};
use axum::middleware::{from_fn, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};

pub(crate) use self::guard::Guard;
pub use self::problem::Problem;
use crate::handle::{Handle, ReloadError};

/// What a request may bring along: a reason, never a payload.
const BODY_LIMIT: usize = 64 * 1024;

/// All routes, pages included, guarded.
pub(crate) fn router(handle: Handle, guard: Guard) -> Router {
    let api = v1::router().fallback(unknown).method_not_allowed_fallback(wrong_method);
    Router::new()
        .nest("/api/v1", api)
        .route("/targets", get(reference::targets))
        .route("/targets/", get(reference::targets))
        .route("/metrics", get(reference::metrics))
        .route("/metrics/", get(reference::metrics))
        .route("/errors", get(reference::own_errors))
        .route("/errors/", get(reference::own_errors))
        .route("/-/health", get(reference::health))
        .route("/-/health/", get(reference::health))
        .route("/-/healthy", get(reference::health))
        .route("/-/ready", get(ready))
        .route("/-/reload", post(reload))
        .method_not_allowed_fallback(wrong_method)
        .with_state(handle)
}
