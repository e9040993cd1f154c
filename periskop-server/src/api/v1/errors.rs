//! One error whole, and its occurrences over time.

use std::time::Duration;

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use periskop_core::Timestamp;
use periskop_core::aggregate::{Act, Action, MuteFor};
use periskop_core::config::{format_duration, parse_duration};
use periskop_core::view::{ErrorView, SourceView};

use super::super::json::Json;
use super::super::view::{self, time};
use super::params::Params;
use super::{Named, answer};
use crate::handle::Handle;
use periskop_http::Problem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const QUARTER: Duration = Duration::from_secs(15 * 60);
/// The finest that is kept.
const FINEST: Duration = Duration::from_secs(60);
/// Sources in one answer, the largest counts first.
const SOURCES: usize = 1000;
const POINTS: u128 = 1000;

/// `GET /api/v1/errors/{service}/{key}`
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
        details(&mut json, error);
        json.close(b'}');
        Some(json)
    });
    found.map(answer).ok_or_else(|| named.unknown())
}

fn details(json: &mut Json, error: ErrorView<'_>) {
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
    json.close(b']');
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
    json.open(b'{').member("at", time(action.at)).member("by", &action.by);
    json.member("why", &action.why);
    let what = match action.act {
        Act::Resolve => "resolve",
        Act::Reopen => "reopen",
        Act::Mute(_) => "mute",
        Act::Unmute => "unmute",
        Act::Forget => "forget",
    };
    json.member("action", what);
    match action.act {
        Act::Mute(MuteFor::Until(until)) => json.member("until", time(until)),
        Act::Mute(MuteFor::Further(count)) => json.member("count", count),
        _ => json,
    };
    json.close(b'}');
}

/// `GET /api/v1/errors/{service}/{key}/series?from&to&step`: times in RFC 3339, the step as a
/// duration. The last day in quarters of an hour unless told otherwise.
pub(super) async fn series(
    State(handle): State<Handle>,
    named: Named,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::parse(uri.query(), &["from", "to", "step"])?;
    let at = |text: &str| Timestamp::parse(text).ok_or("expected a time as in RFC 3339");
    let to = params.read("to", at)?.unwrap_or(handle.now());
    let from = params.read("from", at)?.unwrap_or(to.minus(DAY));
    let step = params.read("step", parse_duration)?.unwrap_or(QUARTER);
    if from >= to {
        return Err(Problem::bad_request("`from` must be before `to`"));
    }
    if step < FINEST {
        return Err(Problem::bad_request("`step` must be at least 1m: nothing finer is kept"));
    }
    if to.since(from).as_micros() / step.as_micros() > POINTS {
        return Err(Problem::bad_request(format!("more than {POINTS} steps from `from` to `to`"))
            .with_suggestion("take a larger step"));
    }
    let points = handle.read(|e| Some(e.state().error(&named.0)?.series(from, to, step)));
    let points = points.ok_or_else(|| named.unknown())?;
    let mut json = Json::default();
    json.open(b'{')
        .member("from", time(from))
        .member("to", time(to))
        .member("step", format_duration(step))
        .name("points")
        .open(b'[');
    for (at, count) in points {
        json.open(b'{').member("at", time(at)).member("count", count).close(b'}');
    }
    json.close(b']').close(b'}');
    Ok(answer(json))
}
