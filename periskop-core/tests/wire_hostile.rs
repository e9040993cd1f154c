//! Payloads that somebody made to hurt: each is refused with a reason, or its good part is read.

use periskop_core::redact::Redactor;
use periskop_core::wire::exporter::{Limits, Options, PayloadError, parse};
use periskop_core::{Exception, Occurrence, Report, Timestamp};

const NOW: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

fn read(body: impl AsRef<[u8]>, limits: Limits) -> Result<Report, PayloadError> {
    parse(body.as_ref(), NOW, &Options { limits, redactor: Redactor::default() })
}

/// A payload of one error with one occurrence.
fn with_occurrence(occurrence: &str) -> String {
    with_error(&format!(r#""latest_errors":[{occurrence}]"#))
}

fn with_error(members: &str) -> String {
    format!(r#"{{"aggregated_errors":[{{"aggregation_key":"k","total_count":7,{members}}}]}}"#)
}

fn occurrence(json: &str, limits: Limits) -> Occurrence {
    let mut report = read(with_occurrence(json), limits).expect("a payload");
    report.errors.remove(0).occurrences.remove(0)
}

#[test]
fn two_hundred_thousand_nested_causes_are_cut_with_a_mark_and_the_rest_is_read() {
    let depth = 200_000;
    let causes = format!("{}null{}", r#"{"class":"C","cause":"#.repeat(depth), "}".repeat(depth));
    let json =
        format!(r#"{{"error":{{"message":"m","cause":{causes},"class":"After"}},"uuid":"u"}}"#);
    let occurrence = occurrence(&json, Limits::default());
    assert_eq!(occurrence.name, "u");
    assert_eq!(occurrence.exceptions.len(), 100);
    assert_eq!(occurrence.exceptions[0].class.as_deref(), Some("After"), "behind its cause");
    assert_eq!(occurrence.exceptions[98].class.as_deref(), Some("C"));
    let length = causes.len() - 99 * r#"{"class":"C","cause":}"#.len();
    let mark = format!("… (truncated, {length} bytes)");
    let last = Exception { message: Some(mark), ..Exception::default() };
    assert_eq!(occurrence.exceptions[99], last);
}

#[test]
fn a_chain_of_exactly_the_limit_is_whole() {
    let causes = format!("{}null{}", r#"{"cause":"#.repeat(64), "}".repeat(64));
    let json = format!(r#"{{"error":{causes}}}"#);
    let exceptions = occurrence(&json, Limits { causes: 1, ..Limits::default() }).exceptions;
    assert_eq!(exceptions, vec![Exception::default(); 64], "64 are kept whatever is configured");
}

#[test]
fn nesting_where_nobody_looks_costs_nothing() {
    let deep = format!("{}{}", "[".repeat(200_000), "]".repeat(200_000));
    let body = with_occurrence(&format!(
        r#"{{"uuid":"u","http_context":{{"x":{deep},"request_url":{deep}}}}}"#
    ));
    assert_eq!(read(body, Limits::default()).unwrap().errors[0].occurrences[0].name, "u");
}

#[test]
fn texts_are_cut_at_a_character_with_a_visible_mark() {
    let long = "ä".repeat(1000);
    let limits = Limits {
        message_length: 101,
        frame_length: 101,
        header_length: 101,
        body_length: 101,
        ..Limits::default()
    };
    let json = format!(
        r#"{{"error":{{"class":"{long}","message":"{long}","stacktrace":["{long}"]}},
            "http_context":{{"request_method":"{long}","request_url":"{long}","request_body":"{long}",
            "request_headers":{{"a":"{long}","{long}":"b"}}}}}}"#
    );
    let occurrence = occurrence(&json, limits);
    let cut = format!("{}… (truncated, 1948 bytes)", "ä".repeat(26));
    let exception = &occurrence.exceptions[0];
    let http = occurrence.http.as_ref().unwrap();
    assert_eq!(exception.class.as_ref(), Some(&cut));
    assert_eq!(exception.message.as_ref(), Some(&cut));
    assert_eq!(exception.stacktrace, std::slice::from_ref(&cut));
    assert_eq!(http.method.as_ref(), Some(&cut));
    assert_eq!(http.url.as_ref(), Some(&cut));
    assert_eq!(http.body.as_ref(), Some(&cut));
    assert_eq!(http.headers, [("a".to_owned(), cut)], "a name that is cut is another name");
}

#[test]
fn a_body_that_was_an_object_is_cut_as_its_compact_text() {
    let limits = Limits { body_length: 64, ..Limits::default() };
    let json = format!(r#"{{"http_context":{{"request_body": [ 1, "{}" ]}}}}"#, "x".repeat(100));
    let body = occurrence(&json, limits).http.unwrap().body.unwrap();
    assert!(body.starts_with("[1,\"xxx") && body.ends_with(" bytes)"), "{body}");
    assert!(body.len() <= 64);
}

#[test]
fn a_secret_is_masked_also_where_the_text_is_cut_within_it() {
    let json = format!(
        r#"{{"http_context":{{"request_body":"{{\"password\":\"{0}","request_url":"/?token={0}"}}}}"#,
        "s3cr3t".repeat(50)
    );
    let limits = Limits { body_length: 64, header_length: 64, ..Limits::default() };
    let http = occurrence(&json, limits).http.unwrap();
    assert!(!format!("{http:?}").contains("s3cr3t"), "{http:?}");
}

#[test]
fn masks_do_not_make_a_text_longer_than_its_limit() {
    for length in 40..200 {
        let form = "pwd=x&".repeat(length / 6);
        let json = format!(r#"{{"http_context":{{"request_body":"{form}"}}}}"#);
        let limits = Limits { body_length: 100, ..Limits::default() };
        let body = occurrence(&json, limits).http.unwrap().body.unwrap();
        assert!(body.len() <= 100, "{body}");
        assert!(body.starts_with("pwd=<redacted>&pwd=<red"), "{body}");
    }
}

#[test]
fn a_secret_as_long_as_the_mask_is_masked() {
    // It was taken for the mask once, because it had its length.
    let json = r#"{"http_context":{"request_headers":{"Cookie":"0123456789"},
        "request_url":"?token=0123456789","request_body":"pwd=0123456789"}}"#;
    let http = occurrence(json, Limits::default()).http.unwrap();
    assert_eq!(http.headers[0].1, "<redacted>");
    assert_eq!(http.url.as_deref(), Some("?token=<redacted>"));
    assert_eq!(http.body.as_deref(), Some("pwd=<redacted>"));
}

#[test]
fn frames_beyond_the_limit_are_counted_in_a_mark() {
    let limits = Limits { frames: 3, ..Limits::default() };
    let frames = |json: &str| {
        let json = format!(r#"{{"error":{{"stacktrace":{json}}}}}"#);
        occurrence(&json, limits.clone()).exceptions.remove(0).stacktrace
    };
    assert_eq!(frames(r#"["a",null,"b","c"]"#), ["a", "b", "c"]);
    assert_eq!(frames(r#"["a","b","c","d",null]"#), ["a", "b", "… (truncated, 2 frames)"]);
}

#[test]
fn occurrences_headers_and_incarnations_beyond_a_limit_are_left_out_with_a_warning() {
    let limits = Limits { occurrences: 1, headers: 1, incarnations: 1, ..Limits::default() };
    let body = with_error(
        r#""latest_errors":[
            {"http_context":{"request_headers":{"a":"1","b":"2"}}},
            {"uuid":"second"}],
        "incarnations":[
            {"source":"s","since":"2026-03-01T00:00:00Z","count":1},
            {"source":"t","since":"2026-03-01T00:00:00Z","count":1}]"#,
    );
    let report = read(body, limits).unwrap();
    let error = &report.errors[0];
    assert_eq!(error.occurrences.len(), 1);
    assert_eq!(error.occurrences[0].http.as_ref().unwrap().headers.len(), 1);
    assert_eq!(error.incarnations.as_ref().unwrap().len(), 1);
    assert_eq!(report.warnings.len(), 3, "{:?}", report.warnings);
}

#[test]
fn a_payload_beyond_one_of_its_own_limits_is_refused_with_the_reason() {
    let limits = Limits { payload_length: 10, ..Limits::default() };
    let error = read(r#"{"aggregated_errors":[]}"#, limits).unwrap_err();
    assert_eq!(error.to_string(), "the body has 24 bytes, more than the limit of 10");

    let limits = Limits { errors: 2, ..Limits::default() };
    assert!(read(r#"{"aggregated_errors":[1,2]}"#, limits.clone()).is_ok());
    let error = read(r#"{"aggregated_errors":[1,2,3]}"#, limits).unwrap_err();
    assert_eq!(error.to_string(), "more than 2 errors, at byte 26");
}

#[test]
fn a_payload_that_would_blow_up_in_memory_is_refused() {
    // 16 MB of occurrences of two bytes each, a hundred per error.
    let error = format!(
        r#"{{"aggregation_key":"k","total_count":1,"latest_errors":[{}{{}}]}}"#,
        "{},".repeat(99)
    );
    let body =
        format!(r#"{{"aggregated_errors":[{}{error}]}}"#, format!("{error},").repeat(45_000));
    assert!(matches!(read(body, Limits::default()), Err(PayloadError::TooMuchMemory { .. })));
}

#[test]
fn a_hundred_thousand_bad_errors_give_some_warnings_and_a_count() {
    let body = format!(r#"{{"aggregated_errors":[{}0]}}"#, "0,".repeat(99_999));
    let report = read(body, Limits::default()).unwrap();
    assert_eq!((report.errors.len(), report.skipped), (0, 100_000));
    assert_eq!(report.warnings.len(), 21);
    assert_eq!(report.warnings[20].message, "and 99980 more, this one the last");
}

#[test]
fn long_names_are_bounded_and_stay_unique() {
    let long = "n".repeat(5000);
    let body = format!(
        r#"{{"target_uuid":"{long}","aggregated_errors":[{{"aggregation_key":"{long}",
            "total_count":1,"latest_errors":[{{"uuid":"{long}"}}]}}]}}"#
    );
    let report = read(body, Limits::default()).unwrap();
    let bounded = periskop_core::ids::bounded(&long);
    assert_eq!(report.target_uuid.as_deref(), Some(&*bounded));
    assert_eq!(report.errors[0].key.as_str(), bounded);
    assert_eq!(report.errors[0].occurrences[0].name, bounded);
}

#[test]
fn every_prefix_of_a_payload_is_refused() {
    let body = with_occurrence(r#"{"uuid":"u\u00e4","error":{"stacktrace":["a",-1.5e3]}}"#);
    assert!(read(&body, Limits::default()).is_ok());
    for end in 0..body.len() {
        let error = read(&body[..end], Limits::default()).unwrap_err();
        assert!(error.offset() <= end, "{error}");
    }
}

#[test]
fn the_reason_says_what_is_wrong_for_people() {
    let reason = |body: &str| read(body, Limits::default()).unwrap_err().to_string();
    assert_eq!(reason(""), "the body is empty");
    assert_eq!(reason("<html>"), "not JSON: expected a value at byte 0");
    assert_eq!(reason("[]"), "not the exporter format: the document is no object");
    assert_eq!(reason("{}"), "not the exporter format: no `aggregated_errors`");
    let no_list = "not the exporter format: `aggregated_errors` at byte 21 is no list";
    assert_eq!(reason(r#"{"aggregated_errors":5}"#), no_list);
    assert_eq!(reason(r#"{"aggregated_errors":["#), "not JSON: unexpected end at byte 22");
}
