//! One page of a list, and what it is a page of.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use hashbrown::HashMap;

use super::Followed;
use super::entry::Entry;
use super::listing::{Place, Sort, Wanted};
use crate::aggregate::Status;
use crate::ids::{AggregateId, ServiceName, SourceId};
use crate::occurrence::Severity;
use crate::query::{Facts, is_new};
use crate::time::Timestamp;
use crate::view::ErrorView;

/// Some of the errors that are wanted, and what all of them are.
#[derive(Clone)]
pub struct Page<'a> {
    /// The errors of this page, in order.
    pub errors: Vec<ErrorView<'a>>,
    /// How many are wanted, on whatever page.
    pub total: usize,
    /// How many occurrences these have together.
    pub occurrences: u64,
    /// How many there would be for other choices.
    pub facets: Facets<'a>,
    /// Where the next page begins; `None` on the last one.
    pub next: Option<Place>,
}

/// How many errors there are for each choice, with the other choices as they are.
#[derive(Clone, Debug, Default)]
pub struct Facets<'a> {
    /// By service.
    pub services: BTreeMap<&'a ServiceName, usize>,
    /// By severity, those without errors as well.
    pub severities: BTreeMap<Severity, usize>,
    /// By state, those without errors as well.
    pub states: BTreeMap<Status, usize>,
    /// Open and new; they are among the open ones.
    pub new: usize,
    /// By the value of the label that was asked for, among all that are wanted: an error is counted
    /// once for each value that its instances have, under `""` where they have none.
    pub label: BTreeMap<String, usize>,
}

/// An error that may come onto the page.
struct Ranked<'a> {
    rank: i128,
    entry: &'a Entry,
}

pub(super) fn list<'a>(errors: Followed<'a>, wanted: &Wanted, now: Timestamp) -> Page<'a> {
    let mut tally = Tally::new(wanted);
    let mut ranked = Vec::new();
    for number in wanted.query.find(&errors, now).iter() {
        let Some(entry) = errors.entry(number) else { continue };
        if !tally.count(&entry.facts(now), now) {
            continue;
        }
        tally.count_label(errors, entry);
        let one = Ranked { rank: rank(errors, entry, wanted.sort, now), entry };
        let place = wanted.after.as_ref().map(|after| (after.rank, &after.id));
        if place.is_none_or(|place| one.order(place, wanted) == Ordering::Greater) {
            ranked.push(one);
        }
    }
    let in_order = |a: &Ranked<'_>, b: &Ranked<'_>| a.order((b.rank, b.entry.id()), wanted);
    let is_last = ranked.len() <= wanted.limit;
    if !is_last {
        ranked.select_nth_unstable_by(wanted.limit, in_order);
        ranked.truncate(wanted.limit);
    }
    ranked.sort_unstable_by(in_order);
    let end = ranked.last().filter(|_| !is_last);
    Page {
        next: end.map(|one| Place { rank: one.rank, id: one.entry.id().clone() }),
        errors: ranked.iter().filter_map(|one| errors.error(one.entry)).collect(),
        total: tally.total,
        occurrences: tally.occurrences,
        facets: tally.facets(),
    }
}

pub(super) fn all(errors: Followed<'_>, wanted: &Wanted, now: Timestamp) -> Vec<AggregateId> {
    let mut tally = Tally::new(wanted);
    let found = wanted.query.find(&errors, now);
    let entries = found.iter().filter_map(|number| errors.entry(number));
    let wanted = entries.filter(|entry| tally.count(&entry.facts(now), now));
    wanted.map(|entry| entry.id().clone()).collect()
}

impl Ranked<'_> {
    /// Where it stands against a place in the list.
    fn order(&self, (rank, id): (i128, &AggregateId), wanted: &Wanted) -> Ordering {
        let by_rank = self.rank.cmp(&rank);
        let by_rank = if wanted.ascending { by_rank } else { by_rank.reverse() };
        by_rank.then_with(|| self.entry.id().cmp(id))
    }
}

/// What an error is sorted by, as a whole number.
fn rank(errors: Followed<'_>, entry: &Entry, sort: Sort, now: Timestamp) -> i128 {
    let facts = entry.facts(now);
    match sort {
        Sort::LastSeen => facts.last_seen.as_micros().into(),
        Sort::FirstSeen => facts.first_seen.as_micros().into(),
        Sort::Count => facts.total.into(),
        Sort::Rate if !entry.is_rated(now) => 0,
        // Numbers that are not negative are in the order of their bits.
        Sort::Rate => errors.error(entry).map_or(0, |error| error.rate(now).to_bits().into()),
    }
}

/// Counts errors as they come by.
struct Tally<'a, 'w> {
    wanted: &'w Wanted,
    total: usize,
    occurrences: u64,
    services: HashMap<&'a ServiceName, usize>,
    severities: BTreeMap<Severity, usize>,
    states: BTreeMap<Status, usize>,
    new: usize,
    label: BTreeMap<&'a str, usize>,
}

impl<'a, 'w> Tally<'a, 'w> {
    fn new(wanted: &'w Wanted) -> Self {
        let severities = [Severity::Info, Severity::Warning, Severity::Error];
        Self {
            wanted,
            total: 0,
            occurrences: 0,
            services: HashMap::new(),
            severities: severities.map(|severity| (severity, 0)).into(),
            states: Status::ALL.map(|status| (status, 0)).into(),
            new: 0,
            label: BTreeMap::new(),
        }
    }

    /// Counts an error, and tells whether it is wanted.
    fn count(&mut self, facts: &Facts<'a>, now: Timestamp) -> bool {
        let wanted = self.wanted;
        if wanted.seen_since.is_some_and(|since| facts.last_seen < since) {
            return false;
        }
        let service = wanted.services.is_empty() || wanted.services.contains(facts.service);
        let severity = wanted.severities.is_empty() || wanted.severities.contains(&facts.severity);
        let in_one = || wanted.states.iter().any(|choice| choice.has(facts, now));
        let state = wanted.states.is_empty() || in_one();
        if severity && state {
            *self.services.entry(facts.service).or_default() += 1;
        }
        if service && state {
            *self.severities.entry(facts.severity).or_default() += 1;
        }
        if service && severity {
            *self.states.entry(facts.status).or_default() += 1;
            self.new += usize::from(is_new(facts.status, facts.first_seen, now));
        }
        let is_wanted = service && severity && state;
        if is_wanted {
            self.total += 1;
            self.occurrences = self.occurrences.saturating_add(facts.total);
        }
        is_wanted
    }

    /// Counts the values that a wanted error has of the label that was asked for.
    fn count_label(&mut self, errors: Followed<'a>, entry: &Entry) {
        let Some(label) = &self.wanted.facet_label else { return };
        let Some(error) = errors.error(entry) else { return };
        let value = |source: SourceId| {
            let labels = errors.state.source(source).and_then(|source| source.labels());
            labels.map_or("", |labels| labels.get(label))
        };
        let sources = error.counts().iter().filter(|known| known.tally.count() > 0);
        let mut values: Vec<&str> = sources.map(|known| value(known.incarnation.source)).collect();
        values.sort_unstable();
        values.dedup();
        for value in values {
            *self.label.entry(value).or_default() += 1;
        }
    }

    fn facets(self) -> Facets<'a> {
        Facets {
            services: self.services.into_iter().collect(),
            severities: self.severities,
            states: self.states,
            new: self.new,
            label: self.label.into_iter().map(|(value, n)| (value.to_owned(), n)).collect(),
        }
    }
}
