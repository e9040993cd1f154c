//! The index that answers people while they type.
//!
//! What is searched of an error is of two kinds. Frames, classes, header names and most header
//! values are the same in thousands of errors: each such text is held once ([`vocabulary`]), and a
//! query looks at it once. Texts with numbers and identifiers in them are an error's own: they
//! lie folded, end to end, in large segments ([`segments`]), and only those errors are looked at
//! that may match by their trigrams ([`grams`]).
//!
//! Nothing is kept of what is removed: texts are overwritten at once.

mod grams;
mod segments;
mod vocabulary;

#[cfg(test)]
mod tests;

use hashbrown::HashSet;
use memchr::memmem::Finder;

use self::grams::{Grams, Signature};
use self::segments::{SEGMENT, Segments};
use self::vocabulary::Vocabulary;
use super::{ErrorNumber, ErrorSet, SearchIndex, fold};
use crate::texts::OccurrenceView;
use crate::view::ErrorView;

/// A [`SearchIndex`] in memory that is fast for any query.
///
/// Its cost follows what is distinct: an update costs the texts of one error, a query the distinct
/// texts that errors share and the own texts of those that may match.
pub struct MemoryIndex {
    /// Texts that repeat by their nature, and others without an own word in them.
    shared: Vocabulary,
    /// Of each error its other texts, each once, with a [`DIVIDER`] after each.
    own: Segments<u8>,
    /// What `own` consists of.
    grams: Grams,
    known: ErrorSet,
}

/// Ends a text: a byte that no text has, so that nothing is found across two.
const DIVIDER: u8 = 0xff;

/// A word of at least this many letters and digits, one of them a digit, is not expected in other
/// errors. A shorter one (`v2`, `443`, an octet) is.
const OWN_WORD: usize = 4;

impl MemoryIndex {
    /// An index of nothing.
    pub fn new() -> Self {
        Self::with_segments(SEGMENT)
    }

    /// The same with segments of this many bytes.
    fn with_segments(size: usize) -> Self {
        Self {
            shared: Vocabulary::new(size),
            own: Segments::new(size, DIVIDER),
            grams: Grams::default(),
            known: ErrorSet::new(),
        }
    }

    /// What it takes in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.shared.bytes() + self.own.bytes() + self.grams.bytes()
    }

    fn own(&self, error: ErrorNumber) -> &[u8] {
        self.own.get(error.index()).unwrap_or_default()
    }
}

impl Default for MemoryIndex {
    fn default() -> Self {
        Self::new()
    }
}

impl SearchIndex for MemoryIndex {
    fn update(&mut self, number: ErrorNumber, error: ErrorView<'_>) {
        let mut gathered = Gathered::new(&mut self.shared);
        gathered.add(error.key().as_str());
        for occurrence in error.occurrences() {
            gathered.add_occurrence(occurrence);
        }
        let Gathered { mut numbers, own, .. } = gathered;
        self.shared.set(number, &mut numbers);
        self.grams.set(number, &Signature::of(own.split(|byte| *byte == DIVIDER)));
        self.own.put(number.index(), &own);
        self.known.insert(number);
    }

    fn remove(&mut self, number: ErrorNumber) {
        if !self.known.contains(number) {
            return;
        }
        self.shared.remove(number);
        self.grams.set(number, &Signature::of([]));
        self.own.remove(number.index());
        self.known.remove(number);
    }

    fn search(&self, text: &str) -> ErrorSet {
        let text = fold(text);
        if text.is_empty() {
            return self.known.clone();
        }
        let finder = Finder::new(text.as_bytes());
        let mut found = ErrorSet::new();
        self.shared.find(&finder, &mut found);
        let mut left = self.known.clone();
        left.subtract(&found);
        self.grams.narrow(text.as_bytes(), &mut left);
        let matching = left.iter().filter(|number| finder.find(self.own(*number)).is_some());
        matching.for_each(|number| found.insert(number));
        found
    }

    fn scan(&self, within: Option<&ErrorSet>, matches: &(dyn Fn(&str) -> bool + Sync)) -> ErrorSet {
        let mut found = ErrorSet::new();
        self.shared.scan(within, matches, &mut found);
        let mut left = self.known.clone();
        if let Some(within) = within {
            left.intersect(within);
        }
        left.subtract(&found);
        for number in left.iter() {
            let mut texts = self.own(number).split_inclusive(|byte| *byte == DIVIDER);
            if texts.any(|list| matches(text_of(list))) {
                found.insert(number);
            }
        }
        found
    }
}

/// What an error consists of.
struct Gathered<'a, 'v> {
    shared: &'v mut Vocabulary,
    /// Those of its texts that are shared.
    numbers: Vec<u32>,
    /// The others, with a [`DIVIDER`] after each.
    own: Vec<u8>,
    /// What was seen already: most occurrences of an error resemble each other.
    skeletons: Vec<usize>,
    texts: HashSet<&'a str>,
}

impl<'a, 'v> Gathered<'a, 'v> {
    fn new(shared: &'v mut Vocabulary) -> Self {
        Self {
            shared,
            numbers: Vec::new(),
            own: Vec::new(),
            skeletons: Vec::new(),
            texts: HashSet::new(),
        }
    }

    fn add_occurrence(&mut self, occurrence: OccurrenceView<'a>) {
        if !self.skeletons.contains(&occurrence.skeleton_address()) {
            self.skeletons.push(occurrence.skeleton_address());
            for text in occurrence.repeating_texts() {
                self.numbers.push(self.shared.number(&fold(text)));
            }
        }
        occurrence.own_texts().for_each(|text| self.add(text));
    }

    /// Adds a text that is not known to repeat.
    fn add(&mut self, text: &'a str) {
        if !self.texts.insert(text) {
            return;
        }
        let text = fold(text);
        if has_own_word(&text) {
            self.own.extend_from_slice(text.as_bytes());
            self.own.push(DIVIDER);
        } else {
            self.numbers.push(self.shared.number(&text));
        }
    }
}

/// Whether a text has a word in it that is not expected in other errors.
fn has_own_word(text: &str) -> bool {
    text.as_bytes()
        .split(|byte| !byte.is_ascii_alphanumeric())
        .any(|word| word.len() >= OWN_WORD && word.iter().any(u8::is_ascii_digit))
}

/// A text that lies before its [`DIVIDER`].
fn text_of(list: &[u8]) -> &str {
    let text = list.split_last().map(|(_, text)| text).unwrap_or_default();
    std::str::from_utf8(text).expect("it was written from one")
}
