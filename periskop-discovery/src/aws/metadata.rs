//! What the machine or the container that we run in knows: its role's credentials, its region.
//!
//! These services are part of the machine, so they are asked without the settings of HTTP: no
//! proxy leads to them, and nobody's password is sent to them.

use std::path::Path;
use std::time::Duration;

use periskop_core::discovery::DiscoveryError;
use reqwest::header::{AUTHORIZATION, HeaderName};
use reqwest::{Method, StatusCode};
use serde::Deserialize;
use url::{Host, Url};

use super::credentials::{Credentials, Told, missing};
use crate::backend::Backend;
use crate::build::{BuildError, BuildOptions};
use crate::environment::Environment;
use crate::http_client::HttpClientConfig;

/// They are near: who does not answer soon is not there.
const PATIENCE: Duration = Duration::from_secs(5);
/// More than they have to say.
const ANSWER_LIMIT: usize = 1 << 20;
const INSTANCE: &str = "http://169.254.169.254";
const INSTANCE_IPV6: &str = "http://[fd00:ec2::254]";
const CONTAINER: &str = "http://169.254.170.2";
/// The agents of ECS and of EKS: who may be sent a token without TLS, beside this machine.
const AGENTS: [&str; 3] = ["169.254.170.2", "169.254.170.23", "[fd00:ec2::23]"];

/// The metadata services.
#[derive(Debug)]
pub(crate) struct Metadata {
    backend: Backend,
    options: BuildOptions,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Identity {
    region: String,
}

impl Metadata {
    /// Nothing is asked yet.
    pub(crate) fn new(options: &BuildOptions) -> Result<Self, BuildError> {
        let http = HttpClientConfig { follow_redirects: false, ..HttpClientConfig::default() };
        let backend = Backend::new(&http, options, PATIENCE)?;
        Ok(Self { backend, options: options.clone() })
    }

    /// Credentials of the container's role, where there is such a container.
    pub(crate) async fn of_container(&self) -> Option<Result<Credentials, DiscoveryError>> {
        let environment = &self.options.environment;
        if let Some(relative) = environment.get("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI") {
            let url = self.place(CONTAINER).and_then(|url| join(&url, &relative));
            return Some(self.ask_container(url).await);
        }
        let full = environment.get("AWS_CONTAINER_CREDENTIALS_FULL_URI")?;
        let variable = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
        let url = Url::parse(&full).map_err(|error| missing(variable, error.to_string()));
        let url = url.and_then(|url| match is_trusted(&url) {
            true => Ok(url),
            false => Err(missing(variable, "neither https nor this machine or an agent of AWS")),
        });
        Some(self.ask_container(url).await)
    }

    async fn ask_container(
        &self,
        url: Result<Url, DiscoveryError>,
    ) -> Result<Credentials, DiscoveryError> {
        let mut call = self.backend.get(url?).limit(ANSWER_LIMIT);
        if let Some(token) = container_token(&self.options.environment).await? {
            call = call.credential(AUTHORIZATION, token.trim());
        }
        let answer = call.send().await?.ok()?;
        let told: Told = answer.json()?;
        told.credentials().map_err(|reason| answer.invalid(reason))
    }

    /// Credentials of the machine's role.
    pub(crate) async fn of_instance(&self) -> Result<Credentials, DiscoveryError> {
        let token = self.session_token().await?;
        let roles = "/latest/meta-data/iam/security-credentials/";
        let answer = self.ask_instance(&[roles], token.as_deref()).await?;
        let text = String::from_utf8_lossy(&answer).into_owned();
        let role = text.lines().next().unwrap_or_default().trim();
        if role.is_empty() {
            return Err(missing("the instance's metadata", "the instance has no role"));
        }
        let body = self.ask_instance(&[roles, role], token.as_deref()).await?;
        let told: Result<Told, _> = crate::go_json::from_slice(&body);
        let credentials = told.map_err(|e| e.to_string()).and_then(Told::credentials);
        credentials.map_err(|reason| missing("the instance's metadata", reason))
    }

    /// The region that the machine is in.
    pub(crate) async fn region(&self) -> Result<String, DiscoveryError> {
        let token = self.session_token().await?;
        let path = "/latest/dynamic/instance-identity/document";
        let body = self.ask_instance(&[path], token.as_deref()).await?;
        let identity: Result<Identity, _> = crate::go_json::from_slice(&body);
        match identity {
            Ok(identity) if !identity.region.is_empty() => Ok(identity.region),
            Ok(_) => Err(missing("the instance's metadata", "no region in it")),
            Err(error) => Err(missing("the instance's metadata", error.to_string())),
        }
    }

    /// The token of version 2 of the service. None: it speaks version 1 alone.
    async fn session_token(&self) -> Result<Option<String>, DiscoveryError> {
        let url = join(&self.instance()?, "/latest/api/token")?;
        let lifetime = HeaderName::from_static("x-aws-ec2-metadata-token-ttl-seconds");
        let call = self.backend.call(Method::PUT, url).limit(ANSWER_LIMIT);
        let answer = call.header(lifetime, "300").send().await?;
        match answer.status {
            StatusCode::FORBIDDEN | StatusCode::NOT_FOUND | StatusCode::METHOD_NOT_ALLOWED
                if !is_true(&self.options.environment, "AWS_EC2_METADATA_V1_DISABLED") =>
            {
                Ok(None)
            }
            _ => Ok(Some(String::from_utf8_lossy(&answer.ok()?.body).trim().to_owned())),
        }
    }

    async fn ask_instance(
        &self,
        path: &[&str],
        token: Option<&str>,
    ) -> Result<Vec<u8>, DiscoveryError> {
        let mut url = self.instance()?;
        for part in path {
            url = join(&url, part)?;
        }
        let mut call = self.backend.get(url).limit(ANSWER_LIMIT);
        if let Some(token) = token {
            call = call.credential(HeaderName::from_static("x-aws-ec2-metadata-token"), token);
        }
        Ok(call.send().await?.ok()?.body)
    }

    fn instance(&self) -> Result<Url, DiscoveryError> {
        let environment = &self.options.environment;
        if is_true(environment, "AWS_EC2_METADATA_DISABLED") {
            let reason = "not asked, because AWS_EC2_METADATA_DISABLED is true";
            return Err(missing("the instance's metadata", reason));
        }
        let variable = "AWS_EC2_METADATA_SERVICE_ENDPOINT";
        if let Some(endpoint) = environment.get(variable) {
            return Url::parse(&endpoint).map_err(|error| missing(variable, error.to_string()));
        }
        let mode = environment.get("AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE");
        let ipv6 = mode.is_some_and(|mode| mode.eq_ignore_ascii_case("ipv6"));
        self.place(if ipv6 { INSTANCE_IPV6 } else { INSTANCE })
    }

    fn place(&self, origin: &str) -> Result<Url, DiscoveryError> {
        self.options.origin(origin).map_err(|error| missing(origin, error.to_string()))
    }
}

/// A path below another one; a query, if it has one, is kept.
fn join(base: &Url, path: &str) -> Result<Url, DiscoveryError> {
    let mut url = base.clone();
    let (path, query) = path.split_once('?').map_or((path, None), |(p, q)| (p, Some(q)));
    let above = base.path().trim_end_matches('/');
    url.set_path(&format!("{above}/{}", path.trim_start_matches('/')));
    url.set_query(query);
    if url.cannot_be_a_base() {
        return Err(missing(base.as_str(), "no URL of HTTP"));
    }
    Ok(url)
}

async fn container_token(environment: &Environment) -> Result<Option<String>, DiscoveryError> {
    match environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE") {
        Some(file) => read_token(Path::new(&file)).await.map(Some),
        None => Ok(environment.get("AWS_CONTAINER_AUTHORIZATION_TOKEN")),
    }
}

/// A file with a token, read at every use: tokens are renewed in place.
pub(crate) async fn read_token(path: &Path) -> Result<String, DiscoveryError> {
    let failed = |reason: String| missing(&path.display().to_string(), reason);
    let token = tokio::fs::read_to_string(path).await.map_err(|error| failed(error.to_string()))?;
    let token = token.trim();
    match token.len() {
        1..=ANSWER_LIMIT => Ok(token.to_owned()),
        _ => Err(failed("no token in it".into())),
    }
}

fn is_trusted(url: &Url) -> bool {
    let here = match url.host() {
        Some(Host::Domain(name)) => name == "localhost",
        Some(Host::Ipv4(ip)) => ip.is_loopback(),
        Some(Host::Ipv6(ip)) => ip.is_loopback(),
        None => return false,
    };
    let agent = url.host_str().is_some_and(|host| AGENTS.contains(&host));
    url.scheme() == "https" || (url.scheme() == "http" && (here || agent))
}

fn is_true(environment: &Environment, name: &str) -> bool {
    environment.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
}
