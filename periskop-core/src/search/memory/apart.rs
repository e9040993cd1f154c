//! Texts taken apart into what is around their own words, and these words.

use super::DIVIDER;
use crate::own_words::own_words;

/// Stands for a word in the text around it, and ends one in a list of them: a byte that no text has.
pub(super) const SLOT: u8 = 0xfe;

/// A text with more words than this, or longer than this, is not taken apart.
const MOST_SLOTS: usize = 64;
const LONGEST: usize = 1024;

/// A text, taken apart.
pub(super) enum Apart {
    /// It has no own word.
    Shared,
    /// It is all its own.
    Whole,
    /// What is around its words was put into the one buffer, and the words into the other.
    Words,
}

/// Takes `text` apart. `around` is made anew; to `words` the words are added, each with a [`SLOT`]
/// behind it, and then a [`DIVIDER`].
pub(super) fn take_apart(text: &[u8], around: &mut Vec<u8>, words: &mut Vec<u8>) -> Apart {
    around.clear();
    let begin = words.len();
    let (mut from, mut slots) = (0, 0);
    if text.len() > LONGEST {
        return match own_words(text).next() {
            Some(_) => Apart::Whole,
            None => Apart::Shared,
        };
    }
    for place in own_words(text) {
        around.extend_from_slice(&text[from..place.start]);
        around.push(SLOT);
        from = place.end;
        words.extend_from_slice(&text[place]);
        words.push(SLOT);
        slots += 1;
    }
    around.extend_from_slice(&text[from..]);
    match slots {
        0 => Apart::Shared,
        1..=MOST_SLOTS => {
            words.push(DIVIDER);
            Apart::Words
        }
        _ => {
            words.truncate(begin);
            Apart::Whole
        }
    }
}

/// Puts a text together again, in `text`. `words` is one list, without its [`DIVIDER`].
pub(super) fn put_together(around: &[u8], words: &[u8], text: &mut Vec<u8>) {
    text.clear();
    let mut words = words.split(|byte| *byte == SLOT);
    for (at, part) in around.split(|byte| *byte == SLOT).enumerate() {
        if at > 0 {
            text.extend_from_slice(words.next().unwrap_or_default());
        }
        text.extend_from_slice(part);
    }
}
