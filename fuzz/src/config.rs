//! Configuration: YAML out of arbitrary bytes.

use std::path::Path;

use periskop_core::config::{self, At, Fields, MAX_DEPTH, MAX_NODES, Node, Problems, Value};

/// Whatever is read must stay within the limits, read back equal from what it prints, and be
/// taken apart by every kind of taker without a panic. As a configuration of the server it is taken,
/// or refused with every problem in words.
pub fn run(data: &[u8]) {
    let text = String::from_utf8_lossy(data);
    if let Err(problems) = periskop_server::config::Config::parse(&text, Path::new("")) {
        assert!(problems.iter().all(|problem| !problem.message.is_empty()));
        assert!(problems.iter().next().is_some());
    }
    let node = match config::parse(&text) {
        Ok(node) => node,
        Err(problem) => {
            assert!(problem.line >= 1 && !problem.message.is_empty());
            return;
        }
    };
    let (nodes, depth) = measure(&node);
    assert!(nodes <= MAX_NODES && depth <= MAX_DEPTH);
    if is_printable(&node) {
        let printed = node.to_string();
        assert_eq!(config::parse(&printed), Ok(node.clone()), "printed as\n{printed}");
    }
    let mut problems = Problems::new();
    take_apart(&At::root(&node), &mut problems);
    for problem in problems.iter() {
        assert!(!problem.to_string().is_empty());
    }
}

fn take_apart(at: &At<'_>, problems: &mut Problems) {
    for item in at.items(&mut Problems::new()).unwrap_or_default() {
        take_apart(&item, problems);
    }
    for (_, item) in at.entries(&mut Problems::new()).unwrap_or_default() {
        take_apart(&item, problems);
    }
    at.labels(problems);
    let Some(mut fields) = Fields::new(at, problems) else { return };
    fields.string("a");
    fields.bool("b");
    fields.int("c");
    fields.uint("d");
    fields.port("e");
    fields.float("f");
    fields.duration("g");
    fields.go_duration("h");
    fields.bytes("i");
    fields.secret("j");
    fields.string_list("k");
    fields.string_map("l");
    fields.matching(|name| name.ends_with("_sd_configs"));
    fields.finish();
}

/// How many nodes there are, and how deep they nest.
fn measure(node: &Node) -> (usize, usize) {
    let inner: Vec<&Node> = match &node.value {
        Value::Null | Value::Scalar(_) => return (1, 0),
        Value::Sequence(items) => items.iter().collect(),
        Value::Mapping(entries) => entries.iter().map(|entry| &entry.value).collect(),
    };
    inner
        .into_iter()
        .map(measure)
        .fold((1, 1), |(nodes, depth), (more, below)| (nodes + more, depth.max(below + 1)))
}

/// Binary data that is no text is only known escaped; what it prints is that text.
fn is_printable(node: &Node) -> bool {
    match &node.value {
        Value::Null => true,
        Value::Scalar(scalar) => scalar.kind() != config::Kind::NotUtf8,
        Value::Sequence(items) => items.iter().all(is_printable),
        Value::Mapping(entries) => entries
            .iter()
            .all(|entry| entry.key.kind() != config::Kind::NotUtf8 && is_printable(&entry.value)),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn a_configuration_is_taken() {
        super::run(b"a: [1, {b: ~}]\nc: !!binary /w==\n");
    }
}
