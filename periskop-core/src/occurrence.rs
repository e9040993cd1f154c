//! One occurrence of an error, as it is read from a payload and handed to the merge.
//!
//! This is the owned form that parsers and clients build. What is kept is packed by
//! [`crate::texts`]; nobody stores this.

use std::fmt;

use crate::time::Timestamp;

/// How bad an error is. The order is that of badness.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Severity {
    /// Worth knowing.
    Info,
    /// Worth a look.
    Warning,
    /// Wrong; also what an unknown or missing severity reads as.
    #[default]
    Error,
}

impl Severity {
    /// The name on the wire: `info`, `warning` or `error`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Info => "info",
            Self::Warning => "warning",
            Self::Error => "error",
        }
    }

    /// Reads a wire name; `None` if it is none.
    pub fn parse(text: &str) -> Option<Self> {
        match text {
            "info" => Some(Self::Info),
            "warning" => Some(Self::Warning),
            "error" => Some(Self::Error),
            _ => None,
        }
    }
}

impl fmt::Display for Severity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Decides between two occurrences of the same name and time: the first 128 bits of the SHA-256
/// of the occurrence's JSON object as it came, from `{` to `}`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ContentHash(pub [u8; 16]);

impl ContentHash {
    /// The hash of an object's bytes.
    pub fn of(bytes: &[u8]) -> Self {
        use sha2::{Digest, Sha256};
        let mut hash = [0; 16];
        hash.copy_from_slice(&Sha256::digest(bytes)[..16]);
        Self(hash)
    }

    /// `hash:` and 32 hexadecimal digits: the name of an occurrence that has no uuid.
    pub fn as_name(&self) -> String {
        let hex: String = self.0.iter().map(|b| format!("{b:02x}")).collect();
        format!("hash:{hex}")
    }
}

/// One occurrence, read but not yet judged or merged.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Occurrence {
    /// Its uuid, else [`ContentHash::as_name`]. Never empty, at most 1 KiB.
    pub name: String,
    /// Decides between two occurrences of the same name and time.
    pub content: ContentHash,
    /// The time as it came, if it parses; whether it is usable is judged by the merge.
    pub time: Option<Timestamp>,
    /// Its own severity, else its aggregate's.
    pub severity: Severity,
    /// The exception (first) and its causes, outermost first. Never empty. A list and no nesting,
    /// so that no depth can overflow a stack.
    pub exceptions: Vec<Exception>,
    /// The request during which it happened.
    pub http: Option<HttpContext>,
}

/// One exception of a chain of causes.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Exception {
    /// The class or type name.
    pub class: Option<String>,
    /// The message.
    pub message: Option<String>,
    /// One entry a frame, as the client formats it.
    pub stacktrace: Vec<String>,
}

/// The HTTP request during which an occurrence happened.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HttpContext {
    /// The method.
    pub method: Option<String>,
    /// The URL.
    pub url: Option<String>,
    /// Header names and values, sorted by name.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Option<String>,
}
