//! Which store, and where.

use std::fmt;
use std::path::{Path, PathBuf};

use crate::dsn::{DsnError, MySqlDsn, PostgresDsn};

/// A store that one can ask for.
///
/// `Display` names it for people, and for errors, without credentials; `Debug` has none either.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum StoreSpec {
    /// None: what is known lives as long as the process.
    #[default]
    Memory,
    /// Sled, in this directory.
    Sled(PathBuf),
    /// SQLite, in this file.
    Sqlite(PathBuf),
    /// PostgreSQL.
    Postgres(PostgresDsn),
    /// MySQL or MariaDB.
    MySql(MySqlDsn),
}

/// Why no store can be asked for like this. Like [`DsnError`] it quotes nothing.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SpecError {
    /// No store of this name.
    #[error(
        "unknown store; expected memory, sled:PATH, sqlite:PATH, postgres://…, mysql://…, or \
         postgres: or mysql: followed by a DSN of Go"
    )]
    Unknown,
    /// A store on disk without its place.
    #[error("{store} needs a path")]
    NoPath {
        /// Which store.
        store: &'static str,
    },
    /// What means something else to SQLite than a file of this name.
    #[error("expected the path of a file{instead}")]
    NoFile {
        /// What would do instead, if anything.
        instead: &'static str,
    },
    /// A DSN that cannot be used.
    #[error("{store}: {source}")]
    Dsn {
        /// Which store.
        store: &'static str,
        /// What is wrong.
        source: DsnError,
    },
}

impl StoreSpec {
    /// Reads the form that command lines have:
    ///
    /// ```
    /// use periskop_storage::StoreSpec;
    ///
    /// for (text, name) in [
    ///     ("memory", "memory"),
    ///     ("sled:periskop.sled", "sled:periskop.sled"),
    ///     ("sqlite:periskop.db", "sqlite:periskop.db"),
    ///     ("postgresql://me:hunter2@db/errors", "postgres://me@db:5432/errors"),
    ///     ("postgres:host=db user=me dbname=errors", "postgres://me@db:5432/errors"),
    ///     ("mariadb://me:hunter2@db/errors", "mysql://me@db:3306/errors"),
    ///     ("mysql:me:hunter2@tcp(db)/errors", "mysql://me@db:3306/errors"),
    /// ] {
    ///     assert_eq!(StoreSpec::parse(text).unwrap().to_string(), name);
    /// }
    /// ```
    ///
    /// # Errors
    ///
    /// Says what is wrong, without quoting it.
    pub fn parse(text: &str) -> Result<Self, SpecError> {
        if text == "memory" {
            return Ok(Self::Memory);
        }
        let (kind, place) = text.split_once(':').unwrap_or((text, ""));
        let dsn = if place.starts_with("//") { text } else { place };
        match kind {
            "sled" => Self::sled(place),
            "sqlite" => Self::sqlite(place),
            "postgres" | "postgresql" => match PostgresDsn::parse(dsn) {
                Ok(dsn) => Ok(Self::Postgres(dsn)),
                Err(source) => Err(SpecError::Dsn { store: "postgres", source }),
            },
            "mysql" | "mariadb" => match MySqlDsn::parse(dsn) {
                Ok(dsn) => Ok(Self::MySql(dsn)),
                Err(source) => Err(SpecError::Dsn { store: "mysql", source }),
            },
            _ => Err(SpecError::Unknown),
        }
    }

    /// Sled in this directory.
    ///
    /// # Errors
    ///
    /// There is no path.
    pub fn sled(path: impl AsRef<Path>) -> Result<Self, SpecError> {
        let path = not_empty(path.as_ref(), "sled")?;
        Ok(Self::Sled(path))
    }

    /// SQLite in this file; `//` before it is left out, as sqlx has it in URLs.
    ///
    /// # Errors
    ///
    /// There is no path, or a name that SQLite's drivers take for something else than a file:
    /// taken as it is, it would be a file that nobody expects.
    pub fn sqlite(path: impl AsRef<Path>) -> Result<Self, SpecError> {
        let path = not_empty(path.as_ref(), "sqlite")?;
        let Some(text) = path.to_str() else { return Ok(Self::Sqlite(path)) };
        if text.contains(":memory:") {
            let instead = "; for none there is the store memory";
            return Err(SpecError::NoFile { instead });
        }
        if text.starts_with("file:") || text.contains('?') {
            return Err(SpecError::NoFile { instead: " without `file:` and without parameters" });
        }
        let text = text.strip_prefix("//").unwrap_or(text);
        Ok(Self::Sqlite(not_empty(Path::new(text), "sqlite")?))
    }
}

fn not_empty(path: &Path, store: &'static str) -> Result<PathBuf, SpecError> {
    match path.as_os_str().is_empty() {
        true => Err(SpecError::NoPath { store }),
        false => Ok(path.to_owned()),
    }
}

impl fmt::Display for StoreSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Memory => f.write_str("memory"),
            Self::Sled(path) => write!(f, "sled:{}", path.display()),
            Self::Sqlite(path) => write!(f, "sqlite:{}", path.display()),
            Self::Postgres(dsn) => dsn.fmt(f),
            Self::MySql(dsn) => dsn.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_path_is_taken_as_it_is() {
        for (text, path) in [
            ("sqlite:periskop.db", "periskop.db"),
            ("sqlite:/var/lib/periskop.db", "/var/lib/periskop.db"),
            ("sqlite:a:b@c.db", "a:b@c.db"),
            ("sqlite://periskop.db", "periskop.db"),
            ("sqlite:///var/lib/periskop.db", "/var/lib/periskop.db"),
        ] {
            assert_eq!(StoreSpec::parse(text), Ok(StoreSpec::Sqlite(path.into())), "{text}");
        }
        let sled = StoreSpec::parse("sled:./a b");
        assert_eq!(sled, Ok(StoreSpec::Sled("./a b".into())));
    }

    #[test]
    fn what_sqlite_would_not_take_for_a_file_is_refused() {
        for path in [":memory:", "file:x.db", "x.db?_journal=WAL", "file::memory:?cache=shared"] {
            let error = StoreSpec::parse(&format!("sqlite:{path}")).unwrap_err();
            assert!(matches!(error, SpecError::NoFile { .. }), "{path}: {error}");
        }
    }

    #[test]
    fn a_store_on_disk_needs_a_path() {
        for text in ["sled", "sled:", "sqlite", "sqlite:", "sqlite://"] {
            let error = StoreSpec::parse(text).unwrap_err().to_string();
            assert!(error.ends_with(" needs a path"), "{text}: {error}");
        }
    }

    #[test]
    fn a_mistake_is_named_and_nothing_is_quoted() {
        for (text, message) in [
            ("", "unknown store; expected memory, sled:PATH"),
            ("redis://me:secret@db", "unknown store"),
            ("me:secret@tcp(db)/x", "unknown store"),
            ("memory:secret", "unknown store"),
            ("mysql", "mysql: is empty"),
            ("mysql:me:secret@db/x", "mysql: address: expected tcp(host:port) or unix(path)"),
            ("mysql://me:secret@db", "mysql: the database's name is missing"),
            ("postgres:host=x port=secret", "postgres: port: expected a number"),
            ("postgres://me:secret@db:x", "postgres: port: expected a number"),
        ] {
            let error = StoreSpec::parse(text).unwrap_err().to_string();
            assert!(error.starts_with(message), "{text}: {error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }

    #[test]
    fn credentials_are_in_no_debug_output() {
        for text in ["postgres://me:hunter2@db/x", "mysql:me:hunter2@tcp(db)/x"] {
            let shown = format!("{:?}", StoreSpec::parse(text).unwrap());
            assert!(shown.contains("me@db") && !shown.contains("hunter2"), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn reading_is_total(text in any::<String>(), place in "(sled|sqlite|mysql|postgres):.*") {
            let _ = StoreSpec::parse(&text);
            let _ = StoreSpec::parse(&place);
        }
    }
}
