//! What is read from the surroundings: the clock and randomness. Both can be given instead.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_core::{Timestamp, ids};
use rand::TryRngCore;
use rand::rngs::OsRng;

/// A source of the time.
pub(crate) type Clock = Box<dyn Fn() -> Timestamp + Send + Sync>;

/// A source of 128 random bits.
pub(crate) type Dice = Box<dyn Fn() -> u128 + Send + Sync>;

/// The time of the system's clock.
pub(crate) fn now() -> Timestamp {
    let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
    Timestamp::EPOCH.plus(since_epoch)
}

/// 128 bits from the system's randomness.
///
/// Asked every time, and not a generator seeded once: the workers of a process that forks must not
/// name different occurrences alike. Where the system has none to give, a hash of what differs
/// between processes and calls has to do: a host is not stopped for the sake of a name.
pub(crate) fn random() -> u128 {
    let mut bytes = [0; 16];
    match OsRng.try_fill_bytes(&mut bytes) {
        Ok(()) => u128::from_be_bytes(bytes),
        Err(_) => {
            static CALLS: AtomicU64 = AtomicU64::new(0);
            let call = CALLS.fetch_add(1, Ordering::Relaxed);
            let unlike = format!("{} {:?} {call}", std::process::id(), SystemTime::now());
            u128::from_str_radix(&ids::sha256_hex(unlike.as_bytes()), 16).unwrap_or_default()
        }
    }
}

/// Writes random bits as a UUID of version 4 (RFC 9562).
pub(crate) fn uuid(bits: u128) -> String {
    let version = 0x4 << 76;
    let variant = 0b10 << 62;
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | version | variant;
    let hex = format!("{bits:032x}");
    format!("{}-{}-{}-{}-{}", &hex[..8], &hex[8..12], &hex[12..16], &hex[16..20], &hex[20..])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_uuid_says_that_it_is_random() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
    }

    #[test]
    fn no_two_draws_are_alike() {
        assert_ne!(random(), random());
    }

    #[test]
    fn the_clock_is_past_this_programs_birth() {
        assert!(now() > Timestamp::parse("2024-01-01T00:00:00Z").unwrap());
    }
}
