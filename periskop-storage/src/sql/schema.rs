//! The tables, described once: what each column holds and how what is written joins with what is
//! there. Statements are made from this, tables by the scripts in `migrations/`.
//!
//! Invariant: every rule is commutative, associative and idempotent, so that of two processes
//! that write at the same time, in whatever order, both find the join.

use super::dialect::Kind;
use Kind::{Bytes, Int, Json, Text};
use Rule::{Fixed, Follows, Key, Mark, Max, Min};

/// The newest version of the tables that this program knows.
pub(super) const VERSION: i64 = 1;

/// A table.
#[derive(Debug)]
pub(super) struct Table {
    pub(super) name: &'static str,
    pub(super) columns: &'static [Column],
}

/// A column.
#[derive(Debug)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) kind: Kind,
    pub(super) rule: Rule,
}

/// How what is written joins with what is there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Rule {
    /// Part of what tells rows apart.
    Key,
    /// The same in every row with this key.
    Fixed,
    /// The greater one; anything is greater than null.
    Max,
    /// The smaller one; anything is smaller than null.
    Min,
    /// That of the row in which these columns together are greater. They come later in the table
    /// than what only follows them: MySQL assigns one column after the other.
    Follows(&'static [&'static str]),
    /// Who wrote last, and in which of its commits: whoever looks for changes finds it by that.
    Mark,
}

const fn column(name: &'static str, kind: Kind, rule: Rule) -> Column {
    Column { name, kind, rule }
}

const WRITER: Column = column("writer", Int, Mark);
const COMMIT: Column = column("commit_number", Int, Mark);

/// The services known.
pub(super) const SERVICES: Table = Table {
    name: "periskop_services",
    columns: &[column("id", Bytes, Key), column("name", Text, Fixed), WRITER, COMMIT],
};

/// Who has observed a service.
pub(super) const SERVICE_OBSERVERS: Table = Table {
    name: "periskop_service_observers",
    columns: &[column("service", Bytes, Key), column("observer", Int, Key), WRITER, COMMIT],
};

const LAST_STATE: Rule = Follows(&["since", "is_down", "reason"]);

/// How targets were found last.
pub(super) const TARGETS: Table = Table {
    name: "periskop_targets",
    columns: &[
        column("service", Bytes, Key),
        column("id", Bytes, Key),
        column("url", Text, Fixed),
        column("reason", Text, LAST_STATE),
        column("is_down", Int, LAST_STATE),
        column("since", Int, LAST_STATE),
        WRITER,
        COMMIT,
    ],
};

const LABELS: Rule = Follows(&["labels_at", "labels"]);

/// Who counts.
pub(super) const SOURCES: Table = Table {
    name: "periskop_sources",
    columns: &[
        column("id", Bytes, Key),
        column("name", Text, Fixed),
        column("labels", Json, LABELS),
        column("labels_at", Int, LABELS),
        WRITER,
        COMMIT,
    ],
};

const SEVERITY: Rule = Follows(&["severity_at", "severity"]);

/// Errors as a whole.
pub(super) const ERRORS: Table = Table {
    name: "periskop_errors",
    columns: &[
        column("id", Bytes, Key),
        column("service", Bytes, Fixed),
        column("key_sha256", Bytes, Fixed),
        column("aggregation_key", Text, Fixed),
        column("first_seen", Int, Min),
        column("last_seen", Int, Max),
        column("severity", Int, SEVERITY),
        column("severity_at", Int, SEVERITY),
        column("forgotten_through", Int, Max),
        WRITER,
        COMMIT,
    ],
};

/// Who counted how much.
pub(super) const COUNTS: Table = Table {
    name: "periskop_counts",
    columns: &[
        column("error", Bytes, Key),
        column("source", Bytes, Key),
        column("numbered_by", Int, Key),
        column("is_numbered", Int, Key),
        column("life", Int, Key),
        column("total", Int, Max),
        column("newest", Int, Max),
        column("risen", Int, Max),
        column("age", Int, Max),
        WRITER,
        COMMIT,
    ],
};

/// What of the counts people had forgotten.
pub(super) const FORGOTTEN: Table = Table {
    name: "periskop_forgotten",
    columns: &[
        column("error", Bytes, Key),
        column("source", Bytes, Key),
        column("numbered_by", Int, Key),
        column("is_numbered", Int, Key),
        column("life", Int, Key),
        column("total", Int, Max),
        WRITER,
        COMMIT,
    ],
};

/// The stacks of an error's occurrences. Without marks: a stack is read with the occurrences that
/// name it, and most of those that are written are there already, and need not be written again.
pub(super) const STACKS: Table = Table {
    name: "periskop_stacks",
    columns: &[
        column("error", Bytes, Key),
        column("id", Bytes, Key),
        column("frames", Json, Fixed),
    ],
};

const CONTENT: Rule = Follows(&["ordered_at", "content", "occurrence"]);

/// The newest occurrences.
pub(super) const OCCURRENCES: Table = Table {
    name: "periskop_occurrences",
    columns: &[
        column("error", Bytes, Key),
        column("name", Bytes, Key),
        column("stack", Bytes, CONTENT),
        column("occurrence", Json, CONTENT),
        column("content", Bytes, CONTENT),
        column("ordered_at", Int, CONTENT),
        WRITER,
        COMMIT,
    ],
};

/// What people did.
pub(super) const ACTIONS: Table = Table {
    name: "periskop_actions",
    columns: &[
        column("error", Bytes, Key),
        column("done_at", Int, Key),
        column("id", Bytes, Key),
        column("act", Text, Fixed),
        column("mute_until", Int, Fixed),
        column("mute_further", Int, Fixed),
        column("done_by", Text, Fixed),
        column("why", Text, Fixed),
        column("watermark", Json, Follows(&["watermark"])),
        WRITER,
        COMMIT,
    ],
};

/// What each observer saw over time.
pub(super) const BUCKETS: Table = Table {
    name: "periskop_buckets",
    columns: &[
        column("error", Bytes, Key),
        column("observer", Int, Key),
        column("seconds", Int, Key),
        column("number", Int, Key),
        column("total", Int, Max),
        WRITER,
        COMMIT,
    ],
};

/// What belongs to an error, in the order in which it is removed with it.
pub(super) const OF_ERRORS: [&Table; 6] =
    [&COUNTS, &STACKS, &OCCURRENCES, &ACTIONS, &BUCKETS, &FORGOTTEN];

impl Table {
    /// The names of the columns that tell rows apart.
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.columns.iter().filter(|column| column.rule == Key).map(|column| column.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// MySQL assigns the columns of an upsert one after the other, and reads those that are
    /// assigned already as they are then.
    #[test]
    fn what_others_follow_comes_after_them_greatest_first() {
        for table in OF_ERRORS.into_iter().chain([&SERVICES, &SOURCES, &TARGETS, &ERRORS]) {
            let place = |name: &str| table.columns.iter().position(|c| c.name == name).unwrap();
            for (i, column) in table.columns.iter().enumerate() {
                let Follows(ranks) = column.rule else { continue };
                let places: Vec<_> = ranks.iter().map(|rank| place(rank)).collect();
                assert!(places.is_sorted_by(|a, b| a > b), "{}: {ranks:?}", table.name);
                let own = ranks.contains(&column.name);
                assert!(own || places.iter().all(|p| *p > i), "{}.{}", table.name, column.name);
            }
        }
    }
}
