//! Stores for Periskop's state: implementations of
//! [`Storage`](periskop_core::storage::Storage).

mod faulty;
mod memory;

pub use faulty::{Fault, Faulty};
pub use memory::MemoryStorage;
