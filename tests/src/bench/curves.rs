//! How cost grows: with targets, with errors, with changes, with incarnations of one error.
//!
//! Each point is a real server that scrapes a real fleet. What is drawn is CPU time of the server's
//! process, its resident memory, and times of its answers.

use std::path::Path;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};
use tokio::time::sleep;

use super::args::Args;
use super::server::Server;
use super::session::Stage;
use super::{Outcome, plot, say};
use crate::fleet::drive::{Asked, ask};
use crate::fleet::serve::now;
use crate::fleet::{Pace, Plan, Size};

/// Everything that is drawn.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Curves {
    /// How it was measured.
    pub(super) command: String,
    pub(super) charts: Vec<Chart>,
}

/// One picture.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Chart {
    /// Its file, without an ending.
    pub(super) name: String,
    pub(super) title: String,
    /// What grows.
    pub(super) across: String,
    pub(super) series: Vec<Series>,
}

/// One line of a picture, in a unit of its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Series {
    pub(super) name: String,
    pub(super) unit: String,
    /// How many there were of what grows, and what was measured.
    pub(super) points: Vec<(f64, f64)>,
}

impl Chart {
    fn new(name: &str, title: &str, across: &str, series: &[(&str, &str)]) -> Self {
        let series = series.iter().map(|(name, unit)| Series {
            name: (*name).to_owned(),
            unit: (*unit).to_owned(),
            points: Vec::new(),
        });
        let (name, title, across) = (name.to_owned(), title.to_owned(), across.to_owned());
        Self { name, title, across, series: series.collect() }
    }

    fn point(&mut self, n: usize, values: &[f64]) {
        let told: Vec<_> = self
            .series
            .iter_mut()
            .zip(values)
            .map(|(series, value)| {
                // Nothing has no logarithm.
                if *value > 0.0 {
                    series.points.push((n as f64, *value));
                }
                format!("{} {value:.3} {}", series.name, series.unit)
            })
            .collect();
        say(&format!("   {n} {}: {}", self.across, told.join(", ")));
    }
}

pub(super) async fn run(args: &Args, into: &Path) -> Outcome<()> {
    let quick = if args.quick { " --quick" } else { "" };
    let mut curves = Curves { command: format!("scripts/bench curves{quick}"), charts: Vec::new() };
    let most = |n: usize| if args.quick { n / 10 } else { n };
    curves.charts.push(targets(args, most(10_000)).await?);
    curves.charts.push(errors(args, most(100_000)).await?);
    curves.charts.push(changes(args, most(10_000)).await?);
    curves.charts.push(incarnations(args, most(100_000)).await?);
    std::fs::create_dir_all(into)?;
    let data = into.join("curves.json");
    std::fs::write(&data, serde_json::to_vec_pretty(&curves)?)?;
    plot::draw(&data, into)
}

/// 1, 10, 100 and so on, from one number to another.
fn decades(from: usize, to: usize) -> impl Iterator<Item = usize> {
    std::iter::successors(Some(from), |n| n.checked_mul(10)).take_while(move |n| *n <= to)
}

const MEMORY: (&str, &str) = ("resident memory", "MB");

fn resident(server: &Server) -> Outcome<f64> {
    Ok(server.account.resident()? as f64 / 1e6)
}

/// Milliseconds of CPU time that a cycle takes, watched for some cycles.
async fn cycle(stage: &Stage, server: &Server, cycles: u32) -> Outcome<f64> {
    let before = server.account.cpu()?;
    sleep(stage.interval() * cycles).await;
    let cpu = server.account.cpu()?.saturating_sub(before);
    Ok(cpu.as_secs_f64() * 1e3 / f64::from(cycles))
}

/// More and more targets of two errors each, in which nothing happens.
async fn targets(args: &Args, most: usize) -> Outcome<Chart> {
    let title = "Targets, nothing new: what a cycle of scrapes costs";
    let mut chart =
        Chart::new("targets", title, "targets", &[("CPU time of a cycle", "ms"), MEMORY]);
    for instances in decades(10, most) {
        let plan = Plan {
            instances,
            errors: 2,
            interval: Duration::from_secs(10),
            // All of them share 200 errors: memory is that of targets.
            services: (instances / 100).clamp(1, 100),
            shared: true,
            ..Plan::default()
        };
        let errors = plan.services * plan.errors;
        let stage = Stage::set(plan, |_| String::new())?;
        let (server, _) = stage.server(args, "error").await?;
        stage.seen(&server, errors).await?;
        stage.answered(2 * instances as u64).await?;
        let cpu = cycle(&stage, &server, 2).await?;
        chart.point(instances, &[cpu, resident(&server)?]);
        server.stop().await?;
    }
    Ok(chart)
}

/// More and more errors of ten occurrences as JVMs report them.
async fn errors(args: &Args, most: usize) -> Outcome<Chart> {
    let title = "Errors: what they cost to take in, to keep and to look through";
    let series = [
        ("CPU time of first sight", "ms"),
        MEMORY,
        ("search, p50", "ms"),
        ("list page, p50", "ms"),
    ];
    let mut chart = Chart::new("errors", title, "errors", &series);
    for errors in decades(10, most) {
        let instances = errors.div_ceil(20);
        let plan = Plan {
            instances,
            errors: errors / instances,
            interval: Duration::from_secs(if errors > 20_000 { 60 } else { 10 }),
            kept: 0,
            ..Plan::default()
        };
        let stage = Stage::set(plan, |_| String::new())?;
        let (server, _) = stage.server(args, "error").await?;
        let before = server.account.cpu()?;
        stage.seen(&server, errors).await?;
        let cpu = server.account.cpu()?.saturating_sub(before).as_secs_f64() * 1e3;
        stage.answered(instances as u64).await?;
        let memory = resident(&server)?;
        stage.rewrite(&server, Duration::from_secs(6 * 3600)).await?;
        let search = median_ms(args, &server, Asked::Searches).await?;
        let list = median_ms(args, &server, Asked::list()).await?;
        chart.point(errors, &[cpu, memory, search, list]);
        server.stop().await?;
    }
    Ok(chart)
}

async fn median_ms(args: &Args, server: &Server, asked: Asked) -> Outcome<f64> {
    let (url, time) = (server.url.clone(), args.window());
    let asking = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(ask(&url, &asked, 1, time))
    });
    Ok(asking.await??.p50_ms)
}

/// A fleet with more and more new occurrences in a cycle. What it costs if nothing is new is taken off.
async fn changes(args: &Args, most: usize) -> Outcome<Chart> {
    let title = "Changes: what new occurrences cost on top of a cycle without any";
    let mut chart = Chart::new("changes", title, "changes per cycle", &[("CPU time", "ms")]);
    let plan = Plan {
        instances: most.div_ceil(20).max(10),
        interval: Duration::from_secs(10),
        kept: 1 << 30,
        ..Plan::default()
    };
    let errors = plan.instances * plan.errors;
    let instances = plan.instances as u64;
    let stage = Stage::set(plan, |_| String::new())?;
    let (server, _) = stage.server(args, "error").await?;
    stage.seen(&server, errors).await?;
    stage.answered(instances).await?;
    for changes in decades(1, most) {
        // The two of one moment belong together; below some hundred the difference is noise.
        let mut more = Vec::new();
        for _ in 0..if args.quick { 1 } else { 3 } {
            stage.change(Pace::Never);
            stage.answered(instances).await?;
            let before = cycle(&stage, &server, 1).await?;
            stage.change(Pace::PerCycle(changes as f64));
            stage.answered(instances).await?;
            more.push(cycle(&stage, &server, 1).await? - before);
        }
        let cost = super::table::median(&mut more);
        // Less than nothing says only that it is less than the noise, and is left out.
        chart.point(changes, &[cost]);
    }
    server.stop().await?;
    Ok(chart)
}

/// One error of all instances, whose processes restart before every scrape.
async fn incarnations(args: &Args, most: usize) -> Outcome<Chart> {
    let title = "Incarnations of one error: what each further one costs";
    let series = [("CPU time of one more", "us"), MEMORY, ("the error's page, p50", "ms")];
    let mut chart = Chart::new("incarnations", title, "incarnations", &series);
    for incarnations in decades(1, most) {
        // Ten lives of each instance, so that a server sees most of them end.
        let instances = (incarnations / 10).max(1);
        let plan = Plan {
            instances,
            errors: 1,
            occurrences: 1,
            size: Size::Small,
            shared: true,
            interval: Duration::from_secs(1),
            ..Plan::default()
        };
        let interval = plan.interval;
        let stage = Stage::set(plan, |_| String::new())?;
        let (server, _) = stage.server(args, "error").await?;
        stage.seen(&server, 1).await?;
        stage.answered(instances as u64).await?;
        let idle = cycle(&stage, &server, 3).await? / interval.as_secs_f64();
        let lives = |stage: &Stage| stage.fleet.lock().happened().restarts;
        stage.fleet.lock().set_restarts(Pace::PerScrape(1), now());
        let (begun, before) = (Instant::now(), server.account.cpu()?);
        let more = incarnations.saturating_sub(instances) as u64;
        while lives(&stage) < more {
            sleep(Duration::from_millis(20)).await;
        }
        stage.fleet.lock().set_restarts(Pace::Never, now());
        let cpu = server.account.cpu()?.saturating_sub(before).as_secs_f64() * 1e3;
        let cpu = (cpu - idle * begun.elapsed().as_secs_f64()).max(0.0) * 1e3;
        stage.answered(instances as u64).await?;
        let memory = resident(&server)?;
        let page = page_of_the_error(&server).await?;
        let page = median_ms(args, &server, Asked::Path(page)).await?;
        chart.point(incarnations, &[cpu / (more.max(1) as f64), memory, page]);
        server.stop().await?;
    }
    Ok(chart)
}

async fn page_of_the_error(server: &Server) -> Outcome<String> {
    let list: serde_json::Value =
        serde_json::from_str(&server.get("api/v1/errors?limit=1").await?)?;
    let error = &list["errors"][0];
    let text = |name: &str| -> Outcome<String> {
        let text = error[name].as_str().ok_or("the list has another shape")?;
        Ok(url::form_urlencoded::byte_serialize(text.as_bytes()).collect())
    };
    Ok(format!("/api/v1/errors/{}/{}", text("service")?, text("aggregation_key")?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn decades_are_powers_of_ten() {
        assert_eq!(decades(10, 10_000).collect::<Vec<_>>(), [10, 100, 1000, 10_000]);
        assert_eq!(decades(1, 99).collect::<Vec<_>>(), [1, 10]);
    }
}
