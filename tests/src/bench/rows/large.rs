//! A server that knows a hundred thousand errors: its memory, its answers, its start and its end.

use std::io::Read as _;
use std::path::Path;
use std::time::{Duration, Instant};

use tokio::net::TcpListener;
use url::Url;

use super::super::args::Args;
use super::super::server::Server;
use super::super::session::{Stage, repository};
use super::super::table::{Goal, Row};
use super::super::{Outcome, say};
use super::library;
use crate::fleet::check;
use crate::fleet::drive::{Asked, ask};
use crate::fleet::latencies::Told;
use crate::fleet::{Hostility, Plan};

const STORE: &str = "sqlite";
/// From one scrape to the next while nobody is to be disturbed.
const SELDOM: Duration = Duration::from_secs(6 * 3600);

pub(super) async fn rows(args: &Args) -> Outcome<Vec<Row>> {
    let errors = args.errors();
    let hung = Hung::begin().await?;
    let plan = Plan {
        instances: errors / 20,
        // All of them would be 7 GB.
        kept: 0,
        interval: Duration::from_secs(if args.quick { 10 } else { 60 }),
        ..Plan::default()
    };
    let stage = Stage::set(plan, |directory| hung.service() + &repository(STORE, directory))?;
    let (server, _) = stage.server(args, "error").await?;
    let begun = Instant::now();
    stage.seen(&server, errors).await?;
    say(&format!("   all errors are listed after {:.0} s", begun.elapsed().as_secs_f64()));
    // The second time nothing is new, and everything is remembered.
    stage.answered(stage.instances() as u64).await?;
    let mut rows = memory(&server, errors)?;
    stage.rewrite(&server, SELDOM).await?;
    tokio::time::sleep(Duration::from_secs(3)).await;
    rows.extend(search(args, &server).await?);
    rows.extend(list(args, &server).await?);
    rows.extend(end_and_start(args, &stage, server).await?);
    Ok(rows)
}

fn memory(server: &Server, errors: usize) -> Outcome<Vec<Row>> {
    let each = |bytes: u64| bytes as f64 / 1e3 / errors as f64;
    let what = |what| format!("memory per error, {errors} errors of 10 occurrences, {what}");
    let (resident, peak) = (server.account.resident()?, server.account.peak()?);
    Ok(vec![
        Row::new(what("everything included"), each(resident), "KB")
            .by("naive owned strings", library::naive_size()? / 1e3)
            .goal(Goal::AtMost(8.0)),
        Row::new(what("at its peak"), each(peak), "KB"),
    ])
}

async fn search(args: &Args, server: &Server) -> Outcome<Vec<Row>> {
    let told = asked(args, server, Asked::Searches, 1).await?;
    let what = |which| format!("search of {} errors over HTTP, {which}", args.errors());
    Ok(vec![
        Row::new(what("p50"), told.p50_ms, "ms").goal(Goal::AtMost(5.0)),
        Row::new(what("p99"), told.p99_ms, "ms").goal(Goal::AtMost(50.0)),
    ])
}

/// The list, and something that does not change of about its size.
async fn list(args: &Args, server: &Server) -> Outcome<Vec<Row>> {
    let page = server.get("api/v1/errors?limit=50").await?.len();
    let constant = constant(server, page).await?;
    let list = asked(args, server, Asked::list(), 50).await?;
    let fixed = asked(args, server, Asked::Path(constant.path.clone()), 50).await?;
    let what = |which| format!("list page of 50 of {}, 50 connections, {which}", args.errors());
    say(&format!("   a page has {page} bytes; {} has {}", constant.path, constant.length));
    let by = "the same server answering a file of that size";
    Ok(vec![
        Row::new(what("requests a second"), list.per_second, "/s")
            .by(by, fixed.per_second)
            .goal(Goal::AtLeast(15_000.0)),
        Row::new(what("p99"), list.p99_ms, "ms").by(by, fixed.p99_ms).goal(Goal::AtMost(10.0)),
    ])
}

struct Constant {
    path: String,
    length: usize,
}

/// Of the files that a page of the server names, the one whose size is nearest.
async fn constant(server: &Server, length: usize) -> Outcome<Constant> {
    let html = server.get("").await?;
    let mut files = Vec::new();
    for attribute in ["href=\"", "src=\""] {
        let values = html.split(attribute).skip(1).filter_map(|rest| rest.split('"').next());
        for path in values.filter(|path| path.contains(".css") || path.contains(".js")) {
            let url = server.url.join(&path.replace("&amp;", "&"))?;
            let length = server.get(url.as_str()).await?.len();
            let path = url[url::Position::BeforePath..url::Position::AfterQuery].to_owned();
            files.push(Constant { path, length });
        }
    }
    let nearest = files.into_iter().min_by_key(|file| file.length.abs_diff(length));
    nearest.ok_or_else(|| "no page names a file".into())
}

/// Asked on a thread of its own, after it has got warm.
async fn asked(args: &Args, server: &Server, asked: Asked, connections: usize) -> Outcome<Told> {
    let (url, time): (Url, _) = (server.url.clone(), args.window());
    let asking = tokio::task::spawn_blocking(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            ask(&url, &asked, connections, time / 4).await?;
            ask(&url, &asked, connections, time).await
        })
    });
    let told = asking.await??;
    match told.failures {
        0 => Ok(told),
        n => Err(format!("{n} requests failed").into()),
    }
}

/// It is asked to end while it scrapes, and starts on what it stored.
async fn end_and_start(args: &Args, stage: &Stage, server: Server) -> Outcome<Vec<Row>> {
    let truth = stage.fleet.lock().truth();
    let ended = server.stop().await?;
    let file = stage.path(STORE);
    let reading = Instant::now();
    let size = read(&file)?;
    let reading = reading.elapsed().as_secs_f64();
    let (server, ready) = stage.server(args, "error").await?;
    let patience = Duration::from_secs(60);
    let differences = check::until_equal(&server.url, &truth, patience).await?;
    if let Some(difference) = differences.first() {
        return Err(format!("something was lost: {difference}").into());
    }
    server.stop().await?;
    let errors = args.errors();
    let what = format!("start on {errors} stored errors ({STORE}, {} MB)", size / 1_000_000);
    Ok(vec![
        Row::new("SIGTERM to exit, scrapes in flight, nothing lost", ended.as_secs_f64(), "s")
            .goal(Goal::AtMost(2.0)),
        Row::new(what, ready.as_secs_f64(), "s")
            .by("reading the file", reading)
            .goal(Goal::AtMost(5.0)),
    ])
}

fn read(file: &Path) -> Outcome<usize> {
    let mut file = std::fs::File::open(file)?;
    let (mut buffer, mut size) = (vec![0; 1 << 20], 0);
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(size),
            n => size += n,
        }
    }
}

/// A target that accepts and never answers, scraped every second: a scrape of it is always in flight.
struct Hung(std::net::SocketAddr);

impl Hung {
    async fn begin() -> Outcome<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").await?;
        let address = listener.local_addr()?;
        tokio::spawn(async move {
            let mut held = Vec::new();
            while let Ok((connection, _)) = listener.accept().await {
                held.push(connection);
                // Nobody waits for the older ones any more.
                if held.len() > 100 {
                    held.remove(0);
                }
            }
        });
        Ok(Self(address))
    }

    fn service(&self) -> String {
        format!(
            "- name: {:?}\n  static_configs: [{{targets: ['{}']}}]\n  scraper: {{refresh_interval: 1s}}\n",
            Hostility::Hang,
            self.0
        )
    }
}
