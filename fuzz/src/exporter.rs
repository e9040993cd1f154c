//! The exporter format: any bytes are read or refused, and what was read survives writing.

use periskop_core::redact::Redactor;
use periskop_core::wire::exporter::{Limits, Memo, Options, Writer, parse, parse_changed};
use periskop_core::{ContentHash, Report, ReportedError, Timestamp};

const NOW: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

/// Reads `data` as a payload and checks what holds for every payload:
///
/// - reading it never panics, masked and with the default limits or not;
/// - the place of an error or warning is a place in it;
/// - what was read, bounded tightly, is written, read and written again as the same bytes;
/// - reading what changed since nothing tells all of it, and since itself nothing new.
pub fn run(data: &[u8]) {
    check_masked(data);
    check_written(data);
    check_memo(data);
}

fn check_masked(data: &[u8]) {
    match parse(data, NOW, &Options::default()) {
        Ok(report) => {
            assert!(report.warnings.iter().all(|warning| warning.offset < data.len()));
        }
        Err(error) => assert!(error.offset() <= data.len(), "{error}"),
    }
}

fn check_written(data: &[u8]) {
    let limits = Limits {
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
    let options = Options { limits, redactor: Redactor::off() };
    let Ok(report) = parse(data, NOW, &options) else { return };
    let once = written(&report);
    let read = parse(&once, NOW, &options).expect("what is written is a payload");
    assert_eq!(read.target_uuid, report.target_uuid);
    assert_eq!(without_content(&read), without_content(&report));
    assert_eq!(written(&read), once);
}

fn check_memo(data: &[u8]) {
    let options = Options::default();
    let mut memo = Memo::new(0);
    let all = parse(data, NOW, &options);
    assert_eq!(parse_changed(data, NOW, &options, &mut memo), all);
    let Ok(all) = all else { return };
    let again = parse_changed(data, NOW, &options, &mut memo).expect("it was read before");
    assert_eq!(again.errors.len() + again.unchanged.len(), all.errors.len());
    assert_eq!((again.skipped, again.warnings), (all.skipped, all.warnings));
    assert!(again.errors.iter().all(|error| all.errors.contains(error)));
}

fn written(report: &Report) -> Vec<u8> {
    let mut writer = Writer::new(report.target_uuid.as_deref());
    report.errors.iter().for_each(|error| writer.error(error));
    writer.finish()
}

/// The hash of an occurrence's bytes is another after writing.
fn without_content(report: &Report) -> Vec<ReportedError> {
    let mut errors = report.errors.clone();
    for occurrence in errors.iter_mut().flat_map(|error| &mut error.occurrences) {
        occurrence.content = ContentHash([0; 16]);
    }
    errors
}
