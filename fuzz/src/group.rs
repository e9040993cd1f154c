//! Target groups as discovery backends and files tell them.

use periskop_core::config;
use periskop_core::target::TargetGroup;

/// What is read of a JSON group is written as JSON that reads as the same, and a YAML group is
/// taken apart without a panic.
///
/// # Panics
///
/// If a promise is broken.
pub fn run(input: &[u8]) {
    if let Ok(json) = serde_json::from_slice(input)
        && let Ok(group) = TargetGroup::from_json(&json)
    {
        assert_eq!(TargetGroup::from_json(&group.to_json()), Ok(group));
    }
    if let Ok(node) = config::parse(&String::from_utf8_lossy(input))
        && let Ok(group) = config::decode(&node, TargetGroup::decode)
    {
        let printed = group.to_node().to_string();
        let again = config::parse(&printed).map(|node| config::decode(&node, TargetGroup::decode));
        assert_eq!(again, Ok(Ok(group)), "printed as\n{printed}");
    }
}
