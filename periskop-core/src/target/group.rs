//! Target groups, the currency of discovery.

use serde_json::{Map, Value as Json};

use crate::config::{At, Fields, Node, Problems};
use crate::target::Labels;

/// Targets that one source of a discovery mechanism tells together.
///
/// In files and answers a group is written `{"targets": ["host:port"], "labels": {…}}`; each
/// target becomes the label `__address__`. Unknown fields are refused in both forms. As in
/// Prometheus, YAML takes any scalar for a target by its text, JSON takes strings only.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// Identifies the group within its mechanism: a later group of the same source replaces it.
    pub source: String,
    /// The targets, each with its own labels, `__address__` among them.
    pub targets: Vec<Labels>,
    /// Labels that all of them have; a target's own win.
    pub labels: Labels,
}

/// The label that holds a target's `host:port`.
const ADDRESS: &str = "__address__";

impl TargetGroup {
    /// Decodes a group of a YAML file. Its source stays empty.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let targets = fields.string_list("targets").unwrap_or_default();
        let labels = fields.labels("labels").unwrap_or_default();
        fields.finish();
        Some(Self { source: String::new(), targets: addresses(targets), labels })
    }

    /// Decodes a group of a JSON answer. Its source stays empty. Keys are found whatever their
    /// case, as in Go.
    ///
    /// # Errors
    ///
    /// Says which field is wrong.
    pub fn from_json(json: &Json) -> Result<Self, String> {
        let fields = match json {
            Json::Null => return Ok(Self::default()),
            Json::Object(fields) => fields,
            other => return Err(expected("a target group", other)),
        };
        let mut group = Self::default();
        for (name, value) in fields {
            match name.to_lowercase().as_str() {
                "targets" => group.targets = addresses(strings(value)?),
                "labels" => group.labels = labels(value)?,
                _ => return Err(format!("unknown field {name:?}")),
            }
        }
        Ok(group)
    }

    /// Writes the group as JSON: the addresses of its targets, and labels where there are any.
    pub fn to_json(&self) -> Json {
        let mut fields = Map::new();
        let targets = self.targets.iter().map(|labels| labels.get(ADDRESS).into()).collect();
        fields.insert("targets".into(), Json::Array(targets));
        if !self.labels.is_empty() {
            let labels = self.labels.iter().map(|(name, value)| (name.to_owned(), value.into()));
            fields.insert("labels".into(), Json::Object(labels.collect()));
        }
        Json::Object(fields)
    }

    /// Writes the group as configuration, for `Display` to print.
    pub fn to_node(&self) -> Node {
        let targets = self.targets.iter().map(|labels| labels.get(ADDRESS));
        let mut fields = vec![("targets", Node::sequence(targets))];
        if !self.labels.is_empty() {
            fields.push(("labels", Node::mapping(self.labels.iter())));
        }
        Node::mapping(fields)
    }
}

fn addresses(targets: Vec<String>) -> Vec<Labels> {
    targets.into_iter().map(|address| Labels::from([(ADDRESS, address)])).collect()
}

fn strings(json: &Json) -> Result<Vec<String>, String> {
    let item = |json: &Json| match json {
        Json::String(text) => Ok(text.clone()),
        Json::Null => Ok(String::new()),
        other => Err(expected("a string in \"targets\"", other)),
    };
    match json {
        Json::Null => Ok(Vec::new()),
        Json::Array(items) => items.iter().map(item).collect(),
        other => Err(expected("a list for \"targets\"", other)),
    }
}

fn labels(json: &Json) -> Result<Labels, String> {
    let fields = match json {
        Json::Null => return Ok(Labels::new()),
        Json::Object(fields) => fields,
        other => return Err(expected("an object for \"labels\"", other)),
    };
    let mut labels = Labels::new();
    for (name, value) in fields {
        if name.is_empty() {
            return Err("\"\" is not a valid label name".into());
        }
        match value {
            Json::String(text) => labels.insert(name, text),
            Json::Null => labels.insert(name, ""),
            other => return Err(expected("a string for a label", other)),
        }
    }
    Ok(labels)
}

fn expected(wanted: &str, found: &Json) -> String {
    format!("expected {wanted}, found {}", Node::from_json(found).describe())
}
