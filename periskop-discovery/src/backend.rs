//! One question to an HTTP backend, with everything bounded: how long it takes, how much comes.

use std::path::Path;
use std::sync::LazyLock;
use std::time::Duration;

use bytes::Bytes;
use periskop_core::discovery::DiscoveryError;
use regex::Regex;
use reqwest::header::{CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue};
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use url::Url;

use crate::build::{BuildError, BuildOptions};
use crate::go_json;
use crate::http_client::{HttpClient, HttpClientConfig, HttpError, RequestBuilder, redact_url};

/// More than any API sends on one page. Prometheus has no limit.
pub(crate) const BODY_LIMIT: usize = 64 << 20;
/// How much of a reason is told, in characters.
const REASON_LIMIT: usize = 400;
/// How much of an error's body is told.
const EXCERPT: usize = 160;
/// Where Prometheus waits for ever, nobody waits longer for one answer.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// An API that is asked.
#[derive(Clone, Debug)]
pub(crate) struct Backend {
    client: HttpClient,
    timeout: Duration,
    /// What errors name instead of the host, where that means nothing.
    socket: Option<String>,
}

impl Backend {
    /// Asks with these settings. An answer may take `timeout`, body included; zero: [`PATIENCE`].
    pub(crate) fn new(
        http: &HttpClientConfig,
        options: &BuildOptions,
        timeout: Duration,
    ) -> Result<Self, BuildError> {
        let client = HttpClient::new(http, &options.user_agent)?;
        let timeout = if timeout.is_zero() { PATIENCE } else { timeout };
        Ok(Self { client, timeout, socket: None })
    }

    /// Asks whoever listens on a Unix socket; hosts and ports of URLs mean nothing then.
    pub(crate) fn over_unix_socket(
        path: &Path,
        options: &BuildOptions,
        timeout: Duration,
    ) -> Result<Self, BuildError> {
        let client = HttpClient::over_unix_socket(path, &options.user_agent)?;
        let timeout = if timeout.is_zero() { PATIENCE } else { timeout };
        Ok(Self { client, timeout, socket: Some(format!("unix://{}", path.display())) })
    }

    /// A `GET`.
    pub(crate) fn get(&self, url: Url) -> Call {
        self.call(Method::GET, url)
    }

    /// A `POST`.
    pub(crate) fn post(&self, url: Url) -> Call {
        self.call(Method::POST, url)
    }

    /// A request of any method.
    pub(crate) fn call(&self, method: Method, url: Url) -> Call {
        let shown = match &self.socket {
            Some(socket) => format!("{socket}: {}", url.path()),
            None => shown(&url),
        };
        let request = self.client.request(method, url).timeout(self.timeout);
        Call { request, shown, limit: BODY_LIMIT, unfit: None }
    }
}

/// A request that is being put together.
#[must_use = "nothing is asked before `send` is awaited"]
pub(crate) struct Call {
    request: RequestBuilder,
    shown: String,
    limit: usize,
    /// A header whose value cannot be sent.
    unfit: Option<HeaderName>,
}

impl Call {
    /// Adds a header that anyone may see.
    pub(crate) fn header(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::try_from(value) {
            Ok(value) => self.request = self.request.header(name, value),
            Err(_) => self.unfit = Some(name),
        }
        self
    }

    /// Adds a header that only the host that is asked may see: no redirect takes it elsewhere.
    pub(crate) fn credential(mut self, name: HeaderName, value: &str) -> Self {
        match HeaderValue::try_from(value) {
            Ok(value) => self.request = self.request.credential(name, value),
            Err(_) => self.unfit = Some(name),
        }
        self
    }

    /// Sets the body and what it is.
    pub(crate) fn body(self, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut call = self.header(CONTENT_TYPE, content_type);
        call.request = call.request.body(body);
        call
    }

    /// Sets a body of JSON.
    pub(crate) fn json(self, body: &serde_json::Value) -> Self {
        self.body("application/json", body.to_string())
    }

    /// Limits the length of the answer's body, in bytes. Not set: [`BODY_LIMIT`].
    pub(crate) fn limit(mut self, bytes: usize) -> Self {
        self.limit = bytes;
        self
    }

    /// Asks, and reads the answer, whatever its status.
    pub(crate) async fn send(self) -> Result<Answer, DiscoveryError> {
        let Self { request, shown, limit, unfit } = self;
        if let Some(name) = unfit {
            let reason = format!("the value of {name} is not fit for a header");
            return Err(DiscoveryError::Unreachable { endpoint: shown, reason });
        }
        let unreachable = |error: HttpError| DiscoveryError::Unreachable {
            endpoint: shown.clone(),
            reason: error.to_string(),
        };
        let mut response = request.send().await.map_err(unreachable)?;
        let (status, headers) = (response.status(), std::mem::take(response.headers_mut()));
        let too_long = || {
            let reason = format!("longer than {limit} bytes");
            DiscoveryError::Invalid { endpoint: shown.clone(), reason }
        };
        if response.content_length().is_some_and(|told| told > limit as u64) {
            return Err(too_long());
        }
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.map_err(|e| unreachable(e.into()))? {
            if body.len() + chunk.len() > limit {
                return Err(too_long());
            }
            body.extend_from_slice(&chunk);
        }
        Ok(Answer { status, headers, body, shown })
    }
}

/// What a backend answered.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The status.
    pub(crate) status: StatusCode,
    /// The headers.
    pub(crate) headers: HeaderMap,
    /// The body, not decompressed.
    pub(crate) body: Vec<u8>,
    shown: String,
}

impl Answer {
    /// An answer that nobody sent.
    #[cfg(test)]
    pub(crate) fn new(shown: &str, status: StatusCode, body: &str) -> Self {
        Self { status, headers: HeaderMap::new(), body: body.into(), shown: shown.into() }
    }

    /// Itself, if its status is 200 to 299.
    pub(crate) fn success(self) -> Result<Self, DiscoveryError> {
        if self.status.is_success() { Ok(self) } else { Err(self.bad_status()) }
    }

    /// Itself, if its status is 200.
    pub(crate) fn ok(self) -> Result<Self, DiscoveryError> {
        if self.status == StatusCode::OK { Ok(self) } else { Err(self.bad_status()) }
    }

    /// The error that tells of a status that is none of success, with the beginning of the body
    /// where that is a text that a program wrote.
    pub(crate) fn bad_status(&self) -> DiscoveryError {
        let mut reason = format!("server returned HTTP status {}", self.status);
        let kind = self.header("content-type");
        if ["json", "xml", "text/plain"].iter().any(|known| kind.contains(known)) {
            let text = String::from_utf8_lossy(&self.body[..self.body.len().min(4 * EXCERPT)]);
            let words: Vec<_> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
            let line = words.join(" ");
            let line = line.trim();
            if !line.is_empty() {
                let excerpt: String = line.chars().take(EXCERPT).collect();
                reason = format!("{reason}: {excerpt}");
            }
        }
        self.invalid(reason)
    }

    /// The body as JSON, read by the rules of Go ([`go_json`]).
    pub(crate) fn json<T: DeserializeOwned>(&self) -> Result<T, DiscoveryError> {
        go_json::from_slice(&self.body).map_err(|error| self.invalid(error.to_string()))
    }

    /// The body as XML.
    #[cfg(feature = "_xml")]
    pub(crate) fn xml(&self) -> Result<crate::xml::Document, DiscoveryError> {
        crate::xml::Document::parse(&self.body).map_err(|reason| self.invalid(reason))
    }

    /// A header's value; `""` where there is none, or no text.
    pub(crate) fn header(&self, name: &str) -> &str {
        self.headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default()
    }

    /// The error that this answer cannot be used.
    pub(crate) fn invalid(&self, reason: impl Into<String>) -> DiscoveryError {
        let reason = one_line(&reason.into());
        DiscoveryError::Invalid { endpoint: self.shown.clone(), reason }
    }
}

/// A reason that may quote what a backend sent: no control characters, and not too long to be
/// read.
fn one_line(reason: &str) -> String {
    let shown = |c: char| if c.is_control() { ' ' } else { c };
    reason.chars().map(shown).take(REASON_LIMIT).collect()
}

/// Whether a `Content-Type` says JSON in UTF-8. A missing one is refused as in Prometheus: an
/// error page must not pass for an empty list.
pub(crate) fn is_json(content_type: &str) -> bool {
    static JSON: LazyLock<Regex> = LazyLock::new(|| {
        Regex::new(r#"^(?i:application/json(;\s*charset=("utf-8"|utf-8))?)$"#)
            .expect("the pattern is constant and tested")
    });
    JSON.is_match(content_type.trim())
}

/// A URL as errors name it: no password, and no query, which may be long or hold a token.
pub(crate) fn shown(url: &Url) -> String {
    let mut shown = redact_url(url);
    shown.set_query(None);
    shown.set_fragment(None);
    shown.into()
}
