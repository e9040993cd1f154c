//! Relabelling: rules and labels out of arbitrary bytes.

use periskop_core::config::{self, At, Node, Problems};
use periskop_core::target::{self, Labels, MAX_LABELS, MAX_VALUE, NameScheme, RelabelConfig};

/// Takes the bytes up to the first line that holds only `---` for a YAML list of rules, and each
/// line after it for a label, `name=value`. Whatever is decoded must apply without a panic and
/// within the limits, read back as it is printed, and leave nothing for a second look: labels
/// that came out are labels that go in.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    let (rules, labels) = text.split_once("\n---\n").unwrap_or((&text, ""));
    let Ok(node) = config::parse(rules) else { return };
    let Ok(rules) = decode(&node) else { return };

    let printed = Node::sequence(rules.iter().map(RelabelConfig::to_node)).to_string();
    let again = config::parse(&printed).map(|node| decode(&node));
    assert_eq!(again, Ok(Ok(rules.clone())), "printed as\n{printed}");

    let longest = labels.lines().map(str::len).max().unwrap_or(0);
    let labels: Labels = labels
        .lines()
        .take(MAX_LABELS)
        .filter_map(|line| line.split_once('='))
        .filter(|(name, _)| !name.is_empty())
        .collect();
    let Some(result) = target::relabel(&rules, labels) else { return };
    assert!(result.len() <= MAX_LABELS);
    for (name, value) in result.iter() {
        assert!(!name.is_empty() && !value.is_empty());
        assert!(name.len() <= MAX_VALUE.max(longest) && value.len() <= MAX_VALUE.max(longest));
    }
    assert_eq!(target::relabel(&[], result.clone()), Some(result));
}

fn decode(list: &Node) -> Result<Vec<RelabelConfig>, Problems> {
    config::decode(list, |at: &At<'_>, problems: &mut Problems| {
        let items = at.items(problems)?;
        let rule = |at: &At<'_>| RelabelConfig::decode(at, NameScheme::Utf8, problems);
        Some(items.iter().filter_map(rule).collect())
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_rule_and_its_labels_are_taken() {
        super::run(b"- {source_labels: [a], target_label: b}\n---\na=1\nc=\n");
    }
}
