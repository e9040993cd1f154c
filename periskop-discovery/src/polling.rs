//! From "look again" to a [`Discovery`]: what nearly every mechanism of Prometheus is.

use std::collections::VecDeque;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::TargetGroup;
use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::known::Known;

/// A mechanism that knows how to look, but not when, nor what has changed since.
///
/// ```
/// use async_trait::async_trait;
/// use periskop_core::discovery::DiscoveryError;
/// use periskop_core::target::{Labels, TargetGroup};
/// use periskop_discovery::{Found, Polling, Refresh};
/// use std::time::Duration;
///
/// struct Inventory;
///
/// #[async_trait]
/// impl Refresh for Inventory {
///     async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
///         let target = Labels::from([("__address__", "10.0.0.1:8080"), ("__meta_rack", "a1")]);
///         let targets = vec![target];
///         let labels = Labels::new();
///         Ok(vec![TargetGroup { source: "inventory".into(), targets, labels }].into())
///     }
/// }
///
/// # #[tokio::main(flavor = "current_thread")] async fn main() {
/// use periskop_core::discovery::Discovery as _;
/// let mut discovery = Polling::new(Inventory, Duration::from_secs(60));
/// assert_eq!(discovery.next().await.unwrap()[0].source, "inventory");
/// # }
/// ```
#[async_trait]
pub trait Refresh: Send + 'static {
    /// Looks once. It sets its own timeouts.
    ///
    /// # Errors
    ///
    /// Where the whole attempt failed; all that is known stays.
    async fn refresh(&mut self) -> Result<Found, DiscoveryError>;
}

/// What one look has found. Most mechanisms only have groups: `Ok(groups.into())`.
#[derive(Debug, Default)]
pub struct Found {
    /// All groups there are. A source that was told before and is not here is gone.
    pub groups: Vec<TargetGroup>,
    /// Sources that could not be looked for; they stay as they are.
    pub kept: Vec<String>,
    /// Why not. Told after the groups, one by one.
    pub errors: Vec<DiscoveryError>,
}

impl From<Vec<TargetGroup>> for Found {
    fn from(groups: Vec<TargetGroup>) -> Self {
        Self { groups, ..Self::default() }
    }
}

/// Looks at once, then every interval, and tells what has changed.
///
/// - After an error the last groups stay, and the next look is the next interval's. That it is
///   over is told even where nothing has changed.
/// - A look that takes longer than the interval delays the next one; they never overlap.
/// - A look goes on when [`Discovery::next`] is cancelled: it is kept, not begun again, so a
///   caller that waits for many things at once cannot starve it.
pub struct Polling<R> {
    state: State<R>,
    ticks: Interval,
    known: Known,
    errors: VecDeque<DiscoveryError>,
}

enum State<R> {
    Idle(Option<R>),
    Looking(Look<R>),
}

type Look<R> = Pin<Box<dyn Future<Output = (R, Result<Found, DiscoveryError>)> + Send>>;

impl<R: Refresh> Polling<R> {
    /// Polls with `refresh` every `every`.
    ///
    /// Must be called within a Tokio runtime. A zero interval, which Prometheus accepts in a
    /// configuration and then crashes of, is taken as a minute.
    pub fn new(refresh: R, every: Duration) -> Self {
        let every = if every.is_zero() { Duration::from_secs(60) } else { every };
        let mut ticks = interval(every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self {
            state: State::Idle(Some(refresh)),
            ticks,
            known: Known::default(),
            errors: VecDeque::new(),
        }
    }

    async fn look(&mut self) -> Result<Found, DiscoveryError> {
        loop {
            match &mut self.state {
                State::Idle(refresh) => {
                    self.ticks.tick().await;
                    // Nothing awaits between taking it and putting it into the look.
                    let Some(mut refresh) = refresh.take() else {
                        return std::future::pending().await;
                    };
                    self.state = State::Looking(Box::pin(async move {
                        let found = refresh.refresh().await;
                        (refresh, found)
                    }));
                }
                State::Looking(look) => {
                    let (refresh, found) = look.await;
                    self.state = State::Idle(Some(refresh));
                    return found;
                }
            }
        }
    }
}

#[async_trait]
impl<R: Refresh> Discovery for Polling<R> {
    async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError> {
        loop {
            if let Some(error) = self.errors.pop_front() {
                return Err(error);
            }
            let mut found = match self.look().await {
                Ok(found) => found,
                Err(error) => {
                    self.known.failed();
                    return Err(error);
                }
            };
            let told = self.known.update(&mut found);
            self.errors.extend(found.errors);
            if let Some(groups) = told {
                return Ok(groups);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use periskop_core::target::Labels;
    use tokio::time::{Instant, sleep, timeout};

    const EVERY: Duration = Duration::from_secs(30);

    /// Answers what it is told to, each after a time.
    struct Scripted(VecDeque<(Duration, Result<Vec<TargetGroup>, ()>)>);

    #[async_trait]
    impl Refresh for Scripted {
        async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
            let (takes, answer) = self.0.pop_front().expect("an answer for every look");
            sleep(takes).await;
            answer.map(Found::from).map_err(|()| DiscoveryError::Unreachable {
                endpoint: "test".into(),
                reason: "down".into(),
            })
        }
    }

    fn group(source: &str) -> TargetGroup {
        let targets = vec![Labels::from([("__address__", source)])];
        TargetGroup { source: source.into(), targets, labels: Labels::new() }
    }

    fn polling(
        answers: impl IntoIterator<Item = (u64, Result<Vec<TargetGroup>, ()>)>,
    ) -> Polling<Scripted> {
        let answers = answers.into_iter().map(|(s, answer)| (Duration::from_secs(s), answer));
        Polling::new(Scripted(answers.collect()), EVERY)
    }

    #[tokio::test(start_paused = true)]
    async fn it_looks_at_once_and_then_every_interval() {
        let mut polling = polling([(0, Ok(vec![group("a")])), (0, Ok(vec![group("b")]))]);
        let begin = Instant::now();
        assert_eq!(polling.next().await.unwrap(), [group("a")]);
        assert_eq!(begin.elapsed(), Duration::ZERO);
        let gone = TargetGroup { source: "a".into(), ..TargetGroup::default() };
        assert_eq!(polling.next().await.unwrap(), [group("b"), gone]);
        assert_eq!(begin.elapsed(), EVERY);
    }

    #[tokio::test(start_paused = true)]
    async fn an_error_is_told_and_changes_nothing() {
        let mut polling = polling([
            (0, Ok(vec![group("a")])),
            (0, Err(())),
            (0, Ok(vec![group("a")])),
            (0, Ok(vec![])),
        ]);
        polling.next().await.unwrap();
        let begin = Instant::now();
        assert!(polling.next().await.is_err());
        assert_eq!(begin.elapsed(), EVERY, "not before the next interval");
        let gone = TargetGroup { source: "a".into(), ..TargetGroup::default() };
        assert_eq!(polling.next().await.unwrap(), [], "the error is over");
        assert_eq!(polling.next().await.unwrap(), [gone]);
        assert_eq!(begin.elapsed(), EVERY * 3);
    }

    #[tokio::test(start_paused = true)]
    async fn a_cancelled_next_goes_on_with_the_same_look() {
        let mut polling = polling([(10, Ok(vec![group("a")]))]);
        let begin = Instant::now();
        for _ in 0..9 {
            assert!(timeout(Duration::from_secs(1), polling.next()).await.is_err());
        }
        assert_eq!(polling.next().await.unwrap(), [group("a")]);
        assert_eq!(begin.elapsed(), Duration::from_secs(10));
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_look_delays_the_next_one() {
        let mut polling = polling([(40, Ok(vec![group("a")])), (0, Ok(vec![]))]);
        let begin = Instant::now();
        polling.next().await.unwrap();
        polling.next().await.unwrap();
        assert_eq!(begin.elapsed().as_secs(), 40);
    }
}
