//! Strategies for reports and payloads.

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::occurrence::{ContentHash, Exception, HttpContext, Occurrence, Severity};
use crate::report::{Report, ReportedError, ReportedIncarnation, ReportedLife};
use crate::time::Timestamp;
use crate::wire::exporter::Writer;

/// A report as a payload can tell it, so that writing and parsing it gives it back, except for the
/// occurrences' [`Occurrence::content`], which is the hash of what is written. Its keys may repeat,
/// its times may be far off.
pub fn report() -> impl Strategy<Value = Report> {
    (option::of(name()), vec(error(), 0..4)).prop_map(|(target_uuid, errors)| Report {
        target_uuid,
        errors,
        ..Report::default()
    })
}

/// One error of a report.
pub fn error() -> impl Strategy<Value = ReportedError> {
    (
        text(),
        0..1_u64 << 53,
        severity(),
        option::of(identity_time()),
        option::of(vec(incarnation(), 0..3)),
        vec(occurrence(), 0..3),
    )
        .prop_map(|(key, total_count, severity, created_at, incarnations, occurrences)| {
            let key = key.into();
            ReportedError {
                key,
                total_count,
                severity,
                created_at,
                incarnations,
                occurrences,
                unchanged: Vec::new(),
            }
        })
}

/// One occurrence of an error.
pub fn occurrence() -> impl Strategy<Value = Occurrence> {
    (name(), option::of(time()), severity(), vec(exception(), 1..4), option::of(http())).prop_map(
        |(name, time, severity, exceptions, http)| {
            let content = ContentHash([0; 16]);
            Occurrence { name, content, time, severity, exceptions, http }
        },
    )
}

/// Any time that RFC 3339 can tell.
pub fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        1_770_000_000_000_000..1_775_000_000_000_000_i64,
        -62_167_219_200_000_000..=253_402_300_799_999_999_i64,
    ]
    .prop_map(Timestamp::from_micros)
}

/// A payload that says what `report` says.
pub fn written(report: &Report) -> Vec<u8> {
    let mut writer = Writer::new(report.target_uuid.as_deref());
    for error in &report.errors {
        writer.error(error);
    }
    writer.finish()
}

/// Bytes like those of a payload, but broken in some places.
pub fn broken_payload() -> impl Strategy<Value = Vec<u8>> {
    let breakage = (any::<prop::sample::Index>(), any::<prop::sample::Index>(), piece());
    (report(), vec(breakage, 1..6)).prop_map(|(report, breakages)| {
        let mut bytes = written(&report);
        for (from, length, piece) in breakages {
            if bytes.is_empty() {
                break;
            }
            let from = from.index(bytes.len());
            let to = bytes.len().min(from + length.index(12));
            bytes.splice(from..to, piece.bytes());
        }
        bytes
    })
}

fn piece() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![
        "",
        "\"",
        "\\",
        "\\ud800",
        "{",
        "}",
        "[",
        "]",
        ",",
        ":",
        "null",
        "1e9",
        "-1",
        "{\"cause\":{\"cause\":null}}",
        "\"latest_errors\":",
        "\u{0}",
        "é",
        " \n",
    ])
}

fn exception() -> impl Strategy<Value = Exception> {
    (option::of(text()), option::of(text()), vec(text(), 0..4))
        .prop_map(|(class, message, stacktrace)| Exception { class, message, stacktrace })
}

fn http() -> impl Strategy<Value = HttpContext> {
    let headers = prop::collection::btree_map(text(), text(), 0..4);
    (option::of(text()), option::of(text()), headers, option::of(text())).prop_map(
        |(method, url, headers, body)| HttpContext {
            method,
            url,
            headers: headers.into_iter().collect(),
            body,
        },
    )
}

fn incarnation() -> impl Strategy<Value = ReportedIncarnation> {
    let life = prop_oneof![
        identity_time().prop_map(ReportedLife::Since),
        (name(), any::<u32>()).prop_map(|(observer, n)| ReportedLife::Reset { observer, n }),
    ];
    let usable = 946_684_800_000_000..1_772_366_400_000_000_i64;
    let times = (
        option::of(usable.prop_map(Timestamp::from_micros)),
        option::of(identity_time()),
        option::of(identity_time()),
    );
    (name(), life, 0..1_u64 << 53, times).prop_map(|(source, life, count, times)| {
        let (newest, risen, gone) = times;
        ReportedIncarnation { source, life, count, newest, risen, gone }
    })
}

fn severity() -> impl Strategy<Value = Severity> {
    prop::sample::select(vec![Severity::Info, Severity::Warning, Severity::Error])
}

/// A time that somebody has set: not Go's zero.
fn identity_time() -> impl Strategy<Value = Timestamp> {
    time()
        .prop_filter("Go's zero time is absent", |time| time.as_micros() != -62_135_596_800_000_000)
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["a", "b", "5d9893c6-51d6-11ea-8aad-f894c260afe5"])
            .prop_map(String::from),
        text().prop_filter("an empty name is absent", |text| !text.is_empty()),
    ]
}

/// Text as hostile as it may be, short enough for ten thousand cases a second.
fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec!["", "k", "com.example.Foo@e28e036e", "line\n\t\"quoted\" \\"])
            .prop_map(String::from),
        vec(
            prop_oneof![
                Just('\u{0}'),
                Just('"'),
                Just('\\'),
                Just('ä'),
                Just('\u{2028}'),
                Just('😀'),
                any::<char>()
            ],
            0..10
        )
        .prop_map(String::from_iter),
    ]
}
