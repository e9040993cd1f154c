//! The project itself: what its documents say, the rules of the house, and its copy of the conformance data.

mod corpus;
mod readme;
mod tidy;
