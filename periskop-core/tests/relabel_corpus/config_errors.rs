//! `config/errors.json`: whole files of Prometheus that must be refused. Here those about labels
//! and relabelling; those about discovery need the discovery crate.

use periskop_core::config::{self, At, Fields, Node, Problems, Value};
use periskop_core::target::RelabelConfig;
use serde_json::Value as Json;

use crate::relabel::scheme;
use crate::{Corpus, folder, items, refused, text};

#[test]
fn files_with_bad_labels_or_rules_are_refused_in_prometheus_words() {
    let (mut corpus, file) = Corpus::read("config/errors.json");
    for case in items(&file["cases"]) {
        let name = text(case, "file");
        let yaml = std::fs::read_to_string(folder().join("config").join(name)).expect("a file");
        if concerns_labels(&yaml) {
            corpus.case(name, refused(read(&yaml), text(case, "error_contains")));
        } else {
            corpus.leave_out();
        }
    }
    corpus.finish();
}

/// Whether the file is about something that this crate decodes. There is no relabelling of
/// metrics here, because there are no metrics.
fn concerns_labels(yaml: &str) -> bool {
    [" relabel_configs:", "\nexternal_labels:", " external_labels:\n    !!", "name: !!binary"]
        .iter()
        .any(|key| yaml.contains(key))
}

/// Decodes what this crate knows of a `prometheus.yml`.
fn read(yaml: &str) -> Result<(), String> {
    let root = config::parse(yaml).map_err(|e| e.to_string())?;
    let decode_all = |root: &At<'_>, problems: &mut Problems| {
        let mut fields = Fields::new(root, problems)?;
        let scheme_name = Json::from(
            root.node
                .get("global")
                .and_then(|global| global.get("metric_name_validation_scheme"))
                .and_then(Node::text),
        );
        fields.section("global", |at, problems| {
            Fields::new(at, problems)?.labels("external_labels").map(drop)
        });
        fields.list("scrape_configs", |at, problems| {
            let mut job = Fields::new(at, problems)?;
            RelabelConfig::decode_list(&mut job, "relabel_configs", scheme(&scheme_name));
            Some(())
        });
        Some(())
    };
    config::decode(&root, decode_all).map_err(|problems| problems.to_string())
}

#[test]
fn good_files_are_read() {
    let (mut corpus, _) = Corpus::read("config/*.good.yml");
    for entry in std::fs::read_dir(folder().join("config")).into_iter().flatten().flatten() {
        let path = entry.path();
        if !path.to_string_lossy().ends_with(".good.yml") {
            continue;
        }
        let yaml = std::fs::read_to_string(&path).expect("a file");
        corpus.case(path.display(), read(&yaml).and_then(|()| reads_back(&yaml)));
    }
    corpus.finish();
}

/// What is printed of a whole file reads back equal.
fn reads_back(yaml: &str) -> Result<(), String> {
    let node = config::parse(yaml).map_err(|e| e.to_string())?;
    let again = config::parse(&node.to_string()).map_err(|e| format!("{e}\n{node}"))?;
    let is_mapping = matches!(node.value, Value::Mapping(_));
    if is_mapping { crate::same(&again, &node) } else { Err("not a mapping".into()) }
}
