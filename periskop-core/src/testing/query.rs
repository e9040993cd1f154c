//! What queries are asked of: states whose texts meet, and the plainest holder of an index.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::aggregate::{Act, ActionId, MuteFor};
use crate::ids::{AggregateId, ReplicaId};
use crate::observer::{Observer, Settings};
use crate::occurrence::{ContentHash, Exception, HttpContext, Occurrence};
use crate::query::{Facts, Indexed, Query};
use crate::report::{Report, ReportedError};
use crate::search::{ErrorNumber, ErrorSet, ScanningIndex, SearchIndex};
use crate::state::State;
use crate::target::Labels;
use crate::testing::START;
use crate::testing::state::severity;
use crate::time::Timestamp;
use crate::view::ErrorView;

/// The errors of a state, numbered in its order.
pub struct Numbered {
    state: State,
    ids: Vec<AggregateId>,
    all: ErrorSet,
    index: ScanningIndex,
}

impl Numbered {
    /// All that a state lists.
    pub fn new(state: State) -> Self {
        let mut numbered =
            Self { ids: Vec::new(), all: ErrorSet::new(), index: ScanningIndex::new(), state };
        for (number, view) in (0..).map(ErrorNumber).zip(numbered.state.errors()) {
            numbered.ids.push(view.id());
            numbered.all.insert(number);
            numbered.index.update(number, view);
        }
        numbered
    }

    /// What a query finds by a look at each error.
    pub fn scan(&self, query: &Query, now: Timestamp) -> ErrorSet {
        let matches = |number: &ErrorNumber| {
            self.view(*number).is_some_and(|error| query.matches(error, now))
        };
        self.all.iter().filter(matches).collect()
    }

    /// The keys of a set of errors.
    pub fn keys(&self, errors: &ErrorSet) -> Vec<&str> {
        errors.iter().map(|number| self.ids[number.index()].key.as_str()).collect()
    }
}

impl Indexed for Numbered {
    fn all(&self) -> &ErrorSet {
        &self.all
    }

    fn index(&self) -> &dyn SearchIndex {
        &self.index
    }

    fn facts(&self, number: ErrorNumber, now: Timestamp) -> Option<Facts<'_>> {
        let view = self.view(number)?;
        Some(Facts {
            service: view.service(),
            key: view.key(),
            severity: view.severity(),
            status: view.status(now),
            total: view.total(),
            first_seen: view.first_seen(),
            last_seen: view.last_seen(),
        })
    }

    fn view(&self, number: ErrorNumber) -> Option<ErrorView<'_>> {
        self.ids.get(number.index()).and_then(|id| self.state.error(id))
    }

    fn state(&self) -> &State {
        &self.state
    }
}

/// Texts that fold in every way there is, and those that mean something in a query.
pub const WORDS: &[&str] = &[
    "a",
    "b",
    "ab",
    "s",
    "S",
    "ſ",
    "k",
    "\u{212a}",
    "Σ",
    "ς",
    "ΟΔΟΣ",
    "ß",
    "ẞ",
    "İ",
    "i",
    "µ",
    "1",
    "10",
    "-",
    "/",
    "\\",
    "\"",
    "*",
    " ",
    ":",
    "(",
    ")",
    "or",
    "OR",
    ".",
    "new\nline",
    "GET",
    "zone",
];

/// A text of a few of these.
pub fn text() -> impl Strategy<Value = String> {
    vec(proptest::sample::select(WORDS), 0..4).prop_map(|words| words.concat())
}

/// When questions about the states of [`state`] are asked.
pub fn now() -> impl Strategy<Value = Timestamp> {
    prop_oneof![Just(0_u64), 0..7200_u64, 86_390..86_410_u64]
        .prop_map(|seconds| START.plus(Duration::from_secs(seconds)))
}

/// A state of some errors of two services, which people have acted on.
pub fn state() -> impl Strategy<Value = State> {
    let act = prop_oneof![
        3 => Just(Act::Resolve),
        1 => Just(Act::Mute(MuteFor::Ever)),
        1 => Just(Act::Mute(MuteFor::Further(3))),
        1 => Just(Act::Forget),
    ];
    let told = (0..2_u8, 0..4_u8, labels(), vec(error(), 0..3));
    let acted = (0..2_u8, text(), act);
    vec((0..3600_u64, told, option::of(acted)), 0..6).prop_map(|mut steps| {
        steps.sort_by_key(|(second, ..)| *second);
        let settings = Settings { occurrences_per_error: 3, ..Settings::default() };
        let mut observer = Observer::new(ReplicaId::from_u64(1), settings, START);
        for (n, (second, (service, target, labels, errors), acted)) in (0_u64..).zip(steps) {
            let now = START.plus(Duration::from_micros(second * 1_000_000 + n));
            let service = format!("Svc{service}").as_str().into();
            let keys: Vec<_> = errors.iter().map(|error| error.key.clone()).collect();
            let report = Report { errors, ..Report::default() };
            match target {
                0 => drop(observer.pushed(now, &service, report)),
                n => {
                    let url = format!("http://10.0.0.{n}/-/exceptions");
                    drop(observer.scraped(now, &service, &url, &labels, report));
                }
            }
            let Some((pick, _, act)) = acted else { continue };
            let Some(key) = keys.get(usize::from(pick)) else { continue };
            let id = AggregateId { service, key: key.clone() };
            // Some are of errors that are not listed.
            drop(observer.act(now, &id, ActionId(n.into()), act, "ann", ""));
        }
        observer.into_state()
    })
}

fn labels() -> impl Strategy<Value = Labels> {
    let name = proptest::sample::select(&["instance", "zone", "Zone"][..]);
    vec((name, text()), 0..3).prop_map(|labels| labels.into_iter().collect())
}

fn error() -> impl Strategy<Value = ReportedError> {
    let times = option::of(0..10_u64);
    (text(), 0..9_u64, severity(), times, vec(occurrence(), 0..3)).prop_map(
        |(key, total_count, severity, created, occurrences)| ReportedError {
            key: key.as_str().into(),
            total_count,
            severity,
            created_at: created.map(|minute| START.plus(Duration::from_secs(60 * minute))),
            incarnations: None,
            occurrences,
            unchanged: Vec::new(),
        },
    )
}

fn occurrence() -> impl Strategy<Value = Occurrence> {
    let exception = (option::of(text()), option::of(text()), vec(text(), 0..2));
    let exception =
        exception.prop_map(|(class, message, stacktrace)| Exception { class, message, stacktrace });
    let header = (proptest::sample::select(&["H", "x-\u{212a}"][..]), text());
    let http = (option::of(text()), option::of(text()), vec(header, 0..2), option::of(text()));
    let http = http.prop_map(|(method, url, headers, body)| HttpContext {
        method,
        url,
        headers: headers.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        body,
    });
    (0..99_u8, 0..60_u64, severity(), vec(exception, 1..3), option::of(http)).prop_map(
        |(name, minute, severity, exceptions, http)| Occurrence {
            name: format!("o{name}"),
            content: ContentHash::of(&[name]),
            time: Some(START.plus(Duration::from_secs(60 * minute))),
            severity,
            exceptions,
            http,
        },
    )
}
