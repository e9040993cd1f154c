//! Small files that hold a credential or a certificate.

use std::fs::File;
use std::io::{self, Read as _};
use std::path::Path;

/// A larger file is neither.
const LIMIT: u64 = 1 << 20;

/// The file's bytes. Blocks.
pub(crate) fn read(path: &Path) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    File::open(path)?.take(LIMIT + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > LIMIT {
        return Err(io::Error::other(format!("larger than {LIMIT} bytes")));
    }
    Ok(bytes)
}
