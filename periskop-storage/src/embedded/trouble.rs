//! What can go wrong, before it is known of which store it is told.

use std::fmt::Write as _;
use std::io;
use std::path::Path;

use periskop_core::storage::StorageError;
use periskop_core::wire::state::DocumentError;

use super::database::VERSION;
use super::key::kind_name;

/// Why something was not done.
#[derive(Debug)]
pub(super) enum Trouble {
    /// Sled says so.
    Sled(sled::Error),
    /// The operating system says so.
    Io(io::Error),
    /// What is stored makes no sense.
    Damaged(String),
    /// Another process has it.
    Locked,
    /// A newer program wrote it.
    Newer(u32),
}

/// What is stored makes no sense.
pub(super) fn damaged(reason: impl Into<String>) -> Trouble {
    Trouble::Damaged(reason.into())
}

impl Trouble {
    /// The same, saying which record it is about.
    pub(super) fn at(self, key: &[u8]) -> Self {
        match self {
            Self::Damaged(reason) => {
                let kind = kind_name(key.first().copied().unwrap_or_default());
                let mut place = String::new();
                // A key is mostly hashes; its beginning is enough to find it.
                for byte in key.iter().take(40) {
                    write!(place, "{byte:02x}").expect("what is written to memory cannot fail");
                }
                Self::Damaged(format!("{kind} {place}: {reason}"))
            }
            other => other,
        }
    }

    /// The same, saying of which file.
    pub(super) fn in_file(self, path: &Path) -> Self {
        match self {
            Self::Damaged(reason) => {
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                Self::Damaged(format!("{name}: {reason}"))
            }
            other => other,
        }
    }

    /// The same, saying of which store.
    pub(super) fn of(self, store: String) -> StorageError {
        match self {
            Self::Sled(sled::Error::Io(error)) | Self::Io(error) => {
                StorageError::Unavailable { store, reason: error.to_string() }
            }
            Self::Sled(error @ sled::Error::ReportableBug(_)) => {
                StorageError::Unavailable { store, reason: error.to_string() }
            }
            Self::Sled(sled::Error::Corruption { at, .. }) => {
                let place = at.map_or_else(String::new, |at| format!(" at {at}"));
                StorageError::Damaged { store, reason: format!("a checksum is wrong{place}") }
            }
            Self::Sled(error) => StorageError::Damaged { store, reason: error.to_string() },
            Self::Damaged(reason) => StorageError::Damaged { store, reason },
            Self::Locked => StorageError::Locked { store },
            Self::Newer(found) => StorageError::Newer { store, found, known: VERSION },
        }
    }
}

impl From<sled::Error> for Trouble {
    fn from(error: sled::Error) -> Self {
        Self::Sled(error)
    }
}

impl From<io::Error> for Trouble {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

impl From<DocumentError> for Trouble {
    fn from(error: DocumentError) -> Self {
        Self::Damaged(error.to_string())
    }
}

impl From<serde_json::Error> for Trouble {
    fn from(error: serde_json::Error) -> Self {
        Self::Damaged(error.to_string())
    }
}
