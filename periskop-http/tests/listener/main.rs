//! The listener over real sockets: TLS, client certificates, and clients that are slow or greedy.

#![allow(clippy::unwrap_used, reason = "what helps a test fails as a test does")]

mod slow;
mod support;
mod tls;
