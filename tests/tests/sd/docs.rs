//! The pages about discovery: there is one for each mechanism, its example is a configuration
//! that is taken, and it names every setting and every label.

use std::collections::BTreeMap;
use std::path::PathBuf;

use periskop_core::config::{self, At, Fields, Problems};
use periskop_core::target::{NameScheme, RelabelConfig};
use periskop_discovery::{DiscoveryConfig, mechanisms};
use periskop_tests::workspace;
use serde_json::Value as Json;

fn folder() -> PathBuf {
    workspace::root().join("docs/discovery")
}

fn page(mechanism: &str) -> String {
    let file = folder().join(format!("{mechanism}.md"));
    std::fs::read_to_string(&file).unwrap_or_else(|e| panic!("{}: {e}", file.display()))
}

fn corpus(file: &str) -> BTreeMap<String, Json> {
    let file = workspace::root().join("tests/corpus/sd-fixtures").join(file);
    let text = std::fs::read_to_string(file).expect("the project carries the corpus");
    serde_json::from_str(&text).expect("the corpus is JSON")
}

fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_')
}

#[test]
fn each_example_is_taken_and_is_about_its_mechanism() {
    for mechanism in mechanisms() {
        let page = page(mechanism);
        let blocks: Vec<_> = page.split("```yaml\n").skip(1).collect();
        let [block] = blocks[..] else { panic!("{mechanism}: {} blocks of YAML", blocks.len()) };
        let yaml = block.split("```").next().unwrap_or_default();
        let root = config::parse(yaml).unwrap_or_else(|e| panic!("{mechanism}: {e}"));
        let services = root.get("services").expect("an example has services");
        let found = config::decode(services, |at: &At<'_>, problems: &mut Problems| {
            let mut found = Vec::new();
            for service in at.items(problems)? {
                let mut fields = Fields::new(&service, problems)?;
                assert!(fields.string("name").is_some(), "{mechanism}: a service without a name");
                found.extend(DiscoveryConfig::decode_all(&mut fields));
                let scheme = NameScheme::default();
                RelabelConfig::decode_list(&mut fields, "relabel_configs", scheme);
                fields.node("scraper");
                fields.finish();
            }
            Some(found)
        });
        let found = found.unwrap_or_else(|problems| panic!("{mechanism}: {problems}\n{yaml}"));
        let found: Vec<_> = found.iter().map(DiscoveryConfig::mechanism).collect();
        assert!(found.contains(&mechanism), "{mechanism}: its example is about {found:?}");
    }
}

#[test]
fn there_is_every_mechanism_that_prometheus_has() {
    let known = mechanisms();
    let missing: Vec<_> = corpus("config_fields.json")
        .into_keys()
        .filter(|key| !known.contains(&key.as_str()))
        .collect();
    assert!(missing.is_empty(), "{missing:?}");
    assert_eq!(known.len(), 37);
}

#[test]
fn each_setting_is_told() {
    let settings = corpus("config_fields.json");
    let mut missing = Vec::new();
    for mechanism in mechanisms() {
        let page = page(mechanism);
        for setting in settings.get(mechanism).and_then(Json::as_array).into_iter().flatten() {
            if let Some(name) = setting["name"].as_str()
                && !page.contains(&format!("`{name}`"))
            {
                missing.push(format!("{mechanism}: {name}"));
            }
        }
    }
    assert!(missing.is_empty(), "settings that no page tells of: {missing:#?}");
}

#[test]
fn each_label_is_told_and_no_other() {
    let labels = corpus("meta_labels.json");
    let mut wrong = Vec::new();
    for mechanism in mechanisms() {
        let page = page(mechanism);
        let known: Vec<_> =
            labels.get(mechanism).and_then(Json::as_array).into_iter().flatten().collect();
        let known: Vec<_> = known.iter().filter_map(|label| label.as_str()).collect();
        let told: Vec<_> = words(&page).filter(|word| word.starts_with("__meta_")).collect();
        for label in &known {
            // What all of its labels begin with is none.
            let is_one = *label != format!("__meta_{mechanism}_");
            // What is there several times has a number at its end.
            let is_told = told.iter().any(|word| word.starts_with(label));
            if is_one && !is_told {
                wrong.push(format!("{mechanism}: {label} is not told"));
            }
        }
        // The roles of `aws` have pages of their own.
        for word in told.iter().filter(|_| mechanism != "aws") {
            let is_known = known.iter().any(|label| {
                let rest = word.strip_prefix(label);
                rest.is_some_and(|rest| rest.is_empty() || rest == "_" || label.ends_with('_'))
            });
            if !is_known && !known.is_empty() {
                wrong.push(format!("{mechanism}: {word} is no label"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}
