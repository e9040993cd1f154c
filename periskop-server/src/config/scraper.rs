//! `scraper`: how the targets of a service are asked, and `global`, the defaults for all of them.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use periskop_core::config::{
    self, At, Entry, Fields, Node, Problems, Scalar, Value, format_duration,
};
use periskop_core::wire::exporter::Limits;
use periskop_discovery::http_client::HttpClientConfig;

/// How the targets of a service are scraped.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ScraperConfig {
    /// The path; a target's `__metrics_path__` wins over it. `/-/exceptions`, where the clients
    /// serve it.
    pub endpoint: String,
    /// Query parameters; a target's `__param_*` wins over the first value.
    pub params: BTreeMap<String, Vec<String>>,
    /// `http` (the default) or `https`; a target's `__scheme__` wins over it.
    pub scheme: String,
    /// From one scrape of a target to the next. 10 s.
    pub interval: Duration,
    /// How long one scrape may take in all, at most the interval. The smaller of 10 s and that.
    pub timeout: Duration,
    /// Whether compressed answers are asked for. They are, as in Prometheus: twice the CPU time
    /// for a twentieth of the traffic.
    pub compression: bool,
    /// The most targets that this service may have; beyond it none is scraped. 0: any number.
    pub target_limit: usize,
    /// How we introduce ourselves, TLS, proxy.
    pub http: HttpClientConfig,
    /// What one payload may cost; `body_size_limit` is its length.
    pub limits: Limits,
}

const INTERVAL: Duration = Duration::from_secs(10);
const TIMEOUT: Duration = Duration::from_secs(10);

/// 32 MiB: eight times the largest answer that fleets of the Go client are known to give, and
/// small enough that a handful of hostile targets at once is no danger.
const BODY_SIZE_LIMIT: usize = 32 << 20;

impl Default for ScraperConfig {
    fn default() -> Self {
        Self {
            endpoint: "/-/exceptions".into(),
            params: BTreeMap::new(),
            scheme: "http".into(),
            interval: INTERVAL,
            timeout: TIMEOUT.min(INTERVAL),
            compression: true,
            target_limit: 0,
            http: HttpClientConfig::default(),
            limits: Limits { payload_length: BODY_SIZE_LIMIT, ..Limits::default() },
        }
    }
}

/// Takes a `scraper` section apart. `timeout` is the global one: what it is above the interval is
/// cut off, while one that stands here must not be above it.
pub(super) fn decode(
    at: &At<'_>,
    problems: &mut Problems,
    dir: &Path,
    timeout: Option<Duration>,
) -> Option<ScraperConfig> {
    let default = ScraperConfig::default();
    let mut fields = Fields::new(at, problems)?;
    let (endpoint, mut params) = match fields.string("endpoint") {
        Some(endpoint) => split_query(&endpoint),
        None => (default.endpoint, BTreeMap::new()),
    };
    params.extend(fields.section("params", params_of).unwrap_or_default());
    let scheme = fields.parsed("scheme", |text| match text.to_ascii_lowercase() {
        scheme if scheme == "http" || scheme == "https" => Ok(scheme),
        _ => Err(format!("unknown scheme {text:?}; expected http or https")),
    });
    let interval = positive(&mut fields, "refresh_interval").unwrap_or(default.interval);
    let own_timeout = positive(&mut fields, "timeout");
    if own_timeout.is_some_and(|own| own > interval) {
        let interval = format_duration(interval);
        fields.problem("timeout", format!("must not be above refresh_interval ({interval})"));
    }
    let config = ScraperConfig {
        endpoint,
        params,
        scheme: scheme.unwrap_or(default.scheme),
        interval,
        timeout: own_timeout.or(timeout).unwrap_or(TIMEOUT).min(interval),
        compression: fields.bool("enable_compression").unwrap_or(default.compression),
        target_limit: count(&mut fields, "target_limit").unwrap_or(default.target_limit),
        limits: limits(&mut fields),
        http: http_client(&mut fields, dir),
    };
    fields.finish();
    Some(config)
}

/// The timeout that a sound `global` section sets; `None` where it sets none.
pub(super) fn global_timeout(global: &Node) -> Option<Duration> {
    config::parse_go_duration(global.get("timeout")?.text()?).ok()
}

/// A service with what `global` says where its own `scraper` says nothing. Settings that exclude
/// each other count as one: a service with a `basic_auth` does not inherit an `oauth2`.
pub(super) fn with_defaults(service: &Node, global: &Node) -> Node {
    let mut service = service.clone();
    let (Value::Mapping(entries), Value::Mapping(defaults)) = (&mut service.value, &global.value)
    else {
        return service;
    };
    let scraper = match entries.iter_mut().position(|e| e.key.text() == "scraper") {
        Some(at) if !entries[at].value.is_null() => &mut entries[at].value,
        found => {
            let (line, column) = (global.line, global.column);
            let value = Node { value: Value::Mapping(Vec::new()), line, column };
            let entry = Entry { key: Scalar::string("scraper"), line, column, value };
            let at = found.unwrap_or(entries.len());
            entries.splice(at..(at + 1).min(entries.len()), [entry]);
            &mut entries[at].value
        }
    };
    if let Value::Mapping(own) = &mut scraper.value {
        let taken: Vec<String> = own.iter().map(|e| e.key.text().to_owned()).collect();
        let is_taken = |key: &str| {
            let group = EXCLUSIVE.iter().find(|group| group.contains(&key));
            let group = group.copied().unwrap_or(&[]);
            taken.iter().any(|own| own == key || group.contains(&own.as_str()))
        };
        let missing = defaults.iter().filter(|e| e.key.text() != "timeout");
        own.extend(missing.filter(|e| !is_taken(e.key.text())).cloned());
    }
    service
}

/// Keys of which a section has one at most.
const EXCLUSIVE: [&[&str]; 2] = [
    &["basic_auth", "authorization", "oauth2", "bearer_token", "bearer_token_file"],
    &["proxy_url", "no_proxy", "proxy_from_environment", "proxy_connect_header"],
];

/// The reference appended its endpoint to the address as it was, so a query could be part of it.
fn split_query(endpoint: &str) -> (String, BTreeMap<String, Vec<String>>) {
    let Some((path, query)) = endpoint.split_once('?') else {
        return (endpoint.to_owned(), BTreeMap::new());
    };
    let mut params = BTreeMap::<String, Vec<String>>::new();
    for (name, value) in url::form_urlencoded::parse(query.as_bytes()) {
        params.entry(name.into_owned()).or_default().push(value.into_owned());
    }
    (path.to_owned(), params)
}

fn params_of(at: &At<'_>, problems: &mut Problems) -> Option<BTreeMap<String, Vec<String>>> {
    let entries = at.entries(problems)?;
    let params = entries.into_iter().filter_map(|(entry, at)| {
        let values = at.items(problems)?;
        let values = values.iter().filter_map(|value| value.string(problems)).collect();
        Some((entry.key.text().to_owned(), values))
    });
    Some(params.collect())
}

/// Go's form as well: the reference has these fields.
fn positive(fields: &mut Fields<'_, '_>, name: &'static str) -> Option<Duration> {
    let duration = fields.go_duration(name)?;
    if duration.is_zero() {
        fields.problem(name, "must be above 0");
        return None;
    }
    Some(duration)
}

fn count(fields: &mut Fields<'_, '_>, name: &'static str) -> Option<usize> {
    let count = fields.uint(name)?;
    let fits = usize::try_from(count).ok();
    if fits.is_none() {
        fields.problem(name, "too large");
    }
    fits
}

/// 0 is Prometheus's word for the default here: a server that anybody can fill has no "unlimited".
fn limits(fields: &mut Fields<'_, '_>) -> Limits {
    let default = ScraperConfig::default().limits;
    let mut limit = |name, default| match count(fields, name) {
        None | Some(0) => default,
        Some(n) => n,
    };
    let mut limits = Limits {
        errors: limit("errors_limit", default.errors),
        occurrences: limit("occurrences_limit", default.occurrences),
        incarnations: limit("incarnations_limit", default.incarnations),
        frames: limit("frames_limit", default.frames),
        causes: limit("causes_limit", default.causes),
        headers: limit("headers_limit", default.headers),
        ..default
    };
    let mut size = |name, default| match fields.bytes(name) {
        None | Some(0) => default,
        Some(n) => usize::try_from(n).unwrap_or(usize::MAX),
    };
    limits.payload_length = size("body_size_limit", limits.payload_length);
    limits.frame_length = size("frame_length_limit", limits.frame_length);
    limits.message_length = size("message_length_limit", limits.message_length);
    limits.header_length = size("header_length_limit", limits.header_length);
    limits.body_length = size("request_body_limit", limits.body_length);
    limits
}

fn http_client(fields: &mut Fields<'_, '_>, dir: &Path) -> HttpClientConfig {
    let mut http = HttpClientConfig::take(fields);
    http.resolve_paths(dir);
    http
}
