//! Lists of target groups as files and HTTP backends write them.

use periskop_core::config::{At, Problems};
use periskop_core::target::TargetGroup;
use serde_json::Value;

/// The address of a target, as discovery tells it.
pub(crate) const ADDRESS: &str = "__address__";

/// Groups out of YAML. Nothing at all is an empty list; a null item fails the whole.
pub(crate) fn groups_from_yaml(text: &str) -> Result<Vec<TargetGroup>, String> {
    let root = periskop_core::config::parse(text).map_err(|problem| problem.to_string())?;
    let decode_all = |at: &At<'_>, problems: &mut Problems| {
        let items = at.items(problems)?;
        let groups = items.iter().enumerate().filter_map(|(i, item)| {
            if item.node.is_null() {
                item.problem(problems, nil_item(i));
                return None;
            }
            TargetGroup::decode(item, problems)
        });
        Some(groups.collect())
    };
    periskop_core::config::decode(&root, decode_all).map_err(|problems| problems.to_string())
}

/// Groups out of JSON, read one by one: the whole as a tree would take many times the space of
/// the text. A null item fails the whole.
pub(crate) fn groups_from_json(bytes: &[u8]) -> Result<Vec<TargetGroup>, String> {
    let items: Option<Vec<&serde_json::value::RawValue>> =
        serde_json::from_slice(bytes).map_err(|e| e.to_string())?;
    let read = |(i, item): (usize, &serde_json::value::RawValue)| {
        let json: Value = serde_json::from_str(item.get()).map_err(|e| e.to_string())?;
        if json.is_null() {
            return Err(nil_item(i));
        }
        TargetGroup::from_json(&json).map_err(|reason| format!("group {i}: {reason}"))
    };
    items.unwrap_or_default().into_iter().enumerate().map(read).collect()
}

fn nil_item(index: usize) -> String {
    format!("nil target group item found (index {index})")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_null_group_fails_the_whole() {
        let yaml = groups_from_yaml("- targets: [a]\n- null\n").unwrap_err();
        assert!(yaml.contains("nil target group item found (index 1)"), "{yaml}");
        let json = groups_from_json(br#"[{"targets": ["a"]}, null]"#).unwrap_err();
        assert!(json.contains("nil target group item found (index 1)"), "{json}");
    }

    #[test]
    fn nothing_is_an_empty_list_in_yaml_but_no_json() {
        assert_eq!(groups_from_yaml("").unwrap(), []);
        assert_eq!(groups_from_json(b"null").unwrap(), []);
        assert!(groups_from_json(b"").is_err());
        assert!(groups_from_json(b"{}").is_err());
    }
}
