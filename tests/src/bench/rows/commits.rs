//! What a store takes to make a thousand changed errors durable.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;
use std::time::{Duration, Instant};

use periskop_core::target::Labels;
use periskop_core::wire::exporter::{Options, parse};
use periskop_core::wire::state::lines;
use periskop_core::{Delta, Observer, ReplicaId, ServiceName, Settings};
use periskop_storage::StoreSpec;

use super::super::Outcome;
use super::super::args::Args;
use super::super::table::{Goal, Row, median};
use crate::fleet::serve::now;
use crate::fleet::{Encoding, Fleet, Pace, Plan, Reply};

/// Instances whose 20 errors change in one commit.
const CHANGED: u32 = 50;

pub(super) async fn rows(args: &Args) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for (store, goal) in [("sled", 40.0), ("sqlite", 40.0), ("postgres", 150.0), ("mysql", 150.0)] {
        let directory = tempfile::tempdir()?;
        let spec = match store {
            "sled" | "sqlite" => format!("{store}:{}", directory.path().join("store").display()),
            server => match crate::store::Store::fresh(server).await {
                Some(store) => store.spec.clone(),
                None => continue,
            },
        };
        let (commit, file, bytes) =
            commits(args, &StoreSpec::parse(&spec)?, directory.path()).await?;
        let what = format!("commit of 1,000 changed errors ({} KB), {store}", bytes / 1000);
        let row = Row::new(what, commit, "ms").by("a file with as many bytes, synchronised", file);
        rows.push(row.goal(Goal::AtMost(goal)));
    }
    Ok(rows)
}

/// Milliseconds of a commit and of a file, and the bytes of the latter.
async fn commits(args: &Args, spec: &StoreSpec, directory: &Path) -> Outcome<(f64, f64, usize)> {
    let begun = now();
    let instances = if args.quick { 100 } else { 500 };
    let plan = Plan { instances, changes: Pace::PerScrape(20), kept: 0, ..Plan::default() };
    let mut fleet = Fleet::new(plan, begun);
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), begun);
    let mut round = |instances: std::ops::Range<u32>, minute: u64| -> Outcome<Delta> {
        let at = begun.plus(Duration::from_secs(60 * minute));
        let mut delta = Delta::default();
        for serial in instances {
            let Reply::Honest(answer) = fleet.answer(serial, Encoding::Identity, at) else {
                return Err("an instance is not honest".into());
            };
            let report = parse(&answer.parts.concat(), at, &Options::default())?;
            let url = format!("http://{serial}/");
            let service = ServiceName::from("s");
            delta.append(observer.scraped(at, &service, &url, &Labels::new(), report));
        }
        Ok(delta)
    };
    let mut store = periskop_storage::open(spec);
    store.identify(ReplicaId::from_u64(1)).await?;
    let all = u32::try_from(instances)?;
    for first in (0..all).step_by(50) {
        store.commit(&round(first..(first + 50).min(all), 0)?).await?;
    }
    let (mut commits, mut files, mut bytes) = (Vec::new(), Vec::new(), 0);
    for minute in 1..=args.rounds() as u64 {
        let delta = round(0..CHANGED, minute)?;
        let text: String = lines(delta.state()).map(|(_, line)| line).collect();
        bytes = text.len();
        let time = Instant::now();
        store.commit(&delta).await?;
        commits.push(time.elapsed().as_secs_f64() * 1e3);
        let time = Instant::now();
        let mut file = File::create(directory.join("raw"))?;
        file.write_all(text.as_bytes())?;
        file.sync_all()?;
        files.push(time.elapsed().as_secs_f64() * 1e3);
    }
    store.close().await?;
    Ok((median(&mut commits), median(&mut files), bytes))
}
