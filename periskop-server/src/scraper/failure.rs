//! Why a scrape gave nothing.

use std::time::Duration;

use axum::http::StatusCode;
use periskop_core::config::format_duration;
use periskop_core::wire::exporter::PayloadError;
use periskop_discovery::http_client::HttpError;

use super::body::BodyError;

/// Why a target is down. The text is what its page shows.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The request could not be made as configured: a file is missing, a URL makes no sense.
    #[error("{0}")]
    Request(String),
    /// No connection, or it broke.
    #[error("{0}")]
    Connection(String),
    /// The answer did not come, or not to its end, in time.
    #[error("no complete answer within {}", format_duration(*.0))]
    Timeout(Duration),
    /// The answer is not 200.
    #[error("server returned HTTP status {0}")]
    Status(StatusCode),
    /// The body is too large, or not what its encoding says.
    #[error("{0}")]
    Body(String),
    /// The body arrived and is not the exporter format.
    #[error("{error} (line {line}, column {column})")]
    Payload {
        /// What is wrong.
        error: PayloadError,
        /// Its line, from 1.
        line: usize,
        /// Its column in bytes, from 1.
        column: usize,
    },
    /// Too many slow and large answers are being read.
    #[error("given up after a second: too many slow and large answers at once")]
    NoRoom,
    /// The parser has a bug, which is in our own errors.
    #[error("internal error while reading the answer")]
    Internal,
}

impl Failure {
    /// A word for the metric's label `reason`.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::Request(_) => "request",
            Self::Connection(_) => "connection",
            Self::Timeout(_) => "timeout",
            Self::Status(_) => "status",
            Self::Body(_) => "body",
            Self::Payload { .. } => "payload",
            Self::NoRoom => "overload",
            Self::Internal => "internal",
        }
    }

    pub(super) fn http(error: &HttpError, timeout: Duration) -> Self {
        match error {
            HttpError::Timeout => Self::Timeout(timeout),
            HttpError::File { .. } | HttpError::Setting { .. } => Self::Request(error.to_string()),
            _ => Self::Connection(error.to_string()),
        }
    }
}

impl From<BodyError> for Failure {
    fn from(error: BodyError) -> Self {
        Self::Body(error.to_string())
    }
}
