//! Durations, sizes and secrets as Prometheus writes them.

use std::fmt;
use std::time::Duration;

/// A text that is never printed: `Debug` and `Display` say `<secret>`.
///
/// ```
/// let token = periskop_core::config::Secret::new("hunter2");
/// assert_eq!(format!("{token} {token:?}"), "<secret> <secret>");
/// assert_eq!(token.expose(), "hunter2");
/// ```
#[derive(Clone, Default, PartialEq, Eq, Hash)]
pub struct Secret(String);

impl Secret {
    /// How every secret prints.
    pub const HIDDEN: &'static str = "<secret>";

    /// Hides a text.
    pub fn new(text: impl Into<String>) -> Self {
        Self(text.into())
    }

    /// The text itself, for the one place that sends it.
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl fmt::Display for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::HIDDEN)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(Self::HIDDEN)
    }
}

impl From<&Secret> for crate::config::Node {
    fn from(_: &Secret) -> Self {
        Secret::HIDDEN.into()
    }
}

const MILLI: u64 = 1_000_000;
const SECOND: u64 = 1_000 * MILLI;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
const WEEK: u64 = 7 * DAY;
const YEAR: u64 = 365 * DAY;

/// Prometheus's units from the largest to the smallest, in nanoseconds. Years and weeks are only
/// printed where nothing remains, as Prometheus does (`90d`, but `1w`).
const UNITS: [(&str, u64, bool); 7] = [
    ("y", YEAR, true),
    ("w", WEEK, true),
    ("d", DAY, false),
    ("h", HOUR, false),
    ("m", MINUTE, false),
    ("s", SECOND, false),
    ("ms", MILLI, false),
];

/// The longest duration that Go has, some 292 years.
const MAX_NANOS: u64 = i64::MAX.unsigned_abs();

/// Reads a duration as Prometheus's `model.ParseDuration`: whole numbers with the units `y w d h
/// m s ms`, each at most once and in this order (`1h30m`), or `0`.
///
/// # Errors
///
/// Says what is wrong in Prometheus's words.
pub fn parse_duration(text: &str) -> Result<Duration, String> {
    let invalid = || format!("not a valid duration string: {text:?}");
    match text {
        "" => return Err("empty duration string".into()),
        "0" => return Ok(Duration::ZERO),
        _ => {}
    }
    let mut nanos = 0u64;
    let mut smaller = UNITS.as_slice();
    let mut rest = text;
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit());
        let (unit, after) = split(after, |c| !c.is_ascii_digit());
        if number.is_empty() || unit.is_empty() {
            return Err(invalid());
        }
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let Some(&(_, size, _)) = UNITS.iter().find(|(name, ..)| *name == unit) else {
            return Err(format!("unknown unit {unit:?} in duration {text:?}"));
        };
        let Some(place) = smaller.iter().position(|(name, ..)| *name == unit) else {
            return Err(invalid()); // twice, or after a smaller one
        };
        smaller = &smaller[place + 1..];
        nanos = number
            .checked_mul(size)
            .and_then(|n| n.checked_add(nanos))
            .filter(|n| *n <= MAX_NANOS)
            .ok_or("duration out of range")?;
        rest = after;
    }
    Ok(Duration::from_nanos(nanos))
}

/// Reads a duration in Go's form (`1.5s`, `1m0.5s`, `300ms`, `10us`) or Prometheus's. For fields
/// that the reference read with Go's `time.ParseDuration`; negative ones are refused.
///
/// # Errors
///
/// Says what is wrong.
pub fn parse_go_duration(text: &str) -> Result<Duration, String> {
    if let Ok(duration) = parse_duration(text) {
        return Ok(duration);
    }
    let invalid = || format!("not a valid duration string: {text:?}");
    let mut nanos = 0f64;
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let size = match unit {
            "ns" => 1.0,
            "us" | "µs" | "μs" => 1e3,
            "ms" => 1e6,
            "s" => 1e9,
            "m" => 60e9,
            "h" => 3600e9,
            "" => return Err(format!("missing unit in duration {text:?}")),
            _ => return Err(format!("unknown unit {unit:?} in duration {text:?}")),
        };
        nanos += number * size;
        rest = after;
    }
    Duration::try_from_secs_f64(nanos / 1e9)
        .ok()
        .filter(|d| d.as_nanos() <= u128::from(MAX_NANOS))
        .ok_or_else(|| "duration out of range".into())
}

/// Writes a duration as Prometheus prints it again: `1m` for 60 s, `1h30m`, `0s`. What is below a
/// millisecond is left out.
pub fn format_duration(duration: Duration) -> String {
    let mut rest = u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX);
    rest -= rest % MILLI;
    if rest == 0 {
        return "0s".into();
    }
    let mut text = String::new();
    for (name, size, only_whole) in UNITS {
        if rest >= size && (!only_whole || rest % size == 0) {
            text += &format!("{}{name}", rest / size);
            rest %= size;
        }
    }
    text
}

/// Reads a size in bytes as Prometheus does (its units are powers of 1024 whatever they are
/// called): `10MB`, `10MiB`, `1.5KB`, `512B`, `0`.
///
/// # Errors
///
/// Says what is wrong in the words of Prometheus's library.
pub fn parse_bytes(text: &str) -> Result<u64, String> {
    let invalid = || format!("units: invalid {text}");
    if text == "0" {
        return Ok(0);
    }
    let mut bytes = 0f64;
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    if rest.is_empty() || rest.starts_with('-') {
        return Err(invalid());
    }
    while !rest.is_empty() {
        let (number, after) = split(rest, |c| c.is_ascii_digit() || c == '.');
        let (unit, after) = split(after, |c| !c.is_ascii_digit() && c != '.');
        let number: f64 = number.parse().map_err(|_| invalid())?;
        let exponent = match unit {
            "B" => 0,
            "KB" | "KiB" => 1,
            "MB" | "MiB" => 2,
            "GB" | "GiB" => 3,
            "TB" | "TiB" => 4,
            "PB" | "PiB" => 5,
            "EB" | "EiB" => 6,
            _ => return Err(format!("units: unknown unit {unit} in {text}")),
        };
        bytes += number * 1024f64.powi(exponent);
        rest = after;
    }
    if bytes >= i64::MAX as f64 {
        return Err("units: overflow parsing unit".into());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)] // in range, see above
    Ok(bytes as u64)
}

/// Splits after the characters at the beginning that are wanted.
fn split(text: &str, wanted: impl Fn(char) -> bool) -> (&str, &str) {
    text.split_at(text.find(|c| !wanted(c)).unwrap_or(text.len()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_read_and_printed_as_prometheus_does() {
        for (text, millis, printed) in [
            ("0", 0, "0s"),
            ("0s", 0, "0s"),
            ("60s", 60_000, "1m"),
            ("90s", 90_000, "1m30s"),
            ("1h30m", 5_400_000, "1h30m"),
            ("500ms", 500, "500ms"),
            ("1d", 86_400_000, "1d"),
            ("25h", 90_000_000, "1d1h"),
            ("90d", 7_776_000_000, "90d"),
            ("7d", 604_800_000, "1w"),
            ("1y", 31_536_000_000, "1y"),
        ] {
            let duration = parse_duration(text).unwrap();
            assert_eq!(duration, Duration::from_millis(millis), "{text}");
            assert_eq!(format_duration(duration), printed, "{text}");
        }
    }

    #[test]
    fn bad_durations_are_refused_in_prometheus_words() {
        for (text, message) in [
            ("", "empty duration string"),
            ("5", "not a valid duration string: \"5\""),
            ("30m1h", "not a valid duration string: \"30m1h\""),
            ("1m1m", "not a valid duration string: \"1m1m\""),
            ("-1s", "not a valid duration string: \"-1s\""),
            ("1.5m", "unknown unit \".\" in duration \"1.5m\""),
            ("300y", "duration out of range"),
        ] {
            assert_eq!(parse_duration(text).unwrap_err(), message);
        }
    }

    #[test]
    fn durations_in_gos_form_are_understood() {
        for (text, millis) in [("1.5s", 1500), ("1m0.5s", 60_500), ("2s", 2000), (".5h", 1_800_000)]
        {
            assert_eq!(parse_go_duration(text).unwrap(), Duration::from_millis(millis), "{text}");
        }
        for text in ["", "5", "-1s", "1.5", "1.2.3s", "s", "1e9h"] {
            assert!(parse_go_duration(text).is_err(), "{text}");
        }
    }

    #[test]
    fn sizes_are_powers_of_1024() {
        for (text, bytes) in
            [("0", 0), ("1KB", 1024), ("10MB", 10 << 20), ("1.5KiB", 1536), ("2MB512KB", 2_621_440)]
        {
            assert_eq!(parse_bytes(text).unwrap(), bytes, "{text}");
        }
        assert_eq!(parse_bytes("100").unwrap_err(), "units: unknown unit  in 100");
        for text in ["", "-1KB", "KB", "1kb", "16EB"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
