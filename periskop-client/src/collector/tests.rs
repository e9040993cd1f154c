use std::sync::atomic::{AtomicI64, AtomicU32, AtomicU64, Ordering};
use std::time::Duration;

use periskop_core::wire::exporter;
use serde_json::Value;

use super::*;
use crate::{Backtraces, Redaction, Severity, Timestamp, ambient};

/// A collector whose clock goes on by a second and whose dice show the next number at each call.
fn predictable() -> Builder {
    let seconds = AtomicI64::new(1_800_000_000);
    let throws = AtomicU64::new(0);
    Collector::builder()
        .clock(move || Timestamp::from_micros(seconds.fetch_add(1, Ordering::Relaxed) * 1_000_000))
        .randomness(move || u128::from(throws.fetch_add(1, Ordering::Relaxed)))
}

fn exported(collector: &Collector) -> Value {
    serde_json::from_slice(&collector.export()).unwrap()
}

#[test]
fn an_occurrence_is_exported_with_all_that_is_known() {
    let collector = predictable().build();
    let error = "x".parse::<u8>().unwrap_err();
    collector.record(
        Capture::of(&error)
            .class("Bad")
            .severity(Severity::Warning)
            .stacktrace(["shop::pay", "main"])
            .key("pay/ä")
            .http(HttpContext {
                method: Some("GET".into()),
                url: Some("http://shop.example/?a=b".into()),
                headers: vec![("X-B".into(), "2".into()), ("X-A".into(), "1".into())],
                body: None,
            }),
    );
    assert_eq!(
        exported(&collector),
        serde_json::json!({
            "target_uuid": "00000000-0000-4000-8000-000000000000",
            "aggregated_errors": [{
                "aggregation_key": "pay/ä",
                "total_count": 1,
                "severity": "warning",
                "created_at": "2027-01-15T08:00:00.000000Z",
                "latest_errors": [{
                    "error": {
                        "class": "Bad",
                        "message": "invalid digit found in string",
                        "stacktrace": ["shop::pay", "main"],
                        "cause": null,
                    },
                    "uuid": "00000000-0000-4000-8000-000000000001",
                    "timestamp": "2027-01-15T08:00:00.000000Z",
                    "severity": "warning",
                    "http_context": {
                        "request_method": "GET",
                        "request_url": "http://shop.example/?a=b",
                        "request_headers": {"X-A": "1", "X-B": "2"},
                        "request_body": null,
                    },
                }],
            }],
        })
    );
}

#[test]
fn the_newest_occurrences_are_kept_and_all_are_counted() {
    let collector = predictable().occurrences_per_error(3).build();
    for n in 0..10 {
        collector.record(Capture::message(n).key("k"));
    }
    let report = collector.snapshot();
    let [error] = &report.errors[..] else { panic!("{report:?}") };
    assert_eq!(error.total_count, 10);
    let messages: Vec<_> = error
        .occurrences
        .iter()
        .map(|occurrence| occurrence.exceptions[0].message.as_deref().unwrap())
        .collect();
    assert_eq!(messages, ["7", "8", "9"]);
    let began = Timestamp::from_micros(1_800_000_000_000_000);
    assert_eq!(error.created_at, Some(began), "the life begins once");
    assert_eq!(error.occurrences[2].time, Some(began.plus(Duration::from_secs(9))));
}

#[test]
fn without_room_for_occurrences_there_is_still_a_count() {
    let collector = predictable().occurrences_per_error(0).build();
    collector.record(Capture::message("x"));
    let report = collector.snapshot();
    assert_eq!((report.errors[0].total_count, report.errors[0].occurrences.len()), (1, 0));
}

#[test]
fn keys_beyond_the_limit_are_counted_in_an_error_that_says_so() {
    let collector = predictable().errors_limit(2).build();
    for key in ["a", "b", "c", "a", "d", "c"] {
        collector.record(Capture::message(format!("message of {key}")).key(key));
    }
    let report = collector.snapshot();
    let counts: Vec<_> =
        report.errors.iter().map(|error| (error.key.as_str(), error.total_count)).collect();
    assert_eq!(counts, [("a", 2), ("b", 1), (OVERFLOW_KEY, 3)]);
    let overflowed = &report.errors[2].occurrences[0].exceptions;
    assert!(overflowed[0].message.as_ref().unwrap().contains("more than 2 different errors"));
    assert!(overflowed[0].message.as_ref().unwrap().contains("`c`"));
    assert_eq!(overflowed[1].message.as_deref(), Some("message of c"), "what it was is its cause");
}

#[test]
fn an_error_is_as_bad_as_its_newest_occurrence() {
    let collector = predictable().build();
    for severity in [Severity::Error, Severity::Info] {
        collector.record(Capture::message("x").key("k").severity(severity));
    }
    let report = collector.snapshot();
    assert_eq!(report.errors[0].severity, Severity::Info);
    assert_eq!(report.errors[0].occurrences[0].severity, Severity::Error);
}

#[test]
fn an_export_changes_only_when_something_happened() {
    let collector = predictable().build();
    for key in ["b", "a"] {
        collector.record(Capture::message("x").key(key));
    }
    let before = collector.export();
    assert_eq!(collector.export(), before);
    collector.record(Capture::message("x").key("b"));
    assert_ne!(collector.export(), before);
}

#[test]
fn threads_that_report_at_once_lose_nothing() {
    let collector = Collector::new();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let collector = collector.clone();
            scope.spawn(move || {
                for _ in 0..500 {
                    collector.record(Capture::message("x").key(format!("key {}", thread % 2)));
                }
            });
        }
    });
    let report = collector.snapshot();
    let counts: Vec<_> = report.errors.iter().map(|error| error.total_count).collect();
    assert_eq!(counts, [1000, 1000]);
    let mut names: Vec<_> = report
        .errors
        .iter()
        .flat_map(|error| &error.occurrences)
        .map(|occurrence| &occurrence.name)
        .collect();
    names.sort();
    names.dedup();
    assert_eq!(names.len(), 20, "every occurrence has a name of its own");
}

#[test]
fn a_new_collector_is_a_new_life() {
    let (one, other) = (Collector::new(), Collector::new());
    assert_ne!(one.target_uuid(), other.target_uuid());
}

#[test]
fn the_export_reads_back_as_what_was_counted() {
    let collector = predictable().build();
    for n in 0..3 {
        let error = "x".parse::<u8>().unwrap_err();
        collector.record(Capture::of(&error).key(format!("\"key\" \u{7f}{n}\u{2028}")));
    }
    let options = exporter::Options { limits: exporter::Limits::none(), ..Default::default() };
    let mut read = exporter::parse(&collector.export(), ambient::now(), &options).unwrap();
    let mut counted = collector.snapshot();
    for error in read.errors.iter_mut().chain(&mut counted.errors) {
        for occurrence in &mut error.occurrences {
            occurrence.content = ContentHash([0; 16]); // of the bytes on the wire in the one only
        }
    }
    assert_eq!(read, counted);
}

#[test]
fn a_child_counts_its_own_from_nothing_under_a_name_of_its_own() {
    let pid = Arc::new(AtomicU32::new(100));
    let asked = pid.clone();
    let collector = Collector::builder().process_id(move || asked.load(Ordering::Relaxed)).build();
    for _ in 0..3 {
        collector.record(Capture::message("x").key("k"));
    }
    let parent = collector.snapshot();

    pid.store(101, Ordering::Relaxed);
    let inherited = collector.snapshot();
    assert!(inherited.errors.is_empty(), "what the parent counts the parent exports");
    assert_ne!(inherited.target_uuid, parent.target_uuid);
    collector.record(Capture::message("x").key("k"));
    let child = collector.snapshot();
    assert_eq!(child.errors[0].total_count, 1);
    assert_eq!(child.target_uuid, inherited.target_uuid, "once begun, it goes on");
    let names = |report: &Report| -> Vec<String> {
        report.errors[0].occurrences.iter().map(|occurrence| occurrence.name.clone()).collect()
    };
    assert!(!names(&parent).contains(&names(&child)[0]));
}

#[test]
fn a_child_does_not_wait_for_a_lock_that_was_held_at_the_fork() {
    let pid = Arc::new(AtomicU32::new(100));
    let asked = pid.clone();
    let collector = Collector::builder().process_id(move || asked.load(Ordering::Relaxed)).build();
    collector.record(Capture::message("x").key("k"));
    let life = collector.life();
    let (entry, _) = life.entry("k", Timestamp::EPOCH, 1000);
    // As by a thread of the parent that is not in the child and will never give it back.
    entry.while_locked(|| {
        pid.store(101, Ordering::Relaxed);
        collector.record(Capture::message("x").key("k"));
        assert_eq!(collector.snapshot().errors[0].total_count, 1);
    });
}

#[test]
fn threads_of_a_child_that_report_at_once_begin_one_life() {
    let pid = Arc::new(AtomicU32::new(100));
    let asked = pid.clone();
    let collector = Collector::builder().process_id(move || asked.load(Ordering::Relaxed)).build();
    for child in 101..150 {
        pid.store(child, Ordering::Relaxed);
        std::thread::scope(|scope| {
            for _ in 0..2 {
                scope.spawn(|| collector.record(Capture::message("x").key("k")));
            }
        });
        assert_eq!(collector.snapshot().errors[0].total_count, 2);
    }
}

#[test]
fn occurrences_give_way_where_memory_is_short_and_counts_do_not() {
    let collector = Collector::builder().memory_limit(100_000).build();
    let long = "x".repeat(10_000);
    for n in 0..200 {
        collector.record(Capture::message(&long).key(format!("{}", n % 20)));
        assert!(collector.life().memory.used() <= 100_000);
    }
    let report = collector.snapshot();
    let total: u64 = report.errors.iter().map(|error| error.total_count).sum();
    let kept: usize = report.errors.iter().map(|error| error.occurrences.len()).sum();
    assert_eq!((report.errors.len(), total), (20, 200));
    assert!((5..10).contains(&kept), "{kept}");
}

#[test]
fn credentials_do_not_leave_the_program() {
    let collector = Collector::builder()
        .redaction(&Redaction { headers: vec!["X-Tenant".into()], ..Redaction::default() })
        .build();
    collector.record(Capture::message("x").http(HttpContext {
        method: Some("POST".into()),
        url: Some("http://me:s3cr3t@shop.example/?token=s3cr3t&page=2".into()),
        headers: vec![
            ("Authorization".into(), "Bearer s3cr3t".into()),
            ("X-Tenant".into(), "s3cr3t".into()),
            ("Accept".into(), "text/html".into()),
        ],
        body: Some(r#"{"password": "s3cr3t", "item": 17}"#.into()),
    }));
    let body = String::from_utf8(collector.export()).unwrap();
    assert!(!body.contains("s3cr3t"), "{body}");
    assert!(body.contains("page=2") && body.contains("text/html") && body.contains("17"));
}

#[test]
fn a_stack_trace_is_taken_now_and_then_and_never_splits_an_error() {
    let collector = Collector::builder().backtraces(Backtraces::Always).build();
    for n in 0..10 {
        collector.record(Capture::message(n).severity(Severity::Warning));
    }
    let report = collector.snapshot();
    let [error] = &report.errors[..] else { panic!("{report:?}") };
    let frames = |n: usize| &error.occurrences[n].exceptions[0].stacktrace;
    assert!(frames(0)[0].contains("tests.rs:"), "first the place of the report");
    assert!(frames(0)[1].contains("a_stack_trace_is_taken_now_and_then"), "{:?}", frames(0));
    assert!(frames(0).len() > 2 && frames(9).len() == 1);

    let given = Collector::builder().backtraces(Backtraces::Always).build();
    given.record(Capture::message("x").stacktrace(["shop::pay"]));
    let report = given.snapshot();
    assert_eq!(report.errors[0].occurrences[0].exceptions[0].stacktrace, ["shop::pay"]);
}
