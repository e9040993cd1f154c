//! What parsing, merging and searching cost in core, without a server around them.

use std::hint::black_box;
use std::time::Duration;

use periskop_core::search::{ErrorNumber, MemoryIndex, SearchIndex as _};
use periskop_core::target::Labels;
use periskop_core::wire::exporter::{Memo, Options, parse, parse_changed};
use periskop_core::{Observer, ReplicaId, ServiceName, Settings, Timestamp};
use rustix::time::{ClockId, clock_gettime};
use serde::Deserialize;

use super::super::Outcome;
use super::super::args::Args;
use super::super::process::Account;
use super::super::table::{Goal, Row, median};
use crate::fleet::latencies::Latencies;
use crate::fleet::serve::now;
use crate::fleet::{Dice, Encoding, Fleet, Pace, Plan, Reply, word};

pub(super) fn rows(args: &Args) -> Outcome<Vec<Row>> {
    let mut rows = vec![everything_changed(args)?];
    rows.extend(merge(args)?);
    rows.extend(search(args)?);
    Ok(rows)
}

/// What `serde_json` makes of a payload if it is to own it.
#[derive(Deserialize)]
struct Payload {
    #[serde(rename = "aggregated_errors")]
    _errors: Vec<Error>,
    #[serde(rename = "target_uuid")]
    _uuid: String,
}

#[derive(Deserialize)]
struct Error {
    #[serde(rename = "aggregation_key")]
    _key: String,
    #[serde(rename = "total_count")]
    _count: u64,
    #[serde(rename = "severity")]
    _severity: String,
    #[serde(rename = "created_at")]
    _created_at: String,
    #[serde(rename = "latest_errors")]
    _latest: Vec<Occurrence>,
}

#[derive(Deserialize)]
struct Occurrence {
    #[serde(rename = "error")]
    _error: Exception,
    #[serde(rename = "uuid")]
    _uuid: String,
    #[serde(rename = "timestamp")]
    _timestamp: String,
    #[serde(rename = "severity")]
    _severity: String,
    #[serde(rename = "http_context")]
    _http: Option<Http>,
}

#[derive(Deserialize)]
struct Exception {
    #[serde(rename = "class")]
    _class: String,
    #[serde(rename = "message")]
    _message: String,
    #[serde(rename = "stacktrace")]
    _stack: Vec<String>,
    #[serde(rename = "cause")]
    _cause: Option<Box<Exception>>,
}

#[derive(Deserialize)]
struct Http {
    #[serde(rename = "request_method")]
    _method: String,
    #[serde(rename = "request_url")]
    _url: String,
    #[serde(rename = "request_headers")]
    _headers: std::collections::HashMap<String, String>,
    #[serde(rename = "request_body")]
    _body: Option<String>,
}

/// CPU time of this thread that something takes.
fn timed<T>(work: impl FnOnce() -> T) -> (T, Duration) {
    let clock = || {
        let time = clock_gettime(ClockId::ThreadCPUTime);
        Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).unwrap_or_default())
    };
    let begun = clock();
    let done = work();
    (done, clock().saturating_sub(begun))
}

fn micros(time: Duration) -> f64 {
    time.as_secs_f64() * 1e6
}

/// What an instance answers.
fn answer(fleet: &mut Fleet, serial: u32, at: Timestamp) -> Outcome<Vec<u8>> {
    match fleet.answer(serial, Encoding::Identity, at) {
        Reply::Honest(answer) => Ok(answer.parts.concat()),
        _ => Err("an instance is not honest".into()),
    }
}

fn observer(at: Timestamp) -> Observer {
    Observer::new(ReplicaId::from_u64(1), Settings::default(), at)
}

/// Bytes of memory that an error takes if every string of it is owned.
pub(super) fn naive_size() -> Outcome<f64> {
    let begun = now();
    let mut fleet = Fleet::new(Plan { instances: 50, kept: 0, ..Plan::default() }, begun);
    let mut held = Vec::new();
    // What the making of payloads leaves behind is no part of it.
    answer(&mut fleet, 0, begun)?;
    let before = Account::own().resident()?;
    for serial in 0..50 {
        held.push(serde_json::from_slice::<Payload>(&answer(&mut fleet, serial, begun)?)?);
    }
    let grown = Account::own().resident()?.saturating_sub(before);
    black_box(&held);
    Ok(grown as f64 / (50.0 * 20.0))
}

fn everything_changed(args: &Args) -> Outcome<Row> {
    let begun = now();
    let plan = Plan { instances: 1, changes: Pace::PerScrape(20), ..Plan::default() };
    let mut fleet = Fleet::new(plan, begun);
    let mut observer = observer(begun);
    let (service, labels, options) = (ServiceName::from("s"), Labels::new(), Options::default());
    let mut memo = Memo::new(1);
    let (mut ours, mut owned) = (Vec::new(), Vec::new());
    for second in 0..10 * args.rounds() as u64 {
        let at = begun.plus(Duration::from_secs(second));
        let body = answer(&mut fleet, 0, at)?;
        let (merged, time) = timed(|| {
            let report = parse_changed(&body, at, &options, &mut memo)?;
            Ok::<_, Box<dyn std::error::Error + Send + Sync>>(observer.scraped(
                at,
                &service,
                "http://t/",
                &labels,
                report,
            ))
        });
        black_box(merged?);
        // The first sight is another figure.
        if second > 0 {
            ours.push(micros(time));
        }
        let (parsed, time) = timed(|| serde_json::from_slice::<Payload>(&body));
        black_box(parsed?);
        owned.push(micros(time));
    }
    Ok(Row::new(
        "everything changed (one new of ten each), 1.4 MB, parse and merge",
        median(&mut ours),
        "us",
    )
    .by("serde_json's owned parse of the body", median(&mut owned))
    .goal(Goal::Times(0.6)))
}

/// Instances that are seen for the first time, with errors of their own or the same ones.
fn merge(args: &Args) -> Outcome<Vec<Row>> {
    let few = if args.quick { 100 } else { 1000 };
    let mut rows = Vec::new();
    for (shared, whose) in [(true, "the same"), (false, "own")] {
        let (once, twice) = (first_sight(few, shared)?, first_sight(2 * few, shared)?);
        let what = format!("merge of {} instances x 20 {whose} errors x 10, first sight", 2 * few);
        let yardstick = "half as many instances";
        rows.push(
            Row::new(what, twice * 1e3, "ms").by(yardstick, once * 1e3).goal(Goal::Times(2.2)),
        );
    }
    Ok(rows)
}

fn first_sight(instances: usize, shared: bool) -> Outcome<f64> {
    let begun = now();
    let mut fleet = Fleet::new(Plan { instances, shared, kept: 0, ..Plan::default() }, begun);
    let mut observer = observer(begun);
    let (service, labels) = (ServiceName::from("s"), Labels::new());
    let mut all = Duration::ZERO;
    for (serial, _) in fleet.addresses().collect::<Vec<_>>() {
        let report = parse(&answer(&mut fleet, serial, begun)?, begun, &Options::default())?;
        let url = format!("http://{serial}/");
        let (delta, time) = timed(|| observer.scraped(begun, &service, &url, &labels, report));
        black_box(delta);
        all += time;
    }
    Ok(all.as_secs_f64())
}

/// Words of all kinds, looked for in the index of many errors.
fn search(args: &Args) -> Outcome<Vec<Row>> {
    let begun = now();
    let plan = Plan { instances: args.errors() / 20, kept: 0, ..Plan::default() };
    let mut fleet = Fleet::new(plan, begun);
    let mut observer = observer(begun);
    let (service, labels) = (ServiceName::from("s"), Labels::new());
    for (serial, _) in fleet.addresses().collect::<Vec<_>>() {
        let report = parse(&answer(&mut fleet, serial, begun)?, begun, &Options::default())?;
        observer.scraped(begun, &service, &format!("http://{serial}/"), &labels, report);
    }
    let mut index = MemoryIndex::new();
    for (error, number) in observer.state().errors().zip((0..).map(ErrorNumber)) {
        index.update(number, error);
    }
    let mut dice = Dice::of(&[1]);
    let mut times = Latencies::default();
    for _ in 0..500 {
        let word = word(&mut dice);
        let (found, time) = timed(|| index.search(&word));
        black_box(found);
        times.add(time);
    }
    let told = times.told(Duration::from_secs(1));
    let what = |which| format!("search of {} errors in the library, {which}", args.errors());
    Ok(vec![
        Row::new(what("p50"), told.p50_ms, "ms").goal(Goal::AtMost(5.0)),
        Row::new(what("p99"), told.p99_ms, "ms").goal(Goal::AtMost(50.0)),
    ])
}
