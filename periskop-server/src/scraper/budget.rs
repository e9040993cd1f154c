//! How many scrapes are under way at once, and how much memory their bodies take together.
//!
//! A scrape is under way in the *fast lane*, from its request on: so many at once that neither
//! connections nor memory add up, even if all targets are due. One of which nothing comes for a fifth
//! of a second, or that takes longer than a second and longer than a slow line would, leaves the
//! lane, so that targets that hang or drip cannot hold up the others. Whatever lane it is in, what it
//! holds beyond a little is taken from a budget, of which one service can use half: a fast body waits
//! for it, a slow one is given up, for what it holds it holds for long.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

/// Scrapes in the fast lane: enough to keep two cores busy, few enough to stay in their caches.
const FAST: usize = 64;
/// How long one may stay there.
const SLOW_AFTER: Duration = Duration::from_secs(1);
/// So many bytes a second extend that.
const FAST_ENOUGH: usize = 256 << 10;
/// How long nothing may come of it meanwhile.
const STALLED_AFTER: Duration = Duration::from_millis(200);
/// What a body may take before it needs the budget: in the lane, and outside.
const FREE: usize = 1 << 20;
const FREE_IF_SLOW: usize = 64 << 10;
/// The budget is given out in pieces of this size.
const PIECE: usize = 64 << 10;
/// Pieces for all large bodies together: 128 MiB.
const PIECES: usize = 2048;

/// The budget of all services.
#[derive(Debug)]
pub(super) struct Budget {
    fast: Arc<Semaphore>,
    large: Arc<Semaphore>,
}

impl Budget {
    pub(super) fn new() -> Self {
        Self { fast: Arc::new(Semaphore::new(FAST)), large: Arc::new(Semaphore::new(PIECES)) }
    }

    /// The share of one service whose bodies may have `limit` bytes.
    pub(super) fn share(&self, limit: usize) -> Arc<Semaphore> {
        Arc::new(Semaphore::new((PIECES / 2).max(limit.div_ceil(PIECE)).min(PIECES)))
    }

    /// A place in the fast lane; waits for one.
    pub(super) async fn enter(&self, share: &Arc<Semaphore>) -> Ticket {
        let mut ticket = Ticket {
            fast: Arc::clone(&self.fast),
            place: None,
            slow_at: Instant::now(),
            large: Arc::clone(&self.large),
            share: Arc::clone(share),
            held: None,
        };
        ticket.enter().await;
        ticket
    }
}

/// The right to scrape.
#[derive(Debug)]
pub(super) struct Ticket {
    fast: Arc<Semaphore>,
    place: Option<OwnedSemaphorePermit>,
    slow_at: Instant,
    large: Arc<Semaphore>,
    share: Arc<Semaphore>,
    /// Of the share and of the budget.
    held: Option<(OwnedSemaphorePermit, OwnedSemaphorePermit)>,
}

/// A slow body for which there is no room.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct NoRoom;

impl Ticket {
    /// Waits for a place in the lane, if it has left it.
    pub(super) async fn enter(&mut self) {
        if self.place.is_none() {
            // Nobody closes these semaphores; were they closed, there would be no limit to keep.
            self.place = Arc::clone(&self.fast).acquire_owned().await.ok();
            self.slow_at = Instant::now() + SLOW_AFTER;
        }
    }

    /// When it has to leave the lane if nothing comes of it from now on; `None` once it has.
    pub(super) fn leave_at(&self) -> Option<Instant> {
        self.place.as_ref().map(|_| self.slow_at.min(Instant::now() + STALLED_AFTER))
    }

    /// Takes note of so many bytes that have come.
    pub(super) fn came(&mut self, bytes: usize) {
        let nanoseconds = bytes as u64 * 1_000_000_000 / FAST_ENOUGH as u64;
        self.slow_at += Duration::from_nanos(nanoseconds);
    }

    /// Leaves the lane to somebody else, with so many bytes of a body.
    pub(super) async fn leave(&mut self, bytes: usize) -> Result<(), NoRoom> {
        self.place = None;
        self.slow_at = Instant::now();
        self.hold(bytes).await
    }

    /// Makes sure that `bytes` may be held.
    pub(super) async fn hold(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let free = if self.place.is_some() { FREE } else { FREE_IF_SLOW };
        let wanted = bytes.saturating_sub(free).div_ceil(PIECE);
        let more = wanted.saturating_sub(self.held.as_ref().map_or(0, |held| held.0.num_permits()));
        let Some(more) = u32::try_from(more).ok().filter(|more| *more > 0) else { return Ok(()) };
        let (share, large) = (Arc::clone(&self.share), Arc::clone(&self.large));
        let both = async {
            let share = share.acquire_many_owned(more).await.map_err(|_| NoRoom)?;
            let large = large.acquire_many_owned(more).await.map_err(|_| NoRoom)?;
            Ok((share, large))
        };
        // What is slow already asks once.
        let granted = timeout_at(self.slow_at, both).await.unwrap_or(Err(NoRoom))?;
        match &mut self.held {
            None => self.held = Some(granted),
            Some(held) => {
                held.0.merge(granted.0);
                held.1.merge(granted.1);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn targets_that_hang_leave_the_lane_to_the_others() {
        let budget = Budget::new();
        let share = budget.share(0);
        let mut slow = Vec::new();
        for _ in 0..FAST {
            slow.push(budget.enter(&share).await);
        }
        let begun = Instant::now();
        let drippers = slow.into_iter().map(|mut ticket| async move {
            tokio::time::sleep_until(ticket.leave_at().unwrap()).await;
            ticket.leave(0).await.unwrap();
            std::future::pending::<()>().await;
        });
        tokio::select! {
            _ = futures_util::future::join_all(drippers) => unreachable!(),
            _ = budget.enter(&share) => assert_eq!(begun.elapsed(), STALLED_AFTER),
        }
    }

    /// How long one stays in the lane of which so many bytes come ten times a second.
    async fn stays(bytes: usize) -> Duration {
        let mut ticket = Budget::new().enter(&Budget::new().share(0)).await;
        let begun = Instant::now();
        while ticket.leave_at().unwrap() > Instant::now() && begun.elapsed() < 10 * SLOW_AFTER {
            tokio::time::sleep(STALLED_AFTER / 2).await;
            ticket.came(bytes);
        }
        begun.elapsed()
    }

    #[tokio::test(start_paused = true)]
    async fn a_body_that_drips_leaves_the_lane_after_a_second_and_one_that_flows_stays() {
        assert_eq!(stays(1).await, SLOW_AFTER + STALLED_AFTER / 2);
        assert_eq!(stays(FAST_ENOUGH / 20).await, 2 * SLOW_AFTER);
        assert_eq!(stays(FAST_ENOUGH / 10).await, 10 * SLOW_AFTER);
    }

    #[tokio::test(start_paused = true)]
    async fn one_service_cannot_take_the_whole_budget() {
        let budget = Budget::new();
        let (one, other) = (budget.share(32 << 20), budget.share(32 << 20));
        let mut greedy = budget.enter(&one).await;
        assert_eq!(greedy.hold(FREE + (64 << 20)).await, Ok(()));
        assert_eq!(greedy.hold(FREE + (65 << 20)).await, Err(NoRoom));
        let mut modest = budget.enter(&other).await;
        assert_eq!(modest.hold(32 << 20).await, Ok(()));
        drop(greedy);
        assert_eq!(modest.hold(FREE + (64 << 20)).await, Ok(()), "what was held is given back");
    }

    #[tokio::test(start_paused = true)]
    async fn a_slow_body_is_given_up_where_a_fast_one_waits() {
        let budget = Budget::new();
        let share = budget.share(64 << 20);
        let mut first = budget.enter(&share).await;
        first.hold(FREE + (64 << 20)).await.unwrap();
        let mut slow = budget.enter(&share).await;
        slow.hold(FREE).await.unwrap();
        assert_eq!(slow.leave(FREE).await, Err(NoRoom), "it may not take that with it");
        let mut small = budget.enter(&share).await;
        assert_eq!(small.leave(FREE_IF_SLOW).await, Ok(()));
        assert_eq!(small.hold(FREE_IF_SLOW + 1).await, Err(NoRoom));
        let mut fast = budget.enter(&share).await;
        let (granted, ()) = tokio::join!(fast.hold(FREE + 1), async { drop(first) });
        assert_eq!(granted, Ok(()));
    }
}
