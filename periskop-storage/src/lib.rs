//! Stores for Periskop's state: implementations of
//! [`Storage`](periskop_core::storage::Storage).

mod faulty;
mod memory;
mod sql;
#[cfg(any(test, feature = "testing"))]
pub mod testing;

pub use faulty::{Fault, Faulty};
pub use memory::MemoryStorage;
pub use sql::SqlStorage;
