//! A fleet and the server that scrapes it.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use tempfile::TempDir;
use tokio::time::sleep;

use super::args::Args;
use super::bare::Bare;
use super::process::Account;
use super::server::{Server, binary};
use super::{Outcome, say};
use crate::fleet::addresses::{Addresses, Listening};
use crate::fleet::config::Configuration;
use crate::fleet::playing::Playing;
use crate::fleet::serve::{Shared, now};
use crate::fleet::{Fleet, Pace, Plan};

/// How long a server may take to see a fleet.
const PATIENCE: Duration = Duration::from_secs(600);
/// Of a log in which nothing is counted.
const QUIET: &str = "warn";

/// A fleet on a thread of its own, and what a server needs to scrape it.
#[derive(Debug)]
pub(super) struct Stage {
    pub(super) fleet: Shared,
    addresses: Addresses,
    ended: Arc<AtomicBool>,
    directory: TempDir,
}

impl Stage {
    /// A fleet, with these lines at the end of the configuration.
    pub(super) fn set(plan: Plan, more: impl Fn(&Path) -> String) -> Outcome<Self> {
        let directory = tempfile::tempdir()?;
        let mut configuration = Configuration::at(directory.path().join("periskop.yaml"));
        configuration.more = more(directory.path());
        let addresses = Addresses::from("127.32.0.1".parse()?, 0)?;
        let listening = Listening::for_instances(plan.instances);
        let fleet = Shared::new(Fleet::new(plan, now()));
        let ended = Arc::new(AtomicBool::new(false));
        let (told, begun) = std::sync::mpsc::channel();
        let play = {
            let (fleet, ended) = (fleet.clone(), ended.clone());
            move || -> std::io::Result<()> {
                let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
                runtime.block_on(async {
                    let playing = Playing::begin(fleet, addresses, listening, Some(configuration));
                    let (problem, playing) = match playing {
                        Ok(playing) => (None, Some(playing)),
                        Err(error) => (Some(error), None),
                    };
                    // Whoever set the stage waits for this.
                    let _ = told.send(problem);
                    let Some(mut playing) = playing else { return Ok(()) };
                    while !ended.load(Ordering::Relaxed) {
                        let (pause, _) = playing.step()?;
                        sleep(pause).await;
                    }
                    Ok(())
                })
            }
        };
        std::thread::spawn(play);
        match begun.recv()? {
            None => Ok(Self { fleet, addresses, ended, directory }),
            Some(error) => Err(error.into()),
        }
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.directory.path().join(name)
    }

    /// A server with the configuration that was written; how long it took to be ready.
    pub(super) async fn server(&self, args: &Args, filter: &str) -> Outcome<(Server, Duration)> {
        let binary = binary(args.server.as_deref())?;
        Server::start(&binary, &self.path("periskop.yaml"), &self.path("server.log"), filter).await
    }

    /// Has the server scrape at another interval, or not at all for some hours.
    pub(super) async fn rewrite(&self, server: &Server, interval: Duration) -> Outcome<()> {
        let yaml = std::fs::read_to_string(self.path("periskop.yaml"))?;
        let old = format!("refresh_interval: {}ms", self.interval().as_millis());
        let new = format!("refresh_interval: {}ms", interval.as_millis());
        std::fs::write(self.path("periskop.yaml"), yaml.replace(&old, &new))?;
        server.reload().await
    }

    pub(super) fn interval(&self) -> Duration {
        self.fleet.lock().plan().interval
    }

    pub(super) fn instances(&self) -> usize {
        self.fleet.lock().plan().instances
    }

    /// Other changes from now on.
    pub(super) fn change(&self, changes: Pace) {
        self.fleet.lock().set_changes(changes, now());
    }

    /// A process that reads the same and drops it.
    pub(super) fn bare(&self) -> Outcome<Bare> {
        let urls: Vec<_> = self
            .fleet
            .lock()
            .addresses()
            .map(|(serial, _)| format!("http://{}/-/exceptions\n", self.addresses.of(serial)))
            .collect();
        let file = self.path("urls");
        std::fs::write(&file, urls.concat())?;
        Bare::start(&file, self.interval())
    }

    /// Waits until a server lists so many errors.
    pub(super) async fn seen(&self, server: &Server, errors: usize) -> Outcome<()> {
        let begun = Instant::now();
        let mut said = begun;
        loop {
            let seen = server.errors().await?;
            if seen >= errors {
                return Ok(());
            }
            if begun.elapsed() > PATIENCE {
                return Err(format!("only {seen} of {errors} errors are listed").into());
            }
            if said.elapsed() > Duration::from_secs(10) {
                say(&format!("   {seen} of {errors} errors are listed"));
                said = Instant::now();
            }
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until so many more answers were given.
    pub(super) async fn answered(&self, answers: u64) -> Outcome<()> {
        let enough = self.fleet.lock().happened().answers + answers;
        let begun = Instant::now();
        while self.fleet.lock().happened().answers < enough {
            if begun.elapsed() > PATIENCE {
                return Err("the fleet is not scraped any more".into());
            }
            sleep(Duration::from_millis(50)).await;
        }
        Ok(())
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        self.ended.store(true, Ordering::Relaxed);
    }
}

/// A fleet and its server; beside them another fleet like it with a bare client, if there is one.
#[derive(Debug)]
pub(super) struct Session {
    pub(super) stage: Stage,
    pub(super) server: Server,
    bare: Option<(Stage, Bare)>,
}

/// CPU time of a scrape, in microseconds.
#[derive(Clone, Copy, Debug)]
pub(super) struct PerScrape {
    pub(super) server: f64,
    /// 0 if there is no bare client.
    pub(super) bare: f64,
}

impl Session {
    /// Begins when all errors have been seen, and every instance twice since.
    pub(super) async fn begin(args: &Args, plan: Plan, store: &str) -> Outcome<Self> {
        let errors = match plan.shared {
            true => plan.services * plan.errors,
            false => plan.instances * plan.errors,
        };
        let stage = Stage::set(plan, |directory| repository(store, directory))?;
        let (server, _) = stage.server(args, QUIET).await?;
        stage.seen(&server, errors).await?;
        stage.answered(2 * stage.instances() as u64).await?;
        Ok(Self { stage, server, bare: None })
    }

    /// With a bare client beside it.
    pub(super) async fn beside_bare(mut self) -> Outcome<Self> {
        let plan = self.stage.fleet.lock().plan().clone();
        let stage = Stage::set(plan, |_| String::new())?;
        let bare = stage.bare()?;
        stage.answered(2 * stage.instances() as u64).await?;
        self.bare = Some((stage, bare));
        Ok(self)
    }

    /// What scrapes cost during this time.
    pub(super) async fn window(&self, time: Duration) -> Outcome<PerScrape> {
        let before = self.accounts()?;
        sleep(time).await;
        let after = self.accounts()?;
        let server = each(before.0, after.0).ok_or("the server does not scrape")?;
        Ok(PerScrape { server, bare: each(before.1, after.1).unwrap_or_default() })
    }

    /// What scrapes cost with changes, after a while in which everything was scraped with them.
    pub(super) async fn window_with(&self, changes: Pace, time: Duration) -> Outcome<PerScrape> {
        self.stage.change(changes);
        self.stage.answered(2 * self.stage.instances() as u64).await?;
        self.window(time).await
    }

    /// Of the server and of the bare client.
    fn accounts(&self) -> Outcome<(Spent, Spent)> {
        let server = Spent::of(&self.stage, self.server.account)?;
        let bare = match &self.bare {
            Some((stage, bare)) => Spent::of(stage, bare.account)?,
            None => Spent::default(),
        };
        Ok((server, bare))
    }
}

/// What a process has used so far, and for how many answers.
#[derive(Clone, Copy, Default)]
struct Spent {
    cpu: Duration,
    answers: u64,
}

impl Spent {
    fn of(stage: &Stage, account: Account) -> Outcome<Self> {
        Ok(Self { cpu: account.cpu()?, answers: stage.fleet.lock().happened().answers })
    }
}

/// Microseconds for each answer; `None` if there was none.
fn each(before: Spent, after: Spent) -> Option<f64> {
    let answers = after.answers - before.answers;
    let cpu = after.cpu.saturating_sub(before.cpu);
    (answers > 0).then(|| cpu.as_secs_f64() * 1e6 / answers as f64)
}

/// The lines of a configuration for a store: `memory`, `sqlite` or `sled`.
pub(super) fn repository(store: &str, directory: &Path) -> String {
    match store {
        "memory" => String::new(),
        kind => {
            let path = serde_json::json!(directory.join(kind));
            format!("repository: {{type: {kind}, path: {path}}}\n")
        }
    }
}
