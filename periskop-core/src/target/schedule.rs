//! When which target is scraped.
//!
//! A target's moments are fixed by its identity: interval after interval, at an offset that is a
//! hash of the target and of who observes it. So a fleet is spread over its interval, two servers
//! do not ask at the same moment, and neither a reload nor a restart changes the rhythm. Nothing
//! here repeats what was missed: a target whose moment has passed while it was being scraped
//! waits for the next.

use std::collections::BTreeSet;
use std::time::Duration;

use hashbrown::HashMap;

use crate::ids::ReplicaId;
use crate::target::{Target, TargetId};
use crate::time::Timestamp;

/// The targets that wait, and until when.
#[derive(Debug)]
pub struct Schedule {
    observer: ReplicaId,
    queue: BTreeSet<(Timestamp, TargetId)>,
    waiting: HashMap<TargetId, Timestamp>,
}

impl Schedule {
    /// Nothing waits yet.
    pub fn new(observer: ReplicaId) -> Self {
        Self { observer, queue: BTreeSet::new(), waiting: HashMap::new() }
    }

    /// Lets a target wait for its first moment after `now`, whatever it waited for before.
    pub fn plan(&mut self, now: Timestamp, target: &Target) {
        let id = target.id();
        let at = moment_after(now, target.interval(), id.spread(self.observer));
        if let Some(old) = self.waiting.insert(id, at) {
            self.queue.remove(&(old, id));
        }
        self.queue.insert((at, id));
    }

    /// Lets a target wait no longer.
    pub fn cancel(&mut self, target: TargetId) {
        if let Some(at) = self.waiting.remove(&target) {
            self.queue.remove(&(at, target));
        }
    }

    /// The target whose moment came first, if it has come. It does not wait any more: it is
    /// planned again when its answer is there, so that it is never asked twice at once.
    pub fn pop(&mut self, now: Timestamp) -> Option<TargetId> {
        let (at, id) = *self.queue.first()?;
        if at > now {
            return None;
        }
        self.queue.pop_first();
        self.waiting.remove(&id);
        Some(id)
    }

    /// The next moment of any target.
    pub fn next(&self) -> Option<Timestamp> {
        self.queue.first().map(|(at, _)| *at)
    }

    /// The next moment of one target; `None` while it is being scraped.
    pub fn next_of(&self, target: TargetId) -> Option<Timestamp> {
        self.waiting.get(&target).copied()
    }
}

/// The first instant after `now` that is `spread` (modulo the interval) after a multiple of the
/// interval.
fn moment_after(now: Timestamp, interval: Duration, spread: u64) -> Timestamp {
    // An interval is at least a millisecond, and Prometheus's longest fits in 64 bits.
    let interval = i64::try_from(interval.as_micros()).unwrap_or(i64::MAX).max(1);
    let offset = i64::try_from(spread % interval.unsigned_abs()).unwrap_or(0);
    let since_last = now.as_micros().saturating_sub(offset).rem_euclid(interval);
    Timestamp::from_micros(now.as_micros().saturating_add(interval - since_last))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::target::{Labels, ScrapeSettings};

    const START: Timestamp = Timestamp::from_micros(1_700_000_000_123_456);
    const INTERVAL: Duration = Duration::from_secs(10);

    fn target(n: usize) -> Target {
        let settings = ScrapeSettings { interval: INTERVAL, ..ScrapeSettings::default() };
        let address = Labels::from([("__address__", format!("10.0.0.{n}"))]);
        let labels = settings.discovered_labels("api", &address, &Labels::new());
        Target::new(&"api".into(), &settings, labels.clone(), labels).unwrap()
    }

    fn first(observer: u64, n: usize) -> Timestamp {
        let mut schedule = Schedule::new(ReplicaId::from_u64(observer));
        schedule.plan(START, &target(n));
        schedule.next().unwrap()
    }

    #[test]
    fn a_target_has_the_same_rhythm_whenever_it_is_planned() {
        let mut schedule = Schedule::new(ReplicaId::from_u64(1));
        let target = target(1);
        schedule.plan(START, &target);
        let first = schedule.next().unwrap();
        for late in [Duration::ZERO, Duration::from_secs(3), Duration::from_millis(9_999)] {
            schedule.plan(first.plus(late), &target);
            assert_eq!(schedule.next(), Some(first.plus(INTERVAL)), "{late:?}");
        }
    }

    #[test]
    fn moments_that_were_missed_are_not_made_up_for() {
        let mut schedule = Schedule::new(ReplicaId::from_u64(1));
        let target = target(1);
        schedule.plan(START, &target);
        let first = schedule.next().unwrap();
        let late = first.plus(INTERVAL * 5).plus(Duration::from_secs(1));
        assert_eq!(schedule.pop(late), Some(target.id()));
        assert_eq!(schedule.pop(late), None, "it is being scraped");
        schedule.plan(late, &target);
        assert_eq!(schedule.pop(late), None, "only its next moment counts");
        assert_eq!(schedule.next(), Some(first.plus(INTERVAL * 6)));
    }

    #[test]
    fn a_fleet_is_spread_over_its_interval() {
        let mut tenths = [0; 10];
        for n in 0..1000 {
            let wait = first(1, n).since(START);
            assert!(!wait.is_zero() && wait <= INTERVAL);
            tenths[usize::try_from(wait.as_secs().min(9)).unwrap()] += 1;
        }
        assert!(tenths.iter().all(|n| (50..150).contains(n)), "{tenths:?}");
    }

    #[test]
    fn two_observers_ask_at_different_moments_and_a_restarted_one_at_its_own() {
        assert_ne!(first(1, 1), first(2, 1));
        assert_eq!(first(1, 1), first(1, 1));
    }

    #[test]
    fn targets_come_in_the_order_of_their_moments() {
        let mut schedule = Schedule::new(ReplicaId::from_u64(1));
        (0..50).for_each(|n| schedule.plan(START, &target(n)));
        let end = START.plus(INTERVAL);
        let mut last = START;
        let mut popped = 0;
        while let Some(next) = schedule.next() {
            assert!(next >= last && schedule.pop(next.minus(Duration::from_micros(1))).is_none());
            assert!(schedule.pop(end).is_some());
            last = next;
            popped += 1;
        }
        assert_eq!(popped, 50);
    }
}
