//! Why there is no answer.

use std::error::Error as _;
use std::path::PathBuf;

/// A request that got no usable answer. No variant holds a credential.
#[derive(Clone, Debug, thiserror::Error)]
#[non_exhaustive]
pub enum HttpError {
    /// A file that the settings name cannot be read.
    #[error("cannot read {}: {reason}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// A setting that cannot be used.
    #[error("{field}: {reason}")]
    Setting {
        /// Its name.
        field: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// No token was to be had.
    #[error("no oauth2 token from {endpoint}: {reason}")]
    Token {
        /// The token endpoint.
        endpoint: String,
        /// Its answer, or why there was none.
        reason: String,
    },
    /// Nothing, or not everything, came in time.
    #[error("timed out")]
    Timeout,
    /// More redirects than anyone means.
    #[error("stopped after {0} redirects")]
    TooManyRedirects(usize),
    /// A redirect to where nobody can go.
    #[error("invalid redirect: {reason}")]
    Redirect {
        /// What is wrong with it.
        reason: String,
    },
    /// Anything else that happens between two hosts: not found, refused, closed, not trusted.
    #[error("{reason}")]
    Failed {
        /// The innermost cause that says something.
        reason: String,
    },
}

impl From<reqwest::Error> for HttpError {
    /// The URL is left out: the caller knows it, and it may hold a password. Of the chain of
    /// causes the words of the outer ones ("error sending request") help nobody.
    fn from(error: reqwest::Error) -> Self {
        if error.is_timeout() {
            return Self::Timeout;
        }
        let mut causes = Vec::new();
        let mut cause = error.source();
        while let Some(inner) = cause {
            causes.push(inner.to_string());
            cause = inner.source();
        }
        let said = causes.iter().rev().find(|text| !text.is_empty());
        let reason = match (said, causes.iter().any(|text| text.contains("dns error"))) {
            (Some(innermost), true) => format!("cannot resolve the host: {innermost}"),
            (Some(innermost), false) => innermost.clone(),
            (None, _) => error.without_url().to_string(),
        };
        Self::Failed { reason }
    }
}
