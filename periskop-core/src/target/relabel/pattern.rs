//! Regular expressions that mean what they mean in Prometheus.
//!
//! A rule's expression is compiled as `^(?s:` … `)$`, as Prometheus does, after the translation
//! in [`translate`].

mod translate;

use std::fmt;

use regex::bytes::{Regex, RegexBuilder};

use super::template::Template;

/// A compiled expression is not larger than this, in bytes: `((\pL{1000})` is short to write.
const COMPILED_LIMIT: usize = 10 << 20;

/// A regular expression in Go's syntax, anchored at both ends.
///
/// Two are equal when they are written alike.
#[derive(Clone)]
pub struct Pattern {
    text: String,
    regex: Regex,
    /// Which groups have which name, in order. Kept here because Go allows names that Rust does
    /// not: the same twice, and such as begin with a digit.
    names: Vec<(String, usize)>,
}

/// Why an expression is refused.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PatternError {
    /// Go would refuse it as well, with these words.
    #[error("error parsing regexp: {reason}: `{part}`")]
    Syntax {
        /// What is wrong.
        reason: &'static str,
        /// The part that is wrong.
        part: String,
    },
    /// Go would take it, but it has no sure equivalent here.
    #[error("error parsing regexp: not supported: {0}")]
    Unsupported(String),
    /// Its compiled form would be too large.
    #[error("error parsing regexp: expression too large: `{0}`")]
    TooLarge(String),
}

impl Pattern {
    /// Compiles an expression.
    ///
    /// # Errors
    ///
    /// [`PatternError`]; its text names the part that is wrong.
    pub fn new(text: &str) -> Result<Self, PatternError> {
        let translated = translate::translate(&format!("^(?s:{text})$"))?;
        // Bytes only because `(?-u:\B)` is not available otherwise. Everything that consumes
        // input consumes whole characters, so groups begin and end between characters.
        let compiled = RegexBuilder::new(&translated.regex).size_limit(COMPILED_LIMIT).build();
        let regex = compiled.map_err(|e| match e {
            regex::Error::CompiledTooBig(_) => PatternError::TooLarge(text.into()),
            other => PatternError::Unsupported(other.to_string()),
        })?;
        Ok(Self { text: text.into(), regex, names: translated.names })
    }

    /// The expression as written.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the whole text matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text.as_bytes())
    }

    pub(super) fn captures<'a>(&'a self, text: &'a str) -> Option<Captures<'a>> {
        let groups = self.regex.captures(text.as_bytes())?;
        Some(Captures { text, groups, names: &self.names })
    }

    /// Replaces every match by the template; `None` where the result would be longer than
    /// `limit`. There is more than one match only where the expression breaks out of its
    /// anchors (`a)|(b`), which Go allows.
    pub(super) fn replace_all(
        &self,
        text: &str,
        template: &Template,
        limit: usize,
    ) -> Option<String> {
        let mut result = String::new();
        let mut end = 0;
        for groups in self.regex.captures_iter(text.as_bytes()) {
            let Some(whole) = groups.get(0) else { continue };
            let (start, next) = (whole.start(), whole.end());
            let captures = Captures { text, groups, names: &self.names };
            result.push_str(text.get(end..start)?);
            result.push_str(&template.expand(&captures, limit)?);
            if result.len() > limit {
                return None;
            }
            end = next;
        }
        result.push_str(text.get(end..)?);
        (result.len() <= limit).then_some(result)
    }
}

impl PartialEq for Pattern {
    fn eq(&self, other: &Self) -> bool {
        self.text == other.text
    }
}

impl Eq for Pattern {}

impl fmt::Debug for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Pattern({:?})", self.text)
    }
}

/// What the groups of a match hold.
pub(super) struct Captures<'a> {
    text: &'a str,
    groups: regex::bytes::Captures<'a>,
    names: &'a [(String, usize)],
}

impl Captures<'_> {
    /// A group by number, where it took part.
    pub(super) fn group(&self, index: usize) -> Option<&str> {
        self.text.get(self.groups.get(index)?.range())
    }

    /// The first group of that name that took part.
    pub(super) fn named(&self, name: &str) -> Option<&str> {
        let mut same = self.names.iter().filter(|(n, _)| n == name);
        same.find_map(|(_, index)| self.group(*index))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_name_twice_is_the_group_that_took_part() {
        let pattern = Pattern::new("(?P<n>a)|(?P<n>b)").unwrap();
        assert_eq!(pattern.captures("b").unwrap().named("n"), Some("b"));
    }

    #[test]
    fn word_boundaries_are_those_of_ascii() {
        assert!(Pattern::new(r"é\Bé").unwrap().is_match("éé"));
        assert!(!Pattern::new(r"é\bé").unwrap().is_match("éé"));
        assert!(Pattern::new(r"a\bé").unwrap().is_match("aé"));
    }

    #[test]
    fn a_group_that_is_never_repeated_is_empty() {
        let pattern = Pattern::new("(a){0}(b)").unwrap();
        let captures = pattern.captures("b").unwrap();
        assert_eq!((captures.group(1), captures.group(2)), (None, Some("b")));
    }

    #[test]
    fn an_expression_may_leave_its_anchors_as_in_go() {
        let pattern = Pattern::new("a)|(b").unwrap();
        assert!(pattern.is_match("ax") && pattern.is_match("xb") && !pattern.is_match("xbx"));
    }

    #[test]
    fn what_would_be_huge_is_refused() {
        assert!(matches!(Pattern::new(r"(\pL{100}){10}"), Err(PatternError::TooLarge(_))));
    }
}
