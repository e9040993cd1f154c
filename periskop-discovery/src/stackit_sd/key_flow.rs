//! STACKIT's key flow: a token for what is signed with the key of a service account.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_core::config::Secret;
use periskop_core::discovery::DiscoveryError;
use ring::rand::{SecureRandom as _, SystemRandom};
use serde::Deserialize;
use serde_json::{Value, json};
use url::Url;

use super::AccountConfig;
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::environment::Environment;
use crate::go_json;
use crate::http_client::{HttpClientConfig, read_text};
use crate::rsa_key::{Digest, RsaKey};
use crate::token::{self, Token, Tokens};

const ORIGIN: &str = "https://service-account.api.stackit.cloud";
const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const ASSERTION_LIFETIME: Duration = Duration::from_secs(3600);

pub(super) struct KeyFlow {
    config: AccountConfig,
    environment: Environment,
    /// The usual endpoint, should the key name no other.
    endpoint: Url,
    backend: Backend,
    tokens: Tokens,
}

impl KeyFlow {
    /// Nothing where no key is configured.
    pub(super) fn new(
        config: &AccountConfig,
        http: &HttpClientConfig,
        options: &BuildOptions,
    ) -> Result<Option<Self>, BuildError> {
        if config.key.is_empty() && config.key_path.is_empty() {
            return Ok(None);
        }
        // Tokens are asked for as the API is, but by nothing but the key.
        let http = HttpClientConfig {
            auth: None,
            headers: Default::default(),
            follow_redirects: false,
            ..http.clone()
        };
        let mut endpoint = options.origin(ORIGIN)?;
        endpoint.set_path("/token");
        Ok(Some(Self {
            config: config.clone(),
            environment: options.environment.clone(),
            endpoint,
            backend: Backend::new(&http, options, Duration::ZERO)?,
            tokens: Tokens::default(),
        }))
    }

    pub(super) async fn token(&self) -> Result<Secret, DiscoveryError> {
        self.tokens.current(self.fetch()).await
    }

    /// Forgets the token, which was refused.
    pub(super) async fn forget(&self) {
        self.tokens.forget().await;
    }

    async fn fetch(&self) -> Result<Token, DiscoveryError> {
        let account = self.account().await.map_err(unusable)?;
        let url = self.url(&account).map_err(unusable)?;
        let assertion = account.assertion(SystemTime::now()).map_err(unusable)?;
        let form = [("assertion", assertion.expose()), ("grant_type", GRANT)];
        token::ask(&self.backend, url, &form).await
    }

    /// The account, with its private key, which is the configured one before its own.
    async fn account(&self) -> Result<Account, String> {
        let config = &self.config;
        let text = match config.key.is_empty() {
            false => config.key.clone(),
            true => read(&config.key_path).await?,
        };
        let mut account = Account::parse(text.expose())?;
        match self.private_key().await {
            Ok(key) => account.private_key = key,
            Err(reason) if account.private_key.is_empty() => return Err(reason),
            Err(_) => {}
        }
        Ok(account)
    }

    async fn private_key(&self) -> Result<Secret, String> {
        let config = &self.config;
        if !config.private_key.is_empty() {
            return Ok(config.private_key.clone());
        }
        if !config.private_key_path.is_empty() {
            return read(&config.private_key_path).await;
        }
        if let Some(path) = self.environment.get("STACKIT_PRIVATE_KEY_PATH") {
            return read(&path).await;
        }
        if let Some(key) = self.environment.get("STACKIT_PRIVATE_KEY") {
            return Ok(Secret::new(key));
        }
        let path = match config.credentials_file_path.as_str() {
            "" => self.environment.get("STACKIT_CREDENTIALS_PATH").or_else(|| {
                let home = self.environment.get("HOME")?;
                Some(format!("{home}/.stackit/credentials.json"))
            }),
            path => Some(path.to_owned()),
        };
        let path = path.ok_or("there is no private key")?;
        let text =
            read(&path).await.map_err(|reason| format!("no private key is set, and {reason}"))?;
        // The parser's own messages may quote a key.
        let file: Value =
            serde_json::from_str(text.expose()).map_err(|_| format!("{path}: no JSON"))?;
        let entry = |name| file.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
        match (entry("STACKIT_PRIVATE_KEY_PATH"), entry("STACKIT_PRIVATE_KEY")) {
            (Some(path), _) => read(path).await,
            (None, Some(key)) => Ok(Secret::new(key)),
            (None, None) => Err(format!("{path}: holds no private key")),
        }
    }

    fn url(&self, account: &Account) -> Result<Url, String> {
        let configured = self.environment.get("STACKIT_TOKEN_BASEURL");
        let url = match configured.as_deref().unwrap_or(&account.token_endpoint) {
            "" => return Ok(self.endpoint.clone()),
            url => Url::parse(url).map_err(|e| format!("the token endpoint is no URL: {e}"))?,
        };
        let usual = Url::parse(ORIGIN).is_ok_and(|usual| usual.origin() == url.origin());
        if !usual {
            return Ok(url);
        }
        let mut here = self.endpoint.clone();
        here.set_path(url.path());
        Ok(here)
    }
}

async fn read(path: &str) -> Result<Secret, String> {
    let text = read_text(Path::new(path)).await.map_err(|error| error.to_string())?;
    if text.is_empty() { Err(format!("{path} is empty")) } else { Ok(text) }
}

fn unusable(reason: String) -> DiscoveryError {
    DiscoveryError::Unreachable { endpoint: "STACKIT service account".into(), reason }
}

/// What the key of a service account says, as far as it is needed.
struct Account {
    audience: String,
    issuer: String,
    key_id: String,
    subject: String,
    token_endpoint: String,
    private_key: Secret,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct KeyFile {
    credentials: KeyCredentials,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct KeyCredentials {
    aud: String,
    iss: String,
    kid: String,
    sub: String,
    token_endpoint: String,
    private_key: String,
}

impl Account {
    fn parse(text: &str) -> Result<Self, String> {
        // The parser's own messages may quote a key.
        let file: KeyFile = go_json::from_slice(text.as_bytes()).map_err(|_| {
            let pem = text.trim_start().starts_with("-----BEGIN");
            let hint = if pem { ": it is PEM, and should be JSON" } else { "" };
            format!("the service account key is no JSON of one{hint}")
        })?;
        let given = file.credentials;
        Ok(Self {
            audience: given.aud,
            issuer: given.iss,
            key_id: given.kid,
            subject: given.sub,
            token_endpoint: given.token_endpoint,
            private_key: Secret::new(given.private_key),
        })
    }

    fn assertion(&self, now: SystemTime) -> Result<Secret, String> {
        let key = RsaKey::from_pem(self.private_key.expose().as_bytes())
            .map_err(|error| format!("the private key cannot be used: {error}"))?;
        let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = json!({
            "iss": self.issuer,
            "sub": self.subject,
            "jti": unique_id()?,
            "aud": self.audience,
            "iat": issued.as_secs(),
            "exp": (issued + ASSERTION_LIFETIME).as_secs(),
        });
        key.jwt(Digest::Sha512, &self.key_id, &claims).map_err(|error| error.to_string())
    }
}

/// A random UUID, RFC 9562, section 5.4.
fn unique_id() -> Result<String, String> {
    let mut bytes = [0; 16];
    SystemRandom::new().fill(&mut bytes).map_err(|_| "there are no random numbers")?;
    let bits = u128::from_be_bytes(bytes) & !(0xf << 76) & !(0b11 << 62) | 4 << 76 | 0b10 << 62;
    let hex = format!("{bits:032x}");
    let (mut id, mut rest) = (String::new(), hex.as_str());
    for length in [8, 4, 4, 4, 12] {
        let (part, more) = rest.split_at_checked(length).ok_or("a UUID has 32 digits")?;
        id = if id.is_empty() { part.to_owned() } else { format!("{id}-{part}") };
        rest = more;
    }
    Ok(id)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa_key::tests::PEM;
    use crate::testing_backend::Recorder;

    async fn fetch(config: AccountConfig, environment: &[(&str, &str)]) -> Result<String, String> {
        let recorder = Recorder::answering(200, r#"{"access_token":"t"}"#).await;
        let options = BuildOptions {
            environment: Environment::fixed(environment.iter().copied()),
            origins: [(ORIGIN.to_owned(), recorder.url())].into(),
            ..BuildOptions::default()
        };
        let flow = KeyFlow::new(&config, &HttpClientConfig::default(), &options).unwrap().unwrap();
        flow.token().await.map_err(|error| error.to_string())?;
        flow.token().await.map_err(|error| error.to_string())?;
        assert_eq!(recorder.requests().len(), 1, "the token is kept");
        Ok(recorder.requests().concat())
    }

    #[tokio::test]
    async fn the_private_key_may_be_in_many_places() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), PEM).unwrap();
        let path = file.path().to_str().unwrap();
        let key = Secret::new(r#"{"credentials":{"iss":"i","kid":"k","tokenEndpoint":""}}"#);
        let account = AccountConfig { key, ..AccountConfig::default() };
        let named = AccountConfig { private_key_path: path.into(), ..account.clone() };
        assert!(fetch(named, &[]).await.unwrap().starts_with("POST /token assertion=ey"));
        assert!(fetch(account.clone(), &[("STACKIT_PRIVATE_KEY", PEM)]).await.is_ok());
        let own = json!({"credentials": {"privateKey": PEM}}).to_string();
        let own = AccountConfig { key: Secret::new(own), ..AccountConfig::default() };
        assert!(fetch(own, &[]).await.is_ok());
        let none = fetch(account, &[("HOME", "/nowhere")]).await.unwrap_err();
        assert!(none.contains("cannot read /nowhere/.stackit/credentials.json"), "{none}");
    }

    #[tokio::test]
    async fn what_is_no_key_is_not_quoted() {
        for text in ["hunter2", r#"{"credentials":{"privateKey":["hunter2"]}}"#] {
            let key = Secret::new(text);
            let account = AccountConfig { key, ..AccountConfig::default() };
            assert!(!format!("{account:?}").contains("hunter2"));
            let error = fetch(account, &[]).await.unwrap_err();
            assert!(!error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn a_unique_id_is_a_uuid_of_version_4() {
        let id = unique_id().unwrap();
        let lengths: Vec<_> = id.split('-').map(str::len).collect();
        assert_eq!(lengths, [8, 4, 4, 4, 12]);
        assert_eq!(id.as_bytes()[14], b'4');
        assert!(b"89ab".contains(&id.as_bytes()[19]), "{id}");
    }
}
