//! Keystone, OpenStack's identity service: a token, and where the other services are.

use std::fmt;

use periskop_core::config::Secret;
use periskop_core::discovery::DiscoveryError;
use reqwest::StatusCode;
use reqwest::header::HeaderName;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use url::Url;

use super::{IdentityConfig, OpenstackConfig};
use crate::api::PAGES_LIMIT;
use crate::backend::{Backend, shown};
use crate::build::{BuildError, BuildOptions};
use crate::environment::Environment;
use crate::go_json;
use crate::http_client::HttpClientConfig;

const SUBJECT_TOKEN: &str = "x-subject-token";
const AUTH_TOKEN: HeaderName = HeaderName::from_static("x-auth-token");

/// Who we are, and to whom.
pub(super) struct Identity {
    account: Account,
    endpoint: Url,
    backend: Backend,
    /// What is sent to be let in goes nowhere else.
    entrance: Backend,
}

/// What [`IdentityConfig`] and the environment say. Its fields are secrets or not; none is shown.
#[derive(Default)]
struct Account {
    given: IdentityConfig,
    passcode: Secret,
    system: bool,
}

/// A token, and what is there for it.
pub(super) struct Session<'a> {
    backend: &'a Backend,
    token: Secret,
    catalog: Vec<Service>,
    endpoint: String,
}

impl Identity {
    pub(super) fn new(
        config: &OpenstackConfig,
        options: &BuildOptions,
    ) -> Result<Self, BuildError> {
        let account = match config.identity.endpoint.as_str() {
            "" => Account::from_environment(&options.environment)?,
            _ => Account { given: config.identity.clone(), ..Account::default() },
        };
        let http = HttpClientConfig { tls: config.tls.clone(), ..HttpClientConfig::default() };
        let straight = HttpClientConfig { follow_redirects: false, ..http.clone() };
        Ok(Self {
            endpoint: Url::parse(&account.given.endpoint).map_err(BuildError::Url)?,
            account,
            backend: Backend::new(&http, options, config.refresh_interval)?,
            entrance: Backend::new(&straight, options, config.refresh_interval)?,
        })
    }

    /// Gets a token.
    pub(super) async fn enter(&self) -> Result<Session<'_>, DiscoveryError> {
        let unusable = |reason: &str| DiscoveryError::Unreachable {
            endpoint: shown(&self.endpoint),
            reason: reason.to_owned(),
        };
        let request = self.account.request().map_err(unusable)?;
        let mut url = self.version_3().await?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(["auth", "tokens"]);
        }
        let answer = self.entrance.post(url).json(&request).send().await?;
        if answer.status != StatusCode::CREATED {
            // Nothing of the body, which might hold what was sent.
            let reason = format!("could not authenticate: server returned {}", answer.status);
            return Err(answer.invalid(reason));
        }
        let token = Secret::new(answer.header(SUBJECT_TOKEN));
        if token.is_empty() {
            return Err(answer.invalid("no X-Subject-Token"));
        }
        let body: Entered = answer.json()?;
        let endpoint = shown(&self.endpoint);
        Ok(Session { backend: &self.backend, token, catalog: body.token.catalog, endpoint })
    }

    /// Where version 3 is: the endpoint itself if it says so, else what it tells.
    async fn version_3(&self) -> Result<Url, DiscoveryError> {
        let last = |url: &Url| {
            let path = url.path().trim_end_matches('/');
            path.rsplit('/').next().unwrap_or_default().to_owned()
        };
        if last(&self.endpoint) == "v3" {
            return Ok(self.endpoint.clone());
        }
        let mut base = self.endpoint.clone();
        base.set_query(None);
        base.set_fragment(None);
        let version = last(&base);
        if let Some(number) = version.strip_prefix('v')
            && !number.is_empty()
            && number.chars().all(|c| c.is_ascii_digit() || c == '.')
            && let Ok(mut path) = base.path_segments_mut()
        {
            path.pop_if_empty().pop();
        }
        if let Ok(mut path) = base.path_segments_mut() {
            path.pop_if_empty().push("");
        }
        let answer = self.backend.get(base).send().await?;
        if !matches!(answer.status.as_u16(), 200 | 300) {
            return Err(answer.bad_status());
        }
        let known: Versions = answer.json()?;
        let found = known.versions.values.iter().find_map(|version| {
            let good = ["current", "supported", "stable"]
                .iter()
                .any(|status| version.status.eq_ignore_ascii_case(status));
            let here = version.links.iter().rfind(|link| link.rel == "self")?;
            (good && version.id.contains("v3")).then_some(&here.href)
        });
        let Some(href) = found else {
            return Err(answer.invalid("no version 3 of the identity API"));
        };
        Url::parse(href).map_err(|error| answer.invalid(format!("no URL of version 3: {error}")))
    }
}

impl Session<'_> {
    /// The address of a service, by its type.
    pub(super) fn service(
        &self,
        kind: &str,
        config: &OpenstackConfig,
    ) -> Result<Url, DiscoveryError> {
        let (region, interface) = (&config.region, config.availability.name());
        let missing = || DiscoveryError::Invalid {
            endpoint: self.endpoint.clone(),
            reason: format!("the catalogue has no {interface} {kind} service in region {region:?}"),
        };
        let endpoints = self.catalog.iter().filter(|service| service.kind == kind);
        let mut endpoints = endpoints.flat_map(|service| &service.endpoints);
        let found = endpoints.find(|endpoint| {
            endpoint.interface == interface
                && (endpoint.region == *region || endpoint.region_id == *region)
        });
        let mut url = Url::parse(&found.ok_or_else(missing)?.url).map_err(|_| missing())?;
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().push("");
        }
        Ok(url)
    }

    /// All items of a list, from all of its pages. The items are under `name`, the link to the
    /// next page under `name` and `_links`.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        first: Url,
        name: &str,
    ) -> Result<Vec<T>, DiscoveryError> {
        let (mut url, mut all) = (first.clone(), Vec::new());
        for _ in 0..PAGES_LIMIT {
            let call = self.backend.get(url.clone());
            let answer =
                call.credential(AUTH_TOKEN, self.token.expose()).send().await?.success()?;
            let mut page: Value = answer.json()?;
            if page.get(name).is_none() {
                return Err(answer.invalid(format!("no {name} in the answer")));
            }
            let mut part = |name: &str| page.get_mut(name).map(Value::take).unwrap_or_default();
            let (items, links) = (part(name), part(&format!("{name}_links")));
            let unfit = |error: serde_json::Error| answer.invalid(error.to_string());
            let items: Vec<T> = go_json::from_value(items).map_err(unfit)?;
            let links: Vec<Link> = go_json::from_value(links).map_err(unfit)?;
            let is_empty = items.is_empty();
            all.extend(items);
            let next = links.iter().find(|link| link.rel == "next" && !link.href.is_empty());
            let Some(next) = next.filter(|_| !is_empty) else { return Ok(all) };
            let next = next_page(&url, &next.href)
                .ok_or_else(|| answer.invalid("the link to the next page is no URL"))?;
            if next == url {
                return Err(answer.invalid("the next page is the same page"));
            }
            url = next;
        }
        let reason = format!("more than {PAGES_LIMIT} pages");
        Err(DiscoveryError::Invalid { endpoint: shown(&first), reason })
    }
}

/// Services often name themselves by an address of their own behind a proxy. The token goes only
/// to where the catalogue says, so of such a link only the query counts.
fn next_page(current: &Url, link: &str) -> Option<Url> {
    let link = current.join(link).ok()?;
    if link.origin() == current.origin() {
        return Some(link);
    }
    let mut next = current.clone();
    next.set_query(link.query());
    Some(next)
}

impl Account {
    /// What `openrc` files set, by the rules of Prometheus's client.
    fn from_environment(environment: &Environment) -> Result<Self, BuildError> {
        let text = |name: &str| environment.get(name).unwrap_or_default();
        let either = |name, old| environment.get(name).unwrap_or_else(|| text(old));
        let given = IdentityConfig {
            endpoint: text("OS_AUTH_URL"),
            username: text("OS_USERNAME"),
            user_id: text("OS_USERID"),
            password: Secret::new(text("OS_PASSWORD")),
            project_name: either("OS_PROJECT_NAME", "OS_TENANT_NAME"),
            project_id: either("OS_PROJECT_ID", "OS_TENANT_ID"),
            domain_name: text("OS_DOMAIN_NAME"),
            domain_id: text("OS_DOMAIN_ID"),
            application_credential_name: text("OS_APPLICATION_CREDENTIAL_NAME"),
            application_credential_id: text("OS_APPLICATION_CREDENTIAL_ID"),
            application_credential_secret: Secret::new(text("OS_APPLICATION_CREDENTIAL_SECRET")),
        };
        let account = Self {
            passcode: Secret::new(text("OS_PASSCODE")),
            system: text("OS_SYSTEM_SCOPE") == "all",
            given,
        };
        let given = &account.given;
        let has_credential = !given.application_credential_id.is_empty()
            || !given.application_credential_name.is_empty();
        let nobody = given.user_id.is_empty() && given.username.is_empty();
        let no_domain = given.domain_id.is_empty() && given.domain_name.is_empty();
        let missing = if given.endpoint.is_empty() {
            Some("OS_AUTH_URL")
        } else if nobody && given.application_credential_id.is_empty() {
            Some("OS_USERID or OS_USERNAME")
        } else if given.password.is_empty() && account.passcode.is_empty() && !has_credential {
            Some("OS_PASSWORD")
        } else if has_credential && given.application_credential_secret.is_empty() {
            Some("OS_APPLICATION_CREDENTIAL_SECRET")
        } else if no_domain && given.project_id.is_empty() && !given.project_name.is_empty() {
            Some("OS_PROJECT_ID")
        } else {
            None
        };
        match missing {
            Some(name) => Err(BuildError::Missing(format!("{name} is not set in the environment"))),
            None => Ok(account),
        }
    }

    /// The body of `POST /v3/auth/tokens`.
    fn request(&self) -> Result<Value, &'static str> {
        let given = &self.given;
        let domain = match (given.domain_id.as_str(), given.domain_name.as_str()) {
            ("", "") => None,
            ("", name) => Some(json!({"name": name})),
            (id, _) => Some(json!({"id": id})),
        };
        let has_password = !given.password.is_empty() || !self.passcode.is_empty();
        let by_credential = !has_password
            && (!given.application_credential_id.is_empty()
                || !given.application_credential_name.is_empty());
        let user = || match (given.user_id.as_str(), given.username.as_str()) {
            ("", "") => Err("a username or a userid is needed"),
            (id, "") => Ok(json!({"id": id})),
            ("", name) => match &domain {
                Some(domain) => Ok(json!({"name": name, "domain": domain})),
                None => Err("a domain_id or a domain_name is needed with a username"),
            },
            // A credential's user may be named twice; the ID is enough.
            (id, _) if by_credential => Ok(json!({"id": id})),
            _ => Err("either a username or a userid is needed, not both"),
        };
        let identity = if by_credential {
            let secret = given.application_credential_secret.expose();
            if secret.is_empty() {
                return Err("an application_credential_secret is needed");
            }
            let credential = match given.application_credential_id.as_str() {
                "" => json!({
                    "name": given.application_credential_name, "user": user()?, "secret": secret,
                }),
                id => json!({"id": id, "secret": secret}),
            };
            json!({"methods": ["application_credential"], "application_credential": credential})
        } else if has_password {
            if !given.domain_id.is_empty()
                && (!given.domain_name.is_empty() || !given.user_id.is_empty())
                || !given.domain_name.is_empty() && !given.user_id.is_empty()
            {
                return Err("one of domain_id, domain_name and userid is to be set");
            }
            let mut identity = json!({"methods": []});
            let proofs =
                [("password", "password", &given.password), ("totp", "passcode", &self.passcode)];
            for (method, field, secret) in proofs.into_iter().filter(|(.., s)| !s.is_empty()) {
                let mut user = user()?;
                user[field] = secret.expose().into();
                identity[method] = json!({"user": user});
                if let Some(methods) = identity["methods"].as_array_mut() {
                    methods.push(method.into());
                }
            }
            identity
        } else {
            return Err("a password or an application credential is needed");
        };
        let mut auth = json!({"identity": identity});
        if let Some(scope) = self.scope(domain)? {
            auth["scope"] = scope;
        }
        Ok(json!({"auth": auth}))
    }

    /// What the token is to be good for. An application credential has a scope of its own.
    fn scope(&self, domain: Option<Value>) -> Result<Option<Value>, &'static str> {
        let given = &self.given;
        if !given.application_credential_id.is_empty()
            || !given.application_credential_name.is_empty()
        {
            return Ok(None);
        }
        if self.system {
            return Ok(Some(json!({"system": {"all": true}})));
        }
        match (given.project_id.as_str(), given.project_name.as_str(), domain) {
            ("", "", _) => Ok(None),
            ("", name, Some(domain)) => {
                Ok(Some(json!({"project": {"name": name, "domain": domain}})))
            }
            ("", _, None) => Err("a domain_id or a domain_name is needed with a project_name"),
            (id, ..) => Ok(Some(json!({"project": {"id": id}}))),
        }
    }
}

impl fmt::Debug for Account {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Account").finish_non_exhaustive()
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Versions {
    versions: VersionList,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct VersionList {
    values: Vec<Version>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Version {
    id: String,
    status: String,
    links: Vec<Link>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Link {
    rel: String,
    href: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entered {
    token: TokenBody,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct TokenBody {
    catalog: Vec<Service>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Service {
    #[serde(rename = "type")]
    kind: String,
    endpoints: Vec<ServiceEndpoint>,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct ServiceEndpoint {
    interface: String,
    region: String,
    region_id: String,
    url: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(variables: &[(&str, &str)]) -> Result<Account, String> {
        let all = variables.iter().copied().chain([("OS_AUTH_URL", "http://k:5000/v3")]);
        Account::from_environment(&Environment::fixed(all)).map_err(|error| error.to_string())
    }

    #[test]
    fn the_environment_says_who_we_are_in_every_form() {
        let user = [("OS_USERNAME", "u"), ("OS_PASSWORD", "p"), ("OS_DOMAIN_NAME", "d")];
        let named = json!({"name": "u", "domain": {"name": "d"}, "password": "p"});
        let password = json!({"methods": ["password"], "password": {"user": named}});
        let request = |more: &[(&str, &str)]| account(more).unwrap().request().unwrap();
        assert_eq!(request(&user), json!({"auth": {"identity": password}}));
        let project = [&user[..], &[("OS_TENANT_NAME", "x"), ("OS_PROJECT_NAME", "q")]].concat();
        let scope = json!({"project": {"name": "q", "domain": {"name": "d"}}});
        assert_eq!(request(&project), json!({"auth": {"identity": password, "scope": scope}}));
        let credential =
            [("OS_APPLICATION_CREDENTIAL_ID", "i"), ("OS_APPLICATION_CREDENTIAL_SECRET", "s")];
        let identity = json!({
            "methods": ["application_credential"],
            "application_credential": {"id": "i", "secret": "s"},
        });
        assert_eq!(request(&credential), json!({"auth": {"identity": identity}}));
        let system = [&user[..], &[("OS_SYSTEM_SCOPE", "all")]].concat();
        assert_eq!(request(&system)["auth"]["scope"], json!({"system": {"all": true}}));
    }

    #[test]
    fn what_is_missing_is_named() {
        let missing = |variables: &[(&str, &str)]| account(variables).unwrap_err();
        assert!(missing(&[]).starts_with("OS_USERID or OS_USERNAME is not set"));
        assert!(missing(&[("OS_USERNAME", "u")]).starts_with("OS_PASSWORD is not set"));
        let no_domain = account(&[("OS_USERNAME", "u"), ("OS_PASSWORD", "p")]).unwrap();
        assert!(no_domain.request().unwrap_err().contains("domain_id"));
    }

    #[test]
    fn the_token_goes_to_no_other_host_for_the_next_page() {
        let current = Url::parse("https://nova.example/v2.1/servers/detail?limit=2").unwrap();
        let next = |link| next_page(&current, link).unwrap().to_string();
        assert_eq!(
            next("http://10.0.0.5:8774/v2.1/servers/detail?limit=2&marker=a"),
            "https://nova.example/v2.1/servers/detail?limit=2&marker=a"
        );
        assert_eq!(
            next("https://nova.example/v2.1/x/servers/detail?marker=a"),
            "https://nova.example/v2.1/x/servers/detail?marker=a"
        );
    }
}
