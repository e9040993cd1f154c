//! How many requests a connection carries, their answers included, and whether those are read.

use std::collections::HashMap;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;
use tokio::time::Instant;

/// See the [module](self).
#[derive(Clone)]
pub(super) struct InFlight(Arc<Shared>);

struct Shared {
    requests: watch::Sender<usize>,
    /// Answers of which a part was taken and the next one not asked for yet, and since when.
    taken: Mutex<HashMap<u64, Instant>>,
    begun: Mutex<u64>,
}

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(Shared {
            requests: watch::Sender::new(0),
            taken: Mutex::default(),
            begun: Mutex::default(),
        }))
    }
}

impl InFlight {
    /// A request begins; it ends when what is answered is dropped.
    pub(super) fn begin(&self) -> Begun {
        self.0.requests.send_modify(|n| *n += 1);
        let mut begun = self.0.begun.lock().unwrap_or_else(PoisonError::into_inner);
        *begun += 1;
        Begun { in_flight: self.clone(), id: *begun }
    }

    /// Completes when there has been no request for so long.
    pub(super) async fn idle_for(&self, long: Duration) {
        let mut requests = self.0.requests.subscribe();
        loop {
            // We hold the sender ourselves: these do not fail.
            let _ = requests.wait_for(|n| *n == 0).await;
            if tokio::time::timeout(long, requests.changed()).await.is_err() {
                return;
            }
        }
    }

    /// Completes when an answer has not been read on for so long, give or take a quarter. One that
    /// waits for something to say, such as events, is not meant.
    pub(super) async fn stalled_for(&self, long: Duration) {
        loop {
            tokio::time::sleep(long / 4).await;
            let now = Instant::now();
            if self.taken().values().any(|since| now.duration_since(*since) >= long) {
                return;
            }
        }
    }

    fn taken(&self) -> MutexGuard<'_, HashMap<u64, Instant>> {
        self.0.taken.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request under way.
pub(super) struct Begun {
    in_flight: InFlight,
    id: u64,
}

impl Drop for Begun {
    fn drop(&mut self) {
        self.in_flight.taken().remove(&self.id);
        self.in_flight.0.requests.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// A body that keeps its request under way until it is dropped.
pub(super) struct Counted<B> {
    body: B,
    begun: Begun,
}

impl<B> Counted<B> {
    pub(super) fn new(body: B, begun: Begun) -> Self {
        Self { body, begun }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        let polled = Pin::new(&mut self.body).poll_frame(cx);
        let Begun { in_flight, id } = &self.begun;
        match polled {
            Poll::Ready(_) => in_flight.taken().insert(*id, Instant::now()),
            Poll::Pending => in_flight.taken().remove(id),
        };
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use http_body_util::BodyExt as _;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_nothing_was_asked_for_that_long() {
        let in_flight = InFlight::default();
        let begun = Instant::now();
        let request = in_flight.begin();
        let ending = async {
            tokio::time::sleep(3 * MINUTE).await;
            drop(request);
        };
        tokio::join!(in_flight.idle_for(MINUTE), ending);
        assert_eq!(begun.elapsed(), 4 * MINUTE);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_not_read_on_is_noticed_and_one_that_waits_for_events_is_not() {
        let in_flight = InFlight::default();
        let (say, events) = tokio::sync::mpsc::channel::<Bytes>(1);
        let body = axum::body::Body::from_stream(stream_of(events));
        let mut answer = Counted::new(body, in_flight.begin());
        say.send(Bytes::from_static(b"an event")).await.unwrap();
        assert!(answer.frame().await.is_some());
        {
            let waiting = answer.frame();
            let long = tokio::time::timeout(10 * MINUTE, async {
                tokio::join!(waiting, in_flight.stalled_for(MINUTE))
            });
            assert!(long.await.is_err(), "it waits for the next event");
        }
        say.send(Bytes::from_static(b"another")).await.unwrap();
        assert!(answer.frame().await.is_some());
        let begun = Instant::now();
        in_flight.stalled_for(MINUTE).await;
        assert!(begun.elapsed() >= MINUTE, "nobody asks for more");
    }

    fn stream_of(
        events: tokio::sync::mpsc::Receiver<Bytes>,
    ) -> impl futures_util::Stream<Item = Result<Bytes, std::convert::Infallible>> {
        futures_util::stream::unfold(events, |mut events| async move {
            Some((Ok(events.recv().await?), events))
        })
    }
}
