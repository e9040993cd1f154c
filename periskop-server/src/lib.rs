//! The Periskop server: discovers, scrapes, merges and shows the exceptions of a fleet.
//!
//! As a library it is [`Periskop::builder`], which makes a running server out of a configuration
//! and, where one has them, discoveries of one's own; [`Periskop::router`] mounts its API and
//! pages into an axum application. The binary is [`run`] around it.

mod answers;
mod api;
pub mod cli;
mod clock;
pub mod config;
pub mod demo;
mod driver;
mod events;
mod external_url;
mod handle;
mod held;
mod indexing;
mod metrics;
mod pages;
mod providers;
mod run;
mod scraper;
mod sd_cli;
mod server;
mod signals;
mod storage_cli;
mod stores;
mod telemetry;
pub mod ui;

pub use external_url::{BadExternalUrl, ExternalUrl};
pub use handle::{ActError, Done, Handle, ReloadError};
pub use indexing::StillIndexing;
pub use periskop_http::{Problem, WebConfig};
pub use periskop_storage::persist::StoreStatus;
pub use run::{RunError, run};
pub use sd_cli::SdCliError;
pub use server::{Builder, Periskop, ServeError, bind, url_of};
pub use storage_cli::StorageCliError;
