//! Reading configuration: YAML with positions, decoded with every problem at once.
//!
//! A file goes through two steps. [`parse`] makes a tree of [`Node`]s that know their line;
//! decoding takes the tree apart with [`Fields`], one typed taker per key, and notes whatever is
//! wrong in [`Problems`] instead of stopping at the first mistake:
//!
//! ```
//! use std::time::Duration;
//! use periskop_core::config::{self, At, Fields, Problems};
//!
//! #[derive(Debug)]
//! struct Scraper { endpoint: String, timeout: Duration, tags: Vec<String> }
//!
//! fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Scraper> {
//!     let mut fields = Fields::new(at, problems)?;
//!     let scraper = Scraper {
//!         endpoint: fields.string("endpoint").unwrap_or_else(|| "/-/exceptions".into()),
//!         timeout: fields.duration("timeout").unwrap_or(Duration::from_secs(10)),
//!         tags: fields.list("tags", |at, problems| at.string(problems)),
//!     };
//!     fields.finish(); // whatever was not asked for is unknown
//!     Some(scraper)
//! }
//!
//! let root = config::parse("endpoint: /e\ntimeout: 1m30s\ntags: [a, 1, yes]\n").unwrap();
//! let scraper = config::decode(&root, decode).unwrap();
//! assert_eq!(scraper.timeout, Duration::from_secs(90));
//! assert_eq!(scraper.tags, ["a", "1", "yes"]); // any scalar is its text where text is wanted
//!
//! let root = config::parse("endpoint: [a]\ntimeuot: 5s\n").unwrap();
//! assert_eq!(
//!     config::decode(&root, decode).unwrap_err().to_string(),
//!     "line 1, column 11: endpoint: expected a string, found a list\n\
//!      line 2, column 1: unknown field \"timeuot\", did you mean \"timeout\"?",
//! );
//! ```
//!
//! - A taker answers `None` when the key is absent, null, or wrong; when it is wrong, a problem
//!   is noted. So `unwrap_or(default)` is all that a caller does: a value made up in the presence
//!   of problems is never used, because [`decode`] then answers with the problems.
//! - [`At`] is a node and its path (`services[0].dns_sd_configs[1].port`); a section's decoder
//!   has the form `fn(&At, &mut Problems) -> Option<T>` and is given to [`Fields::section`] or
//!   [`Fields::list`]. Settings that are inlined into several sections take `&mut Fields`.
//! - [`Fields::problem`] notes what a section's own rules refuse, at the line of a key.
//! - Scalars mean what Go's `yaml.v2` takes them for, because files are shared with Prometheus
//!   and with the reference: YAML 1.1 booleans (`yes`, `off`), octal `010`, any scalar's text for
//!   a string, null for "not set".
//! - [`Node`] also comes from JSON ([`Node::from_json`]) and prints as YAML (`Display`), which is
//!   how an effective configuration is shown; a [`Secret`] becomes `<secret>` there.
//!
//! Invariant: no input makes this module panic, recurse without bound or use memory out of
//! proportion (aliases are expanded, and the expansion counted).

mod emit;
mod fields;
mod node;
mod parse;
mod problem;
mod scalar;
mod units;

pub use fields::{At, Fields, decode};
pub use node::{Entry, Node, Value};
pub use parse::{MAX_DEPTH, MAX_NODES, parse};
pub use problem::{Problem, Problems};
pub use scalar::{Kind, Scalar};
pub use units::{Secret, format_duration, parse_bytes, parse_duration, parse_go_duration};
