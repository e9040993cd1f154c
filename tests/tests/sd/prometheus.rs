//! Prometheus and we, given the same `*_sd_configs` and `relabel_configs` and the same backends,
//! show the same targets with the same labels. Each case is tried twice: with rules that drop
//! everything, which shows what was found (`discoveredLabels`), and with rules that keep it, which
//! shows what becomes of it (`labels`).
//!
//! The backends are those of the recorded cases (`tests/corpus/sd-fixtures`, or the folder that
//! `SD_FIXTURES` names); Prometheus is the distribution's, 2.42 in Debian 12. It is older than the
//! one that we follow, and lacks some mechanisms: what differs therefore, and what cannot be
//! compared, is listed here, each with its reason. The end prints how many cases were compared.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use periskop_discovery::testing::has_mechanism;
use periskop_tests::PATIENCE;
use periskop_tests::prometheus::Installed;
use periskop_tests::sd::{Backend, Case, cases};
use periskop_tests::server::Server;
use periskop_tests::skip;
use periskop_tests::targets_api::{Job, Targets};
use serde_json::{Map, Value as Json, json};
use tokio::time::{Instant, interval};

/// What the distribution's Prometheus does not have, by mechanism.
const NOT_THERE: &[(&str, &str)] = &[
    ("aws", NEWER),
    ("consul", LEFT_OUT),
    ("ecs", NEWER),
    ("elasticache", NEWER),
    ("kubernetes", LEFT_OUT),
    ("kuma", LEFT_OUT),
    ("linode", LEFT_OUT),
    ("msk", NEWER),
    ("nomad", LEFT_OUT),
    ("oci", NEWER),
    ("outscale", NEWER),
    ("rds", NEWER),
    ("stackit", NEWER),
    // What it has, and what cannot be led to a backend here.
    ("azure", "it fetches tokens from a fixed host, without the settings of HTTP"),
    ("dns", "it asks the name servers of the machine only"),
    ("gce", "it asks a fixed host, without the settings of HTTP"),
];
const LEFT_OUT: &str = "the distribution builds Prometheus without it";
const NEWER: &str = "it is newer than 2.42";

/// Mechanisms that make 2.42 crash where something is absent from an answer, and with it the test:
/// of these only cases that it is known to stand.
const CRASHING: &[&str] = &["dockerswarm", "ionos", "lightsail"];

/// A difference that is known.
struct Difference {
    /// Which cases, by the beginning of their name.
    cases: &'static str,
    what: What,
    reason: &'static str,
}

enum What {
    /// These labels, whatever they are on either side, told without `__meta_`. All else is the
    /// same.
    Labels(&'static [&'static str]),
    /// The same, and we find targets that 2.42 does not.
    More(&'static [&'static str]),
    /// Which targets there are.
    Targets,
}

const DIFFERENCES: &[Difference] = &[
    Difference {
        cases: "static/without_a_port",
        what: What::Labels(&["instance"]),
        reason: "2.42 adds the scheme's port to addresses, 3.x and we do not",
    },
    Difference {
        cases: "docker/",
        what: What::Targets,
        reason: "2.42 tells a container in each of its networks, and not by IPv6; 3.x and we tell \
                 it in the first",
    },
    Difference {
        cases: "ec2/ipv6",
        what: What::More(&["ec2_default_ipv6_address", "ec2_primary_ipv6_addresses"]),
        reason: "2.42 leaves out instances without an IPv4 address, and has no labels for the \
                 default and primary IPv6 ones",
    },
    Difference {
        cases: "hetzner/hcloud",
        what: What::Labels(&[
            "hetzner_datacenter",
            "hetzner_hcloud_datacenter_location",
            "hetzner_hcloud_datacenter_location_network_zone",
            "hetzner_hcloud_location",
            "hetzner_hcloud_location_network_zone",
        ]),
        reason: "2.42 looks for the location in the data center, which the API tells no more",
    },
    Difference {
        cases: "hetzner/robot",
        what: What::Labels(&["hetzner_robot_datacenter"]),
        reason: "the label was added after 2.42",
    },
    Difference {
        cases: "openstack/instance",
        what: What::More(&[]),
        reason: "2.42 asks Nova for floating IPs and finds nothing without them; 3.x and we ask \
                 Neutron, which answers here",
    },
    Difference {
        cases: "scaleway/instance",
        what: What::More(&[
            "scaleway_instance_public_ipv4_addresses",
            "scaleway_instance_public_ipv6_addresses",
        ]),
        reason: "2.42 tells only instances with a private address, and only one public one",
    },
];

/// One job of Prometheus and one service of ours.
struct Pair {
    name: String,
    rules: Json,
    finds_targets: bool,
    theirs: Side,
    ours: Side,
}

struct Side {
    settings: Map<String, Json>,
    backend: Option<Backend>,
}

#[tokio::test]
async fn both_show_the_same_targets() {
    let Some(installed) = Installed::find() else {
        return skip("PERISKOP_PROMETHEUS names no Prometheus");
    };
    let (pairs, not_comparable) = pairs(&installed).await;
    let prometheus = installed.start(&theirs(&pairs)).await;
    let server = Server::start(&ours(&pairs).to_string()).await;

    // Prometheus needs five seconds to pass on what it finds, and five to make targets of it.
    let deadline = Instant::now() + PATIENCE;
    let mut pause = interval(Duration::from_millis(500));
    let outcomes = loop {
        pause.tick().await;
        let theirs = prometheus.targets().await.by_job();
        let (_, body) = server.get("/api/v1/targets").await;
        let ours = Targets::read(&body).expect("the server's targets").by_job();
        let outcomes = compare(&pairs, &theirs, &ours);
        let settled = outcomes.iter().all(|outcome| !matches!(outcome, Outcome::Different(_)));
        if settled || Instant::now() > deadline {
            break outcomes;
        }
    };
    let complaint = |job: &str| prometheus.complaint_of(job).unwrap_or_default();
    let report = report(&pairs, &outcomes, &not_comparable, complaint);
    // Not `println!`: the harness swallows that when a test passes, and this is worth knowing then.
    let _ = writeln!(std::io::stderr(), "{report}");
    let different = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Different(_)));
    assert_eq!(different.count(), 0, "differences that are not known, see above");
}

/// All that can be compared, and what cannot, each with its reason.
async fn pairs(installed: &Installed) -> (Vec<Pair>, Vec<(String, String)>) {
    let fixtures = fixtures();
    let known = index(&fixtures);
    let mut pairs = vec![without_a_port()];
    let mut not_comparable = Vec::new();
    for case in cases(&fixtures) {
        match pairs_of(&case, &known, installed).await {
            Ok(both) => pairs.extend(both),
            Err(reason) => not_comparable.push((case.name, reason)),
        }
    }
    (pairs, not_comparable)
}

async fn pairs_of(
    case: &Case,
    known: &BTreeMap<String, String>,
    installed: &Installed,
) -> Result<[Pair; 2], String> {
    let mechanism = case.name.split('/').next().unwrap_or_default();
    if let Some((_, reason)) = NOT_THERE.iter().find(|(name, _)| *name == mechanism) {
        return Err((*reason).to_owned());
    }
    if !has_mechanism(case.key()) {
        return Err("we do not have it".to_owned());
    }
    let known = known.get(&case.name).map(String::as_str);
    if let Some(reason) = known.and_then(|known| known.strip_prefix("not comparable: ")) {
        return Err(reason.to_owned());
    }
    if CRASHING.contains(&mechanism) && known.is_none() {
        return Err("2.42 may crash on it".to_owned());
    }
    let side = async || {
        let backend = Backend::start(case).await?;
        Ok::<_, String>(Side { settings: backend.settings.clone(), backend: Some(backend) })
    };
    let pair = async |what: &str, rules| {
        Ok::<_, String>(Pair {
            name: format!("{}/{what}", case.name),
            rules,
            finds_targets: case.has_targets(),
            theirs: side().await?,
            ours: side().await?,
        })
    };
    let pairs = [pair("dropped", dropping()).await?, pair("kept", keeping()).await?];
    let refused = |why| format!("2.42 refuses the configuration: {why}");
    installed.accepts(&theirs(&pairs)).await.map_err(refused)?;
    Ok(pairs)
}

/// An address without a port, on a host that is nobody's.
fn without_a_port() -> Pair {
    let side = || {
        let json = json!({"static_configs": [{"targets": ["127.0.0.2"], "labels": {"a": "b"}}]});
        let settings = json.as_object().cloned().unwrap_or_default();
        Side { settings, backend: None }
    };
    Pair {
        name: "static/without_a_port".to_owned(),
        rules: json!([]),
        finds_targets: true,
        theirs: side(),
        ours: side(),
    }
}

fn dropping() -> Json {
    json!([{"regex": ".*", "action": "drop"}])
}

/// Shows everything that was found in the labels, and leads all scrapes to where nobody listens.
fn keeping() -> Json {
    json!([
        {"source_labels": ["job"], "regex": ".+/.+", "action": "keep"},
        {"action": "labelmap", "regex": "__meta_(.+)"},
        {"source_labels": ["__address__"], "target_label": "address"},
        {"source_labels": ["__address__"], "regex": ".*:(\\d+)", "target_label": "found_port",
         "replacement": "port:$1"},
        {"source_labels": ["job"], "action": "hashmod", "modulus": 1000, "target_label": "shard"},
        {"source_labels": ["job", "__scheme__"], "separator": "@", "action": "uppercase",
         "target_label": "shouted"},
        {"target_label": "__address__", "replacement": "127.0.0.1:9"},
    ])
}

/// The configuration of Prometheus.
fn theirs(pairs: &[Pair]) -> Json {
    let job = |pair: &Pair| {
        let mut job = pair.theirs.settings.clone();
        job.insert("job_name".into(), pair.name.as_str().into());
        job.insert("relabel_configs".into(), pair.rules.clone());
        Json::Object(job)
    };
    let global = json!({"scrape_interval": "1h", "scrape_timeout": "10s"});
    json!({"global": global, "scrape_configs": pairs.iter().map(job).collect::<Vec<_>>()})
}

/// Ours.
fn ours(pairs: &[Pair]) -> Json {
    let service = |pair: &Pair| {
        let mut service = pair.ours.settings.clone();
        let scraper = json!({"endpoint": "/metrics", "refresh_interval": "1h", "timeout": "10s"});
        service.insert("name".into(), pair.name.as_str().into());
        service.insert("scraper".into(), scraper);
        service.insert("relabel_configs".into(), pair.rules.clone());
        Json::Object(service)
    };
    json!({"services": pairs.iter().map(service).collect::<Vec<_>>()})
}

enum Outcome {
    Equal,
    Known(&'static str),
    Different(String),
}

fn compare(
    pairs: &[Pair],
    theirs: &BTreeMap<String, Job>,
    ours: &BTreeMap<String, Job>,
) -> Vec<Outcome> {
    let nothing = Job::default();
    let one = |pair: &Pair| {
        let their_job = theirs.get(&pair.name).unwrap_or(&nothing);
        let our_job = ours.get(&pair.name).unwrap_or(&nothing);
        if !pair.theirs.was_asked() || !pair.ours.was_asked() {
            return Outcome::Different("a backend was not asked".to_owned());
        }
        let known = DIFFERENCES.iter().find(|known| pair.name.starts_with(known.cases));
        let lines = |left_out: &[&str]| {
            (pair.theirs.lines(their_job, left_out), pair.ours.lines(our_job, left_out))
        };
        let (theirs, ours) = lines(&[]);
        let found = |lines: &[String]| !pair.finds_targets || !lines.is_empty();
        if theirs == ours && found(&ours) {
            return Outcome::Equal;
        }
        let is_known = known.filter(|_| found(&ours)).is_some_and(|known| match known.what {
            What::Targets => found(&theirs),
            What::Labels(labels) => {
                let (theirs, ours) = lines(labels);
                theirs == ours
            }
            What::More(labels) => {
                let (theirs, ours) = lines(labels);
                theirs.iter().all(|line| ours.contains(line))
            }
        });
        match known {
            Some(known) if is_known => Outcome::Known(known.reason),
            _ => Outcome::Different(difference(&theirs, &ours)),
        }
    };
    pairs.iter().map(one).collect()
}

impl Side {
    fn was_asked(&self) -> bool {
        self.backend.as_ref().is_none_or(Backend::was_asked)
    }

    /// The targets of a job, without where its backend is, and without some labels.
    fn lines(&self, job: &Job, left_out: &[&str]) -> Vec<String> {
        job.lines(|name, value| {
            let plain = name.strip_prefix("__meta_").unwrap_or(name);
            let label = format!("{name}={value:?}");
            (!left_out.contains(&plain)).then(|| match &self.backend {
                Some(backend) => backend.without_address(&label),
                None => label,
            })
        })
    }
}

fn difference(theirs: &[String], ours: &[String]) -> String {
    let mut difference = String::new();
    for line in theirs.iter().filter(|line| !ours.contains(line)) {
        let _ = writeln!(difference, "  Prometheus: {line}");
    }
    for line in ours.iter().filter(|line| !theirs.contains(line)) {
        let _ = writeln!(difference, "  we:         {line}");
    }
    if difference.is_empty() {
        let _ = writeln!(
            difference,
            "  {} targets of Prometheus, {} of ours",
            theirs.len(),
            ours.len()
        );
    }
    difference
}

fn report(
    pairs: &[Pair],
    outcomes: &[Outcome],
    not_comparable: &[(String, String)],
    complaint: impl Fn(&str) -> String,
) -> String {
    let (mut equal, mut known, mut different) = (0, 0, 0);
    let mut report = String::new();
    for (pair, outcome) in pairs.iter().zip(outcomes) {
        match outcome {
            Outcome::Equal => equal += 1,
            Outcome::Known(reason) => {
                known += 1;
                let _ = writeln!(report, "known difference: {}: {reason}", pair.name);
            }
            Outcome::Different(difference) => {
                different += 1;
                let complaint = complaint(&pair.name);
                let _ = writeln!(report, "DIFFERENT {}\n{difference}{complaint}", pair.name);
            }
        }
    }
    // One line for each mechanism and reason.
    let mut reasons = BTreeMap::<(&str, &str), Vec<&str>>::new();
    for (name, reason) in not_comparable {
        let (mechanism, case) = name.split_once('/').unwrap_or((name, ""));
        reasons.entry((mechanism, reason)).or_default().push(case);
    }
    for ((mechanism, reason), cases) in reasons {
        let _ = writeln!(report, "not comparable: {mechanism}: {}: {reason}", cases.join(", "));
    }
    let (compared, not_compared) = (pairs.len(), not_comparable.len());
    let _ = write!(
        report,
        "{compared} compared: {equal} equal, {known} known differences, {different} others; \
         {not_compared} not comparable"
    );
    report
}

fn fixtures() -> PathBuf {
    let named =
        std::env::var_os("SD_FIXTURES").unwrap_or_else(|| "tests/corpus/sd-fixtures".into());
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(named)
}

/// What the corpus knows of 2.42, by case. Other corpora may know nothing.
fn index(fixtures: &Path) -> BTreeMap<String, String> {
    let index = std::fs::read_to_string(fixtures.join("index.json")).unwrap_or_default();
    let index: Json = serde_json::from_str(&index).unwrap_or_default();
    let cases = index["cases"].as_array().into_iter().flatten();
    let known = |case: &Json| {
        Some((case["case"].as_str()?.to_owned(), case["oracle"].as_str()?.to_owned()))
    };
    cases.filter_map(known).collect()
}
