//! Keeps a discovery from telling more often than a fleet can be followed.
//!
//! A mechanism that watches tells each change when it happens, and there may be thousands a second.
//! The intervals are those of Prometheus's discovery manager (`sender` in `discovery/manager.go`):
//! 100 ms at first, half as long again after each answer, up to 5 s, and from the beginning after
//! 5 s without a change. Unlike there nothing waits for a tick: what comes after a pause is told
//! at once, and a first answer always is.
//!
//! Invariant: whoever hears all answers of this knows in the end what whoever hears all answers of
//! the discovery knows.

use std::collections::BTreeMap;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::TargetGroup;
use tokio::task::consume_budget;
use tokio::time::{Instant, sleep_until};

const SHORTEST: Duration = Duration::from_millis(100);
const LONGEST: Duration = Duration::from_secs(5);
/// Without a change for so long, the next one is no part of a storm.
const QUIET: Duration = Duration::from_secs(5);

/// A discovery that collects what another tells, until it is time to tell it.
pub(super) struct Throttled {
    discovery: Box<dyn Discovery>,
    /// The newest group of each source, if there is anything to tell.
    collected: Option<BTreeMap<String, TargetGroup>>,
    /// What came after the collected.
    error: Option<DiscoveryError>,
    pace: Pace,
}

impl Throttled {
    pub(super) fn new(discovery: Box<dyn Discovery>) -> Self {
        Self { discovery, collected: None, error: None, pace: Pace::default() }
    }

    fn collect(&mut self, groups: Vec<TargetGroup>) {
        let collected = self.collected.get_or_insert_default();
        collected.extend(groups.into_iter().map(|group| (group.source.clone(), group)));
    }

    /// What is collected, which is then told.
    fn tell(&mut self, now: Instant) -> Option<Vec<TargetGroup>> {
        let collected = self.collected.take()?;
        self.pace.told(now);
        Some(collected.into_values().collect())
    }
}

#[async_trait]
impl Discovery for Throttled {
    async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError> {
        loop {
            // A discovery that always has something to tell is not to keep others from working.
            consume_budget().await;
            let now = Instant::now();
            let is_due = self.pace.due().is_none_or(|due| due <= now);
            if (is_due || self.error.is_some())
                && let Some(groups) = self.tell(now)
            {
                return Ok(groups);
            }
            if let Some(error) = self.error.take() {
                return Err(error);
            }
            let due = self.pace.due().filter(|_| self.collected.is_some());
            let outcome = tokio::select! {
                outcome = self.discovery.next() => outcome,
                () = sleep_until(due.unwrap_or(now)), if due.is_some() => continue,
            };
            match outcome {
                Ok(groups) => {
                    self.pace.heard(Instant::now());
                    self.collect(groups);
                }
                Err(error) => self.error = Some(error),
            }
        }
    }
}

/// When something may be told again.
#[derive(Debug, Default)]
struct Pace {
    heard: Option<Instant>,
    told: Option<Instant>,
    /// How long nothing is told after that; `None` where changes have not kept coming.
    interval: Option<Duration>,
}

impl Pace {
    fn heard(&mut self, now: Instant) {
        let before = self.heard.replace(now);
        if before.is_some_and(|before| now.duration_since(before) >= QUIET) {
            self.interval = None;
        }
    }

    fn told(&mut self, now: Instant) {
        let interval = self.interval.map_or(SHORTEST, |interval| interval.mul_f64(1.5));
        self.interval = Some(interval.min(LONGEST));
        self.told = Some(now);
    }

    /// `None` before the first answer.
    fn due(&self) -> Option<Instant> {
        self.told.map(|told| told + self.interval.unwrap_or(SHORTEST))
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicBool, Ordering};

    use periskop_core::target::Labels;
    use tokio::time::{sleep, timeout};

    use super::*;

    /// Tells each of these answers after a time, and then nothing more.
    struct Scripted {
        answers: VecDeque<(Duration, Result<Vec<TargetGroup>, ()>)>,
        since: Instant,
        is_dropped: Arc<AtomicBool>,
    }

    #[async_trait]
    impl Discovery for Scripted {
        async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError> {
            let Some((pause, _)) = self.answers.front() else {
                return std::future::pending().await;
            };
            sleep_until(self.since + *pause).await;
            self.since = Instant::now();
            let answer = self.answers.pop_front().map_or(Err(()), |(_, answer)| answer);
            answer.map_err(|()| DiscoveryError::Unreachable {
                endpoint: "test".into(),
                reason: "down".into(),
            })
        }
    }

    impl Drop for Scripted {
        fn drop(&mut self) {
            self.is_dropped.store(true, Ordering::SeqCst);
        }
    }

    fn scripted(
        answers: impl IntoIterator<Item = (u64, Result<Vec<TargetGroup>, ()>)>,
    ) -> Throttled {
        let answers = answers.into_iter().map(|(ms, a)| (Duration::from_millis(ms), a)).collect();
        let (since, is_dropped) = (Instant::now(), Arc::default());
        Throttled::new(Box::new(Scripted { answers, since, is_dropped }))
    }

    fn group(source: &str, address: &str) -> TargetGroup {
        let targets = vec![Labels::from([("__address__", address)])];
        TargetGroup { source: source.into(), targets, labels: Labels::new() }
    }

    /// An answer of groups, each as `source=address`.
    fn answer(groups: &[&str]) -> Result<Vec<TargetGroup>, ()> {
        let of = |text: &&str| text.split_once('=').map(|(source, address)| group(source, address));
        Ok(groups.iter().filter_map(of).collect())
    }

    /// What is told within a minute, and when, in milliseconds.
    async fn told(throttled: &mut Throttled) -> Vec<(u128, String)> {
        let begin = Instant::now();
        let mut told = Vec::new();
        while let Ok(answer) = timeout(Duration::from_secs(60), throttled.next()).await {
            let text = match answer {
                Err(error) => error.to_string(),
                Ok(groups) => {
                    let text = |g: &TargetGroup| {
                        format!("{}={}", g.source, g.targets[0].get("__address__"))
                    };
                    groups.iter().map(text).collect::<Vec<_>>().join(" ")
                }
            };
            told.push((begin.elapsed().as_millis(), text));
        }
        told
    }

    #[track_caller]
    fn check(found: &[(u128, String)], expected: &[(u128, &str)]) {
        let found: Vec<_> = found.iter().map(|(at, text)| (*at, text.as_str())).collect();
        assert_eq!(found, expected);
    }

    #[tokio::test(start_paused = true)]
    async fn the_first_answer_goes_at_once_and_later_ones_are_collected_by_source() {
        let mut throttled = scripted([
            (0, answer(&["a=1", "b=1"])),
            (10, answer(&["a=2"])),
            (10, answer(&["b=2", "c=1"])),
            (10, answer(&["a=3"])),
        ]);
        check(&told(&mut throttled).await, &[(0, "a=1 b=1"), (100, "a=3 b=2 c=1")]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_first_answer_without_groups_is_told_too() {
        let mut throttled = scripted([(0, Ok(vec![])), (10, Ok(vec![]))]);
        check(&told(&mut throttled).await, &[(0, ""), (100, "")]);
    }

    #[tokio::test(start_paused = true)]
    async fn while_changes_keep_coming_they_are_told_less_and_less_often() {
        let mut throttled = scripted((0..20_000).map(|n| (1, answer(&[&format!("a={n}")]))));
        let told = told(&mut throttled).await;
        let times: Vec<_> = told.iter().map(|(at, _)| *at).collect();
        let pauses: Vec<_> = times.windows(2).map(|pair| pair[1] - pair[0]).collect();
        let growing = [100, 150, 225, 338, 507, 760, 1140, 1709, 2563, 3845, 5000];
        assert!(pauses.len() > growing.len(), "{pauses:?}");
        for (pause, expected) in pauses.iter().zip(growing) {
            assert!(pause.abs_diff(expected) <= 2, "{pauses:?}");
        }
        assert_eq!(told.last().unwrap().1, "a=19999");
    }

    #[tokio::test(start_paused = true)]
    async fn after_five_seconds_without_a_change_it_is_prompt_again() {
        let storm = (0..2_000).map(|n| (1, answer(&[&format!("a={n}")])));
        let calm = [(5_000, answer(&["a=x"])), (10, answer(&["a=y"]))];
        let told = told(&mut scripted(storm.chain(calm))).await;
        check(&told[told.len() - 2..], &[(7_000, "a=x"), (7_100, "a=y")]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_changes_seldom_is_always_heard_at_once() {
        let mut throttled = scripted((0..5).map(|n| (30_000, answer(&[&format!("a={n}")]))));
        let told = told(&mut throttled).await;
        assert!(told.iter().all(|(at, _)| at % 30_000 == 0), "{told:?}");
        assert_eq!(told.len(), 5);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_told_at_once_after_what_came_before_it() {
        let mut throttled = scripted([
            (0, answer(&["a=1"])),
            (10, answer(&["a=2"])),
            (10, Err(())),
            (10, Err(())),
            (10, answer(&["a=3"])),
        ]);
        let down = "test: down";
        let expected = [(0, "a=1"), (20, "a=2"), (20, down), (30, down), (170, "a=3")];
        check(&told(&mut throttled).await, &expected);
    }

    #[tokio::test(start_paused = true)]
    async fn who_stops_waiting_loses_nothing() {
        let mut throttled = scripted((0..300).map(|n| (7, answer(&[&format!("s{n}=1")]))));
        let mut sources = std::collections::BTreeSet::new();
        while sources.len() < 300 {
            let next = timeout(Duration::from_millis(3), throttled.next()).await;
            sources.extend(next.into_iter().flatten().flatten().map(|group| group.source));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_ends_at_once_with_what_it_has_begun() {
        let is_dropped = Arc::<AtomicBool>::default();
        let answers = [(0, answer(&["a=1"])), (1, answer(&["a=2"]))];
        let answers = answers.into_iter().map(|(ms, a)| (Duration::from_millis(ms), a)).collect();
        let scripted =
            Scripted { answers, since: Instant::now(), is_dropped: Arc::clone(&is_dropped) };
        let mut throttled = Throttled::new(Box::new(scripted));
        let task = tokio::spawn(async move {
            loop {
                let _ = throttled.next().await;
            }
        });
        sleep(Duration::from_millis(50)).await;
        let begin = Instant::now();
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
        assert!(is_dropped.load(Ordering::SeqCst));
        assert_eq!(begin.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_never_pauses_does_not_keep_others_from_working() {
        struct Restless;
        #[async_trait]
        impl Discovery for Restless {
            async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError> {
                Ok(Vec::new())
            }
        }
        let mut throttled = Throttled::new(Box::new(Restless));
        throttled.next().await.unwrap();
        let task = tokio::spawn(async move { throttled.next().await });
        tokio::task::yield_now().await;
        task.abort();
        assert!(task.await.unwrap_err().is_cancelled());
    }
}
