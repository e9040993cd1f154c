//! Application Default Credentials: who we are to Google, found as its own clients find it.
//!
//! 1. The file that `GOOGLE_APPLICATION_CREDENTIALS` names. If it cannot be used, nothing else is.
//! 2. The file that `gcloud auth application-default login` writes.
//! 3. The metadata server, for the service account of the machine.
//!
//! A file is read anew for each token, so that a key that was replaced needs no reload.

use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_core::config::Secret;
use periskop_core::discovery::DiscoveryError;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::time::Instant;
use url::Url;

use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::environment::Environment;
use crate::go_json;
use crate::http_client::read_text;
use crate::metadata::{LINK_LOCAL, MetadataServer};
use crate::rsa_key::{Digest, RsaKey};
use crate::token::{self, ANSWER_LIMIT, Token, Tokens};

const SCOPE: &str = "https://www.googleapis.com/auth/compute.readonly";
const FILE_VARIABLE: &str = "GOOGLE_APPLICATION_CREDENTIALS";
const TOKEN_URL: &str = "https://oauth2.googleapis.com/token";
const JWT_GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// The longest that Google accepts.
const ASSERTION_LIFETIME: Duration = Duration::from_secs(3600);
const FLAVOR: HeaderName = HeaderName::from_static("metadata-flavor");
const METADATA_TOKEN: &str = "/computeMetadata/v1/instance/service-accounts/default/token";

pub(super) struct Credentials {
    environment: Environment,
    backend: Backend,
    metadata: MetadataServer,
    tokens: Tokens,
}

impl Credentials {
    pub(super) fn new(options: &BuildOptions) -> Result<Self, BuildError> {
        let origin = match options.environment.get("GCE_METADATA_HOST") {
            Some(host) => Url::parse(&format!("http://{host}")).map_err(|error| {
                BuildError::Missing(format!("GCE_METADATA_HOST is no host: {error}"))
            })?,
            None => options.origin(LINK_LOCAL)?,
        };
        Ok(Self {
            environment: options.environment.clone(),
            backend: token::backend(options)?,
            metadata: MetadataServer::new(options, origin, (FLAVOR, "Google"))?,
            tokens: Tokens::default(),
        })
    }

    /// A token for reading what Compute Engine has.
    pub(super) async fn token(&self) -> Result<Secret, DiscoveryError> {
        self.tokens.current(self.fetch()).await
    }

    /// Forgets the token, which was refused.
    pub(super) async fn forget(&self) {
        self.tokens.forget().await;
    }

    async fn fetch(&self) -> Result<Token, DiscoveryError> {
        if let Some(path) = self.environment.get(FILE_VARIABLE) {
            return self.ask_with_file(Path::new(&path)).await;
        }
        let well_known = well_known_file(&self.environment);
        if let Some(path) = &well_known
            && tokio::fs::try_exists(path).await.unwrap_or(false)
        {
            return self.ask_with_file(path).await;
        }
        self.ask_metadata_server().await.map_err(|error| {
            let file = match well_known {
                Some(path) => format!("there is no {}", path.display()),
                None => "there is no home directory".to_owned(),
            };
            unusable(format!("{FILE_VARIABLE} is not set, {file}, and {error}"))
        })
    }

    async fn ask_metadata_server(&self) -> Result<Token, DiscoveryError> {
        let asked = Instant::now();
        let call = self.metadata.get(METADATA_TOKEN, &[("scopes", SCOPE)]);
        Token::read(&call.limit(ANSWER_LIMIT).send().await?, asked, &[])
    }

    async fn ask_with_file(&self, path: &Path) -> Result<Token, DiscoveryError> {
        let text = read_text(path).await.map_err(|error| unusable(error.to_string()))?;
        let unfit = |reason: String| unusable(format!("{}: {reason}", path.display()));
        let account = Account::parse(text.expose()).map_err(unfit)?;
        let url = Url::parse(account.token_url())
            .map_err(|error| unfit(format!("token_uri is no URL: {error}")))?;
        let form = account.form(SystemTime::now()).map_err(unfit)?;
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.expose())).collect();
        token::ask(&self.backend, url, &form).await
    }
}

fn unusable(reason: String) -> DiscoveryError {
    DiscoveryError::Unreachable { endpoint: "Google credentials".into(), reason }
}

/// Where `gcloud` keeps what it was logged in with.
fn well_known_file(environment: &Environment) -> Option<PathBuf> {
    const NAME: &str = "gcloud/application_default_credentials.json";
    if cfg!(windows) {
        return Some(Path::new(&environment.get("APPDATA")?).join(NAME));
    }
    Some(Path::new(&environment.get("HOME")?).join(".config").join(NAME))
}

/// What a file says of who we are.
enum Account {
    /// A key of a service account.
    Service(ServiceAccount),
    /// A person that has logged in.
    User(UserAccount),
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceAccount {
    client_email: String,
    private_key_id: String,
    private_key: String,
    token_uri: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct UserAccount {
    client_id: String,
    client_secret: String,
    refresh_token: String,
    token_uri: String,
}

impl Account {
    fn parse(text: &str) -> Result<Self, String> {
        // The parser's own messages may quote a key.
        const UNFIT: &str = "no JSON of credentials";
        let file: Value = serde_json::from_str(text).map_err(|_| UNFIT)?;
        let kind = file.get("type").and_then(Value::as_str).unwrap_or_default().to_owned();
        match kind.as_str() {
            "service_account" => go_json::from_value(file).map(Self::Service),
            "authorized_user" => go_json::from_value(file).map(Self::User),
            "external_account"
            | "external_account_authorized_user"
            | "impersonated_service_account" => {
                return Err(format!(
                    "credentials of type {kind:?} are not supported: use a key of a service \
                     account, or the service account of the machine"
                ));
            }
            "" => return Err("says no type of credentials".into()),
            _ => return Err("of an unknown type of credentials".into()),
        }
        .map_err(|_| UNFIT.into())
    }

    fn token_url(&self) -> &str {
        let configured = match self {
            Self::Service(account) => &account.token_uri,
            Self::User(account) => &account.token_uri,
        };
        if configured.is_empty() { TOKEN_URL } else { configured }
    }

    /// What is sent for a token.
    fn form(&self, now: SystemTime) -> Result<Vec<(&'static str, Secret)>, String> {
        Ok(match self {
            Self::Service(account) => {
                let assertion = account.assertion(self.token_url(), now)?;
                vec![("grant_type", Secret::new(JWT_GRANT)), ("assertion", assertion)]
            }
            Self::User(account) => vec![
                ("grant_type", Secret::new("refresh_token")),
                ("client_id", Secret::new(&account.client_id)),
                ("client_secret", Secret::new(&account.client_secret)),
                ("refresh_token", Secret::new(&account.refresh_token)),
            ],
        })
    }
}

impl ServiceAccount {
    /// RFC 7523, section 2.1.
    fn assertion(&self, audience: &str, now: SystemTime) -> Result<Secret, String> {
        let key = RsaKey::from_pem(self.private_key.as_bytes())
            .map_err(|error| format!("private_key: {error}"))?;
        let issued = now.duration_since(UNIX_EPOCH).unwrap_or_default();
        let claims = json!({
            "iss": self.client_email,
            "scope": SCOPE,
            "aud": audience,
            "iat": issued.as_secs(),
            "exp": (issued + ASSERTION_LIFETIME).as_secs(),
        });
        key.jwt(Digest::Sha256, &self.private_key_id, &claims).map_err(|error| error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rsa_key::tests::PEM;
    use base64::Engine as _;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD;

    fn refused(text: &str) -> String {
        Account::parse(text)
            .and_then(|account| account.form(UNIX_EPOCH))
            .expect_err("must be refused")
    }

    #[test]
    fn a_service_account_asserts_who_it_is_for_an_hour() {
        let file = json!({
            "type": "service_account",
            "private_key_id": "k",
            "private_key": PEM,
            "client_email": "sd@prj.example",
        });
        let account = Account::parse(&file.to_string()).unwrap();
        let form = account.form(UNIX_EPOCH + Duration::from_secs(100)).unwrap();
        assert_eq!(form[0].1.expose(), JWT_GRANT);
        let claims = form[1].1.expose().split('.').nth(1).unwrap();
        let claims: Value =
            serde_json::from_slice(&URL_SAFE_NO_PAD.decode(claims).unwrap()).unwrap();
        let wanted = json!({
            "iss": "sd@prj.example", "scope": SCOPE, "aud": TOKEN_URL, "iat": 100, "exp": 3700,
        });
        assert_eq!(claims, wanted);
    }

    #[test]
    fn a_person_that_has_logged_in_sends_the_refresh_token() {
        let file =
            r#"{"type":"authorized_user","client_id":"c","client_secret":"s","refresh_token":"r"}"#;
        let form = Account::parse(file).unwrap().form(UNIX_EPOCH).unwrap();
        let form: Vec<_> = form.iter().map(|(name, value)| (*name, value.expose())).collect();
        let wanted = [
            ("grant_type", "refresh_token"),
            ("client_id", "c"),
            ("client_secret", "s"),
            ("refresh_token", "r"),
        ];
        assert_eq!(form, wanted);
    }

    #[test]
    fn what_cannot_be_used_is_refused_and_not_quoted() {
        let external = refused(r#"{"type":"external_account","audience":"x"}"#);
        assert!(external.contains("\"external_account\" are not supported"), "{external}");
        for file in [
            "hunter2",
            r#"{"type":"service_account","private_key":["hunter2"]}"#,
            r#"{"type":"service_account","private_key":"hunter2"}"#,
            r#"{"type":"hunter2"}"#,
            r#"{"private_key":"hunter2"}"#,
        ] {
            let message = refused(file);
            assert!(!message.contains("hunter2"), "{message}");
        }
    }

    #[test]
    fn the_file_of_gcloud_is_in_the_home_directory() {
        let home = Environment::fixed([("HOME", "/home/me"), ("APPDATA", "/home/me/.config")]);
        let wanted = "/home/me/.config/gcloud/application_default_credentials.json";
        assert_eq!(well_known_file(&home), Some(wanted.into()));
        assert_eq!(well_known_file(&Environment::fixed([("", "")])), None);
    }
}
