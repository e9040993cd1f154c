//! A store of one's own: this one counts what it is asked for, and keeps it in memory.
//!
//! ```sh
//! cargo run --example custom_storage -- --once    # a restart on the store, and ends
//! ```

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use periskop_client::{Collector, DEFAULT_PATH};
use periskop_core::observer::Pruned;
use periskop_core::storage::{Storage, StorageError, Stored};
use periskop_core::{Delta, ReplicaId};
use periskop_server::Periskop;
use periskop_server::config::Config;
use periskop_storage::MemoryStorage;
use tokio::net::TcpListener;

/// Every write is a merge, so a store is little more than a journal of deltas; the suite
/// `periskop_core::testing::storage` says whether one is right.
#[derive(Clone, Default)]
struct Counting {
    inner: MemoryStorage,
    commits: Arc<AtomicUsize>,
}

#[async_trait]
impl Storage for Counting {
    async fn identify(&mut self, fresh: ReplicaId) -> Result<ReplicaId, StorageError> {
        self.inner.identify(fresh).await
    }

    async fn load(&mut self) -> Result<Stored, StorageError> {
        self.inner.load().await
    }

    async fn commit(&mut self, delta: &Delta) -> Result<(), StorageError> {
        self.commits.fetch_add(1, Ordering::Relaxed);
        self.inner.commit(delta).await
    }

    async fn prune(&mut self, pruned: &Pruned) -> Result<(), StorageError> {
        self.inner.prune(pruned).await
    }
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let collector = Collector::new();
    if let Err(error) = "twelve".parse::<u32>() {
        collector.report(&error);
    }
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let target = listener.local_addr()?;
    let app: axum::Router = collector.router(DEFAULT_PATH);
    tokio::spawn(async move { axum::serve(listener, app).await });
    let config = format!(
        "services: [{{name: me, static_configs: [{{targets: ['{target}']}}], scraper: {{refresh_interval: 1s}}}}]"
    );

    let store = Counting::default();
    let periskop = Periskop::builder()
        .config(Config::parse(&config, Path::new(""))?)
        .storage(store.clone())
        .build();
    wait_for_an_error(&periskop).await;
    periskop.stop().await;
    println!("{} commits", store.commits.load(Ordering::Relaxed));

    // Another process, as it were: it knows everything before it has scraped anything.
    let again = Periskop::builder().storage(store).build();
    wait_for_an_error(&again).await;
    again.handle().read(|engine| {
        for error in engine.state().errors() {
            println!("still known: {} x {}", error.total(), error.key());
        }
    });
    again.stop().await;
    Ok(())
}

async fn wait_for_an_error(periskop: &Periskop) {
    while periskop.handle().read(|engine| engine.state().errors().count()) == 0 {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
