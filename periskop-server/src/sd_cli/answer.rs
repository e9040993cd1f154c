//! What a discovery answers when it is asked once.

use std::collections::HashMap;
use std::time::Duration;

use futures_util::FutureExt as _;
use periskop_core::config::format_duration;
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::TargetGroup;
use periskop_discovery::{BuildOptions, DiscoveryConfig};
use tokio::time::timeout;

use crate::providers;

/// As many answers are heard that follow the first at once: a mechanism that finds a part tells
/// that, and then what it could not find out, one by one.
const AT_ONCE: usize = 1_000;

/// A first answer.
#[derive(Debug, Default)]
pub(super) struct Answer {
    pub(super) mechanism: &'static str,
    /// In the order in which they were told; one of each source.
    pub(super) groups: Vec<TargetGroup>,
    /// Why something could not be found out, if that is so.
    pub(super) failures: Vec<String>,
}

impl Answer {
    /// Begins what is configured and waits for what it tells first.
    pub(super) async fn of(config: &DiscoveryConfig, within: Duration) -> Self {
        let mut answer = Self { mechanism: config.mechanism(), ..Self::default() };
        match providers::begin(config, &BuildOptions::default()) {
            Ok(discovery) => answer.hear(discovery, within).await,
            Err(error) => answer.failures.push(error.to_string()),
        }
        answer
    }

    async fn hear(&mut self, mut discovery: Box<dyn Discovery>, within: Duration) {
        let mut places = HashMap::new();
        let Ok(first) = timeout(within, discovery.next()).await else {
            self.failures.push(format!("no answer within {}", format_duration(within)));
            return;
        };
        let failed = first.is_err();
        self.take(first, &mut places);
        for _ in 0..if failed { 0 } else { AT_ONCE } {
            let Some(next) = discovery.next().now_or_never() else { return };
            self.take(next, &mut places);
        }
    }

    fn take(
        &mut self,
        outcome: Result<Vec<TargetGroup>, DiscoveryError>,
        places: &mut HashMap<String, usize>,
    ) {
        let groups = match outcome {
            Ok(groups) => groups,
            Err(error) => {
                self.failures.push(error.to_string());
                return;
            }
        };
        for group in groups {
            match places.get(&group.source).and_then(|place| self.groups.get_mut(*place)) {
                Some(before) => *before = group,
                None => {
                    places.insert(group.source.clone(), self.groups.len());
                    self.groups.push(group);
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use async_trait::async_trait;
    use periskop_core::target::Labels;

    use super::*;

    /// Tells these and then nothing more.
    struct Scripted(VecDeque<Result<Vec<TargetGroup>, ()>>);

    #[async_trait]
    impl Discovery for Scripted {
        async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError> {
            match self.0.pop_front() {
                None => std::future::pending().await,
                Some(answer) => answer.map_err(|()| DiscoveryError::Unreachable {
                    endpoint: "test".into(),
                    reason: "down".into(),
                }),
            }
        }
    }

    fn group(source: &str, address: &str) -> TargetGroup {
        let targets = vec![Labels::from([("__address__", address)])];
        TargetGroup { source: source.into(), targets, labels: Labels::new() }
    }

    async fn heard(script: Vec<Result<Vec<TargetGroup>, ()>>) -> Answer {
        let mut answer = Answer::default();
        answer.hear(Box::new(Scripted(script.into())), Duration::from_secs(30)).await;
        answer
    }

    #[tokio::test(start_paused = true)]
    async fn what_follows_the_first_answer_at_once_belongs_to_it() {
        let script =
            vec![Ok(vec![group("b", "1"), group("a", "1")]), Err(()), Ok(vec![group("b", "2")])];
        let answer = heard(script).await;
        assert_eq!(answer.groups, [group("b", "2"), group("a", "1")]);
        assert_eq!(answer.failures, ["test: down"]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_fails_is_not_asked_again() {
        let answer = heard(vec![Err(()), Ok(vec![group("a", "1")])]).await;
        assert_eq!((answer.groups.len(), answer.failures.len()), (0, 1));
    }

    #[tokio::test(start_paused = true)]
    async fn one_that_does_not_answer_is_not_waited_for_for_ever() {
        assert_eq!(heard(vec![]).await.failures, ["no answer within 30s"]);
    }
}
