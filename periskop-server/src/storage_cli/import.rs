//! Into a store.

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::Path;

use periskop_core::storage::Storage;
use periskop_core::wire::state::{LineError, LineReader, errors};
use periskop_core::{ReplicaId, State};

use super::progress::Progress;
use super::{StorageCliError, shown};
use crate::stores::NamedStore;

/// Errors that are written at once.
const ERRORS_EACH: usize = 1000;
/// Mistakes that are told.
const TOLD: usize = 20;

/// Joins what is in a file, or comes from standard input, into what `store` holds.
pub(super) async fn import(
    store: &mut NamedStore,
    from: Option<&Path>,
    progress: &mut Progress,
) -> Result<(), StorageCliError> {
    let file = shown(from, "standard input");
    let read = match from {
        None => read(io::stdin().lock(), progress),
        Some(from) => File::open(from).and_then(|file| read(BufReader::new(file), progress)),
    };
    let read = read.map_err(|source| StorageCliError::Io { file: file.clone(), source })?;
    let state = read.map_err(|lines| StorageCliError::Wrong { file, lines })?;
    progress.say(&format!("writing {}", store.name));
    let written = write(&mut *store.storage, state, progress).await?;
    store.close().await;
    progress.say(&format!("{written} errors imported"));
    Ok(())
}

/// All of it, or everything that is wrong with it.
pub(super) fn read(
    mut input: impl BufRead,
    progress: &mut Progress,
) -> io::Result<Result<State, Vec<String>>> {
    let mut reader = LineReader::new();
    let mut mistakes = Mistakes::default();
    let (mut line, mut number) = (Vec::new(), 0_u64);
    loop {
        line.clear();
        if input.read_until(b'\n', &mut line)? == 0 {
            break;
        }
        number += 1;
        progress.tell(|| format!("{number} lines read"));
        let Ok(text) = std::str::from_utf8(&line) else {
            mistakes.add(format!("line {number}: not UTF-8"));
            continue;
        };
        let text = text.trim();
        if text.is_empty() {
            continue;
        }
        match reader.line(text) {
            Ok(_) => {}
            // It says how many lines were good, which is no other mistake.
            Err(LineError::Miscounted { .. }) if mistakes.count > 0 => {}
            Err(error @ (LineError::NoHeader | LineError::Newer { .. })) => {
                // What follows cannot be read either.
                return Ok(Err(vec![format!("line {number}: {error}")]));
            }
            Err(error) => mistakes.add(format!("line {number}: {error}")),
        }
    }
    let state = match reader.finish() {
        Ok(state) => Some(state),
        Err(error) => {
            mistakes.add(format!("after line {number}: {error}"));
            None
        }
    };
    Ok(state.filter(|_| mistakes.count == 0).ok_or_else(|| mistakes.told()))
}

/// Writes it bit by bit; how many errors it has.
pub(super) async fn write(
    storage: &mut dyn Storage,
    state: State,
    progress: &mut Progress,
) -> Result<usize, StorageCliError> {
    let errors = errors(&state).count();
    let mut written = 0;
    storage.identify(ReplicaId::from_u64(rand::random())).await?;
    for delta in state.into_deltas(ERRORS_EACH) {
        if let Err(source) = storage.commit(&delta).await {
            return Err(StorageCliError::Unfinished { source, written, errors });
        }
        written += delta.changed().len();
        progress.tell(|| format!("{written} of {errors} errors written"));
    }
    Ok(written)
}

/// What is wrong, as far as it is told.
#[derive(Default)]
struct Mistakes {
    lines: Vec<String>,
    count: usize,
}

impl Mistakes {
    fn add(&mut self, line: String) {
        self.count += 1;
        if self.lines.len() < TOLD {
            self.lines.push(line);
        }
    }

    fn told(mut self) -> Vec<String> {
        let more = self.count - self.lines.len();
        if more > 0 {
            self.lines.push(format!("and {more} more"));
        }
        self.lines
    }
}
