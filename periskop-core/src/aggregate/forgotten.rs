//! What people had forgotten for good.

use crate::aggregate::Incarnation;
use crate::ids::{ReplicaId, SourceId};
use crate::merge::{Merge, raise};
use crate::time::Timestamp;

/// The effect of `forget`: no text up to `through` is kept again, and counts go on from there.
/// Outlives the error.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Forgotten(Option<Box<Known>>);

#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Known {
    through: Option<Timestamp>,
    /// Sorted by incarnation.
    counts: Vec<(Incarnation, u64)>,
}

impl Forgotten {
    /// Everything up to `through`, and these counts.
    pub fn new(through: Timestamp, counts: impl IntoIterator<Item = (Incarnation, u64)>) -> Self {
        let mut counts: Vec<_> = counts.into_iter().collect();
        // Of two counts of one incarnation the greater one stays.
        counts.sort_unstable_by(|a, b| b.cmp(a));
        counts.dedup_by_key(|(incarnation, _)| *incarnation);
        counts.reverse();
        Self(Some(Box::new(Known { through: Some(through), counts })))
    }

    /// What was stored; nothing forgotten if there is neither.
    pub(crate) fn stored(
        through: Option<Timestamp>,
        counts: impl IntoIterator<Item = (Incarnation, u64)>,
    ) -> Self {
        let Self(known) = Self::new(Timestamp::EPOCH, counts);
        let known = known.map(|known| Box::new(Known { through, counts: known.counts }));
        Self(known.filter(|known| **known != Known::default()))
    }

    /// Occurrences not later than this are refused; `None` if nothing was ever forgotten.
    pub fn through(&self) -> Option<Timestamp> {
        self.0.as_ref().and_then(|known| known.through)
    }

    /// The forgotten counts, sorted by incarnation.
    pub fn counts(&self) -> &[(Incarnation, u64)] {
        self.0.as_ref().map_or(&[], |known| &known.counts)
    }

    /// Whether nothing was ever forgotten.
    pub fn is_empty(&self) -> bool {
        self.0.is_none()
    }

    /// How much of an incarnation's count is forgotten.
    pub fn count(&self, incarnation: &Incarnation) -> u64 {
        let counts = self.counts();
        counts.binary_search_by(|(i, _)| i.cmp(incarnation)).map_or(0, |i| counts[i].1)
    }

    /// Whether a life that `observer` numbered is among them.
    pub(crate) fn knows(&self, source: SourceId, observer: Option<ReplicaId>) -> bool {
        self.of_source(source).iter().any(|(i, _)| i.observer() == observer)
    }

    /// The largest observer's sum of the lives of a source without `created_at`.
    pub(crate) fn largest_sum(&self, source: SourceId) -> u64 {
        self.of_source(source)
            .chunk_by(|(a, _), (b, _)| a.observer() == b.observer())
            .filter(|lives| lives[0].0.observer().is_some())
            .map(|lives| lives.iter().fold(0_u64, |sum, (_, count)| sum.saturating_add(*count)))
            .max()
            .unwrap_or(0)
    }

    /// The lives of one source.
    pub(crate) fn of_source(&self, source: SourceId) -> &[(Incarnation, u64)] {
        let counts = self.counts();
        let from = counts.partition_point(|(i, _)| i.source < source);
        let to = counts.partition_point(|(i, _)| i.source <= source);
        &counts[from..to]
    }

    pub(crate) fn join(&mut self, other: Self, delta: &mut Self) -> bool {
        let Some(other) = other.0 else { return false };
        let ours = self.0.get_or_insert_default();
        let mut news = Known::default();
        if raise(&mut ours.through, other.through) {
            news.through = ours.through;
        }
        for (incarnation, count) in other.counts {
            match ours.counts.binary_search_by(|(i, _)| i.cmp(&incarnation)) {
                Ok(i) if ours.counts[i].1 >= count => continue,
                Ok(i) => ours.counts[i].1 = count,
                Err(i) => ours.counts.insert(i, (incarnation, count)),
            }
            news.counts.push((incarnation, count));
        }
        let grew = news != Known::default();
        if grew {
            delta.0 = Some(Box::new(news));
        }
        grew
    }
}

impl Merge for Forgotten {
    fn merge(&mut self, other: Self) -> bool {
        self.join(other, &mut Self::default())
    }
}
