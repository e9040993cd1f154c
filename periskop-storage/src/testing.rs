//! Faults for tests: what happens if the database goes away at any statement.

use std::cell::Cell;

use crate::sql::{DIVIDER, Trouble};

thread_local! {
    static STATEMENTS_LEFT: Cell<Option<usize>> = const { Cell::new(None) };
    static MOST_JOINED: Cell<usize> = const { Cell::new(usize::MAX) };
}

/// From now on, in this thread, so many statements of SQL stores succeed, and then all fail;
/// `None`: none fails. How many were left of the number before.
pub fn fail_after(statements: Option<usize>) -> Option<usize> {
    STATEMENTS_LEFT.replace(statements)
}

pub(crate) fn before_a_statement() -> Result<(), Trouble> {
    match STATEMENTS_LEFT.get() {
        None => Ok(()),
        Some(0) => Err(Trouble::Database(sqlx::Error::Io(std::io::Error::other("as planned")))),
        Some(n) => {
            STATEMENTS_LEFT.set(Some(n - 1));
            Ok(())
        }
    }
}

/// From now on, in this thread, more rows than this are too long for one text.
#[cfg(test)]
pub(crate) fn join_at_most(rows: usize) {
    MOST_JOINED.set(rows);
}

pub(crate) fn is_too_long(texts: &[String]) -> bool {
    let most = MOST_JOINED.get();
    let rows = texts.iter().map(|text| text.matches(char::from(DIVIDER)).count() + 1);
    most < usize::MAX && rows.sum::<usize>() > most
}
