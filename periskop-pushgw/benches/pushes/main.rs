//! What a gateway takes: pushes a second over 64 connections, and a day of one-shot jobs.
//!
//! ```text
//! cargo bench -p periskop-pushgw --bench pushes -- [--seconds N] [--storage STORE] [--jobs N]
//! ```
//!
//! The gateway is the real binary, on one processor where `taskset` is there. The yardstick, in the
//! same run, is the same gateway answering a push that has nothing in it: what is above it is
//! reading, merging and storing. Processor time and memory are those of the gateway's process, read
//! from `/proc`: elsewhere they are not told.

mod drive;
mod gateway;
mod payload;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use drive::{Driven, drive};
use gateway::Gateway;
use payload::{Job, NOTHING, Worker};

/// Connections at a time, each with a worker of its own.
const CONNECTIONS: usize = 64;

fn main() -> ExitCode {
    let Some(asked) = Asked::parse(std::env::args().skip(1)) else {
        eprintln!("usage: pushes [--seconds N] [--storage STORE] [--jobs N]");
        return ExitCode::FAILURE;
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    runtime.expect("a runtime").block_on(measure(&asked));
    ExitCode::SUCCESS
}

struct Asked {
    seconds: u64,
    storage: String,
    jobs: usize,
}

impl Asked {
    fn parse(arguments: impl Iterator<Item = String>) -> Option<Self> {
        let mut asked = Self { seconds: 10, storage: "memory".into(), jobs: 100_000 };
        // Cargo says what kind of a run it is.
        let mut arguments = arguments.filter(|argument| argument != "--bench");
        while let Some(name) = arguments.next() {
            let value = arguments.next()?;
            match name.as_str() {
                "--seconds" => asked.seconds = value.parse().ok()?,
                "--storage" => asked.storage = value,
                "--jobs" => asked.jobs = value.parse().ok()?,
                _ => return None,
            }
        }
        Some(asked)
    }
}

async fn measure(asked: &Asked) {
    let gateway = Gateway::start(&asked.storage);
    let bytes = Worker::new(0).next().len();
    eprintln!(
        "{CONNECTIONS} connections, payloads of {bytes} bytes, storage {}, processors of the \
         gateway: {}",
        gateway.storage, gateway.processors
    );

    let until = |seconds| Instant::now() + Duration::from_secs(seconds);
    let nothing = timed(&gateway, || (0..CONNECTIONS).map(|_| || NOTHING.to_vec()), until(3)).await;
    tell("a push with nothing in it", &nothing, None);

    let workers = || {
        (0..CONNECTIONS).map(|n| {
            let mut worker = Worker::new(n);
            move || worker.next()
        })
    };
    // The first round is what fills the memory.
    timed(&gateway, workers, until(2)).await;
    let before = gateway.memory();
    let pushes = timed(&gateway, workers, until(asked.seconds)).await;
    tell("a worker's push after an exception", &pushes, Some(&nothing));
    eprintln!("memory: {} before, {} after", mebibytes(before), mebibytes(gateway.memory()));

    let jobs = asked.jobs;
    let day = || {
        (0..CONNECTIONS).map(|n| {
            let mut job = n;
            move || {
                let body = Job::new(job).push();
                job += CONNECTIONS;
                body
            }
        })
    };
    let driven = drive_jobs(&gateway, day, jobs).await;
    tell(&format!("{jobs} jobs with a uuid of their own, each once"), &driven, None);
    eprintln!("memory: {}", mebibytes(gateway.memory()));
    let (begun, cpu) = (Instant::now(), gateway.cpu());
    let export = drive::get(&gateway.address, "/-/errors").await;
    eprintln!(
        "then an export: {:.1} MB, {:.0} ms, {:.0} ms of the gateway's processor",
        export as f64 / 1e6,
        begun.elapsed().as_secs_f64() * 1e3,
        (gateway.cpu() - cpu).as_secs_f64() * 1e3
    );
}

/// Pushes a second, and what they cost.
struct Timed {
    driven: Driven,
    /// The gateway's processor time.
    cpu: Duration,
}

async fn timed<B, I>(gateway: &Gateway, bodies: impl Fn() -> I, until: Instant) -> Timed
where
    B: FnMut() -> Vec<u8>,
    I: Iterator<Item = B>,
{
    let cpu = gateway.cpu();
    let driven = drive(&gateway.address, bodies(), |_| Instant::now() < until).await;
    Timed { driven, cpu: gateway.cpu() - cpu }
}

async fn drive_jobs<B, I>(gateway: &Gateway, bodies: impl Fn() -> I, jobs: usize) -> Timed
where
    B: FnMut() -> Vec<u8>,
    I: Iterator<Item = B>,
{
    let cpu = gateway.cpu();
    let each = jobs.div_ceil(CONNECTIONS);
    let driven = drive(&gateway.address, bodies(), |pushed| pushed < each).await;
    Timed { driven, cpu: gateway.cpu() - cpu }
}

fn tell(what: &str, timed: &Timed, yardstick: Option<&Timed>) {
    let Timed { driven, cpu } = timed;
    let each = |timed: &Timed| timed.cpu.as_secs_f64() * 1e6 / timed.driven.count() as f64;
    let ratio = yardstick.map_or_else(String::new, |nothing| {
        format!(", {:.1} x that of nothing", each(timed) / each(nothing))
    });
    eprintln!(
        "{what}: {:.0}/s ({} in {:.1} s), p50 {:.1} ms, p99 {:.1} ms, processor {:.0} us each{ratio}{}",
        driven.per_second(),
        driven.count(),
        driven.took.as_secs_f64(),
        driven.quantile(0.5).as_secs_f64() * 1e3,
        driven.quantile(0.99).as_secs_f64() * 1e3,
        cpu.as_secs_f64() * 1e6 / driven.count() as f64,
        if driven.refused > 0 { format!(", {} REFUSED", driven.refused) } else { String::new() },
    );
}

fn mebibytes(bytes: u64) -> String {
    format!("{:.0} MiB", bytes as f64 / 1024.0 / 1024.0)
}
