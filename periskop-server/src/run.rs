//! What the binary does: the command line carried out.

use std::ffi::OsString;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use crate::cli::{Cli, Command, EnvError, ListenArgs, LogFormat, ServeArgs};
use crate::config::{Config, ConfigError};
use crate::server::{Builder, Periskop, ServeError, bind, url_of};
use crate::storage_cli::{self, StorageCliError};
use crate::{demo, signals, telemetry};

/// Why the server did not start, or ended.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The configuration.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The environment.
    #[error(transparent)]
    Env(#[from] EnvError),
    /// The demo's own configuration.
    #[error("{0}")]
    Demo(#[from] periskop_core::config::Problems),
    /// The network.
    #[error("cannot listen: {0}")]
    Listen(#[source] io::Error),
    /// What was to be done with a store.
    #[error(transparent)]
    Storage(#[from] StorageCliError),
    /// The server has ended by itself.
    #[error(transparent)]
    Serve(#[from] ServeError),
    /// The runtime, or standard output.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Carries out a command line; errors go to standard error.
pub fn run(cli: &Cli) -> ExitCode {
    let done = match &cli.command {
        Some(Command::CheckConfig { file }) => check_config(file),
        Some(Command::Demo { listen }) => in_runtime(listen.log_format, run_demo(listen)),
        Some(Command::Storage { command }) => {
            in_runtime(LogFormat::Text, async { Ok(storage_cli::run(command, env).await?) })
        }
        None => in_runtime(cli.serve.listen.log_format, serve(&cli.serve)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Without standard error there is nobody to tell.
            let _ = writeln!(io::stderr(), "error: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check_config(file: &Path) -> Result<(), RunError> {
    let config = Config::load(file)?;
    let count = config.services.len();
    let services = if count == 1 { "service" } else { "services" };
    say(&format!("{}: fine, {count} {services}", file.display()))
}

fn in_runtime(
    log_format: LogFormat,
    work: impl Future<Output = Result<(), RunError>>,
) -> Result<(), RunError> {
    telemetry::init(log_format);
    tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(work)
}

async fn serve(args: &ServeArgs) -> Result<(), RunError> {
    let file = args.config_file(env);
    let listen = args.listen.resolve(file.is_some(), env)?;
    let mut builder = Periskop::builder();
    if let Some(file) = &file {
        builder = builder.config_file(file)?;
    }
    let listener = bind(listen).await.map_err(RunError::Listen)?;
    listen_with(builder, listener).await
}

async fn run_demo(args: &ListenArgs) -> Result<(), RunError> {
    let listen = args.resolve(false, env)?;
    let listener = bind(listen).await.map_err(RunError::Listen)?;
    let fleet = demo::Fleet::start().await?;
    let url = url_of(listener.local_addr()?);
    say(&format!("a fleet that really throws; open {url}/"))?;
    listen_with(fleet.builder()?, listener).await
}

async fn listen_with(builder: Builder, listener: tokio::net::TcpListener) -> Result<(), RunError> {
    let address = listener.local_addr()?;
    if !address.ip().to_canonical().is_loopback() {
        tracing::warn!(%address, "open to whoever reaches this address: there is no `web` configuration");
    }
    let periskop = builder.build();
    let handle = periskop.handle().clone();
    let (stop, reloads) = signals::listen(move || {
        let handle = handle.clone();
        async move {
            // The outcome is logged where it is tried.
            let _ = handle.reload().await;
        }
    })?;
    let reloads = tokio::spawn(reloads);
    say(&format!("listening on {}", url_of(address)))?;
    let served = periskop.serve(listener, async move {
        stop.await;
        tracing::info!("stopping");
    });
    let served = served.await;
    reloads.abort();
    Ok(served?)
}

/// What scripts wait for goes to standard output; a closed one ends the program.
fn say(line: &str) -> Result<(), RunError> {
    let mut out = io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

fn env(name: &str) -> Option<OsString> {
    std::env::var_os(name)
}
