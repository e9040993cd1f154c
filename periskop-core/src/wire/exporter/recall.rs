//! What one source told last, found again in its next answer by nothing but hashes.
//!
//! Whatever has the hash of an object that was read before is that object: it is JSON, it ends where
//! that one ended, and it need not be looked into. Where an object begins, those that are remembered
//! are tried one after the other. That is a guess, which costs time where it is wrong and nothing
//! else: what is read in spite of it is compared once more, whole. How much may be guessed in vain
//! is bounded by the length of the body.

use xxhash_rust::xxh3::{xxh3_64_with_seed, xxh3_128_with_seed};

use crate::ids::AggregationKey;
use crate::occurrence::Severity;
use crate::report::UnchangedOccurrence;
use crate::time::Timestamp;

/// Errors are looked for by so many first bytes of theirs: the key and the count are among them,
/// mostly. A shorter one is read about as soon as it is looked for.
const BEGINNING: usize = 128;

/// As many errors that begin alike are tried at one place.
const ALIKE: usize = 64;

/// As many hashes are taken in vain before an occurrence is read.
const TRIED: usize = 3;

/// What a source told when it answered last.
#[derive(Clone)]
pub(super) struct Source {
    pub(super) target_uuid: Option<Box<str>>,
    /// Sorted by key; no key comes twice.
    errors: Box<[KnownError]>,
    /// The indices of those that can be found by their beginning, sorted by it.
    by_beginning: Box<[u32]>,
    /// Those of each error together, in payload order.
    occurrences: Box<[KnownOccurrence]>,
}

/// An error that need not be read again while it is the same.
#[derive(Clone)]
struct KnownError {
    key: AggregationKey,
    /// Of its slice of the body, from `{` to `}`.
    hash: [u8; 16],
    length: u32,
    beginning: u32,
    first_occurrence: u32,
    occurrence_count: u32,
}

/// An occurrence that need not be read again: in 28 bytes, because there are ten of each error.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) struct KnownOccurrence {
    hash: [u8; 16],
    length: [u8; 4],
    /// The time in microseconds, times four, plus the severity.
    time_and_severity: [u8; 8],
}

impl KnownOccurrence {
    /// `None` if it is too long, or too far away, to be remembered.
    pub(super) fn new(
        hash: u128,
        length: usize,
        time: Timestamp,
        severity: Severity,
    ) -> Option<Self> {
        let code = match severity {
            Severity::Info => 0,
            Severity::Warning => 1,
            Severity::Error => 2,
        };
        Some(Self {
            hash: hash.to_le_bytes(),
            length: u32::try_from(length).ok()?.to_le_bytes(),
            time_and_severity: time.as_micros().checked_mul(4)?.checked_add(code)?.to_le_bytes(),
        })
    }

    /// What it says.
    pub(super) fn told(&self) -> UnchangedOccurrence {
        let both = i64::from_le_bytes(self.time_and_severity);
        let severity = match both & 3 {
            0 => Severity::Info,
            1 => Severity::Warning,
            _ => Severity::Error,
        };
        UnchangedOccurrence { time: Timestamp::from_micros(both >> 2), severity }
    }

    pub(super) fn length(&self) -> usize {
        u32::from_le_bytes(self.length) as usize
    }

    pub(super) fn is(&self, hash: u128, length: usize) -> bool {
        self.hash == hash.to_le_bytes() && self.length() == length
    }
}

impl Source {
    /// How many errors are known.
    pub(super) fn len(&self) -> usize {
        self.errors.len()
    }

    /// What remembering it costs, roughly: in occurrences.
    pub(super) fn weight(&self) -> usize {
        2 * self.errors.len() + self.occurrences.len()
    }

    /// Which error has that key.
    pub(super) fn find(&self, key: &str) -> Option<usize> {
        self.errors.binary_search_by(|known| known.key.as_str().cmp(key)).ok()
    }

    pub(super) fn key(&self, error: usize) -> &AggregationKey {
        &self.errors[error].key
    }

    pub(super) fn keys(&self) -> impl Iterator<Item = &AggregationKey> {
        self.errors.iter().map(|known| &known.key)
    }

    /// Whether an error is what has that hash.
    pub(super) fn is(&self, error: usize, hash: u128, length: usize) -> bool {
        let known = &self.errors[error];
        known.hash == hash.to_le_bytes() && known.length as usize == length
    }

    pub(super) fn occurrences(&self, error: usize) -> &[KnownOccurrence] {
        let known = &self.errors[error];
        let first = known.first_occurrence as usize;
        &self.occurrences[first..first + known.occurrence_count as usize]
    }
}

/// Puts together what is remembered of an answer.
pub(super) struct Remembering {
    seed: u64,
    errors: Vec<KnownError>,
    occurrences: Vec<KnownOccurrence>,
}

impl Remembering {
    pub(super) fn new(seed: u64) -> Self {
        Self { seed, errors: Vec::new(), occurrences: Vec::new() }
    }

    /// An error that is as it was in that source.
    pub(super) fn again(&mut self, source: &Source, error: usize) {
        let known = source.errors[error].clone();
        self.push(known, source.occurrences(error));
    }

    /// An error that was read from `slice`. One that is too long is not remembered; whether it is.
    pub(super) fn read(
        &mut self,
        key: AggregationKey,
        slice: &[u8],
        hash: u128,
        occurrences: &[KnownOccurrence],
    ) -> bool {
        let Ok(length) = u32::try_from(slice.len()) else { return false };
        let beginning = slice.first_chunk().map_or(0, |begins| beginning(self.seed, begins));
        let hash = hash.to_le_bytes();
        let (first_occurrence, occurrence_count) = (0, 0);
        let known = KnownError { key, hash, length, beginning, first_occurrence, occurrence_count };
        self.push(known, occurrences)
    }

    fn push(&mut self, known: KnownError, occurrences: &[KnownOccurrence]) -> bool {
        let all = self.occurrences.len() + occurrences.len();
        let (Ok(_), Ok(first_occurrence), Ok(occurrence_count)) = (
            u32::try_from(all),
            u32::try_from(self.occurrences.len()),
            u32::try_from(occurrences.len()),
        ) else {
            return false;
        };
        self.occurrences.extend_from_slice(occurrences);
        self.errors.push(KnownError { first_occurrence, occurrence_count, ..known });
        true
    }

    /// No key may have come twice.
    pub(super) fn finish(mut self, target_uuid: Option<&str>) -> Source {
        self.errors.sort_unstable_by(|a, b| a.key.cmp(&b.key));
        let errors = self.errors.into_boxed_slice();
        let mut by_beginning: Vec<u32> = (0_u32..)
            .zip(&errors)
            .filter(|(_, known)| known.length as usize >= BEGINNING)
            .map(|(i, _)| i)
            .collect();
        by_beginning.sort_unstable_by_key(|i| errors[*i as usize].beginning);
        Source {
            target_uuid: target_uuid.map(Into::into),
            errors,
            by_beginning: by_beginning.into(),
            occurrences: self.occurrences.into(),
        }
    }
}

/// Looks for what a source told before while its answer is read.
pub(super) struct Recall<'a> {
    seed: u64,
    pub(super) source: Option<&'a Source>,
    /// Whether something that was taken for known may mean something else here: the answer has to
    /// be read without knowing anything.
    pub(super) is_ambiguous: bool,
    /// How many bytes may still be hashed in vain.
    allowance: usize,
}

impl<'a> Recall<'a> {
    pub(super) fn new(seed: u64, source: Option<&'a Source>, body: &[u8]) -> Self {
        Self { seed, source, is_ambiguous: false, allowance: body.len() }
    }

    pub(super) fn hash(&self, bytes: &[u8]) -> u128 {
        xxh3_128_with_seed(bytes, self.seed)
    }

    /// Which known error begins at `at`, and its length.
    pub(super) fn error_at(&mut self, body: &[u8], at: usize) -> Option<(usize, usize)> {
        let source = self.source?;
        let beginning = beginning(self.seed, body.get(at..)?.first_chunk()?);
        let of = |i: &u32| source.errors[*i as usize].beginning;
        let first = source.by_beginning.partition_point(|i| of(i) < beginning);
        let alike = source.by_beginning[first..].iter().take_while(|i| of(i) == beginning);
        let mut last = None;
        for i in alike.take(ALIKE) {
            let error = *i as usize;
            let length = source.errors[error].length as usize;
            let Some(hash) = self.tried(body, at, length, &mut last) else { continue };
            if source.is(error, hash, length) {
                self.allowance = self.allowance.saturating_add(length);
                return Some((error, length));
            }
        }
        None
    }

    /// Which of these occurrences begins at `at`; those from `next` on are the likeliest.
    pub(super) fn occurrence_at(
        &mut self,
        body: &[u8],
        at: usize,
        known: &[KnownOccurrence],
        next: &mut usize,
    ) -> Option<KnownOccurrence> {
        let mut last = None;
        let mut hashes = 0;
        let (before, after) = known.split_at((*next).min(known.len()));
        let likely = (before.len()..).zip(after).chain((0..).zip(before));
        for (i, occurrence) in likely {
            let length = occurrence.length();
            if last.is_none_or(|(hashed, _)| hashed != length) {
                if hashes == TRIED {
                    return None;
                }
                hashes += usize::from(ends_at(body, at + length));
            }
            let Some(hash) = self.tried(body, at, length, &mut last) else { continue };
            if occurrence.is(hash, length) {
                self.allowance = self.allowance.saturating_add(length);
                *next = i + 1;
                return Some(*occurrence);
            }
        }
        None
    }

    /// The hash of so many bytes, if an object may end there. `last` is what was hashed last here.
    fn tried(
        &mut self,
        body: &[u8],
        at: usize,
        length: usize,
        last: &mut Option<(usize, u128)>,
    ) -> Option<u128> {
        if let Some((hashed, hash)) = *last
            && hashed == length
        {
            return Some(hash);
        }
        if !ends_at(body, at + length) {
            return None;
        }
        self.allowance = self.allowance.checked_sub(length)?;
        let hash = self.hash(&body[at..at + length]);
        *last = Some((length, hash));
        Some(hash)
    }
}

fn beginning(seed: u64, begins: &[u8; BEGINNING]) -> u32 {
    // A part of a good hash is one.
    let [a, b, c, d, ..] = xxh3_64_with_seed(begins, seed).to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

/// Whether an element of a list, and an object, may end before `end`.
fn ends_at(body: &[u8], end: usize) -> bool {
    let last = end.checked_sub(1).and_then(|last| body.get(last));
    last == Some(&b'}') && matches!(body.get(end), Some(b',' | b']' | b' ' | b'\n' | b'\r' | b'\t'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_of_ten_occurrences_is_remembered_in_350_bytes() {
        let index = size_of::<u32>();
        let cost = size_of::<KnownError>() + index + 10 * size_of::<KnownOccurrence>();
        assert!(cost <= 350, "{cost}");
    }

    #[test]
    fn what_an_occurrence_says_is_remembered_exactly() {
        for severity in [Severity::Info, Severity::Warning, Severity::Error] {
            for time in [Timestamp::YEAR_2000, Timestamp::from_micros(253_402_300_799_999_999)] {
                let known = KnownOccurrence::new(7, 9, time, severity).unwrap();
                assert_eq!(known.told(), UnchangedOccurrence { time, severity });
                assert!(known.is(7, 9) && !known.is(7, 8) && !known.is(8, 9));
            }
        }
        assert!(
            KnownOccurrence::new(7, 9, Timestamp::from_micros(i64::MAX), Severity::Info).is_none()
        );
    }

    #[test]
    fn as_much_is_hashed_in_vain_as_the_body_is_long() {
        // Given many errors that begin and end alike and differ in length.
        let error = |n: usize| format!("{{{}{}}}", "a".repeat(200), "b".repeat(100 * n));
        let mut remembering = Remembering::new(1);
        for n in 1..50 {
            let slice = error(n);
            let hash = xxh3_128_with_seed(slice.as_bytes(), 1);
            remembering.read(format!("{n}").into(), slice.as_bytes(), hash, &[]);
        }
        let source = remembering.finish(None);
        // When something is tried that might be each of them and is none.
        let body = "{".to_owned() + &"a".repeat(200) + &"},}".repeat(10_000);
        let mut recall = Recall::new(1, Some(&source), body.as_bytes());
        let begins = recall.allowance;
        for _ in 0..1000 {
            assert_eq!(recall.error_at(body.as_bytes(), 0), None);
        }
        // Then no more is hashed than the body holds.
        assert!(recall.allowance <= begins);
        let mut again = Recall::new(1, Some(&source), body.as_bytes());
        assert_eq!(again.error_at(format!("{},", error(3)).as_bytes(), 0).map(|f| f.1), Some(502));
        assert_eq!(again.allowance, begins, "what was found was not in vain");
    }
}
