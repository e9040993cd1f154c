//! `relabel/*.json`.

use periskop_core::config::{self, At, Node, Problems};
use periskop_core::target::{Labels, NameScheme, RelabelConfig, relabel};
use serde_json::{Value as Json, json};

use crate::{Corpus, Outcome, items, refused, same, text};

#[test]
fn labels_come_out_as_prometheus_s_tests_say() {
    let (mut corpus, cases) = Corpus::read("relabel/cases.json");
    for case in items(&cases) {
        let rules = rules_of_yaml(text(case, "relabel_configs_yaml"), scheme(&case["scheme"]));
        corpus.case(text(case, "name"), rules.and_then(|rules| transforms(&rules, case)));
    }
    corpus.finish();
}

#[test]
fn labels_come_out_as_prometheus_made_them() {
    let (mut corpus, file) = Corpus::read("relabel/differential.json");
    let scheme = scheme(&file["name_validation_scheme"]);
    for case in items(&file["cases"]) {
        let rules = decode(&Node::from_json(&case["relabel_configs"]), scheme);
        corpus.case(&case["id"], rules.and_then(|rules| transforms(&rules, case)));
    }
    corpus.finish();
}

#[test]
fn rules_are_refused_and_completed_as_by_prometheus() {
    let (mut corpus, file) = Corpus::read("relabel/differential_invalid.json");
    for case in items(&file["invalid"]) {
        let yaml = text(case, "relabel_configs_yaml");
        // Only Prometheus's own words are wanted, not those of the libraries it uses.
        let wanted = if case["kind"] == "config" { text(case, "error") } else { "" };
        corpus.case(yaml, refused(rules_of_yaml(yaml, scheme(&case["scheme"])), wanted));
    }
    for case in items(&file["accepted"]) {
        let yaml = text(case, "relabel_configs_yaml");
        let effective = text(case, "effective_yaml");
        let outcome = rules_of_yaml(yaml, scheme(&case["scheme"])).and_then(|rules| {
            let found = Node::sequence(rules.iter().map(RelabelConfig::to_node));
            same(&found, &config::parse(effective).map_err(|e| e.to_string())?)?;
            same(&config::parse(&found.to_string()).map_err(|e| e.to_string())?, &found)
        });
        corpus.case(yaml, outcome);
    }
    corpus.finish();
}

#[test]
fn rules_are_validated_as_prometheus_s_tests_say() {
    let (mut corpus, cases) = Corpus::read("relabel/validate.json");
    for case in items(&cases) {
        let mut fields = case["config"].clone();
        if fields["action"] == "" {
            fields["action"] = Json::Null; // the tests have Go's zero value, which is "not set"
        }
        let rule = decode(&Node::from_json(&json!([fields])), scheme(&case["scheme"]));
        let outcome = match case["error_contains"].as_str() {
            Some(wanted) => refused(rule, wanted),
            None => rule.map(drop),
        };
        corpus.case(text(case, "name"), outcome);
    }
    corpus.finish();
}

#[test]
fn target_labels_of_the_legacy_scheme_are_judged_as_by_prometheus() {
    let (mut corpus, file) = Corpus::read("relabel/target_label_legacy.json");
    for case in items(&file["cases"]) {
        let (Some(label), Some(wanted)) = (case[0].as_str(), case[1].as_bool()) else {
            panic!("not a case: {case}");
        };
        corpus.case(label, same(&NameScheme::Legacy.allows_template(label), &wanted));
    }
    corpus.finish();
}

#[test]
fn rules_are_written_as_they_were_read() {
    let (mut corpus, cases) = Corpus::read("relabel/yaml_roundtrip.json");
    for case in items(&cases) {
        let yaml = text(case, "yaml");
        let node = config::parse(yaml).expect("YAML");
        let outcome = decode(&Node::sequence([node.clone()]), NameScheme::Utf8)
            .and_then(|rules| same(&config::parse(&rules[0].to_string()), &Ok(node)));
        corpus.case(text(case, "name"), outcome);
    }
    corpus.finish();
}

#[test]
fn regular_expressions_match_as_in_go() {
    let (mut corpus, cases) = Corpus::read("relabel/go_vs_rust_regex.json");
    for case in items(&cases) {
        let found = match_and_expand(case);
        let outcome = match found.as_str() {
            // What cannot be translated may be refused, but then it says so.
            found if found.starts_with("ERR") && found.contains("not supported") => Ok(()),
            found if found.starts_with("ERR") => same(&"ERR", &text(case, "go")),
            found => same(&found, &text(case, "go")),
        };
        corpus.case(case, outcome);
    }
    corpus.finish();
}

/// `=` and the expanded template, `NOMATCH`, or `ERR` and the reason.
fn match_and_expand(case: &Json) -> String {
    let rule = json!([{
        "source_labels": ["in"],
        "regex": case["regex"],
        "target_label": "out",
        "replacement": case["template"],
    }]);
    let rules = match decode(&Node::from_json(&rule), NameScheme::Utf8) {
        Ok(rules) => rules,
        Err(message) => return format!("ERR {message}"),
    };
    let labels = Labels::from([("in", text(case, "input")), ("out", "\u{1}untouched")]);
    let labels = relabel(&rules, labels).expect("a replacement drops nothing");
    match labels.get("out") {
        "\u{1}untouched" => "NOMATCH".into(),
        out => format!("={out}"),
    }
}

fn transforms(rules: &[RelabelConfig], case: &Json) -> Outcome {
    let found = relabel(rules, labels(&case["input"]));
    let wanted = (!case["output"].is_null()).then(|| labels(&case["output"]));
    let without_empty = |labels: Option<Labels>| {
        labels.map(|mut labels| {
            labels.retain(|_, value| !value.is_empty());
            labels
        })
    };
    same(&found, &without_empty(wanted)).map_err(|diff| format!("{case}\n{diff}"))
}

fn labels(json: &Json) -> Labels {
    let fields = json.as_object().expect("labels are an object");
    fields.iter().map(|(name, value)| (name, value.as_str().expect("a text"))).collect()
}

pub(crate) fn scheme(json: &Json) -> NameScheme {
    if json == "legacy" { NameScheme::Legacy } else { NameScheme::Utf8 }
}

fn rules_of_yaml(yaml: &str, scheme: NameScheme) -> Result<Vec<RelabelConfig>, String> {
    decode(&config::parse(yaml).map_err(|e| e.to_string())?, scheme)
}

/// Decodes a list of rules the way a service's section does.
pub(crate) fn decode(list: &Node, scheme: NameScheme) -> Result<Vec<RelabelConfig>, String> {
    let section = Node::mapping([("relabel_configs", list.clone())]);
    let take = |at: &At<'_>, problems: &mut Problems| {
        let mut fields = config::Fields::new(at, problems)?;
        let rules = RelabelConfig::decode_list(&mut fields, "relabel_configs", scheme);
        fields.finish();
        Some(rules)
    };
    config::decode(&section, take).map_err(|problems| problems.to_string())
}
