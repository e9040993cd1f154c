//! The laws of [`Discovery`].

use std::collections::{BTreeMap, BTreeSet};
use std::future::poll_fn;
use std::pin::pin;
use std::task::Poll;

use async_trait::async_trait;

use crate::discovery::Discovery;
use crate::target::TargetGroup;

/// Something to discover, as the implementer of a [`Discovery`] sets it up for a test.
#[async_trait]
pub trait Fleet: Send {
    /// Makes exactly these addresses be there. Before the first call there is nothing.
    async fn set(&mut self, addresses: &[&str]);

    /// Begins to discover.
    async fn discover(&mut self) -> Box<dyn Discovery>;

    /// Whether the mechanism notices changes at all; a static list does not, and the laws about
    /// changes do not apply to it.
    fn can_change(&self) -> bool {
        true
    }
}

/// Makes one `#[test]` of each law of [`Discovery`](crate::discovery::Discovery).
///
/// `run` runs a future to its end, and should fail the test if that takes long: a law that is
/// broken may wait for ever. `fleet` makes a new [`Fleet`](crate::testing::discovery::Fleet) for
/// each test.
///
/// ```text
/// periskop_core::discovery_conformance! {
///     run: |law| tokio::runtime::Runtime::new().unwrap().block_on(law),
///     fleet: MyFleet::new(),
/// }
/// ```
#[macro_export]
macro_rules! discovery_conformance {
    (run: $run:expr, fleet: $fleet:expr $(,)?) => {
        $crate::discovery_conformance! { @laws $run, $fleet;
            the_first_answer_holds_everything
            a_fleet_of_nothing_is_told_as_such
            every_target_has_an_address_and_every_source_one_group
            what_is_added_is_told
            what_is_gone_is_told
            an_answer_that_nobody_waited_for_is_not_lost
            discovering_again_tells_everything_again
        }
    };
    (@laws $run:expr, $fleet:expr; $($law:ident)*) => {
        $(#[test]
        fn $law() {
            ($run)($crate::testing::discovery::$law($fleet));
        })*
    };
}

/// The first answer is a full sync.
pub async fn the_first_answer_holds_everything(mut fleet: impl Fleet) {
    fleet.set(&["a:1", "b:2", "c:3"]).await;
    let mut known = Known::default();
    known.hear(&mut *fleet.discover().await).await;
    assert_eq!(known.addresses(), ["a:1", "b:2", "c:3"]);
}

/// An implementation that finds nothing says so, rather than nothing.
pub async fn a_fleet_of_nothing_is_told_as_such(mut fleet: impl Fleet) {
    fleet.set(&[]).await;
    let mut known = Known::default();
    known.hear(&mut *fleet.discover().await).await;
    assert_eq!(known.addresses(), [""; 0]);
}

/// Relabelling needs addresses, and a source that came twice in an answer would lose a group.
pub async fn every_target_has_an_address_and_every_source_one_group(mut fleet: impl Fleet) {
    fleet.set(&["a:1", "b:2"]).await;
    let groups = fleet.discover().await.next().await.expect("the fleet is there");
    let sources: BTreeSet<_> = groups.iter().map(|group| &group.source).collect();
    assert_eq!(sources.len(), groups.len(), "{groups:?}");
    for target in groups.iter().flat_map(|group| &group.targets) {
        assert!(!target.get("__address__").is_empty(), "{target:?}");
    }
}

/// A group that comes again is whole: with what it had and what it got.
pub async fn what_is_added_is_told(mut fleet: impl Fleet) {
    becomes(&mut fleet, &["a:1"], &["a:1", "b:2"]).await;
}

/// A group that comes again lacks what is gone; a source that is gone is told without targets.
pub async fn what_is_gone_is_told(mut fleet: impl Fleet) {
    becomes(&mut fleet, &["a:1", "b:2"], &["b:2"]).await;
    becomes(&mut fleet, &["b:2"], &[]).await;
}

/// `next` is cancel-safe.
pub async fn an_answer_that_nobody_waited_for_is_not_lost(mut fleet: impl Fleet) {
    fleet.set(&["a:1", "b:2"]).await;
    let mut discovery = fleet.discover().await;
    let mut known = Known::default();
    for _ in 0..3 {
        let mut next = pin!(discovery.next());
        let polled = poll_fn(|cx| Poll::Ready(next.as_mut().poll(cx))).await;
        if let Poll::Ready(groups) = polled {
            known.take(groups.expect("the fleet is there"));
            break;
        }
    }
    while known.addresses() != ["a:1", "b:2"] {
        known.hear(&mut *discovery).await;
    }
}

/// Each discovery begins with everything, whatever was told to another.
pub async fn discovering_again_tells_everything_again(mut fleet: impl Fleet) {
    fleet.set(&["a:1"]).await;
    for _ in 0..2 {
        let mut known = Known::default();
        known.hear(&mut *fleet.discover().await).await;
        assert_eq!(known.addresses(), ["a:1"]);
    }
}

async fn becomes(fleet: &mut impl Fleet, before: &[&str], after: &[&str]) {
    if !fleet.can_change() {
        return;
    }
    fleet.set(before).await;
    let mut discovery = fleet.discover().await;
    let mut known = Known::default();
    known.hear(&mut *discovery).await;
    assert_eq!(known.addresses(), before);
    fleet.set(after).await;
    while known.addresses() != after {
        known.hear(&mut *discovery).await;
    }
}

/// What somebody knows who has heard every answer.
#[derive(Default)]
struct Known(BTreeMap<String, TargetGroup>);

impl Known {
    /// Hears the next answer; an error changes nothing.
    async fn hear(&mut self, discovery: &mut dyn Discovery) {
        loop {
            if let Ok(groups) = discovery.next().await {
                return self.take(groups);
            }
        }
    }

    fn take(&mut self, groups: Vec<TargetGroup>) {
        self.0.extend(groups.into_iter().map(|group| (group.source.clone(), group)));
    }

    fn addresses(&self) -> Vec<&str> {
        let targets = self.0.values().flat_map(|group| &group.targets);
        let mut all: Vec<_> = targets.map(|target| target.get("__address__")).collect();
        all.sort_unstable();
        all
    }
}
