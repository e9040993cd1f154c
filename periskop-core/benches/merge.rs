//! What it costs to merge what many instances tell: `cargo bench -p periskop-core --features testing
//! --bench merge`.
//!
//! First sight of 20 errors of 10 occurrences of each of so many instances, each with errors of its
//! own or all with the same ones; then one error that more and more instances have. Reports of so
//! many instances have no room beside the state, so each is made before it is merged, and only the
//! merge is timed: in the CPU's time, as the kernel counts it, which other processes do not lengthen.
//! The yardstick of each line is the one for fewer instances.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may fail")]

use std::time::Duration;

use periskop_core::target::Labels;
use periskop_core::testing::jvm::Payloads;
use periskop_core::{
    AggregateId, Observer, ReplicaId, Report, ReportedError, ServiceName, Settings, Severity,
    Timestamp,
};

const NOW: Timestamp = Timestamp::from_micros(1_772_323_200_000_000);

/// So often one of many instances counts on.
const CHANGES: usize = 20_000;

fn main() {
    for shared in [false, true] {
        let whose = if shared { "the same 20 errors" } else { "20 errors of its own" };
        println!("first sight of instances, each with {whose}");
        let mut before: Option<(usize, Duration)> = None;
        for instances in [100, 1_000, 2_000] {
            let took = first_sight(instances, shared);
            let each = took.as_secs_f64() * 1e6 / instances as f64;
            print!(
                "{instances:>8} {:>9.1} ms {each:>8.1} us an instance",
                took.as_secs_f64() * 1e3
            );
            match before.replace((instances, took)) {
                Some((fewer, yardstick)) => {
                    let ratio = took.as_secs_f64() / yardstick.as_secs_f64();
                    println!("  {ratio:>5.2} x of {fewer}");
                }
                None => println!(),
            }
        }
    }
    incarnations();
}

/// How long it takes to merge what so many instances tell.
fn first_sight(instances: usize, shared: bool) -> Duration {
    let mut made = Payloads::new();
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), NOW);
    let mut same = made.report(0, NOW);
    let mut took = Duration::ZERO;
    for instance in 0..instances {
        let now = NOW.plus(Duration::from_millis(instance as u64));
        let report = if shared {
            for _ in 0..Payloads::OCCURRENCES {
                same = made.grown(same, now);
            }
            Report { target_uuid: Some(format!("{instance:032x}")), ..same.clone() }
        } else {
            made.report(instance, now)
        };
        let begun = spent();
        merge(&mut observer, now, instance, report);
        took += spent() - begun;
    }
    took
}

fn merge(observer: &mut Observer, now: Timestamp, instance: usize, report: Report) {
    let service = ServiceName::from("checkout");
    let url = format!("http://10.{}.{}:8080/-/exceptions", instance / 250, instance % 250);
    let labels = Labels::from([("instance", &url[7..])]);
    observer.scraped(now, &service, &url, &labels, report);
}

/// How long this thread has been running.
fn spent() -> Duration {
    let told = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    Duration::from_nanos(told.split(' ').next().unwrap().parse().unwrap())
}

/// One error that so many instances have: what the first sight of the last tenth costs each, and
/// then one more occurrence at one of them, with a look at the total as lists take it.
fn incarnations() {
    println!("one error of so many instances");
    println!("{:>8} {:>22} {:>22}", "", "first sight", "one of them counts on");
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), NOW);
    let mut known = 0;
    for upto in [1_000, 10_000, 100_000] {
        let report = |instance: usize, total_count| Report {
            target_uuid: Some(format!("{instance:032x}")),
            errors: vec![ReportedError {
                key: "com.example.Failure@1".into(),
                total_count,
                severity: Severity::Error,
                created_at: Some(NOW),
                incarnations: None,
                occurrences: Vec::new(),
                unchanged: Vec::new(),
            }],
            ..Report::default()
        };
        let last = upto / 10;
        let mut begun = spent();
        for n in known..upto {
            if n == upto - last {
                begun = spent();
            }
            merge(&mut observer, NOW, n, report(n, 1));
        }
        let first_sight = spent() - begun;
        known = upto;
        let id = AggregateId {
            service: ServiceName::from("checkout"),
            key: "com.example.Failure@1".into(),
        };
        let begun = spent();
        for change in 0..CHANGES {
            let n = change * 7919 % upto;
            let total_count = 2 + change as u64;
            merge(&mut observer, NOW, n, report(n, total_count));
            assert!(observer.state().error(&id).unwrap().total() > 0);
        }
        let counts_on = spent() - begun;
        let us = |took: Duration, n: usize| took.as_secs_f64() * 1e6 / n as f64;
        println!(
            "{upto:>8} {:>19.1} us {:>19.1} us",
            us(first_sight, last),
            us(counts_on, CHANGES)
        );
    }
}
