//! What can be wrong with a DSN.

/// Why a DSN cannot be used.
///
/// Nothing here quotes a value, because any of them may be a password, or a piece of one where
/// its quoting went wrong. The only text out of a DSN is the name of a parameter.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DsnError {
    /// There is no text.
    #[error("is empty")]
    Empty,
    /// None of the forms that this database's DSNs have.
    #[error("expected {expected}")]
    Form {
        /// The forms.
        expected: &'static str,
    },
    /// The form breaks off or goes wrong somewhere.
    #[error("character {position}: expected {expected}")]
    Syntax {
        /// Where, in characters from 1.
        position: usize,
        /// What should be there.
        expected: &'static str,
    },
    /// A delimiter stands where only an escaped one may.
    #[error(
        "an `@` after the address: is a `/` missing before the database? In a URL's user and \
         password `@`, `/`, `?`, `#` and `%` are written %40, %2F, %3F, %23 and %25; in a \
         database's name and in parameters so is `@`"
    )]
    Unescaped,
    /// Percent-encoding that says nothing.
    #[error("{part}: a `%` is not followed by two hexadecimal digits, or they make no UTF-8 text")]
    Encoding {
        /// Where.
        part: &'static str,
    },
    /// A part has a value that it cannot have.
    #[error("{part}: expected {expected}")]
    Value {
        /// Which part.
        part: &'static str,
        /// What it may be.
        expected: &'static str,
    },
    /// A part is missing that has no default.
    #[error("{part} is missing")]
    Missing {
        /// Which part.
        part: &'static str,
    },
    /// Parts that contradict each other.
    #[error("{reason}")]
    Conflict {
        /// How.
        reason: &'static str,
    },
    /// Several hosts to choose from; a store has one.
    #[error("several hosts are not supported: name one, or an address that leads to the right one")]
    SeveralHosts,
    /// A parameter that would be needed, but that we cannot follow: ignoring it would give less
    /// than was asked for.
    #[error("parameter {parameter}: not supported; leave it out{instead}")]
    Unsupported {
        /// Which one.
        parameter: &'static str,
        /// What would do instead, if anything.
        instead: &'static str,
    },
    /// A parameter that nobody knows.
    #[error("unknown parameter {parameter:?}")]
    Unknown {
        /// Its name.
        parameter: String,
    },
}
