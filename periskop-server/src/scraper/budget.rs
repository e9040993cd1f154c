//! How many bodies are read at once, and how much memory they take together.
//!
//! A body is read in the *fast lane*: so many at once that neither connections nor memory add up.
//! One of which nothing comes for a fifth of a second, or that takes longer than a second, leaves the
//! lane, so that targets that hang or drip cannot hold up the others. Whatever lane it is in, each further mebibyte of it is taken from a budget, of
//! which one service can use half: a fast body waits for it, a slow one is given up, for what it
//! holds it holds for long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Bodies in the fast lane: enough to keep two cores busy, few enough to stay in their caches.
const FAST: usize = 64;
/// How long a body may stay there.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// How long nothing may come of it meanwhile.
const STALLED_AFTER: Duration = Duration::from_millis(200);
/// What a body may take before it needs the budget.
const FREE: usize = 1 << 20;
const MEBIBYTE: usize = 1 << 20;
/// Mebibytes for all large bodies together.
const LARGE: usize = 128;

/// The budget of all services.
#[derive(Debug)]
pub(super) struct Budget {
    fast: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { fast: Arc::new(Semaphore::new(FAST)), large: Arc::new(Semaphore::new(LARGE)) }
    }

    /// The share of one service whose bodies may have `limit` bytes.
    pub(super) fn share(&self, limit: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new((LARGE / 2).max(limit.div_ceil(MEBIBYTE)).min(LARGE)))
    }

    /// A place in the fast lane; waits for one.
    pub(super) async fn enter(&self, share: &Arc<Semaphore>) -> Ticket {
        // Nobody closes these semaphores; were they closed, there would be no limit to keep.
        let place = Arc::clone(&self.fast).acquire_owned().await.ok();
        Ticket {
            place,
            slow_at: Instant::now() + SLOW_AFTER,
            large: Arc::clone(&self.large),
            share: Arc::clone(share),
            held: Vec::new(),
        }
    }
}

/// The right to read one body.
#[derive(Debug)]
pub(super) struct Ticket {
    place: Option<OwnedSemaphorePermit>,
    slow_at: Instant,
    large: Arc<Semaphore>,
    share: Arc<Semaphore>,
    held: Vec<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

/// A slow body for which there is no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Ticket {
    /// When this body has to leave the fast lane if nothing comes of it from now on; `None` once it has.
    pub(super) fn leave_at(&self) -> Option<Instant> {
        self.place.as_ref().map(|_| self.slow_at.min(Instant::now() + STALLED_AFTER))
    }

    /// Leaves the fast lane to somebody else.
    pub(super) fn leave(&mut self) {
        self.place = None;
    }

    /// Makes sure that `bytes` may be held.
    pub(super) async fn hold(&mut self, bytes: usize) -> Result<(), NoRoom> {
        while bytes > FREE + self.held.len() * MEBIBYTE {
            let (share, large) = (Arc::clone(&self.share), Arc::clone(&self.large));
            let both = async {
                let share = share.acquire_owned().await.map_err(|_| NoRoom)?;
                let large = large.acquire_owned().await.map_err(|_| NoRoom)?;
                Ok((share, large))
            };
            // What is slow already asks once.
            let granted = timeout_at(self.slow_at, both).await.unwrap_or(Err(NoRoom));
            self.held.push(granted?);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn bodies_that_drip_leave_the_lane_to_the_others() {
        let budget = Budget::new();
        let share = budget.share(0);
        let mut slow = Vec::new();
        for _ in 0..FAST {
            slow.push(budget.enter(&share).await);
        }
        let begun = Instant::now();
        let drippers = slow.into_iter().map(|mut ticket| async move {
            tokio::time::sleep_until(ticket.leave_at().unwrap()).await;
            ticket.leave();
            std::future::pending::<()>().await;
        });
        tokio::select! {
            _ = futures_util::future::join_all(drippers) => unreachable!(),
            _ = budget.enter(&share) => assert_eq!(begun.elapsed(), STALLED_AFTER),
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_of_which_something_comes_all_the_time_leaves_the_lane_after_a_second() {
        let ticket = Budget::new().enter(&Budget::new().share(0)).await;
        let begun = Instant::now();
        while ticket.leave_at().unwrap() > Instant::now() {
            tokio::time::sleep(STALLED_AFTER / 2).await;
        }
        assert_eq!(begun.elapsed(), SLOW_AFTER);
    }

    #[tokio::test(start_paused = true)]
    async fn one_service_cannot_take_the_whole_budget() {
        let budget = Budget::new();
        let (one, other) = (budget.share(32 << 20), budget.share(32 << 20));
        let mut greedy = budget.enter(&one).await;
        assert_eq!(greedy.hold(FREE + 64 * MEBIBYTE).await, Ok(()));
        assert_eq!(greedy.hold(FREE + 65 * MEBIBYTE).await, Err(NoRoom));
        let mut modest = budget.enter(&other).await;
        assert_eq!(modest.hold(32 << 20).await, Ok(()));
        drop(greedy);
        assert_eq!(modest.hold(FREE + 64 * MEBIBYTE).await, Ok(()), "what was held is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_given_up_where_a_fast_one_waits() {
        let budget = Budget::new();
        let share = budget.share(64 << 20);
        let mut first = budget.enter(&share).await;
        first.hold(FREE + 64 * MEBIBYTE).await.unwrap();
        let mut slow = budget.enter(&share).await;
        slow.leave();
        assert_eq!(slow.hold(FREE + 1).await, Err(NoRoom));
        let mut fast = budget.enter(&share).await;
        let (granted, ()) = tokio::join!(fast.hold(FREE + 1), async { drop(first) });
        assert_eq!(granted, Ok(()));
    }
}
