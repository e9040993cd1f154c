//! From "watch" to a [`Discovery`]: mechanisms whose backends say when something has changed.
//!
//! A watch is one task, which owns all others that it needs: dropping the [`Watching`] ends them
//! all. What it tells is waited for, never dropped, so that cancelling `next` loses nothing.

use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};

use async_trait::async_trait;
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::TargetGroup;
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

/// How much may be told before somebody listens; then the watch waits.
const AHEAD: usize = 16;

type Told = Result<Vec<TargetGroup>, DiscoveryError>;
type Task = Pin<Box<dyn Future<Output = ()> + Send>>;

/// A watch that begins with the first [`Discovery::next`].
pub(crate) struct Watching {
    begin: Option<Box<dyn FnOnce(Teller) -> Task + Send>>,
    told: Option<mpsc::Receiver<Told>>,
    task: Option<AbortHandle>,
}

impl Watching {
    /// Will watch with `watch`, which ends only when nobody listens any more.
    pub(crate) fn new<W, F>(watch: W) -> Self
    where
        W: FnOnce(Teller) -> F + Send + 'static,
        F: Future<Output = ()> + Send + 'static,
    {
        Self { begin: Some(Box::new(|teller| Box::pin(watch(teller)))), told: None, task: None }
    }
}

#[async_trait]
impl Discovery for Watching {
    async fn next(&mut self) -> Told {
        if let Some(begin) = self.begin.take() {
            let (sender, receiver) = mpsc::channel(AHEAD);
            self.told = Some(receiver);
            let failing = AtomicBool::new(false);
            let teller = Teller { sender, known: BTreeMap::new(), told_once: false, failing };
            self.task = Some(tokio::spawn(begin(teller)).abort_handle());
        }
        if let Some(told) = &mut self.told
            && let Some(told) = told.recv().await
        {
            return told;
        }
        std::future::pending().await
    }
}

impl Drop for Watching {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

/// Tells what a watch has found, and of groups only what has changed.
pub(crate) struct Teller {
    sender: mpsc::Sender<Told>,
    known: BTreeMap<String, TargetGroup>,
    told_once: bool,
    /// Whether an error was told after the last groups.
    failing: AtomicBool,
}

impl Teller {
    /// Tells those groups that the listener does not know. A group without targets says that its
    /// source is gone. What is told first, and what is told after an error, is told in any case.
    pub(crate) async fn groups(&mut self, groups: Vec<TargetGroup>) {
        let mut changed = Vec::new();
        for group in groups {
            if self.known.get(&group.source) == Some(&group) {
                continue;
            }
            if group.targets.is_empty() && !group.source.is_empty() {
                let was_known = self.known.remove(&group.source).is_some();
                if !was_known && self.told_once {
                    continue;
                }
            } else {
                self.known.insert(group.source.clone(), group.clone());
            }
            changed.push(group);
        }
        let first = !std::mem::replace(&mut self.told_once, true);
        let recovered = std::mem::take(self.failing.get_mut());
        if first || recovered || !changed.is_empty() {
            // Where nobody listens any more, this task is about to be ended.
            let _ = self.sender.send(Ok(changed)).await;
        }
    }

    /// Tells what went wrong; all that is known stays.
    pub(crate) async fn error(&self, error: DiscoveryError) {
        self.failing.store(true, Ordering::Relaxed);
        let _ = self.sender.send(Err(error)).await;
    }

    /// Whether groups were told before.
    pub(crate) fn told_once(&self) -> bool {
        self.told_once
    }

    /// The sources that the listener knows.
    pub(crate) fn sources(&self) -> impl Iterator<Item = &str> {
        self.known.keys().map(String::as_str)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use periskop_core::target::Labels;
    use std::sync::Arc;
    use std::time::Duration;
    use tokio::time::timeout;

    fn group(source: &str, address: &str) -> TargetGroup {
        let targets = vec![Labels::from([("__address__", address)])];
        TargetGroup { source: source.into(), targets, labels: Labels::new() }
    }

    fn gone(source: &str) -> TargetGroup {
        TargetGroup { source: source.into(), ..TargetGroup::default() }
    }

    #[tokio::test(start_paused = true)]
    async fn only_changes_are_told() {
        let mut watching = Watching::new(|mut tell| async move {
            tell.groups(vec![group("a", "1"), group("b", "2")]).await;
            tell.groups(vec![group("a", "1")]).await;
            tell.groups(vec![group("a", "1"), gone("b"), gone("c")]).await;
            std::future::pending().await
        });
        assert_eq!(watching.next().await.unwrap(), [group("a", "1"), group("b", "2")]);
        assert_eq!(watching.next().await.unwrap(), [gone("b")]);
        assert!(timeout(Duration::from_secs(9), watching.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_has_ended_is_silent_and_does_not_spin() {
        let mut watching = Watching::new(|mut tell| async move { tell.groups(vec![]).await });
        assert_eq!(watching.next().await.unwrap(), []);
        assert!(timeout(Duration::from_secs(9), watching.next()).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_it_ends_the_task_and_what_the_task_owns() {
        let owned = Arc::new(());
        let inside = owned.clone();
        let mut watching = Watching::new(|tell| async move {
            let mut tasks = tokio::task::JoinSet::new();
            tasks.spawn(async move {
                let _inside = inside;
                std::future::pending::<()>().await;
            });
            let _tell = tell;
            std::future::pending().await
        });
        assert!(timeout(Duration::from_secs(1), watching.next()).await.is_err());
        assert_eq!(Arc::strong_count(&owned), 2);
        drop(watching);
        while Arc::strong_count(&owned) > 1 {
            tokio::task::yield_now().await;
        }
    }
}
