//! A job that begins now and then, fails at some of its work, pushes what it counted, and ends:
//! what a gateway is for. The gateway is the real one, scraped like any instance.

use std::io;
use std::net::SocketAddr;
use std::time::Duration;

use axum::http::{Method, header};
use periskop_client::Collector;
use periskop_core::ReplicaId;
use periskop_discovery::http_client::{HttpClient, HttpClientConfig};
use periskop_pushgw::{Gateway, Settings, Web};
use tokio::net::TcpListener;
use tokio::time::sleep;
use url::Url;

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
    let client = HttpClient::new(&HttpClientConfig::default(), "periskop-demo-job");
    // Both are the demo's own: a client without settings, an address that was just bound.
    let (Ok(client), Ok(url)) = (client, Url::parse(&format!("http://{gateway}/errors"))) else {
        return;
    };
    loop {
        let payload = run_once();
        let push = client
            .request(Method::POST, url.clone())
            .header(header::CONTENT_TYPE, header::HeaderValue::from_static("application/json"))
            .body(payload);
        if let Err(error) = push.send().await {
            tracing::warn!(%error, "the demo's job could not push");
        }
        sleep(PAUSE).await;
    }
}

/// The life of one process: its identity, its errors, its last words.
fn run_once() -> Vec<u8> {
    let collector = Collector::new();
    for mishap in mishaps::BATCH {
        (0..rand::random_range(1..=mishap.weight)).for_each(|_| (mishap.happen)(&collector));
    }
    collector.export()
}
