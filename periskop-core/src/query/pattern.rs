//! What a text is compared with.

use std::fmt::{self, Display, Formatter};

use regex::{Regex, RegexBuilder};
use regex_syntax::hir::{Class, Hir, HirKind};

use crate::query::problem::quote;
use crate::search::fold;

/// What a text is compared with, both in the form that [`fold`] gives them.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Pattern {
    /// Any text that is not empty.
    Some,
    /// Those that have this as a part.
    Part(String),
    /// This one.
    Whole(String),
    /// Those in which it finds something.
    Regex(Box<Matcher>),
}

/// A regular expression, compiled.
///
/// It is matched without regard to case against folded texts, wherever that happens, so that an
/// index which keeps only these answers the same as a look at the texts themselves.
#[derive(Clone)]
pub(super) struct Matcher {
    source: String,
    regex: Regex,
    needles: Vec<String>,
}

/// As large as a compiled expression may be, in bytes: what it costs to compile it and to run it
/// grows with this. Enough for a dozen `\w`, each of which stands for thousands of characters.
const COMPILED_LIMIT: usize = 1 << 20;

/// As deep as groups may be nested in an expression.
const NEST_LIMIT: u32 = 50;

/// As many texts are searched for to narrow an expression; beyond that a scan is as good.
const MOST_NEEDLES: usize = 8;

impl Pattern {
    /// Whether `text`, as it came, is such a text.
    pub(super) fn matches(&self, text: &str) -> bool {
        match self {
            Self::Some => !text.is_empty(),
            Self::Part(part) => fold(text).contains(part),
            Self::Whole(whole) => fold(text) == **whole,
            Self::Regex(matcher) => matcher.is_match(&fold(text)),
        }
    }

    /// Texts of which a matching one has at least one as a part. `None` if nothing is known.
    pub(super) fn needles(&self) -> Option<&[String]> {
        match self {
            Self::Some => None,
            Self::Part(text) | Self::Whole(text) => Some(std::slice::from_ref(text)),
            Self::Regex(matcher) => matcher.needles(),
        }
    }
}

impl Matcher {
    /// Compiles an expression; else says what is wrong with it.
    pub(super) fn new(source: &str) -> Result<Self, String> {
        let mut parser = regex_syntax::ParserBuilder::new();
        let hir = parser.case_insensitive(true).nest_limit(NEST_LIMIT).build().parse(source);
        let hir = hir.map_err(|error| match error {
            regex_syntax::Error::Parse(error) => error.kind().to_string(),
            regex_syntax::Error::Translate(error) => error.kind().to_string(),
            other => other.to_string(),
        })?;
        let regex = RegexBuilder::new(source)
            .case_insensitive(true)
            .nest_limit(NEST_LIMIT)
            .size_limit(COMPILED_LIMIT)
            .dfa_size_limit(COMPILED_LIMIT)
            .build()
            .map_err(|_| "it is too large".to_owned())?;
        let needles = required(&hir).unwrap_or_default();
        Ok(Self { source: source.to_owned(), regex, needles })
    }

    /// Whether a folded text is a match.
    pub(super) fn is_match(&self, folded: &str) -> bool {
        self.regex.is_match(folded)
    }

    fn needles(&self) -> Option<&[String]> {
        (!self.needles.is_empty()).then_some(&self.needles)
    }
}

/// Folded texts of which every folded text that matches has one as a part; not empty, nor is one
/// of them. `None` if there are none, or too many.
fn required(hir: &Hir) -> Option<Vec<String>> {
    match hir.kind() {
        HirKind::Literal(_) | HirKind::Class(_) | HirKind::Concat(_) => required_of_all(hir),
        HirKind::Capture(capture) => required(&capture.sub),
        HirKind::Repetition(repeated) if repeated.min > 0 => required(&repeated.sub),
        HirKind::Alternation(branches) => {
            let mut needles = Vec::new();
            for branch in branches {
                needles.extend(required(branch)?);
                if needles.len() > MOST_NEEDLES {
                    return None;
                }
            }
            Some(needles)
        }
        HirKind::Empty | HirKind::Look(_) | HirKind::Repetition(_) => None,
    }
}

/// Of what must follow each other, the part that says most: the longest literal, else what is
/// required of a part.
fn required_of_all(hir: &Hir) -> Option<Vec<String>> {
    let mut best: Option<Vec<String>> = None;
    let mut offer = |needles: Vec<String>| {
        let weight = |needles: &[String]| needles.iter().map(String::len).min().unwrap_or(0);
        if weight(&needles) > best.as_ref().map_or(0, |best| weight(best)) {
            best = Some(needles);
        }
    };
    let mut run = String::new();
    let parts = match hir.kind() {
        HirKind::Concat(parts) => parts.as_slice(),
        _ => std::slice::from_ref(hir),
    };
    for part in parts {
        match part.kind() {
            // It takes no room between its neighbours.
            HirKind::Empty | HirKind::Look(_) => {}
            HirKind::Literal(literal) => {
                for c in std::str::from_utf8(&literal.0).unwrap_or_default().chars() {
                    // What no folded text has, such as a capital that is not to be folded, is
                    // in no text that matches; that is left to the match.
                    if is_folded(c) {
                        run.push(c);
                    } else {
                        offer(vec![std::mem::take(&mut run)]);
                    }
                }
            }
            HirKind::Class(class) => match only_folded(class) {
                Some(c) => run.push(c),
                None => offer(vec![std::mem::take(&mut run)]),
            },
            _ => {
                offer(vec![std::mem::take(&mut run)]);
                if let Some(needles) = required(part) {
                    offer(needles);
                }
            }
        }
    }
    offer(vec![run]);
    best
}

/// The one character of a class that a folded text can have. Without regard to case `k` is also
/// the Kelvin sign, which folds to `k`; but `s` is also `ſ`, which folds to itself.
fn only_folded(class: &Class) -> Option<char> {
    /// A class of more characters than case makes of one.
    const MANY: usize = 8;
    let Class::Unicode(class) = class else { return None };
    let chars = class.iter().flat_map(|range| range.start()..=range.end());
    let mut found = None;
    for (n, c) in chars.enumerate() {
        if n == MANY || (is_folded(c) && found.replace(c).is_some()) {
            return None;
        }
    }
    found
}

fn is_folded(c: char) -> bool {
    let mut buffer = [0; 4];
    let text: &str = c.encode_utf8(&mut buffer);
    fold(text) == text
}

impl PartialEq for Matcher {
    fn eq(&self, other: &Self) -> bool {
        self.source == other.source
    }
}

impl fmt::Debug for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.source, f)
    }
}

impl Display for Pattern {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Some => f.write_str("*"),
            Self::Part(text) | Self::Whole(text) if is_word(text) => f.write_str(text),
            Self::Part(text) | Self::Whole(text) => f.write_str(&quote(text)),
            Self::Regex(matcher) => matcher.fmt(f),
        }
    }
}

impl Display for Matcher {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str("/")?;
        let mut escaped = false;
        for c in self.source.chars() {
            match c {
                '/' if !escaped => f.write_str("\\/")?,
                _ => write!(f, "{c}")?,
            }
            escaped = c == '\\' && !escaped;
        }
        f.write_str("/")
    }
}

/// Whether a folded text reads as itself without quotes, wherever it stands.
fn is_word(text: &str) -> bool {
    let plain = |c: char| c.is_alphanumeric() || c == '_';
    text.starts_with(plain) && text.chars().all(|c| plain(c) || "-./@#$%&+,;!?=~'".contains(c))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needles(source: &str) -> Vec<String> {
        Matcher::new(source).unwrap().needles
    }

    #[test]
    fn a_regex_is_narrowed_by_what_must_occur() {
        for (source, expected) in [
            ("timeout", &["timeout"][..]),
            ("TimeOut", &["timeout"]),
            (r"^read \d+ bytes of (file|pipe)$", &["read "]),
            (r"\bconn(ection)+\b", &["ection"]),
            ("timeout|refu.ed", &["timeout", "refu"]),
            ("(timeout|refu.ed) at", &["timeout", "refu"]),
            ("a?b*", &[]),
            ("(long text)?x", &["x"]),
            ("(?:long text){0,3}x", &["x"]),
            ("(?:long text){2}x", &["long text"]),
            ("ab|.*", &[]),
            ("[0-9]+", &[]),
            ("[b]a[r]", &["bar"]),
            ("ÄPFEL", &["äpfel"]),
            ("a|b|c|d|e|f|g|h|i", &[]),
            ("", &[]),
        ] {
            assert_eq!(needles(source), expected, "{source}");
        }
    }

    #[test]
    fn only_sound_literals_narrow() {
        // Without regard to case, `s` is also `ſ`, which a folded text may have.
        assert_eq!(needles("session"), ["ion"]);
        assert!(Matcher::new("session").unwrap().is_match("ſeſſion"));
        // But what folds to the same is the same.
        assert_eq!(needles("\u{212a}elvin"), ["kelvin"]);
        assert_eq!(needles("ΟΔΟΣ"), ["οδοσ"]);
        // No folded text has a capital.
        assert_eq!(needles("(?-i:NoMatch)x"), ["atchx"]);
        assert!(!Matcher::new("(?-i:NoMatch)x").unwrap().is_match("nomatchx"));
    }
}
