//! Stores for Periskop's state: implementations of
//! [`Storage`](periskop_core::storage::Storage), and how one says which ([`StoreSpec`]).

mod dsn;
mod faulty;
mod memory;
mod spec;
mod sql;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use dsn::{DsnError, MySqlDsn, PostgresDsn};
pub use faulty::{Fault, Faulty};
pub use memory::MemoryStorage;
pub use spec::{SpecError, StoreSpec};
pub use sql::SqlStorage;

use periskop_core::storage::Storage;

/// The store that is meant. Nothing is connected to or opened before something is asked of it, so
/// that one that is away is only found out then, and can be asked again.
pub fn open(spec: &StoreSpec) -> Box<dyn Storage> {
    match spec {
        StoreSpec::Memory => Box::new(MemoryStorage::new()),
        StoreSpec::Sled(_) => todo!(),
        StoreSpec::Sqlite(path) => Box::new(SqlStorage::sqlite(path)),
        StoreSpec::Postgres(dsn) => {
            Box::new(SqlStorage::postgres(dsn.connect_options(), spec.to_string()))
        }
        StoreSpec::MySql(dsn) => {
            Box::new(SqlStorage::mysql(dsn.connect_options(), spec.to_string()))
        }
    }
}
