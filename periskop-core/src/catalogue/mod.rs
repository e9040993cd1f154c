//! The errors of a state, ready to be found, counted and listed.
//!
//! A state is made for merging: what a list shows of an error (its total, its state) has to be
//! worked out from who counted what and from what people did. Here it is worked out when an error
//! changes, so that lists cost a look at a few bytes an error, whatever the errors hold, and a
//! search is an index's business.
//!
//! Nothing in it is knowledge of its own: it follows the state, delta by delta, and holds nothing
//! that is not listed there.

mod entry;
mod lately;
mod listing;
mod page;
mod services;
mod tally;
#[cfg(test)]
mod tests;

use hashbrown::HashMap;

pub use listing::{BadCursor, Choice, Place, Sort, Wanted};
pub use page::Page;
pub use services::Service;
pub use tally::Facets;

use crate::ids::AggregateId;
use crate::observer::Pruned;
use crate::query::{Facts, Indexed, Query};
use crate::search::{ErrorNumber, ErrorSet, SearchIndex};
use crate::state::{Delta, State};
use crate::time::Timestamp;
use crate::view::ErrorView;
use entry::{Entry, Row};
use lately::Lately;
use services::Services;

/// Which errors there are. See the [module](self).
pub struct Catalogue {
    index: Box<dyn SearchIndex>,
    /// By number, as are the entries. Apart, because all of them are looked at for each list.
    rows: Vec<Option<Row>>,
    entries: Vec<Option<Entry>>,
    services: Services,
    numbers: HashMap<AggregateId, ErrorNumber>,
    /// Numbers that stand for no error at present.
    free: Vec<ErrorNumber>,
    all: ErrorSet,
    /// Those that the index does not know yet, or as they were.
    unindexed: ErrorSet,
}

/// Of a delta with more errors than this texts are indexed later: nobody is to wait for that.
const INDEXED_AT_ONCE: usize = 256;

impl Catalogue {
    /// A catalogue of nothing, which finds texts with `index`, which is new as well.
    pub fn new(index: impl SearchIndex + 'static) -> Self {
        Self {
            index: Box::new(index),
            rows: Vec::new(),
            entries: Vec::new(),
            services: Services::default(),
            numbers: HashMap::new(),
            free: Vec::new(),
            all: ErrorSet::new(),
            unindexed: ErrorSet::new(),
        }
    }

    /// Follows what became known: `state` has grown by `delta`.
    ///
    /// Where that is many errors at once, their texts are left to [`index_some`](Self::index_some).
    pub fn take(&mut self, state: &State, delta: &Delta) {
        let is_much = delta.changed().len() > INDEXED_AT_ONCE;
        for id in delta.touched() {
            let texts = match delta.changed().contains(&id) {
                true if is_much => Texts::Later,
                true => Texts::Now,
                false => Texts::Same,
            };
            self.refresh(state, id, texts);
        }
    }

    /// Follows what was forgotten: `state` has let go of `pruned`.
    pub fn take_pruned(&mut self, state: &State, pruned: &Pruned) {
        for id in pruned.incarnations.keys() {
            self.refresh(state, id.clone(), Texts::Now);
        }
    }

    /// Begins anew with all of `state`: after it was loaded, or keeps another number of
    /// occurrences. Texts are left to [`index_some`](Self::index_some), which takes the most time.
    pub fn take_all(&mut self, state: &State) {
        let is_gone = |id: &&AggregateId| state.error(id).is_none();
        let gone: Vec<AggregateId> = self.numbers.keys().filter(is_gone).cloned().collect();
        let known = state.errors().map(ErrorView::id);
        for id in known.chain(gone) {
            self.refresh(state, id, Texts::Later);
        }
    }

    /// Of how many errors the texts are left to [`index_some`](Self::index_some).
    pub fn unindexed(&self) -> usize {
        self.unindexed.len()
    }

    /// Indexes the texts of at most `most` errors that were left for later; whether some are still
    /// left. Until none is, whatever asks for texts looks at those that are left one by one: its answer
    /// is the same, but not as soon.
    pub fn index_some(&mut self, state: &State, most: usize) -> bool {
        let some: Vec<_> = self.unindexed.iter().take(most).collect();
        for number in some {
            self.unindexed.remove(number);
            let id = self.entry(number).map(|entry| &entry.id);
            if let Some(error) = id.and_then(|id| state.error(id)) {
                self.index.update(number, error);
            }
        }
        !self.unindexed.is_empty()
    }

    /// How many errors are listed.
    pub fn len(&self) -> usize {
        self.numbers.len()
    }

    /// Whether none is.
    pub fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The errors of `state` that are wanted, counted, and one page of them. `state` is the one
    /// that this follows.
    pub fn list<'a>(&'a self, state: &'a State, wanted: &Wanted, now: Timestamp) -> Page<'a> {
        page::list(Followed { catalogue: self, state }, wanted, now)
    }

    /// Every error that is wanted, by number; the sort, the page and its size make no difference.
    pub fn all_wanted(&self, state: &State, wanted: &Wanted, now: Timestamp) -> Vec<AggregateId> {
        page::all(Followed { catalogue: self, state }, wanted, now)
    }

    /// The errors that a query finds.
    pub fn find(&self, state: &State, query: &Query, now: Timestamp) -> ErrorSet {
        query.find(&Followed { catalogue: self, state }, now)
    }

    /// What the errors of each service are together, of those services that have any.
    pub fn services(&self, now: Timestamp) -> Vec<Service<'_>> {
        services::list(self, now)
    }

    /// Shows at most `most` errors to `look`, those whose numbers are not below `from`, and tells where
    /// the next ones begin; `None` if there are none. For whoever wants to see all of them and not to
    /// hold up what changes them: what comes or changes meanwhile is seen or not, nothing is seen twice.
    pub fn some<'a>(
        &'a self,
        state: &'a State,
        from: ErrorNumber,
        most: usize,
        mut look: impl FnMut(ErrorView<'a>),
    ) -> Option<ErrorNumber> {
        let entries = self.entries.get(from.index()..)?;
        for entry in entries.iter().take(most).flatten() {
            if let Some(error) = state.error(&entry.id) {
                look(error);
            }
        }
        let next = from.index().saturating_add(most);
        let is_end = next >= self.entries.len();
        u32::try_from(next).ok().filter(|_| !is_end).map(ErrorNumber)
    }

    /// What is known of every error at a glance, by number.
    pub fn facts(&self, now: Timestamp) -> impl Iterator<Item = Facts<'_>> {
        let known = self.rows.iter().zip(&self.entries);
        known.filter_map(move |(row, entry)| Some(row.as_ref()?.facts(&entry.as_ref()?.id, now)))
    }

    fn row(&self, number: ErrorNumber) -> Option<&Row> {
        self.rows.get(number.index())?.as_ref()
    }

    fn entry(&self, number: ErrorNumber) -> Option<&Entry> {
        self.entries.get(number.index())?.as_ref()
    }

    fn refresh(&mut self, state: &State, id: AggregateId, texts: Texts) {
        let known = self.numbers.get(&id).copied();
        let Some(error) = state.error(&id) else {
            if let Some(number) = known {
                self.numbers.remove(&id);
                self.put(number, None);
                self.all.remove(number);
                self.unindexed.remove(number);
                self.index.remove(number);
                self.free.push(number);
            }
            return;
        };
        let number = known.unwrap_or_else(|| self.number(id.clone()));
        let row = Row::of(error, self.services.number(&id.service));
        let lately = Lately::of(error, &row);
        self.put(number, Some((row, Entry { id, lately })));
        match texts {
            Texts::Same if known.is_some() => {}
            Texts::Later => self.unindexed.insert(number),
            Texts::Same | Texts::Now => {
                self.unindexed.remove(number);
                self.index.update(number, error);
            }
        }
    }

    /// Puts what is known of an error now in place of what was.
    fn put(&mut self, number: ErrorNumber, now: Option<(Row, Entry)>) {
        let (row, entry) = now.unzip();
        let before = std::mem::replace(&mut self.rows[number.index()], row);
        let old = std::mem::replace(&mut self.entries[number.index()], entry);
        let new = self.entries[number.index()].as_ref();
        self.services.replace(number, before.zip(old.as_ref()), row.zip(new));
    }

    /// A number for an error that has none.
    fn number(&mut self, id: AggregateId) -> ErrorNumber {
        let number = self.free.pop().unwrap_or_else(|| {
            self.rows.push(None);
            self.entries.push(None);
            let last = self.rows.len() - 1;
            ErrorNumber(u32::try_from(last).expect("2^32 errors need more memory than there is"))
        });
        self.numbers.insert(id, number);
        self.all.insert(number);
        number
    }
}

/// What becomes of the texts of an error that has changed.
#[derive(Clone, Copy)]
enum Texts {
    /// They are as they were.
    Same,
    Now,
    Later,
}

/// A catalogue with the state that it follows.
#[derive(Clone, Copy)]
struct Followed<'a> {
    catalogue: &'a Catalogue,
    state: &'a State,
}

impl<'a> Followed<'a> {
    /// A look at an error; none at what the state has let go of meanwhile.
    fn error(self, number: ErrorNumber) -> Option<ErrorView<'a>> {
        self.state.error(&self.catalogue.entry(number)?.id)
    }
}

impl Indexed for Followed<'_> {
    fn all(&self) -> &ErrorSet {
        &self.catalogue.all
    }

    fn index(&self) -> &dyn SearchIndex {
        &*self.catalogue.index
    }

    fn unindexed(&self) -> &ErrorSet {
        &self.catalogue.unindexed
    }

    fn facts(&self, number: ErrorNumber, now: Timestamp) -> Option<Facts<'_>> {
        let catalogue = self.catalogue;
        Some(catalogue.row(number)?.facts(&catalogue.entry(number)?.id, now))
    }

    fn view(&self, number: ErrorNumber) -> Option<ErrorView<'_>> {
        self.error(number)
    }

    fn state(&self) -> &State {
        self.state
    }
}
