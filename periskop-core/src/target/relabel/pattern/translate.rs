//! From Go's regular expression syntax to Rust's.
//!
//! The two are close relatives, but not the same: `\d`, `\w`, `\s` and `\b` are ASCII in Go; a `{`
//! that begins no counted repetition is a literal; classes do not nest and know no set operations;
//! there are `\Q…\E` and octal escapes; `a**`, `a{1001}` and `(?x)` are errors. The translator
//! follows the grammar of Go's `regexp/syntax` (as Prometheus uses it, "Perl" flags) from left to
//! right and writes each element in a form that Rust reads only one way. What Go refuses is
//! refused in the same words; what cannot be translated for sure is refused too.
//!
//! Without recursion: open groups are on a stack of their own.

mod class;
mod escape;

use std::fmt::Write as _;

use super::PatternError;

/// An expression for Rust's `regex`, with its groups' names taken out.
pub(super) struct Translated {
    pub(super) regex: String,
    pub(super) names: Vec<(String, usize)>,
}

/// Go's limits: a counted repetition, products of nested ones, and how deep groups nest.
const MAX_REPEAT: u32 = 1000;
const MAX_HEIGHT: usize = 1000;

/// Longer expressions are refused; compiling one takes time.
const MAX_LENGTH: usize = 64 << 10;

pub(super) fn translate(text: &str) -> Result<Translated, PatternError> {
    if text.len() > MAX_LENGTH {
        let start = text.chars().take(40).collect::<String>();
        return Err(PatternError::TooLarge(format!("{start}…")));
    }
    let mut translator = Translator {
        whole: text,
        rest: text,
        regex: String::new(),
        names: Vec::new(),
        groups: 0,
        open: Vec::new(),
        branch: Branch::default(),
    };
    while let Some(c) = translator.rest.chars().next() {
        translator.element(c)?;
    }
    if !translator.open.is_empty() {
        return Err(syntax("missing closing )", text));
    }
    Ok(Translated { regex: translator.regex, names: translator.names })
}

fn syntax(reason: &'static str, part: &str) -> PatternError {
    PatternError::Syntax { reason, part: part.into() }
}

struct Translator<'a> {
    whole: &'a str,
    rest: &'a str,
    regex: String,
    names: Vec<(String, usize)>,
    groups: usize,
    /// What came before each open group, in its own branch.
    open: Vec<Branch>,
    branch: Branch,
}

/// A group's content so far, since its beginning or the last `|`.
#[derive(Clone, Copy, Default)]
struct Branch {
    last: Last,
    /// The largest product of nested repetitions in the last element, and in all of the group.
    last_product: u32,
    product: u32,
}

/// What a repetition operator would apply to.
#[derive(Clone, Copy, Default, PartialEq)]
enum Last {
    /// Nothing.
    #[default]
    Nothing,
    /// An element.
    Element,
    /// A repetition: another one on top of it is refused.
    Repetition,
    /// To Go the element before, to Rust something without a width that was written since.
    Hidden,
}

impl<'a> Translator<'a> {
    fn element(&mut self, c: char) -> Result<(), PatternError> {
        match c {
            '(' => self.open_group(),
            ')' => self.close_group(),
            '|' => {
                self.take(1);
                self.regex.push('|');
                self.branch.last = Last::Nothing;
                Ok(())
            }
            '*' | '+' | '?' => {
                self.take(1);
                self.repetition(&c.to_string(), None)
            }
            '{' => self.counted(),
            '[' => {
                let text = class::class(&mut self.rest)?;
                self.push(&text);
                Ok(())
            }
            '\\' => self.escape(),
            '^' | '$' | '.' => {
                self.take(1);
                self.push(c.encode_utf8(&mut [0; 4]));
                Ok(())
            }
            _ => {
                self.take(c.len_utf8());
                self.literal(c);
                Ok(())
            }
        }
    }

    /// Moves on by some bytes, which are whole characters, and answers them.
    fn take(&mut self, bytes: usize) -> &'a str {
        let (taken, rest) = self.rest.split_at(bytes);
        self.rest = rest;
        taken
    }

    fn push(&mut self, element: &str) {
        self.regex.push_str(element);
        self.branch.last = Last::Element;
        self.branch.last_product = 1;
        self.branch.product = self.branch.product.max(1);
    }

    fn literal(&mut self, c: char) {
        self.push(&literal(u32::from(c)));
    }

    fn escape(&mut self) -> Result<(), PatternError> {
        let assertion = match self.rest.as_bytes().get(1) {
            Some(b'A') => r"\A",
            Some(b'z') => r"\z",
            Some(b'b') => r"(?-u:\b)",
            Some(b'B') => r"(?-u:\B)",
            Some(b'Q') => {
                self.take(2);
                let (quoted, rest) = self.rest.split_once("\\E").unwrap_or((self.rest, ""));
                self.rest = rest;
                quoted.chars().for_each(|c| self.literal(c));
                if quoted.is_empty() {
                    self.hide_last();
                }
                return Ok(());
            }
            _ => {
                if let Some(class) = class::escape(&mut self.rest)? {
                    self.push(&format!("[{class}]"));
                } else {
                    let code = escape::escape(&mut self.rest)?;
                    self.push(&literal(code));
                }
                return Ok(());
            }
        };
        self.take(2);
        self.push(assertion);
        Ok(())
    }

    fn open_group(&mut self) -> Result<(), PatternError> {
        if self.open.len() >= MAX_HEIGHT {
            return Err(syntax("expression nests too deeply", self.whole));
        }
        let Some(special) = self.rest.strip_prefix("(?") else {
            self.take(1);
            self.begin("(", true);
            return Ok(());
        };
        let named = special.strip_prefix("P<").or_else(|| special.strip_prefix('<'));
        if let Some(named) = named {
            let start = self.rest;
            let Some((name, rest)) = named.split_once('>') else {
                return Err(syntax("invalid named capture", start));
            };
            if name.is_empty() || !name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_') {
                let part = &start[..start.len() - rest.len()];
                return Err(syntax("invalid named capture", part));
            }
            self.rest = rest;
            self.begin("(", true);
            self.names.push((name.into(), self.groups));
            return Ok(());
        }
        let flags = escape::flags(&mut self.rest)?;
        match (flags.opens_group, flags.is_empty()) {
            (true, _) => self.begin(&format!("(?{flags}:"), false),
            (false, true) => self.hide_last(),
            (false, false) => {
                let _ = write!(self.regex, "(?{flags})"); // writing to a String cannot fail
                self.hide_last();
            }
        }
        Ok(())
    }

    fn begin(&mut self, text: &str, capturing: bool) {
        self.regex.push_str(text);
        self.groups += usize::from(capturing);
        self.open.push(std::mem::take(&mut self.branch));
    }

    fn close_group(&mut self) -> Result<(), PatternError> {
        let Some(outer) = self.open.pop() else {
            return Err(syntax("unexpected )", self.whole));
        };
        self.take(1);
        let product = self.branch.product.max(1);
        self.branch = outer;
        self.push(")");
        self.branch.last_product = product;
        self.branch.product = self.branch.product.max(product);
        Ok(())
    }

    /// Something of no width was read: a repetition operator still applies to what came before.
    fn hide_last(&mut self) {
        if self.branch.last != Last::Nothing {
            self.branch.last = Last::Hidden;
        }
    }

    /// `{n}`, `{n,}` or `{n,m}`; any other `{` is a literal.
    fn counted(&mut self) -> Result<(), PatternError> {
        let Some((min, max, length)) = escape::counts(self.rest) else {
            self.take(1);
            self.literal('{');
            return Ok(());
        };
        let part = self.take(length);
        let too_many = |n: u32| n > MAX_REPEAT;
        if too_many(min) || max.is_some_and(|max| too_many(max) || max < min) {
            return Err(syntax("invalid repeat count", part));
        }
        let text = match max {
            Some(max) => format!("{{{min},{max}}}"),
            None => format!("{{{min},}}"),
        };
        self.repetition(&text, Some((part, min, max)))
    }

    fn repetition(
        &mut self,
        operator: &str,
        counts: Option<(&str, u32, Option<u32>)>,
    ) -> Result<(), PatternError> {
        let part = counts.map_or(operator, |(part, ..)| part);
        let lazy = self.rest.starts_with('?');
        if lazy {
            self.take(1);
        }
        match self.branch.last {
            Last::Nothing => return Err(syntax("missing argument to repetition operator", part)),
            Last::Repetition => return Err(syntax("invalid nested repetition operator", part)),
            Last::Hidden => {
                let reason = format!("`{part}` after something without a width");
                return Err(PatternError::Unsupported(reason));
            }
            Last::Element => {}
        }
        if let Some((part, min, max)) = counts {
            // Go's repeatIsValid: nested counts may not multiply to more than the limit.
            let times = match max {
                Some(0) => 0,
                max => max.unwrap_or(min).max(1),
            };
            let product = self.branch.last_product.saturating_mul(times);
            if (min >= 2 || max.is_some_and(|max| max >= 2)) && product > MAX_REPEAT {
                return Err(syntax("invalid repeat count", part));
            }
            self.branch.last_product = product;
            self.branch.product = self.branch.product.max(product);
        }
        self.regex.push_str(operator);
        if lazy {
            self.regex.push('?');
        }
        self.branch.last = Last::Repetition;
        Ok(())
    }
}

/// A character in a form that Rust reads literally, inside classes too.
fn literal(code: u32) -> String {
    match char::from_u32(code) {
        Some(c) if c.is_ascii_alphanumeric() || !c.is_ascii() => c.to_string(),
        Some(_) => format!("\\x{{{code:x}}}"),
        // A surrogate, which Go can write and no text contains: matches nothing.
        None => r"[^\x{0}-\x{10ffff}]".into(),
    }
}
