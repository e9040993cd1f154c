//! Stores for Periskop's state: implementations of [`Storage`], how one says which
//! ([`StoreSpec`]), and what stands between one and the process that owns the state ([`persist`]).

mod dsn;
mod embedded;
mod faulty;
mod memory;
pub mod persist;
mod progress;
mod spec;
mod sql;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use dsn::{DsnError, MySqlDsn, PostgresDsn};
pub use embedded::{Check, SledStorage};
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
        StoreSpec::Sled(folder) => Box::new(SledStorage::new(folder)),
        StoreSpec::Sqlite(path) => Box::new(SqlStorage::sqlite(path)),
        StoreSpec::Postgres(dsn) => {
            let (options, within) = (dsn.connect_options(), dsn.connect_timeout());
            Box::new(SqlStorage::postgres(options, spec.to_string(), within))
        }
        StoreSpec::MySql(dsn) => {
            let (options, within) = (dsn.connect_options(), dsn.connect_timeout());
            Box::new(SqlStorage::mysql(options, spec.to_string(), within))
        }
    }
}
