//! `http_server_config`: HTTP/2, and headers of every answer.

use axum::http::{HeaderName, HeaderValue};
use periskop_core::config::{At, Fields, Problems};

/// What the section holds.
pub(super) struct Http {
    pub(super) http2: bool,
    pub(super) headers: Vec<(HeaderName, HeaderValue)>,
}

impl Default for Http {
    fn default() -> Self {
        Self { http2: true, headers: Vec::new() }
    }
}

/// The headers that Prometheus lets one set, and the values that they may have.
const ALLOWED: [(&str, &str, &[&str]); 5] = [
    ("Content-Security-Policy", "content-security-policy", &[]),
    ("X-Frame-Options", "x-frame-options", &["deny", "sameorigin"]),
    ("X-Content-Type-Options", "x-content-type-options", &["nosniff"]),
    ("X-XSS-Protection", "x-xss-protection", &[]),
    ("Strict-Transport-Security", "strict-transport-security", &[]),
];

pub(super) fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Http> {
    let mut fields = Fields::new(at, problems)?;
    let http2 = fields.bool("http2").unwrap_or(true);
    let headers = fields.section("headers", headers).unwrap_or_default();
    fields.finish();
    Some(Http { http2, headers })
}

fn headers(at: &At<'_>, problems: &mut Problems) -> Option<Vec<(HeaderName, HeaderValue)>> {
    let mut fields = Fields::new(at, problems)?;
    let mut headers = Vec::new();
    for (key, name, values) in ALLOWED {
        let parsed = fields.parsed(key, |text| {
            if text.is_empty() {
                return Ok(None); // as if it were not there
            }
            if !values.is_empty() && !values.contains(&text) {
                return Err(format!("expected {}, not {text:?}", values.join(" or ")));
            }
            HeaderValue::from_str(text).map(Some).map_err(|_| "not a header's value".to_owned())
        });
        if let Some(Some(value)) = parsed {
            headers.push((HeaderName::from_static(name), value));
        }
    }
    fields.finish();
    Some(headers)
}
