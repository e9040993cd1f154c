//! Records by key, and what is to be changed of them.
//!
//! Invariant: no value in the database is longer than [`LONGEST`]. Kinds whose values may be long
//! have a byte in front of them: 0, and this is the whole value; or 1, and the number of further
//! parts (four bytes, big-endian) follows, then the first part. The others lie under the same key
//! behind [`PART`](super::key::PART), with their numbers from 0 on.

use std::ops::Bound;

use sled::{Batch, IVec};

use super::key::Key;
use super::trouble::{Trouble, damaged};

/// The longest value. A page has at most some twenty of them, and must not outgrow a quarter of a
/// segment.
pub(super) const LONGEST: usize = 16 * 1024;

const WHOLE: u8 = 0;
const IN_PARTS: u8 = 1;

/// A key and its value.
pub(super) type Record = (IVec, IVec);

/// What is stored.
#[derive(Clone, Copy)]
pub(super) struct Table<'a> {
    tree: &'a sled::Tree,
}

impl<'a> Table<'a> {
    pub(super) fn new(tree: &'a sled::Tree) -> Self {
        Self { tree }
    }

    pub(super) fn is_empty(self) -> bool {
        self.tree.is_empty()
    }

    pub(super) fn get(self, key: impl AsRef<[u8]>) -> Result<Option<IVec>, Trouble> {
        Ok(self.tree.get(key)?)
    }

    pub(super) fn has(self, key: impl AsRef<[u8]>) -> Result<bool, Trouble> {
        Ok(self.tree.contains_key(key)?)
    }

    /// A value of a kind that may be long.
    pub(super) fn long(self, key: impl AsRef<[u8]>) -> Result<Option<Long>, Trouble> {
        let key = key.as_ref();
        self.get(key)?.map(|value| Long::read(&value).map_err(|e| e.at(key))).transpose()
    }

    /// All of a value of which the first part is known.
    pub(super) fn whole(self, key: &[u8], long: Long) -> Result<IVec, Trouble> {
        if long.parts == 0 {
            return Ok(long.first);
        }
        let mut whole = long.first.to_vec();
        for number in 0..long.parts {
            let Some(part) = self.get(Key::part(key, number))? else {
                return Err(damaged(format!("part {number} of {} is missing", long.parts)).at(key));
            };
            whole.extend_from_slice(&part);
        }
        Ok(whole.into())
    }

    /// Every record whose key begins like this, in order.
    pub(super) fn scan(
        self,
        beginning: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<Record, Trouble>> + use<'a> {
        self.tree.scan_prefix(beginning).map(|record| Ok(record?))
    }

    /// Every record from one key on, and before another.
    pub(super) fn between(
        self,
        from: Key,
        to: Key,
    ) -> impl Iterator<Item = Result<Record, Trouble>> + use<'a> {
        let range = (Bound::Included(IVec::from(from)), Bound::Excluded(IVec::from(to)));
        self.tree.range::<IVec, _>(range).map(|record| Ok(record?))
    }
}

/// The first part of a value that may have more.
#[derive(Clone, Debug)]
pub(super) struct Long {
    /// This part.
    pub(super) first: IVec,
    /// How many there are beside it.
    pub(super) parts: u32,
}

impl Long {
    pub(super) fn read(value: &IVec) -> Result<Self, Trouble> {
        let (parts, from) = match value.split_first() {
            Some((&WHOLE, _)) => (0, 1),
            Some((&IN_PARTS, rest)) => match rest.first_chunk() {
                Some(parts) => (u32::from_be_bytes(*parts), 5),
                None => return Err(damaged("it is too short")),
            },
            _ => return Err(damaged("it does not say in how many parts it is")),
        };
        Ok(Self { first: value.subslice(from, value.len() - from), parts })
    }
}

/// What is to be changed, all of it at once.
#[derive(Default)]
pub(super) struct Changes {
    batch: Batch,
    are_there: bool,
}

impl Changes {
    pub(super) fn put(&mut self, key: impl Into<IVec>, value: &[u8]) {
        self.batch.insert(key, value);
        self.are_there = true;
    }

    pub(super) fn remove(&mut self, key: impl Into<IVec>) {
        self.batch.remove(key);
        self.are_there = true;
    }

    /// Puts a value of a kind that may be long. One that has been there must be removed first, if
    /// it had more parts than one.
    pub(super) fn put_long(&mut self, key: impl Into<IVec>, value: &[u8]) {
        let key = key.into();
        if value.len() < LONGEST {
            return self.put(key, &[&[WHOLE], value].concat());
        }
        let (first, rest) = value.split_at(LONGEST - 5);
        let mut parts = 0_u32;
        for part in rest.chunks(LONGEST) {
            self.put(Key::part(&key, parts), part);
            parts += 1;
        }
        self.put(key, &[&[IN_PARTS], &parts.to_be_bytes()[..], first].concat());
    }

    pub(super) fn remove_long(&mut self, key: &[u8], long: &Long) {
        for number in 0..long.parts {
            self.remove(Key::part(key, number));
        }
        self.remove(key);
    }

    /// Puts a value in the place of one that may be long.
    pub(super) fn replace_long(&mut self, key: &[u8], before: Option<&Long>, value: &[u8]) {
        if let Some(before) = before {
            self.remove_long(key, before);
        }
        self.put_long(key, value);
    }

    /// `None`: there is nothing to change.
    pub(super) fn into_batch(self) -> Option<Batch> {
        self.are_there.then_some(self.batch)
    }
}
