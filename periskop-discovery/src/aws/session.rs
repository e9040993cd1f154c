//! One account in one region: whom we are there, and where its APIs are.
//!
//! Credentials are looked for in the order of the SDK of AWS, as Prometheus does:
//!
//! 1. the keys of the settings,
//! 2. the profile of the settings,
//! 3. keys in the environment,
//! 4. a token of a web identity in the environment,
//! 5. the profile of the environment, or the default one,
//! 6. the role of the container, then that of the machine.
//!
//! With these a role is assumed, if the settings name one. What is found is kept until shortly
//! before it ends, or until AWS says that it is not valid.

use std::time::{SystemTime, UNIX_EPOCH};

use periskop_core::Timestamp;
use periskop_core::discovery::DiscoveryError;
use tokio::sync::{Mutex, OnceCell, Semaphore};
use url::Url;

use super::client::{Client, Service};
use super::credentials::{Credentials, missing};
use super::metadata::Metadata;
use super::profile::{Profile, Profiles};
use super::settings::AwsApi;
use super::sts::Role;
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::http_client::redact_text;

/// Roles that lead to roles: more than anybody has, and the end of those that lead in a circle.
const ROLES_LIMIT: usize = 8;
const WHO: &str = "credentials of AWS";

/// Who asks and where, found out when it is needed.
#[derive(Debug)]
pub(crate) struct Session {
    settings: AwsApi,
    options: BuildOptions,
    /// Where the API of the mechanism is, if the settings say.
    endpoint: Option<Url>,
    backend: Backend,
    metadata: Metadata,
    region: OnceCell<String>,
    current: Mutex<Option<Credentials>>,
    /// As many questions are asked at once.
    permits: Semaphore,
}

impl Session {
    /// Nothing is asked or read yet.
    pub(crate) fn new(settings: &AwsApi, options: &BuildOptions) -> Result<Self, BuildError> {
        let endpoint = match settings.endpoint.as_str() {
            "" => None,
            text => Some(endpoint(text)?),
        };
        Ok(Self {
            settings: settings.clone(),
            options: options.clone(),
            endpoint,
            // Prometheus waits for ever, so the time is that of the backend.
            backend: Backend::new(&settings.api.http, options, std::time::Duration::ZERO)?,
            metadata: Metadata::new(options)?,
            region: OnceCell::new(),
            current: Mutex::default(),
            permits: Semaphore::new(1),
        })
    }

    /// The same, but up to `limit` questions are asked at once, not one.
    pub(crate) fn asking_at_once(self, limit: usize) -> Self {
        Self { permits: Semaphore::new(limit), ..self }
    }

    /// Asks the mechanism's API, which may be somewhere else.
    pub(crate) fn client(&self, service: Service) -> Client<'_> {
        Client::new(self, service, self.endpoint.as_ref())
    }

    /// Asks another API of the region.
    pub(crate) fn regional(&self, service: Service) -> Client<'_> {
        Client::new(self, service, None)
    }

    pub(super) fn backend(&self) -> &Backend {
        &self.backend
    }

    pub(super) fn permits(&self) -> &Semaphore {
        &self.permits
    }

    pub(super) fn options(&self) -> &BuildOptions {
        &self.options
    }

    /// The region: that of the settings, of the environment, of the profile of the environment,
    /// or of the machine. Like Prometheus's, it is not that of the settings' profile.
    pub(crate) async fn region(&self) -> Result<&str, DiscoveryError> {
        let region = self.region.get_or_try_init(|| self.find_region()).await?;
        Ok(region)
    }

    async fn find_region(&self) -> Result<String, DiscoveryError> {
        if !self.settings.region.is_empty() {
            return Ok(self.settings.region.clone());
        }
        let environment = &self.options.environment;
        let named = environment.get("AWS_REGION").or_else(|| environment.get("AWS_DEFAULT_REGION"));
        if let Some(region) = named {
            return Ok(region);
        }
        let profiles = Profiles::read(environment).await?;
        let profile = profiles.get(&self.usual_profile());
        if let Some(region) = profile.and_then(|profile| profile.get("region")) {
            return Ok(region.to_owned());
        }
        self.metadata.region().await.map_err(|error| {
            missing("the region of AWS", format!("could not determine AWS region: {error}"))
        })
    }

    /// What requests are signed with. Who comes at the same time waits for one search.
    pub(crate) async fn credentials(&self) -> Result<Credentials, DiscoveryError> {
        let mut current = self.current.lock().await;
        if let Some(kept) = current.as_ref().filter(|kept| kept.are_fresh(now())) {
            return Ok(kept.clone());
        }
        let base = self.base().await?;
        let credentials = match self.settings.role_arn.as_str() {
            "" => base,
            arn => {
                let external_id = self.settings.external_id.clone();
                let role = Role { arn: arn.into(), external_id, ..Role::default() };
                self.assume_role(&role, &base).await?
            }
        };
        *current = Some(credentials.clone());
        Ok(credentials)
    }

    /// The next request looks for credentials anew: these are not valid any more.
    pub(super) async fn forget_credentials(&self) {
        *self.current.lock().await = None;
    }

    /// Credentials without the role of the settings.
    async fn base(&self) -> Result<Credentials, DiscoveryError> {
        let settings = &self.settings;
        let environment = &self.options.environment;
        let get = |name| environment.get(name);
        let secret_key = settings.secret_key.expose().to_owned();
        let of_settings =
            Credentials::from_texts(Some(settings.access_key.clone()), Some(secret_key), None);
        if let Some(keys) = of_settings {
            return Ok(keys);
        }
        if !settings.profile.is_empty() {
            return self.of_profile(&settings.profile, true).await;
        }
        let of_environment = Credentials::from_texts(
            get("AWS_ACCESS_KEY_ID").or_else(|| get("AWS_ACCESS_KEY")),
            get("AWS_SECRET_ACCESS_KEY").or_else(|| get("AWS_SECRET_KEY")),
            get("AWS_SESSION_TOKEN"),
        );
        if let Some(keys) = of_environment {
            return Ok(keys);
        }
        if let Some(file) = get("AWS_WEB_IDENTITY_TOKEN_FILE") {
            let role = Role {
                arn: get("AWS_ROLE_ARN").unwrap_or_default(),
                session_name: get("AWS_ROLE_SESSION_NAME").unwrap_or_default(),
                ..Role::default()
            };
            return self.assume_role_by_token(&role, &file).await;
        }
        self.of_profile(&self.usual_profile(), false).await
    }

    fn usual_profile(&self) -> String {
        let environment = &self.options.environment;
        let named =
            environment.get("AWS_PROFILE").or_else(|| environment.get("AWS_DEFAULT_PROFILE"));
        named.unwrap_or_else(|| "default".into())
    }

    /// The credentials that a profile leads to, by the roles that are assumed on the way.
    async fn of_profile(
        &self,
        name: &str,
        must_exist: bool,
    ) -> Result<Credentials, DiscoveryError> {
        let profiles = Profiles::read(&self.options.environment).await?;
        let mut name = name;
        let mut roles = Vec::new();
        let last = loop {
            let profile = match profiles.get(name) {
                Some(profile) => profile.clone(),
                None if must_exist || !roles.is_empty() => {
                    return Err(missing(WHO, format!("there is no profile {name:?}")));
                }
                None => Profile::default(),
            };
            let of_token = profile.get("web_identity_token_file").is_some();
            if let Some(arn) = profile.get("role_arn").filter(|_| !of_token) {
                if roles.len() >= ROLES_LIMIT {
                    return Err(missing(WHO, "profiles lead to profiles in a circle"));
                }
                if profile.get("mfa_serial").is_some() {
                    return Err(unsupported(name, "mfa_serial"));
                }
                let text = |key| profile.get(key).unwrap_or_default().to_owned();
                roles.push(Role {
                    arn: arn.into(),
                    external_id: text("external_id"),
                    session_name: text("role_session_name"),
                });
                if let Some(source) = profile.get("source_profile").filter(|s| *s != name) {
                    let found = profiles.name_of(source);
                    name = found
                        .ok_or_else(|| missing(WHO, format!("there is no profile {source:?}")))?;
                    continue;
                }
            }
            break profile;
        };
        let mut credentials = self.of_last_profile(name, &last).await?;
        for role in roles.iter().rev() {
            credentials = self.assume_role(role, &credentials).await?;
        }
        Ok(credentials)
    }

    /// The credentials of a profile that leads to no other one.
    async fn of_last_profile(
        &self,
        name: &str,
        profile: &Profile,
    ) -> Result<Credentials, DiscoveryError> {
        if let Some(keys) = profile.keys() {
            return Ok(keys);
        }
        if let Some(source) = profile.get("credential_source") {
            return self.of_source(name, source).await;
        }
        if let Some(file) = profile.get("web_identity_token_file") {
            let text = |key| profile.get(key).unwrap_or_default().to_owned();
            let session_name = text("role_session_name");
            let role = Role { arn: text("role_arn"), session_name, ..Role::default() };
            return self.assume_role_by_token(&role, file).await;
        }
        if let Some(setting) = profile.unsupported() {
            return Err(unsupported(name, setting));
        }
        if let Some(credentials) = self.metadata.of_container().await {
            return credentials;
        }
        self.metadata.of_instance().await.map_err(|error| {
            missing(WHO, format!("none in the settings, the environment or a profile; {error}"))
        })
    }

    async fn of_source(&self, name: &str, source: &str) -> Result<Credentials, DiscoveryError> {
        let get = |name| self.options.environment.get(name);
        match source {
            "Ec2InstanceMetadata" => self.metadata.of_instance().await,
            "EcsContainer" => match self.metadata.of_container().await {
                Some(credentials) => credentials,
                None => Err(missing(WHO, "we do not run in a container of AWS")),
            },
            "Environment" => Credentials::from_texts(
                get("AWS_ACCESS_KEY_ID"),
                get("AWS_SECRET_ACCESS_KEY"),
                get("AWS_SESSION_TOKEN"),
            )
            .ok_or_else(|| missing(WHO, "no keys in the environment")),
            _ => Err(unsupported(name, "credential_source")),
        }
    }
}

fn unsupported(profile: &str, setting: &str) -> DiscoveryError {
    missing(WHO, format!("profile {profile:?} has {setting}, which is not supported"))
}

/// The time of the system, for signatures and for what ends.
pub(crate) fn now() -> Timestamp {
    let micros = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_micros();
    Timestamp::from_micros(i64::try_from(micros).unwrap_or(i64::MAX))
}

/// The address of an API as somebody has written it.
pub(crate) fn endpoint(text: &str) -> Result<Url, BuildError> {
    let url = Url::parse(text).map_err(BuildError::Url)?;
    if url.has_host() && matches!(url.scheme(), "http" | "https") {
        return Ok(url);
    }
    let shown = redact_text(text);
    Err(BuildError::Missing(format!("the endpoint {shown:?} is no URL of http or https")))
}
