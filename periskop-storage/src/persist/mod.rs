//! From what a process learns to its store, and from the store to the process: what whoever runs a
//! state, a server or a gateway, puts between it and a [`Storage`](periskop_core::storage::Storage).
//!
//! The owner notes in a [`Journal`] what changed and goes on. The keeper, a task of its own, is
//! the only one that speaks with the store: it loads what is stored, for as long as that takes,
//! writes what was noted, at most a second later, and asks every few seconds what other processes
//! have written. What it has to say comes to the owner as [`News`].
//!
//! Invariants: what waits for a store is bounded by what is known, however long the store is away;
//! what may not have been written is written again; what the store told is not written back.

mod durations;
mod health;
mod journal;
mod keeper;
#[cfg(any(test, feature = "testing"))]
mod scripted;
#[cfg(test)]
mod tests;

pub use durations::Durations;
pub use health::{Figures, StoreStatus};
pub use journal::Journal;
pub use keeper::{News, Store};
#[cfg(any(test, feature = "testing"))]
pub use scripted::{Scripted, newer, unavailable};
