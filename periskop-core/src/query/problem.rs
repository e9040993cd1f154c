//! What is wrong with a query, and what was probably meant.

use std::ops::Range;

use crate::query::parse;

/// Why a text is no query: for people, with a way out.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
#[non_exhaustive]
pub struct QueryError {
    /// What is wrong.
    pub message: String,
    /// Where it begins, in characters (Unicode scalar values) from 0.
    pub position: usize,
    /// How many characters are wrong; 0 where something is missing.
    pub length: usize,
    /// The whole query as it may have been meant. It parses.
    pub suggestion: Option<String>,
}

/// What a parser found wrong: [`QueryError`] before it is known which way out works.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) message: String,
    pub(super) at: Range<usize>,
    /// The likeliest first.
    fixes: Vec<Fix>,
}

/// Characters that are replaced by others.
#[derive(Debug)]
struct Fix {
    at: Range<usize>,
    by: String,
}

/// How many texts are parsed in search of a suggestion. A query with more mistakes than this is
/// suggested as a phrase.
const ATTEMPTS: usize = 12;

impl Problem {
    pub(super) fn new(at: Range<usize>, message: impl Into<String>) -> Self {
        Self { message: message.into(), at, fixes: Vec::new() }
    }

    /// With one more way out: `by` in the place of the characters `at`.
    pub(super) fn or(mut self, at: Range<usize>, by: impl Into<String>) -> Self {
        self.fixes.push(Fix { at, by: by.into() });
        self
    }

    /// The error, if this is wrong with the text `chars`.
    pub(super) fn into_error(self, chars: &[char]) -> QueryError {
        let mut attempts = ATTEMPTS;
        let suggestion = self.mended(chars, &mut attempts).or_else(|| {
            // What is only too long does not become better by quotes.
            let whole: String = chars.iter().collect();
            let quoted = quote(whole.trim());
            let wanted = !self.fixes.is_empty() && parse::parse(&chars_of(&quoted)).is_ok();
            wanted.then_some(quoted)
        });
        let Self { message, at, .. } = self;
        QueryError { message, position: at.start, length: at.len(), suggestion }
    }

    /// The text after the first fix that helps, or that leaves only what can be fixed as well.
    fn mended(&self, chars: &[char], attempts: &mut usize) -> Option<String> {
        self.fixes.iter().find_map(|fix| {
            *attempts = attempts.checked_sub(1)?;
            let text = fix.applied_to(chars);
            match parse::parse(&text) {
                Ok(_) => {
                    let text: String = text.iter().collect();
                    // Nothing is no way out: it would find everything.
                    Some(text.trim().to_owned()).filter(|text| !text.is_empty())
                }
                Err(next) => next.mended(&text, attempts),
            }
        })
    }
}

impl Fix {
    /// The text after it. What is taken out takes a blank with it.
    fn applied_to(&self, chars: &[char]) -> Vec<char> {
        let is_blank = |at: usize| chars.get(at).is_some_and(|c| c.is_whitespace());
        let (mut start, mut end) = (self.at.start, self.at.end);
        let after_blank = start == 0 || is_blank(start - 1);
        if self.by.is_empty() && after_blank {
            if is_blank(end) {
                end += 1;
            } else if start > 0 && chars.get(end).is_none_or(|next| *next == ')') {
                start -= 1;
            }
        }
        let mut text = chars[..start].to_vec();
        text.extend(self.by.chars());
        text.extend(&chars[end..]);
        text
    }
}

/// A text as a phrase.
pub(super) fn quote(text: &str) -> String {
    let mut quoted = String::from('"');
    for c in text.chars() {
        if matches!(c, '"' | '\\') {
            quoted.push('\\');
        }
        quoted.push(c);
    }
    quoted + "\""
}

/// A text within a message: what is long is cut.
pub(super) fn shown(text: &str) -> String {
    const SHOWN: usize = 60;
    match text.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("`{}…`", &text[..end]),
        None => format!("`{text}`"),
    }
}

pub(super) fn chars_of(text: &str) -> Vec<char> {
    text.chars().collect()
}
