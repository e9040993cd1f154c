//! `/api/v1`: what goes beyond the reference.

mod counts;
mod errors;
mod list;
mod openapi;
mod params;
mod schema;
mod search;
mod series;
mod status;
mod stream;
mod targets;
mod triage;

use axum::Router;
use axum::extract::{FromRequestParts, Path};
use axum::http::request::Parts;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use periskop_core::{AggregateId, AggregationKey, ServiceName};

use super::json::Json;
use crate::handle::Handle;
use periskop_http::Problem;

/// The routes, to be nested below `/api/v1`.
pub(super) fn router() -> Router<Handle> {
    Router::new()
        .route("/errors", get(list::list))
        .route("/errors/{service}/{key}", get(errors::one))
        .route("/errors/{service}/{key}/series", get(series::of_error))
        .route("/errors/{service}/{key}/counts", get(counts::of_error))
        .route("/errors/{service}/{key}/{action}", post(triage::one))
        .route("/errors/{action}", post(triage::many))
        .route("/events", get(stream::events))
        .route("/openapi.json", get(openapi::openapi))
        .route("/services", get(status::services))
        .route("/services/{service}/series", get(series::of_service))
        .route("/services/{service}/counts", get(counts::of_service))
        .route("/targets", get(targets::targets))
        .route("/status/config", get(status::config))
        .route("/status/buildinfo", get(status::build_info))
        .route("/status/runtimeinfo", get(status::runtime_info))
}

/// The error that a path names; slashes within a name are percent-encoded.
struct Named(AggregateId);

impl<S: Send + Sync> FromRequestParts<S> for Named {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let path = Path::<(String, String)>::from_request_parts(parts, state).await;
        let Path((service, key)) = path.map_err(|e| Problem::bad_request(e.body_text()))?;
        Ok(Self::new(&service, &key))
    }
}

impl Named {
    fn new(service: &str, key: &str) -> Self {
        let (service, key) = (ServiceName::from(service), AggregationKey::from(key));
        Self(AggregateId { service, key })
    }

    fn unknown(&self) -> Problem {
        let AggregateId { service, key } = &self.0;
        Problem::not_found(format!("no error `{key}` in service `{service}`"))
    }
}

fn unknown_service(service: &ServiceName) -> Problem {
    Problem::not_found(format!("no service `{service}`"))
}

const JSON: HeaderValue = HeaderValue::from_static("application/json");

fn answer(json: Json) -> Response {
    ([(header::CONTENT_TYPE, JSON)], json.finish()).into_response()
}
