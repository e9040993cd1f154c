//! Texts that somebody else wrote.
//!
//! Invariant: names, messages, frames and whatever else comes from a target reaches a page only
//! as a [`Text`], and a `Text` is shown with every character that would hide, reorder or overprint
//! others made visible. HTML escaping is the templates' and always on.

use std::fmt::{self, Write};

/// A text of unknown origin.
///
/// `Display` writes it on one line; [`Text::block`] keeps its line breaks.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text {
    shown: String,
    clipped: bool,
}

impl Text {
    /// The whole of `text`.
    pub fn new(text: impl Into<String>) -> Self {
        Self { shown: text.into(), clipped: false }
    }

    /// The first `longest` characters of `text`; what follows becomes `…`.
    pub fn clip(text: &str, longest: usize) -> Self {
        match text.char_indices().nth(longest) {
            None => Self::new(text),
            Some((cut, _)) => Self { shown: text[..cut].to_owned(), clipped: true },
        }
    }

    /// The first characters of `text` that take no more room in a page than `longest` plain ones:
    /// what is escaped or made visible is longer there than it is.
    pub fn brief(text: &str, longest: usize) -> Self {
        let mut left = longest;
        for (cut, c) in text.char_indices() {
            let width = match c {
                '<' | '>' | '&' | '"' | '\'' => 5,
                c if is_hidden(c) => 10,
                c => c.len_utf8(),
            };
            if width > left {
                return Self { shown: text[..cut].to_owned(), clipped: true };
            }
            left -= width;
        }
        Self::new(text)
    }

    /// The text as it is, for links and comparisons. Never for a page.
    pub fn as_str(&self) -> &str {
        &self.shown
    }

    /// Whether there is nothing to show.
    pub fn is_empty(&self) -> bool {
        self.shown.is_empty()
    }

    /// The text with its line breaks and tabs.
    pub fn block(&self) -> Block<'_> {
        Block(self)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.shown.chars().try_for_each(|c| visible(f, c))?;
        if self.clipped { f.write_char('…') } else { Ok(()) }
    }
}

/// A [`Text`] that keeps its line breaks and tabs; made by [`Text::block`].
#[derive(Clone, Copy, Debug)]
pub struct Block<'a>(&'a Text);

impl fmt::Display for Block<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut chars = self.0.shown.chars().peekable();
        while let Some(c) = chars.next() {
            match c {
                '\n' | '\t' => f.write_char(c)?,
                '\r' if chars.peek() == Some(&'\n') => {}
                _ => visible(f, c)?,
            }
        }
        if self.0.clipped { f.write_char('…') } else { Ok(()) }
    }
}

/// Whether a character shows nothing of itself, or changes how its neighbours are shown.
///
/// The invisible characters that scripts and emoji need (the joiners and variation selectors) are
/// not among them.
pub(super) fn is_hidden(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{61c}' | '\u{200b}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}'
            | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{fff9}'..='\u{fffb}'
            | '\u{e0000}'..='\u{e007f}')
}

/// Writes a line break as an arrow, another control character as its picture of the Unicode block
/// Control Pictures, any other hidden one as its code point.
fn visible(out: &mut impl Write, c: char) -> fmt::Result {
    match u32::from(c) {
        0xa => out.write_str(" ↵ "),
        code @ 0..0x20 => out.write_char(char::from_u32(0x2400 + code).unwrap_or('\u{fffd}')),
        0x7f => out.write_char('␡'),
        code if is_hidden(c) => write!(out, "⟨U+{code:04X}⟩"),
        _ => out.write_char(c),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_hide_or_reorder_is_made_visible() {
        for (text, shown) in [
            ("a\0b\x1b[31m", "a␀b␛[31m"),
            ("one\r\ntwo\tthree", "one␍ ↵ two␉three"),
            ("\x7f\u{9b}", "␡⟨U+009B⟩"),
            ("user\u{202e}gpj.exe", "user⟨U+202E⟩gpj.exe"),
            ("zero\u{200b}width\u{feff}", "zero⟨U+200B⟩width⟨U+FEFF⟩"),
            ("naïve 日本語 👩\u{200d}💻 Ж", "naïve 日本語 👩\u{200d}💻 Ж"),
        ] {
            assert_eq!(Text::new(text).to_string(), shown);
        }
    }

    #[test]
    fn a_block_keeps_its_lines() {
        assert_eq!(Text::new("a\r\n\tb\rc\x07").block().to_string(), "a\n\tb␍c␇");
    }

    #[test]
    fn a_brief_text_takes_no_more_room_than_was_given() {
        assert_eq!(Text::brief("abc", 3).to_string(), "abc");
        assert_eq!(Text::brief("abcd", 3).to_string(), "abc…");
        assert_eq!(Text::brief("a<b", 5).to_string(), "a…");
        assert_eq!(Text::brief(&"\u{202e}".repeat(50), 30).to_string().chars().count(), 25);
    }

    #[test]
    fn a_clipped_text_ends_in_an_ellipsis_and_is_cut_at_a_character() {
        assert_eq!(Text::clip("grün", 3).to_string(), "grü…");
        assert_eq!(Text::clip("grün", 4).to_string(), "grün");
        assert_eq!(Text::clip("a\nb", 2).block().to_string(), "a\n…");
    }
}
