//! The query language, in the search box and in the API alike: from text to an answer.
//!
//! # The language
//!
//! | form | finds errors |
//! | --- | --- |
//! | `timeout` | one of whose texts has this as a part: key, and of every kept occurrence class, message and stack trace of the exception and its causes, URL, method, headers and body |
//! | `"connection reset"` | the same, with blanks and whatever else means something here; `\"` is a quote, `\\` a backslash, any other backslash itself |
//! | `/order \d+/` | one of whose texts the regular expression matches; `\/` is a slash |
//! | `service:checkout` | with this value of a field; `field:"two words"` and, for texts, `field:/regex/` as well |
//! | `count:>100` | that a number is compared with: `>` `>=` `<` `<=` `=`; a number alone means exactly |
//! | `last_seen:<1h`, `first_seen:>2026-01-01` | that a duration is compared with the age of, or a date or time with the time itself |
//! | `message:*` | that have any value of a field; a lone `*` finds everything |
//! | `A B`, `A AND B` | that both find |
//! | `A OR B` | that one of both finds; a blank binds tighter |
//! | `-A`, `NOT A` | that `A` does not find |
//! | `(A OR B) C` | as parentheses group |
//! | `severity:(error OR warning)` | with one of several values |
//!
//! [`FIELDS`] tells the fields, [`FORMS`] the forms, both with an example; help pages are made of
//! these. The empty query finds everything.
//!
//! ```text
//! query   = [ or ]
//! or      = and { "OR" and }
//! and     = not { [ "AND" ] not }
//! not     = { "NOT" } [ "-" ] ( "(" or ")" | field | text )
//! field   = name ":" ( value | "(" or ")" )              in the parentheses, of values
//! value   = text | [ ">=" | "<=" | ">" | "<" | "=" ] ( word | phrase )
//! text    = word | phrase | regex
//! phrase  = '"' { any character, \" or \\ } '"'
//! regex   = "/" { any character but "/", or "\" and any } "/"
//! word    = what is not blank, up to a parenthesis that closes nothing in it
//! ```
//!
//! ```
//! use periskop_core::query::Query;
//!
//! let query = Query::parse(r#"Timeout severity:(error OR warning) -url:/health last_seen:<1h"#)?;
//! assert_eq!(
//!     query.to_string(),
//!     r#"timeout (severity:error OR severity:warning) -url:"/health" last_seen:<1h"#
//! );
//! assert_eq!(Query::parse("")?, Query::default());
//! # Ok::<(), periskop_core::query::QueryError>(())
//! ```
//!
//! # Fields
//!
//! `service`, `severity`, `state` and `method` compare the whole value; the others a part of it.
//! Nothing depends on upper and lower case but the name of a label. Texts are compared in the form
//! that [`fold`](crate::search::fold) gives them; so are regular expressions, which are matched
//! without regard to case against texts in that form, in an index as in the naive look.
//!
//! - `class` and `message` are those of the exception and of its causes, of every kept occurrence.
//! - `header.NAME` is any value of a header of this name.
//! - `label.NAME` is a label of a source that counts the error, after relabelling. `instance` is
//!   its `instance` label or, where it has none, its own name.
//! - `state:new` is an open error that is new ([`NEW_FOR`]).
//! - A date is its first moment in UTC. `first_seen:2026-01-01`, without an operator, is any time
//!   of that day. A time without an offset is UTC.
//!
//! # What people paste
//!
//! A word from a log line is text, though it looks like syntax:
//!
//! - A word with a colon asks for a field where a field's name stands before the colon. Where the
//!   name looks like one (letters, digits and `_`) but is none, that is an error, for who
//!   mistypes a field must not take an empty list for an answer. It is text where the colon ends
//!   the word (`TypeError:`), where `:`, `/` or `\` follows (`std::io`, `http://x`, `C:\x`) and
//!   where the name is none of a field (`java.lang.X:12`, `10.0.0.1:80`, `12:30:00`).
//! - Parentheses within a word are part of it as long as they are paired: `run()`,
//!   `Main.run(Main.java:7)`.
//! - A slash begins a regular expression only if the next slash ends the word: `/api/orders` is
//!   text, `/api/` is not.
//! - A minus alone, `--option` and `->` are text. `AND`, `OR` and `NOT` mean something in upper case
//!   only. `*` and `?` within a word stand for themselves.
//!
//! ```
//! use periskop_core::query::Query;
//!
//! let error = Query::parse("checkout sevrity:error").unwrap_err();
//! assert_eq!((error.position, error.length), (9, 7));
//! assert_eq!(error.suggestion.as_deref(), Some("checkout severity:error"));
//! assert!(Query::parse("http://checkout/cart at java.lang.Thread.run(Thread.java:7)").is_ok());
//! ```
//!
//! # Bounds
//!
//! Whatever the text, it is read without a panic and in bounded time: at most [`MAX_LENGTH`]
//! characters (also of the normal form that [`Query`] prints), [`MAX_TERMS`] terms and
//! [`MAX_REGEXES`] regular expressions, parentheses [`MAX_DEPTH`] deep. Regular expressions are
//! matched in linear time and limited in size.

mod expr;
mod field;
mod find;
mod help;
mod matches;
mod parse;
mod pattern;
mod problem;
#[cfg(test)]
mod tests;
mod value;

use std::fmt;

pub use help::{FIELDS, FORMS, Help};
pub use matches::{NEW_FOR, is_new};
pub use problem::QueryError;

use crate::aggregate::Status;
use crate::ids::{AggregationKey, ServiceName};
use crate::occurrence::Severity;
use crate::query::expr::{Expr, Term};
use crate::query::find::Finder;
use crate::search::{ErrorNumber, ErrorSet, SearchIndex};
use crate::state::State;
use crate::time::Timestamp;
use crate::view::ErrorView;

/// As long as a query may be, in characters.
pub const MAX_LENGTH: usize = 4096;

/// As many terms as a query may have.
pub const MAX_TERMS: usize = 100;

/// As many regular expressions as a query may have: each may take a megabyte.
pub const MAX_REGEXES: usize = 10;

/// As deep as parentheses may be nested.
pub const MAX_DEPTH: usize = 32;

/// What somebody asks for. Prints in normal form, which reads as the same query.
#[derive(Clone, Debug, PartialEq)]
pub struct Query(Expr);

/// What a query is answered from: errors by number, and an index of their texts.
///
/// All of it is of the same moment: `facts` and `view` know exactly the errors of `all`, and the
/// index what `view` shows of them, but for those that are `unindexed`.
pub trait Indexed {
    /// The errors that there are.
    fn all(&self) -> &ErrorSet;

    /// Finds them by their texts.
    fn index(&self) -> &dyn SearchIndex;

    /// Those of which the index does not know yet what `view` shows: they are looked at one by one.
    fn unindexed(&self) -> &ErrorSet {
        const NONE: &ErrorSet = &ErrorSet::new();
        NONE
    }

    /// What is known of one without a look at its texts. Asked for most errors, so it should be
    /// cheap.
    fn facts(&self, number: ErrorNumber, now: Timestamp) -> Option<Facts<'_>>;

    /// Everything about one.
    fn view(&self, number: ErrorNumber) -> Option<ErrorView<'_>>;

    /// The state that they are part of.
    fn state(&self) -> &State;
}

/// What is known of an error without its texts: the same as its [`ErrorView`] says.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// The service that reports it.
    pub service: &'a ServiceName,
    /// The client's aggregation key.
    pub key: &'a AggregationKey,
    /// The severity of its newest occurrence.
    pub severity: Severity,
    /// Its state.
    pub status: Status,
    /// How often it happened.
    pub total: u64,
    /// The oldest time known of it.
    pub first_seen: Timestamp,
    /// The newest time known of it.
    pub last_seen: Timestamp,
}

impl Query {
    /// Reads a query. Ages stay relative: `now` comes with the question.
    ///
    /// # Errors
    ///
    /// Says what is wrong, where, and what may have been meant.
    pub fn parse(text: &str) -> Result<Self, QueryError> {
        let chars = problem::chars_of(text);
        parse::parse(&chars).map(Self).map_err(|problem| problem.into_error(&chars))
    }

    /// Whether it asks for this error, by looking at it. This is what a query means;
    /// [`Self::find`] answers the same, sooner.
    pub fn matches(&self, error: ErrorView<'_>, now: Timestamp) -> bool {
        self.0.matches(error, now)
    }

    /// The errors that it asks for.
    pub fn find(&self, errors: &dyn Indexed, now: Timestamp) -> ErrorSet {
        Finder::new(errors, now).find(&self.0, errors.all())
    }

    /// Whether it says anything about states. If it does not, what is resolved or muted may be
    /// left out by default.
    pub fn mentions_state(&self) -> bool {
        self.0.has(&|term| matches!(term, Term::State(_)))
    }

    /// Whether it asks what an index of texts knows, and is answered slowly by one that is not up
    /// to date. Facts, labels and rates are known without one.
    pub fn asks_for_texts(&self) -> bool {
        self.0.has(&Term::is_of_texts)
    }

    /// Whether it says nothing, and so finds everything.
    pub fn is_empty(&self) -> bool {
        matches!(&self.0, Expr::All(parts) if parts.is_empty())
    }
}

/// The empty query, which finds everything.
impl Default for Query {
    fn default() -> Self {
        Self(Expr::All(Vec::new()))
    }
}

impl fmt::Display for Query {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for Query {
    type Err = QueryError;

    fn from_str(text: &str) -> Result<Self, QueryError> {
        Self::parse(text)
    }
}
