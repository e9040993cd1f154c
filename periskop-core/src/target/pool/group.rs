//! A group as it was told, and what became of each of its targets.

use hashbrown::HashMap;

use crate::target::{Labels, TargetError, TargetGroup, TargetId};

/// A group that is held.
#[derive(Debug, Default)]
pub(super) struct Group {
    told: TargetGroup,
    /// Those of its targets that are not dropped, in their order; what comes twice is here twice.
    active: Vec<TargetId>,
    /// The others, by index.
    dropped: Vec<Dropped>,
}

#[derive(Debug)]
struct Dropped {
    index: usize,
    error: Option<TargetError>,
}

/// What becomes of a discovered target.
#[derive(Debug)]
pub(super) enum Fate {
    /// It is this target.
    Active(TargetId),
    /// Relabelling drops it, or it cannot be scraped.
    Dropped(Option<TargetError>),
}

impl Group {
    /// A group, and the fate of each of its targets.
    pub(super) fn new(told: TargetGroup, fates: Vec<Fate>) -> Self {
        let is_dropped = |fate: &&Fate| matches!(fate, Fate::Dropped(_));
        let dropped = fates.iter().filter(is_dropped).count();
        // Exactly as much as is needed: there may be a hundred thousand groups of one target.
        let mut group = Self {
            told,
            active: Vec::with_capacity(fates.len() - dropped),
            dropped: Vec::with_capacity(dropped),
        };
        for (index, fate) in fates.into_iter().enumerate() {
            match fate {
                Fate::Active(id) => group.active.push(id),
                Fate::Dropped(error) => group.dropped.push(Dropped { index, error }),
            }
        }
        group
    }

    pub(super) const fn told(&self) -> &TargetGroup {
        &self.told
    }

    pub(super) fn into_told(self) -> TargetGroup {
        self.told
    }

    /// The target at this place, unless it is dropped, and as what it was told.
    pub(super) fn active_at(&self, index: usize) -> Option<(TargetId, &Labels)> {
        let dropped_before = self.find_dropped(index).err()?;
        let id = self.active.get(index - dropped_before)?;
        Some((*id, self.told.targets.get(index)?))
    }

    /// What became of the target at this place; asked for once.
    pub(super) fn take_fate(&mut self, index: usize) -> Fate {
        if let Some((id, _)) = self.active_at(index) {
            return Fate::Active(id);
        }
        let dropped = self.find_dropped(index).ok().and_then(|at| self.dropped.get_mut(at));
        Fate::Dropped(dropped.and_then(|dropped| dropped.error.take()))
    }

    /// Targets that are dropped, and why if that is nobody's wish.
    pub(super) fn dropped(&self) -> impl Iterator<Item = (&Labels, Option<&TargetError>)> {
        let of = |dropped: &Dropped| self.told.targets.get(dropped.index);
        self.dropped.iter().filter_map(move |d| Some((of(d)?, d.error.as_ref())))
    }

    pub(super) fn dropped_count(&self) -> usize {
        self.dropped.len()
    }

    /// Its place among the dropped; else how many of those come before it.
    fn find_dropped(&self, index: usize) -> Result<usize, usize> {
        self.dropped.binary_search_by_key(&index, |dropped| dropped.index)
    }
}

/// Which targets of a group are those of the one that it replaces, wherever they now stand.
#[derive(Debug)]
pub(super) struct Match {
    /// For each new target the index of an equal old one, each of which is there once.
    pub(super) of_new: Vec<Option<usize>>,
    /// The indices of the other old ones.
    pub(super) gone: Vec<usize>,
}

impl Match {
    /// Compares two groups. Where the labels of the groups differ no target is the same.
    pub(super) fn new(old: &TargetGroup, new: &TargetGroup) -> Self {
        let (olds, news) = (&old.targets[..], &new.targets[..]);
        if old.labels != new.labels {
            return Self { of_new: vec![None; news.len()], gone: (0..olds.len()).collect() };
        }
        // Usually a few have changed, come or gone, and what is around them stands as it did.
        let begin = olds.iter().zip(news).take_while(|(old, new)| old == new).count();
        let (olds, news) = (&olds[begin..], &news[begin..]);
        let both = olds.iter().rev().zip(news.iter().rev());
        let end = both.take_while(|(old, new)| old == new).count();
        let (olds, news) = (&olds[..olds.len() - end], &news[..news.len() - end]);

        let mut rest = Rest::new(olds);
        let mut of_new: Vec<_> = (0..begin).map(Some).collect();
        of_new.extend(news.iter().map(|new| rest.take(new).map(|index| begin + index)));
        let end_of_old = begin + olds.len();
        of_new.extend((end_of_old..end_of_old + end).map(Some));
        Self { of_new, gone: rest.left().map(|index| begin + index).collect() }
    }
}

/// Targets to be found by their labels, each once.
struct Rest<'a> {
    /// The index of the first that has these labels and is not taken.
    first: HashMap<&'a Labels, Option<usize>>,
    /// For each the next that has the same labels.
    next: Vec<Option<usize>>,
    is_taken: Vec<bool>,
}

impl<'a> Rest<'a> {
    fn new(targets: &'a [Labels]) -> Self {
        let mut first = HashMap::with_capacity(targets.len());
        let mut next = vec![None; targets.len()];
        for (index, labels) in targets.iter().enumerate().rev() {
            next[index] = first.insert(labels, Some(index)).flatten();
        }
        Self { first, next, is_taken: vec![false; targets.len()] }
    }

    fn take(&mut self, labels: &Labels) -> Option<usize> {
        let first = self.first.get_mut(labels)?;
        let index = (*first)?;
        *first = self.next[index];
        self.is_taken[index] = true;
        Some(index)
    }

    fn left(&self) -> impl Iterator<Item = usize> {
        self.is_taken.iter().enumerate().filter(|(_, taken)| !**taken).map(|(index, _)| index)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The old and the new targets by one letter each.
    #[track_caller]
    fn check(old: &str, new: &str, of_new: &[Option<usize>], gone: &[usize]) {
        let group = |letters: &str| TargetGroup {
            targets: letters.chars().map(|c| Labels::from([("__address__", c)])).collect(),
            ..TargetGroup::default()
        };
        let found = Match::new(&group(old), &group(new));
        assert_eq!((&found.of_new[..], &found.gone[..]), (of_new, gone), "{old} {new}");
    }

    #[test]
    fn what_stands_elsewhere_or_twice_is_found_each_once() {
        check("", "", &[], &[]);
        check("abc", "abc", &[Some(0), Some(1), Some(2)], &[]);
        check("abc", "axc", &[Some(0), None, Some(2)], &[1]);
        check("abc", "ac", &[Some(0), Some(2)], &[1]);
        check("ac", "abc", &[Some(0), None, Some(1)], &[]);
        check("abcd", "dcba", &[Some(3), Some(2), Some(1), Some(0)], &[]);
        check("aa", "aaa", &[Some(0), Some(1), None], &[]);
        check("aaa", "aa", &[Some(0), Some(1)], &[2]);
        check("aba", "bab", &[Some(1), Some(0), None], &[2]);
        check("abc", "", &[], &[0, 1, 2]);
    }

    #[test]
    fn where_the_labels_of_the_groups_differ_nothing_is_the_same() {
        let old = TargetGroup { targets: vec![Labels::new()], ..TargetGroup::default() };
        let new = TargetGroup { labels: Labels::from([("a", "b")]), ..old.clone() };
        let found = Match::new(&old, &new);
        assert_eq!((found.of_new, found.gone), (vec![None], vec![0]));
    }

    #[test]
    fn fates_are_found_by_the_place_of_their_target() {
        let id = |n: usize| {
            let settings = crate::target::ScrapeSettings::default();
            let labels = Labels::from([("__address__", n.to_string())]);
            let labels = settings.discovered_labels("api", &labels, &Labels::new());
            crate::target::Target::new(&"api".into(), &settings, labels.clone(), labels)
                .unwrap()
                .id()
        };
        let told = TargetGroup { targets: vec![Labels::new(); 4], ..TargetGroup::default() };
        let error = TargetError::NoAddress;
        let fates = vec![
            Fate::Dropped(None),
            Fate::Active(id(1)),
            Fate::Dropped(Some(error.clone())),
            Fate::Active(id(3)),
        ];
        let mut group = Group::new(told, fates);
        assert_eq!(group.dropped_count(), 2);
        let active: Vec<_> = (0..5).map(|i| group.active_at(i).map(|(id, _)| id)).collect();
        assert_eq!(active, [None, Some(id(1)), None, Some(id(3)), None]);
        assert!(matches!(group.take_fate(0), Fate::Dropped(None)));
        assert!(matches!(group.take_fate(2), Fate::Dropped(Some(e)) if e == error));
        assert!(matches!(group.take_fate(3), Fate::Active(_)));
    }
}
