//! Replays recorded histories in virtual time and checks what must be true after every step.
//!
//! `MERGE_HISTORIES` names another folder of the same form; every JSON file in it is run.

#![expect(clippy::unwrap_used, reason = "a history that cannot be read fails the test")]

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

use periskop_core::aggregate::{Act, ActionId, MuteFor};
use periskop_core::target::Labels;
use periskop_core::wire::exporter;
use periskop_core::{
    AggregateId, Delta, Observer, ReplicaId, Report, ServiceName, Settings, State, Timestamp,
};
use serde_json::{Value, json};

#[test]
fn what_must_be_true_is_true_after_every_step() {
    // What is relative is so to the top of the repository, where commands are given.
    let folder = std::env::var_os("MERGE_HISTORIES")
        .unwrap_or_else(|| "tests/corpus/merge-histories".into());
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(folder);
    let mut files: Vec<_> = std::fs::read_dir(&folder)
        .unwrap_or_else(|e| panic!("{}: {e}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ext| ext == "json"))
        .collect();
    files.sort();
    let (mut run, mut failures) = (0, Vec::new());
    for file in files {
        let text = std::fs::read(&file).unwrap();
        let histories: Vec<Value> = serde_json::from_slice(&text).unwrap();
        println!("{}: {} histories", file.display(), histories.len());
        for history in histories {
            run += 1;
            if let Err(why) = replay(&history) {
                failures.push(format!("{}: {}: {why}", file.display(), history["name"]));
            }
        }
    }
    println!("{run} histories, {} failed", failures.len());
    assert!(run > 0, "no history in {}", folder.display());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

/// Servers by name.
#[derive(Default)]
struct Fleet {
    servers: BTreeMap<String, Server>,
    actions: u128,
}

/// An observer, and the targets that it has discovered.
struct Server {
    observer: Observer,
    discovered: Vec<(ServiceName, String)>,
}

fn replay(history: &Value) -> Result<(), String> {
    let mut fleet = Fleet::default();
    for (i, step) in history["steps"].as_array().ok_or("no steps")?.iter().enumerate() {
        let at = Timestamp::parse(text(step, "at")).ok_or("no time")?;
        let delta = fleet.step(at, step);
        let observer = &fleet.servers[text(step, "server")].observer;
        let state = describe(observer.state(), at);
        let mut wrong = String::new();
        if state != step["then"]["state"] {
            let expected = &step["then"]["state"];
            let _ = write!(wrong, "\n     state {state}\n  expected {expected}");
        }
        if let Some(expected) = step["then"].get("changed") {
            let mut changed: Vec<_> = delta.changed().iter().map(|id| id.key.as_str()).collect();
            changed.sort_unstable();
            if json!(changed) != *expected {
                let _ = write!(wrong, "\n   changed {changed:?}\n  expected {expected}");
            }
        }
        if !wrong.is_empty() {
            return Err(format!("step {i}: {}{wrong}", summary(step)));
        }
    }
    Ok(())
}

impl Fleet {
    fn step(&mut self, at: Timestamp, step: &Value) -> Delta {
        let name = text(step, "server");
        let service = ServiceName::from(text(step, "service"));
        let from = step.get("from").and_then(Value::as_str);
        let other = from.map(|from| {
            self.servers.get(from).map_or_else(State::default, |s| s.observer.state().clone())
        });
        let id = ReplicaId::from_text(name);
        let server = self.servers.entry(name.to_owned()).or_insert_with(|| Server {
            observer: Observer::new(id, Settings::default(), at),
            discovered: Vec::new(),
        });
        let observer = &mut server.observer;
        let target = text(step, "target");
        match text(step, "do") {
            "scrape" => {
                let known = (service.clone(), target.to_owned());
                if !server.discovered.contains(&known) {
                    server.discovered.push(known);
                    observer.discovered(&service, target);
                }
                match step.get("answer") {
                    Some(answer) => {
                        observer.scraped(at, &service, target, &Labels::new(), read(answer, at))
                    }
                    None => observer.scrape_failed(&service, target),
                }
            }
            "push" => observer.pushed(at, &service, read(&step["answer"], at)),
            "depart" => {
                server.discovered.retain(|(s, t)| (s, t.as_str()) != (&service, target));
                observer.departed(at, &service, target)
            }
            "join" => observer.join(at, &other.unwrap()),
            "restart" => {
                let kept = observer.state().clone();
                *observer = Observer::restore(id, Settings::default(), at, kept);
                for (service, target) in &server.discovered {
                    observer.discovered(service, target);
                }
                Delta::default()
            }
            "prune" => {
                observer.prune(at);
                Delta::default()
            }
            _ => {
                self.actions += 1;
                let error = AggregateId { service, key: text(step, "key").into() };
                let action = ActionId(self.actions);
                observer
                    .act(at, &error, action, act(step), text(step, "by"), "")
                    .unwrap_or_default()
            }
        }
    }
}

fn act(step: &Value) -> Act {
    match text(step, "do") {
        "resolve" => Act::Resolve,
        "reopen" => Act::Reopen,
        "mute" => Act::Mute(match (step.get("until"), step.get("count")) {
            (Some(until), _) => MuteFor::Until(Timestamp::parse(until.as_str().unwrap()).unwrap()),
            (None, Some(count)) => MuteFor::Further(count.as_u64().unwrap()),
            (None, None) => MuteFor::Ever,
        }),
        "unmute" => Act::Unmute,
        "forget" => Act::Forget,
        other => panic!("unknown step {other}"),
    }
}

fn describe(state: &State, now: Timestamp) -> Value {
    let mut services = serde_json::Map::new();
    for service in state.services() {
        let mut errors = serde_json::Map::new();
        for error in state.errors_of(service) {
            let latest: Vec<_> = error.occurrences().map(|o| o.name().into_owned()).collect();
            let value = json!({
                "total": error.total(),
                "state": error.status(now).as_str(),
                "first_seen": error.first_seen().to_string(),
                "last_seen": error.last_seen().to_string(),
                "severity": error.severity().as_str(),
                "latest": latest,
            });
            errors.insert(error.key().to_string(), value);
        }
        services.insert(service.to_string(), Value::Object(errors));
    }
    Value::Object(services)
}

fn summary(step: &Value) -> String {
    let mut step = step.clone();
    step.as_object_mut().unwrap().remove("then");
    step.to_string()
}

fn text<'a>(step: &'a Value, field: &str) -> &'a str {
    step.get(field).and_then(Value::as_str).unwrap_or_default()
}

fn read(answer: &Value, at: Timestamp) -> Report {
    let payload = serde_json::to_vec(answer).unwrap();
    exporter::parse(&payload, at, &exporter::Options::default()).unwrap()
}
