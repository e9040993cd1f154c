//! Errors as the published Go client writes them.
//!
//! Names in its order, headers by name, `&` as `\u0026`, times with nanoseconds, and what is not
//! there as null. What an error says is a function of numbers: the same in every run, and nothing
//! of it is kept.

use std::io::Write as _;

use bytes::Bytes;
use periskop_core::Timestamp;

use super::dice::Dice;
use super::plan::Size;

/// What goes before the errors of a payload.
pub(super) const HEAD: &[u8] = br#"{"aggregated_errors":["#;

/// What goes after them.
pub(super) fn tail(target_uuid: &str) -> Bytes {
    Bytes::from(format!(r#"],"target_uuid":"{target_uuid}"}}"#))
}

/// The program that all instances of a fleet run: which errors it can have.
#[derive(Debug)]
pub(super) struct Program {
    seed: u64,
    size: Size,
    /// Frames as JSON texts, each with a comma behind it, in the order in which they call each other.
    frames: String,
    /// Where each frame begins.
    begins: Vec<usize>,
}

/// One error of one process.
pub(super) struct Told<'t> {
    /// Which error of the program it is.
    pub(super) kind: u64,
    /// Which process tells it.
    pub(super) life: u64,
    pub(super) total: u64,
    pub(super) created_at: Timestamp,
    /// Number and time of the newest occurrences, oldest first.
    pub(super) latest: &'t mut dyn Iterator<Item = (u64, Timestamp)>,
}

const FRAMES: usize = 30_000;

impl Program {
    pub(super) fn new(seed: u64, size: Size) -> Self {
        let mut frames = String::new();
        let mut begins = Vec::with_capacity(FRAMES + 1);
        for n in 0..FRAMES {
            begins.push(frames.len());
            let package = ["checkout", "billing", "search", "identity", "spring.web"][n % 5];
            let (class, method, line) = (n / 7, n % 13, n % 900);
            frames.push_str(&format!(
                "\"at com.example.{package}.internal.handler.Component{class}.handleRequest{method}\
                 (Component{class}.java:{line})\","
            ));
        }
        begins.push(frames.len());
        Self { seed, size, frames, begins }
    }

    fn dice(&self, kind: u64) -> Dice {
        Dice::of(&[self.seed, kind])
    }

    /// The aggregation key of an error.
    pub(super) fn key(&self, kind: u64) -> String {
        // The number keeps apart what the dice throw together.
        format!("{}@{kind:08x}", Self::class(&mut self.dice(kind)))
    }

    fn class(dice: &mut Dice) -> String {
        format!("com.example.checkout.Failure{}", dice.below(500))
    }

    /// The uuid of a process.
    pub(super) fn uuid(&self, life: u64) -> String {
        let mut dice = Dice::of(&[self.seed, life, u64::MAX]);
        uuid(dice.roll(), dice.roll())
    }

    /// Writes an error.
    pub(super) fn write(&self, told: Told<'_>, out: &mut Vec<u8>) {
        let mut dice = self.dice(told.kind);
        let class = Self::class(&mut dice);
        let depth = match self.size {
            Size::Jvm => 30 + dice.below(31),
            Size::Small => 3,
        };
        let stack = self.stack(&mut dice, depth);
        let has_cause = self.size == Size::Jvm && told.kind.is_multiple_of(2);
        let cause = has_cause.then(|| self.stack(&mut dice, depth / 2));
        put(
            out,
            format_args!(
                r#"{{"aggregation_key":"{class}@{:08x}","total_count":{},"severity":"error","latest_errors":["#,
                told.kind, told.total
            ),
        );
        let mut is_first = true;
        for (number, time) in told.latest {
            if !is_first {
                out.push(b',');
            }
            is_first = false;
            let dice = Dice::of(&[self.seed, told.life, told.kind, number]);
            self.occurrence(&class, stack, cause, dice, time, out);
        }
        put(out, format_args!(r#"],"created_at":"{}"}}"#, Nanos(told.created_at, 7)));
    }

    /// Frames follow each other as they do in real programs: a call site leads to the next.
    fn stack(&self, dice: &mut Dice, depth: usize) -> &str {
        let first = dice.below(FRAMES - depth);
        &self.frames[self.begins[first]..self.begins[first + depth] - 1]
    }

    fn occurrence(
        &self,
        class: &str,
        stack: &str,
        cause: Option<&str>,
        mut dice: Dice,
        time: Timestamp,
        out: &mut Vec<u8>,
    ) {
        let order = dice.below(1_000_000_000);
        let user = dice.below(1_000_000);
        put(
            out,
            format_args!(
                r#"{{"error":{{"class":"{class}","message":"cannot charge order {order} of user {user}: card declined by issuer","stacktrace":[{stack}],"cause":"#
            ),
        );
        match cause {
            Some(frames) => put(
                out,
                format_args!(
                    r#"{{"class":"java.net.SocketTimeoutException","message":"connect to payments.internal:443 timed out after {order} ns","stacktrace":[{frames}],"cause":null}}"#
                ),
            ),
            None => put(out, format_args!("null")),
        }
        let name = uuid(dice.roll(), dice.roll());
        let time = Nanos(time, user);
        put(
            out,
            format_args!(
                r#"}},"uuid":"{name}","timestamp":"{time}","severity":"error","http_context":"#
            ),
        );
        match self.size {
            Size::Jvm => request(order, user, out),
            Size::Small => put(out, format_args!("null")),
        }
        out.push(b'}');
    }
}

fn request(order: usize, user: usize, out: &mut Vec<u8>) {
    put(
        out,
        format_args!(
            concat!(
                r#"{{"request_method":"POST","request_url":"https://checkout.example.com/api/v2/orders/{order}/charge?user={user}\u0026currency=EUR","request_headers":{{"#,
                r#""Accept":"application/json","Accept-Encoding":"gzip, deflate, br","Accept-Language":"en-GB,en;q=0.9","#,
                r#""Content-Length":"{length}","Content-Type":"application/json","Host":"checkout.example.com","#,
                r#""User-Agent":"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36","#,
                r#""X-B3-Traceid":"{order:032x}","X-Forwarded-For":"203.0.113.{host}","X-Request-Id":"{user:016x}{order:016x}"}},"#,
                r#""request_body":null}}"#
            ),
            order = order,
            user = user,
            length = order % 5000,
            host = user % 250,
        ),
    );
}

fn uuid(high: u64, low: u64) -> String {
    let low = low & 0x3fff_ffff_ffff_ffff | 0x8000_0000_0000_0000;
    format!(
        "{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}",
        high >> 32,
        high >> 16 & 0xffff,
        high & 0xfff,
        low >> 48,
        low & 0xffff_ffff_ffff
    )
}

fn put(out: &mut Vec<u8>, text: std::fmt::Arguments<'_>) {
    out.write_fmt(text).expect("memory can be written to");
}

/// A time with nanoseconds below its microseconds.
struct Nanos(Timestamp, usize);

impl std::fmt::Display for Nanos {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = self.0.to_string();
        // Go leaves out zeros at the end; there is none.
        write!(f, "{}{:03}Z", text.trim_end_matches('Z'), self.1 % 111 * 9 + 1)
    }
}

#[cfg(test)]
mod tests {
    use periskop_core::wire::exporter::{Options, parse};
    use serde_json::Value;

    use super::*;
    use crate::workspace;

    const NOW: Timestamp = Timestamp::from_micros(1_772_323_200_000_000);

    fn payload(program: &Program, kinds: std::ops::Range<u64>) -> Vec<u8> {
        let mut out = HEAD.to_vec();
        for (n, kind) in kinds.enumerate() {
            if n > 0 {
                out.push(b',');
            }
            let mut latest = (0..10).map(|n| (n, NOW));
            let told = Told { kind, life: 1, total: 12, created_at: NOW, latest: &mut latest };
            program.write(told, &mut out);
        }
        out.extend_from_slice(&tail(&program.uuid(1)));
        out
    }

    /// The names of an object's members, in order, and of what they hold.
    fn names(value: &Value) -> Vec<String> {
        match value {
            Value::Object(members) => members
                .iter()
                .filter(|(name, _)| *name != "request_headers")
                .flat_map(|(name, value)| [vec![name.clone()], names(value)].concat())
                .collect(),
            Value::Array(items) => items.first().map(names).unwrap_or_default(),
            _ => Vec::new(),
        }
    }

    #[test]
    fn it_is_what_the_published_go_client_writes() {
        let program = Program::new(1, Size::Jvm);
        let ours = String::from_utf8(payload(&program, 1..2)).unwrap();
        let sample = workspace::corpus("samples/clients/periskop-go.json");
        let theirs = std::fs::read_to_string(sample).unwrap();
        let in_order = |json: &str| -> Vec<String> {
            // The order in which names come first.
            let mut seen = Vec::new();
            for name in names(&serde_json::from_str(json).unwrap()) {
                if !seen.contains(&name) {
                    seen.push(name);
                }
            }
            seen.sort_by_key(|name| json.find(&format!("\"{name}\":")));
            seen
        };
        assert_eq!(in_order(&ours), {
            let mut order = in_order(&theirs);
            // Their first error has no request.
            let request = ["request_method", "request_url", "request_body"];
            let at = order.iter().position(|name| name == "http_context").unwrap();
            order.splice(at + 1..at + 1, request.map(str::to_owned));
            order
        });
    }

    #[test]
    fn a_report_is_read_whole_and_about_as_large_as_those_of_jvms() {
        let program = Program::new(1, Size::Jvm);
        let body = payload(&program, 0..20);
        assert!((1_200_000..1_600_000).contains(&body.len()), "{}", body.len());
        let report = parse(&body, NOW, &Options::default()).unwrap();
        assert!(report.warnings.is_empty(), "{:?}", report.warnings);
        assert_eq!(report.target_uuid.as_deref(), Some(program.uuid(1).as_str()));
        assert_eq!(report.errors.len(), 20);
        for (error, kind) in report.errors.iter().zip(0..) {
            assert_eq!(error.key.as_str(), program.key(kind));
            assert_eq!((error.total_count, error.occurrences.len()), (12, 10));
            assert_eq!(error.created_at, Some(NOW));
            let causes = if kind % 2 == 0 { 2 } else { 1 };
            assert_eq!(error.occurrences[3].exceptions.len(), causes);
            assert_eq!(error.occurrences[3].http.as_ref().unwrap().headers.len(), 10);
        }
    }

    #[test]
    fn small_ones_are_small() {
        let body = payload(&Program::new(1, Size::Small), 0..20);
        assert!(body.len() < 120_000, "{}", body.len());
        assert!(parse(&body, NOW, &Options::default()).unwrap().warnings.is_empty());
    }
}
