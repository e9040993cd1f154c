//! Says things of one kind seldom: whoever pushes nonsense all day is not to fill a disk.
//!
//! Pure: the time is an argument.

use std::collections::HashMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use periskop_core::Timestamp;

/// From one line of a kind to the next.
const PAUSE: Duration = Duration::from_secs(10);

/// See the [module](self).
#[derive(Debug, Default)]
pub(crate) struct Seldom(Mutex<HashMap<&'static str, Said>>);

#[derive(Debug)]
struct Said {
    last: Timestamp,
    unsaid: u64,
}

impl Seldom {
    /// Whether something of this kind may be said now; then how often it was not since the last
    /// time.
    pub(crate) fn due(&self, now: Timestamp, kind: &'static str) -> Option<u64> {
        let mut said = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Some(before) = said.get_mut(kind) else {
            said.insert(kind, Said { last: now, unsaid: 0 });
            return Some(0);
        };
        // A clock that was set back is no reason to keep silent.
        if now >= before.last && now < before.last.plus(PAUSE) {
            before.unsaid += 1;
            return None;
        }
        before.last = now;
        Some(std::mem::take(&mut before.unsaid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kind_is_said_now_and_then_and_how_often_it_was_not() {
        let seldom = Seldom::default();
        let at = |seconds| Timestamp::YEAR_2000.plus(Duration::from_secs(seconds));
        assert_eq!(seldom.due(at(0), "malformed"), Some(0));
        for second in 0..10 {
            assert_eq!(seldom.due(at(second), "malformed"), None);
        }
        assert_eq!(seldom.due(at(1), "too_large"), Some(0), "each kind has its own time");
        assert_eq!(seldom.due(at(10), "malformed"), Some(10));
        assert_eq!(seldom.due(at(5), "malformed"), Some(0), "the clock was set back");
    }
}
