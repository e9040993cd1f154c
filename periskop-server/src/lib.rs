//! The Periskop server: discovers, scrapes, merges and shows the exceptions of a fleet.

mod api;
pub mod cli;
mod clock;
pub mod config;
mod driver;
mod handle;
mod metrics;
mod persist;
mod providers;
mod scraper;
pub mod telemetry;
pub mod ui;
