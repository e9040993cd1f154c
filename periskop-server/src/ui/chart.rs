//! Bar charts as SVG, drawn by the server.
//!
//! Positions are attributes and colours are classes: the Content-Security-Policy allows no style
//! of an element's own.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use periskop_core::{Severity, Timestamp};

use super::format;

/// Occurrences over time: equal steps from an instant on, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Series {
    /// When the first step begins.
    pub from: Timestamp,
    /// How long a step is.
    pub step: Duration,
    /// Occurrences in each step.
    pub counts: Vec<u64>,
}

impl Series {
    /// All occurrences in it.
    pub fn total(&self) -> u64 {
        self.counts.iter().fold(0, |sum, n| sum.saturating_add(*n))
    }

    /// The busiest step.
    pub fn most(&self) -> u64 {
        self.counts.iter().copied().max().unwrap_or(0)
    }

    /// When the last step ends.
    pub fn to(&self) -> Timestamp {
        self.start_of(self.counts.len())
    }

    fn start_of(&self, step: usize) -> Timestamp {
        self.from.plus(self.step.saturating_mul(u32::try_from(step).unwrap_or(u32::MAX)))
    }

    fn span(&self) -> Duration {
        self.to().since(self.from)
    }

    /// The small chart of a row, in the colour of `severity`; quiet when nothing happened.
    pub fn spark(&self, severity: Severity) -> Spark<'_> {
        Spark { series: self, severity }
    }
}

/// A chart of the size of a word; made by [`Series::spark`].
#[derive(Clone, Copy, Debug)]
pub struct Spark<'a> {
    series: &'a Series,
    severity: Severity,
}

const SPARK_STEP: u64 = 6;
const SPARK_HEIGHT: u64 = 26;

impl fmt::Display for Spark<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let series = self.series;
        let most = series.most();
        let width = series.counts.len() as u64 * SPARK_STEP;
        let colour = if most == 0 { "n" } else { class(self.severity) };
        write!(
            f,
            r#"<svg class="sp {colour}" viewBox="0 0 {width} {SPARK_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{} in the last {}"><path d=""#,
            occurrences(series.total()),
            format::span(series.span()),
        )?;
        for (i, n) in series.counts.iter().enumerate() {
            let (x, h) = (i as u64 * SPARK_STEP, height(*n, most, SPARK_HEIGHT));
            write!(f, "M{x} {SPARK_HEIGHT}v-{h}h{}v{h}z", SPARK_STEP - 1)?;
        }
        f.write_str(r#""/></svg>"#)
    }
}

// Numbers and our own markup only.
impl HtmlSafe for Spark<'_> {}

/// The chart of an error's page: one bar a step, each with its count on hover.
#[derive(Clone, Debug)]
pub struct Bars {
    series: Series,
    severity: Severity,
    marks: Vec<Mark>,
}

/// An instant to mark in a chart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    /// When.
    pub at: Timestamp,
    /// What happened.
    pub what: Event,
}

/// What a chart marks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event {
    /// Somebody resolved the error.
    Resolved,
    /// Somebody opened it again.
    Reopened,
    /// It came back after it was resolved.
    Regressed,
    /// An instance began to count anew.
    Restarted,
}

impl Event {
    /// All, in the order in which a legend names them.
    pub const ALL: [Self; 4] = [Self::Resolved, Self::Reopened, Self::Regressed, Self::Restarted];

    /// What it is called.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Resolved => "resolved",
            Self::Reopened => "reopened",
            Self::Regressed => "came back",
            Self::Restarted => "an instance restarted",
        }
    }

    /// The class that tells it from the others, by shape and colour.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Resolved => "ok",
            Self::Reopened => "re",
            Self::Regressed => "back",
            Self::Restarted => "life",
        }
    }
}

const BAR_STEP: u64 = 10;
const BAR_HEIGHT: u64 = 110;

impl Bars {
    /// A chart of `series` with the `marks` that fall into it.
    pub fn new(series: Series, severity: Severity, marks: Vec<Mark>) -> Self {
        let (from, to) = (series.from, series.to());
        let marks = marks.into_iter().filter(|m| (from..to).contains(&m.at)).collect();
        Self { series, severity, marks }
    }

    /// The series that is shown.
    pub fn series(&self) -> &Series {
        &self.series
    }

    /// Which kinds of marks there are, and how many of each.
    pub fn legend(&self) -> Vec<(Event, usize)> {
        let count = |what| self.marks.iter().filter(|mark| mark.what == what).count();
        let all = Event::ALL.into_iter().map(|what| (what, count(what)));
        all.filter(|(_, n)| *n > 0).collect()
    }

    /// Five instants, evenly spread, to write below the bars.
    pub fn axis(&self) -> Vec<Tick> {
        let quarter = self.series.span() / 4;
        let day = self.series.span() > Duration::from_secs(3 * 86_400);
        (0..5).map(|i| Tick { at: self.series.from.plus(quarter * i), day }).collect()
    }

    fn width(&self) -> u64 {
        self.series.counts.len() as u64 * BAR_STEP
    }

    fn x_of(&self, at: Timestamp) -> u64 {
        let (into, span) = (at.since(self.series.from), self.series.span());
        let x = into.as_micros() * u128::from(self.width()) / span.as_micros().max(1);
        u64::try_from(x).unwrap_or(u64::MAX)
    }
}

impl fmt::Display for Bars {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let series = &self.series;
        let most = series.most();
        writeln!(
            f,
            r#"<svg class="bars sp {}" data-from="{}" data-to="{}" viewBox="0 0 {} {BAR_HEIGHT}" preserveAspectRatio="none" role="img" aria-label="{} in {}, at most {} in {}">"#,
            if most == 0 { "n" } else { class(self.severity) },
            series.from.as_secs(),
            series.to().as_secs(),
            self.width(),
            occurrences(series.total()),
            format::span(series.span()),
            format::exact(most),
            format::span(series.step),
        )?;
        for (i, n) in series.counts.iter().enumerate() {
            let (x, h) = (i as u64 * BAR_STEP, height(*n, most, BAR_HEIGHT));
            // The whole column answers to a pointer, not only a bar that may be a dot.
            writeln!(
                f,
                r#"<g><title>{}: {}</title><path class="col" d="M{x} 0h{BAR_STEP}v{BAR_HEIGHT}h-{BAR_STEP}z"/><rect x="{x}" y="{}" width="{}" height="{h}"/></g>"#,
                format::absolute(series.start_of(i)),
                occurrences(*n),
                BAR_HEIGHT - h,
                BAR_STEP - 1,
            )?;
        }
        for mark in &self.marks {
            writeln!(
                f,
                r#"<path class="mark {}" d="M{} 0v{BAR_HEIGHT}"><title>{} {}</title></path>"#,
                mark.what.class(),
                self.x_of(mark.at),
                mark.what.word(),
                format::absolute(mark.at),
            )?;
        }
        f.write_str("</svg>")
    }
}

// Numbers and our own markup only.
impl HtmlSafe for Bars {}

/// An instant below a chart.
#[derive(Clone, Copy, Debug)]
pub struct Tick {
    at: Timestamp,
    day: bool,
}

impl fmt::Display for Tick {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.at.to_string();
        let (kind, shown) =
            if self.day { ("day", text.get(5..10)) } else { ("time", text.get(11..16)) };
        write!(
            f,
            r#"<time datetime="{text}" data-as="{kind}" title="{}">{}</time>"#,
            format::absolute(self.at),
            shown.unwrap_or(&text)
        )
    }
}

// Digits and our own markup only.
impl HtmlSafe for Tick {}

/// The class that colours by severity.
pub(super) fn class(severity: Severity) -> &'static str {
    match severity {
        Severity::Error => "e",
        Severity::Warning => "w",
        Severity::Info => "i",
    }
}

/// At least one, so that time without occurrences is seen as such; two for a single occurrence
/// beside a great many.
fn height(n: u64, most: u64, full: u64) -> u64 {
    if n == 0 || most == 0 {
        return 1;
    }
    let h = u128::from(n) * u128::from(full) / u128::from(most);
    u64::try_from(h).unwrap_or(full).max(2)
}

fn occurrences(n: u64) -> String {
    format::plural(n, "occurrence")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(counts: &[u64]) -> Series {
        Series { from: Timestamp::EPOCH, step: Duration::from_secs(3_600), counts: counts.to_vec() }
    }

    #[test]
    fn a_spark_scales_to_its_busiest_step_and_says_its_sum() {
        let svg = series(&[0, 1, 1_000, 500]).spark(Severity::Warning).to_string();
        assert_eq!(
            svg.replace('\u{a0}', " "),
            concat!(
                r#"<svg class="sp w" viewBox="0 0 24 26" preserveAspectRatio="none" role="img" "#,
                r#"aria-label="1,501 occurrences in the last 4 h"><path d=""#,
                r#"M0 26v-1h5v1zM6 26v-2h5v2zM12 26v-26h5v26zM18 26v-13h5v13z"/></svg>"#
            )
        );
    }

    #[test]
    fn a_quiet_series_is_grey_and_flat() {
        let svg = series(&[0, 0]).spark(Severity::Error).to_string();
        assert!(svg.contains(r#"class="sp n""#) && svg.contains("v-1h5v1z"), "{svg}");
    }

    #[test]
    fn counts_without_bound_do_not_overflow() {
        let svg = series(&[u64::MAX, u64::MAX]).spark(Severity::Error).to_string();
        assert!(svg.contains("M6 26v-26"), "{svg}");
    }

    #[test]
    fn a_mark_stands_at_its_time_and_only_within_the_chart() {
        let hour = |h: u64| Timestamp::EPOCH.plus(Duration::from_secs(h * 3_600));
        let marks = [1, 2, 9].map(|h| Mark { at: hour(h), what: Event::Resolved });
        let svg = Bars::new(series(&[1, 2, 3, 4]), Severity::Error, marks.to_vec()).to_string();
        assert_eq!(svg.matches("mark ok").count(), 2);
        assert!(svg.contains(r#"class="mark ok" d="M10 0v110""#) && svg.contains(r#""M20 0v110""#));
    }

    #[test]
    fn the_legend_counts_the_marks_that_are_shown() {
        let mark = |what| Mark { at: Timestamp::EPOCH.plus(Duration::from_secs(60)), what };
        let marks = [Event::Restarted, Event::Resolved, Event::Restarted].map(mark).to_vec();
        let bars = Bars::new(series(&[1]), Severity::Error, marks);
        assert_eq!(bars.legend(), [(Event::Resolved, 1), (Event::Restarted, 2)]);
        assert!(bars.to_string().contains("an instance restarted 1970-01-01 00:01:00 UTC"));
    }

    #[test]
    fn every_column_tells_its_time_and_count_and_the_chart_where_it_lies() {
        let svg = Bars::new(series(&[0, 3]), Severity::Error, Vec::new()).to_string();
        assert!(svg.contains(r#"data-from="0" data-to="7200""#), "{svg}");
        assert!(svg.contains("<title>1970-01-01 01:00:00 UTC: 3 occurrences</title>"), "{svg}");
    }

    #[test]
    fn the_axis_names_five_times() {
        let bars = Bars::new(series(&[0; 24]), Severity::Error, Vec::new());
        let ticks: Vec<_> = bars.axis().iter().map(Tick::to_string).collect();
        assert_eq!(ticks.len(), 5);
        assert!(ticks[1].ends_with(">06:00</time>"), "{}", ticks[1]);
    }

    #[test]
    fn no_chart_has_a_style_of_its_own() {
        let bars = Bars::new(series(&[1, 2]), Severity::Info, Vec::new());
        assert!(!format!("{bars}{}", series(&[1]).spark(Severity::Info)).contains("style"));
    }
}
