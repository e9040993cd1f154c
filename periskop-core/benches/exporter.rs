//! What reading a payload costs, against `serde_json` reading the same body into owned values.
//!
//! `cargo bench -p periskop-core --bench exporter` prints ratios. Errors that are known should cost
//! little more than looking at their bytes.

#![allow(clippy::print_stdout, reason = "a bench tells what it found")]

use std::fmt::Write as _;
use std::hint::black_box;
use std::time::{Duration, Instant};

use periskop_core::Timestamp;
use periskop_core::redact::Redactor;
use periskop_core::wire::exporter::{Memo, Options, parse, parse_changed};

const ERRORS: usize = 20;

fn main() {
    let now = Timestamp::parse("2026-03-01T12:00:00Z").expect("a time");
    let options = Options::default();
    let errors: Vec<String> = (0..ERRORS).map(|n| error(n, 10)).collect();
    let body = payload(errors.iter());
    let shuffled = payload(errors.iter().rev());
    let mut one_new = errors;
    one_new[7] = error(7, 11);
    let one_new = payload(one_new.iter().rev());
    println!("{} errors, {} bytes", ERRORS, body.len());

    let yardstick = typical(|| serde_json::from_slice::<serde_json::Value>(&body).is_ok());
    let report = |name: &str, took: Duration| {
        let ratio = took.as_secs_f64() / yardstick.as_secs_f64();
        let speed = body.len() as f64 / took.as_secs_f64() / 1e9;
        println!("{name:<34} {:>7} us  {ratio:>5.2} x  {speed:>5.2} GB/s", took.as_micros());
    };
    report("serde_json, owned", yardstick);
    report("copying the body", typical(|| black_box(body.clone()).len()));
    report("parse", typical(|| parse(&body, now, &options).is_ok()));
    let unmasked = Options { redactor: Redactor::off(), ..Options::default() };
    report("parse, nothing masked", typical(|| parse(&body, now, &unmasked).is_ok()));

    let mut memo = Memo::new(1);
    report(
        "parse_changed, all new",
        typical(|| {
            memo.clear();
            parse_changed(&body, now, &options, &mut memo).is_ok()
        }),
    );
    report("unchanged", typical(|| parse_changed(&body, now, &options, &mut memo).is_ok()));
    let mut turn = false;
    let mut alternate = |a: &[u8], b: &[u8]| {
        typical(|| {
            turn = !turn;
            let report = parse_changed(if turn { a } else { b }, now, &options, &mut memo);
            report.is_ok_and(|report| !report.unchanged.is_empty())
        })
    };
    report("unchanged, in another order", alternate(&body, &shuffled));
    report("one of ten occurrences new in one", alternate(&body, &one_new));
}

/// The tenth fastest of a hundred of as many runs as fit into a second, which is what it costs
/// on a machine that has other things to do.
fn typical<T>(mut run: impl FnMut() -> T) -> Duration {
    let start = Instant::now();
    let mut times = Vec::new();
    while start.elapsed() < Duration::from_secs(1) || times.len() < 10 {
        let begin = Instant::now();
        let result = black_box(run());
        times.push(begin.elapsed());
        drop(result);
    }
    times.sort();
    times[times.len() / 10]
}

fn payload<'a>(errors: impl Iterator<Item = &'a String>) -> Vec<u8> {
    let errors: Vec<&str> = errors.map(String::as_str).collect();
    format!(
        r#"{{"aggregated_errors":[{}],"target_uuid":"5d9893c6-51d6-11ea-8aad-f894c260afe5"}}"#,
        errors.join(",")
    )
    .into_bytes()
}

/// An error of a JVM: 30 to 60 frames a stack, half of the occurrences with a cause.
fn error(n: usize, last: usize) -> String {
    let mut occurrences = Vec::new();
    for k in last - 10..last {
        let cause = if k % 2 == 0 { "null".to_owned() } else { exception(n + k + 5, "null") };
        let headers: Vec<String> = (0..10)
            .map(|h| format!(r#""X-Header-{h}":"the value of header {h} in {n}""#))
            .collect();
        occurrences.push(format!(
            concat!(
                r#"{{"error":{},"uuid":"5d9893c6-51d6-11ea-8aad-{:06x}{:06x}","#,
                r#""timestamp":"2026-02-28T16:23:{:02}.630Z","severity":"error","http_context":"#,
                r#"{{"request_method":"GET","request_url":"http://host.example.com/items/{}?page=2&q=a","#,
                r#""request_headers":{{{}}},"request_body":null}}}}"#
            ),
            exception(n + k, &cause),
            n,
            k,
            k,
            k,
            headers.join(",")
        ));
    }
    format!(
        concat!(
            r#"{{"aggregation_key":"com.example.service.Failure{}@{:08x}","total_count":{},"#,
            r#""severity":"error","created_at":"2026-02-28T16:23:30.630Z","latest_errors":[{}]}}"#
        ),
        n,
        n * 7919,
        last,
        occurrences.join(",")
    )
}

fn exception(n: usize, cause: &str) -> String {
    let mut frames = String::new();
    for f in 0..30 + n % 31 {
        let comma = if f == 0 { "" } else { "," };
        write!(
            frames,
            r#"{comma}"com.example.service.package{}.SomeHandler${}.invokeWithContext(SomeHandler.java:{})""#,
            f % 13,
            (n + f) % 17,
            100 + f * 3
        )
        .expect("text can be written to memory");
    }
    format!(
        r#"{{"class":"com.example.service.Failure{n}","message":"Could not read \"item {n}\": timed out after 30 s","stacktrace":[{frames}],"cause":{cause}}}"#
    )
}
