//! The export for whatever serves HTTP, to everybody or to those who know a token.

use std::fmt;

use periskop_core::ids;
use subtle::ConstantTimeEq;

use crate::Collector;

/// The media type of an export.
pub const CONTENT_TYPE: &str = "application/json";

/// Answers scrapes with what a collector has counted.
///
/// A function from the request's `Authorization` header to an [`Answer`], for any framework:
///
/// ```
/// use periskop_client::{Collector, Exporter};
///
/// let exporter = Exporter::new(&Collector::new()).bearer_token("s3cr3t");
///
/// assert_eq!(exporter.answer(Some(b"Bearer s3cr3t")).status, 200);
/// let refused = exporter.answer(None);
/// assert_eq!((refused.status, refused.www_authenticate), (401, Some("Bearer")));
/// ```
///
/// With the feature `tower` it is a service, with `axum` it makes a router.
#[derive(Clone)]
pub struct Exporter {
    collector: Collector,
    /// SHA-256 of the token that is asked for.
    token: Option<[u8; 32]>,
}

/// What to answer to a scrape.
#[derive(Clone, PartialEq, Eq)]
pub struct Answer {
    /// The status: 200, or 401 without the right token.
    pub status: u16,
    /// The value of the header `Content-Type`.
    pub content_type: &'static str,
    /// The value of the header `WWW-Authenticate`, if there is to be one.
    pub www_authenticate: Option<&'static str>,
    /// The body.
    pub body: Vec<u8>,
}

impl Exporter {
    /// Answers everybody.
    pub fn new(collector: &Collector) -> Self {
        Self { collector: collector.clone(), token: None }
    }

    /// Answers only requests with `Authorization: Bearer` and this token (RFC 6750). What Periskop
    /// is to send is set by `authorization` or `bearer_token` in its scrape's HTTP settings.
    ///
    /// The token is kept as a hash, and compared in a time that does not depend on what differs.
    pub fn bearer_token(mut self, token: impl AsRef<str>) -> Self {
        self.token = Some(ids::digest(token.as_ref()));
        self
    }

    /// The answer to a request with this `Authorization` header.
    pub fn answer(&self, authorization: Option<&[u8]>) -> Answer {
        if self.admits(authorization) {
            let body = self.collector.export();
            Answer { status: 200, content_type: CONTENT_TYPE, www_authenticate: None, body }
        } else {
            Answer {
                status: 401,
                content_type: "text/plain; charset=utf-8",
                www_authenticate: Some("Bearer"),
                body: b"a bearer token is needed to read the errors of this program\n".to_vec(),
            }
        }
    }

    fn admits(&self, authorization: Option<&[u8]>) -> bool {
        let Some(expected) = &self.token else { return true };
        let given = authorization.and_then(bearer).unwrap_or_default();
        ids::digest(given).ct_eq(expected).into()
    }
}

impl fmt::Debug for Exporter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Exporter")
            .field("collector", &self.collector)
            .field("asks_for_a_token", &self.token.is_some())
            .finish()
    }
}

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer")
            .field("status", &self.status)
            .field("content_type", &self.content_type)
            .field("body", &format_args!("{} bytes", self.body.len()))
            .finish_non_exhaustive()
    }
}

/// The token of an `Authorization` header; the scheme's case does not matter (RFC 9110, 11.1).
fn bearer(authorization: &[u8]) -> Option<&str> {
    let text = std::str::from_utf8(authorization).ok()?;
    let (scheme, token) = text.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_token_everybody_gets_the_export() {
        let collector = Collector::new();
        let exporter = Exporter::new(&collector);
        for authorization in [None, Some(&b"Bearer x"[..])] {
            let answer = exporter.answer(authorization);
            assert_eq!((answer.status, answer.content_type), (200, "application/json"));
            assert_eq!(answer.body, collector.export());
        }
    }

    #[test]
    fn with_a_token_only_those_who_know_it() {
        let exporter = Exporter::new(&Collector::new()).bearer_token("s3cr3t");
        let status = |authorization: &str| exporter.answer(Some(authorization.as_bytes())).status;
        assert_eq!(status("Bearer s3cr3t"), 200);
        assert_eq!(status("bearer  s3cr3t "), 200);
        for wrong in ["Bearer s3cr3", "Bearer s3cr3t2", "Bearer ", "Bearer", "Basic s3cr3t", ""] {
            assert_eq!(status(wrong), 401, "{wrong}");
        }
        assert_eq!(exporter.answer(Some(b"Bearer \xff")).status, 401);
        assert_eq!(exporter.answer(None).status, 401);
        assert!(!format!("{exporter:?}").contains("s3cr3t"));
    }
}
