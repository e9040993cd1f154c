//! The same libraries without Periskop, as a yardstick; and what things take on disk.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use futures_util::TryStreamExt;
use periskop_storage::StoreSpec;
use sqlx::{AssertSqlSafe, ConnectOptions, Connection, Executor, QueryBuilder, Row};

use super::clock::{Spent, Watch};

/// Writes so many rows of so many bytes into a table of this number, durably.
pub(super) async fn write(
    spec: &StoreSpec,
    folder: &Path,
    table: usize,
    rows: usize,
    bytes: usize,
) -> Spent {
    let values: Vec<(i64, Vec<u8>)> =
        (0..rows).map(|n| (n as i64, (0..bytes).map(|_| rand::random()).collect())).collect();
    macro_rules! insert {
        ($database:ty, $connection:expr, $blob:literal) => {{
            let mut c = $connection;
            let create = format!("CREATE TABLE raw{table} (id BIGINT PRIMARY KEY, v {})", $blob);
            c.execute(AssertSqlSafe(create)).await.unwrap();
            let watch = Watch::start();
            for some in values.chunks(500) {
                let begin = format!("INSERT INTO raw{table} (id, v) ");
                let mut insert = QueryBuilder::<$database>::new(begin);
                insert.push_values(some, |mut row, (id, value)| {
                    row.push_bind(*id).push_bind(value.clone());
                });
                insert.build().execute(&mut c).await.unwrap();
            }
            watch.stop()
        }};
    }
    match spec {
        StoreSpec::Sled(_) => {
            let tree = sled::open(folder.join(format!("raw-sled-{table}"))).unwrap();
            let mut batch = sled::Batch::default();
            for (id, value) in values {
                batch.insert(&id.to_be_bytes(), value);
            }
            let watch = Watch::start();
            tree.apply_batch(batch).unwrap();
            tree.flush().unwrap();
            watch.stop()
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
        StoreSpec::Memory => Spent::default(),
    }
}

/// The files of a store, read from their beginning to their end, and how many bytes they have.
pub(super) fn read_files(spec: &StoreSpec) -> Option<(Spent, usize)> {
    let files: Vec<PathBuf> = match spec {
        StoreSpec::Sled(folder) => {
            std::fs::read_dir(folder).unwrap().flatten().map(|entry| entry.path()).collect()
        }
        StoreSpec::Sqlite(path) => vec![path.clone()],
        _ => return None,
    };
    let watch = Watch::start();
    let mut buffer = vec![0; 1 << 20];
    let mut bytes = 0;
    for file in files.iter().filter(|file| file.is_file()) {
        let mut file = File::open(file).unwrap();
        loop {
            match file.read(&mut buffer).unwrap() {
                0 => break,
                read => bytes += read,
            }
        }
    }
    Some((watch.stop(), bytes))
}

/// All occurrences and stacks, read by the library and dropped, and how many bytes they have.
pub(super) async fn read(spec: &StoreSpec) -> (Spent, usize) {
    let watch = Watch::start();
    let mut bytes = 0;
    macro_rules! select {
        ($connection:expr, $text:literal) => {{
            let mut c = $connection;
            for query in [
                concat!("SELECT error, id, ", $text, " FROM periskop_stacks"),
                concat!("SELECT error, name, ", $text, " FROM periskop_occurrences"),
            ] {
                let query = query.replace("{}", if bytes == 0 { "frames" } else { "occurrence" });
                let mut rows = sqlx::query(AssertSqlSafe(query)).fetch(&mut c);
                while let Some(row) = rows.try_next().await.unwrap() {
                    bytes += row.get::<&[u8], _>(0).len() + row.get::<&[u8], _>(1).len();
                    bytes += row.get::<&str, _>(2).len();
                }
            }
        }};
    }
    match spec {
        StoreSpec::Sled(folder) => {
            // As the store has it: part of the persisted form.
            let config = sled::Config::new().path(folder).segment_size(2 << 20);
            for record in config.open().unwrap().iter() {
                let (key, value) = record.unwrap();
                bytes += key.len() + value.len();
            }
        }
        StoreSpec::Sqlite(path) => {
            let options = sqlx::sqlite::SqliteConnectOptions::new().filename(path);
            select!(options.connect().await.unwrap(), "{}");
        }
        StoreSpec::Postgres(dsn) => {
            select!(dsn.connect_options().connect().await.unwrap(), "CAST({} AS TEXT)");
        }
        StoreSpec::MySql(dsn) => select!(dsn.connect_options().connect().await.unwrap(), "{}"),
        StoreSpec::Memory => {}
    }
    (watch.stop(), bytes)
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
