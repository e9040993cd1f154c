//! What the list of errors shows.

use periskop_core::aggregate::Act;
use periskop_core::{AggregateId, Severity};

use super::super::filter::{ErrorFilter, Seen, Sort, StateFilter};
use super::super::format;
use super::super::text::Text;
use super::ErrorRow;

/// The list of errors under a filter.
#[derive(Clone, Debug)]
pub struct ErrorsPage {
    /// What is asked for.
    pub filter: ErrorFilter,
    /// The state that is shown, whether it was asked for or follows from the search.
    pub state: StateFilter,
    /// Why the search cannot be read; nothing is shown then.
    pub problem: Option<QueryProblem>,
    /// What was done to some of them a moment ago.
    pub done: Option<DoneToSome>,
    /// How many errors match.
    pub total: usize,
    /// How many occurrences they have together.
    pub occurrences: u64,
    /// Those of this page.
    pub rows: Vec<ErrorRow>,
    /// Where the next page begins, if there is one.
    pub next: Option<String>,
    /// How many there would be under another filter.
    pub facets: Facets,
    /// How many services are known, so that an empty list can say why it is empty.
    pub services: usize,
}

impl ErrorsPage {
    /// A page on which nothing is.
    pub fn empty(filter: ErrorFilter) -> Self {
        Self {
            state: filter.state.unwrap_or_default(),
            filter,
            problem: None,
            done: None,
            total: 0,
            occurrences: 0,
            rows: Vec::new(),
            next: None,
            facets: Facets::default(),
            services: 0,
        }
    }

    /// The query of this very page.
    pub fn here(&self) -> String {
        self.filter.to_query()
    }

    /// The query of the first page.
    pub fn first(&self) -> String {
        self.filter.with(|_| ()).to_query()
    }

    /// The query of the next page, if there is one.
    pub fn next(&self) -> Option<String> {
        let cursor = self.next.clone()?;
        Some(self.filter.with(|f| f.cursor = Some(cursor)).to_query())
    }

    /// The query that sorts by `sort`, and turns the order round where it is chosen already.
    pub fn sorted(&self, sort: Sort) -> String {
        let turn = self.filter.sort == sort && !self.filter.ascending;
        self.filter
            .with(|f| {
                f.sort = sort;
                f.ascending = turn;
            })
            .to_query()
    }

    /// The query that asks for `state`.
    pub fn state(&self, state: StateFilter) -> String {
        self.filter.with(|f| f.state = Some(state)).to_query()
    }

    /// The query that asks for `severity`, or for all if it is chosen already.
    pub fn severity(&self, severity: Severity) -> String {
        let chosen = self.filter.severity == Some(severity);
        self.filter.with(|f| f.severity = (!chosen).then_some(severity)).to_query()
    }

    /// The query that asks for what was seen within `seen`.
    pub fn seen(&self, seen: Seen) -> String {
        self.filter.with(|f| f.seen = seen).to_query()
    }

    /// The query that asks for `service`, or for all if it is chosen already.
    pub fn service(&self, service: &Text) -> String {
        let chosen = self.is_service(service);
        self.filter.with(|f| f.service = (!chosen).then(|| service.as_str().to_owned())).to_query()
    }

    /// Whether `service` is chosen.
    pub fn is_service(&self, service: &Text) -> bool {
        self.filter.service.as_deref() == Some(service.as_str())
    }

    /// The query that counts by the label `name`, or no longer if it is chosen already.
    pub fn label(&self, name: &Text) -> String {
        let chosen = self.filter.label.as_deref() == Some(name.as_str());
        self.filter.with(|f| f.label = (!chosen).then(|| name.as_str().to_owned())).to_query()
    }

    /// The query that adds to the search that the label `name` has `value`.
    pub fn labelled(&self, name: &Text, value: &Text) -> String {
        let quoted = value.as_str().replace('\\', "\\\\").replace('"', "\\\"");
        let term = format!("label.{}:\"{quoted}\"", name.as_str());
        let change = |f: &mut ErrorFilter| f.q = format!("{} {term}", f.q).trim().to_owned();
        self.filter.with(change).to_query()
    }

    /// States that hold matches which the present choice of state hides.
    pub fn elsewhere(&self) -> impl Iterator<Item = &(StateFilter, usize)> {
        self.facets.states.iter().filter(|(state, n)| {
            *n > 0
                && matches!(state, StateFilter::Open | StateFilter::Muted | StateFilter::Resolved)
        })
    }
}

/// Why a search cannot be read, and where.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct QueryProblem {
    /// What is wrong.
    pub message: Text,
    /// The search up to there.
    pub before: Text,
    /// The part that is wrong; a mark where something is missing.
    pub marked: Text,
    /// The rest.
    pub after: Text,
    /// A search that can be read, and the query of its page.
    pub suggestion: Option<(Text, String)>,
}

/// What somebody did to some errors a moment ago.
#[derive(Clone, Debug, PartialEq)]
pub struct DoneToSome {
    /// What.
    pub act: Act,
    /// To how many.
    pub count: usize,
    /// To which, where it was not everything that matched.
    pub errors: Vec<AggregateId>,
    /// The act that takes it back, where one does.
    pub undo: Option<&'static str>,
}

impl DoneToSome {
    /// In words.
    pub fn sentence(&self) -> String {
        let (are, what) = (
            if self.count == 1 { "is" } else { "are" },
            match self.act {
                Act::Resolve => "resolved",
                Act::Reopen => "reopened",
                Act::Mute(_) => "muted",
                Act::Unmute => "unmuted",
                Act::Forget => "forgotten",
            },
        );
        format!("{} {are} {what}.", format::plural(self.count, "error"))
    }
}

/// Counts for the choices beside the list; each disregards the present choice of its own kind.
#[derive(Clone, Debug, Default)]
pub struct Facets {
    /// Per state, in the order of [`StateFilter::ALL`].
    pub states: Vec<(StateFilter, usize)>,
    /// Per severity, worst first.
    pub severities: Vec<(Severity, usize)>,
    /// Per service, most first; a bounded number.
    pub services: Vec<(Text, usize)>,
    /// Labels by which can be counted; a bounded number.
    pub label_names: Vec<Text>,
    /// Per value of the label that was asked for, most first; a bounded number.
    pub labels: Vec<(Text, usize)>,
}
