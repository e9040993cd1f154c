//! The command line of `fleet`.

use std::net::Ipv4Addr;
use std::path::PathBuf;
use std::time::Duration;

use clap::Parser;
use periskop_core::config::parse_duration;
use url::Url;

use super::{Hostile, Pace, Plan, Size};

/// Plays a fleet of instances on loopback, and says what a server must show of it.
///
/// Each instance has an address of its own in 127.0.0.0/8 and answers GET /-/exceptions as the
/// published Go client does. With --write-config it writes the configuration of a server that
/// scrapes it, with --check it asks that server in the end until its totals are the truth:
///
///   fleet --instances 100 --changes 10/s --restarts 6/min --write-config /tmp/fleet/periskop.yaml \
///         --duration 1m --check http://127.0.0.1:7777 &
///   periskop-server --config /tmp/fleet/periskop.yaml --listen 127.0.0.1:7777
///
/// How often something happens is a number and /s, /min, /h, /cycle (within each interval) or, for
/// changes and restarts, /scrape (before each answer of each instance).
#[derive(Clone, Debug, Parser)]
#[command(name = "fleet", verbatim_doc_comment)]
pub struct Args {
    /// Instances of all services together.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one)]
    pub instances: usize,
    /// Services, to which the instances belong in turn.
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = at_least_one)]
    pub services: usize,
    /// Errors of each instance.
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub errors: usize,
    /// Occurrences that an instance keeps of each error.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = at_least_one)]
    pub occurrences: usize,
    /// How long the texts of an error are.
    #[arg(long, value_enum, default_value_t)]
    pub size: Size,
    /// All instances of a service have the same errors; else each has errors of its own.
    #[arg(long)]
    pub shared: bool,
    /// List errors in the same order in every answer; else in another one each time, as the Go
    /// client does.
    #[arg(long)]
    pub in_order: bool,
    /// Compress answers.
    #[arg(long)]
    pub gzip: bool,
    /// New occurrences, such as 100/s, 50/cycle or 1/scrape.
    #[arg(long, value_name = "PACE", default_value = "0")]
    pub changes: Pace,
    /// Processes that end and begin anew: another target_uuid, another created_at, counts from 0.
    #[arg(long, value_name = "PACE", default_value = "0")]
    pub restarts: Pace,
    /// Instances that others replace, at other addresses.
    #[arg(long, value_name = "PACE", default_value = "0", value_parser = not_by_scrapes)]
    pub churn: Pace,
    /// Instances that are hostile: hang=16,cut=2. Kinds: hang, slow, garbage, huge, cut, bomb,
    /// refuse.
    #[arg(long, value_name = "KIND=N", value_delimiter = ',')]
    pub hostile: Vec<Hostile>,
    /// Hostile instances answer honestly each N-th time. What those that never do have counted is
    /// not part of the truth.
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub relent: u64,
    /// From one scrape (or push) of an instance to the next.
    #[arg(long, value_name = "DURATION", default_value = "10s", value_parser = some_time)]
    pub interval: Duration,
    /// The same seed makes the same fleet.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub seed: u64,
    /// Mebibytes of written errors that are kept from one answer to the next.
    #[arg(long, value_name = "MIB", default_value_t = 4096)]
    pub keep: usize,
    /// The address of the first instance; the others follow.
    #[arg(long, value_name = "ADDRESS", default_value = "127.1.0.1")]
    pub first_address: Ipv4Addr,
    /// The port of all instances; 0 takes a free one.
    #[arg(long, value_name = "N", default_value_t = 9800)]
    pub port: u16,
    /// Listen with one socket for all addresses even if there could be one for each.
    #[arg(long)]
    pub one_listener: bool,
    /// Push to these gateways, one for each service, instead of waiting to be scraped.
    #[arg(long, value_name = "HOST:PORT", value_delimiter = ',')]
    pub push: Vec<String>,
    /// Write the configuration that scrapes the fleet to this file, and its targets beside it.
    #[arg(long, value_name = "FILE")]
    pub write_config: Option<PathBuf>,
    /// Have that configuration keep what is known: sqlite:PATH or sled:PATH.
    #[arg(long, value_name = "TYPE:PATH", requires = "write_config")]
    pub store: Option<String>,
    /// How long things happen; without it until the fleet is interrupted.
    #[arg(long, value_name = "DURATION", value_parser = some_time)]
    pub duration: Option<Duration>,
    /// The server that --lists and --searches ask, as long as things happen.
    #[arg(long, value_name = "URL")]
    pub server: Option<Url>,
    /// Connections over which pages of the list are asked for, as fast as they are answered.
    #[arg(long, value_name = "N", default_value_t = 0, requires_all = ["server", "duration"])]
    pub lists: usize,
    /// Connections over which it is searched, as fast as it is answered.
    #[arg(long, value_name = "N", default_value_t = 0, requires_all = ["server", "duration"])]
    pub searches: usize,
    /// In the end ask this server until its totals are the truth.
    #[arg(long, value_name = "URL")]
    pub check: Option<Url>,
    /// How long to wait for that. What is not the truth then is told, and the exit status is 1.
    #[arg(long, value_name = "DURATION", default_value = "1m", value_parser = some_time)]
    pub patience: Duration,
    /// Where the truth is written as JSON, total by key by service; `-` is standard output.
    #[arg(long, value_name = "FILE")]
    pub truth: Option<PathBuf>,
}

impl Args {
    /// What the fleet is to be like.
    pub fn plan(&self) -> Plan {
        Plan {
            seed: self.seed,
            services: self.services,
            instances: self.instances,
            errors: self.errors,
            occurrences: self.occurrences,
            size: self.size,
            shared: self.shared,
            shuffled: !self.in_order,
            gzip: self.gzip,
            changes: self.changes,
            restarts: self.restarts,
            churn: self.churn,
            hostile: self.hostile.iter().map(|Hostile(kind, n)| (*kind, *n)).collect(),
            relent: self.relent,
            interval: self.interval,
            kept: self.keep << 20,
        }
    }
}

fn some_time(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("must be longer than 0".to_owned()),
        duration => Ok(duration),
    }
}

fn at_least_one(text: &str) -> Result<usize, String> {
    match text.parse() {
        Ok(0) => Err("must be more than 0".to_owned()),
        parsed => parsed.map_err(|_| "is no number".to_owned()),
    }
}

fn not_by_scrapes(text: &str) -> Result<Pace, String> {
    match text.parse()? {
        Pace::PerScrape(_) => Err("an instance that is replaced is not scraped again".to_owned()),
        pace => Ok(pace),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_defaults_are_those_of_a_plan() {
        let plan = Args::try_parse_from(["fleet"]).unwrap().plan();
        assert_eq!(format!("{plan:?}"), format!("{:?}", Plan::default()));
    }

    #[test]
    fn what_makes_no_sense_is_refused() {
        for wrong in [
            ["--instances", "0"],
            ["--churn", "1/scrape"],
            ["--lists", "5"],
            ["--store", "sqlite:x.db"],
            ["--interval", "0s"],
        ] {
            let arguments = ["fleet"].into_iter().chain(wrong);
            assert!(Args::try_parse_from(arguments).is_err(), "{wrong:?}");
        }
    }
}
