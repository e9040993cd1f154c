//! Files of records: each its length (four bytes, big-endian), a checksum (XXH3, eight bytes,
//! big-endian), and itself.
//!
//! What was being appended when the process or the machine stopped may be there in part. It is the
//! last thing in its file, since nothing is appended after a failure or by another process, and was
//! not acknowledged. Whatever else is wrong is damage.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use xxhash_rust::xxh3::xxh3_64;

use super::super::database::sync_folder;
use super::super::trouble::{Trouble, damaged};

const PREFIX: &str = "waiting-";

/// Length and checksum.
const HEAD: usize = 12;

/// The file with this number.
pub(super) fn path_of(folder: &Path, number: u64) -> PathBuf {
    folder.join(format!("{PREFIX}{number:016x}"))
}

/// The number of a file, if it is one of these.
pub(super) fn number_of(name: &OsStr) -> Option<u64> {
    u64::from_str_radix(name.to_str()?.strip_prefix(PREFIX)?, 16).ok()
}

/// A file that records are appended to.
pub(super) struct Journal {
    file: File,
    path: PathBuf,
    length: u64,
}

impl Journal {
    /// A new one, whose name is durable.
    pub(super) fn create(folder: &Path, number: u64) -> io::Result<Self> {
        let path = path_of(folder, number);
        let file = File::options().create_new(true).append(true).open(&path)?;
        sync_folder(folder)?;
        Ok(Self { file, path, length: 0 })
    }

    /// Appends a record, durably. After an error nothing more may be appended.
    pub(super) fn append(&mut self, record: &[u8]) -> Result<(), Trouble> {
        let Ok(length) = u32::try_from(record.len()) else {
            return Err(damaged("a commit is too long"));
        };
        self.file.write_all(&length.to_be_bytes())?;
        self.file.write_all(&xxh3_64(record).to_be_bytes())?;
        self.file.write_all(record)?;
        self.file.sync_data()?;
        self.length += HEAD as u64 + u64::from(length);
        Ok(())
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn length(&self) -> u64 {
        self.length
    }
}

/// The records of a file, less one that was torn, each with where it begins.
pub(super) fn records(all: &[u8]) -> Result<Vec<(usize, &[u8])>, Trouble> {
    let mut records = Vec::new();
    let mut bytes = all;
    while let Some((head, rest)) = bytes.split_first_chunk::<HEAD>() {
        let (length, checksum) = head.split_at(4);
        let length = length.iter().fold(0, |length, byte| length << 8 | usize::from(*byte));
        let Some((record, rest)) = rest.split_at_checked(length) else { break };
        if checksum != xxh3_64(record).to_be_bytes() {
            // A file may be as long as it was to be, and nothing else of what was written be there.
            if rest.is_empty() || bytes.iter().all(|byte| *byte == 0) {
                break;
            }
            return Err(damaged(format!("commit {} is not what was written", records.len())));
        }
        records.push((all.len() - bytes.len() + HEAD, record));
        bytes = rest;
    }
    Ok(records)
}

/// Removes a file for good: should its name outlive a crash, there is nothing in it.
pub(super) fn remove(path: &Path) -> io::Result<()> {
    let file = File::options().write(true).open(path)?;
    file.set_len(0)?;
    file.sync_all()?;
    drop(file);
    fs::remove_file(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn written(records: &[&[u8]]) -> Vec<u8> {
        let folder = tempfile::tempdir().unwrap();
        let mut journal = Journal::create(folder.path(), 7).unwrap();
        records.iter().for_each(|record| journal.append(record).unwrap());
        let bytes = fs::read(path_of(folder.path(), 7)).unwrap();
        assert_eq!(bytes.len() as u64, journal.length());
        bytes
    }

    fn read(bytes: &[u8]) -> Vec<&[u8]> {
        super::records(bytes).unwrap().into_iter().map(|(_, record)| record).collect()
    }

    #[test]
    fn a_file_is_known_by_its_name() {
        let path = path_of(Path::new("folder"), 0x1f);
        assert_eq!(number_of(path.file_name().unwrap()), Some(0x1f));
        assert_eq!(number_of(OsStr::new("db")), None);
    }

    #[test]
    fn records_are_what_they_were() {
        let records: [&[u8]; 3] = [b"one", b"", b"three"];
        let bytes = written(&records);
        assert_eq!(read(&bytes), records);
        for (at, record) in super::records(&bytes).unwrap() {
            assert!(bytes[at..].starts_with(record));
        }
        assert_eq!(read(b""), [b""; 0]);
    }

    #[test]
    fn a_record_that_was_torn_has_not_been_written() {
        let records: [&[u8]; 2] = [b"one", b"two and more"];
        let bytes = written(&records);
        let first = HEAD + 3;
        for end in first..bytes.len() {
            assert_eq!(read(&bytes[..end]), [b"one"], "{end}");
            // As long as it was to be, and not all of it there.
            let mut zeros = bytes.clone();
            zeros[end..].fill(0);
            assert_eq!(read(&zeros), [b"one"], "{end}");
        }
    }

    #[test]
    fn a_record_that_changed_is_damage() {
        let mut bytes = written(&[b"one", b"two"]);
        bytes[HEAD] ^= 1;
        super::records(&bytes).unwrap_err();
    }
}
