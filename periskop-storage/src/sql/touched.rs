//! Whether anybody has written to a file since it was looked into.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use periskop_core::storage::Cursor;

/// A file that was written to as lately as this may be written to again without another time on
/// it: file systems count in milliseconds, some in seconds, the worst in two of them.
const SETTLED: Duration = Duration::from_secs(3);

/// What files looked like at some time. Equal ones that are [settled](Stamp::is_settled) have not
/// been written to in between.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Stamp {
    /// Length, and when it was written to last; `None` where there is no file.
    files: Vec<Option<(u64, SystemTime)>>,
}

impl Stamp {
    /// Of these files as they are now. `None`: the system does not say.
    pub(crate) fn of(paths: &[impl AsRef<Path>]) -> Option<Self> {
        let files = paths.iter().map(|path| match fs::metadata(path) {
            Ok(known) => Some(Some((known.len(), known.modified().ok()?))),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Some(None),
            Err(_) => None,
        });
        Some(Self { files: files.collect::<Option<_>>()? })
    }

    /// Whether `now`, when it was taken, the last write was so long ago that the next one shows. A
    /// write in the future never was.
    pub(crate) fn is_settled(&self, now: SystemTime) -> bool {
        let mut written = self.files.iter().flatten().map(|(_, written)| *written);
        written.all(|written| now.duration_since(written).is_ok_and(|ago| ago >= SETTLED))
    }
}

/// A question after news that was answered with no, and what the files looked like just before.
#[derive(Debug, Default)]
pub(crate) struct Asked(Option<(Stamp, Cursor)>);

impl Asked {
    /// Whether the answer is still no.
    pub(crate) fn still_holds(&self, stamp: Option<&Stamp>, cursor: &Cursor) -> bool {
        self.0.as_ref().is_some_and(|(then, of)| Some(then) == stamp && of == cursor)
    }

    /// Takes note that there is nothing beyond `cursor`. `stamp` was taken before that was asked, at
    /// `now`.
    pub(crate) fn no(&mut self, stamp: Option<Stamp>, now: SystemTime, cursor: &Cursor) {
        let settled = stamp.filter(|stamp| stamp.is_settled(now));
        self.0 = settled.map(|stamp| (stamp, cursor.clone()));
    }
}

#[cfg(test)]
mod tests {
    use periskop_core::ReplicaId;

    use super::*;

    #[test]
    fn a_file_that_nobody_writes_to_need_not_be_asked_again_once_its_last_write_is_old() {
        let folder = tempfile::tempdir().unwrap();
        let (there, absent) = (folder.path().join("there"), folder.path().join("absent"));
        fs::write(&there, "1").unwrap();
        let paths = [there.clone(), absent.clone()];
        let written = fs::metadata(&there).unwrap().modified().unwrap();
        let (soon, later) = (written + SETTLED / 2, written + SETTLED);

        let cursor = Cursor::default();
        let mut asked = Asked::default();
        let holds = |asked: &Asked| asked.still_holds(Stamp::of(&paths).as_ref(), &cursor);
        assert!(!holds(&asked), "nothing was asked yet");
        asked.no(Stamp::of(&paths), soon, &cursor);
        assert!(!holds(&asked), "written to too lately");
        asked.no(Stamp::of(&paths), later, &cursor);
        assert!(holds(&asked));
        assert!(!asked.still_holds(None, &cursor), "nobody knows");
        let other = [(ReplicaId::from_u64(7), 1)].into_iter().collect();
        assert!(!asked.still_holds(Stamp::of(&paths).as_ref(), &other), "another question");

        fs::write(&absent, "").unwrap();
        assert!(!holds(&asked), "another file");
        fs::remove_file(&absent).unwrap();
        assert!(holds(&asked));
        fs::write(&there, "2").unwrap();
        let file = fs::File::options().write(true).open(&there).unwrap();
        file.set_modified(written + Duration::from_millis(1)).unwrap();
        assert!(!holds(&asked), "of the same length");
    }

    #[test]
    fn a_time_in_the_future_is_never_old() {
        let folder = tempfile::tempdir().unwrap();
        let stamp = Stamp::of(&[folder.path()]).unwrap();
        assert!(!stamp.is_settled(SystemTime::UNIX_EPOCH));
    }
}
