//! The server over real sockets: its API, and what the reference's readers rely on.

#![allow(clippy::unwrap_used, reason = "what helps a test fails as a test does")]

mod access;
mod changes;
mod events;
mod https;
mod hung;
mod lifecycle;
mod reference;
mod support;
mod triage;
mod v1;
