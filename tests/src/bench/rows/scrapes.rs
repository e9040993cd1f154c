//! What a scrape costs: with nothing new, with one new occurrence, with everything new.

use std::time::Duration;

use super::super::Outcome;
use super::super::args::Args;
use super::super::session::Session;
use super::super::table::{Goal, Row, median};
use crate::fleet::{Pace, Plan};

const INTERVAL: Duration = Duration::from_millis(500);
const BARE: &str = "the same HTTP client reading and dropping the body";

/// 200 instances with one error of 7 occurrences each.
pub(super) async fn small(args: &Args) -> Outcome<Vec<Row>> {
    let plan =
        Plan { instances: 200, errors: 1, occurrences: 7, interval: INTERVAL, ..Plan::default() };
    let session = Session::begin(args, plan, "memory").await?.beside_bare().await?;
    let (mut server, mut bare) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds() {
        let each = session.window(args.window()).await?;
        server.push(each.server);
        bare.push(each.bare);
    }
    Ok(vec![unchanged("unchanged scrape, 50 KB", server, bare)])
}

fn unchanged(what: &str, server: Vec<f64>, bare: Vec<f64>) -> Row {
    // The two of one moment belong together.
    let mut pairs: Vec<_> = server.into_iter().zip(bare).collect();
    pairs.sort_by(|(a, b), (c, d)| (a / b).total_cmp(&(c / d)));
    let (server, bare) = pairs.get(pairs.len() / 2).copied().unwrap_or_default();
    Row::new(what, server, "us").by(BARE, bare).goal(Goal::Times(2.0))
}

/// 20 instances with 20 errors of 10 occurrences each, listed in any order.
pub(super) async fn large(args: &Args) -> Outcome<Vec<Row>> {
    let plan = Plan { instances: 20, interval: INTERVAL, ..Plan::default() };
    let errors = plan.errors;
    let session = Session::begin(args, plan, "memory").await?.beside_bare().await?;
    let (mut nothing, mut bare) = (Vec::new(), Vec::new());
    let (mut one, mut everything) = (Vec::new(), Vec::new());
    for _ in 0..args.rounds() {
        let each = session.window_with(Pace::Never, args.window()).await?;
        nothing.push(each.server);
        bare.push(each.bare);
        one.push(session.window_with(Pace::PerScrape(1), args.window()).await?.server);
        let all = session.window_with(Pace::PerScrape(errors), args.window()).await?;
        everything.push(all.server);
    }
    let usual = median(&mut nothing.clone());
    Ok(vec![
        unchanged("unchanged scrape, 1.4 MB, errors in any order", nothing, bare),
        Row::new("one new occurrence in one of 20 errors", median(&mut one), "us")
            .by("the unchanged scrape", usual)
            .goal(Goal::Times(1.2)),
        Row::new(
            "everything changed, 1.4 MB, from the socket to the list",
            median(&mut everything),
            "us",
        )
        .by("the unchanged scrape", usual),
    ])
}

/// What one new occurrence costs on top of an unchanged scrape, stored and searchable.
pub(super) async fn occurrence(args: &Args) -> Outcome<Vec<Row>> {
    let mut rows = Vec::new();
    for store in ["sqlite", "sled"] {
        let plan = Plan { instances: 50, interval: INTERVAL, ..Plan::default() };
        let session = Session::begin(args, plan, store).await?;
        let mut more = Vec::new();
        for _ in 0..args.rounds() {
            let before = session.window_with(Pace::Never, args.window()).await?;
            let with = session.window_with(Pace::PerScrape(1), args.window()).await?;
            more.push(with.server - before.server);
        }
        let what = format!("new occurrence, durable and searchable ({store})");
        rows.push(Row::new(what, median(&mut more), "us").goal(Goal::AtMost(350.0)));
    }
    Ok(rows)
}
