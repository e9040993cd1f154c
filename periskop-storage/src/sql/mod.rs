//! SQLite, PostgreSQL, MySQL: one module, dialects apart.
//!
//! A process has one connection, since it makes one call at a time, and lets go of it whenever a
//! call has not ended well: then nobody knows what the connection is in the middle of. Everything
//! that a call writes is one transaction. One that was in the way of another process's is tried
//! again; that and every other retry is harmless, since every write is a merge.
//!
//! Used on purpose is only what every database has that speaks one of these protocols: no
//! advisory locks, no notifications, no sequences.

mod assemble;
mod dialect;
mod joined;
mod lease;
mod migrate;
mod mysql;
mod postgres;
mod prune;
mod read;
mod schema;
mod sqlite;
mod sweep;
mod touched;
mod upsert;
mod write;

use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use periskop_core::observer::Pruned;
use periskop_core::storage::{Cursor, Storage, StorageError, Stored};
use periskop_core::wire::state::Documents;
use periskop_core::{Delta, ReplicaId};
use sqlx::mysql::MySqlConnectOptions;
use sqlx::postgres::PgConnectOptions;
use tokio::time::timeout;

use dialect::{Dialect, Kind, Row, Statement};
#[cfg(any(test, feature = "testing"))]
pub(crate) use joined::DIVIDER;
use lease::Lease;
use touched::Asked;

/// How long a connection may take.
const CONNECT_WITHIN: Duration = Duration::from_secs(10);

/// How long a write may take before its connection is given up.
const WRITE_WITHIN: Duration = Duration::from_secs(60);

/// How long reading everything may take: gigabytes, over a network.
const READ_WITHIN: Duration = Duration::from_secs(15 * 60);

/// How often a transaction that was in the way of another one is tried again.
const CONFLICTS: u32 = 20;

/// So many of them are left when it has been tried often enough to make the tables: eight times, in
/// a second or so. Whoever may not make any is to be told soon.
const MIGRATIONS_LEFT: u32 = CONFLICTS - 8;

/// The pause after the first such conflict; it doubles, up to a second.
const CONFLICT_PAUSE: Duration = Duration::from_millis(5);

/// A store in a SQL database. [`SqlStorage::sqlite`], [`SqlStorage::postgres`] and
/// [`SqlStorage::mysql`] make one, without connecting: that is done when something is asked of it.
///
/// Several processes may share one. Each has a name of its own as long as it runs, and sees what
/// the others write.
pub struct SqlStorage(Box<dyn Storage + Sync>);

impl SqlStorage {
    /// A store in a SQLite file, which is created, with its folders, if it is not there.
    pub fn sqlite(path: impl AsRef<Path>) -> Self {
        Self(Box::new(Database::new(sqlite::Sqlite::new(path.as_ref()))))
    }

    /// A store in a PostgreSQL database. `name` is how messages call it; a connection is to be
    /// there `within` this time, 10 s unless told otherwise.
    pub fn postgres(
        options: PgConnectOptions,
        name: impl Into<String>,
        within: Option<Duration>,
    ) -> Self {
        Self(Box::new(Database::new(postgres::Postgres::new(options, name.into())).within(within)))
    }

    /// A store in a MySQL or MariaDB database; the rest as for PostgreSQL.
    pub fn mysql(
        options: MySqlConnectOptions,
        name: impl Into<String>,
        within: Option<Duration>,
    ) -> Self {
        Self(Box::new(Database::new(mysql::MySql::new(options, name.into())).within(within)))
    }
}

#[async_trait]
impl Storage for SqlStorage {
    async fn identify(&mut self, fresh: ReplicaId) -> Result<ReplicaId, StorageError> {
        self.0.identify(fresh).await
    }

    async fn load(&mut self) -> Result<Stored, StorageError> {
        self.0.load().await
    }

    async fn changes_since(&mut self, cursor: &Cursor) -> Result<Option<Stored>, StorageError> {
        self.0.changes_since(cursor).await
    }

    async fn commit(&mut self, delta: &Delta) -> Result<(), StorageError> {
        self.0.commit(delta).await
    }

    async fn prune(&mut self, pruned: &Pruned) -> Result<(), StorageError> {
        self.0.prune(pruned).await
    }

    async fn close(&mut self) -> Result<(), StorageError> {
        self.0.close().await
    }
}

/// Why a transaction did not succeed.
#[derive(Debug)]
pub(crate) enum Trouble {
    /// The database says so.
    Database(sqlx::Error),
    /// It says so where the tables are made: of two that do so at the same time one fails, in ways
    /// of many kinds.
    Migrating(sqlx::Error),
    /// What is stored makes no sense.
    Damaged(String),
    /// A newer program made the tables.
    Newer(i64),
    /// Another process has this one's name.
    Superseded,
    /// It took too long.
    TimedOut(Duration),
    /// The program is ending.
    Interrupted,
}

impl Trouble {
    fn of_migration(self) -> Self {
        match self {
            Self::Database(error @ sqlx::Error::Database(_)) if damage(&error).is_none() => {
                Self::Migrating(error)
            }
            other => other,
        }
    }
}

impl From<sqlx::Error> for Trouble {
    fn from(error: sqlx::Error) -> Self {
        Self::Database(error)
    }
}

impl From<periskop_core::wire::state::DocumentError> for Trouble {
    fn from(error: periskop_core::wire::state::DocumentError) -> Self {
        Self::Damaged(error.to_string())
    }
}

/// A store in one kind of database.
struct Database<D: Dialect> {
    dialect: D,
    connection: Option<D::Connection>,
    connect_within: Duration,
    /// Whether the tables are known to be there.
    is_migrated: bool,
    lease: Option<Lease>,
    /// About what others have written.
    asked: Asked,
    documents: Arc<Mutex<Documents>>,
}

impl<D: Dialect> Database<D> {
    fn new(dialect: D) -> Self {
        Self {
            dialect,
            connection: None,
            connect_within: CONNECT_WITHIN,
            is_migrated: false,
            lease: None,
            asked: Asked::default(),
            documents: Arc::new(Mutex::new(Documents::remembering(rand::random()))),
        }
    }

    fn within(mut self, connect_within: Option<Duration>) -> Self {
        self.connect_within = connect_within.unwrap_or(self.connect_within);
        self
    }

    /// Does `work` in a transaction, again if it was in the way of another one, and not longer than
    /// `within`.
    async fn transaction<W: Work<D>>(
        &mut self,
        within: Duration,
        work: &W,
    ) -> Result<W::Done, StorageError> {
        let done = match timeout(within, self.attempts(work)).await {
            Ok(done) => done,
            Err(_) => Err(Trouble::TimedOut(within)),
        };
        done.map_err(|trouble| self.explain(trouble))
    }

    async fn attempts<W: Work<D>>(&mut self, work: &W) -> Result<W::Done, Trouble> {
        let mut pause = CONFLICT_PAUSE;
        let mut left = CONFLICTS;
        loop {
            match self.attempt(work).await {
                Err(Trouble::Migrating(error)) if left > MIGRATIONS_LEFT => {
                    left -= 1;
                    tracing::debug!(%error, left, "the tables could not be made, trying again");
                    tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
                    pause *= 2;
                }
                Err(Trouble::Database(error)) if left > 0 && D::is_conflict(&error) => {
                    left -= 1;
                    tracing::debug!(%error, left, "another process was faster, trying again");
                    // Not in step with whoever was in the way.
                    tokio::time::sleep(pause.mul_f64(0.5 + rand::random::<f64>())).await;
                    pause = (pause * 2).min(Duration::from_secs(1));
                }
                done => return done,
            }
        }
    }

    /// The connection is only kept if everything went well: whoever drops this in the middle
    /// drops the connection too, and the database undoes what was begun.
    async fn attempt<W: Work<D>>(&mut self, work: &W) -> Result<W::Done, Trouble> {
        let mut connection = self.connected().await?;
        let begin = match W::KIND {
            WorkKind::Writes => D::SYNTAX.begin,
            WorkKind::Reads => D::SYNTAX.begin_reading,
            WorkKind::Asks => &[],
        };
        let mut transaction = Transaction::<D> { connection: &mut connection };
        for statement in begin {
            transaction.run(statement).await?;
        }
        let done = work.work(&mut transaction).await?;
        if !begin.is_empty() {
            transaction.run("COMMIT").await?;
        }
        self.connection = Some(connection);
        Ok(done)
    }

    async fn connected(&mut self) -> Result<D::Connection, Trouble> {
        if let Some(connection) = self.connection.take() {
            return Ok(connection);
        }
        let connecting = timeout(self.connect_within, self.dialect.connect());
        let Ok(connected) = connecting.await else {
            return Err(Trouble::TimedOut(self.connect_within));
        };
        let mut connection = connected?;
        if !self.is_migrated {
            migrate::migrate::<D>(&mut connection).await.map_err(Trouble::of_migration)?;
            self.is_migrated = true;
        }
        Ok(connection)
    }

    fn explain(&self, trouble: Trouble) -> StorageError {
        let store = self.dialect.name().to_owned();
        match trouble {
            Trouble::Newer(found) => StorageError::Newer {
                store,
                found: u32::try_from(found).unwrap_or(u32::MAX),
                known: u32::try_from(schema::VERSION).unwrap_or(u32::MAX),
            },
            Trouble::Damaged(reason) => StorageError::Damaged { store, reason },
            Trouble::Superseded => StorageError::Superseded { store },
            Trouble::TimedOut(within) => StorageError::Unavailable {
                store,
                reason: format!("no answer within {} s", within.as_secs()),
            },
            Trouble::Interrupted => {
                StorageError::Unavailable { store, reason: "the program is ending".to_owned() }
            }
            Trouble::Database(error) | Trouble::Migrating(error) => match damage(&error) {
                Some(reason) => StorageError::Damaged { store, reason },
                None => StorageError::Unavailable { store, reason: error.to_string() },
            },
        }
    }
}

/// Whether an error says that what is stored is of another form.
fn damage(error: &sqlx::Error) -> Option<String> {
    match error {
        sqlx::Error::ColumnDecode { .. }
        | sqlx::Error::ColumnIndexOutOfBounds { .. }
        | sqlx::Error::ColumnNotFound(_)
        | sqlx::Error::Decode(_)
        | sqlx::Error::TypeNotFound { .. } => Some(error.to_string()),
        sqlx::Error::Database(said) => {
            // SQLITE_CORRUPT and SQLITE_NOTADB.
            let code = said.try_downcast_ref::<sqlx::sqlite::SqliteError>().and_then(|e| {
                sqlx::error::DatabaseError::code(e).and_then(|code| code.parse::<u32>().ok())
            });
            code.filter(|code| matches!(code & 0xff, 11 | 26)).map(|_| error.to_string())
        }
        _ => None,
    }
}

/// What [`Work`] does in its transaction.
#[derive(Clone, Copy, PartialEq, Eq)]
enum WorkKind {
    Writes,
    /// Everything as it is at one moment.
    Reads,
    /// One statement, which is a transaction by itself.
    Asks,
}

/// Something to be done in one transaction, which may have to be done again.
#[async_trait]
trait Work<D: Dialect>: Sync {
    type Done: Send;
    const KIND: WorkKind;

    async fn work(&self, transaction: &mut Transaction<'_, D>) -> Result<Self::Done, Trouble>;
}

/// A transaction that is under way.
struct Transaction<'a, D: Dialect> {
    connection: &'a mut D::Connection,
}

impl<D: Dialect> Transaction<'_, D> {
    async fn run(&mut self, sql: &str) -> Result<u64, Trouble> {
        self.execute(&Statement::new(D::SYNTAX, sql)).await
    }

    async fn execute(&mut self, statement: &Statement) -> Result<u64, Trouble> {
        #[cfg(any(test, feature = "testing"))]
        crate::testing::before_a_statement()?;
        Ok(D::execute(self.connection, statement).await?)
    }

    async fn fetch(
        &mut self,
        statement: &Statement,
        kinds: &'static [Kind],
        each: &mut (dyn FnMut(Row) -> Result<(), Trouble> + Send),
    ) -> Result<(), Trouble> {
        #[cfg(any(test, feature = "testing"))]
        crate::testing::before_a_statement()?;
        D::fetch(self.connection, statement, kinds, each).await
    }

    /// The rows of a query that has few of them.
    async fn rows(
        &mut self,
        statement: &Statement,
        kinds: &'static [Kind],
    ) -> Result<Vec<Row>, Trouble> {
        let mut rows = Vec::new();
        self.fetch(statement, kinds, &mut |row| {
            rows.push(row);
            Ok(())
        })
        .await?;
        Ok(rows)
    }
}

#[async_trait]
impl<D: Dialect> Storage for Database<D> {
    async fn identify(&mut self, fresh: ReplicaId) -> Result<ReplicaId, StorageError> {
        if let Some(lease) = &self.lease {
            return Ok(lease.name());
        }
        let taken = self.transaction(WRITE_WITHIN, &lease::Take::new(fresh)).await?;
        let name = taken.name();
        self.lease = Some(taken);
        Ok(name)
    }

    async fn load(&mut self) -> Result<Stored, StorageError> {
        self.transaction(READ_WITHIN, &read::Load).await
    }

    async fn changes_since(&mut self, cursor: &Cursor) -> Result<Option<Stored>, StorageError> {
        if let Some(lease) = &self.lease
            && lease.is_to_be_renewed()
        {
            let renewed = self.transaction(WRITE_WITHIN, &lease::Renew::new(lease)).await?;
            self.lease = Some(renewed);
        }
        let (stamp, now) = (self.dialect.stamp(), SystemTime::now());
        if self.asked.still_holds(stamp.as_ref(), cursor) {
            return Ok(None);
        }
        let me = self.lease.as_ref().map(Lease::name);
        let news = read::News { cursor, me };
        if self.transaction(WRITE_WITHIN, &news).await? {
            // Whoever asked may not get to hear it, and asks again with the same cursor.
            return self.transaction(READ_WITHIN, &read::Changes { cursor }).await.map(Some);
        }
        self.asked.no(stamp, now, cursor);
        Ok(None)
    }

    async fn commit(&mut self, delta: &Delta) -> Result<(), StorageError> {
        if delta.is_empty() {
            return Ok(());
        }
        self.identify(ReplicaId::from_u64(rand::random())).await?;
        let Some(lease) = self.lease.clone() else { return Ok(()) };
        let documents = self.documents.clone();
        let commit = write::Commit { delta, lease: &lease, documents: &documents };
        let renewed = self.transaction(WRITE_WITHIN, &commit).await?;
        self.lease = Some(renewed);
        Ok(())
    }

    async fn prune(&mut self, pruned: &Pruned) -> Result<(), StorageError> {
        if pruned.is_empty() {
            return Ok(());
        }
        self.transaction(WRITE_WITHIN, &prune::Prune { pruned }).await
    }

    async fn close(&mut self) -> Result<(), StorageError> {
        if let Some(lease) = self.lease.take() {
            self.transaction(WRITE_WITHIN, &lease::GiveBack { lease }).await?;
        }
        if let Some(connection) = self.connection.take() {
            D::disconnect(connection).await;
        }
        Ok(())
    }
}
