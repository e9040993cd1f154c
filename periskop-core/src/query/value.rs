//! What stands after a colon.

use std::ops::Range;
use std::time::Duration;

use crate::aggregate::Status;
use crate::config::{format_duration, parse_duration};
use crate::occurrence::Severity;
use crate::query::expr::{Moment, Op, Term, TextField, Wanted};
use crate::query::field::Field;
use crate::query::parse::Parser;
use crate::query::pattern::Pattern;
use crate::query::problem::{Problem, shown};
use crate::search::fold;
use crate::time::Timestamp;

const SEVERITIES: [Severity; 3] = [Severity::Error, Severity::Warning, Severity::Info];

const STATES: [Wanted; 5] = [
    Wanted::Is(Status::Open),
    Wanted::Is(Status::Regressed),
    Wanted::Is(Status::Resolved),
    Wanted::Is(Status::Muted),
    Wanted::New,
];

/// What people call severities and states elsewhere.
const SYNONYMS: &[(&str, &str)] = &[
    ("active", "open"),
    ("closed", "resolved"),
    ("crit", "error"),
    ("critical", "error"),
    ("debug", "info"),
    ("done", "resolved"),
    ("fatal", "error"),
    ("fixed", "resolved"),
    ("ignored", "muted"),
    ("notice", "info"),
    ("reopened", "regressed"),
    ("silenced", "muted"),
    ("trace", "info"),
    ("unresolved", "open"),
];

impl Parser<'_> {
    /// The value of a field, from the next character on.
    pub(super) fn value_of(&mut self, field: &Field) -> Result<Term, Problem> {
        Ok(match field {
            Field::Text(name) => Term::Text(name.clone(), self.pattern(field, name)?),
            Field::Severity => Term::Severity(self.choice(&SEVERITIES, |one| one.as_str())?),
            Field::State => Term::State(self.choice(&STATES, |one| one.as_str())?),
            Field::Count => self.compared("count", count).map(|(op, n)| Term::Count(op, n))?,
            Field::Rate => self.compared("rate", rate).map(|(op, n)| Term::Rate(op, n))?,
            Field::Seen(seen) => {
                let (op, moment) = self.compared(seen.name(), moment)?;
                Term::Seen(*seen, op, moment)
            }
        })
    }

    fn pattern(&mut self, field: &Field, name: &TextField) -> Result<Pattern, Problem> {
        if self.next_is('/')
            && let Some(matcher) = self.regex()?
        {
            return Ok(Pattern::Regex(matcher));
        }
        let start = self.at;
        let text = if self.next_is('"') { self.phrase()? } else { self.take_word().0 };
        let whole = start..self.at;
        if text.is_empty() {
            let message = format!("this value is empty; {name}:* is any value, -{name}:* is none");
            return Err(Problem::new(whole.clone(), message).or(whole, "*"));
        }
        if text == "*" && whole.len() == 1 {
            return Ok(Pattern::Some);
        }
        let text = fold(&text).into_owned();
        Ok(if field.is_whole() { Pattern::Whole(text) } else { Pattern::Part(text) })
    }

    /// One of a few words; `None` for `*`.
    fn choice<T: Copy>(
        &mut self,
        known: &[T],
        name: impl Fn(&T) -> &'static str,
    ) -> Result<Option<T>, Problem> {
        let start = self.at;
        let text = if self.next_is('"') { self.phrase()? } else { self.take_word().0 };
        let whole = start..self.at;
        if text == "*" && whole.len() == 1 {
            return Ok(None);
        }
        let word = fold(&text);
        if let Some(one) = known.iter().find(|one| name(one) == word) {
            return Ok(Some(*one));
        }
        let names: Vec<_> = known.iter().map(&name).collect();
        let synonym =
            SYNONYMS.iter().find(|(synonym, name)| *synonym == word && names.contains(name));
        // A longer word is as far from all of them.
        let head: String = word.chars().take(20).collect();
        let near = synonym
            .map(|(_, name)| *name)
            .or_else(|| names.iter().min_by_key(|name| strsim::osa_distance(&head, name)).copied());
        let message = format!("{} is none of {}", shown(&text), names.join(", "));
        Err(Problem::new(whole.clone(), message).or(whole, near.unwrap_or_default()))
    }

    /// An operator, or none, and what `read` makes of the text after it.
    fn compared<T>(
        &mut self,
        name: &str,
        read: impl Fn(Op, &str) -> Result<T, Misread>,
    ) -> Result<(Op, T), Problem> {
        let start = self.at;
        let rest = self.chars[start..].iter().take(2).collect::<String>();
        let written = Op::WRITTEN.iter().find(|(written, _)| rest.starts_with(written));
        let (length, op) = written.map_or((0, Op::Equal), |(written, op)| (written.len(), *op));
        self.at += length;
        let operator = start..self.at;
        if self.is_boundary(self.at) {
            let some = if name.ends_with("_seen") { "1h" } else { "1" };
            return Err(self.nothing_follows(start).or(self.at..self.at, some));
        }
        let from = self.at;
        let text = if self.next_is('"') { self.phrase()? } else { self.take_word().0 };
        let value = from..self.at;
        if text.starts_with(['<', '>', '=']) {
            return Err(swapped(start, &operator, &text));
        }
        read(op, &text).map(|value| (op, value)).map_err(|misread| match misread {
            Misread::Equal => {
                let message = format!(
                    "an age is compared: {name}:<{text} is less than that ago, {name}:>{text} more"
                );
                Problem::new(start..value.end, message).or(operator, "<")
            }
            Misread::As(what, near) => {
                let message = format!("{} is {what}", shown(&text));
                Problem::new(value.clone(), message).or(value, near)
            }
        })
    }
}

/// Why a text after an operator cannot be read.
enum Misread {
    /// Nothing has exactly that age.
    Equal,
    /// It is not what it should be; and what it may have been meant as.
    As(&'static str, String),
}

/// `=>` and the like, where `>=` is meant.
fn swapped(start: usize, operator: &Range<usize>, text: &str) -> Problem {
    let more = text.chars().take_while(|c| "<>=".contains(*c)).count();
    let whole = start..operator.end + more;
    let meant = match text.chars().take(more).find(|c| *c != '=') {
        Some('>') => ">=",
        Some('<') => "<=",
        _ => "=",
    };
    Problem::new(whole.clone(), "an operator is one of > >= < <= =").or(whole, meant)
}

fn count(_: Op, text: &str) -> Result<u64, Misread> {
    let digits = !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if let (true, Ok(count)) = (digits, text.parse()) {
        return Ok(count);
    }
    let near = if digits {
        u64::MAX.to_string()
    } else {
        leading_number(text).map_or_else(|| "1".to_owned(), |number| format!("{number:.0}"))
    };
    Err(Misread::As("no whole number", near))
}

fn rate(_: Op, text: &str) -> Result<f64, Misread> {
    // Longer ones are no more exact, and writing them again may take much room.
    const LONGEST: usize = 20;
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit());
    let (whole, fraction) = text.split_once('.').unwrap_or((text, "0"));
    if text.len() <= LONGEST
        && all_digits(whole)
        && all_digits(fraction)
        && let Ok(rate) = text.parse()
    {
        return Ok(rate);
    }
    let near = leading_number(text).map_or_else(|| "1".to_owned(), |n| format!("{n}"));
    Err(Misread::As("no number", near))
}

/// The number that a text begins with, `k` and `M` for thousands and millions, within bounds.
fn leading_number(text: &str) -> Option<f64> {
    let text = text.replace([',', '_'], "");
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let number: f64 = number.parse().ok()?;
    let number = match unit {
        "k" | "K" => number * 1e3,
        "m" | "M" => number * 1e6,
        _ => number,
    };
    Some(number.min(1e15))
}

fn moment(op: Op, text: &str) -> Result<Moment, Misread> {
    if let Ok(age) = parse_duration(text) {
        return if op == Op::Equal { Err(Misread::Equal) } else { Ok(Moment::Age(age)) };
    }
    if let Some(start) = day(text) {
        return Ok(if op == Op::Equal { Moment::Day(start) } else { Moment::Time(start) });
    }
    let time = || {
        // Without an offset it is UTC; seconds may be left out.
        let (minutes, rest) = text.split_at_checked("2026-01-31T09:00".len())?;
        let written = [text.to_owned(), format!("{text}Z")];
        let full = [format!("{minutes}:00{rest}"), format!("{minutes}:00{rest}Z")];
        let time = written.iter().chain(&full).find_map(|text| Timestamp::parse(text))?;
        // Its offset may move it out of the years that can be written.
        (Timestamp::parse(&time.to_string()) == Some(time)).then_some(time)
    };
    time().map(Moment::Time).ok_or_else(|| {
        let what = "neither a duration (such as 90s, 1h or 7d) nor a date (2026-01-31) or time \
                    (2026-01-31T09:00:00Z)";
        Misread::As(what, like_a_date(text).unwrap_or_else(|| like_a_duration(text)))
    })
}

fn day(text: &str) -> Option<Timestamp> {
    (text.len() == 10).then(|| Timestamp::parse(&format!("{text}T00:00:00Z")))?
}

/// The date that was probably meant by what begins with a year.
fn like_a_date(text: &str) -> Option<String> {
    let mut parts = text.split(['-', '/', '.', 'T', ' ']).map(str::parse::<u32>);
    let year = parts.next()?.ok().filter(|year| (1900..10_000).contains(year))?;
    let mut next = |most: u32| parts.next().and_then(Result::ok).unwrap_or(1).clamp(1, most);
    let (month, latest) = (next(12), next(31));
    let dates = (1..=latest).rev().map(|day| format!("{year:04}-{month:02}-{day:02}"));
    dates.take(4).find(|date| day(date).is_some())
}

/// The duration that was probably meant: `90 min`, `1.5h`, `2days`, `5`.
fn like_a_duration(text: &str) -> String {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let unit = unit.trim().to_ascii_lowercase();
    let seconds = match unit.as_bytes() {
        [b'm', b's' | b'i', b'l' | b'c', ..] | [b'm', b's'] => 0.001,
        [b'm', b'o', ..] => 30.0 * 86_400.0,
        [b's', ..] => 1.0,
        [b'h', ..] => 3600.0,
        [b'd', ..] => 86_400.0,
        [b'w', ..] => 7.0 * 86_400.0,
        [b'y', ..] => 365.0 * 86_400.0,
        _ => 60.0,
    };
    let meant = number.parse::<f64>().ok().map(|number| number * seconds);
    let meant = meant.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok());
    meant
        .map(format_duration)
        .filter(|written| parse_duration(written).is_ok())
        .unwrap_or_else(|| "1h".to_owned())
}
