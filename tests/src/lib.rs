//! What the end-to-end tests share: real processes, real sockets, and patience with a deadline.
//!
//! Nothing here sleeps and hopes. A test says what it waits for ([`eventually`]), and a test that
//! cannot run here says so with [`skip`], which `scripts/test` counts.

pub mod app;
pub mod bench;
pub mod cut;
pub mod database;
pub mod fleet;
pub mod gateway;
pub mod process;
pub mod prometheus;
pub mod pushing;
pub mod sd;
pub mod server;
pub mod store;
pub mod target;
pub mod targets_api;
pub mod workspace;

use std::fmt::{Debug, Display};
use std::future::Future;
use std::io::Write;
use std::time::Duration;

use tokio::time::Instant;

/// How long a test waits for what it knows must come. Long, since a loaded machine is no failure;
/// a test that passes never waits that long.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Asks again and again until `check` is content, and returns what it found.
///
/// # Panics
///
/// After [`PATIENCE`], with the last complaint.
pub async fn eventually<T, E, F>(what: &str, mut check: impl FnMut() -> F) -> T
where
    E: Debug,
    F: Future<Output = Result<T, E>>,
{
    let deadline = Instant::now() + PATIENCE;
    let mut pause = tokio::time::interval(Duration::from_millis(50));
    loop {
        pause.tick().await;
        match check().await {
            Ok(found) => return found,
            Err(complaint) if Instant::now() > deadline => panic!("{what}: still {complaint:?}"),
            Err(_) => {}
        }
    }
}

/// Says that the running test cannot run here, and why. The test then returns.
///
/// Said on standard error, and in a line of the file that `PERISKOP_SKIPPED` names, if it does:
/// `scripts/test` counts them there.
///
/// # Panics
///
/// If that file cannot be written to.
pub fn skip(why: impl Display) {
    let thread = std::thread::current();
    let line = format!("skipped: {}: {why}\n", thread.name().unwrap_or("a test"));
    // Not `eprint!`: the test harness swallows that when a test passes. In one piece, since others
    // write at the same time. A standard error that is closed has nobody to tell.
    let _ = std::io::stderr().write_all(line.as_bytes());
    if let Some(file) = std::env::var_os("PERISKOP_SKIPPED") {
        let file = std::fs::OpenOptions::new().create(true).append(true).open(file);
        file.and_then(|mut file| file.write_all(line.as_bytes())).expect("PERISKOP_SKIPPED");
    }
}

/// An HTTP client for tests: no proxy, no redirects followed.
///
/// # Panics
///
/// If the client cannot be made.
pub fn http() -> reqwest::Client {
    // Fails when another test has installed one already, which is as good.
    let _ = rustls::crypto::ring::default_provider().install_default();
    reqwest::Client::builder()
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .timeout(PATIENCE)
        .build()
        .expect("an HTTP client")
}
