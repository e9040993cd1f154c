//! What a fleet costs in which nothing happens.

use std::path::Path;
use std::time::Duration;

use tokio::time::sleep;

use super::super::Outcome;
use super::super::args::Args;
use super::super::session::{Stage, repository};
use super::super::table::{Goal, Row};
use crate::fleet::Plan;

/// A log in which each statement is a line.
const STATEMENTS: &str = "warn,sqlx::query=debug";
/// Cycles after which nothing of the first sight is left to be done: a store is asked once more, some
/// seconds after the last commit, whether others have written meanwhile.
const SETTLED: u32 = 15;

pub(super) async fn rows(args: &Args) -> Outcome<Vec<Row>> {
    let plan = Plan { instances: 50, interval: Duration::from_secs(1), ..Plan::default() };
    let errors = plan.instances * plan.errors;
    let stage = Stage::set(plan, |directory| repository("sqlite", directory))?;
    let (server, _) = stage.server(args, STATEMENTS).await?;
    stage.seen(&server, errors).await?;
    sleep(stage.interval() * SETTLED).await;
    let log = stage.path("server.log");
    let before = (statements(&log)?, server.account.written()?);
    if before.0 == 0 {
        return Err("no statement is in the log, not even those of the first sight".into());
    }
    let cycles = 10_u32;
    sleep(stage.interval() * cycles).await;
    let after = (statements(&log)?, server.account.written()?);
    let each = |n: u64| n as f64 / f64::from(cycles);
    Ok(vec![
        Row::new("idle cycle, statements", each(after.0 - before.0), "").goal(Goal::AtMost(0.0)),
        Row::new("idle cycle, bytes written", each(after.1 - before.1), "").goal(Goal::AtMost(0.0)),
    ])
}

fn statements(log: &Path) -> Outcome<u64> {
    let log = std::fs::read_to_string(log)?;
    Ok(log.lines().filter(|line| line.contains("summary=")).count() as u64)
}
