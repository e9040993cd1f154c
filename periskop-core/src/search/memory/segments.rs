//! Lists of values, one for each owner, end to end in large pieces of memory.
//!
//! What is let go is overwritten at once; its place is won back when half of its segment is waste.
//! Segments never grow by moving, which would leave copies behind.

use std::hint::black_box;
use std::mem;

/// How many values a segment holds. One list that is longer has a segment of its own.
pub(super) const SEGMENT: usize = 1 << 15;

pub(super) struct Segments<T> {
    segments: Vec<Segment<T>>,
    /// By owner.
    places: Vec<Place>,
    /// The segment that lists are added to.
    open: Option<usize>,
    /// Segments that hold nothing.
    empty: Vec<usize>,
    /// How many values a segment holds.
    size: usize,
    /// What is written over what is gone.
    blank: T,
}

struct Segment<T> {
    values: Vec<T>,
    /// By where they start. The first starts at 0.
    records: Vec<Record>,
    /// How many of the values are somebody's.
    live: usize,
}

#[derive(Clone, Copy)]
struct Record {
    start: u32,
    owner: u32,
}

#[derive(Clone, Copy)]
struct Place {
    segment: u32,
    record: u32,
}

const NOBODY: u32 = u32::MAX;
const NOWHERE: Place = Place { segment: u32::MAX, record: 0 };

impl<T: Copy> Segments<T> {
    /// None yet. What is gone is overwritten with `blank`.
    pub(super) fn new(size: usize, blank: T) -> Self {
        Self {
            segments: Vec::new(),
            places: Vec::new(),
            open: None,
            empty: Vec::new(),
            size,
            blank,
        }
    }

    /// The list of an owner; none if it has none.
    pub(super) fn get(&self, owner: usize) -> Option<&[T]> {
        let place = self.places.get(owner).filter(|place| place.segment != NOWHERE.segment)?;
        Some(self.segments[place.segment as usize].list(place.record as usize))
    }

    /// Gives an owner a list, in place of that which it had.
    pub(super) fn put(&mut self, owner: usize, list: &[T]) {
        self.remove(owner);
        if self.places.len() <= owner {
            self.places.resize(owner + 1, NOWHERE);
        }
        self.append(index(owner), list);
    }

    /// Takes an owner's list away.
    pub(super) fn remove(&mut self, owner: usize) {
        let Some(place) = self.places.get_mut(owner) else { return };
        let Place { segment, record } = mem::replace(place, NOWHERE);
        if segment == NOWHERE.segment {
            return;
        }
        let at = segment as usize;
        let segment = &mut self.segments[at];
        segment.blank(record as usize, self.blank);
        let waste = segment.values.len() - segment.live;
        if segment.live == 0 || waste > self.size / 2 {
            self.empty_out(at);
        }
    }

    /// Every owner and its list, in the order in which they lie.
    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &[T])> {
        self.segments.iter().flat_map(|segment| {
            let owned = segment.records.iter().enumerate().filter(|(_, r)| r.owner != NOBODY);
            owned.map(|(at, record)| (record.owner as usize, segment.list(at)))
        })
    }

    /// What it takes in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        let segments = self.segments.iter().map(|segment| {
            segment.values.capacity() * size_of::<T>()
                + segment.records.capacity() * size_of::<Record>()
        });
        segments.sum::<usize>()
            + self.segments.capacity() * size_of::<Segment<T>>()
            + self.places.capacity() * size_of::<Place>()
            + self.empty.capacity() * size_of::<usize>()
    }

    fn append(&mut self, owner: u32, list: &[T]) {
        let at = self.room_for(list.len());
        let segment = &mut self.segments[at];
        let start = index(segment.values.len());
        segment.values.extend_from_slice(list);
        segment.live += list.len();
        segment.records.push(Record { start, owner });
        let record = index(segment.records.len() - 1);
        self.places[owner as usize] = Place { segment: index(at), record };
    }

    /// A segment with room for a list of this length.
    fn room_for(&mut self, length: usize) -> usize {
        if length > self.size {
            return self.empty_segment(length);
        }
        let fits = |at: &usize| self.segments[*at].values.len() + length <= self.size;
        match self.open.filter(fits) {
            Some(at) => at,
            None => {
                let at = self.empty_segment(self.size);
                self.open = Some(at);
                at
            }
        }
    }

    fn empty_segment(&mut self, size: usize) -> usize {
        let at = self.empty.pop().unwrap_or_else(|| {
            self.segments.push(Segment { values: Vec::new(), records: Vec::new(), live: 0 });
            self.segments.len() - 1
        });
        // It is empty, so that nothing is moved.
        self.segments[at].values.reserve_exact(size);
        at
    }

    /// Moves what is alive elsewhere, and gives the memory back with nothing in it.
    fn empty_out(&mut self, at: usize) {
        if self.open == Some(at) {
            self.open = None;
        }
        let none = Segment { values: Vec::new(), records: Vec::new(), live: 0 };
        let mut old = mem::replace(&mut self.segments[at], none);
        for (record, Record { owner, .. }) in old.records.iter().enumerate() {
            if *owner != NOBODY {
                self.append(*owner, old.list(record));
            }
        }
        self.empty.push(at);
        old.values.fill(self.blank);
        // Nobody reads it again, which is no reason to leave it as it was.
        black_box(&mut old.values);
    }

    /// Everything that lies in memory, whoever it belongs to.
    #[cfg(test)]
    pub(super) fn memory(&self) -> impl Iterator<Item = &[T]> {
        self.segments.iter().map(|segment| &segment.values[..])
    }
}

impl Segments<u8> {
    /// Calls `found` with every owner in whose list there is what is looked for.
    pub(super) fn find(&self, finder: &memchr::memmem::Finder<'_>, mut found: impl FnMut(usize)) {
        for Segment { values, records, .. } in &self.segments {
            let (mut from, mut record) = (0, 0);
            while let Some(at) = finder.find(&values[from..]) {
                let at = from + at;
                let starts = |next: &Record| next.start as usize <= at;
                while records.get(record + 1).is_some_and(starts) {
                    record += 1;
                }
                if records[record].owner != NOBODY {
                    found(records[record].owner as usize);
                }
                let Some(next) = records.get(record + 1) else { break };
                from = next.start as usize;
            }
        }
    }
}

impl<T: Copy> Segment<T> {
    fn list(&self, record: usize) -> &[T] {
        &self.values[self.range(record)]
    }

    fn blank(&mut self, record: usize, blank: T) {
        let range = self.range(record);
        self.live -= range.len();
        self.values[range].fill(blank);
        self.records[record].owner = NOBODY;
    }

    fn range(&self, record: usize) -> std::ops::Range<usize> {
        let end = self.records.get(record + 1).map_or(self.values.len(), |r| r.start as usize);
        self.records[record].start as usize..end
    }
}

/// As it is kept. What is longer than a segment starts at 0 in its own.
fn index(n: usize) -> u32 {
    u32::try_from(n).expect("neither owners nor a segment's values reach four billion")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn every_owner_has_what_it_was_given_last_and_nothing_else_lies_about(
            steps in prop::collection::vec((0_usize..8, prop::option::of(0_usize..25)), 0..200),
        ) {
            let mut segments = Segments::new(16, 0xff);
            let mut model = BTreeMap::new();
            for (turn, (owner, length)) in steps.into_iter().enumerate() {
                // An empty list is a list, but what is kept here always has an end mark.
                let list = length.map(|n| vec![u8::try_from(turn).unwrap(); n + 1]);
                match list {
                    Some(list) => {
                        segments.put(owner, &list);
                        model.insert(owner, list);
                    }
                    None => {
                        segments.remove(owner);
                        model.remove(&owner);
                    }
                }
                let mut kept: Vec<_> = segments.iter().map(|(o, l)| (o, l.to_vec())).collect();
                kept.sort();
                prop_assert_eq!(kept, model.clone().into_iter().collect::<Vec<_>>());
                for owner in 0..9 {
                    prop_assert_eq!(segments.get(owner), model.get(&owner).map(|l| &l[..]));
                }
                let mut there: Vec<u8> = segments.memory().flatten().copied().collect();
                there.retain(|value| *value != 0xff);
                there.sort_unstable();
                let mut expected = model.values().flatten().copied().collect::<Vec<_>>();
                expected.sort_unstable();
                let live = expected.len();
                prop_assert_eq!(there, expected, "what is gone is overwritten");
                let values: usize = segments.memory().map(<[u8]>::len).sum();
                prop_assert!(values - live <= segments.memory().count() * 8, "{live} of {values}");
            }
        }
    }
}
