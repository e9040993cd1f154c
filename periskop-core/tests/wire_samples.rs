//! What the published clients and the reference really send: `tests/corpus/samples`.

use periskop_core::redact::Redactor;
use periskop_core::wire::exporter::{Memo, Options, Writer, parse, parse_changed};
use periskop_core::{Occurrence, Report, ReportedError, Severity, Timestamp};

fn body(name: &str) -> Vec<u8> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/corpus/samples/");
    std::fs::read(format!("{folder}{name}")).expect("the sample is in the corpus")
}

fn now() -> Timestamp {
    time("2026-11-23T03:00:00Z")
}

fn time(text: &str) -> Timestamp {
    Timestamp::parse(text).expect("a time")
}

/// The sample's report, which has nothing to complain about.
fn read(name: &str) -> Report {
    let report = parse(&body(name), now(), &Options::default()).expect("a payload");
    assert_eq!((report.skipped, &report.warnings), (0, &vec![]), "{name}");
    report
}

/// Key, count, kept occurrences, severity and time of creation of each error.
fn summary(report: &Report) -> Vec<(&str, u64, usize, Severity, String)> {
    let row = |error: &'_ ReportedError| -> (_, _, _, String) {
        let created_at = error.created_at.map_or(String::new(), |time| time.to_string());
        (error.total_count, error.occurrences.len(), error.severity, created_at)
    };
    let rows = report.errors.iter().map(|error| {
        let (count, kept, severity, created_at) = row(error);
        (error.key.as_str(), count, kept, severity, created_at)
    });
    rows.collect()
}

fn messages(occurrence: &Occurrence) -> Vec<Option<&str>> {
    occurrence.exceptions.iter().map(|exception| exception.message.as_deref()).collect()
}

const SAMPLES: [&str; 7] = [
    "clients/periskop-go.json",
    "clients/periskop-python-0.2.0.json",
    "clients/periskop-ruby.json",
    "clients/periskop-scala.json",
    "reference-mocktarget.json",
    "reference-sample-1.json",
    "reference-sample-2.json",
];

use Severity::{Error, Info, Warning};

#[test]
fn the_go_client_is_read() {
    let report = read("clients/periskop-go.json");
    assert_eq!(report.target_uuid.as_deref(), Some("a0179f99-c1fc-4646-94f3-658a82fd4c4f"));
    assert_eq!(
        summary(&report),
        [
            ("many", 25, 10, Error, "2026-11-23T01:48:25.708588Z".into()),
            ("*json.SyntaxError@33c3b76", 2, 2, Error, "2026-11-23T01:48:25.708225Z".into()),
            ("*json.SyntaxError@124cd0c2", 1, 1, Error, "2026-11-23T01:48:25.708288Z".into()),
            ("*errors.errorString@44d3655f", 1, 1, Error, "2026-11-23T01:48:25.708376Z".into()),
            (
                "json-parsing/with slash %2F and äöü",
                1,
                1,
                Warning,
                "2026-11-23T01:48:25.708404Z".into()
            ),
            ("joined", 1, 1, Error, "2026-11-23T01:48:25.708419Z".into()),
        ]
    );
    let first = &report.errors[0].occurrences[0];
    assert_eq!(first.name, "84ddfd10-99bb-49d0-bdbd-dad691f31cd5");
    assert_eq!(first.time, Some(time("2026-11-23T01:48:25.709008Z")), "nanoseconds are truncated");
    assert_eq!(messages(first), [Some("number 15")]);
    assert_eq!(first.exceptions[0].class.as_deref(), Some("*errors.errorString"));
    assert_eq!(first.exceptions[0].stacktrace.len(), 3);
    assert_eq!(first.http, None);
    assert_eq!(report.errors[1].occurrences[1].severity, Info, "its own, not its aggregate's");
}

#[test]
fn the_python_client_is_read_and_its_secrets_are_not() {
    let report = read("clients/periskop-python-0.2.0.json");
    assert_eq!(report.target_uuid.as_deref(), Some("d1b8ef5a-e6ab-11f1-b354-02fc00000001"));
    assert_eq!(
        summary(&report),
        [
            ("JSONDecodeError@7d992f67", 13, 10, Error, "2026-11-22T19:35:05.756000Z".into()),
            ("ValueError@2a4e062e", 2, 2, Error, "2026-11-22T19:35:05.759000Z".into()),
        ]
    );
    let first = &report.errors[0].occurrences[0];
    assert_eq!(first.name, "d1b92f10-e6ab-11f1-b354-02fc00000001");
    assert_eq!(messages(first), [Some("Expecting value: line 1 column 7 (char 6)")]);
    let http = first.http.as_ref().unwrap();
    assert_eq!(http.url.as_deref(), Some("http://example.com/items/0?q=1"));
    assert_eq!(http.body.as_deref(), Some("body"));
    let header = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(
        http.headers,
        [header("Authorization", "<redacted>"), header("Cache-Control", "no-cache")]
    );
    assert!(!format!("{report:?}").contains("s3cr3t"));
}

#[test]
fn the_ruby_client_is_read() {
    let report = read("clients/periskop-ruby.json");
    assert_eq!(report.target_uuid.as_deref(), Some("6dd671bf-9537-490d-af20-454b0aa7aa46"));
    assert_eq!(
        summary(&report),
        [
            ("ZeroDivisionError@6d8ea0e0", 12, 10, Error, "2026-11-22T19:35:12.000000Z".into()),
            ("ArgumentError@89928c95", 1, 1, Error, "2026-11-22T19:35:12.000000Z".into()),
        ]
    );
    let first = &report.errors[0].occurrences[0];
    assert_eq!(first.name, "39ec7151-410e-4c53-97de-50135d328cc4");
    assert_eq!(first.http.as_ref().unwrap().headers, [], "they are null");
    assert_eq!(report.errors[1].occurrences[0].exceptions.len(), 2, "a nested cause");
}

#[test]
fn the_scala_client_is_read() {
    let report = read("clients/periskop-scala.json");
    assert_eq!(report.target_uuid.as_deref(), Some("be8eea8f-b620-4a6e-b3cf-6f15b6262a13"));
    let created = |time: &str| format!("2026-11-23T01:54:57.{time}000Z");
    let illegal = "java.lang.IllegalArgumentException";
    assert_eq!(
        summary(&report),
        [
            ("gen.Gen$Foo@35b38f2f", 1, 1, Warning, created("173")),
            ("gen.Gen$Foo@c1604203", 1, 1, Error, created("172")),
            ("info-message", 1, 1, Info, created("174")),
            (&*format!("{illegal}@c1ebb6d1"), 1, 1, Error, created("206")),
            (&*format!("{illegal}@2cd2cbcf"), 1, 1, Error, created("212")),
            ("many", 25, 10, Warning, created("214")),
        ]
    );
    let occurrence = |error: usize| &report.errors[error].occurrences[0];
    assert_eq!(messages(occurrence(0)), [None], "a message may be null");
    assert_eq!(
        messages(occurrence(1)),
        [Some("Räksmörgås \u{2028} 日本"), Some("inner"), Some("root")]
    );
    assert_eq!(occurrence(2).exceptions[0].class, None, "a plain message has no class");
    assert_eq!(occurrence(2).exceptions[0].stacktrace, [""; 0]);
    assert_eq!(occurrence(4).time, Some(time("2026-11-23T02:00:00.005Z")), "it came with +01:00");
}

#[test]
fn the_references_samples_are_read() {
    let report = read("reference-mocktarget.json");
    assert_eq!(report.target_uuid.as_deref(), Some("8589E8C9-86B6-4B50-B70E-8ABFA4B588A3"));
    assert_eq!(
        summary(&report),
        [
            (
                "java.lang.Run/ timeException@123",
                260,
                2,
                Error,
                "2020-10-08T12:46:25.595000Z".into()
            ),
            ("java.lang.Exception@456", 440, 1, Warning, "2019-09-11T11:46:25.333000Z".into()),
            ("java.lang.Exception@496", 440, 1, Warning, String::new()),
            ("java.lang.Exception@789", 11, 1, Warning, "2019-09-11T11:46:25.333000Z".into()),
            ("info-message", 1, 1, Info, "2019-09-15T11:46:25.333000Z".into()),
        ]
    );
    let first = &report.errors[0].occurrences[0];
    assert_eq!(messages(first), [Some("Nooooes!"), Some("I caused this")]);

    for (name, created_at, uuids) in [
        ("reference-sample-1.json", "2018-09-13T16:23:30.630000Z", ["uuid1", "uuid2"]),
        ("reference-sample-2.json", "2018-09-13T15:23:30.630000Z", ["uuid3", "uuid4"]),
    ] {
        let report = read(name);
        assert_eq!(report.target_uuid, None);
        let expected = [("com.soundcloud.Foon@e28e036e", 2, 2, Error, created_at.to_owned())];
        assert_eq!(summary(&report), expected);
        let names = report.errors[0].occurrences.iter().map(|occurrence| &occurrence.name);
        assert_eq!(names.collect::<Vec<_>>(), uuids.iter().collect::<Vec<_>>());
    }
}

#[test]
fn an_api_answer_of_the_reference_is_no_payload() {
    assert!(parse(&body("reference-api.json"), now(), &Options::default()).is_err());
}

#[test]
fn every_sample_survives_writing_and_an_unchanged_scrape() {
    for name in SAMPLES {
        let options = Options { redactor: Redactor::off(), ..Options::default() };
        let report = parse(&body(name), now(), &options).unwrap();
        let mut writer = Writer::new(report.target_uuid.as_deref());
        report.errors.iter().for_each(|error| writer.error(error));
        let mut again = parse(&writer.finish(), now(), &options).unwrap();
        let pairs = again.errors.iter_mut().zip(&report.errors);
        for (again, error) in pairs.flat_map(|(a, b)| a.occurrences.iter_mut().zip(&b.occurrences))
        {
            again.content = error.content;
        }
        assert_eq!(again, report, "{name}");

        let mut memo = Memo::new(1);
        let first = parse_changed(&body(name), now(), &options, &mut memo).unwrap();
        assert_eq!(first, report, "{name}");
        let second = parse_changed(&body(name), now(), &options, &mut memo).unwrap();
        assert_eq!((second.errors.len(), second.unchanged.len()), (0, report.errors.len()));
    }
}
