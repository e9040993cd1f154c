//! What a target has told before, so that only what it says anew is read.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::parse::{Outline, Parser};
use super::{Options, PayloadError};
use crate::ids::AggregationKey;
use crate::report::{Report, ReportedError};
use crate::time::Timestamp;

/// Remembers the last good answers of one target of one service, as hashes: per source (the
/// payload's `target_uuid`, or none), because instances that answer behind one address in turn may
/// send the same bytes and mean different counters.
///
/// It is the owner's to [clear](Memo::clear) it when what was merged is no longer there (prune,
/// forget, import, another service for the target) or is read otherwise (other [`Options`]), and
/// not to use one target's memo for another.
#[derive(Clone)]
pub struct Memo {
    seed: u64,
    /// The one that answered last is the last.
    sources: Vec<Source>,
}

#[derive(Clone)]
struct Source {
    target_uuid: Option<String>,
    /// The hash of the whole body, if all of its errors are remembered and nothing was wrong.
    body: Option<u128>,
    /// By the hash of its slice of the body, from `{` to `}`.
    errors: BTreeMap<u128, AggregationKey>,
}

impl Memo {
    /// How many instances may answer in turn behind one address.
    const SOURCES: usize = 32;
    /// How many errors are remembered over all sources but the last one: a target that makes up a
    /// new `target_uuid` each time gains nothing.
    const ERRORS: usize = 10_000;

    /// Remembers nothing yet. `seed` is random and secret, so that no target can make two slices
    /// with the same hash.
    pub fn new(seed: u64) -> Self {
        Self { seed, sources: Vec::new() }
    }

    /// Forgets everything: the next answer is read in full.
    pub fn clear(&mut self) {
        self.sources.clear();
    }

    fn hash(&self, bytes: &[u8]) -> u128 {
        xxh3_128_with_seed(bytes, self.seed)
    }

    fn known(&self, target_uuid: Option<&str>) -> Option<&Source> {
        self.sources.iter().find(|source| source.target_uuid.as_deref() == target_uuid)
    }

    fn remember(&mut self, source: Source) {
        self.sources.retain(|other| other.target_uuid != source.target_uuid);
        let mut errors: usize = self.sources.iter().map(|source| source.errors.len()).sum();
        while self.sources.len() >= Self::SOURCES || errors > Self::ERRORS {
            errors -= self.sources.remove(0).errors.len();
        }
        self.sources.push(source);
    }
}

impl fmt::Debug for Memo {
    /// Without the seed, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

/// Reads a payload like [`parse`](super::parse()), but only the errors that the same source's last
/// answer at this target did not have byte for byte. The others are in [`Report::unchanged`], in no
/// particular order.
///
/// Not remembered, and so read each time, are errors that were skipped or gave a warning (it would
/// be silenced), that hold a time too far ahead (it may be usable later), and those whose key comes
/// twice in the payload (together they mean something else than one after the other).
///
/// # Errors
///
/// As [`parse`](super::parse()). The memo is then as it was.
pub fn parse_changed(
    body: &[u8],
    at: Timestamp,
    options: &Options,
    memo: &mut Memo,
) -> Result<Report, PayloadError> {
    let body_hash = memo.hash(body);
    if let Some(same) = memo.sources.iter().position(|source| source.body == Some(body_hash)) {
        let source = memo.sources.remove(same);
        let report = Report {
            target_uuid: source.target_uuid.clone(),
            unchanged: source.errors.values().cloned().collect(),
            ..Report::default()
        };
        memo.sources.push(source);
        return Ok(report);
    }

    let outline = Outline::of(body, options)?;
    let mut parser = Parser::new(body, at, options);
    parser.warnings = outline.warnings;
    let known = memo.known(outline.target_uuid.as_deref());
    let mut slices = Vec::with_capacity(outline.errors.len());
    for place in outline.errors {
        let hash = memo.hash(&body[place.clone()]);
        slices.push(match known.and_then(|source| source.errors.get(&hash)) {
            Some(key) => Slice::Known { hash, key: key.clone(), place },
            None => Slice::read(&mut parser, hash, place)?,
        });
    }

    let repeated = repeated_keys(&slices);
    let mut report = Report { target_uuid: outline.target_uuid, ..Report::default() };
    let mut errors = BTreeMap::new();
    let mut is_complete = true;
    for slice in slices {
        let slice = match slice {
            Slice::Known { hash, key, place } if repeated.contains(&key) => {
                Slice::read(&mut parser, hash, place)?
            }
            other => other,
        };
        match slice {
            Slice::Known { hash, key, .. } => {
                report.unchanged.push(key.clone());
                errors.insert(hash, key);
            }
            Slice::Read { error, remember } => {
                match remember {
                    Some(hash) if !repeated.contains(&error.key) => {
                        errors.insert(hash, error.key.clone());
                    }
                    _ => is_complete = false,
                }
                report.errors.push(error);
            }
            Slice::Skipped => {
                is_complete = false;
                report.skipped += 1;
            }
        }
    }
    report.warnings = parser.warnings.finish();
    let body = (is_complete && report.warnings.is_empty()).then_some(body_hash);
    memo.remember(Source { target_uuid: report.target_uuid.clone(), body, errors });
    Ok(report)
}

/// One error of the payload.
enum Slice {
    Known { hash: u128, key: AggregationKey, place: Range<usize> },
    Read { error: ReportedError, remember: Option<u128> },
    Skipped,
}

impl Slice {
    fn read(
        parser: &mut Parser<'_>,
        hash: u128,
        place: Range<usize>,
    ) -> Result<Self, PayloadError> {
        let warnings = parser.warnings.count();
        parser.met_the_future = false;
        let Some(error) = parser.error(place)? else { return Ok(Self::Skipped) };
        let settled = !parser.met_the_future && parser.warnings.count() == warnings;
        Ok(Self::Read { error, remember: settled.then_some(hash) })
    }

    fn key(&self) -> Option<&AggregationKey> {
        match self {
            Self::Known { key, .. } => Some(key),
            Self::Read { error, .. } => Some(&error.key),
            Self::Skipped => None,
        }
    }
}

fn repeated_keys(slices: &[Slice]) -> BTreeSet<AggregationKey> {
    let mut seen = BTreeSet::new();
    slices.iter().filter_map(Slice::key).filter(|key| !seen.insert(*key)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::exporter::parse;

    const NOW: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

    fn error(key: &str, count: u64) -> String {
        format!(r#"{{"aggregation_key":"{key}","total_count":{count}}}"#)
    }

    fn payload(target_uuid: &str, errors: &[String]) -> Vec<u8> {
        format!(r#"{{"aggregated_errors":[{}],"target_uuid":"{target_uuid}"}}"#, errors.join(", "))
            .into_bytes()
    }

    /// Which keys a payload is read for, and which are known.
    fn read(memo: &mut Memo, body: &[u8], at: Timestamp) -> (Vec<String>, Vec<String>) {
        let report = parse_changed(body, at, &Options::default(), memo).unwrap();
        let read = report.errors.iter().map(|error| error.key.to_string()).collect();
        let mut unchanged: Vec<_> = report.unchanged.iter().map(ToString::to_string).collect();
        unchanged.sort();
        (read, unchanged)
    }

    fn keys(keys: &[&str]) -> Vec<String> {
        keys.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn only_what_changed_is_read_in_whatever_order_the_errors_come() {
        let mut memo = Memo::new(7);
        let (a, b, c) = (error("a", 1), error("b", 1), error("c", 1));
        let first = payload("t", &[a.clone(), b, c.clone()]);
        assert_eq!(read(&mut memo, &first, NOW), (keys(&["a", "b", "c"]), keys(&[])));
        assert_eq!(read(&mut memo, &first, NOW), (keys(&[]), keys(&["a", "b", "c"])));
        let shuffled = payload("t", &[c, error("b", 2), a]);
        assert_eq!(read(&mut memo, &shuffled, NOW), (keys(&["b"]), keys(&["a", "c"])));
        assert_eq!(read(&mut memo, &first, NOW), (keys(&["b"]), keys(&["a", "c"])));
    }

    #[test]
    fn the_same_bytes_of_another_source_are_read() {
        let mut memo = Memo::new(7);
        let (one, two) = (payload("one", &[error("a", 1)]), payload("two", &[error("a", 1)]));
        for (body, expected) in [(&one, &["a"][..]), (&two, &["a"]), (&one, &[]), (&two, &[])] {
            assert_eq!(read(&mut memo, body, NOW).0, keys(expected));
        }
        let anonymous = br#"{"aggregated_errors":[{"aggregation_key":"a","total_count":1}]}"#;
        assert_eq!(read(&mut memo, anonymous, NOW).0, keys(&["a"]));
        memo.clear();
        assert_eq!(read(&mut memo, &one, NOW).0, keys(&["a"]));
    }

    #[test]
    fn an_error_that_was_gone_is_read_again() {
        let mut memo = Memo::new(7);
        read(&mut memo, &payload("t", &[error("a", 1), error("b", 1)]), NOW);
        read(&mut memo, &payload("t", &[error("a", 1)]), NOW);
        let back = read(&mut memo, &payload("t", &[error("a", 1), error("b", 1)]), NOW);
        assert_eq!(back, (keys(&["b"]), keys(&["a"])));
    }

    #[test]
    fn a_time_too_far_ahead_is_read_until_it_is_usable() {
        let mut memo = Memo::new(7);
        let ahead = r#"{"aggregation_key":"a","total_count":1,
            "latest_errors":[{"timestamp":"2026-03-01T12:06:00Z"}]}"#;
        let body = payload("t", &[ahead.into(), error("b", 1)]);
        assert_eq!(read(&mut memo, &body, NOW).0, keys(&["a", "b"]));
        assert_eq!(read(&mut memo, &body, NOW), (keys(&["a"]), keys(&["b"])));
        let later = NOW.plus(std::time::Duration::from_secs(60));
        assert_eq!(read(&mut memo, &body, later), (keys(&["a"]), keys(&["b"])));
        assert_eq!(read(&mut memo, &body, later), (keys(&[]), keys(&["a", "b"])));
    }

    #[test]
    fn a_key_that_comes_twice_is_read_each_time_even_where_one_of_the_two_was_known() {
        let mut memo = Memo::new(7);
        let (a, b) = (error("a", 1), error("b", 1));
        read(&mut memo, &payload("t", &[a.clone(), b.clone()]), NOW);
        let twice = payload("t", &[a.clone(), b.clone(), error("a", 2)]);
        assert_eq!(read(&mut memo, &twice, NOW), (keys(&["a", "a"]), keys(&["b"])));
        assert_eq!(read(&mut memo, &twice, NOW), (keys(&["a", "a"]), keys(&["b"])));
        let identical = payload("t", &[a.clone(), a.clone()]);
        assert_eq!(read(&mut memo, &identical, NOW).0, keys(&["a", "a"]));
        assert_eq!(read(&mut memo, &payload("t", &[a, b]), NOW).0, keys(&["a", "b"]));
    }

    #[test]
    fn what_gave_a_warning_gives_it_each_time() {
        let mut memo = Memo::new(7);
        let body = payload(
            "t",
            &["null".into(), r#"{"aggregation_key":"a","total_count":1,"latest_errors":5}"#.into()],
        );
        for _ in 0..2 {
            let report = parse_changed(&body, NOW, &Options::default(), &mut memo).unwrap();
            assert_eq!(report, parse(&body, NOW, &Options::default()).unwrap());
            assert_eq!((report.skipped, report.warnings.len()), (1, 2));
        }
    }

    #[test]
    fn a_failed_answer_leaves_the_memo_as_it_was() {
        let mut memo = Memo::new(7);
        let body = payload("t", &[error("a", 1)]);
        read(&mut memo, &body, NOW);
        let cut = &body[..body.len() - 1];
        assert!(parse_changed(cut, NOW, &Options::default(), &mut memo).is_err());
        assert_eq!(read(&mut memo, &body, NOW), (keys(&[]), keys(&["a"])));
    }

    #[test]
    fn sources_that_answered_long_ago_are_dropped() {
        let mut memo = Memo::new(7);
        for n in 0..=Memo::SOURCES {
            read(&mut memo, &payload(&n.to_string(), &[error("a", 1)]), NOW);
            read(&mut memo, &payload("0", &[error("a", 1)]), NOW);
        }
        assert_eq!(memo.sources.len(), Memo::SOURCES);
        assert_eq!(read(&mut memo, &payload("0", &[error("a", 1)]), NOW).0, keys(&[]));
        assert_eq!(read(&mut memo, &payload("1", &[error("a", 1)]), NOW).0, keys(&["a"]));
    }
}
