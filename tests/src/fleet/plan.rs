//! What a fleet is to be like.

use std::str::FromStr;
use std::time::Duration;

use super::hostile::Hostility;

/// What a fleet is to be like.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The same seed makes the same fleet.
    pub seed: u64,
    /// Services that the instances belong to, in turn.
    pub services: usize,
    /// Instances of all services together.
    pub instances: usize,
    /// Errors of each instance.
    pub errors: usize,
    /// Occurrences that are kept of each error.
    pub occurrences: usize,
    /// How long the texts are.
    pub size: Size,
    /// Whether the instances of a service have the same errors. Else each has errors of its own.
    pub shared: bool,
    /// Whether each answer lists its errors in another order, as the Go client does.
    pub shuffled: bool,
    /// Whether answers are compressed for whoever takes that.
    pub gzip: bool,
    /// New occurrences.
    pub changes: Pace,
    /// Processes that end and begin anew at their address.
    pub restarts: Pace,
    /// Instances that others replace at other addresses.
    pub churn: Pace,
    /// How many instances are hostile, in which manner.
    pub hostile: Vec<(Hostility, usize)>,
    /// A hostile instance answers honestly each so many times. 0: never.
    pub relent: u64,
    /// From one scrape of an instance to the next.
    pub interval: Duration,
    /// Bytes of written errors that are kept from one answer to the next. What exceeds this is
    /// written again for each answer.
    pub kept: usize,
}

impl Default for Plan {
    fn default() -> Self {
        Self {
            seed: 1,
            services: 1,
            instances: 10,
            errors: 20,
            occurrences: 10,
            size: Size::Jvm,
            shared: false,
            shuffled: true,
            gzip: false,
            changes: Pace::Never,
            restarts: Pace::Never,
            churn: Pace::Never,
            hostile: Vec::new(),
            relent: 0,
            interval: Duration::from_secs(10),
            kept: 4 << 30,
        }
    }
}

/// How long the texts of an error are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Size {
    /// 30 to 60 frames a stack, half with a cause, ten request headers: about 7 KB an occurrence.
    #[default]
    Jvm,
    /// Three frames, no cause, no request: about 400 bytes an occurrence.
    Small,
}

/// How often something happens.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Pace {
    /// Not at all.
    #[default]
    Never,
    /// So often before each answer of each instance but its first.
    PerScrape(usize),
    /// So often within each interval, somewhere in the fleet.
    PerCycle(f64),
    /// So often a second, somewhere in the fleet.
    PerSecond(f64),
}

impl Pace {
    /// From one time to the next, somewhere in the fleet. `None` where time does not tell.
    pub fn period(self, interval: Duration) -> Option<Duration> {
        let per_second = match self {
            Self::Never | Self::PerScrape(_) => return None,
            Self::PerCycle(n) => n / interval.as_secs_f64(),
            Self::PerSecond(n) => n,
        };
        Duration::try_from_secs_f64(1.0 / per_second).ok()
    }

    /// How often before each answer.
    pub fn per_scrape(self) -> usize {
        match self {
            Self::PerScrape(n) => n,
            _ => 0,
        }
    }
}

impl FromStr for Pace {
    type Err = String;

    /// `N/s`, `N/min`, `N/h`, `N/cycle`, `N/scrape` or `0`.
    fn from_str(text: &str) -> Result<Self, String> {
        let expected =
            || format!("`{text}`: expected a number and /s, /min, /h, /cycle or /scrape");
        if text == "0" {
            return Ok(Self::Never);
        }
        let (number, unit) = text.split_once('/').ok_or_else(expected)?;
        if unit == "scrape" {
            return number.parse().map(Self::PerScrape).map_err(|_| expected());
        }
        let number: f64 = number.parse().map_err(|_| expected())?;
        if !(number > 0.0 && number.is_finite()) {
            return Err(format!("`{text}`: expected more than 0"));
        }
        match unit {
            "s" => Ok(Self::PerSecond(number)),
            "min" => Ok(Self::PerSecond(number / 60.0)),
            "h" => Ok(Self::PerSecond(number / 3600.0)),
            "cycle" => Ok(Self::PerCycle(number)),
            _ => Err(expected()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pace_is_a_number_and_what_it_is_counted_by() {
        let ten = Duration::from_secs(10);
        for (text, period) in [
            ("2/s", Some(Duration::from_millis(500))),
            ("6/min", Some(ten)),
            ("360/h", Some(ten)),
            ("100/cycle", Some(Duration::from_millis(100))),
            ("0", None),
            ("3/scrape", None),
        ] {
            let pace: Pace = text.parse().unwrap();
            assert_eq!(pace.period(ten), period, "{text}");
        }
        assert_eq!("3/scrape".parse::<Pace>().unwrap().per_scrape(), 3);
        for wrong in ["", "5", "x/s", "-1/s", "inf/s", "1/day", "1.5/scrape"] {
            assert!(wrong.parse::<Pace>().is_err(), "{wrong}");
        }
    }
}
