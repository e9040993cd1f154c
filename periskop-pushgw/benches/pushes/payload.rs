//! What is pushed.

use std::fmt::Write as _;
use std::time::SystemTime;

use periskop_core::Timestamp;

/// A push of a process that has had no exception.
pub(crate) const NOTHING: &[u8] = br#"{"target_uuid": "idle", "aggregated_errors": []}"#;

/// Errors of a worker, and occurrences of each: 20 KB as a payload.
const ERRORS: usize = 4;
const OCCURRENCES: u64 = 5;
const FRAMES: usize = 8;

/// A long-lived process that pushes its whole state after each exception, as the published clients
/// do.
pub(crate) struct Worker {
    name: String,
    created_at: String,
    counts: [u64; ERRORS],
    next: usize,
}

impl Worker {
    pub(crate) fn new(n: usize) -> Self {
        // A worker of this run: those of the run before go on being known.
        let name = format!("worker-{n:04}-{}", now().as_micros());
        Self { name, created_at: now().to_string(), counts: [OCCURRENCES; ERRORS], next: n }
    }

    /// One more exception happens, and everything is pushed.
    pub(crate) fn next(&mut self) -> Vec<u8> {
        self.next += 1;
        self.counts[self.next % ERRORS] += 1;
        let mut body = String::with_capacity(24 << 10);
        body.push_str(r#"{"aggregated_errors": ["#);
        for (error, count) in self.counts.iter().enumerate() {
            let comma = if error > 0 { "," } else { "" };
            let _ = write!(
                body,
                r#"{comma}{{"aggregation_key": "com.example.Error{error}@{error:08x}", "total_count": {count}, "severity": "error", "created_at": "{}", "latest_errors": ["#,
                self.created_at
            );
            for n in count - OCCURRENCES..*count {
                occurrence(&mut body, &self.name, error, n, n > count - OCCURRENCES);
            }
            body.push_str("]}");
        }
        let _ = write!(body, r#"], "target_uuid": "{}"}}"#, self.name);
        body.into_bytes()
    }
}

fn occurrence(body: &mut String, worker: &str, error: usize, n: u64, follows: bool) {
    let comma = if follows { "," } else { "" };
    let _ = write!(
        body,
        r#"{comma}{{"error": {{"class": "com.example.Error{error}", "message": "order {n} could not be placed", "stacktrace": ["#
    );
    for frame in 0..FRAMES {
        let comma = if frame > 0 { "," } else { "" };
        let _ = write!(
            body,
            r#"{comma}"com.example.shop.checkout.Basket$Line{frame}.place(Basket.scala:{})""#,
            100 + frame * 7 + error
        );
    }
    let _ = write!(
        body,
        r#"], "cause": null}}, "uuid": "{worker}-{error}-{n}", "timestamp": "{}", "severity": "error", "http_context": {{"request_method": "POST", "request_url": "https://shop.example/orders/{n}", "request_headers": {{"User-Agent": "bench", "Authorization": "Bearer eyJhbGciOi"}}, "request_body": null}}}}"#,
        now()
    );
}

/// A process that begins, fails at two things, pushes and ends.
pub(crate) struct Job(usize);

impl Job {
    pub(crate) fn new(n: usize) -> Self {
        Self(n)
    }

    pub(crate) fn push(&self) -> Vec<u8> {
        let now = now();
        let mut body = String::with_capacity(4 << 10);
        body.push_str(r#"{"aggregated_errors": ["#);
        for error in 0..2 {
            let comma = if error > 0 { "," } else { "" };
            let _ = write!(
                body,
                r#"{comma}{{"aggregation_key": "com.example.Nightly{error}@{error:08x}", "total_count": 3, "severity": "error", "created_at": "{now}", "latest_errors": ["#
            );
            occurrence(&mut body, &format!("job-{}", self.0), error, 3, false);
            body.push_str("]}");
        }
        let _ = write!(
            body,
            r#"], "target_uuid": "{:08x}-{:04x}-4000-8000-{:012x}"}}"#,
            self.0,
            self.0 % 65_536,
            now.as_micros() % (1 << 47)
        );
        body.into_bytes()
    }
}

fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    Timestamp::EPOCH.plus(since.unwrap_or_default())
}
