//! From text to tree: what stands where. What values mean is in `value`.

use std::ops::Range;

use crate::query::expr::{Expr, Term};
use crate::query::field::{Field, Named, judge};
use crate::query::pattern::{Matcher, Pattern};
use crate::query::problem::{Problem, quote, shown};
use crate::query::{MAX_DEPTH, MAX_LENGTH, MAX_REGEXES, MAX_TERMS};
use crate::search::fold;

/// The tree of a text. Blank is the empty query.
pub(super) fn parse(chars: &[char]) -> Result<Expr, Problem> {
    let too_long = || {
        let message = format!("a query has at most {MAX_LENGTH} characters");
        Problem::new(MAX_LENGTH.min(chars.len())..chars.len(), message)
    };
    if chars.len() > MAX_LENGTH {
        return Err(too_long());
    }
    let mut parser = Parser { chars, at: 0, depth: 0, terms: 0, regexes: 0 };
    let expr = parser.alternatives(None)?.unwrap_or(Expr::All(Vec::new()));
    if parser.at < chars.len() {
        let at = parser.at..parser.at + 1;
        let problem = Problem::new(at.clone(), "this parenthesis closes nothing");
        return Err(problem.or(at.clone(), "").or(at, quote(")")));
    }
    // So that what is written again, with quotes where they are needed, can be read again.
    if expr.to_string().chars().count() > MAX_LENGTH {
        return Err(too_long());
    }
    Ok(expr)
}

pub(super) struct Parser<'a> {
    pub(super) chars: &'a [char],
    /// Where the next character is.
    pub(super) at: usize,
    depth: usize,
    terms: usize,
    regexes: usize,
}

impl Parser<'_> {
    /// `A OR B`; `None` if there is nothing before the end or the next parenthesis. With `scope`,
    /// its terms are values of that field.
    fn alternatives(&mut self, scope: Option<&Field>) -> Result<Option<Expr>, Problem> {
        let mut alternatives = Vec::new();
        let mut before = None;
        loop {
            let parts = self.conjunction(scope)?;
            let next = self.operator("OR");
            if parts.is_empty() {
                let Some(dangling) = next.or(before) else { return Ok(None) };
                return Err(self.dangling(dangling));
            }
            alternatives.push(Expr::all(parts));
            match next {
                Some(_) => before = next,
                None => return Ok(Some(Expr::any(alternatives))),
            }
        }
    }

    /// `A B` or `A AND B`.
    fn conjunction(&mut self, scope: Option<&Field>) -> Result<Vec<Expr>, Problem> {
        let mut parts = Vec::new();
        let mut and: Option<Range<usize>> = None;
        loop {
            self.skip_blanks();
            if let Some(operator) = self.operator("AND") {
                if parts.is_empty() || and.is_some() {
                    return Err(self.dangling(operator));
                }
                and = Some(operator);
                continue;
            }
            if self.is_over() {
                return match and {
                    Some(operator) => Err(self.dangling(operator)),
                    None => Ok(parts),
                };
            }
            if !parts.is_empty() && scope.is_some_and(Field::is_single) {
                let message = "an error has one of these values only: write OR between them";
                let gap = and.unwrap_or(self.at..self.at);
                let or = if gap.is_empty() { "OR " } else { "OR" };
                return Err(Problem::new(gap.clone(), message).or(gap, or));
            }
            parts.push(self.negatable(scope)?);
            and = None;
        }
    }

    /// `A`, `-A` or `NOT A`.
    fn negatable(&mut self, scope: Option<&Field>) -> Result<Expr, Problem> {
        let mut is_negated = false;
        while let Some(not) = self.operator("NOT") {
            is_negated = !is_negated;
            self.skip_blanks();
            if self.is_over() || self.is_operator("AND") {
                return Err(self.dangling(not));
            }
        }
        // A minus alone, an option (`--verbose`) and an arrow (`->`) are text.
        let excludes = |next: &char| !next.is_whitespace() && !matches!(next, '-' | '>' | ')');
        if self.next_is('-') && self.chars.get(self.at + 1).is_some_and(excludes) {
            is_negated = !is_negated;
            self.at += 1;
        }
        let expr = match scope {
            _ if self.next_is('(') => self.group(scope)?,
            Some(field) => self.value(field)?,
            None => self.term()?,
        };
        Ok(if is_negated { expr.negated() } else { expr })
    }

    /// `(A)`.
    fn group(&mut self, scope: Option<&Field>) -> Result<Expr, Problem> {
        let open = self.at..self.at + 1;
        if self.depth == MAX_DEPTH {
            let message = format!("parentheses are nested more than {MAX_DEPTH} deep");
            return Err(Problem::new(open, message));
        }
        self.depth += 1;
        self.at += 1;
        let inner = self.alternatives(scope)?;
        if !self.next_is(')') {
            let end = self.chars.len();
            let problem = Problem::new(open.clone(), "this parenthesis is not closed");
            return Err(match inner {
                Some(_) => problem.or(end..end, ")").or(open, ""),
                None => problem.or(open, quote("(")),
            });
        }
        self.at += 1;
        self.depth -= 1;
        inner.ok_or_else(|| {
            let whole = open.start..self.at;
            let problem = Problem::new(whole.clone(), "there is nothing in these parentheses");
            problem.or(whole.clone(), "").or(whole, quote("()"))
        })
    }

    /// A word, a phrase, a regular expression or a field with its value.
    fn term(&mut self) -> Result<Expr, Problem> {
        let start = self.at;
        if self.next_is('"') {
            self.count_term(start)?;
            let text = self.phrase()?;
            if text.is_empty() {
                let whole = start..self.at;
                let problem = Problem::new(whole.clone(), "there is nothing between these quotes");
                return Err(problem.or(whole.clone(), "").or(whole, quote("\"\"")));
            }
            return Ok(anywhere(Pattern::Part(fold(&text).into_owned())));
        }
        if self.next_is('/')
            && let Some(matcher) = self.regex()?
        {
            self.count_term(start)?;
            return Ok(anywhere(Pattern::Regex(matcher)));
        }
        let end = self.word_end(start);
        let colon = self.chars[start..end].iter().position(|c| *c == ':').map(|n| start + n);
        if let Some(colon) = colon.filter(|colon| *colon > start) {
            let (name, rest) = (self.text(start..colon), self.text(colon + 1..end));
            match judge(&name, &rest) {
                Named::Field(field) => return self.field(&field, start, colon + 1),
                Named::Unknown(near) => return Err(unknown(start, &name, near, &rest)),
                Named::Text => {}
            }
        }
        self.count_term(start)?;
        self.at = end;
        self.word(start..end).map(anywhere)
    }

    /// `FIELD:VALUE` or `FIELD:(A OR B)`, from after the colon.
    fn field(&mut self, field: &Field, start: usize, from: usize) -> Result<Expr, Problem> {
        self.at = from;
        if self.is_boundary(from) {
            let whole = start..from;
            let as_text = quote(&self.text(whole.clone()));
            return Err(self.nothing_follows(start).or(whole, as_text));
        }
        if self.next_is('(') { self.group(Some(field)) } else { self.value(field) }
    }

    fn value(&mut self, field: &Field) -> Result<Expr, Problem> {
        self.count_term(self.at)?;
        self.value_of(field).map(Expr::Term)
    }

    /// What should follow the characters from `start` on is missing.
    pub(super) fn nothing_follows(&self, start: usize) -> Problem {
        let whole = start..self.at;
        let text = self.text(whole.clone());
        let message = format!("there is nothing after {}", shown(&text));
        let mut problem = Problem::new(whole, message);
        let blanks = self.chars[self.at..].iter().take_while(|c| c.is_whitespace()).count();
        if self.chars.get(self.at + blanks).is_some_and(|next| *next != ')') {
            problem = problem.or(self.at..self.at + blanks, "");
        }
        problem
    }

    /// A word that is no field.
    fn word(&self, at: Range<usize>) -> Result<Pattern, Problem> {
        let text = self.text(at.clone());
        for name in ["count", "rate", "first_seen", "last_seen"] {
            if text.strip_prefix(name).is_some_and(|rest| rest.starts_with(['<', '>'])) {
                let colon = at.start + name.len();
                let message = format!("a colon belongs between `{name}` and its value");
                let problem = Problem::new(at.clone(), message).or(colon..colon, ":");
                return Err(problem.or(at, quote(&text)));
            }
        }
        Ok(match &*text {
            "*" => Pattern::Some,
            _ => Pattern::Part(fold(&text).into_owned()),
        })
    }

    /// `"PHRASE"`, without its quotes.
    pub(super) fn phrase(&mut self) -> Result<String, Problem> {
        let start = self.at;
        let mut text = String::new();
        let mut at = start + 1;
        loop {
            match (self.chars.get(at), self.chars.get(at + 1)) {
                (None, _) => {
                    let end = self.chars.len();
                    let problem = Problem::new(start..end, "this quote is not closed");
                    return Err(problem.or(end..end, "\"").or(start..start + 1, ""));
                }
                (Some('"'), _) => break,
                // Other backslashes stand for themselves: people search for paths.
                (Some('\\'), Some(escaped @ ('"' | '\\'))) => {
                    text.push(*escaped);
                    at += 2;
                }
                (Some(c), _) => {
                    text.push(*c);
                    at += 1;
                }
            }
        }
        self.at = at + 1;
        if !self.is_boundary(self.at) {
            let end = self.word_end(self.at).max(self.at + 1);
            let follows = self.at..end;
            let problem = Problem::new(follows, "a blank belongs after a closing quote");
            // As in a piece of JSON.
            return Err(match self.chars[self.at] {
                ':' | ',' | ';' | '=' | '}' | ']' => {
                    problem.or(start..end, quote(&self.text(start..end)))
                }
                _ => problem.or(self.at..self.at, " "),
            });
        }
        Ok(text)
    }

    /// `/REGEX/`. `None` if what begins with a slash is none, but a path.
    pub(super) fn regex(&mut self) -> Result<Option<Box<Matcher>>, Problem> {
        let start = self.at;
        let looks_like_one =
            |at: Range<usize>| self.chars[at].iter().any(|c| "\\*+[(|^$".contains(*c));
        let mut source = String::new();
        let mut at = start + 1;
        loop {
            match (self.chars.get(at), self.chars.get(at + 1)) {
                (Some('/'), _) => break,
                (Some('\\'), Some(escaped)) => {
                    if *escaped != '/' {
                        source.push('\\');
                    }
                    source.push(*escaped);
                    at += 2;
                }
                (Some(c), _) => {
                    source.push(*c);
                    at += 1;
                }
                (None, _) => {
                    let (word, end) = (start..self.word_end(start), self.chars.len());
                    if !looks_like_one(word.clone()) {
                        return Ok(None);
                    }
                    let problem = Problem::new(start..end, "this regular expression is not closed");
                    let as_text = quote(&self.text(word.clone()));
                    return Err(problem.or(end..end, "/").or(word, as_text));
                }
            }
        }
        let end = at + 1;
        if !self.is_boundary(end) {
            let flags = end..self.word_end(end);
            let are_flags = self.chars[flags.clone()].iter().all(|c| "gimsuxy".contains(*c));
            if are_flags && looks_like_one(start..end) {
                let message = "a regular expression has no flags here; its case never matters";
                return Err(Problem::new(flags.clone(), message).or(flags, ""));
            }
            return Ok(None);
        }
        let whole = start..end;
        if source.is_empty() {
            let problem = Problem::new(whole.clone(), "this regular expression is empty");
            return Err(problem.or(whole, quote("//")));
        }
        self.regexes += 1;
        if self.regexes > MAX_REGEXES {
            let message = format!("a query has at most {MAX_REGEXES} regular expressions");
            return Err(Problem::new(whole, message));
        }
        self.at = end;
        let matcher = Matcher::new(&source).map_err(|reason| {
            let message = format!("this regular expression is not understood: {reason}");
            Problem::new(whole.clone(), message).or(whole, quote(&source))
        })?;
        Ok(Some(Box::new(matcher)))
    }

    /// Takes the next character to `end`, that of the word there.
    pub(super) fn take_word(&mut self) -> (String, Range<usize>) {
        let at = self.at..self.word_end(self.at);
        self.at = at.end;
        (self.text(at.clone()), at)
    }

    /// A word ends at a blank, or at a parenthesis that closes what did not open in it.
    fn word_end(&self, from: usize) -> usize {
        let mut open = 0_usize;
        let ends = self.chars[from..].iter().position(|c| match c {
            '(' => {
                open += 1;
                false
            }
            ')' => {
                let ends = open == 0;
                open = open.saturating_sub(1);
                ends
            }
            c => c.is_whitespace(),
        });
        ends.map_or(self.chars.len(), |n| from + n)
    }

    pub(super) fn text(&self, at: Range<usize>) -> String {
        self.chars[at].iter().collect()
    }

    pub(super) fn next_is(&self, c: char) -> bool {
        self.chars.get(self.at) == Some(&c)
    }

    /// Whether what stands before `at` has ended there.
    pub(super) fn is_boundary(&self, at: usize) -> bool {
        self.chars.get(at).is_none_or(|c| c.is_whitespace() || *c == ')')
    }

    /// Whether no term can follow.
    fn is_over(&self) -> bool {
        self.chars.get(self.at).is_none_or(|c| *c == ')') || self.is_operator("OR")
    }

    fn is_operator(&self, word: &str) -> bool {
        let end = self.at + word.len();
        self.chars.get(self.at..end).is_some_and(|next| next.iter().copied().eq(word.chars()))
            && (self.is_boundary(end) || self.chars.get(end) == Some(&'('))
    }

    fn operator(&mut self, word: &str) -> Option<Range<usize>> {
        self.is_operator(word).then(|| {
            let start = self.at;
            self.at += word.len();
            start..self.at
        })
    }

    fn dangling(&self, at: Range<usize>) -> Problem {
        let word = self.text(at.clone());
        let sides = if word == "NOT" { "something after it" } else { "something on both sides" };
        let message = format!("{word} needs {sides}; in quotes it is a word like others");
        Problem::new(at.clone(), message).or(at.clone(), "").or(at, quote(&word))
    }

    fn skip_blanks(&mut self) {
        let blanks = self.chars[self.at..].iter().take_while(|c| c.is_whitespace());
        self.at += blanks.count();
    }

    fn count_term(&mut self, start: usize) -> Result<(), Problem> {
        self.terms += 1;
        if self.terms <= MAX_TERMS {
            return Ok(());
        }
        let message = format!("a query has at most {MAX_TERMS} terms");
        Err(Problem::new(start..self.chars.len(), message))
    }
}

fn anywhere(pattern: Pattern) -> Expr {
    Expr::Term(Term::Anywhere(pattern))
}

fn unknown(start: usize, name: &str, near: Option<String>, rest: &str) -> Problem {
    let end = start + name.chars().count();
    let whole = format!("{name}:{rest}");
    let word = start..start + whole.chars().count();
    let meant = near.as_ref().map(|near| format!(" (did you mean `{near}`?)")).unwrap_or_default();
    let known = shown(name);
    let message = format!("there is no field {known}{meant}; to search for the text, quote it");
    let mut problem = Problem::new(start..end, message);
    if let Some(near) = near.filter(|near| !near.ends_with(".NAME")) {
        problem = problem.or(start..end, near);
    }
    problem.or(word, quote(&whole))
}
