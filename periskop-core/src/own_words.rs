//! What of a text is likely to be its own: its words with digits.
//!
//! Messages, URLs and header values of one kind differ in numbers, identifiers and times, and
//! resemble each other in everything else. Taken apart there, what they share is held once, in
//! memory as well as in the index.

use std::ops::Range;

/// Whether a byte is part of a word: ASCII letters and digits, `-` and `_`, so that a UUID or a
/// date is one word. Everything else, whatever is not ASCII included, stands between words.
pub(crate) fn is_part(byte: u8) -> bool {
    KINDS[usize::from(byte)] != BETWEEN
}

/// The places of the words of `text` that have a digit in them.
pub(crate) fn own_words(text: &[u8]) -> impl Iterator<Item = Range<usize>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        while at < text.len() {
            let start = at;
            let mut kinds = BETWEEN;
            while let Some(byte) = text.get(at) {
                let kind = KINDS[usize::from(*byte)];
                if kind == BETWEEN {
                    break;
                }
                kinds |= kind;
                at += 1;
            }
            if kinds & DIGIT != 0 {
                return Some(start..at);
            }
            at += usize::from(at == start);
        }
        None
    })
}

const BETWEEN: u8 = 0;
const LETTER: u8 = 1;
const DIGIT: u8 = 2;

const KINDS: [u8; 256] = {
    let mut kinds = [BETWEEN; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        kinds[byte as usize] = match byte {
            b'0'..=b'9' => DIGIT,
            b'a'..=b'z' | b'A'..=b'Z' | b'-' | b'_' => LETTER,
            _ => BETWEEN,
        };
        byte += 1;
    }
    kinds
};

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn words(text: &str) -> Vec<&str> {
        own_words(text.as_bytes()).map(|place| &text[place]).collect()
    }

    #[test]
    fn numbers_and_identifiers_are_own_and_the_words_around_them_are_not() {
        assert_eq!(
            words("cannot charge order 4711 of user x86_64: ünï9 no"),
            ["4711", "x86_64", "9"]
        );
        assert_eq!(words("https://h.example.com/api/v2/o?a=1&b=two"), ["v2", "1"]);
        assert_eq!(
            words("5d9893c6-51d6-11ea-8aad-f894c260afe5"),
            ["5d9893c6-51d6-11ea-8aad-f894c260afe5"]
        );
        assert_eq!(words("no-digit_here, nor -- there"), [""; 0]);
    }

    proptest! {
        #[test]
        fn own_words_are_whole_and_what_is_left_has_no_digit(text in "[a-c0-2 ./ü_-]{0,20}") {
            let bytes = text.as_bytes();
            let mut rest = bytes.to_vec();
            for place in own_words(bytes) {
                prop_assert!(bytes[place.clone()].iter().all(|byte| is_part(*byte)));
                prop_assert!(place.start == 0 || !is_part(bytes[place.start - 1]));
                prop_assert!(bytes.get(place.end).is_none_or(|byte| !is_part(*byte)));
                rest[place].fill(b' ');
            }
            prop_assert!(!rest.iter().any(u8::is_ascii_digit));
        }
    }
}
