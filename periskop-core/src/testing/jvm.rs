//! What a fleet of JVMs reports, for benches: 30 to 60 frames a stack, half with a cause, ten
//! request headers.

use std::time::Duration;

use crate::occurrence::{ContentHash, Exception, HttpContext, Occurrence, Severity};
use crate::report::{Report, ReportedError};
use crate::time::Timestamp;

/// Makes reports; a tiny generator, so that every run is the same.
pub struct Payloads {
    frames: Vec<String>,
    random: u64,
    bytes: usize,
}

impl Payloads {
    /// Errors in a report.
    pub const ERRORS: usize = 20;

    /// Occurrences of each.
    pub const OCCURRENCES: usize = 10;

    /// A generator at its beginning.
    pub fn new() -> Self {
        let frames = (0..30_000).map(|n| {
            let package = ["checkout", "billing", "search", "identity", "spring.web"][n % 5];
            format!(
                "at com.example.{package}.Component{}.method{}(Component{}.java:{})",
                n / 7,
                n % 13,
                n / 7,
                n % 900
            )
        });
        Self { frames: frames.collect(), random: 0x9e37_79b9_7f4a_7c15, bytes: 0 }
    }

    /// How many bytes of text were made so far.
    pub fn bytes(&self) -> usize {
        self.bytes
    }

    /// What an instance reports when it is scraped first. Each has errors of its own.
    pub fn report(&mut self, instance: usize, now: Timestamp) -> Report {
        let errors = (0..Self::ERRORS).map(|n| self.error(instance, n, now)).collect();
        Report { target_uuid: Some(format!("{instance:032x}")), errors, ..Report::default() }
    }

    /// The same report later, after one more occurrence of each error.
    pub fn grown(&mut self, mut report: Report, now: Timestamp) -> Report {
        for error in &mut report.errors {
            error.total_count += 1;
            let Some(last) = error.occurrences.last() else { continue };
            let frames = |n: usize| last.exceptions.get(n).map(|e| e.stacktrace.clone());
            let class = last.exceptions[0].class.clone().unwrap_or_default();
            let (stack, cause) = (frames(0).unwrap_or_default(), frames(1));
            let new = self.occurrence(&class, &stack, cause.as_deref(), now);
            error.occurrences.remove(0);
            error.occurrences.push(new);
        }
        report
    }

    fn next(&mut self, below: usize) -> usize {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 7;
        self.random ^= self.random << 17;
        usize::try_from(self.random >> 1).unwrap_or_default() % below
    }

    fn error(&mut self, instance: usize, n: usize, now: Timestamp) -> ReportedError {
        let class = format!("com.example.checkout.Failure{}", self.next(500));
        let depth = 30 + self.next(31);
        let stack = self.stack(depth);
        let cause = n.is_multiple_of(2).then(|| self.stack(depth / 2));
        let occurrences = (0..Self::OCCURRENCES)
            .map(|_| self.occurrence(&class, &stack, cause.as_deref(), now))
            .collect();
        ReportedError {
            key: format!("{class}@{instance:05x}{n:02x}").into(),
            total_count: 10 + self.next(1000) as u64,
            severity: Severity::Error,
            created_at: Some(now.minus(Duration::from_secs(60))),
            incarnations: None,
            occurrences,
            unchanged: Vec::new(),
        }
    }

    /// Frames follow each other as they do in real programs: a call site leads to the next.
    fn stack(&mut self, depth: usize) -> Vec<String> {
        let first = self.next(self.frames.len() - depth);
        self.frames[first..first + depth].to_vec()
    }

    fn occurrence(
        &mut self,
        class: &str,
        stack: &[String],
        cause: Option<&[String]>,
        now: Timestamp,
    ) -> Occurrence {
        let order = self.next(1_000_000_000);
        let user = self.next(1_000_000);
        let mut exceptions = vec![Exception {
            class: Some(class.to_owned()),
            message: Some(format!(
                "cannot charge order {order} of user {user}: card declined by issuer"
            )),
            stacktrace: stack.to_vec(),
        }];
        exceptions.extend(cause.map(|frames| Exception {
            class: Some("java.net.SocketTimeoutException".into()),
            message: Some(format!("connect to payments.internal:443 timed out after {order} ns")),
            stacktrace: frames.to_vec(),
        }));
        let headers = [
            ("Accept", "application/json".to_owned()),
            ("Accept-Encoding", "gzip, deflate, br".to_owned()),
            ("Accept-Language", "en-GB,en;q=0.9".to_owned()),
            ("Content-Length", (order % 5000).to_string()),
            ("Content-Type", "application/json".to_owned()),
            ("Host", "checkout.example.com".to_owned()),
            ("User-Agent", "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36".to_owned()),
            ("X-B3-TraceId", format!("{order:032x}")),
            ("X-Forwarded-For", format!("203.0.113.{}", user % 250)),
            ("X-Request-Id", format!("{user:016x}{order:016x}")),
        ];
        let occurrence = Occurrence {
            name: format!(
                "{:08x}-{:04x}-4{:03x}-a000-{order:012x}",
                user,
                user % 65536,
                user % 4096
            ),
            content: ContentHash::of(&order.to_le_bytes()),
            time: Some(now.minus(Duration::from_micros(order as u64 % 50_000_000))),
            severity: Severity::Error,
            exceptions,
            http: Some(HttpContext {
                method: Some("POST".into()),
                url: Some(format!(
                    "https://checkout.example.com/api/v2/orders/{order}/charge?user={user}"
                )),
                headers: headers.map(|(name, value)| (name.to_owned(), value)).to_vec(),
                body: None,
            }),
        };
        self.bytes += size(&occurrence);
        occurrence
    }
}

impl Default for Payloads {
    fn default() -> Self {
        Self::new()
    }
}

/// How many bytes of text an occurrence is made of.
fn size(o: &Occurrence) -> usize {
    let text = |t: &Option<String>| t.as_ref().map_or(0, String::len);
    let exceptions = o.exceptions.iter().map(|e| {
        text(&e.class) + text(&e.message) + e.stacktrace.iter().map(String::len).sum::<usize>()
    });
    let http = o.http.as_ref().map_or(0, |h| {
        text(&h.url) + h.headers.iter().map(|(n, v)| n.len() + v.len()).sum::<usize>()
    });
    o.name.len() + exceptions.sum::<usize>() + http
}
