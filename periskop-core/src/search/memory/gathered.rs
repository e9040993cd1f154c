//! What the texts of an error are, gathered from its occurrences, which mostly resemble each other.
//!
//! What occurrences have in common is held once by the state, so it is known again by where it lies:
//! it is folded and looked up once for an error, not once for each occurrence.

use std::borrow::Cow;
use std::ops::Range;

use hashbrown::{HashMap, HashSet};

use super::apart::{Apart, SLOT, take_apart};
use super::vocabulary::Vocabulary;
use super::{DIVIDER, WHOLE, index};
use crate::search::fold;
use crate::texts::{OccurrenceView, OwnText, SLOT_BYTE};

/// The texts of an error.
pub(super) struct Gathered<'a, 'v> {
    shared: &'v mut Vocabulary,
    /// Those that are shared.
    numbers: Vec<u32>,
    /// Those with own words in them: what is around them, and where in `words` they are.
    apart: Vec<(u32, Range<usize>)>,
    words: Vec<u8>,
    /// Those that are all its own, each with a [`DIVIDER`] behind it.
    whole: Vec<u8>,
    /// What was seen already, by where it lies.
    skeletons: Vec<usize>,
    repeating: HashSet<usize>,
    around: HashMap<usize, Around>,
    /// What was seen already of the rest.
    texts: HashSet<Cow<'a, str>>,
    folded: Vec<u8>,
}

/// What is around own words, as it is known to the index.
#[derive(Clone, Copy)]
enum Around {
    /// By this number.
    Known(u32),
    /// There are no own words: it is a text that is shared.
    Alone,
    /// Not at all: folded, the text may have other words.
    Unknown,
}

impl<'a, 'v> Gathered<'a, 'v> {
    pub(super) fn new(shared: &'v mut Vocabulary) -> Self {
        Self {
            shared,
            numbers: Vec::new(),
            apart: Vec::new(),
            words: Vec::new(),
            whole: Vec::new(),
            skeletons: Vec::new(),
            repeating: HashSet::new(),
            around: HashMap::new(),
            texts: HashSet::new(),
            folded: Vec::new(),
        }
    }

    pub(super) fn add_occurrence(&mut self, occurrence: OccurrenceView<'a>) {
        if !self.skeletons.contains(&occurrence.skeleton_address()) {
            self.skeletons.push(occurrence.skeleton_address());
            for text in occurrence.repeating_texts() {
                if self.repeating.insert(text.as_ptr().addr()) {
                    self.numbers.push(self.shared.number(fold(text).as_bytes()));
                }
            }
        }
        occurrence.own_texts_apart().for_each(|text| self.add_own(text));
    }

    fn add_own(&mut self, text: OwnText<'a>) {
        let Some(around) = text.around() else { return self.add(text.whole()) };
        let known = match self.around.get(&around.as_ptr().addr()) {
            Some(known) => *known,
            None => {
                let known = self.around(around);
                self.around.insert(around.as_ptr().addr(), known);
                known
            }
        };
        match known {
            Around::Alone => {}
            Around::Unknown => self.add(text.whole()),
            Around::Known(number) => {
                let start = self.words.len();
                for word in text.words() {
                    word.extend(&mut self.words);
                    self.words.push(SLOT);
                }
                // What ends a word is no letter.
                self.words[start..].make_ascii_lowercase();
                self.words.push(DIVIDER);
                self.apart.push((number, start..self.words.len()));
            }
        }
    }

    /// Looks up what the state holds as being around own words. Own words are ASCII, and so are their
    /// borders where what is around them is: then folding moves none.
    fn around(&mut self, around: &str) -> Around {
        if !around.is_ascii() {
            return Around::Unknown;
        }
        let fold = |byte: u8| if byte == SLOT_BYTE { SLOT } else { byte.to_ascii_lowercase() };
        self.folded.clear();
        self.folded.extend(around.bytes().map(fold));
        let number = self.shared.number(&self.folded);
        if self.folded.contains(&SLOT) {
            return Around::Known(number);
        }
        self.numbers.push(number);
        Around::Alone
    }

    /// Adds a text of which nothing is known.
    pub(super) fn add(&mut self, text: Cow<'a, str>) {
        if self.texts.contains(&text) {
            return;
        }
        let text = self.texts.get_or_insert(text);
        let text = fold(text);
        let start = self.words.len();
        match take_apart(text.as_bytes(), &mut self.folded, &mut self.words) {
            Apart::Shared => self.numbers.push(self.shared.number(text.as_bytes())),
            Apart::Words => {
                self.apart.push((self.shared.number(&self.folded), start..self.words.len()));
            }
            Apart::Whole => {
                self.whole.extend_from_slice(text.as_bytes());
                self.whole.push(DIVIDER);
            }
        }
    }

    /// All of them, laid out as the index keeps them.
    pub(super) fn laid_out(self) -> LaidOut {
        let Self { mut numbers, mut apart, words, whole, .. } = self;
        let text = |(around, place): &(u32, Range<usize>)| (*around, &words[place.clone()]);
        apart.sort_unstable_by(|a, b| text(a).cmp(&text(b)));
        apart.dedup_by(|a, b| text(a) == text(b));
        let (mut own, mut layout) = (Vec::new(), Vec::new());
        for group in apart.chunk_by(|a, b| a.0 == b.0) {
            layout.extend([group[0].0, index(group.iter().map(|(_, place)| place.len()).sum())]);
            group.iter().for_each(|at| own.extend_from_slice(text(at).1));
            numbers.push(group[0].0);
        }
        if !whole.is_empty() {
            layout.extend([WHOLE, index(whole.len())]);
            own.extend_from_slice(&whole);
        }
        LaidOut { shared: numbers, own, layout }
    }
}

/// What the index keeps of an error.
pub(super) struct LaidOut {
    /// The numbers of texts that it shares with others, and of what is around its own words.
    pub(super) shared: Vec<u32>,
    /// What is its own, texts of one kind next to each other.
    pub(super) own: Vec<u8>,
    /// Of which kind, and how many bytes.
    pub(super) layout: Vec<u32>,
}
