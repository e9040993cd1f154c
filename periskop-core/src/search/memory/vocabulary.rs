//! Texts that many errors have: each is held, and looked at, once.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};
use memchr::memmem::Finder;

use super::apart::SLOT;
use super::segments::Segments;
use super::{DIVIDER, text_of};
use crate::search::{ErrorNumber, ErrorSet};

/// Distinct texts by small numbers, and which error has which.
///
/// Texts that came together have numbers in a row, and they come together again: frames of a stack,
/// headers of a request. So what an error has is kept as a few runs of numbers.
pub(super) struct Vocabulary {
    texts: Segments<u8>,
    /// How many errors have each.
    holders: Vec<u32>,
    free: Vec<u32>,
    numbers: HashTable<u32>,
    hasher: DefaultHashBuilder,
    /// What each error has; see [`runs`].
    of_errors: Segments<u32>,
}

/// Marks the first number of a run; the number after the last one follows. A number without it
/// stands for itself.
const RUN: u32 = 1 << 31;

impl Vocabulary {
    pub(super) fn new(segment: usize) -> Self {
        Self {
            texts: Segments::new(segment, DIVIDER),
            holders: Vec::new(),
            free: Vec::new(),
            numbers: HashTable::new(),
            hasher: DefaultHashBuilder::default(),
            of_errors: Segments::new(segment / size_of::<u32>(), 0),
        }
    }

    /// The number of a text, which must be given to an error by [`Vocabulary::set`] before
    /// anything else is done, or it is never let go.
    pub(super) fn number(&mut self, text: &[u8]) -> u32 {
        let Self { texts, numbers, hasher, .. } = self;
        let hash = hasher.hash_one(text);
        let same = |number: &u32| text_at(texts, *number) == text;
        if let Some(number) = numbers.find(hash, same) {
            return *number;
        }
        let number = self.free.pop().unwrap_or_else(|| {
            self.holders.push(0);
            u32::try_from(self.holders.len() - 1)
                .ok()
                .filter(|n| *n < RUN)
                .expect("memory ends before")
        });
        let mut list = Vec::with_capacity(text.len() + 1);
        list.extend_from_slice(text);
        list.push(DIVIDER);
        texts.put(number as usize, &list);
        numbers.insert_unique(hash, number, |number| hasher.hash_one(text_at(texts, *number)));
        number
    }

    /// Makes these all that an error has. Their order and how often they occur make no difference.
    pub(super) fn set(&mut self, error: ErrorNumber, numbers: &mut Vec<u32>) {
        numbers.sort_unstable();
        numbers.dedup();
        let new = runs(numbers);
        let old = self.of_errors.get(error.index()).unwrap_or_default().to_vec();
        if old == new && !new.is_empty() {
            return;
        }
        // Those that stay are held by both for a moment, so that they are not made anew.
        numbers.iter().for_each(|number| self.holders[*number as usize] += 1);
        self.of_errors.put(error.index(), &new);
        self.release(&old);
    }

    /// Takes away all that an error has.
    pub(super) fn remove(&mut self, error: ErrorNumber) {
        let old = self.of_errors.get(error.index()).unwrap_or_default().to_vec();
        self.of_errors.remove(error.index());
        self.release(&old);
    }

    /// All numbers of texts are below this.
    pub(super) fn len(&self) -> usize {
        self.holders.len()
    }

    /// A text by its number.
    pub(super) fn text(&self, number: u32) -> &[u8] {
        text_at(&self.texts, number)
    }

    /// Calls `found` with the number of every text in which there is what is looked for.
    pub(super) fn find_texts(&self, finder: &Finder<'_>, mut found: impl FnMut(u32)) {
        self.texts.find(finder, |number| found(index(number)));
    }

    /// Adds the errors that have a text in which there is what is looked for.
    pub(super) fn find(&self, finder: &Finder<'_>, errors: &mut ErrorSet) {
        let mut chosen = Chosen::none_of(self.holders.len());
        self.texts.find(finder, |number| chosen.choose(number));
        self.add_errors(&chosen, None, errors);
    }

    /// Adds the errors that have a text that matches; with `within`, only among these.
    pub(super) fn scan(
        &self,
        within: Option<&ErrorSet>,
        matches: &dyn Fn(&str) -> bool,
        errors: &mut ErrorSet,
    ) {
        let mut chosen = Chosen::none_of(self.holders.len());
        match within {
            None => {
                let whole = |list: &[u8]| !list.contains(&SLOT);
                let matching = self
                    .texts
                    .iter()
                    .filter(|(_, list)| whole(list) && matches(text_of(without_divider(list))));
                matching.for_each(|(number, _)| chosen.choose(number));
            }
            Some(within) => {
                let mut asked = vec![false; self.holders.len()];
                let lists = within.iter().filter_map(|error| self.of_errors.get(error.index()));
                for number in lists.flat_map(ranges).flatten() {
                    let number = number as usize;
                    if !std::mem::replace(&mut asked[number], true)
                        && self.texts.get(number).is_some_and(|list| {
                            !list.contains(&SLOT) && matches(text_of(without_divider(list)))
                        })
                    {
                        chosen.choose(number);
                    }
                }
            }
        }
        self.add_errors(&chosen, within, errors);
    }

    /// What it takes in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.texts.bytes()
            + self.of_errors.bytes()
            + (self.holders.capacity() + self.free.capacity()) * size_of::<u32>()
            + self.numbers.allocation_size()
    }

    fn add_errors(&self, chosen: &Chosen, within: Option<&ErrorSet>, errors: &mut ErrorSet) {
        let Some(chosen) = chosen.counted() else { return };
        let number = |error: usize| ErrorNumber(index(error));
        match within {
            None => {
                let having = self.of_errors.iter().filter(|(_, list)| chosen.is_in(list));
                having.for_each(|(error, _)| errors.insert(number(error)));
            }
            Some(within) => {
                let list = |error: &ErrorNumber| self.of_errors.get(error.index());
                let having = |error: &ErrorNumber| list(error).is_some_and(|l| chosen.is_in(l));
                within.iter().filter(having).for_each(|error| errors.insert(error));
            }
        }
    }

    fn release(&mut self, list: &[u32]) {
        for number in ranges(list).flatten() {
            let holders = &mut self.holders[number as usize];
            *holders -= 1;
            if *holders > 0 {
                continue;
            }
            let hash = self.hasher.hash_one(text_at(&self.texts, number));
            if let Ok(entry) = self.numbers.find_entry(hash, |known| *known == number) {
                entry.remove();
            }
            self.texts.remove(number as usize);
            self.free.push(number);
        }
    }

    /// Everything that lies in memory.
    #[cfg(test)]
    pub(super) fn memory(&self) -> impl Iterator<Item = &[u8]> {
        self.texts.memory()
    }
}

/// Some of the texts.
struct Chosen {
    /// For each whether it is chosen.
    chosen: Vec<bool>,
    first: usize,
    last: usize,
}

/// The same, so that any range of them can be asked about at once.
struct Counted {
    /// For each how many before it are chosen.
    before: Vec<u32>,
    first: u32,
    last: u32,
}

impl Chosen {
    fn none_of(texts: usize) -> Self {
        Self { chosen: vec![false; texts], first: usize::MAX, last: 0 }
    }

    fn choose(&mut self, number: usize) {
        self.chosen[number] = true;
        self.first = self.first.min(number);
        self.last = self.last.max(number);
    }

    /// `None` if none is chosen.
    fn counted(&self) -> Option<Counted> {
        if self.first > self.last {
            return None;
        }
        let mut before = Vec::with_capacity(self.chosen.len() + 1);
        let mut count = 0;
        before.push(0);
        before.extend(self.chosen.iter().map(|chosen| {
            count += u32::from(*chosen);
            count
        }));
        Some(Counted { before, first: index(self.first), last: index(self.last) })
    }
}

impl Counted {
    fn is_in(&self, list: &[u32]) -> bool {
        ranges(list).any(|range| {
            range.start <= self.last
                && range.end > self.first
                && self.before[range.start as usize] != self.before[range.end as usize]
        })
    }
}

/// Sorted numbers as runs: one that stands alone as it is, more in a row as the first, marked with
/// [`RUN`], and the one after the last.
fn runs(numbers: &[u32]) -> Vec<u32> {
    let mut runs = Vec::new();
    for run in numbers.chunk_by(|a, b| a + 1 == *b) {
        match *run {
            [] => {}
            [one] => runs.push(one),
            [first, .., last] => runs.extend([first | RUN, last + 1]),
        }
    }
    runs
}

/// The runs that [`runs`] wrote.
fn ranges(mut list: &[u32]) -> impl Iterator<Item = std::ops::Range<u32>> {
    std::iter::from_fn(move || match *list {
        [first, end, ref rest @ ..] if first & RUN != 0 => {
            list = rest;
            Some(first & !RUN..end)
        }
        [one, ref rest @ ..] => {
            list = rest;
            Some(one..one + 1)
        }
        [] => None,
    })
}

fn text_at(texts: &Segments<u8>, number: u32) -> &[u8] {
    without_divider(texts.get(number as usize).unwrap_or_default())
}

fn without_divider(list: &[u8]) -> &[u8] {
    list.split_last().map(|(_, text)| text).unwrap_or_default()
}

fn index(n: usize) -> u32 {
    u32::try_from(n).expect("there are no more than numbers for them")
}

#[cfg(test)]
mod tests {
    use super::*;

    const ONE: ErrorNumber = ErrorNumber(1);
    const TWO: ErrorNumber = ErrorNumber(2);

    fn give(vocabulary: &mut Vocabulary, error: ErrorNumber, texts: &[&str]) -> Vec<u32> {
        let mut numbers: Vec<_> =
            texts.iter().map(|text| vocabulary.number(text.as_bytes())).collect();
        vocabulary.set(error, &mut numbers);
        numbers
    }

    fn found(vocabulary: &Vocabulary, text: &str) -> Vec<u32> {
        let mut errors = ErrorSet::new();
        vocabulary.find(&Finder::new(text), &mut errors);
        errors.iter().map(|error| error.0).collect()
    }

    #[test]
    fn what_stands_in_a_row_is_a_run() {
        let numbers = [0, 1, 2, 5, 7, 8];
        assert_eq!(runs(&numbers), [RUN, 3, 5, 7 | RUN, 9]);
        assert_eq!(ranges(&runs(&numbers)).flatten().collect::<Vec<_>>(), numbers);
    }

    #[test]
    fn a_text_lives_as_long_as_an_error_has_it() {
        let mut vocabulary = Vocabulary::new(64);
        let first = give(&mut vocabulary, ONE, &["shared", "one", "shared", ""]);
        assert_eq!(first, [0, 1, 2]);
        assert_eq!(give(&mut vocabulary, TWO, &["shared"]), [0]);
        assert_eq!(found(&vocabulary, "hare"), [1, 2]);
        give(&mut vocabulary, ONE, &["other"]);
        assert_eq!(found(&vocabulary, "hare"), [2]);
        assert_eq!(found(&vocabulary, "one"), [0; 0]);
        vocabulary.remove(TWO);
        assert_eq!(found(&vocabulary, "hare"), [0; 0]);
        assert_eq!(vocabulary.numbers.len(), 1, "only what is held is known");
        let there: Vec<u8> = vocabulary.memory().flatten().copied().collect();
        assert_eq!(there.iter().filter(|byte| **byte != DIVIDER).count(), "other".len());
        assert_eq!(give(&mut vocabulary, TWO, &["again"]).len(), 1);
        assert_eq!(vocabulary.holders.len(), 4, "numbers are used again");
    }

    #[test]
    fn a_scan_asks_about_each_text_once_and_only_about_those_within() {
        let mut vocabulary = Vocabulary::new(64);
        give(&mut vocabulary, ONE, &["shared", "one"]);
        give(&mut vocabulary, TWO, &["shared", "two"]);
        for (within, expected) in [(None, 3), (Some([TWO].into_iter().collect::<ErrorSet>()), 2)] {
            let asked = std::cell::RefCell::new(Vec::new());
            let mut errors = ErrorSet::new();
            let matches = |text: &str| {
                asked.borrow_mut().push(text.to_owned());
                text == "shared"
            };
            vocabulary.scan(within.as_ref(), &matches, &mut errors);
            assert_eq!(asked.borrow().len(), expected);
            assert_eq!(errors.len(), if within.is_some() { 1 } else { 2 });
        }
    }
}
