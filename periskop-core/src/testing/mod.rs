//! What implementers of the traits, and the tests of the other crates, build on.

pub mod laws;
pub mod state;
pub mod wire;
