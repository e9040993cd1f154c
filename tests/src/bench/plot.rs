//! Draws curves as SVG: both axes by powers of ten, so that what grows in proportion is a straight
//! line of the slope of the dashed one.

use std::fmt::Write as _;
use std::ops::RangeInclusive;
use std::path::Path;

use super::Outcome;
use super::curves::{Chart, Curves, Series};

const WIDTH: f64 = 680.0;
const HEIGHT: f64 = 420.0;
const LEFT: f64 = 70.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 48.0;
const BOTTOM: f64 = 56.0;

/// Readable on white and on black.
const STYLE: &str = "\
text{font:12px system-ui,sans-serif;fill:#1f2328}.title{font-size:14px;font-weight:600}\
.grid{stroke:#d0d7de;stroke-width:1}.even{stroke:#8c959f;stroke-width:1.5;stroke-dasharray:5 4;fill:none}\
.line{fill:none;stroke-width:2}\
.s0{stroke:#0969da}.s1{stroke:#bc4c00}.s2{stroke:#1a7f37}.s3{stroke:#8250df}\
.f0{fill:#0969da}.f1{fill:#bc4c00}.f2{fill:#1a7f37}.f3{fill:#8250df}\
@media (prefers-color-scheme:dark){text{fill:#e6edf3}.grid{stroke:#30363d}.even{stroke:#848d97}\
.s0{stroke:#58a6ff}.s1{stroke:#f0883e}.s2{stroke:#3fb950}.s3{stroke:#bc8cff}\
.f0{fill:#58a6ff}.f1{fill:#f0883e}.f2{fill:#3fb950}.f3{fill:#bc8cff}}";

/// Draws a picture for each chart of a file.
pub(super) fn draw(data: &Path, into: &Path) -> Outcome<()> {
    let curves: Curves = serde_json::from_slice(&std::fs::read(data)?)?;
    for chart in &curves.charts {
        std::fs::write(into.join(format!("{}.svg", chart.name)), picture(chart))?;
    }
    Ok(())
}

fn picture(chart: &Chart) -> String {
    let points = || chart.series.iter().flat_map(|series| &series.points);
    let across = Axis::around(points().map(|(x, _)| *x), LEFT..=WIDTH - RIGHT);
    let up = Axis::around(points().map(|(_, y)| *y), HEIGHT - BOTTOM..=TOP);
    let mut svg = String::new();
    let mut put = |text: std::fmt::Arguments<'_>| {
        svg.write_fmt(text).expect("memory can be written to");
        svg.push('\n');
    };
    put(format_args!(
        r#"<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#,
        escaped(&chart.title)
    ));
    put(format_args!("<style>{STYLE}</style>"));
    put(format_args!(r#"<text class="title" x="{LEFT}" y="24">{}</text>"#, escaped(&chart.title)));
    for tick in across.ticks() {
        let x = across.place(tick);
        put(format_args!(
            r#"<line class="grid" x1="{x:.1}" y1="{TOP}" x2="{x:.1}" y2="{:.1}"/><text x="{x:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
            HEIGHT - BOTTOM,
            HEIGHT - BOTTOM + 18.0,
            label(tick)
        ));
    }
    for tick in up.ticks() {
        let y = up.place(tick);
        put(format_args!(
            r#"<line class="grid" x1="{LEFT}" y1="{y:.1}" x2="{:.1}" y2="{y:.1}"/><text x="{:.1}" y="{:.1}" text-anchor="end">{}</text>"#,
            WIDTH - RIGHT,
            LEFT - 8.0,
            y + 4.0,
            label(tick)
        ));
    }
    put(format_args!(
        r#"<text x="{:.1}" y="{:.1}" text-anchor="middle">{}</text>"#,
        (LEFT + WIDTH - RIGHT) / 2.0,
        HEIGHT - 16.0,
        escaped(&chart.across)
    ));
    if let Some(even) = proportional(chart, &across, &up) {
        put(format_args!(r#"<path class="even" d="{even}"/>"#));
    }
    for (n, series) in chart.series.iter().enumerate() {
        put(format_args!(r#"<path class="line s{n}" d="{}"/>"#, line(series, &across, &up)));
        for (x, y) in &series.points {
            put(format_args!(
                r#"<circle class="f{n}" cx="{:.1}" cy="{:.1}" r="3.5"><title>{}: {y:.3} {}</title></circle>"#,
                across.place(*x),
                up.place(*y),
                label(*x),
                escaped(&series.unit)
            ));
        }
        let y = TOP + 14.0 + 38.0 * n as f64;
        put(format_args!(
            r#"<rect class="f{n}" x="{:.1}" y="{:.1}" width="12" height="12" rx="2"/><text x="{:.1}" y="{:.1}">{}</text><text x="{:.1}" y="{:.1}">({})</text>"#,
            WIDTH - RIGHT + 14.0,
            y - 10.0,
            WIDTH - RIGHT + 32.0,
            y,
            escaped(&series.name),
            WIDTH - RIGHT + 32.0,
            y + 15.0,
            escaped(&series.unit)
        ));
    }
    let y = TOP + 14.0 + 38.0 * chart.series.len() as f64;
    put(format_args!(
        r#"<path class="even" d="M{:.1} {:.1}h14"/><text x="{:.1}" y="{y:.1}">proportional</text>"#,
        WIDTH - RIGHT + 13.0,
        y - 4.0,
        WIDTH - RIGHT + 32.0
    ));
    put(format_args!("</svg>"));
    svg
}

/// From the last point of the first line back at the slope of what grows in proportion, as far as the
/// picture goes.
fn proportional(chart: &Chart, across: &Axis, up: &Axis) -> Option<String> {
    let (x, y) = *chart.series.first()?.points.last()?;
    let least = (across.least).max(x * up.least / y);
    let far = least * y / x;
    let (from, to) = ((across.place(least), up.place(far)), (across.place(x), up.place(y)));
    Some(format!("M{:.1} {:.1}L{:.1} {:.1}", from.0, from.1, to.0, to.1))
}

fn line(series: &Series, across: &Axis, up: &Axis) -> String {
    let mut path = String::new();
    for (n, (x, y)) in series.points.iter().enumerate() {
        let command = if n == 0 { 'M' } else { 'L' };
        write!(path, "{command}{:.1} {:.1}", across.place(*x), up.place(*y))
            .expect("memory can be written to");
    }
    path
}

/// Powers of ten along a line of the picture.
struct Axis {
    least: f64,
    most: f64,
    from: f64,
    to: f64,
}

impl Axis {
    /// One that has room for these values.
    fn around(values: impl Iterator<Item = f64>, along: RangeInclusive<f64>) -> Self {
        let logs: Vec<_> = values.filter(|v| *v > 0.0).map(f64::log10).collect();
        let least = logs.iter().copied().fold(f64::INFINITY, f64::min);
        let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let (least, most) = if logs.is_empty() { (0.0, 1.0) } else { (least, most) };
        let (low, mut high) = ((least + 1e-9).floor(), (most - 1e-9).ceil());
        if high <= low {
            high = low + 1.0;
        }
        let (from, to) = along.into_inner();
        Self { least: 10_f64.powf(low), most: 10_f64.powf(high), from, to }
    }

    fn place(&self, value: f64) -> f64 {
        let part = (value.max(self.least) / self.least).log10() / (self.most / self.least).log10();
        self.from + part * (self.to - self.from)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let most = self.most * 1.001;
        std::iter::successors(Some(self.least), |n| Some(n * 10.0)).take_while(move |n| *n < most)
    }
}

fn label(value: f64) -> String {
    if value < 0.99 {
        return format!("{value}");
    }
    let digits = format!("{value:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chart() -> Chart {
        let series = |name: &str, factor: f64| Series {
            name: name.to_owned(),
            unit: "ms".to_owned(),
            points: [10.0, 100.0, 1000.0].map(|x| (x, x * factor)).to_vec(),
        };
        Chart {
            name: "c".into(),
            title: "A < B & C".into(),
            across: "targets".into(),
            series: vec![series("cost", 0.5), series("more", 2.0)],
        }
    }

    #[test]
    fn what_grows_in_proportion_lies_on_the_dashed_line() {
        let chart = chart();
        let across = Axis::around([10.0, 1000.0].into_iter(), 0.0..=200.0);
        let up = Axis::around([5.0, 2000.0].into_iter(), 400.0..=0.0);
        assert_eq!(across.place(100.0), 100.0);
        let even = proportional(&chart, &across, &up).unwrap();
        assert!(even.ends_with(&format!("L200.0 {:.1}", up.place(500.0))), "{even}");
        assert!(even.starts_with(&format!("M0.0 {:.1}", up.place(5.0))), "{even}");
        assert!(line(&chart.series[0], &across, &up).starts_with(&even[..6]), "{even}");
    }

    #[test]
    fn a_picture_has_axes_with_labels_and_says_what_is_what() {
        let svg = picture(&chart());
        for part in ["A &lt; B &amp; C", ">1,000<", ">targets<", ">cost<", "(ms)", "proportional"] {
            assert!(svg.contains(part), "{part} is not in\n{svg}");
        }
        assert!(svg.contains("prefers-color-scheme:dark"));
        assert_eq!(svg.matches("<circle").count(), 6);
    }

    #[test]
    fn an_axis_goes_from_power_to_power() {
        let axis = Axis::around([3.0, 250.0].into_iter(), 0.0..=1.0);
        assert_eq!(axis.ticks().map(label).collect::<Vec<_>>(), ["1", "10", "100", "1,000"]);
        let one = Axis::around([10.0].into_iter(), 0.0..=1.0);
        assert_eq!(one.ticks().count(), 2, "also where there is one value");
        assert_eq!(
            Axis::around([0.02].into_iter(), 0.0..=1.0).ticks().map(label).next().unwrap(),
            "0.01"
        );
    }
}
