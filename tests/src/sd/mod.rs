//! Service discovery replayed against recorded backends: the cases of `sd-fixtures`.
//!
//! A case is a configuration, a backend that behaves as written, and what discovery tells then.
//! The backends are real: HTTP and DNS servers on loopback, files in a directory, a ZooKeeper.

mod backend;
mod case;
mod compare;
pub mod dns;
mod hostile;
pub mod kubernetes;
pub mod mock;
mod mutate;
mod replay;
mod replay_kubernetes;
pub mod zookeeper;

pub use backend::Backend;
pub use case::{Case, cases};
pub use compare::{ExpectedGroup, State};
pub use hostile::{endure, endure_a_flood, endure_mutations};
pub use replay::{cannot_replay, replay};
