//! Templates as Go's `Regexp.Expand` reads them.
//!
//! `$name` takes the longest run of letters, digits and underscores, so `$1x` is the group named
//! `1x`; `${1}x` is group 1 and an `x`. A number with a leading zero is a name. `$$` is a dollar
//! sign, and so is a `$` that begins nothing.

use std::sync::LazyLock;

use regex::Regex;

use super::pattern::Captures;

/// A text with variables.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Template {
    text: String,
    parts: Vec<Part>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Literal(String),
    Number(usize),
    Name(String),
}

impl Template {
    /// Reads a template; every text is one.
    pub fn new(text: impl Into<String>) -> Self {
        let text = text.into();
        let parts = parts(&text);
        Self { text, parts }
    }

    /// The template as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Fills in the groups; those that are unknown or did not take part are empty. `None` where
    /// the result would be longer than `limit`.
    pub(super) fn expand(&self, captures: &Captures<'_>, limit: usize) -> Option<String> {
        let mut result = String::new();
        for part in &self.parts {
            let piece = match part {
                Part::Literal(text) => text,
                Part::Number(index) => captures.group(*index).unwrap_or_default(),
                Part::Name(name) => captures.named(name).unwrap_or_default(),
            };
            if result.len() + piece.len() > limit {
                return None;
            }
            result.push_str(piece);
        }
        Some(result)
    }
}

fn parts(text: &str) -> Vec<Part> {
    let mut parts = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('$') {
        literal.push_str(before);
        if let Some(after) = after.strip_prefix('$') {
            literal.push('$');
            rest = after;
        } else if let Some((name, after)) = variable(after) {
            if !literal.is_empty() {
                parts.push(Part::Literal(std::mem::take(&mut literal)));
            }
            parts.push(number(name).map_or_else(|| Part::Name(name.into()), Part::Number));
            rest = after;
        } else {
            literal.push('$');
            rest = after;
        }
    }
    literal.push_str(rest);
    if !literal.is_empty() {
        parts.push(Part::Literal(literal));
    }
    parts
}

/// Splits `name` or `{name}` off the beginning.
fn variable(text: &str) -> Option<(&str, &str)> {
    // Go's unicode.IsLetter and unicode.IsDigit are these categories; Rust's char methods are wider.
    static NAME: LazyLock<Regex> =
        LazyLock::new(|| Regex::new(r"^[\p{L}\p{Nd}_]+").expect("a constant that a test compiles"));
    let (braced, text) = match text.strip_prefix('{') {
        Some(text) => (true, text),
        None => (false, text),
    };
    let (name, rest) = text.split_at(NAME.find(text)?.end());
    Some((name, if braced { rest.strip_prefix('}')? } else { rest }))
}

/// The group's number; `None` where this is a name to Go.
fn number(name: &str) -> Option<usize> {
    let plain = name.bytes().all(|b| b.is_ascii_digit()) && (name == "0" || !name.starts_with('0'));
    // Go gives up on numbers of nine digits and more; no expression has as many groups.
    (plain && name.len() <= 9).then(|| name.parse().ok()).flatten()
}
