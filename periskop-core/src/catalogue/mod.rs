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
mod listing;
mod page;
#[cfg(test)]
mod tests;

use hashbrown::HashMap;

pub use listing::{BadCursor, Choice, Place, Sort, Wanted};
pub use page::{Facets, Page};

use crate::ids::AggregateId;
use crate::observer::Pruned;
use crate::query::{Facts, Indexed, Query};
use crate::search::{ErrorNumber, ErrorSet, SearchIndex};
use crate::state::{Delta, State};
use crate::time::Timestamp;
use crate::view::ErrorView;
use entry::Entry;

/// Which errors there are. See the [module](self).
pub struct Catalogue {
    index: Box<dyn SearchIndex>,
    /// By number.
    entries: Vec<Option<Entry>>,
    numbers: HashMap<AggregateId, ErrorNumber>,
    /// Numbers that stand for no error at present.
    free: Vec<ErrorNumber>,
    all: ErrorSet,
}

impl Catalogue {
    /// A catalogue of nothing, which finds texts with `index`, which is new as well.
    pub fn new(index: impl SearchIndex + 'static) -> Self {
        Self {
            index: Box::new(index),
            entries: Vec::new(),
            numbers: HashMap::new(),
            free: Vec::new(),
            all: ErrorSet::new(),
        }
    }

    /// Follows what became known: `state` has grown by `delta`.
    pub fn take(&mut self, state: &State, delta: &Delta) {
        for id in delta.touched() {
            let has_new_texts = delta.changed().contains(&id);
            self.refresh(state, id, has_new_texts);
        }
    }

    /// Follows what was forgotten: `state` has let go of `pruned`.
    pub fn take_pruned(&mut self, state: &State, pruned: &Pruned) {
        for id in pruned.incarnations.keys() {
            self.refresh(state, id.clone(), true);
        }
    }

    /// Begins anew with all of `state`: after it was loaded, or keeps another number of
    /// occurrences.
    pub fn take_all(&mut self, state: &State) {
        let is_gone = |id: &&AggregateId| state.error(id).is_none();
        let gone: Vec<AggregateId> = self.numbers.keys().filter(is_gone).cloned().collect();
        let known = state.errors().map(ErrorView::id);
        for id in known.chain(gone) {
            self.refresh(state, id, true);
        }
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

    /// What is known of every error at a glance, by number.
    pub fn facts(&self, now: Timestamp) -> impl Iterator<Item = Facts<'_>> {
        self.entries.iter().flatten().map(move |entry| entry.facts(now))
    }

    fn entry(&self, number: ErrorNumber) -> Option<&Entry> {
        self.entries.get(number.index())?.as_ref()
    }

    fn refresh(&mut self, state: &State, id: AggregateId, has_new_texts: bool) {
        let known = self.numbers.get(&id).copied();
        let Some(error) = state.error(&id) else {
            if let Some(number) = known {
                self.numbers.remove(&id);
                self.entries[number.index()] = None;
                self.all.remove(number);
                self.index.remove(number);
                self.free.push(number);
            }
            return;
        };
        let number = known.unwrap_or_else(|| self.number(id));
        self.entries[number.index()] = Some(Entry::of(error));
        if has_new_texts || known.is_none() {
            self.index.update(number, error);
        }
    }

    /// A number for an error that has none.
    fn number(&mut self, id: AggregateId) -> ErrorNumber {
        let number = self.free.pop().unwrap_or_else(|| {
            self.entries.push(None);
            let last = self.entries.len() - 1;
            ErrorNumber(u32::try_from(last).expect("2^32 errors need more memory than there is"))
        });
        self.numbers.insert(id, number);
        self.all.insert(number);
        number
    }
}

/// A catalogue with the state that it follows.
#[derive(Clone, Copy)]
struct Followed<'a> {
    catalogue: &'a Catalogue,
    state: &'a State,
}

impl<'a> Followed<'a> {
    /// The entry of an error, and a look at it; none for what the state has let go of meanwhile.
    fn entry(self, number: ErrorNumber) -> Option<&'a Entry> {
        self.catalogue.entry(number)
    }

    fn error(self, entry: &Entry) -> Option<ErrorView<'a>> {
        self.state.error(entry.id())
    }
}

impl Indexed for Followed<'_> {
    fn all(&self) -> &ErrorSet {
        &self.catalogue.all
    }

    fn index(&self) -> &dyn SearchIndex {
        &*self.catalogue.index
    }

    fn facts(&self, number: ErrorNumber, now: Timestamp) -> Option<Facts<'_>> {
        self.catalogue.entry(number).map(|entry| entry.facts(now))
    }

    fn view(&self, number: ErrorNumber) -> Option<ErrorView<'_>> {
        self.error(self.entry(number)?)
    }

    fn state(&self) -> &State {
        self.state
    }
}
