//! The status page: who pushed what and when.

use askama::Template;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use periskop_core::Timestamp;
use periskop_core::config::format_duration;

use super::refused;
use crate::clock;
use crate::gateway::Gateway;
use crate::pushers::Pusher;

/// So many pushers are on the page.
const SHOWN: usize = 100;

/// Nothing is loaded but the style sheet, and nothing runs.
const POLICY: &str = "default-src 'none'; style-src 'self'; frame-ancestors 'none'; \
                      base-uri 'none'; form-action 'none'";

#[derive(Template)]
#[template(path = "status.html")]
struct Page {
    version: &'static str,
    started: String,
    errors: usize,
    occurrences: u64,
    incarnations: usize,
    sources: usize,
    evicted: u64,
    retention: String,
    /// Where the state is, and what is wrong with that.
    kept: String,
    pushers: Vec<Row>,
}

/// One pusher. Its name and warning are whatever it sent: the template escapes them.
struct Row {
    name: String,
    address: String,
    at: String,
    ago: String,
    pushes: u64,
    errors: usize,
    occurrences: u64,
    warning: String,
}

/// `GET /`.
pub(super) async fn page(State(gateway): State<Gateway>) -> Response {
    let now = clock::now();
    let known = gateway.overview();
    let kept = match gateway.store() {
        None => "in memory".to_owned(),
        Some(store) => match store.trouble() {
            None => format!("in {}", store.name),
            Some(trouble) => format!("in memory until the store answers: {trouble}"),
        },
    };
    let row = |(name, pusher): (String, Pusher)| Row {
        name: shortened(&name),
        address: pusher.address.map_or_else(|| "—".into(), |address| address.to_string()),
        at: in_seconds(pusher.at),
        ago: ago(now, pusher.at),
        pushes: pusher.pushes,
        errors: pusher.errors,
        occurrences: pusher.occurrences,
        warning: pusher.warning.as_deref().map(shortened).unwrap_or_default(),
    };
    let page = Page {
        version: env!("CARGO_PKG_VERSION"),
        started: in_seconds(gateway.shared.started),
        errors: known.errors,
        occurrences: known.occurrences,
        incarnations: known.incarnations,
        sources: known.sources,
        evicted: known.evicted,
        retention: format_duration(gateway.settings().state.retention),
        kept: shortened(&kept),
        pushers: gateway.newest_pushers(SHOWN).into_iter().map(row).collect(),
    };
    match page.render() {
        Ok(html) => ([(header::CONTENT_SECURITY_POLICY, POLICY)], Html(html)).into_response(),
        Err(error) => {
            gateway.collector().report(&error);
            refused(StatusCode::INTERNAL_SERVER_ERROR, "the page could not be written")
        }
    }
}

/// `GET /-/style.css`.
pub(super) async fn style() -> Response {
    let css = [(header::CONTENT_TYPE, "text/css; charset=utf-8")];
    (css, include_str!("../../assets/style.css")).into_response()
}

fn shortened(text: &str) -> String {
    match text.char_indices().nth(200) {
        Some((cut, _)) => format!("{}…", &text[..cut]),
        None => text.to_owned(),
    }
}

fn in_seconds(at: Timestamp) -> String {
    let text = at.to_string();
    text.split_once('.').map_or(text.clone(), |(seconds, _)| format!("{seconds}Z"))
}

fn ago(now: Timestamp, at: Timestamp) -> String {
    match now.since(at).as_secs() {
        seconds @ 0..60 => format!("{seconds} s ago"),
        seconds @ 60..3600 => format!("{} min ago", seconds / 60),
        seconds @ 3600..86_400 => format!("{} h ago", seconds / 3600),
        seconds => format!("{} d ago", seconds / 86_400),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn times_are_for_people() {
        let at = Timestamp::parse("2026-03-01T12:00:00.5Z").unwrap();
        assert_eq!(in_seconds(at), "2026-03-01T12:00:00Z");
        assert_eq!(ago(at.plus(Duration::from_secs(59)), at), "59 s ago");
        assert_eq!(ago(at.plus(Duration::from_secs(90_000)), at), "1 d ago");
        assert_eq!(ago(at, at.plus(Duration::from_secs(9))), "0 s ago");
        assert_eq!(shortened(&"ä".repeat(300)).chars().count(), 201);
    }
}
