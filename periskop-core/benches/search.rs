//! What finding errors by their texts costs, against looking at all of it.
//!
//! `cargo bench -p periskop-core --features testing --bench search` fills an index with 100,000 errors
//! of 10 occurrences as a fleet of JVMs reports them (`-- --errors 10000` for fewer), and asks it
//! for what people ask for. The yardsticks are one walk over all text of all occurrences in a row,
//! folded, and the naive index.

#![allow(clippy::print_stdout, clippy::unwrap_used, reason = "a bench prints, and may fail")]

use std::collections::BTreeMap;
use std::hint::black_box;
use std::time::{Duration, Instant};

use memchr::memmem::Finder;
use periskop_core::search::{ErrorNumber, MemoryIndex, ScanningIndex, SearchIndex, fold};
use periskop_core::testing::jvm::Payloads;
use periskop_core::view::ErrorView;
use periskop_core::{AggregateId, Observer, ReplicaId, ServiceName, Settings, Timestamp};

fn main() {
    let start = Timestamp::from_micros(1_772_323_200_000_000);
    let errors = errors_asked_for();
    let mut made = Payloads::new();
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), start);
    let mut reports = BTreeMap::new();
    let before = resident();
    for instance in 0..errors / Payloads::ERRORS {
        let report = made.report(instance, start);
        if instance % 100 == 7 {
            reports.insert(instance, report.clone());
        }
        observer.pushed(start, &service(instance), report);
    }
    println!("state: {} bytes an error", (resident() - before) / errors);

    let numbers: BTreeMap<AggregateId, ErrorNumber> =
        observer.state().errors().map(ErrorView::id).zip((0..).map(ErrorNumber)).collect();
    let before = resident();
    let mut index = MemoryIndex::new();
    let begin = Instant::now();
    for (error, number) in observer.state().errors().zip((0..).map(ErrorNumber)) {
        index.update(number, error);
    }
    let each = begin.elapsed().as_secs_f64() * 1e6 / errors as f64;
    let grown = resident().saturating_sub(before) / errors;
    let told = index.bytes() / errors;
    println!("build: {each:.1} us an error");
    println!("index: {told} bytes an error as it says, {grown} as the kernel says");

    updates(&mut observer, &mut index, &numbers, &mut made, reports, start);
    queries(&observer, &index, errors);
}

/// One new occurrence in each of some errors, and the same again.
fn updates(
    observer: &mut Observer,
    index: &mut MemoryIndex,
    numbers: &BTreeMap<AggregateId, ErrorNumber>,
    made: &mut Payloads,
    reports: BTreeMap<usize, periskop_core::Report>,
    now: Timestamp,
) {
    let (mut changed, mut unchanged) = (Vec::new(), Vec::new());
    for (instance, report) in reports {
        let later = now.plus(Duration::from_secs(60));
        let report = made.grown(report, later);
        let keys: Vec<_> = report.errors.iter().map(|error| error.key.clone()).collect();
        observer.pushed(later, &service(instance), report);
        for key in keys {
            let id = AggregateId { service: service(instance), key };
            let error = observer.state().error(&id).unwrap();
            for times in [&mut changed, &mut unchanged] {
                let begin = Instant::now();
                index.update(numbers[&id], error);
                times.push(begin.elapsed());
            }
        }
    }
    row("update, one occurrence new", &mut changed, "");
    row("update, nothing new", &mut unchanged, "");
}

fn queries(observer: &Observer, index: &MemoryIndex, errors: usize) {
    let mut all = Vec::new();
    for error in observer.state().errors() {
        for text in error.occurrences().flat_map(|occurrence| occurrence.texts()) {
            // As much as can be held several times; a tenth of it is as good a yardstick.
            if all.len() < 700_000_000 {
                all.extend_from_slice(fold(&text).as_bytes());
                all.push(0xff);
            }
        }
    }
    let texts: usize = observer
        .state()
        .errors()
        .flat_map(|error| error.occurrences())
        .map(|occurrence| occurrence.texts().map(|text| text.len() + 1).sum::<usize>())
        .sum();
    let walk = Finder::new("no text has this");
    let mut times: Vec<_> = (0..5).map(|_| timed(|| walk.find(black_box(&all)))).collect();
    let walked = times.iter_mut().min().unwrap();
    let part = texts as f64 / all.len() as f64;
    println!(
        "walk over {} MB of text: {:.1} ms ({} MB walked)",
        texts >> 20,
        walked.as_secs_f64() * 1e3 * part,
        all.len() >> 20
    );
    drop(all);

    let last = observer.state().errors().nth(errors / 2).unwrap();
    let occurrence = last.occurrences().next().unwrap();
    let exception = occurrence.exceptions().next().unwrap();
    let message = exception.message().unwrap().into_owned();
    let order = message.split(' ').nth(3).unwrap().to_owned();
    let frame = exception.frames().next().unwrap().to_owned();
    let request = occurrence.http().unwrap();
    let url = request.url().unwrap().into_owned();
    let trace = request.headers().nth(7).unwrap().1.into_owned();
    let address = request.headers().nth(8).unwrap().1.into_owned();
    let kinds: Vec<(&str, String)> = vec![
        ("3 characters, in all frames", "com".into()),
        ("3 characters, a common number", "123".into()),
        ("3 characters, a rarer number", "907".into()),
        ("3 characters, in no text", "qzx".into()),
        ("3 characters, across", "r 9".into()),
        ("4 characters, a number", "4711".into()),
        ("word of all messages", "declined".into()),
        ("word of half of the messages", "payments.internal".into()),
        ("frame of all", "at com.example".into()),
        ("frame of some", frame),
        ("class", "Failure123".into()),
        ("absent word", "NoSuchThingAnywhere".into()),
        ("absent number", "98765432101234".into()),
        ("part of all URLs", "/api/v2/orders".into()),
        ("part of a URL, across", format!("orders/{}", &order[..4])),
        ("part of all URLs, across", "charge?user=1".into()),
        ("URL", url),
        ("header value of all", "gzip, deflate".into()),
        ("header value of some", address),
        ("header value of one", trace),
        ("key", last.key().as_str().to_owned()),
        ("1 character, in all", "e".into()),
        ("1 character, in none", "€".into()),
        ("1 character, a digit", "7".into()),
        ("2 characters, in frames", "or".into()),
        ("2 characters, a number", "97".into()),
        ("2 characters, across", "=4".into()),
        ("2 characters, in no text", "qz".into()),
        ("a message up to its number", message.split(" of ").next().unwrap().into()),
        ("a message", message),
        ("order of most digits", "order 1".into()),
        ("across, in half at the end", "9 ns".into()),
    ];
    let naive = naive(observer);
    let mut every = Vec::new();
    for (kind, query) in &kinds {
        let mut times = Vec::new();
        let mut found = index.search(query);
        for _ in 0..30 {
            times.push(timed(|| found = index.search(query)));
        }
        let mut expected = None;
        let looked = naive.as_ref().map(|naive| timed(|| expected = Some(naive.search(query))));
        if let Some(expected) = expected {
            assert_eq!(expected, found, "{query}");
        }
        let looked = looked.map_or(String::new(), |t| format!("naive {:.1} ms", ms(t)));
        row(kind, &mut times, &format!("{:>7} found  {looked}", found.len()));
        every.extend(times.iter().map(|time| (*time, query.chars().count() >= 3)));
    }
    let mut longer: Vec<_> = every.iter().filter(|(_, long)| *long).map(|(t, _)| *t).collect();
    let mut every: Vec<_> = every.into_iter().map(|(time, _)| time).collect();
    row("all kinds", &mut every, "goal: p99 <= 50 ms");
    row("three characters and more", &mut longer, "goal: p50 <= 5 ms");

    let mut scans: Vec<_> =
        (0..3).map(|_| timed(|| index.scan(None, &|text| text.ends_with("zzz")))).collect();
    row("scan of everything", &mut scans, "");
}

/// Not at 100,000 errors, where it takes what a machine may not have.
fn naive(observer: &Observer) -> Option<ScanningIndex> {
    let few = observer.state().errors().count() <= 20_000;
    few.then(|| {
        let mut naive = ScanningIndex::new();
        for (error, number) in observer.state().errors().zip((0..).map(ErrorNumber)) {
            naive.update(number, error);
        }
        naive
    })
}

fn row(name: &str, times: &mut [Duration], more: &str) {
    times.sort();
    let at = |percent: usize| ms(times[(times.len() - 1) * percent / 100]);
    println!(
        "{name:<30} p50 {:>7.3} ms  p99 {:>7.3} ms  max {:>7.3} ms  {more}",
        at(50),
        at(99),
        at(100)
    );
}

fn timed<T>(run: impl FnOnce() -> T) -> Duration {
    let begin = Instant::now();
    black_box(run());
    begin.elapsed()
}

fn ms(time: Duration) -> f64 {
    time.as_secs_f64() * 1e3
}

fn service(instance: usize) -> ServiceName {
    ServiceName::from(format!("service-{}", instance / 100))
}

fn errors_asked_for() -> usize {
    let mut arguments = std::env::args().skip_while(|argument| argument != "--errors").skip(1);
    arguments.next().map_or(100_000, |n| n.parse().expect("--errors takes a number"))
}

/// Resident memory in bytes.
fn resident() -> usize {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    statm.split(' ').nth(1).unwrap().parse::<usize>().unwrap() * 4096
}
