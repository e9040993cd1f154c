//! Texts as they are stored: any text, without the character that databases refuse.
//!
//! PostgreSQL's `text` and `jsonb` take no NUL, and its functions on `json` fail on one, which
//! would break the queries of people over everything else. So NUL is written as `␀0` (U+2400 and a
//! zero), and `␀` as `␀␀`.

use std::borrow::Cow;
use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};

pub(super) const MARK: char = '\u{2400}';
/// The first byte of the mark.
const MARK_BEGINS: u8 = 0xe2;

/// A text as it is stored.
pub fn escape(text: &str) -> Cow<'_, str> {
    // Most of what is stored is text, and hardly any of it has one of them. Bytes that cannot
    // begin them are found out about many at a time.
    let may_begin_one = |byte| byte == 0 || byte == MARK_BEGINS;
    if !text.bytes().fold(false, |found, byte| found | may_begin_one(byte))
        || !text.contains(['\0', MARK])
    {
        return Cow::Borrowed(text);
    }
    let mut escaped = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '\0' => escaped.extend([MARK, '0']),
            MARK => escaped.extend([MARK, MARK]),
            c => escaped.push(c),
        }
    }
    Cow::Owned(escaped)
}

/// The text that was stored. A mark that [`escape`] has not made stands for itself.
pub fn unescape(stored: &str) -> Cow<'_, str> {
    // A byte is looked for many times as fast as a character.
    if memchr::memchr(MARK_BEGINS, stored.as_bytes()).is_none() || !stored.contains(MARK) {
        return Cow::Borrowed(stored);
    }
    let mut text = String::with_capacity(stored.len());
    let mut rest = stored.chars().peekable();
    while let Some(c) = rest.next() {
        match (c, rest.peek()) {
            (MARK, Some('0')) => {
                rest.next();
                text.push('\0');
            }
            (MARK, Some(&MARK)) => {
                rest.next();
                text.push(MARK);
            }
            (c, _) => text.push(c),
        }
    }
    Cow::Owned(text)
}

/// A text in a document: escaped when it is written, as it was when it has been read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text<'a>(pub Cow<'a, str>);

impl<'a> Text<'a> {
    /// As a text of its own.
    pub fn into_string(self) -> String {
        self.0.into_owned()
    }
}

impl<'a> From<&'a str> for Text<'a> {
    fn from(text: &'a str) -> Self {
        Self(Cow::Borrowed(text))
    }
}

impl<'a> From<Cow<'a, str>> for Text<'a> {
    fn from(text: Cow<'a, str>) -> Self {
        Self(text)
    }
}

impl Serialize for Text<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&escape(&self.0))
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Text<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Text<'de>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_borrowed_str<E: de::Error>(self, text: &'de str) -> Result<Text<'de>, E> {
                Ok(Text(unescape(text)))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Text<'de>, E> {
                Ok(Text(Cow::Owned(unescape(text).into_owned())))
            }
        }
        deserializer.deserialize_str(Visitor)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_text_without_nul_is_stored_as_it_is() {
        assert!(matches!(escape("häagen \u{1}\n"), Cow::Borrowed(_)));
        assert_eq!(escape("a\0b␀0"), "a␀0b␀␀0");
    }

    proptest! {
        #[test]
        fn every_text_comes_back(text in "[\0␀0a]{0,12}|\\PC{0,20}") {
            let stored = escape(&text);
            prop_assert!(!stored.contains('\0'));
            prop_assert_eq!(unescape(&stored), text.as_str());
            let json = serde_json::to_string(&Text::from(text.as_str())).unwrap();
            prop_assert_eq!(serde_json::from_str::<Text<'_>>(&json).unwrap().0, text);
        }

        #[test]
        fn every_stored_text_is_read(stored in "[␀0a]{0,12}") {
            let _ = unescape(&stored);
        }
    }
}
