//! What searches and filters are written in, wherever they stand in a request.

use axum::http::StatusCode;
use periskop_core::Severity;
use periskop_core::catalogue::Choice;
use periskop_core::query::Query;

use crate::handle::Handle;
use periskop_http::Problem;

pub(super) const SEVERITIES: &str = "expected info, warning or error";
pub(super) const STATES: &str = "expected open, new, regressed, resolved or muted";

/// Reads the query language; what is not given matches everything.
pub(super) fn query(text: Option<&str>) -> Result<Query, Problem> {
    Query::parse(text.unwrap_or_default()).map_err(|error| {
        let problem = Problem::bad_request(format!("query: {error}")).at_character(error.position);
        match error.suggestion {
            Some(suggestion) => problem.with_suggestion(suggestion),
            None => problem,
        }
    })
}

/// Waits until texts can be searched, if `query` asks for any.
pub(super) async fn searchable(handle: &Handle, query: &Query) -> Result<(), Problem> {
    let waited = handle.searchable(query).await;
    waited.map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))
}

pub(super) fn severity(word: &str) -> Option<Severity> {
    Severity::parse(&word.to_ascii_lowercase())
}

pub(super) fn state(word: &str) -> Option<Choice> {
    Choice::parse(&word.to_ascii_lowercase())
}
