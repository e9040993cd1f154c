//! The same libraries without Periskop, as a yardstick; and what things take on disk.

use std::path::Path;
use std::time::{Duration, Instant};

use periskop_storage::StoreSpec;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, QueryBuilder};

/// Writes so many rows of so many bytes, durably.
pub(super) async fn write(spec: &StoreSpec, folder: &Path, rows: usize, bytes: usize) -> Duration {
    let values: Vec<(i64, Vec<u8>)> =
        (0..rows).map(|n| (n as i64, (0..bytes).map(|_| rand::random()).collect())).collect();
    macro_rules! insert {
        ($database:ty, $connection:expr, $blob:literal) => {{
            let mut c = $connection;
            c.execute(concat!("CREATE TABLE raw (id BIGINT PRIMARY KEY, v ", $blob, ")"))
                .await
                .unwrap();
            let begun = Instant::now();
            for some in values.chunks(500) {
                let mut insert = QueryBuilder::<$database>::new("INSERT INTO raw (id, v) ");
                insert.push_values(some, |mut row, (id, value)| {
                    row.push_bind(*id).push_bind(value.clone());
                });
                insert.build().execute(&mut c).await.unwrap();
            }
            begun.elapsed()
        }};
    }
    match spec {
        StoreSpec::Sled(_) => {
            let tree = sled::open(folder.join("raw-sled")).unwrap();
            let mut batch = sled::Batch::default();
            for (id, value) in values {
                batch.insert(&id.to_be_bytes(), value);
            }
            let begun = Instant::now();
            tree.apply_batch(batch).unwrap();
            tree.flush().unwrap();
            begun.elapsed()
        }
        StoreSpec::Sqlite(_) => {
            let options = sqlx::sqlite::SqliteConnectOptions::new()
                .filename(folder.join("raw.db"))
                .create_if_missing(true)
                .journal_mode(sqlx::sqlite::SqliteJournalMode::Wal);
            insert!(sqlx::Sqlite, options.connect().await.unwrap(), "BLOB")
        }
        StoreSpec::Postgres(dsn) => {
            insert!(sqlx::Postgres, dsn.connect_options().connect().await.unwrap(), "BYTEA")
        }
        StoreSpec::MySql(dsn) => {
            insert!(sqlx::MySql, dsn.connect_options().connect().await.unwrap(), "LONGBLOB")
        }
        StoreSpec::Memory => Duration::MAX,
    }
}

/// Runs one statement on a server.
pub(super) async fn run(server: &str, url: &str, sql: &str) {
    let sql = AssertSqlSafe(sql.to_owned());
    match server {
        "postgres" => sqlx::PgConnection::connect(url).await.unwrap().execute(sql).await.map(drop),
        _ => sqlx::MySqlConnection::connect(url).await.unwrap().execute(sql).await.map(drop),
    }
    .unwrap();
}

/// The files below a folder, in bytes.
pub(super) fn size_of_files(folder: &Path) -> u64 {
    let of = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => size_of_files(&entry.path()),
        _ => entry.metadata().map_or(0, |file| file.len()),
    };
    std::fs::read_dir(folder).unwrap().flatten().map(of).sum()
}

/// Tables and indexes of a database, in bytes, as it says itself.
pub(super) async fn size_of_tables(spec: &StoreSpec) -> Option<u64> {
    let size: i64 = match spec {
        StoreSpec::Postgres(dsn) => {
            let mut c = dsn.connect_options().connect().await.unwrap();
            let query = "SELECT pg_database_size(current_database())";
            sqlx::query_scalar(query).fetch_one(&mut c).await.unwrap()
        }
        StoreSpec::MySql(dsn) => {
            let mut c = dsn.connect_options().connect().await.unwrap();
            let query = "SELECT CAST(SUM(data_length + index_length) AS SIGNED) \
                         FROM information_schema.tables WHERE table_schema = DATABASE()";
            sqlx::query_scalar(query).fetch_one(&mut c).await.unwrap()
        }
        _ => return None,
    };
    Some(size.cast_unsigned())
}
