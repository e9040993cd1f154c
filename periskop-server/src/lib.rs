//! The Periskop server.

mod api;
pub mod cli;
mod metrics;
mod scraper;
pub mod telemetry;
