//! Counts the errors of a Rust program and exports them for Periskop to scrape.
//!
//! ```
//! use periskop_client::{Capture, Collector, HttpContext, Severity};
//!
//! let collector = Collector::new();
//!
//! if let Err(error) = "twelve".parse::<u32>() {
//!     collector.report(&error);
//!
//!     collector.record(
//!         Capture::of(&error)
//!             .severity(Severity::Warning)
//!             .http(HttpContext {
//!                 method: Some("GET".into()),
//!                 url: Some("https://shop.example/items/twelve".into()),
//!                 ..HttpContext::default()
//!             })
//!             .key("bad-item-number"),
//!     );
//! }
//!
//! // What a scrape of this program answers.
//! let body = collector.export();
//! assert!(body.starts_with(b"{"));
//! ```
//!
//! # What a host can rely on
//!
//! - Nothing here panics or blocks on I/O, and only a pusher (feature `push`) starts a thread. A lock
//!   is held only while an occurrence is put in its place, never while text is formatted or written.
//! - Memory is bounded: the newest occurrences of each error are kept, the number of different
//!   errors and the bytes of all of them are limited, and texts are cut. What is beyond the limit of
//!   different errors is still counted, in one error that says so ([`OVERFLOW_KEY`]).
//! - Counts only grow while the program lives. A restart begins every error anew with a new
//!   `created_at`, from which the server sees that it has to add, not to compare. The child of a fork
//!   is another program in this ([`Collector`]).
//! - Credentials in HTTP contexts are masked before they are kept.
//!
//! # Beyond the collector
//!
//! - [`Exporter`] answers scrapes in any framework; with `axum` or `tower` it is a route or service.
//! - [`install_panic_hook`] counts panics.
//! - `ReportLayer` (feature `tower`) counts answers of 5xx and panics of handlers, with the request.
//! - `trace::ReportLayer` (feature `tracing`) counts events.
//! - `push` (feature `push`) pushes to a gateway, in the background or once.
//!
//! How occurrences are grouped and what it all costs is in the README.

mod ambient;
mod backtrace;
mod capture;
mod class;
mod collector;
mod export;
mod hook;
mod key;
#[cfg(feature = "tower")]
mod middleware;
mod printed;
#[cfg(feature = "push")]
pub mod push;
mod recycle;
#[cfg(feature = "tower")]
mod scene;
#[cfg(feature = "tower")]
mod serve;
#[cfg(feature = "tracing")]
pub mod trace;
mod uuids;

pub use backtrace::Backtraces;
pub use capture::Capture;
pub use collector::{Builder, Collector, OVERFLOW_KEY};
pub use export::{Answer, CONTENT_TYPE, Exporter};
pub use hook::install_panic_hook;
#[cfg(feature = "tower")]
pub use middleware::{ReportFuture, ReportLayer, ReportService, Reported};
pub use periskop_core::redact::Redaction;
pub use periskop_core::{HttpContext, Severity, Timestamp};

/// Where Periskop asks unless it is configured otherwise.
pub const DEFAULT_PATH: &str = "/-/exceptions";

/// The name of a pusher's thread, so that what it says itself is not reported.
#[cfg(any(feature = "push", feature = "tracing"))]
const PUSHER: &str = "periskop-pusher";

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
mod readme {}
