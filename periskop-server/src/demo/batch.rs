//! A job that begins now and then, fails at some of its work, pushes what it counted, and ends:
//! what a gateway is for. The gateway is the real one, scraped like any instance.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use periskop_client::Collector;
use periskop_client::push;
use periskop_core::ReplicaId;
use periskop_pushgw::{Gateway, Settings, Web};
use tokio::net::TcpListener;
use tokio::time::sleep;

use super::mishaps;

/// From one run of the job to the next.
const PAUSE: Duration = Duration::from_secs(15);

/// Where the gateway exports what it was pushed.
pub(super) const EXPORT: &str = "/-/errors";

/// A gateway and the job that pushes to it; they end by being dropped.
pub(super) async fn start() -> io::Result<(SocketAddr, impl Future<Output = ()>)> {
    let listener = TcpListener::bind("127.0.0.1:0").await?;
    let address = listener.local_addr()?;
    let gateway = Gateway::new(Settings::default(), ReplicaId::from_u64(rand::random()));
    let served = async move {
        tokio::select! {
            _ = gateway.serve(listener, Web::open(), std::future::pending()) => {}
            () = run_again_and_again(address) => {}
        }
    };
    Ok((address, served))
}

async fn run_again_and_again(gateway: SocketAddr) {
    // Of an address that was just bound: it is one.
    let Ok(gateway) = push::Gateway::builder(format!("http://{gateway}/errors")).build() else {
        return;
    };
    loop {
        if let Err(error) = gateway.push_once_async(&run_once()).await {
            tracing::warn!(%error, "the demo's job could not push");
        }
        sleep(PAUSE).await;
    }
}

/// The life of one process: its identity, its errors, its last words.
fn run_once() -> Collector {
    let collector = Collector::new();
    for (most, fail) in mishaps::BATCH {
        (0..rand::random_range(1..=*most)).for_each(|_| fail(&collector));
    }
    collector
}
