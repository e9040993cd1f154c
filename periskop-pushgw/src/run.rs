//! What the binary does: the command line carried out.

use std::io::{self, IsTerminal, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use periskop_client::install_panic_hook;
use periskop_core::ReplicaId;
use periskop_core::storage::StorageError;
use periskop_http::{TlsError, WebConfig, WebConfigError};
use periskop_storage::{SpecError, StoreSpec};
use tracing_subscriber::EnvFilter;

use crate::cli::{Cli, LogFormat};
use crate::gateway::{Gateway, ServeError};
use crate::web::Web;

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
    /// Who may reach it.
    #[error(transparent)]
    WebConfig(#[from] WebConfigError),
    /// The certificates.
    #[error("tls_server_config: {0}")]
    Tls(#[from] TlsError),
    /// No store is called so.
    #[error("--storage: {0}")]
    Spec(#[from] SpecError),
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
    let store = cli.store()?;
    let config = web_config(cli.web_config.as_deref())?;
    let web = Web::new(&config)?;
    let address = cli.address();
    let listener = tokio::net::TcpListener::bind(address).await;
    let listener = listener.map_err(|source| RunError::Listen { address, source })?;
    let address = listener.local_addr()?;
    tell_who_may(&web, address);
    let mut stop = Box::pin(stop_signal()?);
    let reloads = reload_at_hangup(cli.web_config.clone(), config, web.clone())?;
    let (settings, id) = (cli.settings(), ReplicaId::from_u64(rand::random()));
    let gateway = match &store {
        StoreSpec::Memory => Gateway::new(settings, id),
        spec => {
            let storage = periskop_storage::open(spec);
            let name = spec.to_string();
            tokio::select! {
                opened = Gateway::open(settings, id, &name, storage) => opened?,
                // What is large takes a while to load, and nothing has been pushed yet.
                () = &mut stop => return Ok(()),
            }
        }
    };
    install_panic_hook(gateway.collector());
    let scheme = if web.tls.is_some() { "https" } else { "http" };
    say(&format!("listening on {scheme}://{address}"))?;
    let reloads = tokio::spawn(reloads);
    let served = gateway.serve(listener, web, stop).await;
    reloads.abort();
    Ok(served?)
}

fn web_config(file: Option<&Path>) -> Result<WebConfig, WebConfigError> {
    file.map(WebConfig::load).transpose().map(Option::unwrap_or_default)
}

fn tell_who_may(web: &Web, address: SocketAddr) {
    let is_loopback = address.ip().to_canonical().is_loopback();
    match (is_loopback, web.access.is_open()) {
        (false, true) => tracing::warn!(
            %address,
            "open to whoever reaches this address: --web.config names no users and no tokens"
        ),
        _ => tracing::info!(%address, "who may do what: {}", web.access.in_words()),
    }
}

/// Reads the file again; a wrong one changes nothing and is told.
fn reload(file: &Path, before: &mut WebConfig, web: &Web) {
    let config = match WebConfig::load(file) {
        Ok(config) => config,
        Err(error) => {
            return tracing::error!(%error, "web configuration not reloaded, the old one stays");
        }
    };
    for setting in before.needs_restart(&config) {
        tracing::warn!("{setting} has changed, which takes effect at the next start");
    }
    if let Err(error) = web.replace(&config) {
        tracing::error!(%error, "the certificates before stay");
    }
    *before = config;
    tracing::info!("web configuration reloaded; who may do what: {}", web.access.in_words());
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
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new("warn,periskop_pushgw=info,periskop_http=info,periskop_storage=info")
    });
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

/// What reads the file again at each hangup signal, which is caught from now on.
#[cfg(unix)]
fn reload_at_hangup(
    file: Option<PathBuf>,
    mut config: WebConfig,
    web: Web,
) -> io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut hangup = signal(SignalKind::hangup())?;
    Ok(async move {
        while hangup.recv().await.is_some() {
            let Some(file) = file.clone() else {
                tracing::warn!("started without --web.config, there is nothing to reload");
                continue;
            };
            let (mut before, same) = (config, web.clone());
            let reloaded = tokio::task::spawn_blocking(move || {
                reload(&file, &mut before, &same);
                before
            });
            // It fails only while the runtime ends.
            let Ok(after) = reloaded.await else { return };
            config = after;
        }
    })
}

/// There is no hangup here.
#[cfg(not(unix))]
fn reload_at_hangup(
    _file: Option<PathBuf>,
    _config: WebConfig,
    _web: Web,
) -> io::Result<impl Future<Output = ()>> {
    Ok(std::future::pending())
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
