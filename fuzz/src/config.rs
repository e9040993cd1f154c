//! Configuration files, with whatever people and programs write into them.

use periskop_core::config::{self, Node};

/// A text parses or has one problem with a place in it. What parses prints as YAML that parses as
/// the same. Durations and sizes never overflow.
///
/// # Panics
///
/// If a promise is broken.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    match config::parse(&text) {
        Ok(node) => {
            let printed = node.to_string();
            let again = config::parse(&printed);
            let again = again.unwrap_or_else(|problem| panic!("{problem:?} in\n{printed}"));
            assert_eq!(again, node, "printed as\n{printed}");
        }
        Err(problem) => {
            let breaks = text.chars().filter(|c| matches!(c, '\n' | '\r')).count();
            assert!(problem.line <= breaks + 2, "{problem:?}");
            assert!(!problem.message.is_empty(), "{problem:?}");
        }
    }
    if let Ok(json) = serde_json::from_slice(input) {
        let _ = Node::from_json(&json).to_string();
    }
    if let Ok(duration) = config::parse_duration(&text) {
        let printed = config::format_duration(duration);
        assert_eq!(config::parse_duration(&printed), Ok(duration), "{text:?} is {printed}");
    }
    let _ = config::parse_go_duration(&text);
    let _ = config::parse_bytes(&text);
}
