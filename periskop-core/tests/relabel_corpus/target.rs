//! `target/*.json`.

use periskop_core::ServiceName;
use periskop_core::config::{Node, parse_duration};
use periskop_core::target::{Labels, NameScheme, ScrapeSettings, Target, relabel};
use serde_json::{Map, Value as Json};

use crate::relabel::decode;
use crate::{Corpus, Outcome, items, refused, same, text};

#[test]
fn targets_are_built_as_prometheus_s_tests_say() {
    let (mut corpus, cases) = Corpus::read("target/populate_labels.json");
    for case in items(&cases) {
        let outcome = if case.get("target_labels_hex").is_some() {
            is_no_text(case)
        } else if case["target_labels"].get("__convert_classic_histograms_to_nhcb__").is_some() {
            // Only who knows Prometheus's histogram labels refuses what one of them says.
            build(case).and_then(|built| match built.target {
                Some(_) => Ok(()),
                None => Err("dropped".to_owned()),
            })
        } else if let Some(error) = case["error"].as_str() {
            refused(build(case), error)
        } else {
            build(case).and_then(|built| {
                same(&built.discovered, &labels(&case["discovered"]))?;
                let target = built.target.ok_or("dropped")?;
                same(target.labels(), &labels(&case["result"]))
            })
        };
        corpus.case(text(case, "name"), outcome);
    }
    corpus.finish();
}

#[test]
fn targets_are_built_as_prometheus_builds_them() {
    let (mut corpus, file) = Corpus::read("target/differential.json");
    for case in items(&file["cases"]) {
        let outcome = match case["error"].as_str() {
            Some(error) => refused(build(case), error),
            None => build(case).and_then(|built| matches(&built, case)),
        };
        let discovered = same(&discovered(case), &labels(&case["discovered"]));
        corpus.case(&case["id"], outcome.and(discovered));
    }
    corpus.finish();
}

/// What came of a case.
#[derive(Debug)]
struct Built {
    discovered: Labels,
    target: Option<Target>,
}

fn matches(built: &Built, case: &Json) -> Outcome {
    match &built.target {
        None => same(&case["dropped"].as_bool(), &Some(true)),
        Some(target) => {
            same(target.labels(), &labels(&case["labels"]))?;
            same(&target.url(), &text(case, "url"))
        }
    }
}

fn build(case: &Json) -> Result<Built, String> {
    let config = &case["scrape_config"];
    let rules = Node::from_json(&config["relabel_configs"]);
    let rules = decode(&rules, NameScheme::Utf8)?;
    let discovered = discovered(case);
    let target = relabel(&rules, discovered.clone())
        .map(|labels| Target::new(&job(config), &settings(config), discovered.clone(), labels))
        .transpose()
        .map_err(|error| error.to_string())?;
    Ok(Built { discovered, target })
}

fn discovered(case: &Json) -> Labels {
    let config = &case["scrape_config"];
    settings(config).discovered_labels(
        job(config).as_str(),
        &labels(&case["target_labels"]),
        &labels(&case["group_labels"]),
    )
}

fn job(config: &Json) -> ServiceName {
    text(config, "job_name").into()
}

/// A scrape configuration, with the defaults that Prometheus has where ours are others.
fn settings(config: &Json) -> ScrapeSettings {
    let duration = |field: &str, default: &str| {
        parse_duration(config[field].as_str().unwrap_or(default)).expect("recorded from Prometheus")
    };
    let interval = duration("scrape_interval", "1m");
    let timeout = duration("scrape_timeout", "10s");
    let unset = config.get("scrape_timeout").is_none();
    ScrapeSettings {
        scheme: config["scheme"].as_str().unwrap_or("http").to_owned(),
        path: config["metrics_path"].as_str().unwrap_or("/metrics").to_owned(),
        params: members(&config["params"])
            .map(|(name, values)| {
                let values = items(values).iter().map(|v| v.as_str().unwrap_or_default());
                (name.clone(), values.map(str::to_owned).collect())
            })
            .collect(),
        interval,
        timeout: if unset { timeout.min(interval) } else { timeout },
    }
}

/// A label value that is not UTF-8: no decoder lets it come as far as a target.
fn is_no_text(case: &Json) -> Outcome {
    for (name, hex) in members(&case["target_labels_hex"]) {
        let hex = hex.as_str().unwrap_or_default();
        let bytes: Result<Vec<u8>, _> =
            (0..hex.len()).step_by(2).map(|i| u8::from_str_radix(&hex[i..i + 2], 16)).collect();
        if String::from_utf8(bytes.map_err(|e| e.to_string())?).is_ok() {
            return Err(format!("{name} is a text"));
        }
    }
    Ok(())
}

fn labels(json: &Json) -> Labels {
    members(json).map(|(name, value)| (name, value.as_str().unwrap_or_default())).collect()
}

fn members(json: &Json) -> impl Iterator<Item = (&String, &Json)> {
    json.as_object().into_iter().flat_map(Map::iter)
}
