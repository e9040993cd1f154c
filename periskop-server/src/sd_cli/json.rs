//! What was found, for programs: names of fields as in Prometheus's API of targets.

use std::io::{self, Write};

use periskop_core::config::format_duration;
use periskop_core::target::{Action, Labels, Target};
use serde_json::{Map, Value, json};

use super::found::{Candidate, Fate, Found};
use crate::api::without_userinfo;

/// Writes everything.
pub(super) fn write(found: &[Found<'_>], out: &mut impl Write) -> io::Result<()> {
    let services: Vec<_> = found.iter().map(service).collect();
    serde_json::to_writer_pretty(&mut *out, &json!({ "services": services }))?;
    writeln!(out)
}

fn service(found: &Found<'_>) -> Value {
    let discoveries = found.discoveries.iter().map(|asked| {
        json!({
            "mechanism": asked.mechanism,
            "groups": asked.groups,
            "found": asked.found,
            "errors": asked.failures,
        })
    });
    let (mut targets, mut invalid, mut dropped) = (Vec::new(), Vec::new(), Vec::new());
    for candidate in &found.candidates {
        let mut shown = Map::from_iter([
            ("mechanism".to_owned(), candidate.mechanism.into()),
            ("source".to_owned(), candidate.source.as_str().into()),
            ("discoveredLabels".to_owned(), labels(&candidate.discovered)),
        ]);
        let list = match &candidate.fate {
            Fate::Target(target) => {
                add_target(&mut shown, target, false);
                &mut targets
            }
            Fate::Again(target) => {
                add_target(&mut shown, target, true);
                &mut targets
            }
            Fate::Invalid(error) => {
                shown.insert("error".to_owned(), error.to_string().into());
                &mut invalid
            }
            Fate::Dropped(_) => {
                shown.insert("droppedBy".to_owned(), dropped_by(found, candidate));
                &mut dropped
            }
        };
        list.push(Value::Object(shown));
    }
    json!({
        "service": found.service.name.as_str(),
        "discoveries": discoveries.collect::<Vec<_>>(),
        "targets": targets,
        "invalid": invalid,
        "dropped": dropped,
        "targetLimitExceeded": found.over_limit.as_ref().map(ToString::to_string),
    })
}

fn add_target(shown: &mut Map<String, Value>, target: &Target, is_again: bool) {
    shown.extend([
        ("labels".to_owned(), labels(&target.public_labels())),
        ("scrapeUrl".to_owned(), without_userinfo(target.url()).into()),
        ("scrapeInterval".to_owned(), format_duration(target.interval()).into()),
        ("scrapeTimeout".to_owned(), format_duration(target.timeout()).into()),
        ("foundAgain".to_owned(), is_again.into()),
    ]);
}

fn dropped_by(found: &Found<'_>, candidate: &Candidate) -> Value {
    let Fate::Dropped(by) = &candidate.fate else { return Value::Null };
    let Some(rule) = found.rule(by) else { return Value::Null };
    let mut shown = Map::from_iter([
        ("rule".to_owned(), by.rule.into()),
        ("action".to_owned(), rule.action().as_str().into()),
        ("sourceLabels".to_owned(), rule.source_labels().into()),
        ("value".to_owned(), rule.value(&by.labels).into()),
    ]);
    match rule.action() {
        Action::KeepEqual | Action::DropEqual => {
            shown.insert("targetLabel".to_owned(), rule.target_label().into());
        }
        _ => {
            shown.insert("regex".to_owned(), rule.regex_text().into());
        }
    }
    Value::Object(shown)
}

fn labels(labels: &Labels) -> Value {
    labels.iter().map(|(name, value)| (name.to_owned(), Value::from(value))).collect()
}
