//! What the binary does: the command line carried out.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::process::ExitCode;

use periskop_core::ReplicaId;
use periskop_core::storage::StorageError;
use periskop_storage::StoreSpec;
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, LogFormat};
use crate::gateway::{Gateway, ServeError};

/// Why the gateway did not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The network.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address that was asked for.
        address: SocketAddr,
        /// Why not.
        source: io::Error,
    },
    /// The store.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The gateway has ended by itself.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The runtime, or standard output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Carries out a command line; errors go to standard error.
pub fn run(cli: &Cli) -> ExitCode {
    log_to_standard_error(cli.log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build();
    match runtime.map_err(RunError::from).and_then(|runtime| runtime.block_on(serve(cli))) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without standard error there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

async fn serve(cli: &Cli) -> Result<(), RunError> {
    let address = cli.address();
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.map_err(|source| RunError::Listen { address, source })?;
    let address = listener.local_addr()?;
    if !address.ip().to_canonical().is_loopback() {
        tracing::warn!(%address, "open to whoever reaches this address");
    }
    let stop = stop_signal()?;
    let (settings, id) = (cli.settings(), ReplicaId::from_u64(rand::random()));
    let gateway = match &cli.storage {
        StoreSpec::Memory => Gateway::new(settings, id),
        spec => {
            let storage = periskop_storage::open(spec);
            Gateway::open(settings, id, &spec.to_string(), storage).await?
        }
    };
    say(&format!("listening on http://{address}"))?;
    Ok(gateway.serve(listener, stop).await?)
}

/// What scripts wait for goes to standard output; a closed one ends the program.
fn say(line: &str) -> io::Result<()> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    out.flush()
}

/// `RUST_LOG` chooses what is written; without it everything of ours from `info` on, and warnings of
/// the libraries. Does nothing where a subscriber is there already.
fn log_to_standard_error(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| EnvFilter::new("warn,periskop_pushgw=info"));
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(io::stderr)
        .with_ansi(io::stderr().is_terminal());
    // The error says that somebody else has set a subscriber; theirs it is, then.
    let _ = match format {
        LogFormat::Text => logs.with_target(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
}

/// Completes on SIGTERM or SIGINT. Both are caught from now on: who waits for the line on
/// standard output may stop us right after it.
#[cfg(unix)]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut interrupt = signal(SignalKind::interrupt())?;
    let mut terminate = signal(SignalKind::terminate())?;
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
        tracing::info!("stopping");
    })
}

#[cfg(not(unix))]
fn stop_signal() -> io::Result<impl Future<Output = ()>> {
    Ok(async {
        // An error says that it cannot be waited for; then there is nothing that stops us.
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
        tracing::info!("stopping");
    })
}
