//! What became of a push.

use std::time::Duration;

use axum::http::StatusCode;
use periskop_core::Warning;
use periskop_core::wire::exporter::PayloadError;

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// How many errors were read and merged.
    pub errors: usize,
    /// How many were left out because nothing can be counted for them.
    pub skipped: usize,
    /// How many were left out because the gateway knows as many different errors as it may.
    pub left_out: usize,
    /// What was wrong with parts of it; a bounded number.
    pub warnings: Vec<Warning>,
    /// Whether anything of it was new.
    pub is_news: bool,
}

/// Why a push was refused, or not all of it was done.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// It is no payload of the exporter format.
    #[error("{source} (line {line}, column {column})")]
    Payload {
        /// What is wrong, and at which byte.
        source: PayloadError,
        /// The line of that byte, from 1.
        line: usize,
        /// Its column in bytes, from 1.
        column: usize,
    },
    /// It has more bytes, or decompresses to more, than the limit.
    #[error("the body is larger than the limit of {limit} bytes{}", if *.decompressed { " once decompressed" } else { "" })]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
        /// Whether it is its decompressed size that is too large.
        decompressed: bool,
    },
    /// It is of a pusher that is not known, and as many are known as may be.
    #[error(
        "this gateway knows {limit} pushers, which is its limit, and this is a new one; \
         raise --pushers-limit, or let jobs that are the same push under one target_uuid"
    )]
    TooManyPushers {
        /// The limit.
        limit: usize,
    },
    /// It has errors that are not known, and as many are known as may be. The others are merged.
    #[error(
        "this gateway knows {limit} different errors, which is its limit: {merged} errors were \
         merged, {left_out} new ones were left out; raise --errors-limit, or look for something \
         variable in the aggregation keys"
    )]
    TooManyErrors {
        /// The limit.
        limit: usize,
        /// How many were merged all the same.
        merged: usize,
        /// How many were not.
        left_out: usize,
    },
    /// It is merged, but the store has not taken it. It is written when the store answers, and lost
    /// if the gateway ends before.
    #[error("merged, and kept in memory only until the store answers: {0}")]
    NotStored(String),
    /// Its `Content-Encoding` is not understood.
    #[error("content encoding `{0}` is not supported: gzip, deflate, zstd and identity are")]
    UnknownEncoding(String),
    /// It is not what its `Content-Encoding` says.
    #[error("{0}")]
    Corrupt(String),
    /// It did not arrive whole.
    #[error("the body did not arrive whole: {0}")]
    Incomplete(String),
    /// It did not arrive in time.
    #[error("the body did not arrive within {} seconds", .0.as_secs())]
    Slow(Duration),
    /// There is no room for a large body just now.
    #[error("too many large bodies arrive at once, try again later")]
    Busy,
    /// The gateway failed, and has reported that as an error of its own.
    #[error("the gateway failed to read the body")]
    Internal,
}

impl PushError {
    /// The status that answers it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Payload { source, .. } if is_limit(source) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::TooManyPushers { .. } | Self::TooManyErrors { .. } => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::UnknownEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Busy | Self::NotStored(_) => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Payload { .. } | Self::Corrupt(_) | Self::Incomplete(_) => {
                StatusCode::BAD_REQUEST
            }
        }
    }

    /// The same as one word, for metrics.
    pub(crate) fn reason(&self) -> &'static str {
        match self {
            Self::TooLarge { .. } => "too_large",
            Self::Payload { source, .. } if is_limit(source) => "too_large",
            Self::Payload { .. } => "malformed",
            Self::TooManyPushers { .. } => "too_many_pushers",
            Self::TooManyErrors { .. } => "too_many_errors",
            Self::NotStored(_) => "not_stored",
            Self::UnknownEncoding(_) | Self::Corrupt(_) => "encoding",
            Self::Incomplete(_) | Self::Slow(_) => "incomplete",
            Self::Busy => "busy",
            Self::Internal => "internal",
        }
    }

    /// When it may be worth trying again.
    pub(crate) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Busy => Some(Duration::from_secs(1)),
            Self::NotStored(_) => Some(Duration::from_secs(10)),
            Self::TooManyPushers { .. } | Self::TooManyErrors { .. } => {
                Some(Duration::from_secs(3600))
            }
            _ => None,
        }
    }
}

fn is_limit(error: &PayloadError) -> bool {
    matches!(
        error,
        PayloadError::TooLong { .. }
            | PayloadError::TooManyErrors { .. }
            | PayloadError::TooMuchMemory { .. }
    )
}
