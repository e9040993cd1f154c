//! PostgreSQL, and what speaks its protocol: no advisory locks, no notifications, no session state.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::postgres::{PgConnectOptions, PgConnection, Postgres as Database};
use sqlx::{ConnectOptions, Connection, Row as _};

use super::Trouble;
use super::dialect::{
    Argument, Dialect, Kind, Row, Statement, Style, Syntax, TRIM_OCCURRENCES, Value, bound, driver,
};

/// A database on a server.
pub(crate) struct Postgres {
    options: PgConnectOptions,
    name: String,
}

impl Postgres {
    pub(crate) fn new(options: PgConnectOptions, name: String) -> Self {
        let options = options
            .application_name("periskop")
            .log_slow_statements(log::LevelFilter::Debug, Duration::from_secs(1));
        Self { options, name }
    }
}

impl Dialect for Postgres {
    type Connection = PgConnection;

    const SYNTAX: &'static Syntax = &Syntax {
        style: Style::Arrays,
        most_arguments: 65_535,
        // So that what is read under a lock is what the one before left behind: at its default, a
        // server may isolate further.
        begin: &["BEGIN ISOLATION LEVEL READ COMMITTED"],
        begin_reading: &["BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"],
        now: "CAST(EXTRACT(EPOCH FROM CLOCK_TIMESTAMP()) * 1000000 AS BIGINT)",
        greatest: "GREATEST",
        least: "LEAST",
        for_update: " FOR UPDATE",
        reads_latest: true,
        one_if: "CAST(CASE WHEN {} THEN 1 ELSE 0 END AS BIGINT)",
        to_json: "CAST({} AS JSON)",
        // Compared byte by byte, as everywhere.
        from_json: "(CAST({} AS TEXT) COLLATE \"C\")",
        join_texts: Some("STRING_AGG({}, CHR(30))"),
        joined_by: " GROUP BY error",
        to_hex: "ENCODE({}, 'hex')",
        is_clustered: false,
        place: None,
        trim_occurrences: TRIM_OCCURRENCES,
        migrations: &[include_str!("../../migrations/postgres/1.sql")],
    };

    fn name(&self) -> &str {
        &self.name
    }

    async fn connect(&self) -> Result<PgConnection, sqlx::Error> {
        self.options.connect().await
    }

    driver!(Database, PgConnection);

    fn is_conflict(error: &sqlx::Error) -> bool {
        // serialization_failure, deadlock_detected; unique_violation, where two write the same
        // new row at once.
        let code = error.as_database_error().and_then(|e| e.code());
        code.is_some_and(|code| matches!(&*code, "40001" | "40P01" | "23505"))
    }
}

bound!(
    Database,
    Argument::Ints(values) => |query: sqlx::query::Query<'static, _, _>| query.bind(values),
    Argument::Bytes(values) => |query: sqlx::query::Query<'static, _, _>| query.bind(values),
    Argument::Texts(values) => |query: sqlx::query::Query<'static, _, _>| query.bind(values)
);
