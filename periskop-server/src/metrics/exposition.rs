//! Metrics as text: Prometheus's format 0.0.4 and OpenMetrics 1.0.
//!
//! Written here because most series are read off the state when somebody asks, and because the
//! reference has a counter whose name does not end in `_total`: OpenMetrics has no such counter,
//! and a library would rename it in one of the two formats. Here a name is the same in both.

use std::fmt::Write;

/// Which of the two text formats.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    /// Prometheus text, version 0.0.4.
    Prometheus,
    /// OpenMetrics, version 1.0.0.
    OpenMetrics,
}

impl Format {
    /// What an `Accept` header asks for: OpenMetrics where it is named before, or without, plain
    /// text and not refused.
    pub(crate) fn negotiate(accept: Option<&str>) -> Self {
        let quality = |wanted: &str| {
            let ranges = accept.unwrap_or_default().split(',');
            let fit = ranges.filter_map(|range| {
                let mut parts = range.split(';').map(str::trim);
                let kind = parts.next()?;
                let q = parts.find_map(|p| p.strip_prefix("q="));
                let q = q.map_or(1.0, |q| q.parse::<f32>().unwrap_or(0.0));
                kind.eq_ignore_ascii_case(wanted).then_some(q)
            });
            fit.fold(0.0, f32::max)
        };
        let open = quality("application/openmetrics-text");
        if open > 0.0 && open >= quality("text/plain") {
            Self::OpenMetrics
        } else {
            Self::Prometheus
        }
    }

    /// The content type of an answer.
    pub(crate) fn content_type(self) -> &'static str {
        match self {
            Self::Prometheus => "text/plain; version=0.0.4; charset=utf-8",
            Self::OpenMetrics => "application/openmetrics-text; version=1.0.0; charset=utf-8",
        }
    }
}

/// What a family of series measures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Counts by upper bound.
    Histogram,
}

/// A page of metrics being written.
pub(crate) struct Page {
    text: String,
    format: Format,
}

impl Page {
    /// An empty page.
    pub(crate) fn new(format: Format) -> Self {
        Self { text: String::new(), format }
    }

    /// Begins a family; what is written to it before the next one belongs to it.
    pub(crate) fn family(&mut self, name: &'static str, kind: Kind, help: &str) -> Family<'_> {
        let open = self.format == Format::OpenMetrics;
        // OpenMetrics names a counter's family without `_total`, and has none whose samples do
        // not end in it: such a one is of unknown type there.
        let (family, kind) = match (kind, name.strip_suffix("_total")) {
            (Kind::Counter, Some(stem)) if open => (stem, "counter"),
            (Kind::Counter, None) if open => (name, "unknown"),
            (Kind::Counter, _) => (name, "counter"),
            (Kind::Gauge, _) => (name, "gauge"),
            (Kind::Histogram, _) => (name, "histogram"),
        };
        // Writing to a `String` cannot fail, here and below.
        let _ = writeln!(self.text, "# HELP {family} {help}\n# TYPE {family} {kind}");
        Family { page: self, name }
    }

    /// The whole page.
    pub(crate) fn finish(mut self) -> String {
        if self.format == Format::OpenMetrics {
            self.text.push_str("# EOF\n");
        }
        self.text
    }
}

/// The samples of one family.
pub(crate) struct Family<'p> {
    page: &'p mut Page,
    name: &'static str,
}

impl Family<'_> {
    /// A sample with these labels.
    pub(crate) fn sample(&mut self, labels: &[(&str, &str)], value: impl Into<Value>) {
        self.suffixed("", labels, value.into());
    }

    /// A histogram: how many were at most each bound (not cumulated), then beyond all; their sum.
    pub(crate) fn histogram(
        &mut self,
        labels: &[(&str, &str)],
        bounds: &[f64],
        counts: &[u64],
        sum: f64,
    ) {
        let mut cumulated = 0;
        for (i, count) in counts.iter().enumerate() {
            cumulated += count;
            let bound = bounds.get(i).map_or_else(|| "+Inf".to_owned(), f64::to_string);
            let labels = [labels, &[("le", bound.as_str())]].concat();
            self.suffixed("_bucket", &labels, Value::Whole(cumulated));
        }
        self.suffixed("_sum", labels, Value::Real(sum));
        self.suffixed("_count", labels, Value::Whole(cumulated));
    }

    fn suffixed(&mut self, suffix: &str, labels: &[(&str, &str)], value: Value) {
        let text = &mut self.page.text;
        text.push_str(self.name);
        text.push_str(suffix);
        for (i, (name, value)) in labels.iter().enumerate() {
            text.push(if i == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            escape_into(text, value);
            text.push('"');
        }
        if !labels.is_empty() {
            text.push('}');
        }
        let _ = match value {
            Value::Whole(n) => writeln!(text, " {n}"),
            Value::Real(x) => writeln!(text, " {x}"),
        };
    }
}

/// A sample's value.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Value {
    /// A whole number, written as it is.
    Whole(u64),
    /// Any other.
    Real(f64),
}

impl From<u64> for Value {
    fn from(n: u64) -> Self {
        Self::Whole(n)
    }
}

impl From<usize> for Value {
    fn from(n: usize) -> Self {
        Self::Whole(n as u64)
    }
}

impl From<bool> for Value {
    fn from(b: bool) -> Self {
        Self::Whole(b.into())
    }
}

impl From<f64> for Value {
    fn from(x: f64) -> Self {
        Self::Real(x)
    }
}

/// Both formats escape a label's value alike.
fn escape_into(text: &mut String, value: &str) {
    for c in value.chars() {
        match c {
            '\\' => text.push_str("\\\\"),
            '"' => text.push_str("\\\""),
            '\n' => text.push_str("\\n"),
            c => text.push(c),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(format: Format) -> String {
        let mut page = Page::new(format);
        page.family("errors", Kind::Counter, "As the reference has it.").sample(&[], 7_u64);
        let mut family = page.family("scrapes_total", Kind::Counter, "Scrapes.");
        family.sample(&[("service", "a\"b\\c\nd"), ("ok", "☃")], 1_u64);
        page.family("up", Kind::Gauge, "Up.").sample(&[], 0.5);
        let mut family = page.family("seconds", Kind::Histogram, "How long.");
        family.histogram(&[("service", "a")], &[0.1, 1.0], &[2, 0, 3], 9.5);
        page.finish()
    }

    #[test]
    fn prometheus_text_names_a_counter_as_its_samples() {
        let expected = r#"# HELP errors As the reference has it.
# TYPE errors counter
errors 7
# HELP scrapes_total Scrapes.
# TYPE scrapes_total counter
scrapes_total{service="a\"b\\c\nd",ok="☃"} 1
# HELP up Up.
# TYPE up gauge
up 0.5
# HELP seconds How long.
# TYPE seconds histogram
seconds_bucket{service="a",le="0.1"} 2
seconds_bucket{service="a",le="1"} 2
seconds_bucket{service="a",le="+Inf"} 5
seconds_sum{service="a"} 9.5
seconds_count{service="a"} 5
"#;
        assert_eq!(page(Format::Prometheus), expected);
    }

    #[test]
    fn openmetrics_keeps_every_sample_and_ends() {
        let (open, plain) = (page(Format::OpenMetrics), page(Format::Prometheus));
        let samples = |text: &str| {
            text.lines().filter(|l| !l.starts_with('#')).map(str::to_owned).collect::<Vec<_>>()
        };
        assert_eq!(samples(&open), samples(&plain), "a name is the same in both formats");
        assert!(open.contains("# TYPE errors unknown\n"));
        assert!(open.contains("# TYPE scrapes counter\n"));
        assert!(open.ends_with("# EOF\n"));
    }

    #[test]
    fn the_format_is_the_one_that_is_asked_for() {
        let prometheus = "application/openmetrics-text;version=1.0.0;q=0.5,text/plain;q=0.4,*/*";
        assert_eq!(Format::negotiate(Some(prometheus)), Format::OpenMetrics);
        for plain in
            [None, Some("*/*"), Some("text/plain"), Some("application/openmetrics-text;q=0")]
        {
            assert_eq!(Format::negotiate(plain), Format::Prometheus, "{plain:?}");
        }
    }
}
