//! Parts of answers that several routes have.

use periskop_core::Timestamp;
use periskop_core::target::Labels;
use periskop_core::texts::{HttpView, OccurrenceView};
use periskop_core::view::ErrorView;

use super::json::Json;

/// How a text that is not there is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Absent {
    /// `""`, as the reference does.
    IsEmpty,
    /// `null`.
    IsNull,
}

impl Absent {
    fn text(self, text: Option<&str>) -> Option<&str> {
        match self {
            Self::IsEmpty => Some(text.unwrap_or_default()),
            Self::IsNull => text,
        }
    }
}

/// The exception with its causes, each within the one before it.
pub(super) fn exceptions(json: &mut Json, occurrence: OccurrenceView<'_>, absent: Absent) {
    let mut depth = 0;
    for exception in occurrence.exceptions() {
        if depth > 0 {
            json.name("cause");
        }
        json.open(b'{')
            .member("class", absent.text(exception.class()))
            .member("message", absent.text(exception.message().as_deref()))
            .name("stacktrace")
            .list(exception.frames());
        depth += 1;
    }
    if depth == 0 {
        json.value(None::<&str>);
        return;
    }
    json.member("cause", None::<&str>);
    for _ in 0..depth {
        json.close(b'}');
    }
}

/// The request, or null.
pub(super) fn http_context(json: &mut Json, http: Option<HttpView<'_>>, absent: Absent) {
    let Some(http) = http else {
        json.value(None::<&str>);
        return;
    };
    json.open(b'{')
        .member("request_method", absent.text(http.method()))
        .member("request_url", absent.text(http.url().as_deref()))
        .name("request_headers")
        .open(b'{');
    let mut last = None;
    for (name, value) in http.headers() {
        // Sorted by name. An object has each name once; the exporter's format has no more either.
        if last != Some(name) {
            json.member(name, value);
        }
        last = Some(name);
    }
    json.close(b'}').member("request_body", absent.text(http.body().as_deref())).close(b'}');
}

/// One occurrence in our own form: times as RFC 3339, what is absent as null.
pub(super) fn occurrence(json: &mut Json, occurrence: OccurrenceView<'_>) {
    json.open(b'{').name("error");
    exceptions(json, occurrence, Absent::IsNull);
    json.member("uuid", &*occurrence.name())
        .member("timestamp", occurrence.time().map(time))
        .member("severity", occurrence.severity().as_str())
        .name("http_context");
    http_context(json, occurrence.http(), Absent::IsNull);
    json.close(b'}');
}

/// The same for people to read.
pub(crate) fn occurrence_indented(shown: OccurrenceView<'_>) -> String {
    let mut json = Json::default();
    occurrence(&mut json, shown);
    json.indented()
}

/// What a list says of an error, as members of an object that the caller opened.
pub(super) fn summary(json: &mut Json, error: ErrorView<'_>, now: Timestamp, targets: usize) {
    let newest = error.occurrences().next();
    let outermost = newest.and_then(|occurrence| occurrence.exceptions().next());
    let reporting = error.sources().iter().filter(|source| source.exported).count();
    json.member("service", error.service().as_str())
        .member("aggregation_key", error.key().as_str())
        .member("state", error.status(now).as_str())
        .member("severity", error.severity().as_str())
        .member("class", outermost.and_then(|exception| exception.class()))
        .member("message", outermost.and_then(|exception| exception.message()))
        .member("total_count", error.total())
        .member("first_seen", time(error.first_seen()))
        .member("last_seen", time(error.last_seen()))
        .member("rate", error.rate(now))
        .name("instances")
        .open(b'{')
        .member("reporting", reporting)
        // Several may answer behind one address.
        .member("known", targets.max(reporting))
        .close(b'}');
}

/// Labels as an object.
pub(super) fn labels(json: &mut Json, labels: &Labels) {
    json.open(b'{');
    for (name, value) in labels.iter() {
        json.member(name, value);
    }
    json.close(b'}');
}

/// RFC 3339, UTC.
pub(super) fn time(at: Timestamp) -> String {
    at.to_string()
}

/// A scrape URL as it may be shown.
pub(crate) fn without_userinfo(url: &str) -> String {
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let authority = rest.split(['/', '?', '#']).next().unwrap_or(rest);
    match authority.rsplit_once('@') {
        Some((userinfo, _)) => format!("{scheme}://{}", &rest[userinfo.len() + 1..]),
        None => url.to_owned(),
    }
}
