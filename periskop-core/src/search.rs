//! The plug for finding errors by their texts.

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

use crate::ids::AggregateId;
use crate::state::State;
use crate::view::ErrorView;

/// Finds errors by any text that is kept of them.
///
/// # Contract
///
/// - What is searched of an error is its aggregation key and, of each kept occurrence, class,
///   message and every frame of the exception and of its causes, and method, URL, header names,
///   header values and body of the request. A query is found within one such text, never across
///   two.
/// - A query is taken literally, as a substring, without regard to case (Unicode's lowercase
///   mapping of both). The empty query finds every error.
/// - An answer is exact: every matching error, no other, each once, in the order of
///   [`AggregateId`]. It reflects every update that returned before.
/// - An update replaces all that is known of its error, so it may be repeated, and after an
///   unchanged one nothing is different. Removing what is not there does nothing.
/// - An index holds nothing that the state does not: it is filled from it at start, and nobody
///   stores it.
///
/// The suite `periskop_core::testing::search` (feature `testing`) checks an implementation.
pub trait SearchIndex: Send + Sync {
    /// Takes what is now known of an error.
    fn update(&mut self, error: ErrorView<'_>);

    /// Forgets an error.
    fn remove(&mut self, id: &AggregateId);

    /// The errors that have `query` in one of their texts.
    fn search(&self, query: &str) -> Vec<AggregateId>;
}

/// Brings an index up to date with what became of these errors, in whatever way.
pub fn refresh<'a>(
    index: &mut dyn SearchIndex,
    state: &State,
    changed: impl IntoIterator<Item = &'a AggregateId>,
) {
    for id in changed {
        match state.error(id) {
            Some(error) => index.update(error),
            None => index.remove(id),
        }
    }
}

/// A [`SearchIndex`] that looks at everything: each distinct text once.
///
/// Frames, classes and headers repeat in most occurrences, so the texts to look at are far fewer
/// than those that are kept. Texts are held in lower case.
#[derive(Debug, Default)]
pub struct ScanningIndex {
    texts: Interned,
    errors: BTreeMap<AggregateId, Box<[TextId]>>,
}

impl ScanningIndex {
    /// An index of nothing.
    pub fn new() -> Self {
        Self::default()
    }
}

impl SearchIndex for ScanningIndex {
    fn update(&mut self, error: ErrorView<'_>) {
        let mut texts = vec![self.texts.hold(error.key().as_str())];
        for occurrence in error.occurrences() {
            texts.extend(occurrence.texts().map(|text| self.texts.hold(text)));
        }
        // The new texts are held before the old ones are let go, so that those that stay are not
        // made anew.
        if let Some(old) = self.errors.insert(error.id(), texts.into()) {
            self.texts.release(&old);
        }
    }

    fn remove(&mut self, id: &AggregateId) {
        if let Some(old) = self.errors.remove(id) {
            self.texts.release(&old);
        }
    }

    fn search(&self, query: &str) -> Vec<AggregateId> {
        let query = query.to_lowercase();
        let found: Vec<bool> = self.texts.iter().map(|text| text.contains(&query)).collect();
        let matches = |texts: &[TextId]| texts.iter().any(|text| found[*text]);
        self.errors.iter().filter(|(_, texts)| matches(texts)).map(|(id, _)| id.clone()).collect()
    }
}

type TextId = usize;

/// Each distinct text once, with how often it is held.
#[derive(Debug, Default)]
struct Interned {
    ids: HashMap<Arc<str>, TextId>,
    slots: Vec<Slot>,
    free: Vec<TextId>,
}

#[derive(Debug, Default)]
struct Slot {
    text: Arc<str>,
    holders: usize,
}

impl Interned {
    fn hold(&mut self, text: &str) -> TextId {
        let text = text.to_lowercase();
        let id = match self.ids.get(text.as_str()) {
            Some(id) => *id,
            None => self.add(text.into()),
        };
        self.slots[id].holders += 1;
        id
    }

    fn add(&mut self, text: Arc<str>) -> TextId {
        let id = self.free.pop().unwrap_or_else(|| {
            self.slots.push(Slot::default());
            self.slots.len() - 1
        });
        self.slots[id].text = Arc::clone(&text);
        self.ids.insert(text, id);
        id
    }

    fn release(&mut self, texts: &[TextId]) {
        for id in texts {
            let slot = &mut self.slots[*id];
            slot.holders -= 1;
            if slot.holders == 0 {
                self.ids.remove(&slot.text);
                slot.text = Arc::default();
                self.free.push(*id);
            }
        }
    }

    /// The text of each id, `""` where an id is free.
    fn iter(&self) -> impl Iterator<Item = &str> {
        self.slots.iter().map(|slot| &*slot.text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    crate::search_conformance! { index: ScanningIndex::new() }

    #[test]
    fn a_text_lives_as_long_as_something_holds_it() {
        let mut texts = Interned::default();
        let first = texts.hold("One");
        assert_eq!(texts.hold("oNE"), first);
        let other = texts.hold("other");
        texts.release(&[first]);
        assert_eq!(texts.hold("one"), first, "one holder was left");
        texts.release(&[first, first]);
        assert_eq!(texts.iter().collect::<Vec<_>>(), ["", "other"]);
        assert_eq!(texts.hold("third"), first, "its place is used again");
        assert_ne!(first, other);
    }
}
