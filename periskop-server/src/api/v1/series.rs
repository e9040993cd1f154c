//! Occurrences over time, of an error or of a service.

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use periskop_core::config::{format_duration, parse_duration};
use periskop_core::{ServiceName, Timestamp};

use super::super::json::Json;
use super::super::view::time;
use super::params::Params;
use super::{Named, answer, schema, unknown_service};
use crate::handle::Handle;
use periskop_http::Problem;

const DAY: Duration = Duration::from_secs(24 * 60 * 60);
const QUARTER: Duration = Duration::from_secs(15 * 60);
/// The finest that is kept.
const FINEST: Duration = Duration::from_secs(60);
const POINTS: u128 = 1000;

/// The occurrences of an error over time: the last day in quarters of an hour unless told otherwise.
#[utoipa::path(
    get, path = "/api/v1/errors/{service}/{key}/series", operation_id = "errorSeries", tag = "errors",
    params(("service" = String, Path, description = "The service, slashes percent-encoded"), ("key" = String, Path, description = "The aggregation key, slashes percent-encoded"), schema::SeriesParams),
    responses(
        (status = 200, description = "Its occurrences", body = schema::SeriesPoints),
        (status = 400, description = "What is wrong with the request", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "There is no such error", body = schema::ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn of_error(
    State(handle): State<Handle>,
    named: Named,
    uri: Uri,
) -> Result<Response, Problem> {
    let span = Span::parse(uri.query(), handle.now())?;
    let points = handle.read(|engine| {
        let error = engine.state().error(&named.0)?;
        Some(error.series(span.from, span.to, span.step))
    });
    Ok(span.answer(points.ok_or_else(|| named.unknown())?))
}

/// The occurrences of all errors of a service over time.
#[utoipa::path(
    get, path = "/api/v1/services/{service}/series", operation_id = "serviceSeries", tag = "services",
    params(("service" = String, Path, description = "The service, slashes percent-encoded"), schema::SeriesParams),
    responses(
        (status = 200, description = "Its occurrences", body = schema::SeriesPoints),
        (status = 400, description = "What is wrong with the request", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "There is no such service", body = schema::ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn of_service(
    State(handle): State<Handle>,
    Path(service): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let span = Span::parse(uri.query(), handle.now())?;
    let name = ServiceName::from(&service);
    let points = handle.read(|engine| {
        let is_known = engine.state().knows(&name) || engine.service(&name).is_some();
        is_known.then(|| engine.state().series_of(&name, span.from, span.to, span.step))
    });
    Ok(span.answer(points.ok_or_else(|| unknown_service(&name))?))
}

/// What a series is to cover.
struct Span {
    from: Timestamp,
    to: Timestamp,
    step: Duration,
}

impl Span {
    fn parse(query: Option<&str>, now: Timestamp) -> Result<Self, Problem> {
        let params = Params::parse(query, &["from", "to", "step"])?;
        let at = |text: &str| Timestamp::parse(text).ok_or("expected a time as in RFC 3339");
        let to = params.read("to", at)?.unwrap_or(now);
        let from = params.read("from", at)?.unwrap_or(to.minus(DAY));
        let step = params.read("step", parse_duration)?.unwrap_or(QUARTER);
        if from >= to {
            return Err(Problem::bad_request("`from` must be before `to`"));
        }
        if step < FINEST {
            return Err(Problem::bad_request("`step` must be at least 1m: nothing finer is kept"));
        }
        if to.since(from).as_micros() / step.as_micros() > POINTS {
            let problem = format!("more than {POINTS} steps from `from` to `to`");
            return Err(Problem::bad_request(problem).with_suggestion("take a larger step"));
        }
        Ok(Self { from, to, step })
    }

    fn answer(&self, points: Vec<(Timestamp, u64)>) -> Response {
        let mut json = Json::default();
        json.open(b'{')
            .member("from", time(self.from))
            .member("to", time(self.to))
            .member("step", format_duration(self.step))
            .name("points")
            .open(b'[');
        for (at, count) in points {
            json.open(b'{').member("at", time(at)).member("count", count).close(b'}');
        }
        json.close(b']').close(b'}');
        answer(json)
    }
}
