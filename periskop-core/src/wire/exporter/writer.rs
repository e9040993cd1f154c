//! Writes the exporter format so that every reader of it, the reference's server included, reads
//! what was meant.

use std::fmt::Display;
use std::io::Write as _;

use super::COUNT_LIMIT;
use crate::ids::AggregationKey;
use crate::occurrence::{Exception, HttpContext, Occurrence, Severity};
use crate::report::{ReportedError, ReportedIncarnation, ReportedLife};
use crate::time::Timestamp;

/// Writes one payload, error by error.
///
/// - Times are RFC 3339, UTC, with microseconds. A time that is absent, or that RFC 3339 cannot
///   express (a year beyond 9999), is `null`, which Go reads as its zero time and [`parse`] as
///   absent.
/// - A class, message, method or URL that is absent is `null`, as the Ruby and Scala clients write
///   it; Go reads it as an empty text.
/// - `stacktrace`, `latest_errors` and `request_headers` are never `null`.
/// - An occurrence's name is its `uuid`, also where it is derived from its content.
/// - A count of 2^53 or more is written as 2^53-1, the largest that readers accept.
///
/// [`parse`]: super::parse()
///
/// ```
/// use periskop_core::wire::exporter::Writer;
/// let payload = Writer::new(Some("5d9893c6")).finish();
/// assert_eq!(payload, br#"{"target_uuid":"5d9893c6","aggregated_errors":[]}"#);
/// ```
#[derive(Debug)]
pub struct Writer {
    json: Json,
    is_first: bool,
}

impl Writer {
    /// Begins a payload of a source that calls itself `target_uuid`.
    pub fn new(target_uuid: Option<&str>) -> Self {
        let mut json = Json(Vec::new());
        json.raw("{");
        if let Some(target_uuid) = target_uuid {
            json.raw("\"target_uuid\":");
            json.text(target_uuid);
            json.raw(",");
        }
        json.raw("\"aggregated_errors\":[");
        Self { json, is_first: true }
    }

    /// Adds an error.
    pub fn error(&mut self, error: &ReportedError) {
        let ReportedError { key, total_count, severity, created_at, .. } = error;
        self.begin(key, *total_count, *severity, *created_at, error.occurrences.iter());
        if let Some(incarnations) = &error.incarnations {
            self.json.raw(",\"incarnations\":");
            self.json.list(incarnations, Json::incarnation);
        }
        self.json.raw("}");
    }

    /// Adds an error of somebody who counts himself, from occurrences that are only lent.
    pub fn counted<'o>(
        &mut self,
        key: &AggregationKey,
        total_count: u64,
        severity: Severity,
        created_at: Option<Timestamp>,
        occurrences: impl IntoIterator<Item = &'o Occurrence>,
    ) {
        self.begin(key, total_count, severity, created_at, occurrences);
        self.json.raw("}");
    }

    fn begin<'o>(
        &mut self,
        key: &AggregationKey,
        total_count: u64,
        severity: Severity,
        created_at: Option<Timestamp>,
        occurrences: impl IntoIterator<Item = &'o Occurrence>,
    ) {
        let json = &mut self.json;
        json.raw(if self.is_first { "{" } else { ",{" });
        self.is_first = false;
        json.raw("\"aggregation_key\":");
        json.text(key.as_str());
        json.raw(",\"total_count\":");
        json.number(total_count.min(COUNT_LIMIT - 1));
        json.raw(",\"severity\":");
        json.text(severity.as_str());
        json.raw(",\"created_at\":");
        json.time(created_at);
        json.raw(",\"latest_errors\":");
        json.list(occurrences, Json::occurrence);
    }

    /// Ends the payload.
    pub fn finish(mut self) -> Vec<u8> {
        self.json.raw("]}");
        self.json.0
    }
}

/// Go's decoder refuses a document that nests deeper than 10,000, whole. Causes beyond this are
/// not written.
const DEEPEST_CAUSE: usize = 9_000;

#[derive(Debug)]
struct Json(Vec<u8>);

impl Json {
    fn raw(&mut self, json: &str) {
        self.0.extend_from_slice(json.as_bytes());
    }

    fn text(&mut self, text: &str) {
        serde_json::to_writer(&mut self.0, text).expect("text can be written to memory");
    }

    fn optional_text(&mut self, text: Option<&str>) {
        match text {
            Some(text) => self.text(text),
            None => self.raw("null"),
        }
    }

    fn number(&mut self, number: impl Display) {
        write!(self.0, "{number}").expect("a number can be written to memory");
    }

    fn time(&mut self, time: Option<Timestamp>) {
        match time.filter(|time| WRITABLE.contains(time)) {
            Some(time) => write!(self.0, "\"{time}\"").expect("a time can be written to memory"),
            None => self.raw("null"),
        }
    }

    fn list<'t, T: 't>(
        &mut self,
        items: impl IntoIterator<Item = &'t T>,
        write: impl Fn(&mut Self, &T),
    ) {
        self.raw("[");
        for (index, item) in items.into_iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            write(self, item);
        }
        self.raw("]");
    }

    fn occurrence(&mut self, occurrence: &Occurrence) {
        self.raw("{\"error\":");
        self.exceptions(&occurrence.exceptions);
        self.raw(",\"uuid\":");
        self.text(&occurrence.name);
        self.raw(",\"timestamp\":");
        self.time(occurrence.time);
        self.raw(",\"severity\":");
        self.text(occurrence.severity.as_str());
        self.raw(",\"http_context\":");
        match &occurrence.http {
            Some(http) => self.http(http),
            None => self.raw("null"),
        }
        self.raw("}");
    }

    /// Each but the last is left open until its causes are written.
    fn exceptions(&mut self, exceptions: &[Exception]) {
        let written = exceptions.len().min(DEEPEST_CAUSE);
        for exception in &exceptions[..written] {
            self.raw("{\"class\":");
            self.optional_text(exception.class.as_deref());
            self.raw(",\"message\":");
            self.optional_text(exception.message.as_deref());
            self.raw(",\"stacktrace\":");
            self.list(&exception.stacktrace, |json, frame| json.text(frame));
            self.raw(",\"cause\":");
        }
        self.raw("null");
        self.0.resize(self.0.len() + written, b'}');
    }

    fn http(&mut self, http: &HttpContext) {
        self.raw("{\"request_method\":");
        self.optional_text(http.method.as_deref());
        self.raw(",\"request_url\":");
        self.optional_text(http.url.as_deref());
        self.raw(",\"request_headers\":{");
        for (index, (name, value)) in http.headers.iter().enumerate() {
            if index > 0 {
                self.raw(",");
            }
            self.text(name);
            self.raw(":");
            self.text(value);
        }
        self.raw("},\"request_body\":");
        self.optional_text(http.body.as_deref());
        self.raw("}");
    }

    fn incarnation(&mut self, incarnation: &ReportedIncarnation) {
        self.raw("{\"source\":");
        self.text(&incarnation.source);
        match &incarnation.life {
            ReportedLife::Since(since) => {
                self.raw(",\"since\":");
                self.time(Some(*since));
            }
            ReportedLife::Reset { observer, n } => {
                self.raw(",\"reset\":{\"observer\":");
                self.text(observer);
                self.raw(",\"n\":");
                self.number(n);
                self.raw("}");
            }
        }
        self.raw(",\"count\":");
        self.number(incarnation.count.min(COUNT_LIMIT - 1));
        let known = [
            (",\"newest\":", incarnation.newest),
            (",\"risen\":", incarnation.risen),
            (",\"gone\":", incarnation.gone),
        ];
        for (name, time) in known {
            if time.is_some() {
                self.raw(name);
                self.time(time);
            }
        }
        self.raw("}");
    }
}

/// From year 0 to year 9999, which four digits can tell.
const WRITABLE: std::ops::RangeInclusive<Timestamp> =
    Timestamp::from_micros(-62_167_219_200_000_000)
        ..=Timestamp::from_micros(253_402_300_799_999_999);

#[cfg(test)]
mod tests {
    use super::*;
    use crate::occurrence::ContentHash;
    use crate::wire::exporter::{Limits, Options, parse};

    fn error(occurrences: Vec<Occurrence>) -> ReportedError {
        ReportedError {
            key: "k".into(),
            total_count: 3,
            severity: Severity::Warning,
            created_at: Timestamp::parse("2018-09-13T16:23:30.63Z"),
            incarnations: None,
            occurrences,
            unchanged: Vec::new(),
        }
    }

    fn written(error: &ReportedError) -> String {
        let mut writer = Writer::new(None);
        writer.error(error);
        String::from_utf8(writer.finish()).unwrap()
    }

    #[test]
    fn everything_that_can_be_absent_is_written_as_every_reader_takes_it() {
        let occurrence = Occurrence {
            name: "u".into(),
            content: ContentHash([0; 16]),
            time: None,
            severity: Severity::Info,
            exceptions: vec![Exception::default(), Exception::default()],
            http: Some(HttpContext::default()),
        };
        assert_eq!(
            written(&error(vec![occurrence])),
            concat!(
                r#"{"aggregated_errors":[{"aggregation_key":"k","total_count":3,"#,
                r#""severity":"warning","created_at":"2018-09-13T16:23:30.630000Z","#,
                r#""latest_errors":[{"error":{"class":null,"message":null,"stacktrace":[],"#,
                r#""cause":{"class":null,"message":null,"stacktrace":[],"cause":null}},"#,
                r#""uuid":"u","timestamp":null,"severity":"info","http_context":"#,
                r#"{"request_method":null,"request_url":null,"request_headers":{},"#,
                r#""request_body":null}}]}]}"#
            )
        );
    }

    #[test]
    fn incarnations_are_written_beside_the_sum() {
        let mut error = error(vec![]);
        let life = |source: &str, life| ReportedIncarnation {
            source: source.into(),
            life,
            count: 2,
            newest: None,
            risen: None,
            gone: None,
        };
        let since = Timestamp::EPOCH;
        let mut gone = life("a", ReportedLife::Since(since));
        gone.gone = Some(since);
        gone.newest = Some(Timestamp::YEAR_2000);
        let reset = life("b", ReportedLife::Reset { observer: "o".into(), n: 4 });
        error.incarnations = Some(vec![gone, reset]);
        let json = written(&error);
        let list = json.split_once(r#""incarnations":"#).unwrap().1;
        assert_eq!(
            list,
            concat!(
                r#"[{"source":"a","since":"1970-01-01T00:00:00.000000Z","count":2,"#,
                r#""newest":"2000-01-01T00:00:00.000000Z","gone":"1970-01-01T00:00:00.000000Z"},"#,
                r#"{"source":"b","reset":{"observer":"o","n":4},"count":2}]}]}"#
            )
        );
    }

    #[test]
    fn a_time_that_go_cannot_read_is_null_and_a_count_is_one_that_everybody_reads() {
        let mut error = error(vec![]);
        error.total_count = u64::MAX;
        for (time, expected) in [
            (WRITABLE.start().as_micros(), "\"0000-01-01T00:00:00.000000Z\""),
            (WRITABLE.start().as_micros() - 1, "null"),
            (WRITABLE.end().as_micros(), "\"9999-12-31T23:59:59.999999Z\""),
            (WRITABLE.end().as_micros() + 1, "null"),
        ] {
            error.created_at = Some(Timestamp::from_micros(time));
            let json = written(&error);
            assert!(json.contains(&format!(r#""created_at":{expected}"#)), "{json}");
            assert!(json.contains(r#""total_count":9007199254740991,"#), "{json}");
        }
    }

    #[test]
    fn causes_are_written_as_deep_as_go_reads() {
        let occurrence = Occurrence {
            name: "u".into(),
            content: ContentHash([0; 16]),
            time: None,
            severity: Severity::Info,
            exceptions: vec![Exception::default(); 200_000],
            http: None,
        };
        let json = written(&error(vec![occurrence]));
        let options = Options { limits: Limits::none(), ..Options::default() };
        let report = parse(json.as_bytes(), Timestamp::EPOCH, &options).unwrap();
        assert_eq!(report.errors[0].occurrences[0].exceptions.len(), DEEPEST_CAUSE);
    }
}
