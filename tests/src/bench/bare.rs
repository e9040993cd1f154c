//! The yardstick of scrapes: a process with the server's HTTP client, which reads the same bodies at
//! the same rate from a fleet of its own, and drops them.

use std::path::Path;
use std::time::Duration;

use hyper::header::{ACCEPT, ACCEPT_ENCODING, HeaderValue};
use periskop_discovery::http_client::{HttpClient, HttpClientConfig};
use tokio::process::Command;
use url::Url;

use super::Outcome;
use super::process::Account;
use crate::process::Process;

/// Reads every URL of a file again and again, until it is killed.
///
/// # Errors
///
/// There is no such file, or what is in it are no URLs.
pub async fn run(targets: &Path, interval: Duration) -> Outcome<()> {
    let client = HttpClient::new(&HttpClientConfig::default(), "bare")?;
    let targets = std::fs::read_to_string(targets)?;
    let urls = targets.lines().map(Url::parse).collect::<Result<Vec<_>, _>>()?;
    let step = interval / u32::try_from(urls.len()).unwrap_or(u32::MAX).max(1);
    for (n, url) in (0_u32..).zip(urls) {
        let client = client.clone();
        tokio::spawn(async move {
            tokio::time::sleep(step * n).await;
            let mut moments = tokio::time::interval(interval);
            loop {
                moments.tick().await;
                // What fails is no answer, and counts for nobody.
                let _ = fetch(&client, &url, interval).await;
            }
        });
    }
    std::future::pending().await
}

/// A whole body, read and dropped.
async fn fetch(client: &HttpClient, url: &Url, timeout: Duration) -> Option<()> {
    let request = client
        .get(url.clone())
        .header(ACCEPT, HeaderValue::from_static("application/json"))
        .header(ACCEPT_ENCODING, HeaderValue::from_static("identity"))
        .timeout(timeout);
    let mut response = request.send().await.ok()?;
    while response.chunk().await.ok()?.is_some() {}
    Some(())
}

/// Such a process, seen from the one that measures.
#[derive(Debug)]
pub(super) struct Bare {
    pub(super) account: Account,
    /// It ends with this.
    _process: Process,
}

impl Bare {
    pub(super) fn start(targets: &Path, interval: Duration) -> Outcome<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg("bare").arg(targets).arg(interval.as_millis().to_string());
        let process = Process::start(&mut command);
        let id = process.id().ok_or("the bare client has ended")?;
        Ok(Self { account: Account::of(id), _process: process })
    }
}
