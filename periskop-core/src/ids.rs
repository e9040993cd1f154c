//! Names of things: services, errors, sources, occurrences, observers.

use std::fmt;
use std::sync::Arc;

use sha2::{Digest, Sha256};

macro_rules! text_id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(Arc<str>);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl<T: AsRef<str>> From<T> for $name {
            fn from(text: T) -> Self {
                Self(bounded(text.as_ref()).as_ref().into())
            }
        }

        impl std::borrow::Borrow<str> for $name {
            fn borrow(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Debug::fmt(&*self.0, f)
            }
        }
    };
}

text_id! {
    /// A service: the unit in which errors are merged, named in the configuration.
    ServiceName
}

text_id! {
    /// What a client groups occurrences by; identifies an error within its service.
    AggregationKey
}

/// One error of one service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AggregateId {
    /// The service that reports it.
    pub service: ServiceName,
    /// The client's aggregation key.
    pub key: AggregationKey,
}

impl AggregateId {
    /// The name that a store gives it.
    pub fn digest(&self) -> ErrorDigest {
        ErrorDigest::of(&self.service, &self.key)
    }
}

/// Names an error in a store: the first 128 bits of the SHA-256 of its service's and its key's.
///
/// Names are hostile: what a database's collation takes for the same, or its index for too long,
/// is another error all the same.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ErrorDigest([u8; 16]);

impl ErrorDigest {
    /// The error with this key in this service.
    pub fn of(service: &ServiceName, key: &AggregationKey) -> Self {
        let both = Sha256::new().chain_update(digest(service.as_str()));
        let mut id = [0; 16];
        id.copy_from_slice(&both.chain_update(digest(key.as_str())).finalize()[..16]);
        Self(id)
    }

    /// As bytes, for stores.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// What `as_bytes` gave.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for ErrorDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// The SHA-256 of a name: what stores tell names apart by.
pub fn digest(name: &str) -> [u8; 32] {
    Sha256::digest(name.as_bytes()).into()
}

/// Who counts: a payload's `target_uuid`, else the scraped URL without userinfo, else `push:`.
///
/// Kept as the first 128 bits of the SHA-256 of that text, so that it costs the same whatever a
/// target calls itself and is the same in every process; `State` keeps the text once.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SourceId([u8; 16]);

impl SourceId {
    /// The source that calls itself `text`.
    pub fn of(text: &str) -> Self {
        let mut id = [0; 16];
        id.copy_from_slice(&Sha256::digest(bounded(text).as_bytes())[..16]);
        Self(id)
    }

    /// The id as bytes, for stores.
    pub const fn as_bytes(&self) -> &[u8; 16] {
        &self.0
    }

    /// The id that `as_bytes` gave.
    pub const fn from_bytes(bytes: [u8; 16]) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for SourceId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0[..4].iter().try_for_each(|b| write!(f, "{b:02x}"))
    }
}

/// One observer: a process that scrapes or receives pushes and keeps the state of what it saw.
///
/// Random at first start and kept in the store; never used by two running processes. Written as
/// 16 hexadecimal digits. Any other text names the observer whose id is the first 64 bits of its
/// SHA-256, so that whatever a peer writes has an identity.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ReplicaId(u64);

impl ReplicaId {
    /// The observer with this (random) number.
    pub const fn from_u64(id: u64) -> Self {
        Self(id)
    }

    /// The number, for stores.
    pub const fn as_u64(self) -> u64 {
        self.0
    }

    /// The observer that is written as `text`.
    pub fn from_text(text: &str) -> Self {
        let literal = text.len() == 16
            && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b));
        if let (true, Ok(id)) = (literal, u64::from_str_radix(text, 16)) {
            return Self(id);
        }
        let mut id = [0; 8];
        id.copy_from_slice(&Sha256::digest(text.as_bytes())[..8]);
        Self(u64::from_be_bytes(id))
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:016x}", self.0)
    }
}

impl fmt::Debug for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// The longest text that a name may have, in bytes.
const LONGEST: usize = 1024;

/// A key, uuid or source longer than 1 KiB becomes its first 900 bytes (cut at a character), `…`
/// and 32 hexadecimal digits of its SHA-256: still unique, no longer a burden.
pub fn bounded(text: &str) -> std::borrow::Cow<'_, str> {
    if text.len() <= LONGEST {
        return text.into();
    }
    let cut = (0..=900).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
    format!("{}…{}", &text[..cut], sha256_hex(text.as_bytes())).into()
}

/// The first 32 hexadecimal digits of the SHA-256 of `bytes`.
pub fn sha256_hex(bytes: &[u8]) -> String {
    Sha256::digest(bytes)[..16].iter().map(|b| format!("{b:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_name_is_cut_at_a_character_and_stays_unique() {
        let long = "ü".repeat(600);
        let name = AggregationKey::from(&long);
        assert!(name.as_str().starts_with(&"ü".repeat(450)));
        assert_eq!(name.as_str().len(), 900 + "…".len() + 32);
        assert_ne!(name, AggregationKey::from(format!("{long}x")));
        assert_eq!(AggregationKey::from(name.as_str()), name, "bounding twice changes nothing");
    }

    #[test]
    fn an_observer_reads_back_what_it_writes() {
        let id = ReplicaId::from_text("A");
        assert_eq!(ReplicaId::from_text(&id.to_string()), id);
        assert_ne!(id, ReplicaId::from_text("B"));
    }
}
