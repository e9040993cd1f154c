//! Who counted how much: one tally for each lifetime of each exporter's counter.

use std::fmt;

use crate::aggregate::Forgotten;
use crate::aggregate::lives::Lives;
use crate::ids::{ReplicaId, SourceId};
use crate::merge::Merge;
use crate::time::Timestamp;

/// One lifetime of one exporter's counter: who counts, and since when.
///
/// Ordered by source first, so that all lives of one source lie side by side.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Incarnation {
    /// Who counts.
    pub source: SourceId,
    /// Which life of its counter.
    pub since: Since,
}

impl Incarnation {
    /// Who numbered this life, if its exporter does not tell lives apart.
    pub fn observer(&self) -> Option<ReplicaId> {
        match self.since {
            Since::CreatedAt(_) => None,
            Since::Reset { observer, .. } => Some(observer),
        }
    }
}

/// How one life of a counter is told from the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Since {
    /// By the exporter's own `created_at`: an identity, never judged as a time.
    CreatedAt(Timestamp),
    /// Numbered by whoever observed the counter fall, where the exporter tells nothing.
    Reset {
        /// Who numbers.
        observer: ReplicaId,
        /// The number, from 0.
        n: u32,
    },
}

/// What one incarnation counted. Each part only grows.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Tally {
    count: u64,
    newest: i64,
    risen: i64,
}

/// Stands for "not known": no time that parses is as early.
const NEVER: i64 = i64::MIN;

impl Tally {
    /// `count` occurrences; `newest`: the newest usable occurrence time that was reported;
    /// `risen`: when the count was found raised, first sight included, which is the observer's
    /// time of the previous good answer or push of that source, if there was one since the
    /// process started.
    pub fn new(count: u64, newest: Option<Timestamp>, risen: Option<Timestamp>) -> Self {
        let raw = |time: Option<Timestamp>| time.map_or(NEVER, Timestamp::as_micros);
        Self { count, newest: raw(newest), risen: raw(risen) }
    }

    /// How often it happened.
    pub fn count(&self) -> u64 {
        self.count
    }

    /// The newest usable occurrence time that it reported.
    pub fn newest(&self) -> Option<Timestamp> {
        (self.newest != NEVER).then(|| Timestamp::from_micros(self.newest))
    }

    /// When its count was found raised.
    pub fn risen(&self) -> Option<Timestamp> {
        (self.risen != NEVER).then(|| Timestamp::from_micros(self.risen))
    }
}

impl Default for Tally {
    fn default() -> Self {
        Self::new(0, None, None)
    }
}

impl fmt::Debug for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tally")
            .field("count", &self.count)
            .field("newest", &self.newest())
            .field("risen", &self.risen())
            .finish()
    }
}

impl Merge for Tally {
    fn merge(&mut self, other: Self) -> bool {
        let before = *self;
        self.count = self.count.max(other.count);
        self.newest = self.newest.max(other.newest);
        self.risen = self.risen.max(other.risen);
        *self != before
    }
}

/// Since when an incarnation is exported, or not exported any more.
///
/// The later statement rules; of two of the same time, that it is exported.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Age(i64);

impl Age {
    /// Said at that time: it is exported.
    pub fn exported(at: Timestamp) -> Self {
        Self(at.as_micros().saturating_mul(2) | 1)
    }

    /// Not exported since that time.
    pub fn gone(since: Timestamp) -> Self {
        Self(since.as_micros().saturating_mul(2) & !1)
    }

    /// Whether it is exported, as far as this observer knows.
    pub fn is_exported(self) -> bool {
        self.0 & 1 == 1
    }

    /// Since when it is not exported; `None` if it is.
    pub fn gone_since(self) -> Option<Timestamp> {
        (!self.is_exported()).then(|| self.time())
    }

    /// The same said again after `earlier`, whatever the clock says: what turns within one
    /// microsecond, or after the clock was set back, has turned all the same.
    pub(crate) fn after(self, earlier: Self) -> Self {
        if self.is_exported() == earlier.is_exported() || self > earlier {
            return self.max(earlier);
        }
        Self((earlier.0 | 1).saturating_add(i64::from(!self.is_exported())))
    }

    /// Both as one number, for stores: the greater one rules.
    pub const fn as_i64(self) -> i64 {
        self.0
    }

    /// The age that `as_i64` gave.
    pub const fn from_i64(age: i64) -> Self {
        Self(age)
    }

    /// Since when it is said.
    pub(crate) fn time(self) -> Timestamp {
        Timestamp::from_micros(self.0 >> 1)
    }
}

impl fmt::Debug for Age {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.is_exported() { "exported" } else { "gone" };
        write!(f, "{word} {}", self.time())
    }
}

/// An incarnation and what is known of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which incarnation.
    pub incarnation: Incarnation,
    /// What it counted.
    pub tally: Tally,
    /// Since when it is exported or not.
    pub age: Age,
}

/// The tallies of one error, by incarnation.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    known: Lives,
    /// What they sum up to with nothing forgotten. An error may have a hundred thousand lives, and
    /// each change of one of them has the total shown anew.
    sum: u64,
}

/// Whether a join of counts found anything new, ages told apart from the rest.
#[derive(Clone, Copy, Default)]
pub(crate) struct CountsGrowth {
    pub(crate) substance: bool,
    pub(crate) ages: bool,
}

impl Counts {
    /// Every incarnation, sorted.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Known> {
        self.known.iter()
    }

    /// How many incarnations are known.
    pub fn len(&self) -> usize {
        self.known.len()
    }

    /// Whether none is known.
    pub fn is_empty(&self) -> bool {
        self.known.is_empty()
    }

    /// What is known of one incarnation.
    pub fn get(&self, incarnation: &Incarnation) -> Option<&Known> {
        self.known.get(incarnation)
    }

    /// The incarnations of one source.
    pub fn of_source(&self, source: SourceId) -> &[Known] {
        self.known.of_source(source)
    }

    /// The present life of a source without `created_at`, as `observer` numbers them.
    pub(crate) fn present_life(&self, source: SourceId, observer: ReplicaId) -> Option<&Known> {
        let of_observer = |k: &&Known| k.incarnation.observer() == Some(observer);
        self.of_source(source).iter().rev().find(of_observer)
    }

    /// The sum over incarnations with `created_at`, plus per source without it the largest
    /// observer's sum, of what exceeds `forgotten`. Saturates.
    pub fn total(&self, forgotten: &Forgotten) -> u64 {
        if forgotten.is_empty() {
            return self.sum;
        }
        self.sum_of(|known| known.tally.count, forgotten)
    }

    /// The same of any part of each incarnation's count.
    pub(crate) fn sum_of(&self, part: impl Fn(&Known) -> u64, forgotten: &Forgotten) -> u64 {
        self.known
            .by_source()
            .map(|lives| sum_of_lives(lives, &part, forgotten))
            .fold(0, u64::saturating_add)
    }

    /// The same of one source, with nothing forgotten.
    pub(crate) fn sum_of_source(&self, source: SourceId, part: impl Fn(&Known) -> u64) -> u64 {
        sum_of_lives(self.of_source(source), &part, &Forgotten::default())
    }

    /// The largest observer's sum of the lives of a source without `created_at`.
    pub(crate) fn numbered_total(&self, source: SourceId) -> u64 {
        let lives = self.of_source(source);
        let dated = lives.partition_point(|known| known.incarnation.observer().is_none());
        sum_of_lives(&lives[dated..], &|known| known.tally.count, &Forgotten::default())
    }

    /// Puts what is known of one incarnation into an update that is being built.
    pub(crate) fn put(&mut self, known: Known) {
        self.take(known);
    }

    /// Joins what is said of one incarnation; what is known of it then, if that is more than before.
    fn take(&mut self, told: Known) -> Option<(Known, CountsGrowth)> {
        let Incarnation { source, .. } = told.incarnation;
        let numbered = told.incarnation.observer().is_some();
        let before = if numbered { self.numbered_total(source) } else { 0 };
        let Some(known) = self.known.get_mut(&told.incarnation) else {
            self.known.insert(told);
            let more = match numbered {
                true => self.numbered_total(source) - before,
                false => told.tally.count,
            };
            // Nothing is ever taken from a count, so that what is more than fits stays so.
            self.sum = self.sum.saturating_add(more);
            return Some((told, CountsGrowth { substance: true, ages: true }));
        };
        let count = known.tally.count;
        let substance = known.tally.merge(told.tally);
        let ages = told.age > known.age;
        known.age = known.age.max(told.age);
        let known = *known;
        let more = match numbered {
            true => self.numbered_total(source) - before,
            false => known.tally.count - count,
        };
        self.sum = self.sum.saturating_add(more);
        (substance || ages).then_some((known, CountsGrowth { substance, ages }))
    }

    /// Forgets the incarnations that `keep` says false of.
    pub(crate) fn retain(&mut self, keep: impl FnMut(&Known) -> bool) {
        self.known.retain(keep);
        self.sum = self.sum_of(|known| known.tally.count, &Forgotten::default());
    }

    /// Says something else of every age.
    pub(crate) fn map_ages(&mut self, mut age: impl FnMut(&Known) -> Age) {
        self.known.for_each_mut(|known| known.age = age(known));
    }

    pub(crate) fn join(&mut self, other: Self, delta: &mut Self) -> CountsGrowth {
        if self.known.is_empty() && !other.known.is_empty() {
            *self = other;
            delta.clone_from(self);
            return CountsGrowth { substance: true, ages: true };
        }
        let mut growth = CountsGrowth::default();
        for theirs in other.known.into_sorted() {
            if let Some((known, grew)) = self.take(theirs) {
                delta.put(known);
                growth.substance |= grew.substance;
                growth.ages |= grew.ages;
            }
        }
        growth
    }
}

/// What the lives of one source sum up to: those with `created_at` all together, and of the others
/// what the largest observer has.
fn sum_of_lives(lives: &[Known], part: &dyn Fn(&Known) -> u64, forgotten: &Forgotten) -> u64 {
    let sum = |lives: &[Known], less: bool| {
        lives.iter().fold(0_u64, |sum, known| {
            let less =
                if less && !forgotten.is_empty() { forgotten.count(&known.incarnation) } else { 0 };
            sum.saturating_add(part(known).saturating_sub(less))
        })
    };
    let dated = lives.partition_point(|k| k.incarnation.observer().is_none());
    let (dated, numbered) = lives.split_at(dated);
    let largest = numbered
        .chunk_by(|a, b| a.incarnation.observer() == b.incarnation.observer())
        .map(|own| {
            let Incarnation { source, .. } = own[0].incarnation;
            if forgotten.knows(source, own[0].incarnation.observer()) {
                sum(own, true)
            } else {
                sum(own, false).saturating_sub(forgotten.largest_sum(source))
            }
        })
        .max();
    sum(dated, true).saturating_add(largest.unwrap_or(0))
}

impl Merge for Counts {
    fn merge(&mut self, other: Self) -> bool {
        let growth = self.join(other, &mut Self::default());
        growth.substance || growth.ages
    }
}

impl FromIterator<Known> for Counts {
    fn from_iter<I: IntoIterator<Item = Known>>(iter: I) -> Self {
        let mut counts = Self::default();
        iter.into_iter().for_each(|known| counts.put(known));
        counts
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::testing::state::counts;

    #[test]
    fn an_incarnation_costs_at_most_64_bytes() {
        assert_eq!(size_of::<Known>(), 64);
    }

    proptest! {
        #[test]
        fn what_is_summed_up_as_it_grows_is_the_sum(
            parts in vec(counts(), 1..6),
            kept in vec(any::<bool>(), 8),
        ) {
            // Given counts that grew in several joins,
            let mut all = Counts::default();
            for part in parts {
                all.merge(part);
                // then what they sum up to is what is there,
                prop_assert_eq!(all.sum, all.sum_of(|k| k.tally.count, &Forgotten::default()));
            }
            // and so it is when some of them have been forgotten.
            let mut kept = kept.into_iter().cycle();
            all.retain(|_| kept.next().unwrap_or_default());
            prop_assert_eq!(all.sum, all.sum_of(|k| k.tally.count, &Forgotten::default()));
        }
    }

    #[test]
    fn a_sum_that_does_not_fit_stays_the_largest_that_does() {
        let life = |n: u8, count| Known {
            incarnation: Incarnation {
                source: SourceId::from_bytes([n; 16]),
                since: Since::Reset { observer: ReplicaId::from_u64(n.into()), n: 0 },
            },
            tally: Tally::new(count, None, None),
            age: Age::gone(Timestamp::EPOCH),
        };
        let counts: Counts = [life(1, u64::MAX), life(2, 7), life(1, 3)].into_iter().collect();
        assert_eq!(counts.total(&Forgotten::default()), u64::MAX);
    }

    #[test]
    fn of_two_statements_about_an_age_the_later_rules() {
        let at = Timestamp::from_micros;
        assert!(Age::exported(at(5)) > Age::gone(at(5)));
        assert!(Age::gone(at(6)) > Age::exported(at(5)));
        assert_eq!(Age::gone(at(5)).after(Age::exported(at(5))), Age::gone(at(6)));
        assert_eq!(Age::gone(at(1)).after(Age::exported(at(5))), Age::gone(at(6)));
        assert_eq!(Age::exported(at(1)).after(Age::gone(at(5))), Age::exported(at(5)));
        assert_eq!(Age::gone(at(9)).after(Age::exported(at(5))), Age::gone(at(9)));
        assert_eq!(Age::gone(at(-7)).gone_since(), Some(at(-7)));
        assert_eq!(Age::exported(at(-7)).gone_since(), None);
    }
}
