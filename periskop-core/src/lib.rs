//! The pure heart of Periskop: the exporter format, merging by fingerprint, resolution state,
//! relabelling and search, behind traits. It does no I/O, reads no clock and spawns nothing:
//! time and randomness are arguments.

pub mod aggregate;
pub mod catalogue;
pub mod config;
pub mod discovery;
pub mod engine;
pub mod ids;
pub mod merge;
pub mod observer;
pub mod occurrence;
mod own_words;
pub mod query;
pub mod redact;
pub mod report;
pub mod search;
pub mod state;
pub mod storage;
pub mod target;
#[cfg(any(test, feature = "testing"))]
pub mod testing;
pub mod texts;
pub mod time;
pub mod view;
pub mod wire;

pub use ids::{AggregateId, AggregationKey, ReplicaId, ServiceName, SourceId};
pub use observer::{Observer, Settings, UnknownError};
pub use occurrence::{ContentHash, Exception, HttpContext, Occurrence, Severity};
pub use report::{
    Report, ReportedError, ReportedIncarnation, ReportedLife, UnchangedOccurrence, Warning,
};
pub use state::{Delta, State};
pub use time::Timestamp;
