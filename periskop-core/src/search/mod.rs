//! The plug for finding errors by their texts.

mod fold;
mod memory;
mod set;

use std::collections::BTreeMap;
use std::sync::Arc;

use hashbrown::HashMap;

pub use fold::fold;
pub use memory::MemoryIndex;
pub use set::{ErrorNumber, ErrorSet};

use crate::view::ErrorView;

/// Finds errors by any text that is kept of them.
///
/// # Contract
///
/// - What is searched of an error is its aggregation key and, of each kept occurrence, class,
///   message and every frame of the exception and of its causes, and method, URL, header names,
///   header values and body of the request. What is asked for is found within one such text, never
///   across two.
/// - Texts are searched in the form that [`fold`] gives them, so that case makes no difference.
/// - An answer is exact: every matching error and no other. It reflects every update that
///   returned before.
/// - Errors go by numbers, which whoever holds the index gives to them. An update replaces all that
///   is known of the error with this number, so it may be repeated, and after an unchanged one
///   nothing is different. Removing what is not there does nothing; the number may then stand for
///   another error.
/// - An index holds nothing that the state does not: it is filled from it at start, and nobody
///   stores it.
///
/// The suite `periskop_core::testing::search` (feature `testing`) checks an implementation.
pub trait SearchIndex: Send + Sync {
    /// Takes what is now known of an error.
    fn update(&mut self, number: ErrorNumber, error: ErrorView<'_>);

    /// Forgets an error.
    fn remove(&mut self, number: ErrorNumber);

    /// The errors that have `text` in one of their texts. It is taken literally, as a substring; the
    /// empty one is part of every text.
    fn search(&self, text: &str) -> ErrorSet;

    /// The errors one of whose texts, in the form that [`fold`] gives it, is a match by `matches`.
    /// With `within`, only among these.
    fn scan(&self, within: Option<&ErrorSet>, matches: &(dyn Fn(&str) -> bool + Sync)) -> ErrorSet;
}

/// A [`SearchIndex`] that looks at everything: each distinct text once.
///
/// Frames, classes and headers repeat in most occurrences, so the texts to look at are far fewer
/// than those that are kept. Texts are held in lower case.
#[derive(Debug, Default)]
pub struct ScanningIndex {
    texts: Interned,
    errors: BTreeMap<ErrorNumber, Box<[TextId]>>,
}

impl ScanningIndex {
    /// An index of nothing.
    pub fn new() -> Self {
        Self::default()
    }
}

impl SearchIndex for ScanningIndex {
    fn update(&mut self, number: ErrorNumber, error: ErrorView<'_>) {
        let mut texts = vec![self.texts.hold(error.key().as_str())];
        for occurrence in error.occurrences() {
            texts.extend(occurrence.texts().map(|text| self.texts.hold(&text)));
        }
        // The new texts are held before the old ones are let go, so that those that stay are not
        // made anew.
        if let Some(old) = self.errors.insert(number, texts.into()) {
            self.texts.release(&old);
        }
    }

    fn remove(&mut self, number: ErrorNumber) {
        if let Some(old) = self.errors.remove(&number) {
            self.texts.release(&old);
        }
    }

    fn search(&self, text: &str) -> ErrorSet {
        let folded = fold(text);
        self.scan(None, &|text| text.contains(&*folded))
    }

    fn scan(&self, within: Option<&ErrorSet>, matches: &(dyn Fn(&str) -> bool + Sync)) -> ErrorSet {
        let found: Vec<bool> = self.texts.iter().map(matches).collect();
        let errors = self.errors.iter().filter(|(number, texts)| {
            within.is_none_or(|within| within.contains(**number))
                && texts.iter().any(|text| found[*text])
        });
        errors.map(|(number, _)| *number).collect()
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
        let text = fold(text);
        let id = match self.ids.get(&*text) {
            Some(id) => *id,
            None => self.add(text.as_ref().into()),
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
