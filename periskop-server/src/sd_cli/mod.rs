//! `periskop-server sd CONFIG`: what discovery finds and relabelling makes of it, done once.
//!
//! It is what `promtool check service-discovery` is for Prometheus. Invariants: nothing is scraped
//! and nothing is stored; standard output has what was found and nothing else; what a backend tells
//! cannot control a terminal. Settings are not printed, so no secret is.

mod answer;
mod found;
mod json;
mod text;

use std::io::{self, BufWriter, Write};
use std::time::Duration;

use futures_util::future::join_all;

use crate::cli::SdArgs;
use crate::config::{Config, ConfigError, ServiceConfig};
use answer::Answer;
use found::Found;

/// Why not everything could be shown.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SdCliError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// There is no service of that name.
    #[error("no service {name:?} in this configuration; it has: {}", known_or_none(.known))]
    NoSuchService {
        /// What was asked for.
        name: String,
        /// The services there are.
        known: Vec<String>,
    },
    /// Some discoveries told nothing, or not everything; the others are shown.
    #[error("{failed} of {all} discoveries failed or did not answer")]
    Incomplete {
        /// How many.
        failed: usize,
        /// How many there are.
        all: usize,
    },
    /// Standard output.
    #[error("standard output: {0}")]
    Output(#[source] io::Error),
}

fn known_or_none(known: &[String]) -> String {
    if known.is_empty() { "none".to_owned() } else { known.join(", ") }
}

/// Does what the command line says.
pub(crate) async fn run(args: &SdArgs) -> Result<(), SdCliError> {
    let config = Config::load(&args.config)?;
    let services = chosen(&config.services, args.service.as_deref())?;
    let found = find(services, args.timeout).await;
    print(&found, args.json, BufWriter::new(io::stdout().lock())).map_err(SdCliError::Output)?;
    let discoveries = || found.iter().flat_map(|found| &found.discoveries);
    match discoveries().filter(|discovery| !discovery.failures.is_empty()).count() {
        0 => Ok(()),
        failed => Err(SdCliError::Incomplete { failed, all: discoveries().count() }),
    }
}

/// All services, or the one of this name.
fn chosen<'c>(
    services: &'c [ServiceConfig],
    name: Option<&str>,
) -> Result<&'c [ServiceConfig], SdCliError> {
    let Some(name) = name else { return Ok(services) };
    let at = services.iter().position(|service| service.name.as_str() == name);
    at.and_then(|at| services.get(at..=at)).ok_or_else(|| SdCliError::NoSuchService {
        name: name.to_owned(),
        known: services.iter().map(|service| service.name.to_string()).collect(),
    })
}

/// Asks every discovery of every service at the same time.
async fn find(services: &[ServiceConfig], within: Duration) -> Vec<Found<'_>> {
    join_all(services.iter().map(|service| find_of(service, within))).await
}

async fn find_of(service: &ServiceConfig, within: Duration) -> Found<'_> {
    let answers = service.discovery.iter().map(|config| Answer::of(config, within));
    Found::new(service, join_all(answers).await)
}

fn print(found: &[Found<'_>], as_json: bool, mut out: impl Write) -> io::Result<()> {
    match as_json {
        true => json::write(found, &mut out)?,
        false => text::write(found, &mut out)?,
    }
    out.flush()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    /// A file with every fate; nothing listens at the address of its http discovery.
    const CONFIG: &str = r#"
services:
- name: api
  static_configs:
  - targets: ["a:1", "b:2", "c:3", "d:4"]
    labels: {zone: north, __meta_secret: "tab\there"}
  - targets: ["a:1"]
    labels: {zone: north}
  relabel_configs:
  - {source_labels: [__address__], regex: '(.+):.+', target_label: host}
  - {source_labels: [host], regex: b, action: drop}
  - {source_labels: [host, zone], regex: 'c;north', target_label: __scheme__, replacement: https}
  - {source_labels: [host], regex: d, target_label: __address__, replacement: d/4}
  scraper: {target_limit: 1}
- name: web
  http_sd_configs:
  - url: http://ada:geheim@127.0.0.1:9/targets
    basic_auth: {username: bob, password: verborgen}
- name: none
"#;

    async fn shown(as_json: bool) -> String {
        let config = Config::parse(CONFIG, Path::new("")).unwrap();
        let found = find(&config.services, Duration::from_secs(10)).await;
        let mut out = Vec::new();
        print(&found, as_json, &mut out).unwrap();
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_service_that_is_not_there_is_told_with_those_that_are() {
        let config = Config::parse(CONFIG, Path::new("")).unwrap();
        assert_eq!(chosen(&config.services, None).unwrap().len(), 3);
        let web = chosen(&config.services, Some("web")).unwrap();
        assert_eq!((web.len(), web[0].name.as_str()), (1, "web"));
        let error = chosen(&config.services, Some("wbe")).unwrap_err();
        assert_eq!(
            error.to_string(),
            "no service \"wbe\" in this configuration; it has: api, web, none"
        );
        let error = chosen(&[], Some("wbe")).unwrap_err();
        assert_eq!(error.to_string(), "no service \"wbe\" in this configuration; it has: none");
    }

    #[tokio::test]
    async fn everything_that_is_found_is_shown_with_what_comes_of_it() {
        let text = shown(false).await;
        let api = text.split("service web").next().unwrap();
        let expected = r#"service api: 2 targets (one of them found again), 1 invalid, 1 dropped
  static: 5 found in 2 groups
  none is scraped: target_limit exceeded (number of targets: 2, limit: 1)

  target http://a:1/-/exceptions
    from    static, source 0
    before  __address__="a:1"
            __meta_secret="tab\there"
            __metrics_path__="/-/exceptions"
            __scheme__="http"
            __scrape_interval__="10s"
            __scrape_timeout__="10s"
            job="api"
            zone="north"
    after   host="a"
            instance="a:1"
            job="api"
            zone="north"
"#;
        assert!(api.starts_with(expected), "{api}");
        assert!(api.contains("  target https://c:3/-/exceptions\n"), "{api}");
        let again = "  found again: target http://a:1/-/exceptions\n    from    static, source 1\n";
        assert!(api.contains(again), "{api}");
        let invalid = "  invalid: \"d/4\" is not a valid hostname\n    from    static, source 0\n";
        assert!(api.contains(invalid), "{api}");
        let dropped = "  dropped by relabel_configs[1], drop: [host] is \"b\", which matches b\n";
        assert!(api.contains(dropped), "{api}");
    }

    #[tokio::test]
    async fn a_discovery_that_fails_has_its_line_and_no_secret_is_shown() {
        let text = shown(false).await;
        let web = &text[text.find("service web").unwrap()..];
        assert!(web.starts_with("service web: 0 targets\n  http: FAILED: http://"), "{web}");
        assert!(web.contains("\nservice none: 0 targets\n  no discovery is configured\n"), "{web}");
        let json = shown(true).await;
        for secret in ["geheim", "verborgen"] {
            assert!(!text.contains(secret) && !json.contains(secret), "{secret}");
        }
    }

    #[tokio::test]
    async fn programs_are_told_the_same() {
        let json: serde_json::Value = serde_json::from_str(&shown(true).await).unwrap();
        let api = &json["services"][0];
        assert_eq!(api["service"], "api");
        let discovery = serde_json::json!({
            "mechanism": "static", "groups": 2, "found": 5, "errors": [],
        });
        assert_eq!(api["discoveries"], serde_json::json!([discovery]));
        let target = &api["targets"][0];
        assert_eq!(target["scrapeUrl"], "http://a:1/-/exceptions");
        assert_eq!(target["source"], "0");
        assert_eq!(target["discoveredLabels"]["__meta_secret"], "tab\there");
        let labels = serde_json::json!({
            "host": "a", "instance": "a:1", "job": "api", "zone": "north",
        });
        assert_eq!(target["labels"], labels);
        let again = api["targets"].as_array().unwrap().iter().map(|t| &t["foundAgain"]);
        assert_eq!(again.collect::<Vec<_>>(), [false, false, true]);
        let by = serde_json::json!({
            "rule": 1, "action": "drop", "sourceLabels": ["host"], "regex": "b", "value": "b",
        });
        assert_eq!(api["dropped"][0]["droppedBy"], by);
        assert_eq!(api["invalid"][0]["error"], "\"d/4\" is not a valid hostname");
        assert_eq!(json["services"][1]["discoveries"][0]["errors"].as_array().unwrap().len(), 1);
    }
}
