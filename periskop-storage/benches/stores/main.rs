//! What stores cost: `cargo bench -p periskop-storage --bench stores -- [STORE…] [--errors N]`.
//!
//! Stores: `sled`, `sqlite`, and `postgres` and `mysql` where `PERISKOP_POSTGRES` and
//! `PERISKOP_MYSQL` name a server (`scripts/with-databases` sets them); without any, all that are
//! there. A fleet of JVMs (30 to 60 frames a stack, half with a cause, ten headers) reports N
//! errors of 10 occurrences, 10,000 unless told otherwise. Then 1,000 of them happen once more, in
//! one commit, five times; beside it, as a yardstick from the same run, the same library writes as
//! many bytes, durably, into a table of its own.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may fail")]

mod raw;

use std::path::Path;
use std::time::{Duration, Instant};

use periskop_core::target::Labels;
use periskop_core::testing::jvm::Payloads;
use periskop_core::wire::state::lines;
use periskop_core::{Delta, Observer, ReplicaId, Report, ServiceName, Settings, Timestamp};
use periskop_storage::StoreSpec;

/// Changed in one commit.
const CHANGED: usize = 1_000;

/// Commits of which the median is told.
const COMMITS: usize = 5;

#[tokio::main]
async fn main() {
    let (mut stores, mut errors) = (Vec::new(), 10_000);
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--errors" => errors = arguments.next().unwrap().parse().unwrap(),
            store => stores.push(store.to_owned()),
        }
    }
    if stores.is_empty() {
        stores = ["sled", "sqlite", "postgres", "mysql"].map(str::to_owned).to_vec();
    }
    for store in stores {
        let folder = tempfile::tempdir().unwrap();
        let spec = match store.as_str() {
            "sled" => Some(StoreSpec::sled(folder.path().join("sled")).unwrap()),
            "sqlite" => Some(StoreSpec::sqlite(folder.path().join("periskop.db")).unwrap()),
            server => {
                let variable = format!("PERISKOP_{}", server.to_uppercase());
                fresh_database(server, std::env::var(&variable).ok()).await
            }
        };
        match spec {
            Some(spec) => measure(&store, &spec, folder.path(), errors).await,
            None => println!("{store}: no server is named, skipped"),
        }
    }
}

async fn measure(name: &str, spec: &StoreSpec, folder: &Path, errors: usize) {
    let mut fleet = Fleet::new();
    let mut store = periskop_storage::open(spec);
    store.identify(ReplicaId::from_u64(1)).await.unwrap();
    let instances = errors / Payloads::ERRORS;
    let mut filling = Duration::ZERO;
    for first in (0..instances).step_by(CHANGED / Payloads::ERRORS) {
        let mut delta = Delta::default();
        for instance in first..(first + CHANGED / Payloads::ERRORS).min(instances) {
            delta.append(fleet.begin(instance));
        }
        let commit = Instant::now();
        store.commit(&delta).await.unwrap();
        filling += commit.elapsed();
        if first % 500 == 0 && first > 0 {
            eprintln!("{name}: {} of {errors} errors", first * Payloads::ERRORS);
        }
    }
    let per_thousand = filling.as_secs_f64() * 1e6 / errors as f64;
    println!("{name}: {errors} errors of {} occurrences", Payloads::OCCURRENCES);
    println!("  fill: {filling:.1?}, {per_thousand:.0} ms per 1,000 errors");
    if let Some(size) = size(spec, folder).await {
        println!("  size: {} MB, {} bytes an error", size >> 20, size / errors as u64);
    }

    let mut commits = Vec::new();
    let mut bytes = 0;
    for _ in 0..COMMITS {
        let delta = fleet.grow(CHANGED / Payloads::ERRORS);
        assert_eq!(delta.changed().len(), CHANGED);
        bytes = lines(delta.state()).map(|(_, line)| line.len()).sum();
        let begun = Instant::now();
        store.commit(&delta).await.unwrap();
        commits.push(begun.elapsed());
    }
    let raw = raw::write(spec, folder, CHANGED, bytes / CHANGED).await;
    let median = median(&mut commits);
    println!(
        "  commit of {CHANGED} changed errors: {median:.1?}; raw, {} KB: {raw:.1?}; ratio {:.1}",
        bytes >> 10,
        median.as_secs_f64() / raw.as_secs_f64()
    );
    let begun = Instant::now();
    store.commit(&Delta::default()).await.unwrap();
    println!("  nothing changed: {:.1?}", begun.elapsed());
    store.close().await.unwrap();
    drop(store);

    let mut store = periskop_storage::open(spec);
    let begun = Instant::now();
    let loaded = store.load().await.unwrap();
    println!("  load: {:.2?}", begun.elapsed());
    assert_eq!(loaded.state.errors().count(), errors);
}

/// Instances that report.
struct Fleet {
    observer: Observer,
    made: Payloads,
    now: Timestamp,
    reports: Vec<Report>,
}

impl Fleet {
    fn new() -> Self {
        let now = Timestamp::from_micros(1_772_323_200_000_000);
        let observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
        Self { observer, made: Payloads::new(), now, reports: Vec::new() }
    }

    fn begin(&mut self, instance: usize) -> Delta {
        let report = self.made.report(instance, self.now);
        if self.reports.len() < CHANGED / Payloads::ERRORS {
            self.reports.push(report.clone());
        }
        self.scrape(instance, report)
    }

    /// All errors of the first instances happen once more.
    fn grow(&mut self, instances: usize) -> Delta {
        let mut delta = Delta::default();
        for instance in 0..instances {
            let report = std::mem::take(&mut self.reports[instance]);
            let later = self.now.plus(Duration::from_secs(60));
            let report = self.made.grown(report, later);
            self.reports[instance] = report.clone();
            delta.append(self.scrape(instance, report));
        }
        delta
    }

    fn scrape(&mut self, instance: usize, report: Report) -> Delta {
        self.now = self.now.plus(Duration::from_millis(100));
        let service = ServiceName::from(format!("service-{}", instance / 100));
        let url = format!("http://10.0.{}.{}:8080/-/exceptions", instance / 250, instance % 250);
        let labels = Labels::from([("instance", &url[7..]), ("zone", "a")]);
        self.observer.scraped(self.now, &service, &url, &labels, report)
    }
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

/// What the store takes on disk, in bytes.
async fn size(spec: &StoreSpec, folder: &Path) -> Option<u64> {
    match spec {
        StoreSpec::Sled(_) | StoreSpec::Sqlite(_) => Some(raw::size_of_files(folder)),
        spec => raw::size_of_tables(spec).await,
    }
}

/// A database of this bench's own.
async fn fresh_database(server: &str, url: Option<String>) -> Option<StoreSpec> {
    let mut url = url::Url::parse(&url?).unwrap();
    let name = format!("periskop_bench_{:08x}", rand::random::<u32>());
    raw::run(server, url.as_str(), &format!("CREATE DATABASE {name}")).await;
    url.set_path(&name);
    Some(StoreSpec::parse(url.as_str()).unwrap())
}
