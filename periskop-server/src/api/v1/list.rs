//! `GET /api/v1/errors`: filtered, sorted, a page at a time.

use std::cmp::Ordering;
use std::collections::{BTreeMap, HashMap};

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use periskop_core::aggregate::Status;
use periskop_core::engine::Engine;
use periskop_core::view::ErrorView;
use periskop_core::{AggregationKey, ServiceName, Severity, Timestamp};

use super::super::json::Json;
use super::super::view;
use super::params::Params;
use crate::handle::Handle;
use periskop_http::Problem;

const KNOWN: [&str; 8] =
    ["query", "service", "severity", "state", "sort", "order", "limit", "cursor"];
const DEFAULT_LIMIT: usize = 100;
const LIMIT: usize = 1000;

pub(super) async fn list(State(handle): State<Handle>, uri: Uri) -> Result<Response, Problem> {
    let wanted = Wanted::parse(uri.query())?;
    let now = handle.now();
    Ok(super::answer(handle.read(|engine| wanted.page(engine, now))))
}

/// What is asked for.
struct Wanted {
    query: Option<String>,
    services: Vec<ServiceName>,
    severities: Vec<Severity>,
    states: Vec<Status>,
    sort: Sort,
    descending: bool,
    limit: usize,
    after: Option<Place>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    LastSeen,
    FirstSeen,
    Count,
    Rate,
}

impl Sort {
    const ALL: [(&'static str, Self); 4] = [
        ("last_seen", Self::LastSeen),
        ("first_seen", Self::FirstSeen),
        ("count", Self::Count),
        ("rate", Self::Rate),
    ];

    /// What errors are sorted by, as a whole number.
    fn rank(self, error: ErrorView<'_>, now: Timestamp) -> i128 {
        match self {
            Self::LastSeen => error.last_seen().as_micros().into(),
            Self::FirstSeen => error.first_seen().as_micros().into(),
            Self::Count => error.total().into(),
            // A count over 15 minutes, told per minute.
            #[expect(clippy::cast_possible_truncation, reason = "below 2^32 by its definition")]
            Self::Rate => (error.rate(now) * 15.0).round() as i128,
        }
    }
}

/// A place in a sorted list: ties are broken by service and key.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    rank: i128,
    service: ServiceName,
    key: AggregationKey,
}

/// How many errors there would be for each value of a filter, the other filters as they are.
#[derive(Default)]
struct Facets<'a> {
    services: BTreeMap<&'a str, usize>,
    severities: BTreeMap<&'static str, usize>,
    states: BTreeMap<&'static str, usize>,
}

impl Wanted {
    fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let params = Params::parse(query, &KNOWN)?;
        let sort = params.read("sort", |text| {
            let known = Sort::ALL.iter().find(|(name, _)| *name == text);
            known.map(|(_, sort)| *sort).ok_or("expected last_seen, first_seen, count or rate")
        })?;
        let descending = params.read("order", |text| match text {
            "desc" => Ok(true),
            "asc" => Ok(false),
            _ => Err("expected asc or desc"),
        })?;
        let lower = |text: &str| text.to_ascii_lowercase();
        Ok(Self {
            query: params.text("query").map(|text| text.trim().to_lowercase()),
            services: params.all("service").map(ServiceName::from).collect(),
            severities: params.words(
                "severity",
                |word| Severity::parse(&lower(word)),
                "expected info, warning or error",
            )?,
            states: params.words(
                "state",
                |word| Status::parse(&lower(word)),
                "expected open, regressed, resolved or muted",
            )?,
            sort: sort.unwrap_or(Sort::LastSeen),
            descending: descending.unwrap_or(true),
            limit: params.number("limit", 1, LIMIT)?.unwrap_or(DEFAULT_LIMIT),
            after: params.read("cursor", Place::from_cursor)?,
        })
    }

    fn page(&self, engine: &Engine, now: Timestamp) -> Json {
        let mut facets = Facets::default();
        let mut total = 0;
        let mut page: Vec<(i128, ErrorView<'_>)> = Vec::new();
        for error in engine.state().errors() {
            if !self.query.as_deref().is_none_or(|query| contains(error, query)) {
                continue;
            }
            if self.count(&mut facets, error, now) {
                total += 1;
                let rank = self.sort.rank(error, now);
                let is_after = self.after.as_ref().is_none_or(|after| {
                    let place = (after.rank, &after.service, &after.key);
                    self.order((rank, error.service(), error.key()), place) == Ordering::Greater
                });
                if is_after {
                    page.push((rank, error));
                }
            }
        }
        let in_order = |a: &(i128, ErrorView<'_>), b: &(i128, ErrorView<'_>)| {
            self.order((a.0, a.1.service(), a.1.key()), (b.0, b.1.service(), b.1.key()))
        };
        let is_last = page.len() <= self.limit;
        if !is_last {
            page.select_nth_unstable_by(self.limit, in_order);
            page.truncate(self.limit);
        }
        page.sort_unstable_by(in_order);
        let next = page.last().filter(|_| !is_last).map(|(rank, error)| Place {
            rank: *rank,
            service: error.service().clone(),
            key: error.key().clone(),
        });
        let mut json = Json::default();
        json.open(b'{').name("errors").open(b'[');
        let mut targets = HashMap::new();
        for (_, error) in page {
            let service = error.service();
            let targets = *targets
                .entry(service)
                .or_insert_with(|| engine.service(service).map_or(0, |s| s.target_count()));
            json.open(b'{');
            view::summary(&mut json, error, now, targets);
            json.close(b'}');
        }
        json.close(b']').member("total", total).name("facets").open(b'{');
        json.member("service", facets.services);
        json.member("severity", facets.severities);
        json.member("state", facets.states);
        json.close(b'}').member("next_cursor", next.map(|place| place.to_cursor())).close(b'}');
        json
    }

    /// Counts an error for the facets; whether it passes all filters.
    fn count<'a>(&self, facets: &mut Facets<'a>, error: ErrorView<'a>, now: Timestamp) -> bool {
        let (severity, state) = (error.severity(), error.status(now));
        let service_fits = self.services.is_empty() || self.services.contains(error.service());
        let severity_fits = self.severities.is_empty() || self.severities.contains(&severity);
        let state_fits = self.states.is_empty() || self.states.contains(&state);
        if severity_fits && state_fits {
            *facets.services.entry(error.service().as_str()).or_default() += 1;
        }
        if service_fits && state_fits {
            *facets.severities.entry(severity.as_str()).or_default() += 1;
        }
        if service_fits && severity_fits {
            *facets.states.entry(state.as_str()).or_default() += 1;
        }
        service_fits && severity_fits && state_fits
    }

    fn order(
        &self,
        a: (i128, &ServiceName, &AggregationKey),
        b: (i128, &ServiceName, &AggregationKey),
    ) -> Ordering {
        let by_rank = if self.descending { b.0.cmp(&a.0) } else { a.0.cmp(&b.0) };
        by_rank.then_with(|| (a.1, a.2).cmp(&(b.1, b.2)))
    }
}

/// Whether any text of an error has `lower` in it, without regard to case.
fn contains(error: ErrorView<'_>, lower: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(lower);
    lower.is_empty()
        || has(error.key().as_str())
        || has(error.service().as_str())
        || error.occurrences().any(|occurrence| occurrence.texts().any(has))
}

impl Place {
    /// Opaque to clients: the hexadecimal digits of a JSON list.
    fn to_cursor(&self) -> String {
        let place = (self.rank.to_string(), self.service.as_str(), self.key.as_str());
        let json = serde_json::to_vec(&place).unwrap_or_default();
        json.iter().map(|b| format!("{b:02x}")).collect()
    }

    fn from_cursor(text: &str) -> Result<Self, &'static str> {
        let wrong = "not a cursor that was given out here";
        let digits = text.as_bytes().chunks(2).map(|two| std::str::from_utf8(two).ok());
        let bytes: Option<Vec<u8>> = digits.map(|two| u8::from_str_radix(two?, 16).ok()).collect();
        let place: (String, String, String) =
            serde_json::from_slice(&bytes.ok_or(wrong)?).map_err(|_| wrong)?;
        let rank = place.0.parse().map_err(|_| wrong)?;
        Ok(Self { rank, service: ServiceName::from(place.1), key: AggregationKey::from(place.2) })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cursor_reads_back_and_another_text_is_none() {
        let place = Place { rank: -5, service: "a/b".into(), key: "\u{2603}\"".into() };
        assert_eq!(Place::from_cursor(&place.to_cursor()), Ok(place));
        for text in ["", "zz", "5", "5b5d", "ü"] {
            assert!(Place::from_cursor(text).is_err(), "{text}");
        }
    }

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_by_name() {
        for (query, word) in [
            ("sevrity=error", "sevrity"),
            ("severity=fatal", "fatal"),
            ("state=closed", "closed"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("sort=name", "name"),
            ("order=down", "down"),
            ("cursor=x", "cursor"),
        ] {
            let problem = Wanted::parse(Some(query)).err().unwrap();
            assert!(format!("{problem:?}").contains(word), "{query}: {problem:?}");
        }
        let wanted = Wanted::parse(Some("state=open,regressed&state=muted&query=")).unwrap();
        assert_eq!(wanted.states, [Status::Open, Status::Regressed, Status::Muted]);
        assert!(wanted.query.is_none());
    }
}
