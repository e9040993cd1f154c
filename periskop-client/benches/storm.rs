//! What an error storm costs its host, against the least that any client could do: making the
//! text and putting it into a queue behind a lock.
//!
//! `cargo bench -p periskop-client --bench storm` prints reports a second and how long a single
//! report takes, alone and while the program is being scraped without a pause.

#![allow(clippy::print_stdout, reason = "a bench tells what it found")]

use std::collections::VecDeque;
use std::hint::black_box;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use periskop_client::{Backtraces, Capture, Collector};

/// How long each figure is measured.
const TIME: Duration = Duration::from_secs(2);
/// Different errors that a scrape has to write.
const ERRORS: usize = 100;

#[derive(Debug, thiserror::Error)]
#[error("order {order} could not be placed")]
struct Checkout {
    order: u64,
    source: std::num::ParseIntError,
}

fn error(order: u64) -> Checkout {
    Checkout { order, source: "x".parse::<u8>().expect_err("x is no number") }
}

fn main() {
    println!("reports a second           1 thread    2 threads");
    let queue = Mutex::new(VecDeque::new());
    let yardstick = |order| {
        let error = error(order);
        let texts = (error.to_string(), error.source.to_string());
        let mut queue = queue.lock().expect("nobody panics");
        queue.push_back(texts);
        if queue.len() > 10 {
            queue.pop_front();
        }
    };
    rates("text and queue (yardstick)", yardstick);
    let collector = collector();
    rates("the same error", |order| collector.report(&error(order)));
    let collectors: Vec<_> = (0..ERRORS as u64).map(|n| n.to_string()).collect();
    rates("100 errors in turn", |order| {
        let key = &collectors[usize::try_from(order).unwrap_or(0) % ERRORS];
        collector.record(Capture::of(&error(order)).key(key));
    });
    let few = Collector::builder().backtraces(Backtraces::Never).errors_limit(10).build();
    rates("keys without end", |order| {
        few.record(Capture::of(&error(order)).key(order.to_string()));
    });
    let traced = Collector::builder().backtraces(Backtraces::Always).build();
    rates("with stack traces", |order| traced.report(&error(order)));

    println!("\none report, ns                 p50       p99     p99.9       max");
    latencies("text and queue (yardstick)", yardstick);
    latencies("report", |order| collector.report(&error(order)));
    let full = self::collector();
    for n in 0..ERRORS * 10 {
        full.record(Capture::of(&error(0)).key(format!("error {}", n % ERRORS)));
    }
    let is_over = AtomicBool::new(false);
    let scrapes = AtomicU64::new(0);
    let begun = Instant::now();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                black_box(full.export());
                scrapes.fetch_add(1, Ordering::Relaxed);
            }
        });
        latencies("report, while being scraped", |order| full.report(&error(order)));
        is_over.store(true, Ordering::Relaxed);
    });
    let each = begun.elapsed() / u32::try_from(scrapes.into_inner()).unwrap_or(1);
    println!("\na scrape of {} KB took {} us", full.export().len() / 1024, each.as_micros());
    let asked = Instant::now();
    (0..1_000_000).for_each(|_| _ = black_box(std::process::id()));
    println!("asking for the process id takes {} ns", asked.elapsed().as_nanos() / 1_000_000);
}

fn collector() -> Collector {
    Collector::builder().backtraces(Backtraces::Never).build()
}

fn rates(name: &str, report: impl Fn(u64) + Sync) {
    let rate = |threads: u64| {
        let count = AtomicU64::new(0);
        let begun = Instant::now();
        std::thread::scope(|scope| {
            for thread in 0..threads {
                let (count, report) = (&count, &report);
                scope.spawn(move || {
                    let mut order = thread << 32;
                    while begun.elapsed() < TIME {
                        (0..100).for_each(|_| {
                            report(order);
                            order += 1;
                        });
                    }
                    count.fetch_add(order & u64::from(u32::MAX), Ordering::Relaxed);
                });
            }
        });
        count.into_inner() as f64 / begun.elapsed().as_secs_f64()
    };
    println!("{name:<26} {:>8.0} {:>12.0}", rate(1), rate(2));
}

fn latencies(name: &str, report: impl Fn(u64)) {
    let begun = Instant::now();
    let mut times = Vec::with_capacity(10_000_000);
    let mut order = 0;
    while begun.elapsed() < TIME && times.len() < times.capacity() {
        let before = Instant::now();
        report(order);
        times.push(before.elapsed().as_nanos());
        order += 1;
    }
    times.sort_unstable();
    let at = |in_thousand: usize| times[times.len() * in_thousand / 1000];
    let max = times[times.len() - 1];
    println!("{name:<28} {:>6} {:>9} {:>9} {max:>9}", at(500), at(990), at(999));
}
