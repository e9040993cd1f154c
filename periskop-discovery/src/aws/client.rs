//! One API of AWS: how it is asked, and what it says when it refuses.

use std::hash::{BuildHasher as _, Hasher as _};
use std::time::Duration;

use periskop_core::discovery::DiscoveryError;
use reqwest::Method;
use reqwest::header::{CONTENT_TYPE, HeaderName};
use serde::de::DeserializeOwned;
use serde_json::Value;
use tokio::time::Instant;
use url::Url;
use url::form_urlencoded::Serializer;

use super::credentials::{Credentials, missing};
use super::refusal::Refusal;
use super::session::{Session, endpoint, now};
use super::sign::Signing;
use crate::backend::{Answer, shown};
use crate::xml::Document;

/// An API that is not there for a moment is asked so often, as by the SDK of AWS.
const ATTEMPTS: u32 = 3;
/// The first wait between two attempts is shorter than this, each further one than twice the last.
const BACKOFF: Duration = Duration::from_secs(1);
/// Who could not be reached in this time will hardly be reached in the next.
const SOON: Duration = Duration::from_secs(5);

/// An API, by its names.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Service {
    /// In signatures and host names.
    name: &'static str,
    /// In `AWS_ENDPOINT_URL_…`.
    variable: &'static str,
}

pub(crate) const EC2: Service = Service { name: "ec2", variable: "EC2" };
pub(crate) const ECS: Service = Service { name: "ecs", variable: "ECS" };
pub(crate) const ELASTICACHE: Service = Service { name: "elasticache", variable: "ELASTICACHE" };
pub(crate) const KAFKA: Service = Service { name: "kafka", variable: "KAFKA" };
pub(crate) const LIGHTSAIL: Service = Service { name: "lightsail", variable: "LIGHTSAIL" };
pub(crate) const RDS: Service = Service { name: "rds", variable: "RDS" };
pub(crate) const STS: Service = Service { name: "sts", variable: "STS" };

/// Asks one API.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Client<'s> {
    session: &'s Session,
    service: Service,
    endpoint: Option<&'s Url>,
}

/// What is asked, not signed yet.
struct Question {
    method: Method,
    url: Url,
    headers: Vec<(HeaderName, String)>,
    body: Vec<u8>,
}

impl<'s> Client<'s> {
    pub(super) fn new(session: &'s Session, service: Service, endpoint: Option<&'s Url>) -> Self {
        Self { session, service, endpoint }
    }

    /// Asks by the Query protocol. `what` is what failed if it does: `could not describe …`.
    pub(crate) async fn query(
        &self,
        what: &str,
        action: &str,
        version: &str,
        parameters: &[(&str, String)],
    ) -> Result<Document, DiscoveryError> {
        let credentials = self.session.credentials().await?;
        self.query_as(what, action, version, parameters, Some(&credentials)).await
    }

    /// The same with other credentials than the session's, or none.
    pub(super) async fn query_as(
        &self,
        what: &str,
        action: &str,
        version: &str,
        parameters: &[(&str, String)],
        credentials: Option<&Credentials>,
    ) -> Result<Document, DiscoveryError> {
        let form = Serializer::new(String::new())
            .append_pair("Action", action)
            .append_pair("Version", version)
            .extend_pairs(parameters)
            .finish();
        let content_type = "application/x-www-form-urlencoded; charset=utf-8";
        let question = Question {
            method: Method::POST,
            url: self.url("/").await?,
            headers: vec![(CONTENT_TYPE, content_type.into())],
            body: form.into_bytes(),
        };
        let answer = self.ask(what, &question, credentials).await?;
        let document = answer.xml()?;
        // Something else that is XML too would be an empty list.
        let root = &document.root().name;
        if root.strip_suffix("Response") != Some(action) {
            return Err(answer.invalid(format!("<{root}> where an answer to {action} is expected")));
        }
        Ok(document)
    }

    /// Asks by the JSON 1.1 protocol for `target`.
    pub(crate) async fn json<T: DeserializeOwned>(
        &self,
        what: &str,
        target: &str,
        body: &Value,
    ) -> Result<T, DiscoveryError> {
        let question = Question {
            method: Method::POST,
            url: self.url("/").await?,
            headers: vec![
                (CONTENT_TYPE, "application/x-amz-json-1.1".into()),
                (HeaderName::from_static("x-amz-target"), target.into()),
            ],
            body: body.to_string().into_bytes(),
        };
        let credentials = self.session.credentials().await?;
        self.ask(what, &question, Some(&credentials)).await?.json()
    }

    /// Asks for a resource of a REST API; its path is encoded already.
    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        what: &str,
        path: &str,
        query: &[(&str, String)],
    ) -> Result<T, DiscoveryError> {
        let mut url = self.url(path).await?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let question = Question { method: Method::GET, url, headers: Vec::new(), body: Vec::new() };
        let credentials = self.session.credentials().await?;
        self.ask(what, &question, Some(&credentials)).await?.json()
    }

    /// Where a path of the API is: as the settings say, as the environment says, or where AWS has
    /// it in this region.
    pub(super) async fn url(&self, path: &str) -> Result<Url, DiscoveryError> {
        let mut url = match self.endpoint {
            Some(url) => url.clone(),
            None => self.usual_url().await?,
        };
        let above = url.path().trim_end_matches('/').to_owned();
        url.set_path(&format!("{above}{path}"));
        Ok(url)
    }

    async fn usual_url(&self) -> Result<Url, DiscoveryError> {
        let options = self.session.options();
        let of_service = format!("AWS_ENDPOINT_URL_{}", self.service.variable);
        let ignored = options.environment.get("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS");
        if !ignored.is_some_and(|value| value.eq_ignore_ascii_case("true")) {
            for variable in [&of_service, "AWS_ENDPOINT_URL"] {
                if let Some(text) = options.environment.get(variable) {
                    return endpoint(&text).map_err(|error| missing(variable, error.to_string()));
                }
            }
        }
        let region = self.session.region().await?;
        let origin = format!("https://{}.{region}.{}", self.service.name, domain(region));
        let url = options.origin(&origin).map_err(|error| missing(&origin, error.to_string()))?;
        // A region is a setting, and none that may choose another host.
        match url.host_str() {
            Some(_) if region.chars().all(|c| c.is_ascii_alphanumeric() || c == '-') => Ok(url),
            _ => Err(missing("the region of AWS", format!("{region:?} is no name of a region"))),
        }
    }

    /// Asks, and asks again soon where that may help.
    async fn ask(
        &self,
        what: &str,
        question: &Question,
        credentials: Option<&Credentials>,
    ) -> Result<Answer, DiscoveryError> {
        let mut attempt = 1;
        loop {
            let begin = Instant::now();
            match self.ask_once(question, credentials).await {
                Ok(answer) if answer.status.is_success() => return Ok(answer),
                Ok(answer) => {
                    let refusal = Refusal::of(&answer);
                    if attempt == ATTEMPTS || !refusal.may_pass() {
                        return Err(self.refused(what, question, credentials, &refusal).await);
                    }
                }
                Err(error) => {
                    let unreachable = matches!(error, DiscoveryError::Unreachable { .. });
                    if attempt == ATTEMPTS || !unreachable || begin.elapsed() > SOON {
                        return Err(error);
                    }
                }
            }
            tokio::time::sleep(wait(attempt)).await;
            attempt += 1;
        }
    }

    async fn refused(
        &self,
        what: &str,
        question: &Question,
        credentials: Option<&Credentials>,
        refusal: &Refusal,
    ) -> DiscoveryError {
        if refusal.is_of_credentials() {
            self.session.forget_credentials().await;
        }
        let mut reason = format!("{what}: {refusal}");
        if let Some(credentials) = credentials {
            reason = credentials.hide_in(reason);
        }
        DiscoveryError::Unreachable { endpoint: shown(&question.url), reason }
    }

    async fn ask_once(
        &self,
        question: &Question,
        credentials: Option<&Credentials>,
    ) -> Result<Answer, DiscoveryError> {
        // Never closed, so there is always one.
        let _permit = self.session.permits().acquire().await.ok();
        let mut call = self.session.backend().call(question.method.clone(), question.url.clone());
        if let Some(credentials) = credentials {
            let headers: Vec<_> = question
                .headers
                .iter()
                .map(|(name, value)| (name.clone(), value.as_str()))
                .collect();
            let signing = Signing {
                method: question.method.as_str(),
                url: &question.url,
                headers: &headers,
                body: &question.body,
                region: self.session.region().await?,
                service: self.service.name,
            };
            for (name, value) in signing.headers(credentials, now()) {
                call = call.credential(name, &value);
            }
        }
        for (name, value) in &question.headers {
            if *name != CONTENT_TYPE {
                call = call.header(name.clone(), value);
            }
        }
        if let Some((_, content_type)) = question.headers.iter().find(|(n, _)| *n == CONTENT_TYPE) {
            call = call.body(content_type, question.body.clone());
        }
        call.send().await
    }
}

/// How long is waited after this attempt: not all who were refused at once come back at once.
fn wait(attempt: u32) -> Duration {
    let random = std::hash::RandomState::new().build_hasher().finish();
    let share = u32::try_from(random % 1000).unwrap_or_default();
    let longest = BACKOFF.saturating_mul(1 << (attempt - 1).min(4));
    longest / 1000 * (share + 1)
}

/// What hosts of a region end with.
fn domain(region: &str) -> &'static str {
    match region {
        _ if region.starts_with("cn-") => "amazonaws.com.cn",
        _ if region.starts_with("us-isob-") => "sc2s.sgov.gov",
        _ if region.starts_with("us-isof-") => "csp.hci.ic.gov",
        _ if region.starts_with("us-iso-") => "c2s.ic.gov",
        _ if region.starts_with("eu-isoe-") => "cloud.adc-e.uk",
        _ if region.starts_with("eusc-") => "amazonaws.eu",
        _ => "amazonaws.com",
    }
}
