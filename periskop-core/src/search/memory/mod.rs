//! The index that answers people while they type.
//!
//! What is searched of an error is of two kinds. Frames, classes and header names are the same in
//! thousands of errors, and so is what is around the numbers and identifiers of messages, URLs and
//! header values ([`apart`]): each such text is held once ([`vocabulary`]), and a query looks at it
//! once. The numbers and identifiers are an error's own: they lie folded, end to end, in large segments
//! ([`segments`]), and only those errors are looked at that may match by their trigrams ([`grams`]).
//! What is found neither among these nor among those lies across both ([`across`]).
//!
//! Nothing is kept of what is removed: texts are overwritten at once.

mod across;
mod apart;
mod gathered;
mod grams;
mod segments;
mod vocabulary;

#[cfg(test)]
mod tests;

use memchr::memmem::Finder;

use self::across::Way;
use self::apart::{SLOT, put_together};
use self::gathered::{Gathered, LaidOut};
use self::grams::{Grams, Signature};
use self::segments::{SEGMENT, Segments};
use self::vocabulary::Vocabulary;
use super::{ErrorNumber, ErrorSet, SearchIndex, fold};
use crate::view::ErrorView;

/// A [`SearchIndex`] in memory that is fast for any query.
///
/// Its cost follows what is distinct: an update costs the texts of one error, a query the distinct
/// texts that errors share and the own texts of those that may match.
pub struct MemoryIndex {
    /// Texts that repeat by their nature, those without an own word in them, and what is around the
    /// own words of others.
    shared: Vocabulary,
    /// Of each error what is its own: the words of one text after the other, each with a [`SLOT`]
    /// behind it, or a whole text, with a [`DIVIDER`] after each text.
    own: Segments<u8>,
    /// Of each error what its own texts are like, in their order: what is around them, by its number
    /// in `shared`, or [`WHOLE`], and how many bytes there are of that.
    layouts: Segments<u32>,
    /// What `own` consists of.
    grams: Grams,
    known: ErrorSet,
}

/// Ends a text: a byte that no text has, so that nothing is found across two.
const DIVIDER: u8 = 0xff;

/// Nothing is around a text that is all its own. No text of the vocabulary has this number.
const WHOLE: u32 = u32::MAX;

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
            layouts: Segments::new(size / size_of::<u32>(), 0),
            grams: Grams::default(),
            known: ErrorSet::new(),
        }
    }

    /// What it takes in memory, in bytes.
    pub fn bytes(&self) -> usize {
        self.shared.bytes() + self.own.bytes() + self.layouts.bytes() + self.grams.bytes()
    }

    fn own(&self, error: ErrorNumber) -> &[u8] {
        self.own.get(error.index()).unwrap_or_default()
    }

    /// What is around some own texts of an error, and they themselves, each with its [`DIVIDER`].
    fn groups(&self, error: ErrorNumber) -> impl Iterator<Item = (u32, &[u8])> {
        let mut own = self.own(error);
        let layout = self.layouts.get(error.index()).unwrap_or_default();
        layout.chunks_exact(2).map(move |group| {
            let (texts, rest) = own.split_at(group[1] as usize);
            own = rest;
            (group[0], texts)
        })
    }

    /// Adds those of `left` that have what is looked for across own words and what is around them.
    fn find_across(&self, text: &[u8], left: &ErrorSet, found: &mut ErrorSet) {
        for way in Way::all(text) {
            // Which texts may be around it, and where: by number, for there are many errors to ask.
            let mut places: Vec<Vec<usize>> = Vec::new();
            let mut chosen = vec![0_u32; self.shared.len()];
            self.shared.find_texts(&Finder::new(&way.around), |number| {
                places.push(way.places(self.shared.text(number)));
                chosen[number as usize] = index(places.len());
            });
            if places.is_empty() {
                continue;
            }
            let places_in = |around: u32| {
                let chosen = chosen.get(around as usize).copied().unwrap_or_default();
                (chosen as usize).checked_sub(1).map(|at| &places[at])
            };
            let mut left = left.clone();
            left.subtract(found);
            way.words.iter().for_each(|word| self.grams.narrow(word.part(), &mut left));
            let row = way.row();
            let row = Finder::new(&row);
            let has = |number: &ErrorNumber| {
                self.groups(*number).any(|(around, texts)| {
                    places_in(around).is_some_and(|places| way.fits(&row, places, texts))
                })
            };
            left.iter().filter(has).for_each(|number| found.insert(number));
        }
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
        gathered.add(error.key().as_str().into());
        for occurrence in error.occurrences() {
            gathered.add_occurrence(occurrence);
        }
        let LaidOut { mut shared, own, layout } = gathered.laid_out();
        self.shared.set(number, &mut shared);
        self.grams.set(number, &Signature::of(own.split(|byte| matches!(*byte, SLOT | DIVIDER))));
        self.own.put(number.index(), &own);
        self.layouts.put(number.index(), &layout);
        self.known.insert(number);
    }

    fn remove(&mut self, number: ErrorNumber) {
        if !self.known.contains(number) {
            return;
        }
        self.shared.remove(number);
        self.grams.set(number, &Signature::of([]));
        self.own.remove(number.index());
        self.layouts.remove(number.index());
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
        let mut whole = left.clone();
        self.grams.narrow(text.as_bytes(), &mut whole);
        let matching = whole.iter().filter(|number| finder.find(self.own(*number)).is_some());
        matching.for_each(|number| found.insert(number));
        self.find_across(text.as_bytes(), &left, &mut found);
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
        let mut text = Vec::new();
        for number in left.iter() {
            let matching = self.groups(number).any(|(around, texts)| match around {
                WHOLE => lists(texts).any(|whole| matches(text_of(whole))),
                _ => lists(texts).any(|words| {
                    put_together(self.shared.text(around), words, &mut text);
                    matches(text_of(&text))
                }),
            });
            if matching {
                found.insert(number);
            }
        }
        found
    }
}

/// As it is kept: what an error has, and what all have, is less than four gigabytes.
fn index(n: usize) -> u32 {
    u32::try_from(n).expect("payloads are smaller than that")
}

/// Texts, or lists of words, without the [`DIVIDER`] that each has.
fn lists(mut texts: &[u8]) -> impl Iterator<Item = &[u8]> {
    std::iter::from_fn(move || {
        let end = memchr::memchr(DIVIDER, texts)?;
        let list = &texts[..end];
        texts = &texts[end + 1..];
        Some(list)
    })
}

/// As the text that it was.
fn text_of(list: &[u8]) -> &str {
    std::str::from_utf8(list).expect("it was written from one")
}
