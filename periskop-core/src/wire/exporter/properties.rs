//! What holds for every payload.

use proptest::collection::vec;
use proptest::prelude::*;

use super::{Limits, Memo, Options, Writer, parse, parse_changed};
use crate::ids::AggregationKey;
use crate::occurrence::ContentHash;
use crate::redact::Redactor;
use crate::report::{Report, ReportedError};
use crate::testing::wire;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

fn as_it_came() -> Options {
    Options { limits: Limits::default(), redactor: Redactor::off() }
}

/// Limits so low that nearly everything is cut.
fn narrow() -> Options {
    let limits = Limits {
        errors: 3,
        occurrences: 2,
        incarnations: 2,
        frames: 2,
        frame_length: 64,
        message_length: 64,
        headers: 2,
        header_length: 64,
        body_length: 64,
        ..Limits::default()
    };
    Options { limits, redactor: Redactor::off() }
}

/// The content hash is that of the bytes, which writing changes.
fn without_content(mut errors: Vec<ReportedError>) -> Vec<ReportedError> {
    for occurrence in errors.iter_mut().flat_map(|error| &mut error.occurrences) {
        occurrence.content = ContentHash([0; 16]);
    }
    errors
}

fn errors_of(report: &Report, keys: &[AggregationKey]) -> Vec<ReportedError> {
    report.errors.iter().filter(|error| keys.contains(&error.key)).cloned().collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(10_000))]

    #[test]
    fn a_written_report_reads_as_it_was(report in wire::report()) {
        let read = parse(&wire::written(&report), NOW, &as_it_came()).unwrap();
        prop_assert_eq!(read.target_uuid, report.target_uuid);
        prop_assert_eq!(without_content(read.errors), report.errors);
        prop_assert_eq!((read.skipped, read.warnings), (0, vec![]));
    }

    #[test]
    fn any_bytes_are_read_or_refused(bytes in vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, NOW, &Options::default());
    }

    #[test]
    fn a_broken_payload_is_read_or_refused_at_a_place_in_it(bytes in wire::broken_payload()) {
        match parse(&bytes, NOW, &narrow()) {
            Ok(report) => {
                prop_assert!(report.warnings.len() <= 21);
                prop_assert!(report.warnings.iter().all(|w| w.offset < bytes.len()));
                // What was cut once is not cut again on its way from server to server.
                let again = parse(&wire::written(&report), NOW, &narrow()).unwrap();
                prop_assert_eq!(without_content(again.errors), without_content(report.errors));
            }
            Err(error) => prop_assert!(error.offset() <= bytes.len()),
        }
    }

    #[test]
    fn it_is_json_for_us_if_and_only_if_it_is_for_others(bytes in wire::broken_payload()) {
        // A raw value is checked without being decoded, as here.
        let Ok(text) = std::str::from_utf8(&bytes) else { return Ok(()) };
        let ours = super::reader::Reader::new(text.as_bytes())
            .skip()
            .is_ok_and(|place| text[place.end..].trim_ascii().is_empty());
        let theirs = serde_json::from_str::<&serde_json::value::RawValue>(text).is_ok();
        prop_assert_eq!(ours, theirs, "{}", text);
    }

    #[test]
    fn reading_only_what_changed_tells_the_same(
        errors in vec(wire::error(), 1..5),
        answers in vec((vec(any::<prop::sample::Index>(), 0..5), 0..3_usize, any::<bool>()), 1..5),
    ) {
        let mut memo = Memo::new(42);
        for (picks, source, is_cut) in answers {
            let mut writer = Writer::new([None, Some("a"), Some("b")][source]);
            for pick in picks {
                writer.error(pick.get(&errors));
            }
            let mut body = writer.finish();
            body.truncate(body.len() - usize::from(is_cut));
            let all = parse(&body, NOW, &as_it_came());
            let changed = parse_changed(&body, NOW, &as_it_came(), &mut memo);
            let (Ok(all), Ok(changed)) = (&all, &changed) else {
                prop_assert_eq!(all, changed);
                continue;
            };
            prop_assert_eq!(&all.target_uuid, &changed.target_uuid);
            prop_assert_eq!((all.skipped, &all.warnings), (changed.skipped, &changed.warnings));
            prop_assert_eq!(all.errors.len(), changed.errors.len() + changed.unchanged.len());
            let read: Vec<_> = changed.errors.iter().map(|error| error.key.clone()).collect();
            prop_assert_eq!(errors_of(all, &read), changed.errors.clone());
            for key in &changed.unchanged {
                prop_assert!(!read.contains(key), "a key is either read or unchanged");
                prop_assert_eq!(errors_of(all, std::slice::from_ref(key)).len(), 1);
            }
        }
    }
}
