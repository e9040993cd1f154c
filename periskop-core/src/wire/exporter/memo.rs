//! What a target has told before, so that only what it says anew is read.

use std::fmt;

use hashbrown::HashSet;
use memchr::memmem;
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::parse::{Document, ReadError, Slice};
use super::recall::{Recall, Remembering, Source};
use super::{Options, PayloadError};
use crate::ids::AggregationKey;
use crate::report::Report;
#[cfg(doc)]
use crate::report::ReportedError;
use crate::time::Timestamp;

/// Remembers the last good answers of one target of one service, as hashes: per source (the
/// payload's `target_uuid`, or none), because instances that answer behind one address in turn may
/// send the same bytes and mean different counters.
///
/// It is the owner's to [clear](Memo::clear) it when what was merged is no longer there (prune,
/// forget, import, another service for the target), is kept otherwise (more occurrences of each
/// error) or is read otherwise (other [`Options`]), and not to use one target's memo for another.
#[derive(Clone)]
pub struct Memo {
    seed: u64,
    /// The one that answered last is the last.
    sources: Vec<Source>,
}

impl Memo {
    /// How many instances may answer in turn behind one address.
    const SOURCES: usize = 32;
    /// How much is remembered over all sources but the last one, in occurrences: a target that
    /// makes up a new `target_uuid` each time gains nothing.
    const WEIGHT: usize = 100_000;
    /// How far from an end of a body its `target_uuid` is looked for.
    const MARGIN: usize = 256;

    /// Remembers nothing yet. `seed` is random and secret, so that no target can make two slices
    /// with the same hash.
    pub fn new(seed: u64) -> Self {
        Self { seed, sources: Vec::new() }
    }

    /// Forgets everything: the next answer is read in full.
    pub fn clear(&mut self) {
        self.sources.clear();
    }

    fn known(&self, target_uuid: Option<&str>) -> Option<&Source> {
        self.sources.iter().find(|source| source.target_uuid.as_deref() == target_uuid)
    }

    /// Who is likely to have answered. The first or last thing that clients tell is who they are.
    fn likely(&self, body: &[u8]) -> Option<&Source> {
        let (last, others) = self.sources.split_last()?;
        let margin = body.len().min(Self::MARGIN);
        let ends = [&body[body.len() - margin..], &body[..margin]];
        let names = |source: &&Source| {
            let name = source.target_uuid.as_deref();
            name.is_some_and(|name| {
                ends.iter().any(|end| memmem::find(end, name.as_bytes()).is_some())
            })
        };
        if others.is_empty() {
            Some(last)
        } else {
            self.sources.iter().rev().find(names).or(Some(last))
        }
    }

    fn remember(&mut self, source: Source) {
        self.sources.retain(|other| other.target_uuid != source.target_uuid);
        let mut weight: usize = self.sources.iter().map(Source::weight).sum();
        while self.sources.len() >= Self::SOURCES || weight > Self::WEIGHT {
            weight -= self.sources.remove(0).weight();
        }
        self.sources.push(source);
    }

    /// A source answers as it did last.
    fn repeat(&mut self, target_uuid: Option<&str>) {
        if let Some(i) = self.sources.iter().position(|s| s.target_uuid.as_deref() == target_uuid) {
            self.sources[i..].rotate_left(1);
        }
    }
}

impl fmt::Debug for Memo {
    /// Without the seed, which is a secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memo").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

/// Reads a payload like [`parse`](super::parse()), but only the errors that the same source's last
/// answer at this target did not have byte for byte, and of these only the occurrences that it did
/// not have under the same key. The others are in [`Report::unchanged`], in no particular order, and
/// in [`ReportedError::unchanged`].
///
/// Not remembered, and so read each time, are errors that were skipped or gave a warning (it would
/// be silenced), that hold a time too far ahead (it may be usable later), and those whose key comes
/// twice in the payload (together they mean something else than one after the other). Occurrences
/// without a usable time or a severity of their own are read whenever their error is.
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
    let mut source = memo.likely(body);
    let mut is_whole = source.is_none();
    let (document, source, repeated) = loop {
        let recall = Recall::new(memo.seed, source, body);
        let document = Document::read(body, at, options, Some(recall))?;
        let actual = memo.known(document.target_uuid.as_deref());
        if is_whole {
            let repeated = repeated_keys(&document.slices, None);
            break (document, actual, repeated);
        }
        if source.map(std::ptr::from_ref) != actual.map(std::ptr::from_ref) {
            // It was somebody else.
            source = actual;
            is_whole = source.is_none();
        } else {
            let repeated = repeated_keys(&document.slices, source);
            if repeated.is_empty() && !document.is_ambiguous {
                break (document, source, repeated);
            }
            (source, is_whole) = (None, true);
        }
    };

    let mut report = Report { target_uuid: document.target_uuid, ..Report::default() };
    let slices = document.slices;
    let known = slices.iter().filter(|slice| matches!(slice, Slice::Known(_))).count();
    if let Some(source) = source
        && known == slices.len()
        && known == source.len()
    {
        report.unchanged = source.keys().cloned().collect();
        report.warnings = document.warnings.finish();
        memo.repeat(report.target_uuid.as_deref());
        return Ok(report);
    }
    let mut remembering = Remembering::new(memo.seed);
    for slice in slices {
        match slice {
            Slice::Known(error) => {
                let Some(source) = source else { continue };
                report.unchanged.push(source.key(error).clone());
                remembering.again(source, error);
            }
            Slice::Read(ReadError { error, place, is_settled, occurrences }) => {
                if is_settled && !repeated.contains(&error.key) {
                    let slice = &body[place];
                    let hash = xxh3_128_with_seed(slice, memo.seed);
                    let same = source.and_then(|source| {
                        let same = source.find(error.key.as_str())?;
                        source.is(same, hash, slice.len()).then_some((source, same))
                    });
                    if let Some((source, same)) = same {
                        report.unchanged.push(source.key(same).clone());
                        remembering.again(source, same);
                        continue;
                    }
                    remembering.read(error.key.clone(), slice, hash, &occurrences);
                }
                report.errors.push(error);
            }
            Slice::Skipped => report.skipped += 1,
        }
    }
    report.warnings = document.warnings.finish();
    let source = remembering.finish(report.target_uuid.as_deref());
    memo.remember(source);
    Ok(report)
}

/// The keys that more than one of the errors have. `source` is the one that was recalled.
fn repeated_keys(slices: &[Slice], source: Option<&Source>) -> HashSet<AggregationKey> {
    let mut seen = vec![false; source.map_or(0, Source::len)];
    let mut seen_first = HashSet::new();
    let mut repeated = HashSet::new();
    for slice in slices {
        let (known, key) = match slice {
            Slice::Known(error) => (Some(*error), source.map(|source| source.key(*error))),
            Slice::Read(read) => {
                let key = &read.error.key;
                (source.and_then(|source| source.find(key.as_str())), Some(key))
            }
            Slice::Skipped => continue,
        };
        let Some(key) = key else { continue };
        let again = match known {
            Some(error) => std::mem::replace(&mut seen[error], true),
            None => !seen_first.insert(key),
        };
        if again {
            repeated.insert(key.clone());
        }
    }
    repeated
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
    fn of_a_changed_error_only_the_occurrences_that_are_new_are_read() {
        let occurrence = |minute: u8, rest: &str| {
            format!(r#"{{"timestamp":"2026-03-01T11:{minute:02}:00Z","uuid":"{minute}"{rest}}}"#)
        };
        let error = |count: usize, occurrences: &[String]| {
            format!(
                r#"{{"aggregation_key":"a","total_count":{count},"latest_errors":[{}]}}"#,
                occurrences.join(" ,")
            )
        };
        let rated = r#","severity":"info""#;
        let (old, kept, new) = (occurrence(1, rated), occurrence(2, rated), occurrence(3, rated));
        let unrated = occurrence(4, "");
        let mut memo = Memo::new(7);
        let mut read = |occurrences: &[String]| {
            let body = payload("t", &[error(occurrences.len(), occurrences)]);
            let report = parse_changed(&body, NOW, &Options::default(), &mut memo).unwrap();
            let error = report.errors.into_iter().next().unwrap();
            let names: Vec<_> = error.occurrences.into_iter().map(|o| o.name).collect();
            (names.join(" "), error.unchanged.len())
        };
        // Given what was read once,
        assert_eq!(read(&[old, kept.clone(), unrated.clone()]), ("1 2 4".to_owned(), 0));
        // when one is new and one has gone, then that one is read, and what is not sure to mean
        // the same as before.
        assert_eq!(read(&[kept.clone(), unrated, new.clone(), kept.clone()]), ("4 3".into(), 2));
        // Their order does not matter.
        assert_eq!(read(&[new, kept]), (String::new(), 2));
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
