//! The one place of this crate that reads the clock.

use std::time::SystemTime;

use periskop_core::Timestamp;

/// Now, by the system's clock.
pub(crate) fn now() -> Timestamp {
    match SystemTime::now().duration_since(SystemTime::UNIX_EPOCH) {
        Ok(since) => Timestamp::EPOCH.plus(since),
        Err(before) => Timestamp::EPOCH.minus(before.duration()),
    }
}
