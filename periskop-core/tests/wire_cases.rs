//! Payloads and what must be read from them: `tests/corpus/wire-cases`, or the folder that the
//! environment variable `WIRE_CASES` names.

use std::path::PathBuf;
use std::time::Duration;

use periskop_core::redact::Redactor;
use periskop_core::wire::exporter::{Options, PayloadError, parse};
use periskop_core::{
    Exception, Occurrence, Report, ReportedError, ReportedIncarnation, ReportedLife, Timestamp,
};
use serde_json::{Map, Value, json};

#[test]
fn every_case_is_read_as_it_says() {
    // What is relative is so to the top of the repository, where commands are given.
    let folder = std::env::var_os("WIRE_CASES").unwrap_or_else(|| "tests/corpus/wire-cases".into());
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(folder);
    let mut files: Vec<PathBuf> = std::fs::read_dir(&folder)
        .unwrap_or_else(|error| panic!("{}: {error}", folder.display()))
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .collect();
    files.sort();
    let mut passed = 0;
    let mut failed = Vec::new();
    for file in &files {
        let cases: Value = serde_json::from_slice(&std::fs::read(file).unwrap()).unwrap();
        let at = Timestamp::parse(cases["at"].as_str().unwrap()).unwrap();
        for case in cases["cases"].as_array().unwrap() {
            let body = match &case["body"] {
                Value::String(body) => body.clone().into_bytes(),
                _ => base64(case["body_base64"].as_str().unwrap()),
            };
            let options = Options { redactor: Redactor::off(), ..Options::default() };
            let read = seen(parse(&body, at, &options), at);
            if normal(&case["expect"]) == read {
                passed += 1;
            } else {
                failed.push(format!(
                    "{}\n expected {}\n      got {read}",
                    case["name"], case["expect"]
                ));
            }
        }
    }
    println!("{passed} passed, {} failed", failed.len());
    assert!(failed.is_empty(), "{}", failed.join("\n"));
    assert!(passed > 0, "{} holds no cases", folder.display());
}

/// What was read, in the form of the expectations.
fn seen(read: Result<Report, PayloadError>, at: Timestamp) -> Value {
    let Ok(report) = read else { return json!({"down": true}) };
    assert!(report.unchanged.is_empty());
    json!({
        "target_uuid": report.target_uuid,
        "aggregates": report.errors.iter().map(|error| aggregate(error, at)).collect::<Vec<_>>(),
        "skipped": report.skipped,
    })
}

fn aggregate(error: &ReportedError, at: Timestamp) -> Value {
    let occurrences = error.occurrences.iter().map(|occurrence| self::occurrence(occurrence, at));
    let mut aggregate = json!({
        "aggregation_key": error.key.as_str(),
        "total_count": error.total_count,
        "severity": error.severity.as_str(),
        "created_at": time(error.created_at),
        "latest_errors": occurrences.collect::<Vec<_>>(),
    });
    if let Some(incarnations) = &error.incarnations {
        aggregate["incarnations"] = incarnations.iter().map(incarnation).collect();
        // It is not read where there are incarnations.
        aggregate["total_count"] = Value::Null;
    }
    aggregate
}

fn occurrence(occurrence: &Occurrence, at: Timestamp) -> Value {
    // A name that is derived from the content stands for no uuid.
    let uuid = Some(&occurrence.name).filter(|name| **name != occurrence.content.as_name());
    let usable = Timestamp::YEAR_2000..=at.plus(Duration::from_secs(300));
    let http = occurrence.http.as_ref().map(|http| {
        let headers: Map<String, Value> =
            http.headers.iter().map(|(name, value)| (name.clone(), json!(value))).collect();
        json!({
            "request_method": http.method,
            "request_url": http.url,
            "request_headers": headers,
            "request_body": http.body,
        })
    });
    json!({
        "uuid": uuid,
        "timestamp": time(occurrence.time.filter(|time| usable.contains(time))),
        "severity": occurrence.severity.as_str(),
        "error": occurrence.exceptions.iter().rfold(Value::Null, |cause, e| exception(&cause, e)),
        "http_context": http,
    })
}

fn exception(cause: &Value, exception: &Exception) -> Value {
    json!({
        "class": exception.class,
        "message": exception.message,
        "stacktrace": exception.stacktrace,
        "cause": cause,
    })
}

fn incarnation(incarnation: &ReportedIncarnation) -> Value {
    let mut value = json!({"source": incarnation.source, "count": incarnation.count});
    match &incarnation.life {
        ReportedLife::Since(since) => value["since"] = time(Some(*since)),
        ReportedLife::Reset { observer, n } => {
            value["reset"] = json!({"observer": observer, "n": n})
        }
    }
    let known =
        [("newest", incarnation.newest), ("risen", incarnation.risen), ("gone", incarnation.gone)];
    for (name, at) in known {
        if at.is_some() {
            value[name] = time(at);
        }
    }
    value
}

fn time(time: Option<Timestamp>) -> Value {
    time.map_or(Value::Null, |time| Value::String(time.to_string()))
}

/// An expectation without what is not read.
fn normal(expect: &Value) -> Value {
    let mut expect = expect.clone();
    for aggregate in expect["aggregates"].as_array_mut().into_iter().flatten() {
        if aggregate.get("incarnations").is_some() {
            aggregate["total_count"] = Value::Null;
        }
    }
    // Indexing has put a null where there was nothing.
    if let Some(expect) = expect.as_object_mut().filter(|expect| expect.contains_key("down")) {
        expect.remove("aggregates");
    }
    expect
}

fn base64(text: &str) -> Vec<u8> {
    const DIGITS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let digits = text.bytes().filter_map(|c| DIGITS.iter().position(|digit| *digit == c));
    let mut bytes = Vec::new();
    let (mut bits, mut held) = (0_usize, 0);
    for digit in digits {
        bits = bits << 6 | digit;
        held += 6;
        if held >= 8 {
            held -= 8;
            bytes.push((bits >> held).to_le_bytes()[0]);
        }
    }
    bytes
}
