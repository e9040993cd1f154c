//! One request, with its redirects.

use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{
    CONTENT_LENGTH, CONTENT_TYPE, HOST, HeaderMap, HeaderName, HeaderValue, LOCATION,
    TRANSFER_ENCODING, USER_AGENT,
};
use reqwest::{Method, Response, StatusCode};
use tokio::time::{Instant, timeout_at};
use url::Url;

use super::{HttpClient, HttpError};

/// As in Go's client.
const MAX_REDIRECTS: usize = 10;

/// A request on its way to be sent.
#[must_use = "nothing is sent before `send` is awaited"]
pub struct RequestBuilder {
    client: HttpClient,
    method: Method,
    url: Url,
    headers: HeaderMap,
    credentials: HeaderMap,
    body: Option<Bytes>,
    timeout: Option<Duration>,
}

impl RequestBuilder {
    pub(super) fn new(client: HttpClient, method: Method, url: Url) -> Self {
        let (headers, credentials) = (HeaderMap::new(), HeaderMap::new());
        Self { client, method, url, headers, credentials, body: None, timeout: None }
    }

    /// Adds a header. It is sent to wherever a redirect leads, so it must be no credential.
    pub fn header(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.append(name, value);
        self
    }

    /// Adds a header that is a credential: it is sent to no other host than the one that is asked,
    /// and is kept out of logs.
    pub fn credential(mut self, name: HeaderName, mut value: HeaderValue) -> Self {
        value.set_sensitive(true);
        self.credentials.append(name, value);
        self
    }

    /// Sets the body.
    pub fn body(mut self, body: impl Into<Bytes>) -> Self {
        self.body = Some(body.into());
        self
    }

    /// Limits the time for everything: credentials, tokens, redirects, and reading the body. Not
    /// set: no limit.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Sends it and waits for the head of the answer, whatever its status; its body is read with
    /// [`Response::chunk`] or [`Response::bytes_stream`] and is not decompressed.
    ///
    /// # Errors
    ///
    /// Every variant of [`HttpError`]. An error in the body comes as `reqwest::Error` and turns
    /// into [`HttpError`] by `?`.
    pub async fn send(self) -> Result<Response, HttpError> {
        let deadline = self.timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        match deadline {
            Some(deadline) => timeout_at(deadline, self.follow(Some(deadline)))
                .await
                .map_err(|_| HttpError::Timeout)?,
            None => self.follow(None).await,
        }
    }

    async fn follow(mut self, deadline: Option<Instant>) -> Result<Response, HttpError> {
        let inner = self.client.0.clone();
        let origin = self.url.clone();
        for _ in 0..=MAX_REDIRECTS {
            let response = self.send_once(&origin, deadline).await?;
            if !inner.config.follow_redirects {
                return Ok(response);
            }
            let Some(next) = redirect(&self.url, &response)? else { return Ok(response) };
            // 307 and 308 repeat the request; the older ones became a GET by everyone's habit.
            let repeats = matches!(
                response.status(),
                StatusCode::TEMPORARY_REDIRECT | StatusCode::PERMANENT_REDIRECT
            );
            if !repeats && self.method != Method::GET && self.method != Method::HEAD {
                self.method = Method::GET;
                self.body = None;
                for name in [CONTENT_TYPE, CONTENT_LENGTH, TRANSFER_ENCODING] {
                    self.headers.remove(name);
                }
            }
            self.url = next;
        }
        Err(HttpError::TooManyRedirects(MAX_REDIRECTS))
    }

    async fn send_once(
        &self,
        origin: &Url,
        deadline: Option<Instant>,
    ) -> Result<Response, HttpError> {
        let inner = &self.client.0;
        let mut headers = HeaderMap::new();
        headers.insert(USER_AGENT, inner.user_agent.clone());
        if may_see_credentials(origin, &self.url) {
            replace(&mut headers, inner.own_headers().await?);
            replace(&mut headers, self.credentials.clone());
        }
        replace(&mut headers, self.headers.clone());
        let (client, url, host) = inner.transport.client(&self.url).await?;
        if let Some(host) = host {
            headers.entry(HOST).or_insert(host);
        }
        let mut request = client.request(self.method.clone(), url).headers(headers);
        if let Some(body) = &self.body {
            request = request.body(body.clone());
        }
        if let Some(deadline) = deadline {
            // Reaches into the body, which is read after `send` has returned.
            request = request.timeout(deadline.saturating_duration_since(Instant::now()));
        }
        Ok(request.send().await?)
    }
}

fn replace(headers: &mut HeaderMap, others: HeaderMap) {
    for name in others.keys() {
        headers.remove(name);
    }
    headers.extend(others);
}

/// Where the answer sends us, if it does.
fn redirect(from: &Url, response: &Response) -> Result<Option<Url>, HttpError> {
    if !matches!(
        response.status(),
        StatusCode::MOVED_PERMANENTLY
            | StatusCode::FOUND
            | StatusCode::SEE_OTHER
            | StatusCode::TEMPORARY_REDIRECT
            | StatusCode::PERMANENT_REDIRECT
    ) {
        return Ok(None);
    }
    let Some(location) = response.headers().get(LOCATION) else { return Ok(None) };
    let invalid = |reason: String| HttpError::Redirect { reason };
    let location = location.to_str().map_err(|_| invalid("not a text".into()))?;
    let url = from.join(location).map_err(|e| invalid(e.to_string()))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(invalid(format!("the scheme {:?} is not followed", url.scheme())));
    }
    Ok(Some(url))
}

/// Whether `to` is who the credentials are meant for: the same host and port, or the same host's
/// standard TLS port instead of its plain one. Go ignores the port; another port may be
/// another's.
fn may_see_credentials(origin: &Url, to: &Url) -> bool {
    let ports = (origin.port_or_known_default(), to.port_or_known_default());
    let upgrade = origin.scheme() == "http" && to.scheme() == "https";
    origin.host() == to.host()
        && match ports {
            (a, b) if a == b => origin.scheme() == to.scheme() || upgrade,
            (Some(80), Some(443)) => upgrade,
            _ => false,
        }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn credentials_stay_with_the_host_they_were_configured_for() {
        let url = |s: &str| Url::parse(s).unwrap();
        for (from, to, may) in [
            ("http://a/x", "http://a/y", true),
            ("http://a:80/x", "https://a/y", true),
            ("https://a/x", "http://a/y", false),
            ("https://a/x", "http://a:443/y", false),
            ("http://a:8080/x", "http://a:9090/y", false),
            ("http://a/x", "http://b/y", false),
            ("http://a/x", "http://sub.a/y", false),
        ] {
            assert_eq!(may_see_credentials(&url(from), &url(to)), may, "{from} -> {to}");
        }
    }
}
