//! Numbers and times as people read them: short, with the exact value one hover away.

use std::fmt;
use std::time::Duration;

use askama::filters::HtmlSafe;
use periskop_core::Timestamp;

/// Between a number and its unit: a space at which no line breaks.
const GAP: char = '\u{a0}';

/// A count in at most four characters and a unit: `941`, `18.2 k`, `1.1 M`. Rounded down, so that
/// it never promises more than there is.
pub fn short(n: impl TryInto<u64>) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    const UNITS: [(u64, &str); 6] = [
        (1_000_000_000_000_000_000, "E"),
        (1_000_000_000_000_000, "P"),
        (1_000_000_000_000, "T"),
        (1_000_000_000, "G"),
        (1_000_000, "M"),
        (1_000, "k"),
    ];
    match UNITS.iter().find(|(size, _)| n >= *size) {
        None => n.to_string(),
        Some((size, unit)) if n / size >= 100 => format!("{}{GAP}{unit}", n / size),
        Some((size, unit)) => format!("{}.{}{GAP}{unit}", n / size, n / (size / 10) % 10),
    }
}

/// A count in full, in groups of three: `18,204`.
pub fn exact(n: impl TryInto<u64>) -> String {
    let digits = n.try_into().unwrap_or(u64::MAX).to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 error`, `2 errors`.
pub fn plural(n: impl TryInto<u64>, one: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    format!("{} {one}{}", exact(n), if n == 1 { "" } else { "s" })
}

/// A rate in the unit in which it is at least one: `5.1 /s`, `12 /min`, `3 /h`; `0` for none.
pub fn rate(per_minute: f64) -> String {
    let (value, unit) = match per_minute {
        r if !r.is_finite() || r <= 0.0 => return "0".to_owned(),
        r if r >= 60.0 => (r / 60.0, "/s"),
        r if r >= 1.0 => (r, "/min"),
        r => (r * 60.0, "/h"),
    };
    if value >= 10.0 { format!("{value:.0}{GAP}{unit}") } else { format!("{value:.1}{GAP}{unit}") }
}

/// How many times the usual rate the present one is: `▲ 38×`, `1.1×`, `▼ 0.3×`.
pub fn trend(ratio: f64) -> String {
    let arrow = match ratio {
        r if r >= 1.5 => "▲ ",
        r if r <= 0.67 => "▼ ",
        _ => "",
    };
    if ratio >= 10.0 { format!("{arrow}{ratio:.0}×") } else { format!("{arrow}{ratio:.1}×") }
}

/// An age or a span in its one largest unit: `12 s`, `2 min`, `3 h`, `21 d`, `2 y`.
pub fn span(span: Duration) -> String {
    let s = span.as_secs();
    let (n, unit) = match s {
        0..60 => (s, "s"),
        60..3_600 => (s / 60, "min"),
        3_600..172_800 => (s / 3_600, "h"),
        172_800..63_072_000 => (s / 86_400, "d"),
        _ => (s / 31_536_000, "y"),
    };
    format!("{n}{GAP}{unit}")
}

/// How long a scrape took: `850 µs`, `12 ms`, `1.2 s`.
pub fn took(duration: Duration) -> String {
    match duration.as_micros() {
        us @ 0..1_000 => format!("{us}{GAP}µs"),
        us @ 1_000..1_000_000 => format!("{}{GAP}ms", us / 1_000),
        _ => format!("{:.1}{GAP}s", duration.as_secs_f64()),
    }
}

/// An instant to the second in UTC, for a tooltip: `2026-11-23 03:27:26 UTC`.
pub fn absolute(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or(&text);
    format!("{} UTC", seconds.replacen('T', " ", 1))
}

/// A `<time>` element that reads as an age and holds the instant for tooltip and script.
#[derive(Clone, Copy, Debug)]
pub struct Ago {
    at: Timestamp,
    now: Timestamp,
    suffix: &'static str,
}

impl Ago {
    /// `3 h ago`, seen from `now`.
    pub fn new(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now, suffix: " ago" }
    }

    /// `3 h`, seen from `now`.
    pub fn bare(at: Timestamp, now: Timestamp) -> Self {
        Self { at, now, suffix: "" }
    }
}

impl fmt::Display for Ago {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { at, now, suffix } = *self;
        // Scripts write the age again as time passes.
        let kind = if suffix.is_empty() { "" } else { r#" data-as="ago""# };
        write!(f, r#"<time datetime="{at}"{kind} title="{}">"#, absolute(at))?;
        match at.as_secs() - now.as_secs() {
            0 => f.write_str("now")?,
            1.. => write!(f, "in {}", span(at.since(now)))?,
            _ => write!(f, "{}{suffix}", span(now.since(at)))?,
        }
        f.write_str("</time>")
    }
}

// Digits, units and our own tags only.
impl HtmlSafe for Ago {}

/// A `<time>` element that reads as an instant to the minute.
#[derive(Clone, Copy, Debug)]
pub struct Moment(pub Timestamp);

impl fmt::Display for Moment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (at, whole) = (self.0, absolute(self.0));
        let minute = whole.get(..16).unwrap_or(&whole);
        write!(f, r#"<time datetime="{at}" data-as="moment" title="{whole}">{minute} UTC</time>"#)
    }
}

// Digits and our own tags only.
impl HtmlSafe for Moment {}

#[cfg(test)]
mod tests {
    use super::*;

    fn plain(text: impl AsRef<str>) -> String {
        text.as_ref().replace(GAP, " ")
    }

    #[test]
    fn a_short_number_never_promises_more_than_there_is() {
        for (n, expected) in [
            (0_u64, "0"),
            (999, "999"),
            (1_000, "1.0 k"),
            (1_099, "1.0 k"),
            (18_204, "18.2 k"),
            (99_999, "99.9 k"),
            (100_000, "100 k"),
            (999_999, "999 k"),
            (1_100_000, "1.1 M"),
            (u64::MAX, "18.4 E"),
        ] {
            assert_eq!(plain(short(n)), expected);
        }
    }

    #[test]
    fn an_exact_number_is_grouped_by_thousands() {
        for (n, expected) in
            [(0_u64, "0"), (999, "999"), (1_000, "1,000"), (18_204_001, "18,204,001")]
        {
            assert_eq!(exact(n), expected);
        }
    }

    #[test]
    fn a_rate_takes_the_unit_in_which_it_can_be_read() {
        for (r, expected) in [
            (0.0, "0"),
            (f64::NAN, "0"),
            (0.05, "3.0 /h"),
            (1.0, "1.0 /min"),
            (12.4, "12 /min"),
            (306.0, "5.1 /s"),
        ] {
            assert_eq!(plain(rate(r)), expected);
        }
    }

    #[test]
    fn a_span_is_told_in_its_largest_unit() {
        for (s, expected) in [
            (0, "0 s"),
            (59, "59 s"),
            (60, "1 min"),
            (3_599, "59 min"),
            (3_600, "1 h"),
            (47 * 3_600, "47 h"),
            (48 * 3_600, "2 d"),
            (21 * 86_400, "21 d"),
            (800 * 86_400, "2 y"),
        ] {
            assert_eq!(plain(span(Duration::from_secs(s))), expected);
        }
    }

    #[test]
    fn a_time_reads_as_an_age_and_tells_the_instant_on_hover() {
        let at = Timestamp::from_micros(1_536_855_810_000_000);
        assert_eq!(
            plain(Ago::new(at, at.plus(Duration::from_secs(12))).to_string()),
            r#"<time datetime="2018-09-13T16:23:30.000000Z" data-as="ago" title="2018-09-13 16:23:30 UTC">12 s ago</time>"#
        );
        assert!(Ago::new(at, at).to_string().contains(">now<"));
        assert_eq!(
            Moment(at).to_string(),
            r#"<time datetime="2018-09-13T16:23:30.000000Z" data-as="moment" title="2018-09-13 16:23:30 UTC">2018-09-13 16:23 UTC</time>"#
        );
        let ahead = Ago::new(at.plus(Duration::from_secs(120)), at).to_string();
        assert!(plain(ahead).contains(">in 2 min<"));
    }

    #[test]
    fn trends_and_durations_read_short() {
        for (r, expected) in [(38.2, "▲ 38×"), (2.0, "▲ 2.0×"), (1.1, "1.1×"), (0.3, "▼ 0.3×")]
        {
            assert_eq!(trend(r), expected);
        }
        assert_eq!(plain(took(Duration::from_micros(850))), "850 µs");
        assert_eq!(plain(took(Duration::from_millis(12))), "12 ms");
        assert_eq!(plain(took(Duration::from_millis(1_250))), "1.2 s");
    }
}
