//! What stores cost: `cargo bench -p periskop-storage --bench stores -- [STORE…] [--errors N] [--in FOLDER]`.
//!
//! Stores: `sled`, `sqlite`, and `postgres` and `mysql` where `PERISKOP_POSTGRES` and
//! `PERISKOP_MYSQL` name a server (`scripts/with-databases` sets them); without any, all that are
//! there. A fleet of JVMs (30 to 60 frames a stack, half with a cause, ten headers) reports N
//! errors of 10 occurrences, 10,000 unless told otherwise. Then 1,000 of them happen once more, in
//! one commit, nine times; beside it, as a yardstick from the same run, the same library writes as
//! many bytes, durably, into a table of its own. What a store puts off until later is not in that:
//! so there are many such commits after it, first of the same 1,000 errors each time, then of all
//! errors in turn, and their mean is told. At last everything is loaded, as a server does
//! when it starts, phase by phase; beside it, the files are read, and the library reads all that is
//! in them.
//!
//! With `--in`, sled and SQLite are stored in that folder and stay there, for whoever wants to
//! start a server on them; where the folder has them already, they are only loaded.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may fail")]

mod clock;
mod fleet;
mod raw;
mod start;

use std::path::{Path, PathBuf};

use periskop_core::storage::Storage;
use periskop_core::testing::jvm::Payloads;
use periskop_core::wire::state::lines;
use periskop_core::{Delta, ReplicaId};
use periskop_storage::StoreSpec;

use clock::{Spent, Watch};
use fleet::Fleet;

/// Changed in one commit.
const CHANGED: usize = 1_000;

/// The instances that have them.
const TOGETHER: usize = CHANGED / Payloads::ERRORS;

/// Commits of which the median is told.
const COMMITS: usize = 9;

/// Commits of which the mean is told, with whatever had been put off.
const MANY: usize = 60;

#[tokio::main]
async fn main() {
    let (mut stores, mut errors, mut keep) = (Vec::new(), 10_000, None);
    let mut arguments = std::env::args().skip(1).filter(|argument| argument != "--bench");
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            "--errors" => errors = arguments.next().unwrap().parse().unwrap(),
            "--in" => keep = Some(PathBuf::from(arguments.next().unwrap())),
            store => stores.push(store.to_owned()),
        }
    }
    if stores.is_empty() {
        stores = ["sled", "sqlite", "postgres", "mysql"].map(str::to_owned).to_vec();
    }
    for store in stores {
        let temporary = tempfile::tempdir().unwrap();
        let folder = keep.as_deref().unwrap_or(temporary.path());
        let (sled, sqlite) = (folder.join("sled"), folder.join("periskop.db"));
        let is_there = match store.as_str() {
            "sled" => sled.exists(),
            "sqlite" => sqlite.exists(),
            _ => false,
        };
        let spec = match store.as_str() {
            "sled" => Some(StoreSpec::sled(sled).unwrap()),
            "sqlite" => Some(StoreSpec::sqlite(sqlite).unwrap()),
            server => {
                let variable = format!("PERISKOP_{}", server.to_uppercase());
                fresh_database(server, std::env::var(&variable).ok()).await
            }
        };
        match spec {
            Some(spec) => {
                if !is_there {
                    write(&store, &spec, folder, temporary.path(), errors).await;
                }
                start::measure(&store, &spec).await;
            }
            None => println!("{store}: no server is named, skipped"),
        }
    }
}

async fn write(name: &str, spec: &StoreSpec, folder: &Path, beside: &Path, errors: usize) {
    let mut fleet = Fleet::new();
    let mut store = periskop_storage::open(spec);
    store.identify(ReplicaId::from_u64(1)).await.unwrap();
    let instances = errors / Payloads::ERRORS;
    let mut filling = Spent::default();
    while fleet.instances() < instances {
        let mut delta = Delta::default();
        for _ in 0..TOGETHER.min(instances - fleet.instances()) {
            delta.append(fleet.begin());
        }
        let watch = Watch::start();
        store.commit(&delta).await.unwrap();
        filling += watch.stop();
        if fleet.instances().is_multiple_of(500) {
            eprintln!("{name}: {} of {errors} errors", fleet.instances() * Payloads::ERRORS);
        }
    }
    println!("{name}: {errors} errors of {} occurrences", Payloads::OCCURRENCES);
    println!("  fill: {filling}, for 1,000 errors {}", filling / (errors as f64 / 1e3));
    if let Some(size) = size(spec, folder).await {
        println!("  size: {} MB, {} bytes an error", size >> 20, size / errors as u64);
    }

    let mut commits = Vec::new();
    let mut bytes = 0;
    for _ in 0..COMMITS {
        let delta = fleet.grow(0..TOGETHER);
        assert_eq!(delta.changed().len(), CHANGED);
        bytes = lines(delta.state()).map(|(_, line)| line.len()).sum();
        let watch = Watch::start();
        store.commit(&delta).await.unwrap();
        commits.push(watch.stop());
    }
    let mut yardstick = Vec::new();
    for table in 0..3 {
        yardstick.push(raw::write(spec, beside, table, CHANGED, bytes / CHANGED).await);
    }
    let cpu = commits.iter().copied().sum::<Spent>().cpu / COMMITS as f64;
    let (median, raw) = (median(&mut commits), median(&mut yardstick));
    println!(
        "  commit of {CHANGED} changed errors: {:.1} ms, cpu {:.1} ms; raw, {} KB: {:.1} ms; \
         ratio {:.1}",
        median * 1e3,
        cpu * 1e3,
        bytes >> 10,
        raw * 1e3,
        median / raw
    );
    many(&mut fleet, &mut *store, "of the same errors", 1).await;
    many(&mut fleet, &mut *store, "of all errors in turn", instances / TOGETHER).await;
    let watch = Watch::start();
    store.commit(&Delta::default()).await.unwrap();
    println!("  nothing changed: {}", watch.stop());
    store.close().await.unwrap();
}

/// Commits of which each one changes one of so many parts of the errors.
async fn many(fleet: &mut Fleet, store: &mut dyn Storage, which: &str, parts: usize) {
    let mut commits = Vec::new();
    for commit in 0..MANY {
        let first = commit % parts * TOGETHER;
        let delta = fleet.grow(first..first + TOGETHER);
        let watch = Watch::start();
        store.commit(&delta).await.unwrap();
        commits.push(watch.stop());
    }
    let longest = commits.iter().map(|spent| spent.wall).fold(0.0, f64::max);
    let mean = commits.iter().copied().sum::<Spent>() / MANY as f64;
    println!(
        "  {MANY} of them, {which}: mean {mean}; median {:.1} ms, longest {:.1} ms",
        median(&mut commits) * 1e3,
        longest * 1e3
    );
}

fn median(spent: &mut [Spent]) -> f64 {
    spent.sort_unstable_by(|a, b| a.wall.total_cmp(&b.wall));
    spent[spent.len() / 2].wall
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
