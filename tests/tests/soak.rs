//! A server that is left alone with everything that changes: instances that restart and are
//! replaced, hostile ones, a store that goes away, reloads, pages and searches, event streams that
//! are opened and dropped. In the end nothing has leaked and no count is lost.
//!
//! It takes two minutes; `PERISKOP_SOAK` says how many seconds instead, and `scripts/soak` an hour.
//! The store is a PostgreSQL behind a line that is cut, where `PERISKOP_POSTGRES` names a server, else
//! SQLite, which is locked by somebody else for as long.

use std::fmt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use futures_util::StreamExt as _;
use periskop_tests::cut::Proxy;
use periskop_tests::database::{Database, Server};
use periskop_tests::fleet::check::shown;
use periskop_tests::process::Process;
use periskop_tests::{PATIENCE, eventually, http, workspace};
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions as _, Connection as _, Executor as _};
use tempfile::TempDir;
use tokio::io::AsyncReadExt as _;
use tokio::process::{Child, Command};
use tokio::task::JoinHandle;
use tokio::time::{Instant, MissedTickBehavior, interval};
use url::Url;

/// What is played: errors that all instances of a service share, so that what is known stays as
/// large as it is while instances come and go.
const FLEET: &str = "--port 0 --first-address 127.21.0.1 --instances 40 --services 4 --errors 8 \
     --shared --gzip --interval 1s --changes 40/s --restarts 20/min --churn 20/min --relent 3 \
     --hostile hang=2,slow=1,garbage=1,huge=1,cut=1,bomb=1,refuse=1";

/// Event streams that are open at any time.
const STREAMS: usize = 8;

/// Seconds between two of the same kind. None is a multiple of another, so that they meet in all
/// ways.
const RELOAD: u64 = 7;
const STORE_GOES: u64 = 23;
const STORE_IS_AWAY: u64 = 4;
const SAMPLE: u64 = 2;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_leaks_and_no_count_is_lost_while_everything_changes() {
    let length = length();
    let place = Place::new();
    let mut store = Store::fresh(&place).await;

    // Given a server that is ready, and nothing to scrape yet,
    fleet(&place, &["--duration", "1ms"]).output().await.expect("the tool can be started");
    let written = std::fs::read_to_string(place.file("fleet.yaml")).expect("it was written");
    let config = place.file("periskop.yaml");
    let repository = store.configured();
    let configure = |turn: u64| {
        // Each time another one, so that there is something to do.
        let extra = format!(
            "- name: gone-{}\n  static_configs: [{{targets: ['127.0.0.1:1']}}]\n  \
             scraper: {{refresh_interval: 1s}}\n",
            turn % 3
        );
        std::fs::write(&config, format!("{written}{extra}{repository}")).expect("a temporary file");
    };
    configure(0);
    let server = Running::start(&config).await;
    let before = server.held().await;

    // when everything happens at once for a while,
    let seconds = format!("{}s", length.as_secs());
    let address = server.url.as_str().to_owned();
    let playing = fleet(&place, &["--duration", &seconds, "--check", &address])
        .args(["--server", &address, "--lists", "1", "--searches", "1", "--patience", "2m"])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .expect("the tool can be started");
    let mut samples = Vec::new();
    let mut streams: Vec<Stream> = Vec::new();
    let mut ticks = interval(Duration::from_secs(1));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let begun = Instant::now();
    for second in 1_u64.. {
        ticks.tick().await;
        if begun.elapsed() >= length {
            break;
        }
        streams.push(Stream::open(&server.url));
        if streams.len() > STREAMS {
            streams.remove(0);
        }
        if second.is_multiple_of(RELOAD) {
            configure(second / RELOAD);
            server.reload().await;
        }
        match second % STORE_GOES {
            0 => store.go().await,
            STORE_IS_AWAY => store.come_back().await,
            _ => {}
        }
        if second.is_multiple_of(SAMPLE) {
            samples.push(server.held().await);
        }
    }
    store.come_back().await;
    drop(streams);

    // then the totals are what happened,
    let (agreed, said) = ended(playing).await;
    assert!(agreed, "{said}");

    // memory has not grown since everything was there once,
    let (early, late) = quarters(&samples);
    eprintln!("{early} in the second quarter, {late} in the last; {before} before");
    let most = early.memory + early.memory / 5 + (16 << 20);
    assert!(late.memory <= most, "memory grows: {early}, then {late}");

    // what was held for the fleet is let go,
    eventually("nothing is held for those who are gone", || async {
        let now = server.held().await;
        let spare = 8;
        match now.files <= before.files + spare && now.tasks <= before.tasks + spare {
            true => Ok(()),
            false => Err(format!("{now}, {before} before")),
        }
    })
    .await;

    // and a server that begins anew on the store shows the same.
    let services: Vec<_> = (0..4).map(|n| format!("fleet-{n:03}")).collect();
    let url = Url::parse(&server.url).expect("it is one");
    let totals = shown(&url, &services).await.expect("the server answers");
    assert!(totals.errors() > 0 && totals.occurrences() > 0);
    server.stop().await;
    let again = Running::start(&config).await;
    let url = Url::parse(&again.url).expect("it is one");
    let kept = shown(&url, &services).await.expect("the server answers");
    assert_eq!(totals.differences(&kept), [], "what a store keeps");
    again.stop().await;
}

fn length() -> Duration {
    let told = std::env::var("PERISKOP_SOAK").ok().filter(|seconds| !seconds.is_empty());
    let seconds = told.map_or(Ok(120), |seconds| seconds.parse());
    Duration::from_secs(seconds.expect("PERISKOP_SOAK is a number of seconds"))
}

/// The tool, with its configuration in this place.
fn fleet(place: &Place, more: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_fleet"));
    command.args(FLEET.split_whitespace()).arg("--write-config").arg(place.file("fleet.yaml"));
    command.args(more);
    command
}

/// Whether the tool found the truth, and what it said.
async fn ended(mut playing: Child) -> (bool, String) {
    let mut said = String::new();
    let mut output = playing.stderr.take().expect("it is piped");
    let read = tokio::time::timeout(4 * PATIENCE, output.read_to_string(&mut said)).await;
    read.expect("the tool ends").expect("it can be read");
    let status = playing.wait().await.expect("a child can be waited for");
    (status.success(), said)
}

/// Where files are.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("a temporary directory"))
    }

    fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }
}

/// A store that can be taken away.
enum Store {
    Remote { database: Database, line: Proxy },
    File { path: PathBuf, lock: Option<SqliteConnection> },
}

impl Store {
    async fn fresh(place: &Place) -> Self {
        // Without a server this is no test that is skipped, but one on another store.
        let has_server =
            std::env::var(Server::Postgres.variable()).is_ok_and(|url| !url.is_empty());
        let database = match has_server {
            true => Database::fresh(Server::Postgres).await,
            false => None,
        };
        match database {
            Some(database) => Self::Remote { line: database.proxy(), database },
            None => Self::File { path: place.file("periskop.db"), lock: None },
        }
    }

    /// What the configuration says of it.
    fn configured(&self) -> String {
        match self {
            Self::Remote { database, line } => {
                format!("repository: {{type: postgres, dsn: '{}'}}\n", database.url_through(line))
            }
            Self::File { path, .. } => {
                format!("repository: {{type: sqlite, path: '{}'}}\n", path.display())
            }
        }
    }

    async fn go(&mut self) {
        match self {
            Self::Remote { line, .. } => line.cut().await,
            Self::File { path, lock } => {
                let options = SqliteConnectOptions::new().filename(path);
                let mut connection = options.connect().await.expect("the file is there");
                // If the server writes right now, it is not to be had, which is as good.
                if connection.execute("BEGIN IMMEDIATE").await.is_ok() {
                    *lock = Some(connection);
                }
            }
        }
    }

    async fn come_back(&mut self) {
        match self {
            Self::Remote { line, .. } => line.restore(),
            Self::File { lock, .. } => {
                if let Some(connection) = lock.take() {
                    connection.close().await.expect("a lock can be let go");
                }
            }
        }
    }
}

/// Somebody who listens to events, until it is dropped.
struct Stream(JoinHandle<()>);

impl Stream {
    fn open(server: &str) -> Self {
        let url = format!("{server}/api/v1/events");
        Self(tokio::spawn(async move {
            let Ok(answer) = http().get(url).send().await else { return };
            let mut events = answer.bytes_stream();
            while let Some(Ok(_)) = events.next().await {}
        }))
    }
}

impl Drop for Stream {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What a server holds.
#[derive(Clone, Copy)]
struct Held {
    memory: u64,
    files: usize,
    tasks: usize,
}

impl fmt::Display for Held {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} MiB, {} files, {} tasks", self.memory >> 20, self.files, self.tasks)
    }
}

/// The medians of the second and of the last quarter.
fn quarters(samples: &[Held]) -> (Held, Held) {
    let quarter = samples.len() / 4;
    let median = |samples: &[Held]| {
        let of = |mut all: Vec<u64>| {
            all.sort_unstable();
            all[all.len() / 2]
        };
        let count = |count: fn(&Held) -> u64| of(samples.iter().map(count).collect());
        let small = |n: u64| usize::try_from(n).expect("a count");
        Held {
            memory: count(|held| held.memory),
            files: small(count(|held| held.files as u64)),
            tasks: small(count(|held| held.tasks as u64)),
        }
    };
    assert!(quarter > 0, "too short to tell anything");
    (median(&samples[quarter..2 * quarter]), median(&samples[samples.len() - quarter..]))
}

/// A server, and where its system keeps what it holds.
struct Running {
    url: String,
    process: Process,
    client: reqwest::Client,
}

impl Running {
    async fn start(config: &Path) -> Self {
        let mut command = Command::new(workspace::binary("periskop-server"));
        command.arg("--config").arg(config).args(["--listen", "127.0.0.1:0"]);
        let mut process = Process::start(&mut command);
        let url = process.line_after("listening on ").await.trim_end_matches('/').to_owned();
        process.let_talk();
        let running = Self { url, process, client: http() };
        eventually("the server is ready", || async {
            let ready = running.client.get(format!("{}/-/ready", running.url)).send().await;
            ready.and_then(reqwest::Response::error_for_status).map(drop)
        })
        .await;
        running
    }

    async fn reload(&self) {
        let asked = self.client.post(format!("{}/-/reload", self.url)).send().await;
        let status = asked.expect("the server answers").status();
        assert!(status.is_success(), "a reload is answered with {status}");
    }

    async fn held(&self) -> Held {
        let process = PathBuf::from(format!("/proc/{}", self.process.id().expect("it runs")));
        let status = std::fs::read_to_string(process.join("status")).expect("the system tells");
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let resident = resident.and_then(|line| line.trim().strip_suffix(" kB")).expect("a size");
        let files = std::fs::read_dir(process.join("fd")).expect("the system tells").count();
        let metrics = self.client.get(format!("{}/metrics", self.url)).send().await;
        let metrics = metrics.expect("the server answers").text().await.expect("to the end");
        let tasks = metrics.lines().find_map(|line| line.strip_prefix("periskop_runtime_tasks "));
        Held {
            memory: resident.parse::<u64>().expect("a number") * 1024,
            files,
            tasks: tasks.expect("it counts its tasks").parse().expect("a number"),
        }
    }

    async fn stop(self) {
        let id = self.process.id().expect("it runs").to_string();
        let asked = Command::new("kill").args(["-TERM", &id]).status().await;
        assert!(asked.expect("there is kill").success());
        assert!(self.process.ended().await.success(), "a stop in order");
    }
}
