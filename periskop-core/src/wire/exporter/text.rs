//! Texts inside JSON: found, and decoded as far as somebody wants them.

use std::borrow::Cow;

/// The inside of a string, checked but not decoded.
#[derive(Clone, Copy, Debug)]
pub(super) struct Text<'a> {
    raw: &'a [u8],
    escaped: bool,
}

impl<'a> Text<'a> {
    /// `raw` holds no control character, and a backslash only if it is `escaped`, in whole escapes.
    pub(super) fn new(raw: &'a [u8], escaped: bool) -> Self {
        Self { raw, escaped }
    }

    /// The inside of a string that may be cut off or wrong: its escapes are read where they can be.
    pub(crate) fn of_raw(raw: &'a [u8]) -> Self {
        Self { raw, escaped: true }
    }

    /// The bytes between the quotes, as they are written.
    pub(super) fn raw(self) -> &'a [u8] {
        self.raw
    }

    /// The text, borrowed where it is written as it reads. Each maximal run of bytes that is no
    /// UTF-8 and each lone surrogate becomes U+FFFD.
    pub(super) fn decode(self) -> Cow<'a, str> {
        if !self.escaped {
            return lossy(self.raw);
        }
        let mut text = String::with_capacity(self.raw.len());
        unescape(self.raw, usize::MAX, &mut text);
        Cow::Owned(text)
    }

    /// The text if it has at most `limit` bytes, else somewhat more than its first `limit` bytes:
    /// whatever its length, no more than that is ever allocated.
    pub(super) fn decode_about(self, limit: usize) -> Cow<'a, str> {
        if !self.escaped {
            return lossy(&self.raw[..self.raw.len().min(limit + 4)]);
        }
        let mut text = String::with_capacity(self.raw.len().min(limit + 8));
        unescape(self.raw, limit, &mut text);
        Cow::Owned(text)
    }
}

/// `String::from_utf8_lossy`, which takes its time also where nothing is wrong.
fn lossy(bytes: &[u8]) -> Cow<'_, str> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Cow::Borrowed(text),
        Err(_) => String::from_utf8_lossy(bytes),
    }
}

/// Where the next quote, backslash or control character is: 32 bytes at a step where there is none,
/// then eight.
pub(super) fn find_special(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(many) = bytes[at..].first_chunk::<32>() {
        // Looked at all the same where one has been found, which the machine does at once.
        let found = many
            .iter()
            .fold(false, |found, byte| found | (*byte == b'"') | (*byte == b'\\') | (*byte < b' '));
        if found {
            break;
        }
        at += 32;
    }
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let word = u64::from_le_bytes(*eight);
        let found = has_byte(word, b'"') | has_byte(word, b'\\') | has_below_space(word);
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|b| !matches!(b, b'"' | b'\\' | 0..=0x1F)) {
        at += 1;
    }
    at
}

fn find_backslash(bytes: &[u8], from: usize) -> usize {
    let mut at = from;
    while let Some(eight) = bytes[at..].first_chunk::<8>() {
        let found = has_byte(u64::from_le_bytes(*eight), b'\\');
        if found != 0 {
            return at + found.trailing_zeros() as usize / 8;
        }
        at += 8;
    }
    while bytes.get(at).is_some_and(|b| *b != b'\\') {
        at += 1;
    }
    at
}

const EACH: u64 = 0x0101_0101_0101_0101;
const HIGH: u64 = 0x8080_8080_8080_8080;

/// The high bit of the first byte that equals `byte`. A borrow may set later ones too; the first
/// is always right.
fn has_byte(word: u64, byte: u8) -> u64 {
    let word = word ^ (EACH * u64::from(byte));
    word.wrapping_sub(EACH) & !word & HIGH
}

/// The high bit of the first byte below 0x20, with the same reservation.
fn has_below_space(word: u64) -> u64 {
    word.wrapping_sub(EACH * 0x20) & !word & HIGH
}

/// Appends the text that `raw` stands for until it is longer than `enough`. What is no escape is
/// taken as it is.
fn unescape(raw: &[u8], enough: usize, text: &mut String) {
    let mut at = 0;
    while at < raw.len() && text.len() <= enough {
        let plain_end = find_backslash(raw, at);
        if plain_end > at {
            let room = enough.saturating_sub(text.len()).saturating_add(4);
            let end = plain_end.min(at.saturating_add(room));
            text.push_str(&lossy(&raw[at..end]));
            at = end;
            continue;
        }
        let (character, length) = escape(&raw[at..]);
        text.push(character);
        at += length;
    }
}

/// The character of the escape that `raw` begins with, and the escape's length.
fn escape(raw: &[u8]) -> (char, usize) {
    match raw.get(1) {
        Some(b'b') => ('\u{8}', 2),
        Some(b'f') => ('\u{c}', 2),
        Some(b'n') => ('\n', 2),
        Some(b'r') => ('\r', 2),
        Some(b't') => ('\t', 2),
        Some(b'u') => match hex4(&raw[2..]) {
            Some(high @ 0xD800..=0xDBFF) => match raw.get(6..8) {
                Some(b"\\u") => match hex4(&raw[8..]) {
                    Some(low @ 0xDC00..=0xDFFF) => {
                        let code = 0x1_0000 + ((high - 0xD800) << 10) + (low - 0xDC00);
                        (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 12)
                    }
                    _ => (char::REPLACEMENT_CHARACTER, 6),
                },
                _ => (char::REPLACEMENT_CHARACTER, 6),
            },
            Some(code) => (char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER), 6),
            None => ('u', 2),
        },
        Some(b'"') => ('"', 2),
        Some(b'/') => ('/', 2),
        // A backslash, or none of JSON's escapes, which only a cut or broken text has.
        Some(b'\\') => ('\\', 2),
        _ => ('\\', 1),
    }
}

/// Four hexadecimal digits.
pub(super) fn hex4(bytes: &[u8]) -> Option<u32> {
    bytes.get(..4)?.iter().try_fold(0, |code, b| Some(code << 4 | char::from(*b).to_digit(16)?))
}

#[cfg(test)]
mod tests {
    use super::super::reader::{Reader, Value};
    use super::*;

    fn text_of(json: &[u8]) -> Text<'_> {
        match Reader::new(json).value() {
            Ok(Value::String(text)) => text,
            other => panic!("no string: {other:?}"),
        }
    }

    #[test]
    fn specials_are_found_at_every_place_in_a_word() {
        for place in 0..40 {
            for special in [b'"', b'\\', 0, 0x1F] {
                let mut bytes = [0x80_u8; 40];
                bytes[place] = special;
                assert_eq!(find_special(&bytes, 0), place);
            }
            let mut bytes = [b'!'; 40];
            bytes[place] = b'\\';
            assert_eq!((find_special(&bytes, 0), find_backslash(&bytes, 0)), (place, place));
        }
        assert_eq!(find_special(&[0x20, 0x7F, 0xFF, b'#'].repeat(10), 0), 40);
    }

    #[test]
    fn texts_decode_as_javascript_reads_them_and_never_fail() {
        let decode = |json: &[u8]| text_of(json).decode().into_owned();
        assert_eq!(decode(br#""a\"\\\/\b\f\n\r\t\u00e4z""#), "a\"\\/\u{8}\u{c}\n\r\täz");
        assert_eq!(decode(br#""\ud83d\ude00""#), "😀");
        assert_eq!(decode(br#""\ud83d\ud83d\ude00\ude00x""#), "\u{fffd}😀\u{fffd}x");
        assert_eq!(decode(b"\"a\xFFb\xE2\x82c\\n\xC3\""), "a\u{fffd}b\u{fffd}c\n\u{fffd}");
        assert!(matches!(text_of(b"\"plain\"").decode(), Cow::Borrowed(_)));
        for broken in [&b"\\"[..], b"\\u12", b"\\q", b"\\ud83d\\u", b"\\ud83d\\"] {
            Text::of_raw(broken).decode();
        }
    }

    #[test]
    fn no_more_than_a_limit_is_decoded() {
        for json in [format!("\"{}\"", "ä".repeat(1000)), format!("\"{}\"", "\\u00e4".repeat(1000))]
        {
            let text = text_of(json.as_bytes());
            let some = text.decode_about(10);
            assert!((11..20).contains(&some.len()), "{}", some.len());
            assert!(some.starts_with("äääää"));
            assert_eq!(text.decode_about(2000), "ä".repeat(1000));
        }
    }
}
