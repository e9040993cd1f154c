//! Access tokens of clouds (RFC 6749): fetched when one is needed, kept until shortly before it
//! ends.
//!
//! What is sent for a token is worth more than the token, so no redirect is followed, and an
//! error tells the words of the endpoint without what was sent to it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use periskop_core::config::Secret;
use periskop_core::discovery::DiscoveryError;
use serde_json::Value;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::{Serializer, byte_serialize};

use crate::backend::{Answer, Backend};
use crate::build::{BuildError, BuildOptions};
use crate::http_client::{HttpClientConfig, ProxyChoice, ProxyConfig};

/// A token is renewed this long before it ends: it must be valid when it arrives.
const EARLY: Duration = Duration::from_secs(60);
/// How long an endpoint may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// More than any endpoint has to say.
pub(crate) const ANSWER_LIMIT: usize = 1 << 20;
/// How much of an endpoint's explanation is told.
const EXCERPT: usize = 240;
/// What in a form nobody else may see.
const SECRETS: [&str; 5] =
    ["assertion", "client_assertion", "client_secret", "password", "refresh_token"];

/// A token, and when it is to be renewed.
#[derive(Clone, Debug)]
pub(crate) struct Token {
    value: Secret,
    renew: Option<Instant>,
}

impl Token {
    /// A token that was asked for at `asked` and is valid for so long; `None`: until it is refused.
    pub(crate) fn new(value: Secret, asked: Instant, lifetime: Option<Duration>) -> Self {
        let renew = lifetime.and_then(|lifetime| {
            // One that lives for a minute is of use for most of it.
            asked.checked_add(lifetime.saturating_sub(EARLY.min(lifetime / 10)))
        });
        Self { value, renew }
    }

    /// Reads an endpoint's answer to a question of `asked`.
    pub(crate) fn read(
        answer: &Answer,
        asked: Instant,
        sent: &[Secret],
    ) -> Result<Self, DiscoveryError> {
        let body: Option<Value> = serde_json::from_slice(&answer.body).ok();
        if !answer.status.is_success() {
            return Err(answer.invalid(refusal(answer, body.as_ref(), sent)));
        }
        // The parser's own message is not passed on: it may quote the token.
        let body = body.ok_or_else(|| answer.invalid("not JSON"))?;
        let token = body.get("access_token").and_then(Value::as_str).filter(|t| !t.is_empty());
        let token = token.ok_or_else(|| answer.invalid("the answer holds no access_token"))?;
        // Some endpoints send numbers as texts.
        let seconds = |name| {
            let value: Option<&Value> = body.get(name);
            value.and_then(|v| v.as_u64().or_else(|| v.as_str().and_then(|text| text.parse().ok())))
        };
        let end = || seconds("expires_on").or_else(|| expiry(token)).map(remaining);
        let lifetime =
            seconds("expires_in").filter(|s| *s > 0).map(Duration::from_secs).or_else(end);
        Ok(Self::new(Secret::new(token), asked, lifetime))
    }

    fn is_fresh(&self) -> bool {
        self.renew.is_none_or(|renew| Instant::now() < renew)
    }
}

/// The current token. Who asks at the same time waits for one fetch.
#[derive(Debug, Default)]
pub(crate) struct Tokens(Mutex<Option<Token>>);

impl Tokens {
    /// The current token; `fetch` is only awaited where there is none.
    pub(crate) async fn current(
        &self,
        fetch: impl Future<Output = Result<Token, DiscoveryError>>,
    ) -> Result<Secret, DiscoveryError> {
        let mut current = self.0.lock().await;
        if let Some(token) = current.as_ref().filter(|token| token.is_fresh()) {
            return Ok(token.value.clone());
        }
        let token = current.insert(fetch.await?);
        Ok(token.value.clone())
    }

    /// Forgets the token, which was refused.
    pub(crate) async fn forget(&self) {
        *self.0.lock().await = None;
    }
}

/// Who is asked for tokens.
///
/// As with the clients of the clouds, settings for the API are not for the endpoint of tokens;
/// the environment's proxies are.
pub(crate) fn backend(options: &BuildOptions) -> Result<Backend, BuildError> {
    Backend::new(&HttpClientConfig { follow_redirects: false, ..unconfigured() }, options, TIMEOUT)
}

/// Asks an endpoint with a form.
pub(crate) async fn ask(
    backend: &Backend,
    url: Url,
    form: &[(&str, &str)],
) -> Result<Token, DiscoveryError> {
    let asked = Instant::now();
    let body = Serializer::new(String::new()).extend_pairs(form).finish();
    let call = backend.post(url).body("application/x-www-form-urlencoded", body);
    let answer = call.limit(ANSWER_LIMIT).send().await?;
    let sent = form.iter().filter(|(name, _)| SECRETS.contains(name));
    let sent: Vec<_> = sent.map(|(_, value)| Secret::new(*value)).collect();
    Token::read(&answer, asked, &sent)
}

/// The time at which a token ends that is a JSON Web Token, in seconds since 1970.
pub(crate) fn expiry(token: &str) -> Option<u64> {
    let claims = URL_SAFE_NO_PAD.decode(token.split('.').nth(1)?).ok()?;
    serde_json::from_slice::<Value>(&claims).ok()?.get("exp")?.as_u64()
}

/// How long it is until a time in seconds since 1970.
pub(crate) fn remaining(end: u64) -> Duration {
    let end = UNIX_EPOCH.checked_add(Duration::from_secs(end));
    end.and_then(|end| end.duration_since(SystemTime::now()).ok()).unwrap_or_default()
}

/// The settings of a client without settings: what Go's does by itself.
pub(crate) fn unconfigured() -> HttpClientConfig {
    HttpClientConfig {
        proxy: ProxyConfig { choice: ProxyChoice::Environment, ..ProxyConfig::default() },
        ..HttpClientConfig::default()
    }
}

/// The words of RFC 6749, section 5.2, bounded, and without what was sent.
fn refusal(answer: &Answer, body: Option<&Value>, sent: &[Secret]) -> String {
    let word = |name| body.and_then(|body| body.get(name)).and_then(Value::as_str);
    let mut text = answer.status.to_string();
    for said in [word("error"), word("error_description")].into_iter().flatten() {
        let mut said = said.split_whitespace().collect::<Vec<_>>().join(" ");
        for secret in sent.iter().filter(|secret| !secret.is_empty()) {
            let encoded: String = byte_serialize(secret.expose().as_bytes()).collect();
            said = said.replace(secret.expose(), Secret::HIDDEN).replace(&encoded, Secret::HIDDEN);
        }
        text.push_str(": ");
        text.extend(said.chars().filter(|c| !c.is_control()).take(EXCERPT));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::StatusCode;

    fn read(status: u16, body: &str) -> Result<Token, String> {
        let status = StatusCode::from_u16(status).unwrap();
        let answer = Answer::new("https://login/token", status, body);
        let sent = [Secret::new("hun ter2")];
        Token::read(&answer, Instant::now(), &sent).map_err(|e| e.to_string())
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_kept_until_shortly_before_it_ends() {
        let tokens = Tokens::default();
        let fetch = async |n: u32| {
            let value = Secret::new(n.to_string());
            let token = Token::new(value, Instant::now(), Some(Duration::from_secs(3600)));
            tokens.current(async { Ok(token) }).await.unwrap().expose().to_owned()
        };
        assert_eq!(fetch(1).await, "1");
        tokio::time::advance(Duration::from_secs(3539)).await;
        assert_eq!(fetch(2).await, "1");
        tokio::time::advance(Duration::from_secs(2)).await;
        assert_eq!(fetch(3).await, "3");
        tokens.forget().await;
        assert_eq!(fetch(4).await, "4");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lifetime_may_be_a_text_and_a_short_one_is_used() {
        for body in
            [r#"{"access_token":"t","expires_in":"60"}"#, r#"{"access_token":"t","expires_in":60}"#]
        {
            let token = read(200, body).unwrap();
            tokio::time::advance(Duration::from_secs(53)).await;
            assert!(token.is_fresh());
            tokio::time::advance(Duration::from_secs(2)).await;
            assert!(!token.is_fresh());
        }
        assert!(read(200, r#"{"access_token":"t"}"#).unwrap().renew.is_none());
        // What App Service says, and what only the token itself says.
        assert!(!read(200, r#"{"access_token":"t","expires_on":"1000"}"#).unwrap().is_fresh());
        let claims = URL_SAFE_NO_PAD.encode(r#"{"exp":4102444800}"#);
        let token = read(200, &format!(r#"{{"access_token":"e.{claims}.s"}}"#)).unwrap();
        assert!(token.renew.is_some() && token.is_fresh());
        assert!(read(200, r#"{"access_token":"t","expires_in":18446744073709551615}"#).is_ok());
    }

    #[test]
    fn a_refusal_tells_the_words_of_the_endpoint_and_no_secret() {
        let error = |status, body: &str| read(status, body).unwrap_err();
        assert_eq!(
            error(
                401,
                r#"{"error":"invalid_client","error_description":"bad\n hun+ter2, 'hun ter2'"}"#
            ),
            "https://login/token: invalid answer: 401 Unauthorized: invalid_client: bad <secret>, '<secret>'"
        );
        assert!(error(200, r#"{"access_token":7}"#).ends_with("holds no access_token"));
        assert!(error(200, "hun ter2").ends_with("not JSON"));
        assert!(error(307, "hun ter2").ends_with("307 Temporary Redirect"));
    }
}
