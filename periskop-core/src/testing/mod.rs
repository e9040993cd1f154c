//! What implementers of the plugs, and the tests of the other crates, build on.
//!
//! A conformance suite is a set of laws, each a function that panics where the law is broken, and
//! a macro that makes one named test of each law. Core has no runtime: where laws wait, the macro
//! is told what runs a future.

pub mod discovery;
pub mod fleet;
pub mod jvm;
pub mod laws;
pub mod query;
pub mod search;
pub mod state;
pub mod storage;
pub mod wire;

use crate::ids::ReplicaId;
use crate::observer::{Observer, Settings};
use crate::time::Timestamp;

/// When things begin in the suites.
pub(crate) const START: Timestamp = Timestamp::from_micros(1_750_000_000_123_457);

/// An observer that has seen nothing.
fn observer() -> Observer {
    Observer::new(ReplicaId::from_u64(1), Settings::default(), START)
}
