//! The lives of an error's counters, in order: mostly a few, at times a hundred thousand.

use crate::aggregate::{Incarnation, Known};
use crate::ids::SourceId;

/// Sorted by incarnation, each once.
///
/// Where there are many, one more would move half of them. So the latest are held apart until they
/// are some hundreds. The lives of one source always lie side by side.
#[derive(Clone, Debug, Default)]
pub(super) struct Lives {
    settled: Vec<Known>,
    /// None of these has a source that is settled.
    latest: Option<Box<Latest>>,
}

#[derive(Clone, Debug, Default)]
struct Latest(Vec<Known>);

/// So few may as well be moved.
const FEW: usize = 1024;

/// As many are held apart.
const APART: usize = 512;

impl Lives {
    pub(super) fn len(&self) -> usize {
        self.settled.len() + self.latest().len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.settled.is_empty()
    }

    pub(super) fn iter(&self) -> impl ExactSizeIterator<Item = &Known> {
        InOrder { settled: &self.settled, latest: self.latest() }
    }

    /// The lives of each source, the sources in no particular order.
    pub(super) fn by_source(&self) -> impl Iterator<Item = &[Known]> {
        let same = |a: &Known, b: &Known| a.incarnation.source == b.incarnation.source;
        self.settled.chunk_by(same).chain(self.latest().chunk_by(same))
    }

    /// The lives of one source, in order.
    pub(super) fn of_source(&self, source: SourceId) -> &[Known] {
        let latest = of_source(self.latest(), source);
        if latest.is_empty() { of_source(&self.settled, source) } else { latest }
    }

    pub(super) fn get(&self, incarnation: &Incarnation) -> Option<&Known> {
        let find = |lives| find(lives, incarnation).ok();
        match find(&self.settled) {
            Some(i) => Some(&self.settled[i]),
            None => find(self.latest()).map(|i| &self.latest()[i]),
        }
    }

    /// To say more of one. Which incarnation it is stays.
    pub(super) fn get_mut(&mut self, incarnation: &Incarnation) -> Option<&mut Known> {
        match find(&self.settled, incarnation) {
            Ok(i) => Some(&mut self.settled[i]),
            Err(_) => {
                let latest = &mut self.latest.as_mut()?.0;
                find(latest, incarnation).ok().map(|i| &mut latest[i])
            }
        }
    }

    /// One more, which is not known yet.
    pub(super) fn insert(&mut self, known: Known) {
        let source = known.incarnation.source;
        if self.settled.len() < FEW || !of_source(&self.settled, source).is_empty() {
            self.make_room(1);
            insert(&mut self.settled, known);
            return;
        }
        let latest = &mut self.latest.get_or_insert_default().0;
        insert(latest, known);
        if latest.len() == APART {
            self.settle();
        }
    }

    pub(super) fn retain(&mut self, keep: impl FnMut(&Known) -> bool) {
        self.settle();
        self.settled.retain(keep);
        self.settled.shrink_to_fit();
    }

    /// Says more of each. Which incarnations they are stays.
    pub(super) fn for_each_mut(&mut self, change: impl FnMut(&mut Known)) {
        self.settle();
        self.settled.iter_mut().for_each(change);
    }

    pub(super) fn into_sorted(mut self) -> Vec<Known> {
        self.settle();
        self.settled
    }

    fn latest(&self) -> &[Known] {
        self.latest.as_ref().map_or(&[], |latest| &latest.0)
    }

    fn settle(&mut self) {
        let Some(latest) = self.latest.take() else { return };
        self.make_room(latest.0.len());
        self.settled.extend(latest.0);
        // Two sorted runs, which this merges.
        self.settled.sort_by_key(|known| known.incarnation);
    }

    /// By a quarter at a time: doubling would leave half of it empty.
    fn make_room(&mut self, more: usize) {
        let (length, capacity) = (self.settled.len(), self.settled.capacity());
        if capacity - length < more {
            self.settled.reserve_exact(more.max(1 + length / 4));
        }
    }
}

/// How they are held makes no difference.
impl PartialEq for Lives {
    fn eq(&self, other: &Self) -> bool {
        self.iter().eq(other.iter())
    }
}

impl Eq for Lives {}

/// Two sorted lists as one.
struct InOrder<'a> {
    settled: &'a [Known],
    latest: &'a [Known],
}

impl<'a> Iterator for InOrder<'a> {
    type Item = &'a Known;

    fn next(&mut self) -> Option<&'a Known> {
        let from = match (self.settled.first(), self.latest.first()) {
            (Some(a), Some(b)) if b.incarnation < a.incarnation => &mut self.latest,
            (None, _) => &mut self.latest,
            _ => &mut self.settled,
        };
        let (first, rest) = from.split_first()?;
        *from = rest;
        Some(first)
    }

    fn size_hint(&self) -> (usize, Option<usize>) {
        let left = self.settled.len() + self.latest.len();
        (left, Some(left))
    }
}

impl ExactSizeIterator for InOrder<'_> {}

fn find(lives: &[Known], incarnation: &Incarnation) -> Result<usize, usize> {
    lives.binary_search_by(|known| known.incarnation.cmp(incarnation))
}

fn of_source(lives: &[Known], source: SourceId) -> &[Known] {
    let from = lives.partition_point(|known| known.incarnation.source < source);
    let to = from + lives[from..].partition_point(|known| known.incarnation.source <= source);
    &lives[from..to]
}

fn insert(lives: &mut Vec<Known>, known: Known) {
    if let Err(i) = find(lives, &known.incarnation) {
        lives.insert(i, known);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::*;
    use crate::aggregate::{Age, Since, Tally};
    use crate::time::Timestamp;

    fn life(source: u16, since: u8) -> Known {
        let mut id = [0; 16];
        id[..2].copy_from_slice(&source.to_be_bytes());
        let since = Since::CreatedAt(Timestamp::from_micros(since.into()));
        Known {
            incarnation: Incarnation { source: SourceId::from_bytes(id), since },
            tally: Tally::new(1, None, None),
            age: Age::gone(Timestamp::EPOCH),
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(20))]

        #[test]
        fn many_lives_are_held_as_a_sorted_map_holds_them(
            all in vec((0..1500_u16, 0..4_u8), 0..5000),
            kept in any::<u8>(),
        ) {
            // Given lives in any order, some of which come again,
            let (mut lives, mut model) = (Lives::default(), BTreeMap::new());
            for (n, (source, since)) in all.into_iter().enumerate() {
                let known = life(source, since);
                let more = Tally::new(2 + n as u64, None, None);
                match lives.get_mut(&known.incarnation) {
                    Some(known) => known.tally = more,
                    None => lives.insert(known),
                }
                model.entry(known.incarnation).and_modify(|k: &mut Known| k.tally = more).or_insert(known);
                // then each is found,
                prop_assert_eq!(lives.get(&known.incarnation), model.get(&known.incarnation));
                let of_source = lives.of_source(known.incarnation.source);
                prop_assert!(of_source.iter().any(|k| k.incarnation == known.incarnation));
            }
            // they come in order, those of one source side by side,
            prop_assert_eq!(lives.len(), model.len());
            prop_assert!(lives.iter().eq(model.values()));
            let sources = lives.by_source().map(|of| of[0].incarnation.source);
            let mut sources: Vec<_> = sources.collect();
            sources.sort_unstable();
            prop_assert!(sources.is_sorted_by(|a, b| a < b), "each source once");
            // and how they are held makes no difference.
            let mut settled = lives.clone();
            settled.settle();
            prop_assert_eq!(&settled, &lives);
            lives.retain(|known| known.incarnation.source.as_bytes()[1] >= kept);
            model.retain(|incarnation, _| incarnation.source.as_bytes()[1] >= kept);
            prop_assert!(lives.iter().eq(model.values()));
        }
    }
}
