//! `GET /api/v1/openapi.json`: the description of this API, made from its handlers.

use std::sync::LazyLock;

use axum::extract::State;
use axum::http::header;
use axum::response::{IntoResponse, Response};
use utoipa::OpenApi;

use super::schema;
use super::{counts, errors, list, series, status, stream, targets, triage};
use crate::handle::Handle;

/// All that is described.
#[derive(OpenApi)]
#[openapi(
    info(
        title = "Periskop",
        description = "The exceptions of a fleet, merged: found, counted, resolved. Slashes within names \
                       are percent-encoded, times are RFC 3339.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        list::list,
        errors::one,
        series::of_error,
        counts::of_error,
        triage::one,
        triage::many,
        stream::events,
        status::services,
        series::of_service,
        counts::of_service,
        targets::targets,
        status::config,
        status::build_info,
        status::runtime_info,
        openapi,
    ),
    components(schemas(schema::ProblemDetails))
)]
struct Api;

static DOCUMENT: LazyLock<utoipa::openapi::OpenApi> = LazyLock::new(Api::openapi);

/// This description (OpenAPI 3.1).
#[utoipa::path(
    get, path = "/api/v1/openapi.json", operation_id = "openapi", tag = "status",
    responses((status = 200, description = "The description", content_type = "application/json")),
)]
pub(super) async fn openapi(State(handle): State<Handle>) -> Response {
    let mut document = DOCUMENT.clone();
    if !handle.base_path().is_empty() {
        document.servers = Some(vec![utoipa::openapi::Server::new(handle.base_path())]);
    }
    let json = serde_json::to_vec(&document).unwrap_or_default();
    ([(header::CONTENT_TYPE, "application/json")], json).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let source = include_str!("mod.rs");
        let routes = source.split(".route(\"").skip(1).filter_map(|rest| rest.split('"').next());
        let routes: Vec<&str> = routes.collect();
        assert!(routes.len() > 10);
        for route in routes {
            let path = format!("/api/v1{route}");
            assert!(DOCUMENT.paths.paths.contains_key(&path), "{path} is not described");
        }
    }
}
