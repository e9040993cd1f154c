//! Stores for Periskop's state: implementations of
//! [`Storage`](periskop_core::storage::Storage), and how one says which ([`StoreSpec`]).

mod dsn;
mod faulty;
mod memory;
mod sql;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
mod spec;

pub use dsn::{DsnError, MySqlDsn, PostgresDsn};
pub use faulty::{Fault, Faulty};
pub use memory::MemoryStorage;
pub use sql::SqlStorage;
pub use spec::{SpecError, StoreSpec};
