//! The configuration file: the reference's format, and what has been added to it.
//!
//! Every mistake of a file is told at once, with its line. Two steps: [`periskop_core::config`]
//! makes a tree with positions, and here each section takes its keys out of it; what nobody asks
//! for is an unknown key. What comes out cannot be wrong any more.

mod redact;
mod repository;
mod scraper;
mod secrets;
mod service;

use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use periskop_core::Settings;
use periskop_core::config::{self, At, Fields, Node, Problems, Value};
use periskop_core::redact::Redaction;
use periskop_http::WebConfig;
use periskop_storage::StoreSpec;

pub use scraper::ScraperConfig;
pub use service::ServiceConfig;

/// Ages are written down by the hour: below that, a restart could forget what it interrupted.
const SHORTEST_RETENTION: Duration = Duration::from_secs(60 * 60);

/// A whole configuration. [`Config::default`] is that of an empty file.
#[derive(Debug)]
pub struct Config {
    /// Where what is known is kept.
    pub repository: StoreSpec,
    /// What is scraped.
    pub services: Vec<ServiceConfig>,
    /// How much is kept, and for how long.
    pub state: Settings,
    /// What the metrics page holds.
    pub metrics: MetricsConfig,
    /// What is masked before it is kept.
    pub redact: Redaction,
    /// Who may reach the server, and how.
    pub web: WebConfig,
    /// The file as it was read, secrets hidden, for people.
    source: Node,
}

/// What the metrics page holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MetricsConfig {
    /// Whether `periskop_error_occurrences` has the label `target`. It does, as in the reference;
    /// every deployment makes new ones.
    pub target_label: bool,
}

/// Why a configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file can be read and is wrong; the problems stand one a line.
    #[error("{}:\n{problems}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Everything that is wrong with it.
        problems: Problems,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            repository: StoreSpec::default(),
            services: Vec::new(),
            state: Settings::default(),
            metrics: MetricsConfig { target_label: true },
            redact: Redaction::default(),
            web: WebConfig::default(),
            source: Node::mapping::<String, Node>([]),
        }
    }
}

impl Config {
    /// Reads a file. Names of files in it are relative to its directory. The files that `web` names
    /// are looked into; those that are needed for scraping are read when they are.
    ///
    /// # Errors
    ///
    /// The file cannot be read, or anything in it is wrong.
    pub fn load(file: &Path) -> Result<Self, ConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| ConfigError::Unreadable { file: file.into(), source })?;
        let dir = file.parent().unwrap_or(Path::new(""));
        let wrong = |problems| ConfigError::Wrong { file: file.into(), problems };
        let config = Self::parse(&text, dir).map_err(wrong)?;
        config.web.check_files("web.").map_err(wrong)?;
        Ok(config)
    }

    /// Reads the text of a file in the directory `dir`.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn parse(text: &str, dir: &Path) -> Result<Self, Problems> {
        let root = config::parse(text)?;
        let global = sound_global(&root, dir);
        let merged = global.map(|global| with_global(&root, global));
        let timeout = global.and_then(scraper::global_timeout);
        let mut config = config::decode(merged.as_ref().unwrap_or(&root), |at, problems| {
            decode(at, problems, dir, timeout)
        })?;
        config.source = secrets::hidden(root);
        Ok(config)
    }

    /// The file as YAML with every secret as `<secret>`; its comments are gone.
    pub fn to_yaml(&self) -> String {
        self.source.to_string()
    }
}

/// The `global` section, where there is one without mistakes: what is wrong in it is told once,
/// and not for every service.
fn sound_global<'n>(root: &'n Node, dir: &Path) -> Option<&'n Node> {
    let global = root.get("global").filter(|global| !is_empty(global))?;
    let decoded = config::decode(global, |at, problems| scraper::decode(at, problems, dir, None));
    decoded.is_ok().then_some(global)
}

/// The same configuration with every service's scraper completed by `global`.
fn with_global(root: &Node, global: &Node) -> Node {
    let mut root = root.clone();
    let Value::Mapping(entries) = &mut root.value else { return root };
    for entry in entries.iter_mut().filter(|entry| entry.key.text() == "services") {
        if let Value::Sequence(services) = &mut entry.value.value {
            for service in services {
                *service = scraper::with_defaults(service, global);
            }
        }
    }
    root
}

fn decode(
    at: &At<'_>,
    problems: &mut Problems,
    dir: &Path,
    timeout: Option<Duration>,
) -> Option<Config> {
    let default = Config::default();
    let mut fields = Fields::new(at, problems)?;
    let repository = fields.section("repository", |at, p| repository::decode(at, p, dir));
    fields.section("global", |at, problems| scraper::decode(at, problems, dir, None));
    let mut names = HashSet::new();
    let services = fields.list("services", |at, problems| {
        let service = service::decode(at, problems, dir, timeout)?;
        if !names.insert(service.name.clone()) {
            at.problem(problems, format!("there are two services `{}`", service.name));
        }
        Some(service)
    });
    let keep = default.state;
    let state = Settings {
        occurrences_per_error: fields
            .uint_within("occurrences_per_error", 1..=100)
            .unwrap_or(keep.occurrences_per_error),
        incarnations_limit: fields
            .uint_within("incarnations_limit", 1..=10_000_000)
            .unwrap_or(keep.incarnations_limit),
        retention: fields.duration("retention").unwrap_or(keep.retention),
    };
    if state.retention < SHORTEST_RETENTION {
        fields.problem("retention", "must be at least 1h");
    }
    let metrics = fields.section("metrics", metrics).unwrap_or(default.metrics);
    let redact = fields.section("redact", redact::decode).unwrap_or_default();
    let web = fields.section("web", |at, p| WebConfig::decode(at, p, dir)).unwrap_or_default();
    fields.finish();
    let repository = repository.unwrap_or(default.repository);
    Some(Config { repository, services, state, metrics, redact, web, source: Node::null() })
}

fn metrics(at: &At<'_>, problems: &mut Problems) -> Option<MetricsConfig> {
    let mut fields = Fields::new(at, problems)?;
    let target_label = fields.bool("target_label").unwrap_or(true);
    fields.finish();
    Some(MetricsConfig { target_label })
}

fn is_empty(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Mapping(entries) => entries.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use periskop_discovery::DiscoveryConfig;

    use super::*;

    fn parse(text: &str) -> Config {
        Config::parse(text, Path::new("/etc/periskop")).unwrap_or_else(|p| panic!("{p}"))
    }

    fn mechanisms(configs: &[DiscoveryConfig]) -> Vec<&'static str> {
        configs.iter().map(DiscoveryConfig::mechanism).collect()
    }

    /// What is wrong with a file, one a line.
    fn problems(text: &str) -> Vec<String> {
        let problems = Config::parse(text, Path::new("")).err().map(|p| p.to_string());
        problems.unwrap_or_default().lines().map(str::to_owned).collect()
    }

    #[test]
    fn an_empty_file_has_all_defaults() {
        for text in ["", "services: []\n", "web: {}\n", "services:\nglobal:\nredact:\n"] {
            let config = parse(text);
            assert!(config.services.is_empty(), "{text}");
            assert_eq!(config.repository, StoreSpec::Memory);
            assert_eq!(config.state, Settings::default());
            assert!(config.metrics.target_label);
        }
    }

    #[test]
    fn a_configuration_of_the_reference_loads_unchanged() {
        let config = parse(
            "\
repository:
  type: mysql
  dsn: periskop:p@ss/w0rd@tcp(db.internal:3306)/periskop?charset=utf8mb4&parseTime=True&loc=Local
services:
- name: api
  dns_sd_configs:
  - names:
    - api.example.internal
    refresh_interval: 10s
    type: A
    port: 7778
  relabel_configs: []
  scraper:
    endpoint: /errors?full=1
    refresh_interval: 1m0.5s
    timeout: 1.5s
- name: mock-target
  static_configs:
  - targets: ['localhost:7778']
  scraper:
    refresh_interval: 10s
    endpoint: '/errors'
",
        );
        let shown = config.repository.to_string();
        assert_eq!(shown, "mysql://periskop@db.internal:3306/periskop");
        let [api, mock] = config.services.as_slice() else { panic!("two services") };
        assert_eq!(api.name.as_str(), "api");
        assert_eq!(mechanisms(&api.discovery), ["dns"]);
        assert_eq!(api.scraper.endpoint, "/errors");
        assert_eq!(api.scraper.params["full"], ["1"]);
        assert_eq!(api.scraper.interval, Duration::from_millis(60_500));
        assert_eq!(api.scraper.timeout, Duration::from_millis(1_500));
        assert_eq!(mechanisms(&mock.discovery), ["static"]);
        assert_eq!(mock.scraper.timeout, Duration::from_secs(10));
    }

    #[test]
    fn every_mistake_is_told_at_once_with_its_place() {
        let found = problems(
            "\
repository: {type: postgres, dsn: secret}
servcies: []
services:
- name: a
  scraper: {refresh_interval: 5s, timeout: 6s, enpoint: /x}
- name: a
  dns_sd_config: []
- static_configs: [{targets: [localhost]}]
  scraper: {scheme: gopher, refresh_interval: 0s}
occurrences_per_error: 101
retention: 1m
web: {basic_auth_users: {a: p4ss}}
",
        );
        let expected = [
            (1, "repository.dsn: character 7: expected `=` after a keyword"),
            (2, "unknown field \"servcies\", did you mean \"services\"?"),
            (5, "timeout: must not be above refresh_interval (5s)"),
            (5, "unknown field \"enpoint\", did you mean \"endpoint\"?"),
            (6, "there are two services `a`"),
            (7, "unknown field \"dns_sd_config\", did you mean \"dns_sd_configs\"?"),
            (8, "a service needs a name"),
            (9, "unknown scheme \"gopher\"; expected http or https"),
            (9, "refresh_interval: must be above 0"),
            (10, "must be 1 to 100"),
            (11, "must be at least 1h"),
            (12, "web.basic_auth_users.a: expected a bcrypt hash"),
        ];
        assert_eq!(found.len(), expected.len(), "{found:#?}");
        for (line, message) in expected {
            let place = format!("line {line}, ");
            assert!(
                found.iter().any(|p| p.starts_with(&place) && p.contains(message)),
                "line {line}: {message}: {found:#?}"
            );
        }
        assert!(!found.concat().contains("secret"));
    }

    #[test]
    fn global_says_what_a_scraper_does_not() {
        let config = parse(
            "\
global:
  endpoint: /e
  timeout: 8s
  basic_auth: {username: me, password_file: secret}
  errors_limit: 7
services:
- name: all
- name: own
  scraper:
    endpoint: /mine
    refresh_interval: 5s
    authorization: {credentials: x}
",
        );
        let [all, own] = config.services.as_slice() else { panic!("two services") };
        assert_eq!(all.scraper.endpoint, "/e");
        assert_eq!(all.scraper.timeout, Duration::from_secs(8));
        assert_eq!(all.scraper.limits.errors, 7);
        assert!(format!("{:?}", all.scraper.http).contains("/etc/periskop/secret"));
        assert_eq!(own.scraper.endpoint, "/mine");
        assert_eq!(own.scraper.timeout, Duration::from_secs(5), "cut off at the interval");
        assert!(format!("{:?}", own.scraper.http).contains("Authorization"));
    }

    #[test]
    fn a_mistake_in_global_is_told_once() {
        let found = problems(
            "global: {scheme: ftp}\nservices: [{name: a}, {name: b, scraper: {endpoint: /}}]\n",
        );
        assert_eq!(found.len(), 1, "{found:?}");
    }

    #[test]
    fn an_unset_timeout_is_the_smaller_of_ten_seconds_and_the_interval() {
        let timeout = |interval: &str| {
            let text =
                format!("services: [{{name: a, scraper: {{refresh_interval: {interval}}}}}]");
            parse(&text).services[0].scraper.timeout
        };
        assert_eq!(timeout("1m"), Duration::from_secs(10));
        assert_eq!(timeout("2s"), Duration::from_secs(2));
    }

    #[test]
    fn secrets_are_not_shown_again() {
        let text = "\
repository: {type: postgres, dsn: host=db user=me password=p4ss}
services: [{name: a, scraper: {basic_auth: {username: u, password: p4ss}}}]
";
        let config = parse(text);
        let shown = config.to_yaml();
        for part in ["dsn: <secret>", "password: <secret>", "username: u"] {
            assert!(shown.contains(part), "{part}: {shown}");
        }
        assert!(!shown.contains("p4ss") && !format!("{config:?}").contains("p4ss"));
    }
}
