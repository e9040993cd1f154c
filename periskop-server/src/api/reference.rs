//! The reference's routes, for its UI, the Backstage plugin and people's scripts.
//!
//! Shapes, statuses and plain-text reasons are the reference's; where they differ it is on
//! purpose, and a test names each place.

use axum::extract::{Extension, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use periskop_core::aggregate::{Act, Status};
use periskop_core::view::ErrorView;
use periskop_core::{AggregateId, AggregationKey, ServiceName};
use periskop_http::{Principal, Problem};

use super::json::Json;
use super::path;
use super::view::{self, Absent};
use crate::handle::{ActError, Handle};
use crate::metrics::Format;

/// The most occurrences of an error in a list.
const OCCURRENCES: usize = 100;

/// Errors that are written while scraping waits.
const AT_ONCE: usize = 32;

/// Everything below `/services`, by the path as it came.
pub(super) async fn services(
    State(handle): State<Handle>,
    principal: Option<Extension<Principal>>,
    method: Method,
    uri: Uri,
) -> Response {
    let reads = matches!(method, Method::GET | Method::HEAD);
    if path::is_services(uri.path()) {
        return match reads {
            true => list_services(&handle),
            false => not_allowed(&method, "GET, HEAD, OPTIONS"),
        };
    }
    if let Some(readings) = path::service(uri.path()).filter(|_| reads) {
        return list_errors(&handle, &readings);
    }
    let errors = path::error(uri.path(), uri.query());
    match (errors.is_empty(), path::service(uri.path()).is_some()) {
        (false, _) if method == Method::DELETE => {
            resolve(&handle, principal.as_deref(), errors).await
        }
        (_, true) => not_allowed(&method, "GET, HEAD, OPTIONS"),
        (false, _) => not_allowed(&method, "DELETE, OPTIONS"),
        (true, false) => StatusCode::NOT_FOUND.into_response(),
    }
}

fn list_services(handle: &Handle) -> Response {
    let names: Vec<ServiceName> = handle.read(|e| e.state().services().cloned().collect());
    let mut json = Json::default();
    json.list(names.iter().map(ServiceName::as_str));
    answer(json)
}

fn list_errors(handle: &Handle, readings: &[String]) -> Response {
    let names = readings.iter().map(ServiceName::from);
    let found = handle.read(|engine| {
        let service = names.clone().find(|name| engine.state().knows(name))?;
        let keys = engine.state().errors_of(&service).map(|error| error.key().clone());
        Some((keys.collect::<Vec<_>>(), service))
    });
    let Some((keys, service)) = found else {
        handle.metrics().application_error("get_errors");
        handle.metrics().application_error("service_not_found");
        let name = readings.first().map_or("", String::as_str);
        return Problem::not_found(format!("service {name} not found")).into_text();
    };
    let now = handle.now();
    let mut json = Json::default();
    json.open(b'[');
    // Each is whole; so many at once that scraping need not wait for all.
    for keys in keys.chunks(AT_ONCE) {
        handle.read(|engine| {
            for key in keys {
                let id = AggregateId { service: service.clone(), key: key.clone() };
                let known = engine.state().error(&id);
                let is_shown = |status| matches!(status, Status::Open | Status::Regressed);
                if let Some(error) = known.filter(|error| is_shown(error.status(now))) {
                    aggregate(&mut json, error);
                }
            }
        });
    }
    json.close(b']');
    answer(json)
}

fn aggregate(json: &mut Json, error: ErrorView<'_>) {
    json.open(b'{')
        .member("aggregation_key", error.key().as_str())
        .member("total_count", error.total())
        .member("severity", error.severity().as_str())
        .name("latest_errors")
        .open(b'[');
    let mut occurrences = error.occurrences().take(OCCURRENCES).peekable();
    if occurrences.peek().is_none() {
        // The Backstage card reads the first one's time without looking whether there is one.
        json.open(b'{').name("error").open(b'{').member("class", error.key().as_str());
        json.member("message", "").name("stacktrace").list([""; 0]).member("cause", None::<&str>);
        json.close(b'}').member("uuid", "").member("timestamp", error.last_seen().as_secs());
        json.member("severity", error.severity().as_str()).member("http_context", None::<&str>);
        json.close(b'}');
    }
    for occurrence in occurrences {
        json.open(b'{').name("error");
        view::exceptions(json, occurrence, Absent::IsEmpty);
        // A time that cannot be right is not told as one that is.
        let time = occurrence.time().unwrap_or(error.first_seen());
        json.member("uuid", &*occurrence.name()).member("timestamp", time.as_secs());
        json.member("severity", occurrence.severity().as_str()).name("http_context");
        view::http_context(json, occurrence.http(), Absent::IsEmpty);
        json.close(b'}');
    }
    json.close(b']').member("created_at", error.first_seen().as_secs()).close(b'}');
}

async fn resolve(
    handle: &Handle,
    principal: Option<&Principal>,
    readings: Vec<(String, String)>,
) -> Response {
    let ids = readings.into_iter().map(|(service, key)| AggregateId {
        service: ServiceName::from(service),
        key: AggregationKey::from(key),
    });
    let known = handle.read(|engine| ids.into_iter().find(|id| engine.state().error(id).is_some()));
    let Some(id) = known else {
        handle.metrics().application_error("resolve_error");
        return Problem::not_found("there is no such error").into_text();
    };
    let by = principal.and_then(Principal::name).unwrap_or_default();
    match handle.act(&id, Act::Resolve, by, "").await {
        Ok(()) => StatusCode::NO_CONTENT.into_response(),
        Err(error @ ActError::Unknown(_)) => Problem::not_found(error.to_string()).into_text(),
        Err(error) => Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()).into_text(),
    }
}

/// `GET /targets/`: service to endpoints, as `host:port/path`.
pub(super) async fn targets(State(handle): State<Handle>) -> Response {
    let mut json = Json::default();
    handle.read(|engine| {
        json.open(b'{');
        for service in engine.services() {
            json.name(service.name().as_str()).open(b'[');
            let mut endpoints: Vec<String> = engine
                .targets_of(service.name())
                .map(|target| without_scheme(target.target().url()))
                .collect();
            endpoints.sort_unstable();
            for endpoint in endpoints {
                json.open(b'{').member("endpoint", endpoint).close(b'}');
            }
            json.close(b']');
        }
        json.close(b'}');
    });
    answer(json)
}

fn without_scheme(url: &str) -> String {
    let url = view::without_userinfo(url);
    url.split_once("://").map_or(url.as_str(), |(_, rest)| rest).to_owned()
}

/// `GET /metrics`.
pub(super) async fn metrics(State(handle): State<Handle>, headers: HeaderMap) -> Response {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok());
    let format = Format::negotiate(accept);
    let page = handle.metrics().page(&handle, format);
    ([(header::CONTENT_TYPE, format.content_type())], page).into_response()
}

/// `GET /errors`: what goes wrong in this server itself.
pub(super) async fn own_errors(State(handle): State<Handle>) -> Response {
    (JSON, handle.collector().export()).into_response()
}

/// `GET /-/health`.
pub(super) async fn health() -> Response {
    ([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], "OK").into_response()
}

/// The reference ends its lists with a line feed, which some script may read up to.
fn answer(json: Json) -> Response {
    let mut body = json.finish();
    body.push(b'\n');
    (JSON, body).into_response()
}

const JSON: [(header::HeaderName, HeaderValue); 1] =
    [(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))];

/// `OPTIONS` says what could be done; everything else that is not known is refused.
fn not_allowed(method: &Method, allowed: &'static str) -> Response {
    let allow = [(header::ALLOW, HeaderValue::from_static(allowed))];
    if method == Method::OPTIONS {
        return (StatusCode::NO_CONTENT, allow).into_response();
    }
    let refused = Problem::new(StatusCode::METHOD_NOT_ALLOWED, format!("only {allowed}"));
    (allow, refused.into_text()).into_response()
}
