//! Why a push failed.

use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Why a push failed, or cannot be made at all. Never says a credential.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// A setting makes no sense.
    #[error("{setting} cannot be used: {reason}")]
    Setting {
        /// Which one.
        setting: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// A credential or certificate cannot be read.
    #[error("cannot read {}", path.display())]
    File {
        /// Which file.
        path: PathBuf,
        /// Why not.
        source: Arc<io::Error>,
    },
    /// The gateway did not answer in time.
    #[error("the gateway did not answer within {after:?}")]
    TimedOut {
        /// In how much time.
        after: Duration,
    },
    /// There was no connection, or it broke.
    #[error("the gateway cannot be reached: {reason}")]
    Unreachable {
        /// Why not.
        reason: String,
    },
    /// The gateway's answer was not 2xx.
    #[error("the gateway answered {status}: {said}")]
    Answered {
        /// The status.
        status: u16,
        /// The beginning of what it said.
        said: String,
        /// How long it asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// The gateway is elsewhere.
    #[error("the gateway answered {status}, it is elsewhere: push to {to} instead")]
    Redirected {
        /// The status.
        status: u16,
        /// Where, without credentials and parameters.
        to: String,
    },
    /// The system has no thread to spare for a push.
    #[error("no thread can be started for the push")]
    NoThread(#[source] Arc<io::Error>),
    /// The thread that pushed has ended without saying why.
    #[error("the push was cut off")]
    CutOff,
}

impl PushError {
    /// Whether the same push may succeed later: all but what the gateway, or we ourselves, will say
    /// again of the same content. 408 and 429 are about time.
    pub fn is_temporary(&self) -> bool {
        match self {
            Self::Answered { status, .. } => *status >= 500 || matches!(status, 408 | 429),
            // A file may be put there; a server may be taught to answer.
            Self::File { .. } | Self::TimedOut { .. } | Self::Unreachable { .. } => true,
            Self::NoThread(_) | Self::CutOff => true,
            Self::Setting { .. } | Self::Redirected { .. } => false,
        }
    }

    pub(super) fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Answered { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_will_be_said_again_of_the_same_content_is_not_temporary() {
        let answered =
            |status| PushError::Answered { status, said: String::new(), retry_after: None };
        for (status, expected) in
            [(400, false), (401, false), (413, false), (408, true), (429, true), (500, true)]
        {
            assert_eq!(answered(status).is_temporary(), expected, "{status}");
        }
    }
}
