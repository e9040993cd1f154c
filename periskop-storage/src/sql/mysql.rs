//! MySQL and MariaDB.

use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::mysql::{MySql as Database, MySqlConnectOptions, MySqlConnection};
use sqlx::{ConnectOptions, Connection, Row as _};

use super::Trouble;
use super::dialect::{
    Argument, Dialect, Kind, REMEMBERED, Row, Statement, Style, Syntax, Value, bound, driver,
};

/// A database on a server.
pub(crate) struct MySql {
    options: MySqlConnectOptions,
    name: String,
}

impl MySql {
    pub(crate) fn new(options: MySqlConnectOptions, name: String) -> Self {
        let options = options
            .charset("utf8mb4")
            .collation("utf8mb4_bin")
            .statement_cache_capacity(REMEMBERED)
            .log_slow_statements(log::LevelFilter::Debug, Duration::from_secs(1));
        Self { options, name }
    }
}

impl Dialect for MySql {
    type Connection = MySqlConnection;

    const SYNTAX: &'static Syntax = &Syntax {
        style: Style::ValuesOfMySql,
        most_arguments: 65_535,
        begin: &["START TRANSACTION"],
        begin_reading: &[
            "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ",
            "START TRANSACTION WITH CONSISTENT SNAPSHOT",
        ],
        now: "CAST(UNIX_TIMESTAMP(NOW(6)) * 1000000 AS SIGNED)",
        greatest: "GREATEST",
        least: "LEAST",
        for_update: " FOR UPDATE",
        reads_latest: false,
        one_if: "CASE WHEN {} THEN 1 ELSE 0 END",
        to_json: "{}",
        from_json: "{}",
        // GROUP_CONCAT ends at a megabyte, and raised to more still at what a packet holds.
        join_texts: None,
        joined_by: "",
        to_hex: "HEX({})",
        is_clustered: true,
        place: None,
        trim_occurrences: "DELETE t FROM periskop_occurrences AS t JOIN (\
             SELECT o.error, o.name FROM (\
               SELECT error, name, ordered_at, ROW_NUMBER() OVER \
                 (PARTITION BY error ORDER BY ordered_at DESC, name DESC) AS place \
               FROM periskop_occurrences WHERE error{errors}) AS o \
             JOIN periskop_errors AS e ON e.id = o.error \
             WHERE o.place > {keep} OR o.ordered_at <= e.forgotten_through) AS surplus \
             ON t.error = surplus.error AND t.name = surplus.name",
        migrations: &[include_str!("../../migrations/mysql/1.sql")],
    };

    fn name(&self) -> &str {
        &self.name
    }

    async fn connect(&self) -> Result<MySqlConnection, sqlx::Error> {
        self.options.connect().await
    }

    driver!(Database, MySqlConnection);

    fn is_conflict(error: &sqlx::Error) -> bool {
        let error =
            error.as_database_error().map(|e| e.downcast_ref::<sqlx::mysql::MySqlDatabaseError>());
        // Deadlock, lock wait timeout; MariaDB's «record has changed since last read»; a key that
        // another one has just written.
        error.is_some_and(|error| matches!(error.number(), 1213 | 1205 | 1020 | 1062))
    }
}

bound!(Database, Argument::Ints(_) | Argument::Bytes(_) | Argument::Texts(_) => |query| query);
