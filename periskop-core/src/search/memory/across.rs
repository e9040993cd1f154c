//! What is looked for, where it begins or ends within an own word and goes on around it.
//!
//! Words are told from what is around them by their bytes alone (`own_words`), in texts as well as in
//! what is looked for. So it is known of each word of the latter where it can be found: one with a
//! digit only among own words, one without a digit only around them, and the first and the last,
//! which may go on in a text, in both, if they have no digit. That leaves four ways at most, and
//! each is a plain search in the texts that are around own words.

use memchr::memmem::Finder;

use super::DIVIDER;
use super::apart::SLOT;
use crate::own_words::is_part;

/// One way in which a text may have what is looked for across its own words.
#[derive(Clone)]
pub(super) struct Way<'q> {
    /// What must be around the words, with a [`SLOT`] for each of them.
    pub(super) around: Vec<u8>,
    /// What the words must be like, in order; never empty.
    pub(super) words: Vec<Word<'q>>,
}

/// What an own word must be like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Word<'q> {
    /// It ends so: what is looked for begins within it.
    Ends(&'q [u8]),
    /// It is this.
    Is(&'q [u8]),
    /// It begins so: what is looked for ends within it.
    Begins(&'q [u8]),
}

impl<'q> Word<'q> {
    /// What is part of the word in any case.
    pub(super) fn part(self) -> &'q [u8] {
        match self {
            Self::Ends(part) | Self::Is(part) | Self::Begins(part) => part,
        }
    }
}

impl<'q> Way<'q> {
    /// The ways in which `text` can be found across own words and what is around them. None, if
    /// it lies within a word or between two.
    pub(super) fn all(text: &'q [u8]) -> Vec<Self> {
        let runs: Vec<&[u8]> = text.chunk_by(|a, b| is_part(*a) == is_part(*b)).collect();
        if runs.len() < 2 {
            return Vec::new();
        }
        let mut ways = vec![Way { around: Vec::new(), words: Vec::new() }];
        for (at, run) in runs.iter().copied().enumerate() {
            let is_word = is_part(run[0]);
            let has_digit = run.iter().any(u8::is_ascii_digit);
            let is_edge = at == 0 || at + 1 == runs.len();
            let word = match at {
                0 => Word::Ends(run),
                _ if is_edge => Word::Begins(run),
                _ => Word::Is(run),
            };
            let as_word = is_word && (has_digit || is_edge);
            let as_it_is = !is_word || !has_digit;
            let plain: Vec<_> = if as_it_is { ways.clone() } else { Vec::new() };
            if !as_word {
                ways.clear();
            }
            for way in &mut ways {
                way.around.push(SLOT);
                way.words.push(word);
            }
            ways.extend(plain.into_iter().map(|mut way| {
                way.around.extend_from_slice(run);
                way
            }));
        }
        ways.retain(|way| !way.words.is_empty());
        ways
    }

    /// Where in `around`, which has [`Self::around`] in it, that may be: how many words come before.
    pub(super) fn places(&self, around: &[u8]) -> Vec<usize> {
        let finder = Finder::new(&self.around);
        // Each from the byte after the one before, so that what overlaps is found as well.
        let (mut from, mut places) = (0, Vec::new());
        while let Some(at) = finder.find(&around[from..]) {
            places.push(slots(&around[..from + at]));
            from += at + 1;
        }
        places.dedup();
        places
    }

    /// The words as they lie in a list, as much of them as is known.
    pub(super) fn row(&self) -> Vec<u8> {
        let mut row = Vec::new();
        for word in &self.words {
            row.extend_from_slice(word.part());
            if !matches!(word, Word::Begins(_)) {
                row.push(SLOT);
            }
        }
        row
    }

    /// Whether one of several lists of words, each with a [`DIVIDER`] behind it, fits at one of these
    /// places. `row` finds [`Self::row`].
    pub(super) fn fits(&self, row: &Finder<'_>, places: &[usize], lists: &[u8]) -> bool {
        let mut from = 0;
        while let Some(at) = row.find(&lists[from..]) {
            let at = from + at;
            let list = memchr::memrchr(DIVIDER, &lists[..at]).map_or(0, |end| end + 1);
            let before = &lists[list..at];
            let begins = before.last().is_none_or(|byte| *byte == SLOT);
            if (begins || matches!(self.words[..], [Word::Ends(_), ..]))
                && places.contains(&slots(before))
            {
                return true;
            }
            from = at + 1;
        }
        false
    }
}

/// How many words come before what follows.
fn slots(text: &[u8]) -> usize {
    text.iter().filter(|byte| **byte == SLOT).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ways(text: &str) -> Vec<(String, Vec<Word<'_>>)> {
        fn shown(way: Way<'_>) -> (String, Vec<Word<'_>>) {
            let shown = |byte: &u8| if *byte == SLOT { '*' } else { char::from(*byte) };
            (way.around.iter().map(shown).collect(), way.words)
        }
        Way::all(text.as_bytes()).into_iter().map(shown).collect()
    }

    #[test]
    fn a_word_with_a_digit_is_own_and_those_at_the_ends_may_go_on() {
        assert_eq!(ways("order"), []);
        assert_eq!(ways("1234"), []);
        assert_eq!(ways(" = "), []);
        assert_eq!(
            ways("order 1"),
            [
                ("* *".into(), vec![Word::Ends(b"order"), Word::Begins(b"1")]),
                ("order *".into(), vec![Word::Begins(b"1")]),
            ]
        );
        assert_eq!(ways(": of 12 to "), [(": of * to ".into(), vec![Word::Is(b"12")])]);
        assert_eq!(
            ways("a/b"),
            [
                ("*/*".into(), vec![Word::Ends(b"a"), Word::Begins(b"b")]),
                ("a/*".into(), vec![Word::Begins(b"b")]),
                ("*/b".into(), vec![Word::Ends(b"a")]),
            ]
        );
    }

    #[test]
    fn a_way_fits_where_its_words_do() {
        let around = b"a \xfe of \xfe of \xfe";
        let ways = Way::all(b"2 of 3");
        let [way] = &ways[..] else { panic!("{} ways", ways.len()) };
        let places = way.places(around);
        assert_eq!(places, [0, 1]);
        let row = way.row();
        let row = Finder::new(&row);
        for (words, fits) in [
            (&b"12\xfe34\xfe5\xfe"[..], true),
            (b"1\xfe2\xfe3\xfe", true),
            (b"1\xfe3\xfe2\xfe", false),
            (b"2\xfe2\xfe2\xfe", false),
            (b"2\xfe2\xfe2\xfe\xff7\xfe2\xfe33\xfe", true),
            (b"1\xfe9\xfe2\xfe\xff3\xfe1\xfe1\xfe", false),
        ] {
            assert_eq!(way.fits(&row, &places, words), fits, "{}", String::from_utf8_lossy(words));
        }
    }

    #[test]
    fn a_word_that_is_whole_is_no_part_of_another() {
        let ways = Way::all(b": of 12 to ");
        let [way] = &ways[..] else { panic!("{} ways", ways.len()) };
        let row = way.row();
        let row = Finder::new(&row);
        for (words, fits) in [
            (&b"12\xfe\xff"[..], true),
            (b"112\xfe\xff", false),
            (b"123\xfe\xff", false),
            (b"112\xfe\xff12\xfe\xff", true),
            (b"1\xfe12\xfe\xff", false),
        ] {
            assert_eq!(way.fits(&row, &[0], words), fits, "{}", String::from_utf8_lossy(words));
        }
    }
}
