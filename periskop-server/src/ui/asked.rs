//! What an error's page shows, as it stands in the address: the URL is the state.

use std::time::Duration;

use periskop_core::Timestamp;
use url::form_urlencoded;

use super::link::encode;

/// The query of an error's page. Reading is lenient, as for the list.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// The occurrence to show, by its name; the newest unless told otherwise.
    pub occurrence: Option<String>,
    /// The time to chart.
    pub span: Span,
    /// The label by which counts are grouped; by instance unless told otherwise.
    pub by: Option<String>,
    /// The word of the act that led here. Never part of a link.
    pub done: Option<String>,
}

/// A stretch of time to chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// The last hours or days.
    Last(Range),
    /// From one instant to another.
    Between(Timestamp, Timestamp),
}

impl Default for Span {
    fn default() -> Self {
        Self::Last(Range::default())
    }
}

/// The beginning of a chart, the length of a step, and how many there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Scale {
    /// When the first step begins, or within it.
    pub from: Timestamp,
    /// How long a step is.
    pub step: Duration,
    /// How many there are.
    pub steps: u32,
}

const MINUTE: Duration = Duration::from_secs(60);
const HOUR: Duration = Duration::from_secs(3_600);
const DAY: Duration = Duration::from_secs(24 * 3_600);

/// Bars that fit beside each other.
const MOST_BARS: u32 = 120;

/// Steps that people can read, in minutes.
const STEPS: [u32; 12] = [1, 2, 5, 10, 15, 30, 60, 120, 240, 480, 720, 1_440];

impl Asked {
    /// Reads the query of an address, without its `?`.
    pub fn parse(query: &str) -> Self {
        let mut asked = Self::default();
        let (mut from, mut to) = (None, None);
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "occurrence" => asked.occurrence = Some(value.into_owned()),
                "range" => asked.span = Span::Last(Range::parse(&value)),
                "from" => from = instant(&value),
                "to" => to = instant(&value),
                "by" if !value.is_empty() => asked.by = Some(value.into_owned()),
                "done" => asked.done = Some(value.into_owned()),
                _ => {}
            }
        }
        if let Some((from, to)) = from.zip(to).filter(|(from, to)| from < to) {
            asked.span = Span::Between(from, to);
        }
        asked
    }

    /// The query of an address that [`Asked::parse`] reads back, without `?`; empty for the
    /// default. What was done is left out.
    pub fn to_query(&self) -> String {
        let mut pairs = Vec::new();
        if let Some(name) = &self.occurrence {
            pairs.push(("occurrence", encode(name)));
        }
        match self.span {
            Span::Last(range) if range == Range::default() => {}
            Span::Last(range) => pairs.push(("range", range.as_str().to_owned())),
            Span::Between(from, to) => {
                pairs.push(("from", from.as_secs().to_string()));
                pairs.push(("to", to.as_secs().to_string()));
            }
        }
        if let Some(label) = &self.by {
            pairs.push(("by", encode(label)));
        }
        let pairs: Vec<_> = pairs.into_iter().map(|(name, v)| format!("{name}={v}")).collect();
        pairs.join("&")
    }

    /// This with another stretch of time.
    #[must_use]
    pub fn over(&self, span: Span) -> Self {
        Self { span, done: None, ..self.clone() }
    }

    /// This with another occurrence; the newest for `None`.
    #[must_use]
    pub fn showing(&self, occurrence: Option<&str>) -> Self {
        Self { occurrence: occurrence.map(str::to_owned), done: None, ..self.clone() }
    }

    /// This grouped by another label; by instance for `None`.
    #[must_use]
    pub fn grouped(&self, by: Option<&str>) -> Self {
        Self { by: by.map(str::to_owned), done: None, ..self.clone() }
    }
}

/// Seconds since the epoch, as links have them, or RFC 3339, as people write them.
fn instant(text: &str) -> Option<Timestamp> {
    let seconds = || text.parse::<i64>().ok()?.checked_mul(1_000_000);
    Timestamp::parse(text).or_else(|| seconds().map(Timestamp::from_micros))
}

impl Span {
    /// The steps in which it is charted at `now`: at least a minute, and no more than fit. The
    /// minutes are kept for a day, the hours for thirty.
    pub fn scale(self, now: Timestamp) -> Scale {
        match self {
            Self::Last(range) => {
                let (step, steps) = range.steps();
                Scale { from: now.minus(step * (steps - 1)), step, steps }
            }
            Self::Between(from, to) => {
                let from = from.clamp(now.minus(DAY * 30), now.minus(MINUTE));
                let to = to.clamp(from.plus(MINUTE), now);
                let by_minute = from >= now.minus(DAY);
                let span = to.since(from);
                let fits = |step: &Duration| {
                    span <= *step * (MOST_BARS - 1)
                        && (by_minute || step.as_secs().is_multiple_of(HOUR.as_secs()))
                };
                let step = STEPS.into_iter().map(|n| MINUTE * n).find(fits).unwrap_or(DAY);
                // Bars begin at multiples of a step: the first one may begin earlier.
                let width = i64::try_from(step.as_secs()).unwrap_or(i64::MAX);
                let first = from.as_secs().div_euclid(width);
                let last = (to.as_micros() - 1).div_euclid(1_000_000).div_euclid(width);
                let steps = u32::try_from(last - first + 1).unwrap_or(MOST_BARS).min(MOST_BARS);
                let from = Timestamp::from_micros(first.saturating_mul(width) * 1_000_000);
                Scale { from, step, steps }
            }
        }
    }
}

/// How far back a chart reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// An hour, by the minute.
    Hour,
    /// A day, by the quarter of an hour.
    #[default]
    Day,
    /// A week, by two hours.
    Week,
    /// Thirty days, by eight hours.
    Month,
}

impl Range {
    /// All, shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The value in an address, and the name on the page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// Reads the value of an address; the default for an unknown one.
    pub fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|range| range.as_str() == text).unwrap_or_default()
    }

    /// How long a step is, and how many there are.
    pub const fn steps(self) -> (Duration, u32) {
        match self {
            Self::Hour => (Duration::from_secs(60), 60),
            Self::Day => (Duration::from_secs(15 * 60), 96),
            Self::Week => (Duration::from_secs(2 * 3_600), 84),
            Self::Month => (Duration::from_secs(8 * 3_600), 90),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse(text).unwrap()
    }

    #[test]
    fn an_address_reads_back_as_what_was_asked() {
        let spans = Range::ALL.map(Span::Last);
        let dragged = Span::Between(at("2026-11-23T10:00:00Z"), at("2026-11-23T11:30:00Z"));
        for span in spans.into_iter().chain([dragged]) {
            let asked = Asked {
                occurrence: Some("a&b=c #".to_owned()),
                span,
                by: Some("zone".to_owned()),
                done: None,
            };
            assert_eq!(Asked::parse(&asked.to_query()), asked);
        }
        assert_eq!(Asked::default().to_query(), "");
    }

    #[test]
    fn what_cannot_be_read_is_the_default() {
        for query in [
            "range=2y",
            "from=2026-11-23T10:00:00Z",
            "from=x&to=y",
            "from=20&to=10",
            "from=99999999999999999999&to=1",
            "by=&nothing=1",
        ] {
            assert_eq!(Asked::parse(query), Asked::default(), "{query}");
        }
        let written = Asked::parse("from=2026-11-23T10:00:00Z&to=1795431600");
        assert!(matches!(written.span, Span::Between(..)));
    }

    #[test]
    fn a_span_is_charted_in_steps_that_fit_and_that_are_kept() {
        let now = at("2026-11-23T12:00:00Z");
        for (from, to, minutes, steps) in [
            ("2026-11-23T10:00:00Z", "2026-11-23T11:00:00Z", 1, 60),
            ("2026-11-23T10:00:30Z", "2026-11-23T11:00:30Z", 1, 61),
            ("2026-11-23T06:00:00Z", "2026-11-23T12:00:00Z", 5, 72),
            ("2026-11-23T11:00:00Z", "2026-11-23T11:00:10Z", 1, 1),
            // Older than minutes are kept.
            ("2026-11-20T10:00:00Z", "2026-11-20T10:20:00Z", 60, 1),
            ("2026-11-01T00:00:00Z", "2026-11-11T00:00:00Z", 240, 60),
            // The future, and what is older than anything kept.
            ("2026-11-23T11:30:00Z", "2030-01-01T00:00:00Z", 1, 30),
            ("1990-01-01T00:00:00Z", "1991-01-01T00:00:00Z", 60, 1),
            ("2031-01-01T00:00:00Z", "2032-01-01T00:00:00Z", 1, 1),
            ("1970-01-01T00:00:00Z", "2100-01-01T00:00:00Z", 480, 91),
        ] {
            let scale = Span::Between(at(from), at(to)).scale(now);
            let found = (scale.step, scale.steps);
            assert_eq!(found, (MINUTE * minutes, steps), "{from} {to}");
        }
    }
}
