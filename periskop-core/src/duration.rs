//! Spans of time as Prometheus writes them.

use std::time::Duration;

/// Reads a Prometheus duration: `0`, or numbers with the units `y w d h m s ms`, each at most
/// once and from the greatest to the smallest: `1h30m`, `500ms`. A year has 365 days.
///
/// ```
/// use std::time::Duration;
/// assert_eq!(periskop_core::duration::parse("1h30m"), Ok(Duration::from_secs(5400)));
/// ```
///
/// # Errors
///
/// [`DurationError`], in Prometheus's words, so that its documentation can be searched for them.
pub fn parse(text: &str) -> Result<Duration, DurationError> {
    match text {
        "" => return Err(DurationError::Empty),
        "0" => return Ok(Duration::ZERO),
        _ => {}
    }
    let invalid = || DurationError::Invalid(text.to_owned());
    let mut rest = text;
    let mut units = UNITS.iter();
    let mut millis = 0_u64;
    while !rest.is_empty() {
        let (number, after) = split_where(rest, |c| !c.is_ascii_digit());
        let (unit, after) = split_where(after, |c| c.is_ascii_digit());
        if number.is_empty() || unit.is_empty() {
            return Err(invalid());
        }
        let number: u64 = number.parse().map_err(|_| invalid())?;
        if !UNITS.iter().any(|(name, _)| *name == unit) {
            return Err(DurationError::Unit { unit: unit.to_owned(), text: text.to_owned() });
        }
        // The iterator goes on from the last unit, so an order other than descending runs out.
        let (_, factor) = units.find(|(name, _)| *name == unit).ok_or_else(invalid)?;
        millis = number
            .checked_mul(*factor)
            .and_then(|span| millis.checked_add(span))
            .filter(|millis| *millis <= LONGEST)
            .ok_or(DurationError::OutOfRange)?;
        rest = after;
    }
    Ok(Duration::from_millis(millis))
}

/// Writes a span as Prometheus prints it: 60 s is `1m`, 90 min is `1h30m`, nothing is `0s`.
/// Weeks and years are used only where the whole span is a multiple of them.
pub fn format(span: Duration) -> String {
    let mut rest = u64::try_from(span.as_millis()).unwrap_or(u64::MAX);
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, factor) in UNITS {
        let whole_only = matches!(unit, "y" | "w");
        if rest < factor || (whole_only && rest % factor != 0) {
            continue;
        }
        text.push_str(&format!("{}{unit}", rest / factor));
        rest %= factor;
    }
    text
}

/// Why a text is not a duration.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DurationError {
    /// There is nothing.
    #[error("empty duration string")]
    Empty,
    /// It is not numbers with units, from the greatest unit to the smallest.
    #[error("not a valid duration string: {0:?}")]
    Invalid(String),
    /// A unit is none of `y w d h m s ms`.
    #[error("unknown unit {unit:?} in duration {text:?}")]
    Unit {
        /// What stands where a unit should.
        unit: String,
        /// The whole text.
        text: String,
    },
    /// Longer than some 292 years, the longest span that Prometheus can hold.
    #[error("duration out of range")]
    OutOfRange,
}

/// Units and their milliseconds, from the greatest to the smallest.
const UNITS: [(&str, u64); 7] = [
    ("y", 365 * 86_400_000),
    ("w", 7 * 86_400_000),
    ("d", 86_400_000),
    ("h", 3_600_000),
    ("m", 60_000),
    ("s", 1_000),
    ("ms", 1),
];

/// Go's longest span, 2^63 - 1 nanoseconds, in milliseconds.
const LONGEST: u64 = i64::MAX.unsigned_abs() / 1_000_000;

fn split_where(text: &str, end: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(end).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_printed_reads_back_as_the_same_span() {
        for text in ["0s", "500ms", "1m", "1h30m", "1d", "1w", "2y", "8d", "1m1s1ms", "367d2h"] {
            assert_eq!(format(parse(text).unwrap()), text);
        }
        assert_eq!(format(parse("3600s").unwrap()), "1h");
        assert_eq!(format(parse("7d").unwrap()), "1w");
    }

    #[test]
    fn what_is_no_duration_is_refused_in_prometheuss_words() {
        for (text, error) in [
            ("", "empty duration string"),
            ("10", r#"not a valid duration string: "10""#),
            (" 1s", r#"not a valid duration string: " 1s""#),
            ("-1s", r#"not a valid duration string: "-1s""#),
            ("1s1m", r#"not a valid duration string: "1s1m""#),
            ("1h1h", r#"not a valid duration string: "1h1h""#),
            ("1.5s", r#"unknown unit "." in duration "1.5s""#),
            ("1m 30s", r#"unknown unit "m " in duration "1m 30s""#),
            ("300y", "duration out of range"),
            ("99999999999999999999s", r#"not a valid duration string: "99999999999999999999s""#),
        ] {
            assert_eq!(parse(text).unwrap_err().to_string(), error, "{text}");
        }
    }
}
