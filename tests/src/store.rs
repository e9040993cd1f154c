//! The stores that tests run on: what each needs, and where it is kept.

use periskop_core::storage::Storage;
use periskop_storage::StoreSpec;
use tempfile::TempDir;

use crate::database::{Database, Server};

/// A store of a test's own.
#[derive(Debug)]
pub struct Store {
    /// Where it is, as command lines say it.
    pub spec: String,
    /// What is deleted with it.
    _folder: Option<TempDir>,
}

/// Every store that outlives its process.
pub const DURABLE: [&str; 4] = ["sled", "sqlite", "postgres", "mysql"];

/// Every store that several processes can share.
pub const SHARED: [&str; 3] = ["sqlite", "postgres", "mysql"];

impl Store {
    /// An empty store of this kind; `None` where its server is not there, which has been said.
    ///
    /// # Panics
    ///
    /// If there is no such kind, or no place for it.
    pub async fn fresh(kind: &str) -> Option<Self> {
        let server = match kind {
            "sled" | "sqlite" => return Some(Self::on_disk(kind)),
            "postgres" => Server::Postgres,
            "mysql" => Server::MySql,
            kind => panic!("there is no store {kind}"),
        };
        let database = Database::fresh(server).await?;
        Some(Self { spec: database.url().to_owned(), _folder: None })
    }

    fn on_disk(kind: &str) -> Self {
        let folder = tempfile::tempdir().expect("a temporary directory");
        let path = folder.path().join("store");
        Self { spec: format!("{kind}:{}", path.display()), _folder: Some(folder) }
    }

    /// Another handle on it.
    ///
    /// # Panics
    ///
    /// If it cannot be named like this.
    pub fn open(&self) -> Box<dyn Storage> {
        open(&self.spec)
    }
}

/// The store that is named so.
///
/// # Panics
///
/// If none can be.
pub fn open(spec: &str) -> Box<dyn Storage> {
    periskop_storage::open(&StoreSpec::parse(spec).expect("it is a store"))
}
