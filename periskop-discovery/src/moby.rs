//! The Engine API of Docker, as far as containers and Swarm need it.
//!
//! API: `/_ping`, which tells the version, then `/vVERSION/…`.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;
use std::time::Duration;

use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::DiscoveryError;
use periskop_core::target::Labels;
use reqwest::{Method, StatusCode};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer};
use url::Url;

use crate::backend::{Answer, Backend};
use crate::build::{BuildError, BuildOptions};
use crate::go_url::GoUrl;
use crate::http_client::HttpClientConfig;
use crate::label::{quoted, sanitize};

/// The latest version whose answers are known to be read as they are meant.
const LATEST: Version = Version { major: 1, minor: 55 };
/// What an engine speaks that does not say.
const OLDEST: Version = Version { major: 1, minor: 24 };

/// One filter of the engine's: a target must have one of the values of each.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    /// What is looked at, such as `label`.
    pub name: String,
    /// What it may be.
    pub values: Vec<String>,
}

impl Filter {
    pub(crate) fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let filter = Self {
            name: fields.string("name").unwrap_or_default(),
            values: fields.string_list("values").unwrap_or_default(),
        };
        fields.finish();
        Some(filter)
    }

    /// Takes `filters`; Prometheus takes null as a filter without anything in it.
    pub(crate) fn take(fields: &mut Fields<'_, '_>) -> Vec<Self> {
        let Some(at) = fields.node("filters") else { return Vec::new() };
        let problems = fields.problems();
        let items = at.items(problems).unwrap_or_default();
        items.iter().filter_map(|item| Self::decode(item, problems)).collect()
    }

    pub(crate) fn effective(filters: &[Self]) -> Node {
        Node::sequence(filters.iter().map(|filter| {
            let values = Node::sequence(&filter.values);
            Node::mapping([("name", Node::from(&filter.name)), ("values", values)])
        }))
    }
}

/// Takes `host`, which must be there.
pub(crate) fn take_host(fields: &mut Fields<'_, '_>) -> String {
    let host = fields.string("host").unwrap_or_default();
    if host.is_empty() {
        fields.problem("host", "host missing");
    } else if let Err(message) = GoUrl::parse(&host) {
        fields.problem("host", message);
    }
    host
}

/// An engine.
pub(crate) struct Engine {
    backend: Backend,
    base: Url,
    filters: Option<String>,
    version: Option<Version>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Version {
    major: u32,
    minor: u32,
}

impl Version {
    fn parse(text: &str) -> Option<Self> {
        let (major, minor) = text.split_once('.')?;
        Some(Self { major: major.parse().ok()?, minor: minor.parse().ok()? })
    }
}

/// Whether a list is narrowed by the filters that are configured.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Narrowed {
    Yes,
    No,
}

impl Engine {
    /// The engine at `unix://…`, `tcp://…`, `http://…` or `https://…`. Settings of HTTP are for
    /// the latter two.
    pub(crate) fn new(
        host: &str,
        http: &HttpClientConfig,
        filters: &[Filter],
        options: &BuildOptions,
        timeout: Duration,
    ) -> Result<Self, BuildError> {
        let unfit = || BuildError::Missing("unable to parse docker host".to_owned());
        let (scheme, address) = host.split_once("://").ok_or_else(unfit)?;
        if address.is_empty() {
            return Err(unfit());
        }
        let (backend, base) = match scheme {
            "unix" => {
                let backend = Backend::over_unix_socket(Path::new(address), options, timeout)?;
                (backend, "http://localhost".to_owned())
            }
            "tcp" => {
                let backend = Backend::new(&HttpClientConfig::default(), options, timeout)?;
                (backend, format!("http://{address}"))
            }
            "http" | "https" => (Backend::new(http, options, timeout)?, host.to_owned()),
            other => {
                let message = format!("docker host: the protocol {other:?} is not spoken");
                return Err(BuildError::Missing(message));
            }
        };
        let base = Url::parse(&base).map_err(BuildError::Url)?;
        Ok(Self { backend, base, filters: json_filters(filters), version: None })
    }

    /// A list of the engine's, such as `containers/json`.
    pub(crate) async fn list<T: DeserializeOwned>(
        &mut self,
        what: &str,
        narrowed: Narrowed,
    ) -> Result<Vec<T>, DiscoveryError> {
        let Version { major, minor } = self.version().await?;
        let mut url = self.url(&format!("v{major}.{minor}/{what}"));
        if let Some(filters) = self.filters.as_ref().filter(|_| narrowed == Narrowed::Yes) {
            url.query_pairs_mut().append_pair("filters", filters);
        }
        let answer = self.backend.get(url).send().await.and_then(Answer::success);
        if answer.is_err() {
            // Perhaps it is another engine now.
            self.version = None;
        }
        answer?.json()
    }

    /// The version that both sides speak. It is asked for once.
    async fn version(&mut self) -> Result<Version, DiscoveryError> {
        if let Some(version) = self.version {
            return Ok(version);
        }
        let ping = self.url("_ping");
        let head = self.backend.call(Method::HEAD, ping.clone()).send().await?;
        // An engine in trouble answers 500 and tells its version all the same.
        let knows = |answer: &Answer| {
            answer.status == StatusCode::OK || answer.status == StatusCode::INTERNAL_SERVER_ERROR
        };
        let answer = if knows(&head) { head } else { self.backend.get(ping).send().await? };
        if !knows(&answer) {
            return Err(answer.bad_status());
        }
        let version = match answer.header("api-version") {
            "" => OLDEST,
            text => {
                let unfit = || answer.invalid(format!("{} is no version of the API", quoted(text)));
                Version::parse(text).ok_or_else(unfit)?.min(LATEST)
            }
        };
        self.version = Some(version);
        Ok(version)
    }

    fn url(&self, path: &str) -> Url {
        let mut url = self.base.clone();
        if let Ok(mut segments) = url.path_segments_mut() {
            segments.pop_if_empty().extend(path.split('/'));
        }
        url
    }

    /// The labels of every network, by its ID.
    pub(crate) async fn networks(
        &mut self,
        prefix: &str,
    ) -> Result<BTreeMap<String, Labels>, DiscoveryError> {
        let networks: Vec<Network> = self.list("networks", Narrowed::No).await?;
        let entry = |network: Network| (network.id.clone(), network.labels(prefix));
        Ok(networks.into_iter().map(entry).collect())
    }
}

/// `{"name":{"value":true}}`, in order, as Docker's own client writes it.
fn json_filters(filters: &[Filter]) -> Option<String> {
    let mut by_name = BTreeMap::<&str, BTreeSet<&str>>::new();
    for filter in filters.iter().filter(|filter| !filter.values.is_empty()) {
        let values = by_name.entry(&filter.name).or_default();
        values.extend(filter.values.iter().map(String::as_str));
    }
    let is_wanted = |values: BTreeSet<&str>| -> BTreeMap<String, bool> {
        values.into_iter().map(|value| (value.to_owned(), true)).collect()
    };
    let by_name: BTreeMap<_, _> =
        by_name.into_iter().map(|(name, values)| (name, is_wanted(values))).collect();
    (!by_name.is_empty()).then(|| serde_json::json!(by_name).to_string())
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "PascalCase")]
struct Network {
    id: String,
    name: String,
    scope: String,
    internal: bool,
    ingress: bool,
    #[serde(rename = "Labels")]
    own_labels: BTreeMap<String, String>,
}

impl Network {
    fn labels(&self, prefix: &str) -> Labels {
        let mut labels = Labels::new();
        labels.insert(format!("{prefix}network_id"), self.id.as_str());
        labels.insert(format!("{prefix}network_name"), self.name.as_str());
        labels.insert(format!("{prefix}network_scope"), self.scope.as_str());
        labels.insert(format!("{prefix}network_internal"), self.internal.to_string());
        labels.insert(format!("{prefix}network_ingress"), self.ingress.to_string());
        insert_all(&mut labels, &format!("{prefix}network_label_"), &self.own_labels);
        labels
    }
}

/// Labels of the engine's as ours.
pub(crate) fn insert_all(labels: &mut Labels, prefix: &str, values: &BTreeMap<String, String>) {
    for (name, value) in values {
        labels.insert(format!("{prefix}{}", sanitize(name)), value.as_str());
    }
}

/// Adds labels that were made elsewhere.
pub(crate) fn merge(labels: &mut Labels, others: Option<&Labels>) {
    for (name, value) in others.into_iter().flat_map(Labels::iter) {
        labels.insert(name, value);
    }
}

/// An IP address, or `""`. Anything else is refused, as in Docker's own client.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct MaybeIp(pub(crate) Option<IpAddr>);

impl<'de> Deserialize<'de> for MaybeIp {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        if text.is_empty() {
            return Ok(Self(None));
        }
        let unfit = |_| serde::de::Error::custom(format!("{} is no IP address", quoted(&text)));
        text.parse().map(|ip| Self(Some(ip))).map_err(unfit)
    }
}

impl MaybeIp {
    /// Itself, or the other where this is none; as a text.
    pub(crate) fn or(self, other: Self) -> String {
        self.0.or(other.0).map(|ip| ip.to_string()).unwrap_or_default()
    }
}

/// The address of a prefix such as `10.0.0.2/24`.
pub(crate) fn address_of(prefix: &str) -> Result<IpAddr, DiscoveryError> {
    let address = prefix.split_once('/').and_then(|(ip, bits)| {
        let ip: IpAddr = ip.parse().ok()?;
        let bits: u8 = bits.parse().ok()?;
        (bits <= if ip.is_ipv4() { 32 } else { 128 }).then_some(ip)
    });
    address.ok_or_else(|| DiscoveryError::Invalid {
        endpoint: "docker engine".into(),
        reason: format!("error while parsing address {}", quoted(prefix)),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_is_the_older_of_both() {
        let version = |text| Version::parse(text).map(|version| version.min(LATEST));
        assert_eq!(version("1.40"), Some(Version { major: 1, minor: 40 }));
        assert_eq!(version("1.9"), Some(Version { major: 1, minor: 9 }));
        assert_eq!(version("2.1"), Some(LATEST));
        for text in ["1", "1.x", "../1.40", "1.40/x"] {
            assert_eq!(version(text), None, "{text}");
        }
    }

    #[test]
    fn filters_are_told_in_order_and_without_empty_ones() {
        let filter = |name: &str, values: &[&str]| Filter {
            name: name.into(),
            values: values.iter().map(|value| (*value).to_owned()).collect(),
        };
        let filters = [filter("b", &["2", "1"]), filter("a", &[]), filter("b", &["3"])];
        let json = json_filters(&filters).unwrap();
        assert_eq!(json, r#"{"b":{"1":true,"2":true,"3":true}}"#);
        assert_eq!(json_filters(&[filter("a", &[])]), None);
    }

    #[test]
    fn addresses_of_prefixes_are_checked() {
        assert_eq!(address_of("10.0.0.2/24").unwrap().to_string(), "10.0.0.2");
        assert_eq!(address_of("fd00::2/64").unwrap().to_string(), "fd00::2");
        for prefix in ["", "10.0.0.2", "10.0.0.2/33", "x/8"] {
            assert!(address_of(prefix).is_err(), "{prefix}");
        }
    }

    /// Answers one request after the other at a socket, and tells how each began.
    #[cfg(unix)]
    async fn serve(listener: tokio::net::UnixListener, answers: Vec<&'static str>) -> Vec<String> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

        let mut asked = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().await.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(stream.read_u8().await.unwrap());
            }
            let head = String::from_utf8(head).unwrap();
            asked.push(head.split(" HTTP").next().unwrap().to_owned());
            let answer = format!("HTTP/1.1 {answer}");
            stream.write_all(answer.as_bytes()).await.unwrap();
        }
        asked
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_version_is_asked_for_once_and_again_after_an_error() {
        const PING: &str = "200 OK\r\nApi-Version: 1.41\r\nConnection: close\r\n\r\n";
        const LIST: &str = "200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\n[]";
        const ERROR: &str = "500 Oops\r\nConnection: close\r\nContent-Length: 0\r\n\r\n";
        const NO_HEAD: &str = "405 No\r\nConnection: close\r\n\r\n";
        let dir = tempfile::tempdir().unwrap();
        let socket = dir.path().join("docker.sock");
        let listener = tokio::net::UnixListener::bind(&socket).unwrap();
        let answers = vec![PING, LIST, LIST, ERROR, NO_HEAD, PING, LIST];
        let server = tokio::spawn(serve(listener, answers));

        let host = format!("unix://{}", socket.display());
        let (http, options) = (HttpClientConfig::default(), BuildOptions::default());
        let mut engine = Engine::new(&host, &http, &[], &options, Duration::ZERO).unwrap();
        let mut ask = async || engine.list::<Network>("networks", Narrowed::Yes).await;
        assert!(ask().await.unwrap().is_empty());
        assert!(ask().await.is_ok());
        let error = ask().await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{host}: /v1.41/networks: ")), "{error}");
        assert!(ask().await.is_ok());
        let (head, list) = ("HEAD /_ping", "GET /v1.41/networks");
        let wanted = [head, list, list, list, head, "GET /_ping", list];
        assert_eq!(server.await.unwrap(), wanted);
    }
}
