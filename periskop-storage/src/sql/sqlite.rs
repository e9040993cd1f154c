//! SQLite: one file, shared by processes of one machine.

use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::TryStreamExt;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection, SqliteJournalMode, SqliteSynchronous};
use sqlx::{ConnectOptions, Connection, Row as _, Sqlite as Database};

use super::Trouble;
use super::dialect::{
    Argument, Dialect, Kind, REMEMBERED, Row, Statement, Style, Syntax, Value, bound, driver,
};

/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// The log beside the file is cut to this after a checkpoint, in bytes.
const LOG_LIMIT: &str = "67108864";

/// So many pages in the log are brought into the file at once: 64 MB of them. A commit of 1,000
/// changed errors has 2,000, many of them those of the one before.
const CHECKPOINT: &str = "4096";

/// Pages that stay in memory, in KiB, negative: what a large commit changes, so that nothing is
/// written before it is as it will be, and the pages of errors that go on happening.
const CACHE: &str = "-65536";

/// A file.
pub(crate) struct Sqlite {
    path: PathBuf,
    name: String,
}

impl Sqlite {
    pub(crate) fn new(path: &Path) -> Self {
        Self { path: path.to_owned(), name: format!("sqlite:{}", path.display()) }
    }
}

impl Dialect for Sqlite {
    type Connection = SqliteConnection;

    const SYNTAX: &'static Syntax = &Syntax {
        style: Style::Values,
        most_arguments: 32_766,
        // Whoever reads first and writes later would find that another one was faster.
        begin: &["BEGIN IMMEDIATE"],
        begin_reading: &["BEGIN"],
        now: "CAST((julianday('now') - 2440587.5) * 86400000000.0 AS INTEGER)",
        greatest: "MAX",
        least: "MIN",
        for_update: "",
        // Nobody else writes meanwhile.
        reads_latest: true,
        one_if: "CASE WHEN {} THEN 1 ELSE 0 END",
        to_json: "{}",
        from_json: "{}",
        join_texts: Some("GROUP_CONCAT({}, CHAR(30))"),
        to_hex: "HEX({})",
        // With the index, which a window function sorts again the other way round.
        trim_occurrences: "WITH touched (id, through) AS (\
               SELECT id, forgotten_through FROM periskop_errors WHERE id{errors}) \
             DELETE FROM periskop_occurrences WHERE rowid IN (\
               SELECT o.rowid FROM touched AS e JOIN periskop_occurrences AS o ON o.error = e.id \
                 AND (o.ordered_at, o.name) < (\
                   SELECT k.ordered_at, k.name FROM periskop_occurrences AS k \
                   WHERE k.error = e.id ORDER BY k.ordered_at DESC, k.name DESC \
                   LIMIT 1 OFFSET {keep} - 1) \
               UNION ALL \
               SELECT o.rowid FROM touched AS e JOIN periskop_occurrences AS o ON o.error = e.id \
                 AND o.ordered_at <= e.through)",
        migrations: &[include_str!("../../migrations/sqlite/1.sql")],
    };

    fn name(&self) -> &str {
        &self.name
    }

    async fn connect(&self) -> Result<SqliteConnection, sqlx::Error> {
        if let Some(folder) = self.path.parent() {
            std::fs::create_dir_all(folder)?;
        }
        SqliteConnectOptions::new()
            .filename(&self.path)
            .create_if_missing(true)
            // Of a new file: occurrences are some kilobytes each.
            .page_size(16_384)
            .journal_mode(SqliteJournalMode::Wal)
            // What was acknowledged outlives a loss of power as well.
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .statement_cache_capacity(REMEMBERED)
            .pragma("journal_size_limit", LOG_LIMIT)
            .pragma("wal_autocheckpoint", CHECKPOINT)
            .pragma("cache_size", CACHE)
            .log_slow_statements(log::LevelFilter::Debug, Duration::from_secs(1))
            .connect()
            .await
    }

    driver!(Database, SqliteConnection);

    fn is_conflict(error: &sqlx::Error) -> bool {
        // SQLITE_BUSY and SQLITE_LOCKED, whatever their extended form says.
        let code = error.as_database_error().and_then(|e| e.code());
        code.and_then(|code| code.parse::<u32>().ok()).is_some_and(|c| matches!(c & 0xff, 5 | 6))
    }
}

bound!(Database, Argument::Ints(_) | Argument::Bytes(_) | Argument::Texts(_) => |query| query);
