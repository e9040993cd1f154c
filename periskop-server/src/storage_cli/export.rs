//! Out of a store.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use periskop_core::State;
use periskop_core::wire::state::{errors, lines, services, sources};
use tempfile::NamedTempFile;

use super::progress::Progress;
use super::{StorageCliError, shown};
use crate::stores::NamedStore;

/// Writes everything that `store` holds to a file, or to standard output.
pub(super) async fn export(
    store: &mut NamedStore,
    to: Option<&Path>,
    progress: &mut Progress,
) -> Result<(), StorageCliError> {
    progress.say(&format!("reading {}", store.name));
    let state = store.storage.load().await?.state;
    store.close().await;
    let written = match to {
        None => write(&state, io::stdout().lock(), progress),
        Some(file) => write_file(&state, file, progress),
    };
    let written = written.map_err(|source| {
        let file = shown(to, "standard output");
        StorageCliError::Io { file, source }
    })?;
    progress.say(&format!("{written} lines written"));
    Ok(())
}

/// How many lines there were.
pub(super) fn write(state: &State, out: impl Write, progress: &mut Progress) -> io::Result<usize> {
    let mut out = BufWriter::new(out);
    let of = services(state).count() + sources(state).count() + errors(state).count() + 2;
    let mut written = 0;
    for (_, line) in lines(state) {
        out.write_all(line.as_bytes())?;
        out.write_all(b"\n")?;
        written += 1;
        progress.tell(|| format!("{written} of {of} lines written"));
    }
    out.flush()?;
    Ok(written)
}

/// Under a name of its own until it is whole, so that half of it is never taken for the whole.
pub(super) fn write_file(state: &State, file: &Path, progress: &mut Progress) -> io::Result<usize> {
    if file.metadata().is_ok_and(|known| !known.is_file()) {
        // A device or a pipe, which is not to be replaced by a file.
        return write(state, File::options().write(true).open(file)?, progress);
    }
    let folder = file.parent().filter(|parent| !parent.as_os_str().is_empty());
    let partial = NamedTempFile::new_in(folder.unwrap_or(Path::new(".")))?;
    let written = write(state, partial.as_file(), progress)?;
    partial.as_file().sync_all()?;
    partial.persist(file)?;
    Ok(written)
}
