//! From the engine's deltas to the store, and from the store to the engine.
//!
//! The driver notes in a [`Journal`] what changed and goes on. The keeper, a task of its own, is
//! the only one that speaks with the store: it loads what is stored, for as long as that takes,
//! writes what was noted, at most a second later, and asks every few seconds what other processes
//! have written. What it has to say comes to the driver as [`News`].
//!
//! Invariants: what waits for a store is bounded by what is known, however long the store is away;
//! what may not have been written is written again; what the store told is not written back.

mod health;
mod journal;
mod keeper;
#[cfg(test)]
pub(crate) mod scripted;
#[cfg(test)]
mod tests;

pub(crate) use health::Figures;
pub use health::StoreStatus;
pub(crate) use journal::Journal;
pub(crate) use keeper::{News, Store};
