//! Values that may be kept in a file of their own.

use std::fs::File;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use periskop_core::config::Secret;

use super::HttpError;

/// A larger file is no credential, and would be read again at every request.
const FILE_LIMIT: u64 = 1 << 20;

/// Where a value comes from: the configuration itself, or a file that is read at every use, so
/// that a rotated credential needs no reload.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source<T> {
    /// Written in the configuration.
    Inline(T),
    /// The content of a file, without the white space around it.
    File(PathBuf),
}

impl<T> Source<T> {
    pub(crate) fn resolve_path(&mut self, dir: &Path) {
        if let Self::File(path) = self {
            *path = dir.join(&*path);
        }
    }
}

impl<T: Text> Source<T> {
    /// The value as it is now.
    ///
    /// # Errors
    ///
    /// [`HttpError::File`] where the file cannot be read or is not UTF-8.
    pub(crate) async fn read(&self) -> Result<Secret, HttpError> {
        match self {
            Self::Inline(value) => Ok(Secret::new(value.text())),
            Self::File(path) => read_text(path).await,
        }
    }
}

/// A value that has a text, secret or not.
pub trait Text {
    fn text(&self) -> &str;
}

impl Text for String {
    fn text(&self) -> &str {
        self
    }
}

impl Text for Secret {
    fn text(&self) -> &str {
        self.expose()
    }
}

/// A small file's text, trimmed as Prometheus trims it.
pub(crate) async fn read_text(path: &Path) -> Result<Secret, HttpError> {
    let failed = |reason: &str| HttpError::File { path: path.into(), reason: reason.into() };
    let owned = path.to_path_buf();
    let bytes = tokio::task::spawn_blocking(move || read_bytes(&owned))
        .await
        .map_err(|_| failed("reading was interrupted"))??;
    let text = String::from_utf8(bytes).map_err(|_| failed("not valid UTF-8"))?;
    Ok(Secret::new(text.trim()))
}

/// A small file's bytes. Blocks.
pub(super) fn read_bytes(path: &Path) -> Result<Vec<u8>, HttpError> {
    let failed = |reason: String| HttpError::File { path: path.into(), reason };
    let mut bytes = Vec::new();
    File::open(path)
        .and_then(|file| file.take(FILE_LIMIT + 1).read_to_end(&mut bytes))
        .map_err(|e| failed(e.to_string()))?;
    if bytes.len() as u64 > FILE_LIMIT {
        return Err(failed(format!("larger than {FILE_LIMIT} bytes")));
    }
    Ok(bytes)
}
