//! The rows of the table, each a module or a part of one.

mod commits;
mod dead;
mod idle;
mod large;
mod library;
mod scrapes;

use std::future::Future;
use std::pin::Pin;

use super::Outcome;
use super::args::Args;
use super::table::Row;

type Measuring<'a> = Pin<Box<dyn Future<Output = Outcome<Vec<Row>>> + 'a>>;

/// Measures some rows.
pub(super) type Measure = for<'a> fn(&'a Args) -> Measuring<'a>;

/// All of them, by name.
pub(super) const ALL: [(&str, Measure); 8] = [
    ("small-scrapes", |args| Box::pin(scrapes::small(args))),
    ("scrapes", |args| Box::pin(scrapes::large(args))),
    ("occurrence", |args| Box::pin(scrapes::occurrence(args))),
    ("library", |args| Box::pin(async { library::rows(args) })),
    ("large", |args| Box::pin(large::rows(args))),
    ("commits", |args| Box::pin(commits::rows(args))),
    ("idle", |args| Box::pin(idle::rows(args))),
    ("dead", |args| Box::pin(dead::rows(args))),
];

/// Their names.
pub(super) fn names() -> [&'static str; 8] {
    ALL.map(|(name, _)| name)
}
