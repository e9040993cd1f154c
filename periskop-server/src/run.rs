//! What the binary does: the command line carried out.

use std::ffi::OsString;
use std::io::{self, BufRead as _, IsTerminal as _, Read as _, Write};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use periskop_client::install_panic_hook;
use periskop_core::config::Secret;
use periskop_http::{NewToken, PasswordError, hash_password};

use crate::cli::{Cli, Command, EnvError, ListenArgs, LogFormat, SdArgs, ServeArgs};
use crate::config::{Config, ConfigError};
use crate::sd_cli::{self, SdCliError};
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
    /// A password that cannot be hashed.
    #[error(transparent)]
    Password(#[from] PasswordError),
    /// What was to be found.
    #[error(transparent)]
    Sd(#[from] SdCliError),
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
        Some(Command::HashPassword) => print_hash(),
        Some(Command::NewToken) => print_token(),
        Some(Command::Demo { listen }) => in_runtime(listen.log_format, run_demo(listen)),
        Some(Command::Sd(args)) => find_once(args),
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

/// The longest line that is read for a password; bcrypt looks at less.
const LONGEST_LINE: u64 = 4096;

fn print_hash() -> Result<(), RunError> {
    let password = if io::stdin().is_terminal() {
        rpassword::prompt_password("Password: ")?
    } else {
        let mut line = String::new();
        io::stdin().lock().take(LONGEST_LINE).read_line(&mut line)?;
        line.trim_end_matches(['\r', '\n']).to_owned()
    };
    say(&hash_password(&Secret::new(password))?)
}

fn print_token() -> Result<(), RunError> {
    let new = NewToken::of(rand::random());
    say(&format!("token: {}\ntoken_sha256: {}", new.token.expose(), new.sha256))
}

/// How long what runs in the background may take to end.
const LAST_WORDS: Duration = Duration::from_millis(100);

fn in_runtime(
    log_format: LogFormat,
    work: impl Future<Output = Result<(), RunError>>,
) -> Result<(), RunError> {
    telemetry::init(log_format);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let done = runtime.block_on(work);
    // Everything that matters has been waited for; a name server or a file system that hangs is not.
    runtime.shutdown_timeout(LAST_WORDS);
    done
}

fn find_once(args: &SdArgs) -> Result<(), RunError> {
    telemetry::init(LogFormat::Text);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let found = runtime.block_on(sd_cli::run(args));
    // A file system that hangs is not waited for.
    runtime.shutdown_background();
    Ok(found?)
}

async fn serve(args: &ServeArgs) -> Result<(), RunError> {
    let file = args.config_file(env);
    let listen = args.listen.resolve(file.is_some(), env)?;
    let mut builder = Periskop::builder();
    if let Some(file) = &file {
        builder = builder.config_file(file)?;
    }
    if let Some(url) = args.listen.external_url.clone() {
        builder = builder.external_url(url);
    }
    let listener = bind(listen).await.map_err(RunError::Listen)?;
    listen_with(builder, listener).await
}

async fn run_demo(args: &ListenArgs) -> Result<(), RunError> {
    let listen = args.resolve(false, env)?;
    let listener = bind(listen).await.map_err(RunError::Listen)?;
    let fleet = demo::Fleet::start().await?;
    let mut builder = fleet.builder()?;
    let mut path = "";
    if let Some(url) = args.external_url.clone() {
        builder = builder.external_url(url);
        path = args.external_url.as_ref().map_or("", |url| url.path());
    }
    let url = url_of(listener.local_addr()?);
    say(&format!("a fleet that really throws; open {url}{path}/"))?;
    listen_with(builder, listener).await
}

async fn listen_with(builder: Builder, listener: tokio::net::TcpListener) -> Result<(), RunError> {
    let address = listener.local_addr()?;
    let periskop = builder.build();
    install_panic_hook(periskop.handle().collector());
    let handle = periskop.handle().clone();
    let (access, is_https) = (handle.access(), handle.config().web.tls.is_some());
    match address.ip().to_canonical().is_loopback() {
        false if access.is_open() => {
            tracing::warn!(%address, "open to whoever reaches this address: `web` names no users and no tokens");
        }
        _ => tracing::info!(%address, "who may do what: {}", access.in_words()),
    }
    let (stop, reloads) = signals::listen(move || {
        let handle = handle.clone();
        async move {
            // The outcome is logged where it is tried.
            let _ = handle.reload().await;
        }
    })?;
    let reloads = tokio::spawn(reloads);
    let url = url_of(address);
    let url = if is_https { url.replacen("http", "https", 1) } else { url };
    say(&format!("listening on {url}"))?;
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
