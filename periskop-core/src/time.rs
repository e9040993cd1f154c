//! Instants and spans, in microseconds. No clock: whoever calls brings the time.

use std::fmt;
use std::time::Duration;

/// An instant: signed microseconds since the Unix epoch, UTC.
///
/// Every time in Periskop, in memory, on the wire and in every store, is truncated to this
/// precision when it is read, so that an identity such as `created_at` is the same before and
/// after a restart, whatever precision the client has.
///
/// ```
/// use periskop_core::Timestamp;
/// let t = Timestamp::parse("2018-09-13T18:23:30.6301239+02:00").unwrap();
/// assert_eq!(t.to_string(), "2018-09-13T16:23:30.630123Z");
/// ```
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(i64);

impl Timestamp {
    /// 1970-01-01T00:00:00Z.
    pub const EPOCH: Self = Self(0);
    /// 2000-01-01T00:00:00Z: an occurrence's time before this is not usable.
    pub const YEAR_2000: Self = Self(946_684_800_000_000);

    /// The instant `micros` microseconds after the epoch.
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Microseconds since the epoch.
    pub const fn as_micros(self) -> i64 {
        self.0
    }

    /// Whole seconds since the epoch, rounded down.
    pub const fn as_secs(self) -> i64 {
        self.0.div_euclid(1_000_000)
    }

    /// This instant moved forward, saturating.
    pub fn plus(self, by: Duration) -> Self {
        Self(self.0.saturating_add(micros(by)))
    }

    /// This instant moved back, saturating.
    pub fn minus(self, by: Duration) -> Self {
        Self(self.0.saturating_sub(micros(by)))
    }

    /// How long after `earlier` this is; zero when it is not after it.
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_micros(self.0.saturating_sub(earlier.0).max(0).unsigned_abs())
    }

    /// Reads RFC 3339 with any offset and any precision; also a space or `t` for `T`, `z`, and a
    /// 60th second (read as the 59th). `None` for anything else, a time without offset included.
    pub fn parse(text: &str) -> Option<Self> {
        let b = text.as_bytes();
        let at = |i: usize, c: u8| (*b.get(i)? == c).then_some(());
        let year = digits(b, 0, 4)?;
        at(4, b'-')?;
        let month = digits(b, 5, 2)?;
        at(7, b'-')?;
        let day = digits(b, 8, 2)?;
        if !matches!(b.get(10)?, b'T' | b't' | b' ') {
            return None;
        }
        let hour = digits(b, 11, 2)?;
        at(13, b':')?;
        let minute = digits(b, 14, 2)?;
        at(16, b':')?;
        let second = digits(b, 17, 2)?;
        if !(1..=12).contains(&month)
            || !(1..=days_in_month(year, month)).contains(&day)
            || hour > 23
            || minute > 59
            || second > 60
        {
            return None;
        }
        let mut i = 19;
        let mut fraction = 0;
        if b.get(i) == Some(&b'.') {
            let digits = b[i + 1..].iter().take_while(|c| c.is_ascii_digit()).count();
            if digits == 0 {
                return None;
            }
            for k in 0..6 {
                let digit = if k < digits { i64::from(b[i + 1 + k] - b'0') } else { 0 };
                fraction = fraction * 10 + digit;
            }
            i += 1 + digits;
        }
        let offset = match (b.get(i)?, b.len() - i) {
            (b'Z' | b'z', 1) => 0,
            (sign @ (b'+' | b'-'), 6) => {
                let hours = digits(b, i + 1, 2)?;
                at(i + 3, b':')?;
                let minutes = digits(b, i + 4, 2)?;
                if hours > 23 || minutes > 59 {
                    return None;
                }
                let seconds = hours * 3600 + minutes * 60;
                if *sign == b'-' { -seconds } else { seconds }
            }
            _ => return None,
        };
        let days = days_from_civil(year, month, day);
        let seconds = days * 86_400 + hour * 3600 + minute * 60 + second.min(59) - offset;
        Some(Self(seconds * 1_000_000 + fraction))
    }
}

fn micros(d: Duration) -> i64 {
    i64::try_from(d.as_micros()).unwrap_or(i64::MAX)
}

fn digits(b: &[u8], from: usize, n: usize) -> Option<i64> {
    b.get(from..from + n)?
        .iter()
        .try_fold(0, |value, c| c.is_ascii_digit().then(|| value * 10 + i64::from(c - b'0')))
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since the epoch of a proleptic Gregorian date, by eras of 400 years that begin in March.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let y = if month <= 2 { year - 1 } else { year };
    let era = y.div_euclid(400);
    let year_of_era = y.rem_euclid(400);
    let day_of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let day_of_era = year_of_era * 365 + year_of_era / 4 - year_of_era / 100 + day_of_year;
    era * 146_097 + day_of_era - 719_468
}

fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let z = days + 719_468;
    let era = z.div_euclid(146_097);
    let day_of_era = z.rem_euclid(146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let shifted_month = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * shifted_month + 2) / 5 + 1;
    let month = if shifted_month < 10 { shifted_month + 3 } else { shifted_month - 9 };
    let year = year_of_era + era * 400 + i64::from(month <= 2);
    (year, month, day)
}

/// RFC 3339, UTC, with six decimals.
impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.0.div_euclid(1_000_000);
        let (year, month, day) = civil_from_days(seconds.div_euclid(86_400));
        let of_day = seconds.rem_euclid(86_400);
        write!(
            f,
            "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:06}Z",
            of_day / 3600,
            of_day / 60 % 60,
            of_day % 60,
            self.0.rem_euclid(1_000_000)
        )
    }
}

impl fmt::Debug for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_that_clients_send_reads_as_the_same_instant() {
        let expected = Timestamp::from_micros(1_536_855_810_000_000);
        for text in [
            "2018-09-13T16:23:30Z",
            "2018-09-13t16:23:30z",
            "2018-09-13 16:23:30.0000000001Z",
            "2018-09-13T18:23:30+02:00",
            "2018-09-13T16:23:30-00:00",
        ] {
            assert_eq!(Timestamp::parse(text), Some(expected), "{text}");
        }
    }

    #[test]
    fn what_is_no_instant_does_not_parse() {
        for text in [
            "",
            "2018-09-13",
            "2018-09-13T16:23:30",
            "2018-02-29T00:00:00Z",
            "2018-09-13T24:00:00Z",
            "2018-09-13T16:23:61Z",
            "2018-09-13T16:23:30.Z",
            "2018-09-13T16:23:30+0200",
            "2018-09-13T16:23:30Zx",
            "+018-09-13T16:23:30Z",
        ] {
            assert_eq!(Timestamp::parse(text), None, "{text}");
        }
    }

    #[test]
    fn printing_and_parsing_agree_at_the_edges() {
        for text in [
            "0001-01-01T00:00:00.000000Z",
            "1969-12-31T23:59:59.999999Z",
            "2000-02-29T12:00:00.000001Z",
            "9999-12-31T23:59:59.999999Z",
        ] {
            assert_eq!(Timestamp::parse(text).unwrap().to_string(), text);
        }
    }
}
