//! What implementers of the traits, and the tests of the other crates, build on.

pub mod wire;
