//! Faults for tests: what happens if the database goes away at any statement.

use std::cell::Cell;

use crate::sql::Trouble;

thread_local! {
    static STATEMENTS_LEFT: Cell<Option<usize>> = const { Cell::new(None) };
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
