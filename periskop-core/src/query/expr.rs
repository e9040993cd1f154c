//! A query as a tree, and how it is written.
//!
//! A tree is in normal form: no list of one, no list within a list of its kind, no negation of a
//! negation. So it is the same as what is read from how it is written.

use std::fmt::{self, Display, Formatter};
use std::time::Duration;

use crate::aggregate::Status;
use crate::config::format_duration;
use crate::occurrence::Severity;
use crate::query::pattern::Pattern;
use crate::time::Timestamp;

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Expr {
    /// Each of them; what an empty query is has none.
    All(Vec<Expr>),
    /// At least one of them; never empty.
    Any(Vec<Expr>),
    Not(Box<Expr>),
    Term(Term),
}

#[derive(Clone, Debug, PartialEq)]
pub(super) enum Term {
    /// Any text.
    Anywhere(Pattern),
    /// The texts of one field.
    Text(TextField, Pattern),
    /// `None`: any.
    Severity(Option<Severity>),
    /// `None`: any.
    State(Option<Wanted>),
    Count(Op, u64),
    Rate(Op, f64),
    Seen(Seen, Op, Moment),
}

/// A field that is a text, or several.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum TextField {
    Service,
    Class,
    Message,
    Url,
    Method,
    /// By its name, folded.
    Header(String),
    Key,
    Label(String),
    Instance,
}

/// What `state:` asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted {
    Is(Status),
    /// Open, and not known for long.
    New,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Op {
    Less,
    AtMost,
    Equal,
    AtLeast,
    More,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Seen {
    First,
    Last,
}

/// What a time is compared with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Its age.
    Age(Duration),
    /// Itself.
    Time(Timestamp),
    /// The day that begins then, UTC. Only for [`Op::Equal`].
    Day(Timestamp),
}

impl Expr {
    pub(super) fn all(parts: Vec<Expr>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::All(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::All(flat) }
    }

    pub(super) fn any(parts: Vec<Expr>) -> Self {
        let mut flat = Vec::with_capacity(parts.len());
        for part in parts {
            match part {
                Self::Any(inner) => flat.extend(inner),
                other => flat.push(other),
            }
        }
        if flat.len() == 1 { flat.remove(0) } else { Self::Any(flat) }
    }

    pub(super) fn negated(self) -> Self {
        match self {
            Self::Not(inner) => *inner,
            other => Self::Not(Box::new(other)),
        }
    }

    /// Whether some term is one that `wanted` says true of.
    pub(super) fn has(&self, wanted: &dyn Fn(&Term) -> bool) -> bool {
        match self {
            Self::All(parts) | Self::Any(parts) => parts.iter().any(|part| part.has(wanted)),
            Self::Not(inner) => inner.has(wanted),
            Self::Term(term) => wanted(term),
        }
    }
}

impl Term {
    /// Whether the texts of occurrences answer it.
    pub(super) fn is_of_texts(&self) -> bool {
        use TextField::{Instance, Key, Label, Service};
        match self {
            Self::Anywhere(pattern) => !matches!(pattern, Pattern::Some),
            Self::Text(field, _) => !matches!(field, Service | Key | Label(_) | Instance),
            _ => false,
        }
    }
}

impl Seen {
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::First => "first_seen",
            Self::Last => "last_seen",
        }
    }
}

impl Wanted {
    pub(super) const fn as_str(self) -> &'static str {
        match self {
            Self::Is(status) => status.as_str(),
            Self::New => "new",
        }
    }
}

impl Op {
    /// Every operator as it is written; one that begins with another stands before it.
    pub(super) const WRITTEN: [(&str, Self); 5] = [
        (">=", Self::AtLeast),
        ("<=", Self::AtMost),
        (">", Self::More),
        ("<", Self::Less),
        ("=", Self::Equal),
    ];

    pub(super) fn holds<T: PartialOrd>(self, value: &T, limit: &T) -> bool {
        match self {
            Self::Less => value < limit,
            Self::AtMost => value <= limit,
            Self::Equal => value == limit,
            Self::AtLeast => value >= limit,
            Self::More => value > limit,
        }
    }
}

impl Moment {
    /// How long a day is, leap seconds apart, which no timestamp has.
    pub(super) const DAY: Duration = Duration::from_secs(24 * 60 * 60);

    pub(super) fn holds(self, op: Op, time: Timestamp, now: Timestamp) -> bool {
        match self {
            Self::Age(limit) => op.holds(&now.since(time), &limit),
            Self::Time(limit) => op.holds(&time, &limit),
            Self::Day(start) => (start..start.plus(Self::DAY)).contains(&time),
        }
    }
}

impl Display for Expr {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::All(parts) => list(f, parts, " "),
            Self::Any(parts) => list(f, parts, " OR "),
            Self::Not(inner) => match &**inner {
                Self::Term(term) => write!(f, "-{term}"),
                other => write!(f, "-({other})"),
            },
            Self::Term(term) => term.fmt(f),
        }
    }
}

fn list(f: &mut Formatter<'_>, parts: &[Expr], between: &str) -> fmt::Result {
    for (n, part) in parts.iter().enumerate() {
        if n > 0 {
            f.write_str(between)?;
        }
        match part {
            // A blank binds tighter than OR.
            Expr::Any(_) => write!(f, "({part})")?,
            _ => part.fmt(f)?,
        }
    }
    Ok(())
}

impl Display for Term {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anywhere(pattern) => pattern.fmt(f),
            Self::Text(field, pattern) => write!(f, "{field}:{pattern}"),
            Self::Severity(severity) => {
                write!(f, "severity:{}", severity.map_or("*", Severity::as_str))
            }
            Self::State(state) => write!(f, "state:{}", state.map_or("*", Wanted::as_str)),
            Self::Count(op, count) => write!(f, "count:{op}{count}"),
            Self::Rate(op, rate) => write!(f, "rate:{op}{rate}"),
            Self::Seen(seen, op, moment) => write!(f, "{}:{op}{moment}", seen.name()),
        }
    }
}

impl Display for TextField {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Service => f.write_str("service"),
            Self::Class => f.write_str("class"),
            Self::Message => f.write_str("message"),
            Self::Url => f.write_str("url"),
            Self::Method => f.write_str("method"),
            Self::Header(name) => write!(f, "header.{name}"),
            Self::Key => f.write_str("key"),
            Self::Label(name) => write!(f, "label.{name}"),
            Self::Instance => f.write_str("instance"),
        }
    }
}

/// As it stands between a field and its value: nothing for [`Op::Equal`].
impl Display for Op {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Less => "<",
            Self::AtMost => "<=",
            Self::Equal => "",
            Self::AtLeast => ">=",
            Self::More => ">",
        })
    }
}

impl Display for Moment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        match self {
            Self::Age(age) => f.write_str(&format_duration(*age)),
            Self::Time(time) => {
                let text = time.to_string();
                match text.strip_suffix(".000000Z") {
                    Some(whole) => write!(f, "{whole}Z"),
                    None => f.write_str(&text),
                }
            }
            Self::Day(start) => f.write_str(start.to_string().get(..10).unwrap_or_default()),
        }
    }
}
