//! The newest few occurrences of an error.

use std::cmp::Ordering;

use crate::merge::Merge;
use crate::occurrence::ContentHash;
use crate::texts::{Kept, Texts};
use crate::time::Timestamp;

/// The newest N occurrences: unique by name, newest first by (time, name).
///
/// Of two with one name the greater (time, content hash) stays: the order in which the N are
/// chosen, so that dropping and joining commute.
#[derive(Clone, Debug)]
pub struct LatestOccurrences {
    keep: u8,
    /// Newest first.
    kept: Vec<Kept>,
}

impl LatestOccurrences {
    /// As many as are ever kept.
    pub const MOST: u8 = 100;

    /// None yet, at most `keep` (1 to [`Self::MOST`]) later.
    pub fn new(keep: u8) -> Self {
        Self { keep: keep.clamp(1, Self::MOST), kept: Vec::new() }
    }

    /// Newest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Kept> {
        self.kept.iter()
    }

    /// Whether none is kept.
    pub fn is_empty(&self) -> bool {
        self.kept.is_empty()
    }

    /// Whether an occurrence would be kept if it came now: so that nothing need be packed first.
    pub(crate) fn wants(&self, name: &str, time: Timestamp, content: ContentHash) -> bool {
        match self.kept.iter().find(|kept| kept.name().is(name)) {
            Some(kept) => (time, content) > (kept.time(), kept.content()),
            None => {
                let is_older = |last: &Kept| {
                    last.time().cmp(&time).then_with(|| last.name().cmp_text(name)).is_lt()
                };
                self.kept.len() < usize::from(self.keep) || self.kept.last().is_none_or(is_older)
            }
        }
    }

    /// Keeps an occurrence, if it is among the newest; returns whether it is.
    pub(crate) fn put(&mut self, new: Kept) -> bool {
        if let Some(i) = self.kept.iter().position(|kept| kept.name() == new.name()) {
            if new.rank(&self.kept[i]) != Ordering::Greater {
                return false;
            }
            self.kept.remove(i);
        }
        let newer = |kept: &Kept| (kept.time(), kept.name()) > (new.time(), new.name());
        let at = self.kept.partition_point(newer);
        if at >= usize::from(self.keep) {
            return false;
        }
        self.kept.truncate(usize::from(self.keep) - 1);
        self.kept.reserve_exact(1);
        self.kept.insert(at, new);
        true
    }

    /// Drops what is not later than `through`.
    pub(crate) fn forget_through(&mut self, through: Option<Timestamp>) {
        if let Some(through) = through {
            self.kept.retain(|kept| kept.time() > through);
        }
    }

    pub(crate) fn set_keep(&mut self, keep: u8) {
        self.keep = keep.clamp(1, Self::MOST);
        self.kept.truncate(usize::from(self.keep));
    }

    pub(crate) fn join(
        &mut self,
        other: Self,
        through: Option<Timestamp>,
        texts: &mut Texts,
        delta: &mut Self,
    ) -> bool {
        let mut news = Vec::new();
        for kept in other.kept {
            if through.is_some_and(|through| kept.time() <= through) {
                continue;
            }
            let known = self.kept.iter().find(|k| k.name() == kept.name());
            if known.is_some_and(|k| kept.rank(k) != Ordering::Greater) {
                continue;
            }
            let kept = texts.adopt(&kept);
            if self.put(kept.clone()) {
                news.push(kept);
            }
        }
        news.retain(|new| self.kept.contains(new));
        let grew = !news.is_empty();
        delta.keep = self.keep;
        for new in news {
            delta.put(new);
        }
        grew
    }
}

/// As many as any state keeps: a part of a state, such as a delta, drops nothing by itself.
impl Default for LatestOccurrences {
    fn default() -> Self {
        Self::new(Self::MOST)
    }
}

/// How many may be kept is a setting and no knowledge.
impl PartialEq for LatestOccurrences {
    fn eq(&self, other: &Self) -> bool {
        self.kept == other.kept
    }
}

impl Merge for LatestOccurrences {
    fn merge(&mut self, other: Self) -> bool {
        self.join(other, None, &mut Texts::default(), &mut Self::default())
    }
}
