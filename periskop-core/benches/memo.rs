//! What a scrape costs of a target that has told most of it before:
//! `cargo bench -p periskop-core --features testing --bench memo`.
//!
//! 20 errors of 10 occurrences, as a JVM reports them, 1.4 MB, in another order each time. The
//! yardsticks are copying the body and `serde_json` reading it into owned values.

#![allow(clippy::unwrap_used, reason = "a bench may fail")]

use std::time::Duration;

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use periskop_core::target::Labels;
use periskop_core::testing::jvm::Payloads;
use periskop_core::testing::wire::written;
use periskop_core::wire::exporter::{Memo, Options, parse_changed};
use periskop_core::{Observer, ReplicaId, Report, ServiceName, Settings, Timestamp};

const NOW: Timestamp = Timestamp::from_micros(1_772_323_200_000_000);

fn main() {
    divan::main();
}

/// A report, and as a body with its errors turned round.
fn report() -> (Report, Vec<u8>) {
    let mut report = Payloads::new().report(0, NOW);
    let body = written(&report);
    report.errors.reverse();
    (report, body)
}

/// A memo that knows a body reads another.
fn read(bencher: Bencher<'_, '_>, known: &[u8], next: &[u8]) {
    let options = Options::default();
    let mut memo = Memo::new(1);
    parse_changed(known, NOW, &options, &mut memo).unwrap();
    bencher
        .counter(BytesCount::of_slice(next))
        .with_inputs(|| memo.clone())
        .bench_local_refs(|memo| parse_changed(black_box(next), NOW, &options, memo));
}

#[divan::bench]
fn yardstick_copy(bencher: Bencher<'_, '_>) {
    let (_, body) = report();
    bencher.counter(BytesCount::of_slice(&body)).bench_local(|| black_box(&body).clone());
}

#[divan::bench]
fn yardstick_serde_json_owned(bencher: Bencher<'_, '_>) {
    let (_, body) = report();
    bencher
        .counter(BytesCount::of_slice(&body))
        .bench_local(|| serde_json::from_slice::<serde_json::Value>(black_box(&body)).is_ok());
}

#[divan::bench]
fn unchanged(bencher: Bencher<'_, '_>) {
    let (_, body) = report();
    read(bencher, &body, &body);
}

#[divan::bench]
fn unchanged_in_another_order(bencher: Bencher<'_, '_>) {
    let (turned, body) = report();
    read(bencher, &body, &written(&turned));
}

#[divan::bench]
fn one_new_in_one_of_twenty(bencher: Bencher<'_, '_>) {
    let (mut turned, body) = report();
    let grown = Payloads::new().grown(turned.clone(), NOW.plus(Duration::from_secs(1)));
    turned.errors[7] = grown.errors.into_iter().nth(7).unwrap();
    read(bencher, &body, &written(&turned));
}

#[divan::bench]
fn one_of_ten_new_in_each(bencher: Bencher<'_, '_>) {
    let (turned, body) = report();
    let grown = Payloads::new().grown(turned, NOW.plus(Duration::from_secs(1)));
    read(bencher, &body, &written(&grown));
}

/// The same, scrape after scrape, and merged.
#[divan::bench(sample_size = 1)]
fn one_of_ten_new_in_each_and_merged(bencher: Bencher<'_, '_>) {
    let mut made = Payloads::new();
    let mut next = made.report(0, NOW);
    let mut now = NOW;
    let options = Options::default();
    let mut memo = Memo::new(1);
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), NOW);
    let (service, labels) = (ServiceName::from("checkout"), Labels::default());
    let mut scrape = |at: Timestamp, body: &[u8]| {
        let report = parse_changed(body, at, &options, &mut memo).unwrap();
        observer.scraped(at, &service, "http://10.0.0.1:8080/", &labels, report)
    };
    scrape(now, &written(&next));
    bencher
        .with_inputs(|| {
            now = now.plus(Duration::from_secs(1));
            next = made.grown(next.clone(), now);
            (now, written(&next))
        })
        .bench_local_values(|(at, body)| (scrape(at, black_box(&body)), body));
}
