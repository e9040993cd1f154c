//! How many requests a connection carries, their answers included.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use http_body::{Body, Frame, SizeHint};
use tokio::sync::watch;

/// See the [module](self).
#[derive(Clone)]
pub(super) struct InFlight(Arc<watch::Sender<usize>>);

impl Default for InFlight {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::new(0)))
    }
}

impl InFlight {
    /// A request begins; it ends when what is answered is dropped.
    pub(super) fn begin(&self) -> Begun {
        self.0.send_modify(|n| *n += 1);
        Begun(self.clone())
    }

    /// Completes when there has been no request for so long.
    pub(super) async fn idle_for(&self, long: Duration) {
        let mut requests = self.0.subscribe();
        loop {
            // We hold the sender ourselves: these do not fail.
            let _ = requests.wait_for(|n| *n == 0).await;
            if tokio::time::timeout(long, requests.changed()).await.is_err() {
                return;
            }
        }
    }
}

/// A request under way.
pub(super) struct Begun(InFlight);

impl Drop for Begun {
    fn drop(&mut self) {
        self.0.0.send_modify(|n| *n = n.saturating_sub(1));
    }
}

/// A body that keeps its request under way until it is dropped.
pub(super) struct Counted<B> {
    body: B,
    _begun: Begun,
}

impl<B> Counted<B> {
    pub(super) fn new(body: B, begun: Begun) -> Self {
        Self { body, _begun: begun }
    }
}

impl<B: Body<Data = Bytes> + Unpin> Body for Counted<B> {
    type Data = Bytes;
    type Error = B::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, B::Error>>> {
        Pin::new(&mut self.body).poll_frame(cx)
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
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_connection_is_idle_when_nothing_was_asked_for_that_long() {
        let (in_flight, minute) = (InFlight::default(), Duration::from_secs(60));
        let begun = tokio::time::Instant::now();
        let request = in_flight.begin();
        let ending = async {
            tokio::time::sleep(3 * minute).await;
            drop(request);
        };
        tokio::join!(in_flight.idle_for(minute), ending);
        assert_eq!(begun.elapsed(), 4 * minute);
    }
}
