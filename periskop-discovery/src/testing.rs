//! Configuration recorded from Prometheus, replayed against ours (feature `testing`).
//!
//! [`config_cases`] runs those cases of a folder of fixtures that are about mechanisms and
//! settings of this crate. Messages are compared where they are Prometheus's own; where they come
//! from a Go library (YAML types, URLs) the refusal counts.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use periskop_core::config::{self, At, Fields, Node, Problems, Value};
use serde_json::Value as Json;

use crate::config::mechanisms;
use crate::dns_sd::DnsConfig;
use crate::file_sd::Pattern;
use crate::http_client::HttpClientConfig;
use crate::http_sd::is_json;
use crate::mechanism::DiscoveryConfig;

/// Whether this build has the mechanism of a key, such as `http_sd_configs`.
pub fn has_mechanism(key: &str) -> bool {
    let name = key.strip_suffix("_sd_configs").or(key.strip_suffix("_configs"));
    name.is_some_and(|name| mechanisms().contains(&name))
}

/// Files of `config/errors.json` without discovery that are about HTTP client settings of a scrape
/// configuration, or static targets.
const ERROR_FILES: [&str; 4] = [
    "bearertoken.bad.yml",
    "bearertoken_basicauth.bad.yml",
    "empty_static_config.bad.yml",
    "url_in_targetgroup.bad.yml",
];

/// What became of some cases.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// How many went as recorded.
    pub passed: usize,
    /// Which did not: name and difference.
    pub failed: Vec<(String, String)>,
    /// Which could not be run, because there is no such mechanism here.
    pub not_run: Vec<String>,
}

impl Tally {
    /// Counts one case.
    pub fn count(&mut self, name: impl Into<String>, outcome: Result<(), String>) {
        match outcome {
            Ok(()) => self.passed += 1,
            Err(difference) => self.failed.push((name.into(), difference)),
        }
    }

    /// Adds the cases of another tally.
    pub fn add(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed.extend(other.failed);
        self.not_run.extend(other.not_run);
    }
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, difference) in &self.failed {
            writeln!(f, "FAILED {name}\n  {}", difference.trim_end().replace('\n', "\n  "))?;
        }
        // There are many as long as mechanisms are missing: one line for each mechanism.
        let mut not_run = BTreeMap::<&str, Vec<&str>>::new();
        for name in &self.not_run {
            let (mechanism, case) = name.rsplit_once('/').unwrap_or((name, ""));
            not_run.entry(mechanism).or_default().push(case);
        }
        for (mechanism, cases) in not_run {
            writeln!(f, "not run: {mechanism}: {}", cases.join(", "))?;
        }
        let (failed, not_run) = (self.failed.len(), self.not_run.len());
        write!(f, "{} passed, {failed} failed, {not_run} not run", self.passed)
    }
}

/// Runs all cases about configuration in `fixtures`.
///
/// # Panics
///
/// Where the fixtures themselves cannot be read.
pub fn config_cases(fixtures: &Path) -> Tally {
    let mut tally = Tally::default();
    probes(fixtures, &mut tally);
    error_files(fixtures, &mut tally);
    #[cfg(feature = "consul")]
    consul(fixtures, &mut tally);
    dns(fixtures, &mut tally);
    path_patterns(fixtures, &mut tally);
    content_types(fixtures, &mut tally);
    #[cfg(feature = "ovhcloud")]
    ovhcloud_addresses(fixtures, &mut tally);
    tally
}

/// Fragments of one scrape configuration, with the error or what Prometheus made of them.
fn probes(fixtures: &Path, tally: &mut Tally) {
    let probes = json(&fixtures.join("config/sd_probes.json"));
    for (i, probe) in list(&probes["cases"]).iter().enumerate() {
        let yaml = text(&probe["yaml"]);
        let name = format!("config/sd_probes.json/{i}");
        let root = config::parse(yaml);
        let elsewhere = root.as_ref().is_ok_and(|root| {
            keys(root).iter().any(|key| key.ends_with("_configs") && !has_mechanism(key))
        });
        if elsewhere && !yaml.starts_with("foo_") {
            tally.not_run.push(name);
            continue;
        }
        let decoded = root.map_err(|p| p.to_string()).and_then(|root| decode_service(&root));
        let outcome = check_probe(decoded, probe);
        tally.count(name, outcome.map_err(|difference| format!("{yaml}{difference}")));
    }
}

fn check_probe(decoded: Result<Vec<DiscoveryConfig>, String>, probe: &Json) -> Result<(), String> {
    if let Some(wanted) = probe["error"].as_str() {
        return match decoded {
            Ok(configs) => Err(format!("accepted, wanted {wanted:?}\n{configs:?}")),
            Err(message) => check_message(&message, wanted),
        };
    }
    let configs = decoded.map_err(|message| format!("refused: {message}"))?;
    let effective = list(&probe["effective"]);
    if effective.len() != configs.len() {
        return Err(format!("{} mechanisms, wanted {}", configs.len(), effective.len()));
    }
    for wanted in effective {
        let name = wanted["name"].as_str().unwrap_or("static");
        let wanted = match wanted.get("static") {
            Some(groups) => static_groups(groups),
            None => sorted(&config::parse(text(&wanted["yaml"])).map_err(|e| e.to_string())?),
        };
        let ours = || configs.iter().filter(|config| config.mechanism() == name);
        if !ours().any(|config| sorted(&config.effective()) == wanted) {
            let ours: String = ours().map(|config| config.effective().to_string()).collect();
            return Err(format!("wanted {name}:\n{wanted}found:\n{ours}"));
        }
    }
    Ok(())
}

/// Static groups are recorded as they come out of discovery, not as they are printed.
fn static_groups(groups: &Json) -> Node {
    sorted(&Node::sequence(list(groups).iter().map(|group| {
        let addresses = list(&group["targets"]).iter().map(|target| text(&target["__address__"]));
        let mut entries = vec![("targets", Node::sequence(addresses))];
        if group["labels"].as_object().is_some_and(|labels| !labels.is_empty()) {
            entries.push(("labels", Node::from_json(&group["labels"])));
        }
        Node::mapping(entries)
    })))
}

/// Whole files of Prometheus that it refuses. Those about discovery must be refused in its words.
fn error_files(fixtures: &Path, tally: &mut Tally) {
    let errors = json(&fixtures.join("config/errors.json"));
    for case in list(&errors["cases"]) {
        let file = text(&case["file"]);
        let name = format!("config/{file}");
        match refusal(&fixtures.join("config").join(file), ERROR_FILES.contains(&file)) {
            Ok(Refusal::Elsewhere) => tally.not_run.push(name),
            Ok(Refusal::None) => tally.count(name, Err("accepted".into())),
            Ok(Refusal::Ours(message)) => {
                tally.count(name, check_message(&message, text(&case["error_contains"])));
            }
            Err(reason) => tally.count(name, Err(reason)),
        }
    }
    good_files(fixtures, tally);
}

/// Whole files that Prometheus takes: their discovery is taken here too.
fn good_files(fixtures: &Path, tally: &mut Tally) {
    let entries = fs::read_dir(fixtures.join("config")).into_iter().flatten().flatten();
    let mut paths: Vec<_> = entries.map(|entry| entry.path()).collect();
    paths.sort();
    for path in paths {
        let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        if !file.ends_with(".good.yml") || !file.contains("kubernetes") && file != "conf.good.yml" {
            continue;
        }
        let name = format!("config/{file}");
        match refusal(&path, false) {
            // What else a scrape configuration has is no field that is known here.
            Ok(Refusal::None) => tally.count(name, Ok(())),
            Ok(Refusal::Elsewhere) => tally.not_run.push(name),
            Ok(Refusal::Ours(message)) if only_unknown(&message) => tally.count(name, Ok(())),
            Ok(Refusal::Ours(message)) => tally.count(name, Err(message)),
            Err(reason) => tally.count(name, Err(reason)),
        }
    }
}

fn only_unknown(message: &str) -> bool {
    message.lines().all(|line| line.contains("unknown field"))
}

/// What becomes of the discovery of a `prometheus.yml`.
enum Refusal {
    /// It is refused.
    Ours(String),
    /// It is taken.
    None,
    /// There is none, or none of this build.
    Elsewhere,
}

fn refusal(path: &Path, ours: bool) -> Result<Refusal, String> {
    // A file that is no YAML is about YAML.
    let Ok(root) = config::parse(&read(path)?) else { return Ok(Refusal::Elsewhere) };
    let Some(Value::Sequence(scrapes)) = root.get("scrape_configs").map(|node| &node.value) else {
        return Ok(Refusal::Elsewhere);
    };
    let keys: Vec<_> = scrapes.iter().flat_map(keys).collect();
    let is_discovery = |key: &&&str| key.ends_with("_sd_configs");
    let missing = |key: &&str| NAMED_BY_MISTAKE != *key && !has_mechanism(key);
    if !ours && (keys.iter().filter(is_discovery).count() == 0)
        || keys.iter().filter(is_discovery).any(missing)
    {
        return Ok(Refusal::Elsewhere);
    }
    let refused = scrapes.iter().find_map(|scrape| decode_service(scrape).err());
    Ok(refused.map_or(Refusal::None, Refusal::Ours))
}

/// What a refusal file means to have misspelt.
const NAMED_BY_MISTAKE: &str = "consult_sd_configs";

#[cfg(feature = "consul")]
fn consul(fixtures: &Path, tally: &mut Tally) {
    use crate::consul_sd::ConsulConfig;

    for case in list(&json(&fixtures.join("consul/config_cases.json"))) {
        let decoded = config::parse(text(&case["config_yaml"]))
            .map_err(|problem| problem.to_string())
            .and_then(|root| {
                config::decode(&root, ConsulConfig::decode).map_err(|e| e.to_string())
            });
        let outcome = match (decoded, case["error"].as_str()) {
            (Ok(_), None) => Ok(()),
            (Ok(_), Some(wanted)) => Err(format!("accepted, wanted {wanted:?}")),
            (Err(message), None) => Err(format!("refused: {message}")),
            (Err(message), Some(wanted)) => check_message(&message, wanted),
        };
        tally.count(format!("consul/config_cases.json {}", text(&case["name"])), outcome);
    }
}

fn dns(fixtures: &Path, tally: &mut Tally) {
    for case in list(&json(&fixtures.join("dns/config_cases.json"))) {
        let root = Node::from_json(&case["config"]);
        let refused = config::decode(&root, DnsConfig::decode).is_err();
        let wanted = case["error"] == Json::Bool(true);
        let outcome =
            (refused == wanted).then_some(()).ok_or_else(|| format!("refused: {refused}"));
        tally.count(format!("dns/config_cases.json {}", text(&case["name"])), outcome);
    }
}

fn path_patterns(fixtures: &Path, tally: &mut Tally) {
    let cases = json(&fixtures.join("file/path_patterns.json"));
    for (key, valid) in [("valid", true), ("invalid", false)] {
        for case in list(&cases[key]) {
            let is_valid = Pattern::parse(text(case)).is_ok();
            let outcome = (is_valid == valid).then_some(()).ok_or_else(|| "wrong".to_owned());
            tally.count(format!("file/path_patterns.json {key} {case}"), outcome);
        }
    }
}

fn content_types(fixtures: &Path, tally: &mut Tally) {
    for case in list(&json(&fixtures.join("http/content_types.json"))) {
        let is_right = Json::Bool(is_json(text(&case[0]))) == case[1];
        let outcome = is_right.then_some(()).ok_or_else(|| "wrong".to_owned());
        tally.count(format!("http/content_types.json {}", case[0]), outcome);
    }
}

#[cfg(feature = "ovhcloud")]
fn ovhcloud_addresses(fixtures: &Path, tally: &mut Tally) {
    use crate::ovhcloud_sd::addresses::Addresses;
    for case in list(&json(&fixtures.join("ovhcloud/parse_ips.json"))) {
        let input: Vec<_> = list(&case["input"]).iter().map(text).collect();
        let error = Addresses::parse(&input).err();
        let wanted = case["error"].as_str();
        let outcome = (error == wanted).then_some(()).ok_or_else(|| format!("{error:?}"));
        tally.count(format!("ovhcloud/parse_ips.json {}", text(&case["name"])), outcome);
    }
}

/// A scrape configuration's discovery and HTTP client settings; what else a service has is left
/// out of account.
fn decode_service(root: &Node) -> Result<Vec<DiscoveryConfig>, String> {
    let decode = |at: &At<'_>, problems: &mut Problems| {
        let mut fields = Fields::new(at, problems)?;
        fields.string("job_name");
        let configs = DiscoveryConfig::decode_all(&mut fields);
        HttpClientConfig::take(&mut fields);
        fields.finish();
        Some(configs)
    };
    config::decode(root, decode).map_err(|problems| problems.to_string())
}

/// Whether ours says what Prometheus's says.
fn check_message(message: &str, wanted: &str) -> Result<(), String> {
    let from_a_library = wanted.starts_with("yaml: ")
        || wanted.starts_with("parse \"")
        || wanted.starts_with("scaleway-sdk-go: ") // it quotes the secret
        || wanted.contains("not found in type");
    let has_place = message.lines().all(|line| line.starts_with("line "));
    if !has_place {
        return Err(format!("without a place: {message}"));
    }
    if from_a_library || message.contains(wanted) {
        return Ok(());
    }
    Err(format!("wanted {wanted:?}\nfound  {message:?}"))
}

/// The same with the keys of mappings in order, for comparing what a mapping leaves open.
fn sorted(node: &Node) -> Node {
    Node::new(match &node.value {
        Value::Mapping(entries) => {
            let mut entries = entries.clone();
            entries.sort_by(|a, b| a.key.text().cmp(b.key.text()));
            for entry in &mut entries {
                entry.value = sorted(&entry.value);
                // Prometheus prints the type as it was written, we in upper case.
                if entry.key.text() == "type"
                    && let Some(name @ ("srv" | "Srv")) = entry.value.text()
                {
                    entry.value = name.to_uppercase().into();
                }
            }
            Value::Mapping(entries)
        }
        Value::Sequence(items) => Value::Sequence(items.iter().map(sorted).collect()),
        other => other.clone(),
    })
}

fn keys(node: &Node) -> Vec<&str> {
    match &node.value {
        Value::Mapping(entries) => entries.iter().map(|entry| entry.key.text()).collect(),
        _ => Vec::new(),
    }
}

fn read(path: &Path) -> Result<String, String> {
    fs::read_to_string(path).map_err(|e| format!("{}: {e}", path.display()))
}

/// A file that is not there has no cases: corpora may be partial.
fn json(path: &Path) -> Json {
    if !path.exists() {
        return Json::Null;
    }
    let parsed =
        read(path).and_then(|content| serde_json::from_str(&content).map_err(|e| e.to_string()));
    match parsed {
        Ok(json) => json,
        Err(reason) => panic!("{}: {reason}", path.display()),
    }
}

fn list(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

fn text(json: &Json) -> &str {
    json.as_str().unwrap_or_default()
}
