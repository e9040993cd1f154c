//! One error whole.

use axum::extract::State;
use axum::response::Response;
use periskop_core::Timestamp;
use periskop_core::aggregate::{Action, Status};
use periskop_core::view::{ErrorView, SourceView};

use super::super::json::Json;
use super::super::view::{self, time};
use super::{Named, answer, schema};
use crate::handle::Handle;
use periskop_http::Problem;

/// Sources in one answer, the largest counts first.
const SOURCES: usize = 1000;

/// One error whole.
#[utoipa::path(
    get, path = "/api/v1/errors/{service}/{key}", operation_id = "error", tag = "errors",
    params(("service" = String, Path, description = "The service, slashes percent-encoded"), ("key" = String, Path, description = "The aggregation key, slashes percent-encoded")),
    responses(
        (status = 200, description = "The error", body = schema::ErrorDetail),
        (status = 400, description = "What is wrong with the request", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "There is no such error", body = schema::ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn one(State(handle): State<Handle>, named: Named) -> Result<Response, Problem> {
    whole(&handle, &named)
}

/// The answer that shows an error whole.
pub(super) fn whole(handle: &Handle, named: &Named) -> Result<Response, Problem> {
    let now = handle.now();
    let found = handle.read(|engine| {
        let error = engine.state().error(&named.0)?;
        let targets = engine.service(&named.0.service).map_or(0, |s| s.target_count());
        let mut json = Json::default();
        json.open(b'{');
        view::summary(&mut json, error, now, targets);
        details(&mut json, error, now);
        json.close(b'}');
        Some(json)
    });
    found.map(answer).ok_or_else(|| named.unknown())
}

fn details(json: &mut Json, error: ErrorView<'_>, now: Timestamp) {
    json.name("occurrences").open(b'[');
    for occurrence in error.occurrences() {
        view::occurrence(json, occurrence);
    }
    json.close(b']').name("sources").open(b'[');
    for source in error.sources().iter().take(SOURCES) {
        source_of(json, source);
    }
    json.close(b']').name("history").open(b'[');
    for action in error.history() {
        action_of(json, action);
    }
    json.close(b']').name("regression");
    regression(json, error, now);
    json.member("forgotten_through", error.forgotten_through().map(time));
}

/// Since when it is back, where, and after what; null for an error that did not come back. One that
/// is muted may have come back as well.
fn regression(json: &mut Json, error: ErrorView<'_>, now: Timestamp) {
    let is_back = matches!(error.status(now), Status::Regressed | Status::Muted);
    let Some(regression) = error.regression().filter(|_| is_back) else {
        json.value(None::<&str>);
        return;
    };
    json.open(b'{').member("since", time(regression.since)).name("instances");
    json.list(regression.sources.iter().take(SOURCES).map(|source| {
        source
            .and_then(|source| source.labels()?.iter().find(|(name, _)| *name == "instance"))
            .map(|(_, instance)| instance)
            .or(source.map(|source| source.name()))
    }));
    json.name("resolved");
    action_of(json, regression.resolved);
    json.close(b'}');
}

fn source_of(json: &mut Json, source: &SourceView<'_>) {
    json.open(b'{').member("name", source.source.map(|s| s.name())).name("labels");
    match source.source.and_then(|s| s.labels()) {
        Some(labels) => view::labels(json, labels),
        None => {
            json.value(None::<&str>);
        }
    }
    json.member("count", source.count)
        .member("newest", source.newest.map(time))
        .member("exported", source.exported)
        .member("gone_since", source.gone.map(time))
        .close(b'}');
}

fn action_of(json: &mut Json, action: &Action) {
    json.open(b'{')
        .member("at", time(action.at))
        .member("by", &action.by)
        .member("why", &action.why)
        .member("action", action.act.as_str());
    if let Some(until) = action.act.until() {
        json.member("until", time(until));
    }
    if let Some(count) = action.act.further() {
        json.member("count", count);
    }
    json.close(b'}');
}
