//! Target groups as files and HTTP backends write them.

use std::collections::BTreeMap;

use periskop_core::config::{At, Fields, Problems};
use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;

/// The address of a target, as discovery tells it.
pub(crate) const ADDRESS: &str = "__address__";

/// A group out of YAML: any scalar is a target, null is an empty one.
pub(crate) fn decode_group(at: &At<'_>, problems: &mut Problems) -> Option<TargetGroup> {
    let mut fields = Fields::new(at, problems)?;
    let group = TargetGroup {
        source: String::new(),
        targets: targets(fields.string_list("targets").unwrap_or_default()),
        labels: fields.labels("labels").unwrap_or_default(),
    };
    fields.finish();
    Some(group)
}

/// A list of groups out of YAML. Nothing at all is an empty list.
pub(crate) fn groups_from_yaml(text: &str) -> Result<Vec<TargetGroup>, String> {
    let root = periskop_core::config::parse(text).map_err(|problem| problem.to_string())?;
    let decode_all = |at: &At<'_>, problems: &mut Problems| {
        let items = at.items(problems)?;
        let groups = items.iter().enumerate().filter_map(|(i, item)| {
            if item.node.is_null() {
                item.problem(problems, nil_item(i));
                return None;
            }
            decode_group(item, problems)
        });
        Some(groups.collect())
    };
    periskop_core::config::decode(&root, decode_all).map_err(|problems| problems.to_string())
}

/// A list of groups out of JSON: unlike YAML, targets and label values must be strings.
pub(crate) fn groups_from_json(bytes: &[u8]) -> Result<Vec<TargetGroup>, String> {
    let groups: Option<Vec<Option<JsonGroup>>> =
        serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let groups = groups.unwrap_or_default();
    groups
        .into_iter()
        .enumerate()
        .map(|(i, group)| group.ok_or_else(|| nil_item(i))?.into_group())
        .collect()
}

/// Null stands for empty everywhere but for a whole group, as in Go.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct JsonGroup {
    #[serde(default)]
    targets: Option<Vec<Option<String>>>,
    #[serde(default)]
    labels: Option<BTreeMap<String, Option<String>>>,
}

impl JsonGroup {
    fn into_group(self) -> Result<TargetGroup, String> {
        let labels = self.labels.unwrap_or_default();
        if labels.contains_key("") {
            return Err("\"\" is not a valid label name".into());
        }
        let all = self.targets.unwrap_or_default();
        Ok(TargetGroup {
            source: String::new(),
            targets: targets(all.into_iter().map(Option::unwrap_or_default)),
            labels: labels
                .into_iter()
                .map(|(name, value)| (name, value.unwrap_or_default()))
                .collect(),
        })
    }
}

fn targets(addresses: impl IntoIterator<Item = String>) -> Vec<Labels> {
    addresses.into_iter().map(|address| Labels::from([(ADDRESS, address)])).collect()
}

fn nil_item(index: usize) -> String {
    format!("nil target group item found (index {index})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn yaml_takes_any_scalar_for_a_target_and_json_only_strings() {
        let groups = groups_from_yaml("- targets: [1, true, 2.50, null]\n").unwrap();
        let addresses: Vec<_> = groups[0].targets.iter().map(|t| t.get(ADDRESS)).collect();
        assert_eq!(addresses, ["1", "true", "2.50", ""]);
        assert!(groups_from_json(br#"[{"targets": [1]}]"#).is_err());
    }

    #[test]
    fn a_null_group_fails_the_whole() {
        let yaml = groups_from_yaml("- targets: [a]\n- null\n").unwrap_err();
        assert!(yaml.contains("nil target group item found (index 1)"), "{yaml}");
        let json = groups_from_json(br#"[{"targets": ["a"]}, null]"#).unwrap_err();
        assert!(json.contains("nil target group item found (index 1)"), "{json}");
    }

    #[test]
    fn unknown_fields_are_refused_in_both_forms() {
        assert!(groups_from_yaml("- target: [a]\n").unwrap_err().contains("unknown field"));
        assert!(groups_from_json(br#"[{"target": ["a"]}]"#).unwrap_err().contains("unknown field"));
    }
}
