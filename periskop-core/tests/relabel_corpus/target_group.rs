//! `target_group/cases.json`.

use periskop_core::config::{self, Node};
use periskop_core::target::{Labels, TargetGroup};
use serde_json::Value as Json;

use crate::{Corpus, Outcome, items, refused, same, text};

#[test]
fn target_groups_are_read_and_written_as_by_prometheus() {
    let (mut corpus, file) = Corpus::read("target_group/cases.json");
    for case in items(&file["TestTargetGroupStrictJSONUnmarshal"]) {
        let json: Json = serde_json::from_str(text(case, "json")).expect("JSON");
        corpus.case(text(case, "json"), is_read(TargetGroup::from_json(&json), case));
    }
    for case in items(&file["TestTargetGroupYamlUnmarshal"]) {
        let node = config::parse(text(case, "yaml")).expect("YAML");
        let group = config::decode(&node, TargetGroup::decode).map_err(|e| e.to_string());
        corpus.case(text(case, "yaml"), is_read(group, case));
    }
    for case in items(&file["TestTargetGroupJSONMarshal"]) {
        let wanted: Json = serde_json::from_str(text(case, "expectedJSON")).expect("JSON");
        corpus.case(&case["group"], same(&group(&case["group"]).to_json(), &wanted));
    }
    for case in items(&file["TestTargetGroupYamlMarshal"]) {
        let found = group(&case["group"]).to_node().to_string();
        corpus.case(&case["group"], same(&found.as_str(), &text(case, "expectedYaml")));
    }
    corpus.finish();
}

fn is_read(found: Result<TargetGroup, String>, case: &Json) -> Outcome {
    match case["expectedReply"].as_str() {
        None => same(&found, &Ok(group(&case["expectedGroup"]))),
        // The meaning of Go's messages, not their words: which field is unknown, or which line.
        Some(reply) => {
            let field = reply.strip_prefix("json: ");
            let line = reply.split_whitespace().skip_while(|word| *word != "line").nth(1);
            let line = line.map(|number| format!("line {}", number.trim_end_matches(':')));
            refused(found, field.or(line.as_deref()).unwrap_or_default())
        }
    }
}

fn group(json: &Json) -> TargetGroup {
    let labels = |json: &Json| -> Labels {
        let node = Node::from_json(json);
        config::decode(&node, |at, problems| at.labels(problems)).expect("labels")
    };
    TargetGroup {
        source: text(json, "source").into(),
        targets: items(&json["targets"]).iter().map(labels).collect(),
        labels: labels(&json["labels"]),
    }
}
