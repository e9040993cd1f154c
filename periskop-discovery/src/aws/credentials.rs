//! Who asks.

use std::time::Duration;

use periskop_core::Timestamp;
use periskop_core::config::Secret;
use periskop_core::discovery::DiscoveryError;
use serde::Deserialize;

/// Credentials are renewed this long before they end: a look may take a while.
const EARLY: Duration = Duration::from_secs(120);

/// What requests are signed with.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Credentials {
    /// Names the secret; it is sent with every request.
    pub(crate) access_key: String,
    /// Signs.
    pub(crate) secret_key: Secret,
    /// Comes with credentials that end, and is sent with every request.
    pub(crate) session_token: Option<Secret>,
    /// When they end; none: not by themselves.
    pub(crate) expires: Option<Timestamp>,
}

impl Credentials {
    /// Credentials that do not end by themselves, if both texts are there.
    pub(crate) fn from_texts(
        access_key: Option<String>,
        secret_key: Option<String>,
        session_token: Option<String>,
    ) -> Option<Self> {
        let filled = |text: Option<String>| text.filter(|text| !text.is_empty());
        Some(Self {
            access_key: filled(access_key)?,
            secret_key: Secret::new(filled(secret_key)?),
            session_token: filled(session_token).map(Secret::new),
            expires: None,
        })
    }

    /// Whether they can still be used for a while.
    pub(crate) fn are_fresh(&self, now: Timestamp) -> bool {
        self.expires.is_none_or(|expires| now < expires.minus(EARLY))
    }

    /// A text of a backend without what is secret, should it have been sent back to us.
    pub(crate) fn hide_in(&self, text: String) -> String {
        let mut text = text;
        for secret in [Some(&self.secret_key), self.session_token.as_ref()].into_iter().flatten() {
            if !secret.is_empty() && text.contains(secret.expose()) {
                text = text.replace(secret.expose(), Secret::HIDDEN);
            }
        }
        text
    }
}

/// Credentials as the metadata services of instances and containers tell them.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
pub(crate) struct Told {
    code: String,
    message: String,
    access_key_id: String,
    secret_access_key: String,
    token: String,
    expiration: String,
}

impl Told {
    /// The credentials, unless there are none in it.
    pub(crate) fn credentials(self) -> Result<Credentials, String> {
        let expires = Timestamp::parse(&self.expiration);
        let (key, secret) = (Some(self.access_key_id), Some(self.secret_access_key));
        match Credentials::from_texts(key, secret, Some(self.token)) {
            Some(credentials) => Ok(Credentials { expires, ..credentials }),
            None if self.code.is_empty() => Err("no credentials in it".into()),
            None => Err(format!("{}: {}", self.code, self.message)),
        }
    }
}

/// There are no credentials, or no region.
pub(crate) fn missing(what: &str, reason: impl Into<String>) -> DiscoveryError {
    DiscoveryError::Unreachable { endpoint: what.into(), reason: reason.into() }
}
