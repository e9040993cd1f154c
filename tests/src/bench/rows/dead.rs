//! Whether slow or dead targets delay the others.

use std::time::Duration;

use tokio::time::sleep;

use super::super::Outcome;
use super::super::args::Args;
use super::super::session::Stage;
use super::super::table::{Goal, Row};
use crate::fleet::{Hostility, Plan};

const HEALTHY: usize = 20;
const HUNG: usize = 16;

pub(super) async fn rows(args: &Args) -> Outcome<Vec<Row>> {
    let alone = intervals(args, 0).await?;
    let beside = intervals(args, HUNG).await?;
    let told = |what: &str, beside: f64, alone: f64| {
        let what =
            format!("interval of {HEALTHY} healthy targets of 1 s, {what}, beside {HUNG} hung");
        Row::new(what, beside, "ms").by("no hung targets", alone).goal(Goal::Times(1.1))
    };
    Ok(vec![told("p50", beside.0, alone.0), told("longest", beside.1, alone.1)])
}

/// Median and longest interval of the healthy targets, in milliseconds.
async fn intervals(args: &Args, hung: usize) -> Outcome<(f64, f64)> {
    let plan = Plan {
        instances: HEALTHY + hung,
        errors: 2,
        interval: Duration::from_secs(1),
        hostile: vec![(Hostility::Hang, hung)],
        ..Plan::default()
    };
    let stage = Stage::set(plan, |_| String::new())?;
    let (server, _) = stage.server(args, "error").await?;
    stage.seen(&server, HEALTHY * 2).await?;
    stage.fleet.lock().note_requests();
    sleep(Duration::from_secs(if args.quick { 10 } else { 30 })).await;
    let mut intervals = stage.fleet.lock().intervals();
    intervals.sort_unstable();
    let at = |place: usize| intervals.get(place).map_or(0.0, |i| i.as_secs_f64() * 1e3);
    let (median, longest) = (at(intervals.len() / 2), at(intervals.len().saturating_sub(1)));
    if intervals.len() < HEALTHY {
        return Err("healthy targets were not scraped".into());
    }
    Ok((median, longest))
}
