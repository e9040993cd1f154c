//! When to push: pure, on a clock that is an argument.

use std::time::Duration;

/// How a pusher paces itself.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// From one push to the next, at least.
    pub(super) interval: Duration,
    /// From one push to the next, at most, though nothing has changed: a gateway that was restarted
    /// has forgotten.
    pub(super) refresh: Duration,
}

/// How long a first occurrence waits for others that come with it.
const GATHER: Duration = Duration::from_millis(200);
/// The first pause after a failure; it doubles with each that follows.
const FIRST_PAUSE: Duration = Duration::from_secs(1);
/// The longest pause after a failure.
const LONGEST_PAUSE: Duration = Duration::from_secs(5 * 60);
/// The longest that a gateway is left alone at its own request.
const LONGEST_WISH: Duration = Duration::from_secs(60 * 60);

/// Knows when the next push is due. Times are those since any moment.
#[derive(Debug)]
pub(super) struct Schedule {
    pace: Pace,
    /// Since when there is something that no push has had.
    waiting_since: Option<Duration>,
    not_before: Duration,
    /// When the last push began that succeeded.
    pushed_at: Option<Duration>,
    failures: u32,
}

impl Schedule {
    pub(super) fn new(pace: Pace) -> Self {
        Self { pace, waiting_since: None, not_before: Duration::ZERO, pushed_at: None, failures: 0 }
    }

    /// Something was counted.
    pub(super) fn counted(&mut self, now: Duration) {
        self.waiting_since.get_or_insert(now);
    }

    /// When the next push is due; `None`: not before something is counted.
    pub(super) fn due(&self) -> Option<Duration> {
        let refresh = || self.pushed_at.map(|at| at.saturating_add(self.pace.refresh));
        let wanted = self.waiting_since.map(|since| since.saturating_add(GATHER)).or_else(refresh);
        wanted.map(|wanted| wanted.max(self.not_before))
    }

    /// A push begins. What is counted from here on is for the next one.
    pub(super) fn begin(&mut self, now: Duration) {
        self.waiting_since = None;
        self.not_before = now.saturating_add(self.pace.interval);
    }

    /// The push that began at `begun` succeeded.
    pub(super) fn succeeded(&mut self, begun: Duration) {
        self.pushed_at = Some(begun);
        self.failures = 0;
    }

    /// The push failed. One that may succeed is tried again after a pause, of which `luck`, in
    /// 0..=1, decides up to a half, so that many clients of one gateway do not come back together.
    /// One that would fail again waits until something is counted.
    pub(super) fn failed(
        &mut self,
        now: Duration,
        is_temporary: bool,
        retry_after: Option<Duration>,
        luck: f64,
    ) {
        self.failures = self.failures.saturating_add(1);
        let doubled = FIRST_PAUSE.saturating_mul(1 << (self.failures - 1).min(16));
        let pause = doubled.min(LONGEST_PAUSE).mul_f64(0.5 + luck.clamp(0.0, 1.0) / 2.0);
        let wish = retry_after.unwrap_or_default().min(LONGEST_WISH);
        self.not_before = self.not_before.max(now.saturating_add(pause.max(wish)));
        if is_temporary {
            self.waiting_since.get_or_insert(now);
        } else {
            self.pushed_at = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACE: Pace = Pace { interval: Duration::from_secs(5), refresh: Duration::from_secs(300) };

    fn s(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn nothing_is_pushed_before_something_is_counted() {
        assert_eq!(Schedule::new(PACE).due(), None);
    }

    #[test]
    fn what_comes_together_goes_together_and_then_there_is_a_pause() {
        let mut schedule = Schedule::new(PACE);
        schedule.counted(s(10.0));
        schedule.counted(s(10.1));
        assert_eq!(schedule.due(), Some(s(10.2)));
        schedule.begin(s(10.2));
        schedule.counted(s(10.3));
        schedule.succeeded(s(10.2));
        assert_eq!(schedule.due(), Some(s(15.2)), "what came during the push waits for its turn");
    }

    #[test]
    fn an_unchanged_state_is_pushed_again_now_and_then() {
        let mut schedule = Schedule::new(PACE);
        schedule.counted(s(0.0));
        schedule.begin(s(1.0));
        schedule.succeeded(s(1.0));
        assert_eq!(schedule.due(), Some(s(301.0)));
    }

    #[test]
    fn pauses_after_failures_double_up_to_five_minutes_and_vary() {
        let pauses = |luck: f64| -> Vec<f64> {
            let mut schedule = Schedule::new(Pace { interval: Duration::ZERO, ..PACE });
            schedule.counted(s(0.0));
            let mut now = s(0.0);
            (0..12)
                .map(|_| {
                    schedule.begin(now);
                    schedule.failed(now, true, None, luck);
                    let due = schedule.due().expect("it is tried again");
                    let pause = due - now;
                    now = due;
                    pause.as_secs_f64()
                })
                .collect()
        };
        let longest = pauses(1.0);
        assert_eq!(longest[..4], [1.0, 2.0, 4.0, 8.0]);
        assert_eq!(longest[11], 300.0);
        assert_eq!(pauses(0.0)[11], 150.0);
    }

    #[test]
    fn after_a_success_the_first_pause_is_short_again() {
        let mut schedule = Schedule::new(Pace { interval: Duration::ZERO, ..PACE });
        for _ in 0..10 {
            schedule.failed(s(0.0), true, None, 1.0);
        }
        schedule.begin(s(1000.0));
        schedule.succeeded(s(1000.0));
        schedule.begin(s(2000.0));
        schedule.failed(s(2000.0), true, None, 1.0);
        assert_eq!(schedule.due(), Some(s(2001.0)));
    }

    #[test]
    fn a_gateway_that_asks_for_time_gets_it_within_reason() {
        for (wish, pause) in [(30.0, 30.0), (0.1, 1.0), (86_400.0, 3600.0)] {
            let mut schedule = Schedule::new(Pace { interval: Duration::ZERO, ..PACE });
            schedule.begin(s(0.0));
            schedule.failed(s(0.0), true, Some(s(wish)), 1.0);
            assert_eq!(schedule.due(), Some(s(pause)));
        }
    }

    #[test]
    fn what_is_refused_is_not_tried_again_until_something_changes() {
        let mut schedule = Schedule::new(PACE);
        schedule.counted(s(0.0));
        schedule.begin(s(0.2));
        schedule.succeeded(s(0.2));
        schedule.begin(s(300.0));
        schedule.failed(s(300.0), false, None, 1.0);
        assert_eq!(schedule.due(), None);
        schedule.counted(s(400.0));
        assert_eq!(schedule.due(), Some(s(400.2)));
    }
}
