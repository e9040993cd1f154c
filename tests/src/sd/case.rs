//! Cases as they are written.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use periskop_core::config::{self, At, Fields, Node, Problems};
use periskop_discovery::DiscoveryConfig;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value as Json};

use super::compare::ExpectedGroup;
use super::mock::Route;

/// One case: a directory with `request.json` and `expected.json`.
#[derive(Clone, Debug)]
pub struct Case {
    /// `mechanism/name`.
    pub name: String,
    /// Where it is.
    pub dir: PathBuf,
    pub(super) request: Request,
}

#[derive(Clone, Debug, Deserialize)]
pub(super) struct Request {
    pub(super) sd_key: String,
    pub(super) transport: String,
    pub(super) config: Json,
    #[serde(default)]
    pub(super) routes: Vec<Route>,
    pub(super) dns: Option<super::dns::Question>,
    #[serde(default)]
    pub(super) steps: Vec<Json>,
    /// What a cluster has before discovery begins.
    #[serde(default)]
    pub(super) initial: super::kubernetes::Objects,
    /// What happens to it then.
    #[serde(default)]
    pub(super) events: Vec<super::kubernetes::Event>,
    #[serde(default)]
    pub(super) znodes: Vec<super::zookeeper::Znode>,
    /// Environment variables that the mechanism finds.
    #[serde(default)]
    pub(super) env: BTreeMap<String, String>,
    /// The address of an API that no setting has.
    pub(super) default_base_url: Option<String>,
}

#[derive(Clone, Debug, Default, Deserialize)]
pub(super) struct Expected {
    pub(super) order: Option<String>,
    pub(super) groups: Option<Vec<ExpectedGroup>>,
    pub(super) error: Option<String>,
    #[serde(default)]
    pub(super) partial: Vec<BTreeMap<String, String>>,
    pub(super) sequence: Option<Vec<Option<Vec<ExpectedGroup>>>>,
    /// What is as right as `groups`.
    #[serde(default)]
    pub(super) also_accept: Vec<Vec<ExpectedGroup>>,
}

/// One action on the files of a case.
#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase")]
pub(super) enum FileStep {
    Copy {
        from: String,
        to: String,
    },
    Write {
        to: String,
        data: String,
    },
    Append {
        to: String,
        data: String,
    },
    #[serde(alias = "delete")]
    Remove {
        #[serde(alias = "path", alias = "file")]
        to: String,
    },
    #[serde(alias = "move")]
    Rename {
        from: String,
        to: String,
    },
}

/// All cases below a folder of fixtures, by name.
///
/// # Panics
///
/// Where the folder or a case cannot be read.
pub fn cases(fixtures: &Path) -> Vec<Case> {
    let mut cases = Vec::new();
    for mechanism in directories(fixtures) {
        for dir in directories(&mechanism) {
            if !dir.join("request.json").exists() {
                continue;
            }
            let name = [&mechanism, &dir]
                .map(|path| path.file_name().unwrap_or_default().to_string_lossy().into_owned());
            let request = read(&dir.join("request.json"), |text| text);
            cases.push(Case { name: name.join("/"), dir, request });
        }
    }
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

impl Case {
    /// The key of the mechanism's settings, such as `http_sd_configs`.
    pub fn key(&self) -> &str {
        &self.request.sd_key
    }

    /// Whether its backend speaks HTTP, in plain or with TLS.
    pub fn is_over_http(&self) -> bool {
        ["http", "https"].contains(&self.request.transport.as_str())
    }

    /// What discovery has to tell.
    pub(super) fn expected(&self, places: &Placeholders) -> Expected {
        read(&self.dir.join("expected.json"), |text| places.fill(&text))
    }

    /// Whether there are targets once the backend was asked, or after all steps on files.
    pub(super) fn finds_targets(&self) -> bool {
        let expected = self.expected(&Placeholders::default());
        let has_targets = |groups: &[ExpectedGroup]| groups.iter().any(ExpectedGroup::has_targets);
        let mut updates = expected.sequence.iter().flatten().map(Option::as_deref);
        let told = match self.request.steps.is_empty() {
            true => updates.next().flatten(),
            false => updates.flatten().last(),
        };
        expected.groups.as_deref().or(told).is_some_and(has_targets) || !expected.partial.is_empty()
    }

    /// The item of settings.
    pub(super) fn item(&self, places: &Placeholders) -> Json {
        let mut item = places.fill_json(&self.request.config);
        // An API whose address is fixed is behind a proxy that leads to ours. Google's mechanism
        // has no such settings.
        if let (Some(_), Json::Object(fields)) = (&self.request.default_base_url, &mut item)
            && self.key() != "gce_sd_configs"
        {
            fields.insert("proxy_url".into(), places.fill("http://{{HOSTPORT}}").into());
            let tls = fields.entry("tls_config").or_insert_with(|| Json::Object(Map::new()));
            tls["insecure_skip_verify"] = true.into();
        }
        item
    }

    /// The configuration, decoded as a service's would be.
    pub(super) fn config(&self, places: &Placeholders) -> Result<DiscoveryConfig, String> {
        let item = self.item(places);
        let section = Map::from_iter([(self.key().to_owned(), Json::Array(vec![item]))]);
        let root = Node::from_json(&Json::Object(section));
        let decode = |at: &At<'_>, problems: &mut Problems| {
            let mut fields = Fields::new(at, problems)?;
            let configs = DiscoveryConfig::decode_all(&mut fields);
            fields.finish();
            configs.into_iter().next()
        };
        config::decode(&root, decode).map_err(|problems| problems.to_string())
    }
}

/// What stands for `{{SERVER}}`, `{{DIR}}` and so on in the files of a case.
#[derive(Clone, Debug, Default)]
pub(super) struct Placeholders(Vec<(&'static str, String)>);

impl Placeholders {
    pub(super) fn set(&mut self, name: &'static str, value: impl Into<String>) {
        self.0.push((name, value.into()));
    }

    /// The placeholders of a server at this address that speaks `http` or `https`.
    pub(super) fn server_of(scheme: &str, address: std::net::SocketAddr) -> Self {
        let mut places = Self::default();
        places.set("{{SERVER}}", format!("{scheme}://{address}"));
        places.set("{{HOSTPORT}}", address.to_string());
        places.set("{{HOST}}", address.ip().to_string());
        places.set("{{PORT}}", address.port().to_string());
        places
    }

    pub(super) fn fill(&self, text: &str) -> String {
        // A port is an integer where it is the whole value.
        let quoted = |name: &str| format!("\"{name}\"");
        self.0.iter().fold(text.to_owned(), |text, (name, value)| match *name {
            "{{PORT}}" => text.replace(&quoted(name), value).replace(name, value),
            name => text.replace(name, value),
        })
    }

    /// The opposite: the name of a placeholder instead of each value that stands for nothing else.
    pub(super) fn take_out(&self, text: &str) -> String {
        self.0.iter().fold(text.to_owned(), |text, (name, value)| match *name {
            "{{HOSTPORT}}" | "{{DIR}}" => text.replace(value, name),
            "{{PORT}}" => text.replace(&format!(":{value}"), ":{{PORT}}"),
            _ => text,
        })
    }

    fn fill_json(&self, json: &Json) -> Json {
        serde_json::from_str(&self.fill(&json.to_string())).expect("placeholders fill JSON texts")
    }
}

fn read<T: DeserializeOwned>(path: &Path, fill: impl FnOnce(String) -> String) -> T {
    let text = match fs::read_to_string(path) {
        Ok(text) => fill(text),
        Err(error) => panic!("{}: {error}", path.display()),
    };
    match serde_json::from_str(&text) {
        Ok(value) => value,
        Err(error) => panic!("{}: {error}", path.display()),
    }
}

fn directories(path: &Path) -> Vec<PathBuf> {
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) => panic!("{}: {error}", path.display()),
    };
    entries.filter_map(Result::ok).map(|entry| entry.path()).filter(|path| path.is_dir()).collect()
}
