//! What the kernel has on its accounts of a process.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use super::Outcome;

/// A process that runs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account(u32);

impl Account {
    pub(super) fn of(id: u32) -> Self {
        Self(id)
    }

    pub(super) fn own() -> Self {
        Self(std::process::id())
    }

    fn file(self, name: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/{name}", self.0))
    }

    /// How long its threads have run so far, exactly. Those that have ended do not count, so it is
    /// for processes whose threads live long.
    pub(super) fn cpu(self) -> Outcome<Duration> {
        let mut nanos = 0;
        for thread in fs::read_dir(self.file("task"))? {
            // One that has just ended has no account any more.
            let Ok(account) = fs::read_to_string(thread?.path().join("schedstat")) else {
                continue;
            };
            nanos += account.split(' ').next().unwrap_or_default().parse::<u64>()?;
        }
        Ok(Duration::from_nanos(nanos))
    }

    /// The memory that it has, in bytes.
    pub(super) fn resident(self) -> Outcome<u64> {
        self.field("status", "VmRSS:")
    }

    /// The most that it has had.
    pub(super) fn peak(self) -> Outcome<u64> {
        self.field("status", "VmHWM:")
    }

    /// What it had written to disks, in bytes.
    pub(super) fn written(self) -> Outcome<u64> {
        self.field("io", "write_bytes:")
    }

    fn field(self, file: &str, name: &str) -> Outcome<u64> {
        let text = fs::read_to_string(self.file(file))?;
        let line = text.lines().find_map(|line| line.strip_prefix(name));
        let line = line.ok_or_else(|| format!("/proc/{}/{file} has no {name}", self.0))?;
        let (number, unit) = match line.trim().split_once(' ') {
            Some((number, "kB")) => (number, 1024),
            _ => (line.trim(), 1),
        };
        Ok(number.parse::<u64>()? * unit)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_that_works_and_holds_has_it_on_its_account() {
        let own = Account::own();
        let before = own.cpu().unwrap();
        let mut work = vec![1_u64; 4 << 20];
        while own.cpu().unwrap() <= before {
            work.iter_mut().for_each(|n| *n = n.wrapping_mul(31));
        }
        assert!(own.resident().unwrap() > 32 << 20);
        assert!(own.peak().unwrap() >= own.resident().unwrap() / 2);
        assert!(own.written().is_ok());
        assert!(work[0] > 0);
    }
}
