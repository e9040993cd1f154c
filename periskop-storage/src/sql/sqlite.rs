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
use super::touched::Stamp;

/// How long to wait for another process that writes.
const BUSY: Duration = Duration::from_secs(5);

/// The log beside the file is cut to this after a checkpoint, in bytes.
const LOG_LIMIT: &str = "67108864";

/// So many pages in the log are brought into the file at once: 64 MB of them. A commit of 1,000
/// changed errors has 2,000, many of them those of the one before.
const CHECKPOINT: &str = "4096";

/// Pages that stay in memory, in KiB, negative: those of errors that go on happening. While a commit
/// is under way all that it changes stays as well (`cache_spill`), so that nothing is written before
/// it is as it will be: some 32 MB for 1,000 changed errors, which is as many as one commit has.
const CACHE: &str = "-16384";

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
        // It may have eight times as many. But a statement is a program with an instruction or two for
        // each, those of all sizes are remembered, and together they were 19 MB.
        most_arguments: 4_095,
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
        joined_by: "",
        to_hex: "HEX({})",
        is_clustered: false,
        place: Some("rowid"),
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

    /// Commits are appended to the log, or begin it anew, and get from there into the file.
    fn stamp(&self) -> Option<Stamp> {
        let mut log = self.path.clone().into_os_string();
        log.push("-wal");
        Stamp::of(&[self.path.clone(), log.into()])
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
            .pragma("cache_spill", "OFF")
            .log_slow_statements(log::LevelFilter::Debug, Duration::from_secs(1))
            .connect()
            .await
    }

    driver!(Database, SqliteConnection);

    fn is_conflict(error: &sqlx::Error) -> bool {
        // SQLITE_BUSY and SQLITE_LOCKED, whatever their extended form says.
        matches!(code(error), Some(5 | 6))
    }

    fn is_too_long(error: &sqlx::Error) -> bool {
        // SQLITE_TOOBIG: a gigabyte, which a hundred errors have only if they mean harm.
        code(error) == Some(18)
    }
}

/// The primary code of an error of SQLite's.
fn code(error: &sqlx::Error) -> Option<u32> {
    let code = error.as_database_error().and_then(|e| e.code())?;
    code.parse::<u32>().ok().map(|code| code & 0xff)
}

bound!(Database, Argument::Ints(_) | Argument::Bytes(_) | Argument::Texts(_) => |query| query);

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::time::SystemTime;

    use periskop_core::storage::Storage;
    use periskop_core::target::Labels;
    use periskop_core::testing::jvm::Payloads;
    use periskop_core::wire::state::StateBuilder;
    use periskop_core::{Observer, ReplicaId, Settings, Timestamp};

    use super::*;
    use crate::SqlStorage;
    use crate::testing::{fail_after, join_at_most};

    #[tokio::test]
    async fn a_file_that_nobody_wrote_to_is_not_asked_for_news() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("periskop.db");
        let (mut ours, mut theirs) = (SqlStorage::sqlite(&path), SqlStorage::sqlite(&path));
        for (store, fresh) in [(&mut ours, 1), (&mut theirs, 2)] {
            store.identify(ReplicaId::from_u64(fresh)).await.unwrap();
        }
        let cursor = ours.load().await.unwrap().cursor;
        let long_ago = SystemTime::now() - Duration::from_secs(3600);
        for name in ["periskop.db", "periskop.db-wal"] {
            let file = File::options().write(true).open(folder.path().join(name)).unwrap();
            file.set_modified(long_ago).unwrap();
        }
        assert!(ours.changes_since(&cursor).await.unwrap().is_none());

        fail_after(Some(0));
        assert!(ours.changes_since(&cursor).await.unwrap().is_none(), "without a statement");
        fail_after(None);

        let mut news = StateBuilder::new();
        news.service(&"api".into(), []);
        let delta = news.finish().into_deltas(1).next().unwrap();
        theirs.commit(&delta).await.unwrap();
        assert!(ours.changes_since(&cursor).await.unwrap().is_some());
    }

    /// A file with some errors in it, and who has observed them.
    async fn some_errors(path: &Path) -> (SqlStorage, Observer) {
        let mut store = SqlStorage::sqlite(path);
        store.identify(ReplicaId::from_u64(1)).await.unwrap();
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
        let report = Payloads::new().report(0, now);
        let delta = observer.scraped(now, &"api".into(), "http://a/", &Labels::new(), report);
        store.commit(&delta).await.unwrap();
        (store, observer)
    }

    #[tokio::test]
    async fn it_does_not_matter_where_rows_lie_and_whether_there_are_others() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("periskop.db");
        let (mut store, observer) = some_errors(&path).await;
        let mut connection = Sqlite::new(&path).connect().await.unwrap();
        let mut run = async |sql: &str| {
            let sql = sqlx::AssertSqlSafe(sql.to_owned());
            sqlx::query(sql).execute(&mut connection).await.unwrap();
        };
        for table in ["stacks", "occurrences"] {
            for update in [
                // Those of one error far from each other, and next to nothing.
                "SET rowid = 1 + rowid * 7919 % 10007 * 1000000007",
                "SET rowid = 9223372036854775807 WHERE rowid = (SELECT MAX(rowid) FROM {})",
                "SET rowid = -5 WHERE rowid = (SELECT MIN(rowid) FROM {})",
            ] {
                let table = format!("periskop_{table}");
                run(&format!("UPDATE {table} {}", update.replace("{}", &table))).await;
            }
        }
        let of_none = "X'7FFFFFFFFFFFFFFFFFFFFFFFFFFFFFFF'";
        for (table, rest) in [
            ("stacks", "id, frames"),
            ("occurrences", "name, stack, occurrence, content, ordered_at, 1, 1"),
            ("counts", "source, numbered_by, is_numbered, life, total, newest, risen, age, 1, 1"),
        ] {
            let table = format!("periskop_{table}");
            let row = format!("SELECT {of_none}, {rest} FROM {table} LIMIT 1");
            run(&format!("INSERT INTO {table} {row}")).await;
        }
        for errors in [usize::MAX, 7] {
            join_at_most(errors);
            let loaded = store.load().await.unwrap().state;
            join_at_most(usize::MAX);
            assert_eq!(loaded, *observer.state(), "{errors} at once");
        }
    }

    #[tokio::test]
    async fn what_is_too_long_for_one_text_is_read_in_several() {
        let folder = tempfile::tempdir().unwrap();
        let (mut store, observer) = some_errors(&folder.path().join("periskop.db")).await;
        for errors in [usize::MAX, 7, 1, 0] {
            join_at_most(errors);
            let loaded = store.load().await.unwrap().state;
            join_at_most(usize::MAX);
            assert_eq!(loaded, *observer.state(), "{errors} at once");
        }
    }

    #[tokio::test]
    async fn a_text_that_is_too_long_is_told_from_other_trouble() {
        let folder = tempfile::tempdir().unwrap();
        let sqlite = Sqlite::new(&folder.path().join("periskop.db"));
        let mut connection = sqlite.connect().await.unwrap();
        let mut fails = async |sql: &'static str| {
            sqlx::query(sql).execute(&mut connection).await.expect_err("it fails")
        };
        assert!(Sqlite::is_too_long(&fails("SELECT LENGTH(ZEROBLOB(2000000000))").await));
        assert!(!Sqlite::is_too_long(&fails("SELECT nothing").await));
    }
}
