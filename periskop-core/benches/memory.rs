//! What an error costs in memory, everything included: `cargo bench -p periskop-core --bench memory`.
//!
//! 100,000 errors of 10 occurrences, as a fleet of JVMs reports them: 30 to 60 frames a stack, half
//! with a cause, ten request headers. The cost is what the process grew by, as the kernel counts it.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may fail")]

use std::time::{Duration, Instant};

use periskop_core::target::Labels;
use periskop_core::testing::jvm::Payloads;
use periskop_core::{Observer, ReplicaId, ServiceName, Settings, Timestamp};

const ERRORS: usize = 100_000;

fn main() {
    let start = Timestamp::from_micros(1_772_323_200_000_000);
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), start);
    let mut made = Payloads::new();
    // What the making of payloads leaves behind is no part of the cost.
    drop(made.report(0, start));
    let before = resident();
    let begun = Instant::now();
    let mut merging = Duration::ZERO;
    for instance in 0..ERRORS / Payloads::ERRORS {
        let now = start.plus(Duration::from_millis(instance as u64));
        let report = made.report(instance, now);
        let service = ServiceName::from(format!("service-{}", instance / 100));
        let url = format!("http://10.0.{}.{}:8080/-/exceptions", instance / 250, instance % 250);
        let labels = Labels::from([("instance", &url[7..]), ("zone", "a")]);
        let merge = Instant::now();
        observer.scraped(now, &service, &url, &labels, report);
        merging += merge.elapsed();
    }
    let grown = resident().saturating_sub(before);
    let errors = observer.state().errors().count();
    let occurrences: usize = observer.state().errors().map(|e| e.occurrences().len()).sum();
    println!("{errors} errors, {occurrences} occurrences, in {:.1?}", begun.elapsed());
    println!("merge: {:.1} us an error", merging.as_secs_f64() * 1e6 / errors as f64);
    println!("memory: {} bytes an error, {} MB in all", grown / errors, grown >> 20);
    println!("made of: {} bytes of payload an error", made.bytes() / errors);
}

/// Resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
