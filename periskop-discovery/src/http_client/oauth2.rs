//! Tokens by the client credentials grant, RFC 6749, section 4.4, and by assertions that are signed.

use std::time::Duration;

use periskop_core::config::Secret;
use reqwest::StatusCode;
use reqwest::header::{ACCEPT, CONTENT_TYPE, HOST, HeaderValue};
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use super::HttpError;
use super::jwt_bearer;
use super::settings::OAuth2Config;
use super::transport::Transport;

/// A token is renewed this long before it ends, as by Go's client: it must still be valid when
/// it arrives.
const EARLY: Duration = Duration::from_secs(10);
/// More than any token endpoint has to say.
const ANSWER_LIMIT: usize = 1 << 20;
const TIMEOUT: Duration = Duration::from_secs(30);

/// Fetches tokens and keeps the current one.
pub(super) struct TokenSource {
    config: OAuth2Config,
    url: Url,
    transport: Transport,
    current: Mutex<Current>,
}

#[derive(Default)]
struct Current {
    token: Option<Token>,
    /// How the endpoint wants to be told who asks; found out with the first request.
    style: Option<Style>,
}

struct Token {
    header: HeaderValue,
    /// What it was fetched with: another secret in the file means another token.
    secret: Secret,
    expires: Option<Instant>,
}

/// Both are allowed by RFC 6749, section 2.3.1, and some endpoints take only one.
#[derive(Clone, Copy, PartialEq)]
enum Style {
    Header,
    Body,
}

enum Refusal {
    /// Asking in the other style may help.
    Client(HttpError),
    Final(HttpError),
}

impl TokenSource {
    pub(super) fn new(config: &OAuth2Config) -> Result<Self, HttpError> {
        let invalid = |reason: String| HttpError::Setting { field: "oauth2.token_url", reason };
        let url = Url::parse(&config.token_url).map_err(|e| invalid(e.to_string()))?;
        if !matches!(url.scheme(), "http" | "https") {
            return Err(invalid("neither http nor https".into()));
        }
        Ok(Self {
            config: config.clone(),
            url,
            transport: Transport::new(&config.tls, &config.proxy, true)?,
            current: Mutex::default(),
        })
    }

    /// The value of `Authorization`. Requests that come together wait for one fetch.
    pub(super) async fn header(&self) -> Result<HeaderValue, HttpError> {
        let source = match &self.config.jwt_bearer {
            Some(jwt) => &jwt.key,
            None => &self.config.client_secret,
        };
        let secret = match source {
            Some(source) => source.read().await?,
            None => Secret::default(),
        };
        let mut current = self.current.lock().await;
        if let Some(token) = &current.token
            && token.secret == secret
            && token.expires.is_none_or(|expires| Instant::now() < expires)
        {
            return Ok(token.header.clone());
        }
        let token = self.fetch(&mut current.style, secret).await?;
        let header = token.header.clone();
        current.token = Some(token);
        Ok(header)
    }

    async fn fetch(&self, style: &mut Option<Style>, secret: Secret) -> Result<Token, HttpError> {
        let styles = match *style {
            // An assertion says itself who asks.
            _ if self.config.jwt_bearer.is_some() => vec![Style::Body],
            Some(known) => vec![known],
            None => vec![Style::Header, Style::Body],
        };
        let mut refused = None;
        for candidate in styles {
            match self.ask(candidate, &secret).await {
                Ok(token) => {
                    *style = Some(candidate);
                    return Ok(token);
                }
                Err(Refusal::Final(error)) => return Err(error),
                // The first refusal is the one to report: it answers the style of the standard.
                Err(Refusal::Client(error)) => refused = refused.or(Some(error)),
            }
        }
        Err(refused.unwrap_or_else(|| self.failed("refused")))
    }

    async fn ask(&self, style: Style, secret: &Secret) -> Result<Token, Refusal> {
        let asked = Instant::now();
        let (client, url, host) = self.transport.client(&self.url).await.map_err(Refusal::Final)?;
        let mut request = client
            .post(url)
            .timeout(TIMEOUT)
            .header(ACCEPT, "application/json")
            .header(CONTENT_TYPE, "application/x-www-form-urlencoded")
            .body(self.form(style, secret).map_err(Refusal::Final)?);
        if let Some(host) = host {
            request = request.header(HOST, host);
        }
        if style == Style::Header {
            let encode = |text: &str| {
                url::form_urlencoded::byte_serialize(text.as_bytes()).collect::<String>()
            };
            let user = encode(&self.config.client_id);
            request = request.basic_auth(user, Some(encode(secret.expose())));
        }
        let answer = request.send().await;
        let mut answer =
            answer.map_err(|e| Refusal::Final(self.failed(HttpError::from(e).to_string())))?;
        let status = answer.status();
        let body = read_body(&mut answer).await.map_err(|e| Refusal::Final(self.failed(e)))?;
        let body: Option<Value> = serde_json::from_slice(&body).ok();
        if !status.is_success() {
            let error = self.failed(refusal(status, body.as_ref()));
            return Err(if status.is_client_error() {
                Refusal::Client(error)
            } else {
                Refusal::Final(error)
            });
        }
        let body = body.ok_or_else(|| Refusal::Final(self.failed("the answer is not JSON")))?;
        self.token(&body, secret.clone(), asked).map_err(Refusal::Final)
    }

    fn form(&self, style: Style, secret: &Secret) -> Result<String, HttpError> {
        let OAuth2Config { client_id, scopes, .. } = &self.config;
        let mut form = Serializer::new(String::new());
        if let Some(jwt) = &self.config.jwt_bearer {
            let assertion = jwt.assertion(secret, client_id, self.url.as_str(), scopes)?;
            form.append_pair("grant_type", jwt_bearer::GRANT);
            form.append_pair("assertion", assertion.expose());
        } else {
            form.append_pair("grant_type", "client_credentials");
            if !scopes.is_empty() {
                form.append_pair("scope", &scopes.join(" "));
            }
            if style == Style::Body {
                form.append_pair("client_id", client_id);
                form.append_pair("client_secret", secret.expose());
            }
        }
        for (name, value) in &self.config.endpoint_params {
            form.append_pair(name, value.expose());
        }
        Ok(form.finish())
    }

    fn token(&self, body: &Value, secret: Secret, asked: Instant) -> Result<Token, HttpError> {
        let text = |key: &str| body.get(key).and_then(Value::as_str).filter(|s| !s.is_empty());
        let token =
            text("access_token").ok_or_else(|| self.failed("the answer holds no access_token"))?;
        let scheme = match text("token_type") {
            Some(other) if !other.eq_ignore_ascii_case("bearer") => other,
            _ => "Bearer",
        };
        let mut header = HeaderValue::try_from(format!("{scheme} {token}"))
            .map_err(|_| self.failed("the access_token is not fit for a header"))?;
        header.set_sensitive(true);
        // Some endpoints send the number as a text.
        let lifetime = body.get("expires_in").and_then(|value| {
            value.as_u64().or_else(|| value.as_str().and_then(|text| text.parse().ok()))
        });
        let expires = lifetime
            .filter(|seconds| *seconds > 0)
            .and_then(|seconds| asked.checked_add(Duration::from_secs(seconds)))
            .map(|end| end.checked_sub(EARLY).unwrap_or(asked));
        Ok(Token { header, secret, expires })
    }

    fn failed(&self, reason: impl Into<String>) -> HttpError {
        HttpError::Token {
            endpoint: super::redact_url(&self.url).to_string(),
            reason: reason.into(),
        }
    }
}

async fn read_body(answer: &mut reqwest::Response) -> Result<Vec<u8>, String> {
    let mut body = Vec::new();
    loop {
        match answer.chunk().await {
            Ok(Some(chunk)) if body.len() + chunk.len() > ANSWER_LIMIT => {
                return Err("the answer is too long".into());
            }
            Ok(Some(chunk)) => body.extend_from_slice(&chunk),
            Ok(None) => return Ok(body),
            Err(error) => return Err(HttpError::from(error).to_string()),
        }
    }
}

/// The words of RFC 6749, section 5.2, bounded; nothing else of the answer, which might hold
/// what was sent.
fn refusal(status: StatusCode, body: Option<&Value>) -> String {
    let error = body.and_then(|body| body.get("error")).and_then(Value::as_str);
    match error {
        Some(error) => format!("{status}: {}", error.chars().take(100).collect::<String>()),
        None => status.to_string(),
    }
}
