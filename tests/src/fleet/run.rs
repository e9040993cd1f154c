//! One run: everything at once for as long as it takes, and the truth in the end.

use std::io::{self, Write as _};
use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use tokio::time::{Instant, sleep_until};

use super::addresses::{Addresses, Listening};
use super::args::Args;
use super::config::Configuration;
use super::drive::{self, Asked};
use super::latencies::Told;
use super::playing::Playing;
use super::progress::Progress;
use super::push::Gateways;
use super::serve::{Shared, now};
use super::{Fleet, Truth, check};

/// Differences that are told one by one.
const TOLD: usize = 10;

/// What cannot be done.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// No address, no file, no thread.
    #[error("{what}: {source}")]
    Io {
        /// What was tried.
        what: &'static str,
        /// Why it failed.
        source: io::Error,
    },
    /// The store that the configuration is to have.
    #[error("--store: expected TYPE:PATH")]
    Store,
    /// The server that was to be checked does not answer.
    #[error(transparent)]
    Unreadable(#[from] check::Unreadable),
}

fn io(what: &'static str) -> impl FnOnce(io::Error) -> RunError {
    move |source| RunError::Io { what, source }
}

/// Runs until the end, and says in the end whether the server showed the truth.
///
/// # Errors
///
/// What the run needs is not there.
pub fn run(args: &Args) -> Result<ExitCode, RunError> {
    // One thread: the fleet shares its machine with what it loads.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(io("no runtime"))?;
    let asking = asking(args);
    let code = runtime.block_on(live(args))?;
    for (what, thread) in asking {
        match thread.join() {
            Ok(Ok(told)) => say(&format!("{what}: {told}")),
            Ok(Err(error)) => say(&format!("{what}: {error}")),
            Err(_) => say(&format!("{what}: failed")),
        }
    }
    Ok(code)
}

async fn live(args: &Args) -> Result<ExitCode, RunError> {
    let fleet = Shared::new(Fleet::new(args.plan(), now()));
    let end = args.duration.map(|duration| Instant::now() + duration);
    let mut playing = begin(args, &fleet)?;
    let gateways = Gateways::new(&args.push);
    let pushing = async {
        match args.push.is_empty() {
            true => std::future::pending().await,
            false => gateways.push_again_and_again(&fleet).await,
        }
    };
    let settling = async {
        play(&mut playing, args.duration, end).await.map_err(io("instances cannot move"))?;
        fleet.lock().settle();
        let truth = fleet.lock().truth();
        write_truth(args.truth.as_deref(), &truth).map_err(io("the truth cannot be written"))?;
        let (occurrences, errors) = (truth.occurrences(), truth.errors());
        say(&format!("{occurrences} occurrences of {errors} errors; {}", fleet.lock().happened()));
        match &args.check {
            Some(server) => verdict(server, &truth, args.patience).await,
            None => Ok(ExitCode::SUCCESS),
        }
    };
    tokio::select! {
        code = settling => code,
        () = pushing => Ok(ExitCode::FAILURE),
    }
}

/// Compares with what a server shows; scrapes go on meanwhile.
async fn verdict(
    server: &url::Url,
    truth: &Truth,
    patience: Duration,
) -> Result<ExitCode, RunError> {
    let differences = check::until_equal(server, truth, patience).await?;
    if differences.is_empty() {
        say("the server shows the truth");
        return Ok(ExitCode::SUCCESS);
    }
    say(&format!("{} of {} totals are not the truth:", differences.len(), truth.errors()));
    for difference in differences.iter().take(TOLD) {
        say(&format!("  {difference}"));
    }
    Ok(ExitCode::FAILURE)
}

/// A fleet as it was asked for, which has written down where it is.
fn begin(args: &Args, fleet: &Shared) -> Result<Playing, RunError> {
    let addresses = Addresses::from(args.first_address, args.port).map_err(io("no address"))?;
    let mut configuration = args.write_config.as_ref().map(Configuration::at);
    if let (Some(configuration), Some(store)) = (&mut configuration, &args.store) {
        let (kind, path) = store.split_once(':').ok_or(RunError::Store)?;
        let path = serde_json::Value::from(path);
        configuration.more = format!("repository: {{type: {kind}, path: {path}}}\n");
    }
    if !args.push.is_empty() {
        return Playing::pushing(fleet.clone(), addresses, &args.push, configuration.as_ref())
            .map_err(io("the configuration cannot be written"));
    }
    let listening = match args.one_listener {
        true => Listening::Together,
        false => Listening::for_instances(args.instances),
    };
    let playing = Playing::begin(fleet.clone(), addresses, listening, configuration);
    say(&format!("{} instances from {} on", args.instances, addresses.of(0)));
    playing.map_err(io("instances cannot listen, or be written down"))
}

/// Has everything happen until then, or until somebody interrupts.
async fn play(
    playing: &mut Playing,
    duration: Option<Duration>,
    end: Option<Instant>,
) -> io::Result<()> {
    let mut progress = Progress::begin(duration);
    let mut interrupted = std::pin::pin!(tokio::signal::ctrl_c());
    while end.is_none_or(|end| Instant::now() < end) {
        let (pause, happened) = playing.step()?;
        progress.say(&happened.to_string());
        let next = Instant::now() + pause;
        tokio::select! {
            () = sleep_until(end.map_or(next, |end| next.min(end))) => {}
            _ = &mut interrupted => break,
        }
    }
    progress.end();
    // Those who are new must be found.
    playing.write_targets()
}

type Asking = std::thread::JoinHandle<io::Result<Told>>;

/// Asks the server meanwhile, on threads of their own.
fn asking(args: &Args) -> Vec<(&'static str, Asking)> {
    let Some(server) = &args.server else { return Vec::new() };
    let time = args.duration.unwrap_or_default();
    let asked =
        [("lists", args.lists, Asked::list()), ("searches", args.searches, Asked::Searches)];
    let asked = asked.into_iter().filter(|(_, connections, _)| *connections > 0);
    asked
        .map(|(what, connections, asked)| {
            let server = server.clone();
            let ask = move || {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(drive::ask(&server, &asked, connections, time))
            };
            (what, std::thread::spawn(ask))
        })
        .collect()
}

fn write_truth(file: Option<&Path>, truth: &Truth) -> io::Result<()> {
    match file {
        None => Ok(()),
        Some(file) if file == Path::new("-") => {
            let mut out = io::stdout().lock();
            serde_json::to_writer_pretty(&mut out, truth)?;
            out.write_all(b"\n")
        }
        Some(file) => std::fs::write(file, serde_json::to_vec_pretty(truth)?),
    }
}

fn say(line: &str) {
    // If nobody listens, nobody misses it.
    let _ = io::stderr().write_all(format!("{line}\n").as_bytes());
}
