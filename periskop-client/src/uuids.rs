//! Names of occurrences and of the collector itself: UUIDs of version 4 (RFC 9562).

use std::sync::atomic::{AtomicU64, Ordering};

/// Names that nothing else has, from one throw of the dice.
///
/// Asking the system for randomness at each occurrence would cost more than counting it. The first
/// half is random and the same for all; the second steps through all of its 2^62 values from a
/// random one on, in an order that does not look like counting.
pub(crate) struct Names {
    base: u128,
    given: AtomicU64,
}

/// Odd, so that multiples of it meet every value before they repeat; 2^64 divided by the golden
/// ratio, so that neighbours are far apart.
const STEP: u128 = 0x9e37_79b9_7f4a_7c15;
/// What a UUID leaves free of its second half.
const FREE: u128 = u64::MAX as u128 >> 2;

impl Names {
    pub(crate) fn new(base: u128) -> Self {
        Self { base, given: AtomicU64::new(0) }
    }

    /// The bits of the next name.
    pub(crate) fn next(&self) -> u128 {
        let n = u128::from(self.given.fetch_add(1, Ordering::Relaxed));
        let low = self.base.wrapping_add(n.wrapping_mul(STEP));
        self.base & !FREE | low & FREE
    }
}

/// Appends random bits, written as a UUID of version 4.
pub(crate) fn write(bits: u128, to: &mut String) {
    let version = 0x4 << 76;
    let variant = 0b10 << 62;
    let bits = bits & !(0xf << 76) & !(0b11 << 62) | version | variant;
    for digit in 0..32 {
        if matches!(digit, 8 | 12 | 16 | 20) {
            to.push('-');
        }
        let nibble = (bits >> (124 - 4 * digit) & 0xf) as usize; // four bits
        to.push(char::from(b"0123456789abcdef"[nibble]));
    }
}

/// Random bits as a UUID of version 4.
pub(crate) fn uuid(bits: u128) -> String {
    let mut text = String::with_capacity(36);
    write(bits, &mut text);
    text
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn a_uuid_says_that_it_is_random() {
        assert_eq!(uuid(0), "00000000-0000-4000-8000-000000000000");
        assert_eq!(uuid(u128::MAX), "ffffffff-ffff-4fff-bfff-ffffffffffff");
        assert_eq!(
            uuid(0x0123_4567_89ab_cdef_0123_4567_89ab_cdef),
            "01234567-89ab-4def-8123-456789abcdef"
        );
    }

    #[test]
    fn names_of_one_throw_differ_in_what_is_written_of_them() {
        for base in [0, u128::MAX, 7 << 61] {
            let names = Names::new(base);
            let first = uuid(names.next());
            assert_eq!(first, uuid(base), "the first is what was thrown");
            let written: BTreeSet<_> = (0..100_000).map(|_| uuid(names.next())).collect();
            assert_eq!(written.len(), 100_000);
            assert!(!written.contains(&first));
        }
    }
}
