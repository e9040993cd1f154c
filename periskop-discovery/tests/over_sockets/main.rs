//! The HTTP client and the laws of discovery, with real servers, files and certificates.
#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod http_client;
mod laws;
mod support;
