//! `periskop-server storage …`: what a store holds is taken out, put in, and looked through.
//!
//! Invariants: standard output has nothing but what was asked for; how far it is goes to standard
//! error, and whether somebody reads that makes no difference. Nothing is written to a store
//! before everything that is to be written has been read.

mod check;
mod export;
mod import;
mod progress;

use std::ffi::OsString;
use std::io;
use std::path::{Path, PathBuf};

use periskop_core::storage::StorageError;

use crate::cli::{StorageCommand, StoreArgs};
use crate::config::{Config, ConfigError};
use crate::stores::{self, NamedStore};
use progress::Progress;

/// Why something could not be done with a store.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StorageCliError {
    /// No store is named.
    #[error("which store? name it with --storage SPEC, or a configuration with --config FILE")]
    NoStore,
    /// The one that is named keeps nothing.
    #[error("{}: its `repository` is memory, which keeps nothing", .0.display())]
    Memory(PathBuf),
    /// There is no store of that name.
    #[error("--storage: {0}")]
    Unknown(String),
    /// It is not there.
    #[error("{}: there is no such store", .0.display())]
    Missing(PathBuf),
    /// The configuration that names it.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The store, when a part was written.
    #[error(
        "{source}\n{written} of {errors} errors are written; import the same again for the rest"
    )]
    Unfinished {
        /// Why it went no further.
        source: StorageError,
        /// Errors that are in the store.
        written: usize,
        /// Errors that should be.
        errors: usize,
    },
    /// What was to be imported is wrong; nothing was written.
    #[error("{file}: nothing was imported:\n{}", .lines.join("\n"))]
    Wrong {
        /// Where it was read from.
        file: String,
        /// What is wrong, by line; the first ones.
        lines: Vec<String>,
    },
    /// A file, standard input or standard output.
    #[error("{file}: {source}")]
    Io {
        /// Which.
        file: String,
        /// Why.
        source: io::Error,
    },
}

/// Does what the command line says.
pub(crate) async fn run(
    command: &StorageCommand,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<(), StorageCliError> {
    let mut progress = Progress::to_stderr();
    match command {
        StorageCommand::Export { store, to } => {
            let mut store = existing(store, env)?;
            export::export(&mut store, file(to.as_deref()), &mut progress).await
        }
        StorageCommand::Import { store, file: from } => {
            let mut store = open(store, env)?;
            import::import(&mut store, file(from.as_deref()), &mut progress).await
        }
        StorageCommand::Check { store } => {
            let mut store = existing(store, env)?;
            check::check(&mut store, &mut progress).await
        }
    }
}

/// The store that is named; it has not been asked for anything yet.
fn open(
    args: &StoreArgs,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<NamedStore, StorageCliError> {
    if let Some(spec) = &args.storage {
        return stores::named(spec).map_err(|error| StorageCliError::Unknown(error.to_string()));
    }
    let file = args.config_file(env).ok_or(StorageCliError::NoStore)?;
    let config = Config::load(&file)?;
    stores::configured(&config).ok_or(StorageCliError::Memory(file))
}

/// The store that is named, which must be there: looking at one makes none.
fn existing(
    args: &StoreArgs,
    env: impl Fn(&str) -> Option<OsString>,
) -> Result<NamedStore, StorageCliError> {
    let store = open(args, env)?;
    match &store.path {
        Some(path) if !path.exists() => Err(StorageCliError::Missing(path.clone())),
        _ => Ok(store),
    }
}

/// A file, where it is not the standard stream.
fn file(named: Option<&Path>) -> Option<&Path> {
    named.filter(|path| path.as_os_str() != "-")
}

/// For people.
fn shown(file: Option<&Path>, otherwise: &str) -> String {
    file.map_or_else(|| otherwise.to_owned(), |file| file.display().to_string())
}

#[cfg(test)]
mod tests;
