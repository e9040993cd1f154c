//! What is read from the surroundings: the clock, randomness and the process. All can be given
//! instead.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_core::{Timestamp, ids};

/// A source of the time.
pub(crate) type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// A source of 128 random bits.
pub(crate) type Dice = Box<dyn Fn() -> u128 + Send + Sync>;

/// Tells in which process it is asked.
pub(crate) type Pid = Box<dyn Fn() -> u32 + Send + Sync>;

/// The time of the system's clock.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::EPOCH.plus(since_epoch)
}

/// 128 bits from the system's randomness.
///
/// Asked once per life of a collector, and not a generator seeded once per program: the workers of
/// a process that forks must not name different occurrences alike. Where the system has none to
/// give, a hash of what differs between processes and calls has to do: a host is not stopped for
/// the sake of a name.
pub(crate) fn random() -> u128 {
    let mut bytes = [0; 16];
    match getrandom::fill(&mut bytes) {
        Ok(()) => u128::from_be_bytes(bytes),
        Err(_) => {
            static CALLS: AtomicU64 = AtomicU64::new(0);
            let call = CALLS.fetch_add(1, Ordering::Relaxed);
            let unlike = format!("{} {:?} {call}", std::process::id(), SystemTime::now());
            let hash = ids::digest(&unlike);
            hash[..16].iter().fold(0, |bits, byte| bits << 8 | u128::from(*byte))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_draws_are_alike() {
        assert_ne!(random(), random());
    }

    #[test]
    fn the_clock_is_past_this_programs_birth() {
        assert!(now() > Timestamp::parse("2024-01-01T00:00:00Z").unwrap());
    }
}
