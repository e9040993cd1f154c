//! Payloads of targets and pushers.

use periskop_core::wire::exporter::{
    self, Limits, Memo, Options, Writer, line_and_column, parse, parse_changed,
};
use periskop_core::{Report, Timestamp};

/// 2026-03-01T12:00:00Z, when everything here is read.
const AT: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

/// A payload is read or refused with a place in it; what was read is bounded; a memo changes
/// nothing about what is known; what is written reads back as it was.
///
/// # Panics
///
/// If a promise is broken.
pub fn run(input: &[u8]) {
    let options = Options::default();
    let read = parse(input, AT, &options);
    remembered(input, &options, read.as_ref());
    match read {
        Ok(report) => {
            bounded(&report, &options.limits);
            for warning in &report.warnings {
                line_and_column(input, warning.offset);
                assert!(warning.offset <= input.len(), "{warning:?}");
            }
        }
        Err(error) => {
            assert!(error.offset() <= input.len(), "{error:?}");
            line_and_column(input, error.offset());
            return;
        }
    }
    let unlimited = Options { limits: Limits::none(), ..Options::default() };
    if let Ok(report) = parse(input, AT, &unlimited) {
        let payload = written(&report);
        let again = parse(&payload, AT, &unlimited).unwrap_or_else(|error| {
            panic!("{error} in {}", String::from_utf8_lossy(&payload));
        });
        assert!(again.warnings.is_empty() && again.skipped == 0, "{:?}", again.warnings);
        assert_eq!(written(&again), payload, "what was written reads back as it was");
    }
}

fn written(report: &Report) -> Vec<u8> {
    let mut writer = Writer::new(report.target_uuid.as_deref());
    report.errors.iter().for_each(|error| writer.error(error));
    writer.finish()
}

/// The same answer twice: the first time everything is new, the second time what is left out is
/// what was told before.
fn remembered(input: &[u8], options: &Options, read: Result<&Report, &exporter::PayloadError>) {
    let mut memo = Memo::new(1);
    let first = parse_changed(input, AT, options, &mut memo);
    assert_eq!(first.as_ref(), read, "an empty memo leaves nothing out");
    let second = parse_changed(input, AT, options, &mut memo);
    match (read, second) {
        (Ok(read), Ok(second)) => {
            let keys = |report: &Report| {
                let read = report.errors.iter().map(|error| error.key.clone());
                let mut keys: Vec<_> = read.chain(report.unchanged.iter().cloned()).collect();
                keys.sort();
                keys.dedup();
                keys
            };
            assert_eq!(keys(&second), keys(read), "every error is read or known");
            assert_eq!(second.target_uuid, read.target_uuid);
            assert_eq!(second.skipped, read.skipped);
        }
        (Err(_), Err(_)) => {}
        (read, second) => panic!("{read:?}, and then {second:?}"),
    }
}

fn bounded(report: &Report, limits: &Limits) {
    assert!(report.errors.len() <= limits.errors);
    for error in &report.errors {
        assert!(error.total_count < 1 << 53 && error.key.as_str().len() <= 1024, "{error:?}");
        assert!(error.occurrences.len() <= limits.occurrences);
        for occurrence in &error.occurrences {
            assert!(!occurrence.name.is_empty() && occurrence.name.len() <= 1024);
            assert!(!occurrence.exceptions.is_empty());
        }
    }
}
