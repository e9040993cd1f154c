//! The web UI: HTML rendered by the server, which works without a script and better with one.
//!
//! Addresses are the state: every filter and selection can be shared. A page is made in two steps
//! that know nothing of each other: a view model ([`view`]) is built from what the engine knows,
//! and [`page`] renders it.
//!
//! Invariants: no page carries a script or style of its own (the Content-Security-Policy forbids
//! it); every text from outside is a [`text::Text`] and escaped; a `GET` changes nothing.

pub mod asked;
pub mod assets;
pub mod backend;
pub mod build;
pub mod chart;
pub mod filter;
#[cfg(test)]
mod fixture;
pub mod format;
pub mod frames;
pub mod link;
pub mod page;
pub mod routes;
pub mod shell;
pub mod target_filter;
pub mod text;
pub mod view;
#[cfg(test)]
mod world;
