//! Pushes to gateways instead of waiting to be scraped.

use futures_util::stream::{self, StreamExt as _};
use tokio::time::{Instant, sleep_until};

use super::serve::{Shared, now};
use super::{Encoding, Reply, Serial};

/// Pushes that are under way at the same time.
const AT_ONCE: usize = 64;

/// Where the instances of each service push.
#[derive(Clone, Debug)]
pub struct Gateways {
    client: reqwest::Client,
    /// A URL for each service.
    urls: Vec<String>,
}

impl Gateways {
    /// Gateways at these addresses (`host:port`), one for each service.
    pub fn new(addresses: &[String]) -> Self {
        let urls = addresses.iter().map(|address| format!("http://{address}/errors")).collect();
        Self { client: crate::http(), urls }
    }

    /// Has every instance push once an interval, each at a moment of its own, until it is dropped.
    pub async fn push_again_and_again(&self, fleet: &Shared) {
        loop {
            let (instances, interval) = {
                let fleet = fleet.lock();
                (fleet.addresses().collect::<Vec<_>>(), fleet.plan().interval)
            };
            let begun = Instant::now();
            let step = interval / u32::try_from(instances.len()).unwrap_or(u32::MAX).max(1);
            stream::iter((0_u32..).zip(instances))
                .then(|(n, instance)| async move {
                    sleep_until(begun + step * n).await;
                    instance
                })
                .for_each_concurrent(AT_ONCE, |(serial, service)| self.push(fleet, serial, service))
                .await;
            sleep_until(begun + interval).await;
        }
    }

    async fn push(&self, fleet: &Shared, serial: Serial, service: usize) {
        let Some(url) = self.urls.get(service % self.urls.len().max(1)) else { return };
        let reply = fleet.lock().answer(serial, Encoding::Identity, now());
        // The Go client cannot be hostile, and somebody else took the place of who is gone.
        let Reply::Honest(answer) = reply else { return };
        let version = answer.version;
        let body = answer.parts.concat();
        let push = self.client.post(url).header("content-type", "application/json").body(body);
        // What was not accepted is pushed again.
        if push.send().await.is_ok_and(|answer| answer.status().is_success()) {
            fleet.lock().was_read(serial, version, now());
        }
    }
}
