//! One page of a list, and what it is a page of.

use std::cmp::Ordering;
use std::collections::BTreeMap;

use super::Followed;
use super::entry::Row;
use super::listing::{Place, Sort, Wanted};
use super::tally::{Cells, Chosen, Facets};
use crate::ids::{AggregateId, SourceId};
use crate::search::{ErrorNumber, ErrorSet};
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

pub(super) fn list<'a>(errors: Followed<'a>, wanted: &Wanted, now: Timestamp) -> Page<'a> {
    let catalogue = errors.catalogue;
    let chosen = Chosen::new(catalogue, wanted);
    let mut cells = Cells::new(catalogue.services.len());
    let mut labels = wanted.facet_label.as_deref().map(|label| LabelCounts::new(errors, label));
    let mut best = Best::new(errors, wanted);
    each(
        errors,
        wanted,
        |number, row| {
            if !chosen.counts(row) {
                return;
            }
            let class = row.class(now);
            cells.count(row, class);
            if !chosen.has(row, class) {
                return;
            }
            if let Some(labels) = &mut labels {
                labels.count(number);
            }
            best.offer(number, rank(errors, number, row, wanted.sort, now));
        },
        now,
    );
    let (page, is_last) = best.finish();
    let (total, occurrences) = cells.wanted(&chosen);
    let end = page.last().filter(|_| !is_last);
    let next = end.and_then(|one| Some((one.rank, catalogue.entry(one.number)?)));
    Page {
        next: next.map(|(rank, entry)| Place { rank, id: entry.id.clone() }),
        errors: page.iter().filter_map(|one| errors.error(one.number)).collect(),
        total,
        occurrences,
        facets: Facets {
            label: labels.map(LabelCounts::finish).unwrap_or_default(),
            ..cells.facets(catalogue, &chosen)
        },
    }
}

pub(super) fn all(errors: Followed<'_>, wanted: &Wanted, now: Timestamp) -> Vec<AggregateId> {
    let chosen = Chosen::new(errors.catalogue, wanted);
    let mut ids = Vec::new();
    each(
        errors,
        wanted,
        |number, row| {
            if chosen.counts(row) && chosen.has(row, row.class(now)) {
                ids.extend(errors.catalogue.entry(number).map(|entry| entry.id.clone()));
            }
        },
        now,
    );
    ids
}

/// Shows every error that the query finds, by number.
fn each(
    errors: Followed<'_>,
    wanted: &Wanted,
    mut visit: impl FnMut(ErrorNumber, &Row),
    now: Timestamp,
) {
    let found: ErrorSet;
    let found = if wanted.query.is_empty() {
        &errors.catalogue.all
    } else {
        found = wanted.query.find(&errors, now);
        &found
    };
    for number in found.iter() {
        if let Some(row) = errors.catalogue.row(number) {
            visit(number, row);
        }
    }
}

/// What an error is sorted by, as a whole number.
fn rank(errors: Followed<'_>, number: ErrorNumber, row: &Row, sort: Sort, now: Timestamp) -> i128 {
    match sort {
        Sort::LastSeen => row.last_seen.as_micros().into(),
        Sort::FirstSeen => row.first_seen.as_micros().into(),
        Sort::Count => row.total.into(),
        Sort::Rate if !row.is_rated(now) => 0,
        // Numbers that are not negative are in the order of their bits.
        Sort::Rate => errors.error(number).map_or(0, |error| error.rate(now).to_bits().into()),
    }
}

/// An error that may come onto the page.
#[derive(Clone, Copy)]
struct Ranked {
    rank: i128,
    number: ErrorNumber,
}

/// The first errors of a list, as they come by: never many more are kept than fill the page, and
/// nearly all others cost one comparison.
struct Best<'a, 'w> {
    errors: Followed<'a>,
    wanted: &'w Wanted,
    /// A page and one more, to know whether it is the last; and as many that came after.
    kept: Vec<Ranked>,
    /// The last of what is kept, once that is more than a page: whatever is behind it is out.
    last: Option<Ranked>,
}

impl<'a, 'w> Best<'a, 'w> {
    fn new(errors: Followed<'a>, wanted: &'w Wanted) -> Self {
        Self { errors, wanted, kept: Vec::new(), last: None }
    }

    fn offer(&mut self, number: ErrorNumber, rank: i128) {
        let one = Ranked { rank, number };
        if self.last.is_some_and(|last| self.order(&one, &last) == Ordering::Greater) {
            return;
        }
        if let Some(after) = &self.wanted.after
            && self.against(&one, after.rank, &after.id) != Ordering::Greater
        {
            return;
        }
        self.kept.push(one);
        if self.kept.len() > 2 * (self.wanted.limit + 1) {
            self.cut(self.wanted.limit + 1);
            self.last = self.kept.last().copied();
        }
    }

    /// The errors of the page in order, and whether there are no more.
    fn finish(mut self) -> (Vec<Ranked>, bool) {
        let is_last = self.kept.len() <= self.wanted.limit;
        self.cut(self.wanted.limit);
        let mut kept = std::mem::take(&mut self.kept);
        kept.sort_unstable_by(|a, b| self.order(a, b));
        (kept, is_last)
    }

    /// Keeps the first `n`, of which the last one stands at the end.
    fn cut(&mut self, n: usize) {
        let mut kept = std::mem::take(&mut self.kept);
        if let Some(last) = n.checked_sub(1)
            && kept.len() > n
        {
            kept.select_nth_unstable_by(last, |a, b| self.order(a, b));
        }
        kept.truncate(n);
        self.kept = kept;
    }

    fn order(&self, a: &Ranked, b: &Ranked) -> Ordering {
        self.by_rank(a.rank, b.rank).then_with(|| self.id(a).cmp(&self.id(b)))
    }

    /// Where an error stands against a place in the list.
    fn against(&self, one: &Ranked, rank: i128, id: &AggregateId) -> Ordering {
        self.by_rank(one.rank, rank).then_with(|| self.id(one).cmp(&Some(id)))
    }

    fn by_rank(&self, a: i128, b: i128) -> Ordering {
        if self.wanted.ascending { a.cmp(&b) } else { b.cmp(&a) }
    }

    fn id(&self, one: &Ranked) -> Option<&'a AggregateId> {
        self.errors.catalogue.entry(one.number).map(|entry| &entry.id)
    }
}

/// How many errors have which values of a label.
struct LabelCounts<'a, 'w> {
    errors: Followed<'a>,
    label: &'w str,
    values: BTreeMap<&'a str, usize>,
}

impl<'a, 'w> LabelCounts<'a, 'w> {
    fn new(errors: Followed<'a>, label: &'w str) -> Self {
        Self { errors, label, values: BTreeMap::new() }
    }

    fn count(&mut self, number: ErrorNumber) {
        let Some(error) = self.errors.error(number) else { return };
        let value = |source: SourceId| {
            let labels = self.errors.state.source(source).and_then(|source| source.labels());
            labels.map_or("", |labels| labels.get(self.label))
        };
        let sources = error.counts().iter().filter(|known| known.tally.count() > 0);
        let mut values: Vec<&str> = sources.map(|known| value(known.incarnation.source)).collect();
        values.sort_unstable();
        values.dedup();
        for value in values {
            *self.values.entry(value).or_default() += 1;
        }
    }

    fn finish(self) -> BTreeMap<String, usize> {
        self.values.into_iter().map(|(value, n)| (value.to_owned(), n)).collect()
    }
}
