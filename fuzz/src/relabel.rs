//! Relabelling rules, regular expressions and target groups.

use periskop_core::config::{self, At, Problems};
use periskop_core::target::{
    Labels, MAX_LABELS, MAX_VALUE, NameScheme, Pattern, RelabelConfig, TargetGroup, relabel,
};

/// The input is a list of rules, then a line `---`, then a target group. Rules that decode print as
/// rules that mean the same; relabelling ends, within its bounds, always in the same way.
///
/// # Panics
///
/// If a promise is broken.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let (rules, group) = text.split_once("\n---\n").unwrap_or((&text, ""));
    // Any text, since most are refused already as YAML.
    if let Ok(pattern) = Pattern::new(rules) {
        pattern.is_match(group);
    }
    let group = decoded(group, TargetGroup::decode);
    let Some(rules) = decoded(rules, rules_of) else { return };
    for rule in &rules {
        let printed = rule.to_node().to_string();
        let again = decoded(&printed, rule_of);
        let again = again.unwrap_or_else(|| panic!("refused:\n{printed}"));
        assert_eq!(again.to_node(), rule.to_node(), "printed as\n{printed}");
    }
    let mut targets =
        vec![Labels::from([("__address__", "127.0.0.1:80"), ("a", "b-1"), ("c", "")])];
    targets.extend(group.into_iter().flat_map(|group| group.targets));
    for labels in targets {
        let largest = labels.iter().map(|(_, value)| value.len()).max().unwrap_or(0);
        let most = labels.len().max(MAX_LABELS);
        let relabelled = relabel(&rules, labels.clone());
        assert_eq!(relabelled, relabel(&rules, labels), "always in the same way");
        let Some(relabelled) = relabelled else { continue };
        assert!(relabelled.len() <= most + rules.len());
        assert!(relabelled.iter().all(|(_, value)| value.len() <= MAX_VALUE.max(largest)));
    }
}

fn decoded<T>(text: &str, decode: impl FnOnce(&At<'_>, &mut Problems) -> Option<T>) -> Option<T> {
    config::decode(&config::parse(text).ok()?, decode).ok()
}

fn rule_of(at: &At<'_>, problems: &mut Problems) -> Option<RelabelConfig> {
    RelabelConfig::decode(at, NameScheme::Utf8, problems)
}

fn rules_of(at: &At<'_>, problems: &mut Problems) -> Option<Vec<RelabelConfig>> {
    let items = at.items(problems)?;
    Some(items.iter().filter_map(|at| rule_of(at, problems)).collect())
}
