//! The keys of records: a byte that says of which kind the record is, then what it is about.
//!
//! Numbers are big-endian, and signed ones have their sign turned round, so that keys sort as what
//! they stand for does. Names that may be anything come last or are replaced by their SHA-256, so
//! that no name can end another one's key, and no key is longer than 1,054 bytes.

use std::borrow::Borrow;

use periskop_core::aggregate::{Incarnation, Since};
use periskop_core::ids::{self, ErrorDigest, ReplicaId, SourceId};
use periskop_core::{ServiceName, Timestamp};

use super::trouble::{Trouble, damaged};

/// About the store itself: its version, and who observes.
pub(super) const ABOUT: u8 = 0x01;
/// A service, by the digest of its name.
pub(super) const SERVICE: u8 = 0x10;
/// Who observes a service.
pub(super) const OBSERVER: u8 = 0x11;
/// A target of a service, by the digest of its URL.
pub(super) const TARGET: u8 = 0x12;
/// Who counts.
pub(super) const SOURCE: u8 = 0x20;
/// In which error a source counts: there is a count of it.
pub(super) const COUNTS_IN: u8 = 0x21;
/// A source of which there was no count when it was written.
pub(super) const LOOSE: u8 = 0x22;
/// An error. Whatever else is stored of it, this is.
pub(super) const ERROR: u8 = 0x30;
/// What an incarnation counted.
pub(super) const COUNT: u8 = 0x31;
/// How much of it is forgotten.
pub(super) const FORGOTTEN: u8 = 0x32;
/// What somebody did.
pub(super) const ACTION: u8 = 0x33;
/// What an observer saw within an hour.
pub(super) const HOUR: u8 = 0x34;
/// The stack of an occurrence, by its name.
pub(super) const STACK: u8 = 0x35;
/// An occurrence, by its time and name.
pub(super) const OCCURRENCE: u8 = 0x36;
/// A further part of a long value, by the key of its first part.
pub(super) const PART: u8 = 0x70;

/// The name of a stack, or of a thing whose own name may be long: 128 bits of a SHA-256.
pub(super) type Short = [u8; 16];

/// The version of the persisted form.
pub(super) const VERSION: &[u8] = b"\x01version";
/// The name of whoever observes.
pub(super) const NAME: &[u8] = b"\x01observer";

/// A key that is being put together.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct Key(Vec<u8>);

impl Key {
    /// Of this kind.
    pub(super) fn new(kind: u8) -> Self {
        let mut bytes = Vec::with_capacity(64);
        bytes.push(kind);
        Self(bytes)
    }

    pub(super) fn of_service(kind: u8, service: &ServiceName) -> Self {
        Self::new(kind).bytes(&short(service.as_str()))
    }

    pub(super) fn of_source(kind: u8, source: SourceId) -> Self {
        Self::new(kind).bytes(source.as_bytes())
    }

    pub(super) fn of_error(kind: u8, error: &ErrorDigest) -> Self {
        Self::new(kind).bytes(error.as_bytes())
    }

    pub(super) fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.extend_from_slice(bytes);
        self
    }

    pub(super) fn observer(self, observer: ReplicaId) -> Self {
        self.bytes(&observer.as_u64().to_be_bytes())
    }

    pub(super) fn number(self, number: u32) -> Self {
        self.bytes(&number.to_be_bytes())
    }

    pub(super) fn time(self, time: Timestamp) -> Self {
        self.bytes(&ordered(time.as_micros()))
    }

    pub(super) fn incarnation(self, incarnation: &Incarnation) -> Self {
        let key = self.bytes(incarnation.source.as_bytes());
        match incarnation.since {
            Since::CreatedAt(at) => key.bytes(&[0]).time(at),
            Since::Reset { observer, n } => key.bytes(&[1]).observer(observer).number(n),
        }
    }

    /// A further part of the value under a key.
    pub(super) fn part(key: &[u8], number: u32) -> Self {
        Self::new(PART).bytes(key).number(number)
    }
}

impl AsRef<[u8]> for Key {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

/// So that sets of keys can be asked for a key as sled has it.
impl Borrow<[u8]> for Key {
    fn borrow(&self) -> &[u8] {
        &self.0
    }
}

impl From<Key> for sled::IVec {
    fn from(key: Key) -> Self {
        key.0.into()
    }
}

/// What stands for a name that may be long.
pub(super) fn short(name: &str) -> Short {
    let mut short = Short::default();
    short.copy_from_slice(&ids::digest(name)[..16]);
    short
}

/// A number so that the order of the bytes is its own.
fn ordered(number: i64) -> [u8; 8] {
    (number.cast_unsigned() ^ (1 << 63)).to_be_bytes()
}

/// Takes a key apart, and any other row of fixed numbers.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fields<'a>(&'a [u8]);

impl<'a> Fields<'a> {
    /// What follows the kind.
    pub(super) fn of_key(key: &'a [u8]) -> Self {
        Self(key.get(1..).unwrap_or_default())
    }

    pub(super) fn of_value(value: &'a [u8]) -> Self {
        Self(value)
    }

    pub(super) fn take<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        let Some((taken, rest)) = self.0.split_first_chunk() else {
            return Err(damaged("it is too short"));
        };
        self.0 = rest;
        Ok(*taken)
    }

    pub(super) fn error(&mut self) -> Result<ErrorDigest, Trouble> {
        self.take().map(ErrorDigest::from_bytes)
    }

    pub(super) fn source(&mut self) -> Result<SourceId, Trouble> {
        self.take().map(SourceId::from_bytes)
    }

    pub(super) fn observer(&mut self) -> Result<ReplicaId, Trouble> {
        Ok(ReplicaId::from_u64(u64::from_be_bytes(self.take()?)))
    }

    pub(super) fn number(&mut self) -> Result<u32, Trouble> {
        self.take().map(u32::from_be_bytes)
    }

    pub(super) fn time(&mut self) -> Result<Timestamp, Trouble> {
        let ordered = u64::from_be_bytes(self.take()?);
        Ok(Timestamp::from_micros((ordered ^ (1 << 63)).cast_signed()))
    }

    pub(super) fn incarnation(&mut self) -> Result<Incarnation, Trouble> {
        let source = self.source()?;
        let since = match self.take()? {
            [0] => Since::CreatedAt(self.time()?),
            [1] => Since::Reset { observer: self.observer()?, n: self.number()? },
            [other] => return Err(damaged(format!("{other} is no kind of incarnation"))),
        };
        Ok(Incarnation { source, since })
    }

    /// As many bytes as that.
    pub(super) fn slice(&mut self, length: usize) -> Result<&'a [u8], Trouble> {
        let Some((taken, rest)) = self.0.split_at_checked(length) else {
            return Err(damaged("it is too short"));
        };
        self.0 = rest;
        Ok(taken)
    }

    /// Whatever is left.
    pub(super) fn rest(self) -> &'a [u8] {
        self.0
    }

    /// There must be nothing left.
    pub(super) fn end(self) -> Result<(), Trouble> {
        match self.0 {
            [] => Ok(()),
            _ => Err(damaged("it is too long")),
        }
    }
}

/// How messages call a kind of record.
pub(super) fn kind_name(kind: u8) -> &'static str {
    match kind {
        ABOUT => "entry about the store",
        SERVICE => "service",
        OBSERVER => "observer of a service",
        TARGET => "target",
        SOURCE => "source",
        COUNTS_IN => "entry of who counts where",
        LOOSE => "entry of a source without counts",
        ERROR => "error",
        COUNT => "count",
        FORGOTTEN => "forgotten count",
        ACTION => "action",
        HOUR => "hour of a series",
        STACK => "stack",
        OCCURRENCE => "occurrence",
        PART => "part of a long value",
        _ => "record of an unknown kind",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_sort_as_what_they_stand_for() {
        let times = [i64::MIN, -5, 0, 7, i64::MAX].map(Timestamp::from_micros);
        let keys = times.map(|time| Key::new(OCCURRENCE).time(time));
        assert!(keys.is_sorted());
        let observer = ReplicaId::from_u64(u64::MAX);
        let sinces = times
            .map(Since::CreatedAt)
            .into_iter()
            .chain([0, 1, 256].map(|n| Since::Reset { observer, n }));
        let incarnations = ["a", "b"].into_iter().flat_map(|source| {
            let source = SourceId::of(source);
            sinces.clone().map(move |since| Incarnation { source, since })
        });
        let mut incarnations: Vec<_> = incarnations.collect();
        incarnations.sort_unstable();
        let keys: Vec<_> = incarnations.iter().map(|i| Key::new(COUNT).incarnation(i)).collect();
        assert!(keys.is_sorted());
        for (key, incarnation) in keys.iter().zip(incarnations) {
            let mut fields = Fields::of_key(key.as_ref());
            assert_eq!(fields.incarnation().unwrap(), incarnation);
            fields.end().unwrap();
        }
    }
}
