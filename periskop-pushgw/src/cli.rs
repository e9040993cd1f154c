//! The command line: what was asked for, out of flags, environment and defaults.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use clap::{Parser, ValueEnum};
use periskop_core::config::parse_duration;

/// Takes pushes from processes that do not live long enough to be scraped, and exports them merged.
#[derive(Debug, Parser)]
#[command(name = "periskop-pushgw", version)]
pub struct Cli {
    /// The port to listen on, of loopback.
    #[arg(long, value_name = "N", env = "PORT", default_value_t = 7878)]
    pub port: u16,
    /// The address and port to listen on instead, such as 0.0.0.0:7878 in a container; port 0
    /// takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// How long what is not pushed any more is remembered.
    #[arg(long, value_name = "DURATION", value_parser = retention, default_value = "30d")]
    pub retention: Duration,
    /// Logs for people, or one JSON object a line.
    #[arg(long, value_enum, default_value_t)]
    pub log_format: LogFormat,
}

/// How logs are written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// A line for people.
    #[default]
    Text,
    /// A JSON object a line.
    Json,
}

impl Cli {
    /// The address to listen on. Loopback, unless told otherwise: there is no access control yet.
    pub fn address(&self) -> SocketAddr {
        self.listen.unwrap_or((Ipv4Addr::LOCALHOST, self.port).into())
    }
}

fn retention(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("nothing would be remembered".to_owned()),
        duration => Ok(duration),
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(std::iter::once(&"periskop-pushgw").chain(args))
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn only_loopback_is_listened_on_unless_asked() {
        let asked = |args: &[&str]| parse(args).unwrap().address().to_string();
        assert_eq!(asked(&["--port", "1"]), "127.0.0.1:1");
        assert_eq!(asked(&["--listen", "0.0.0.0:2"]), "0.0.0.0:2");
    }

    #[test]
    fn a_retention_is_prometheus_duration_and_not_nothing() {
        let retention = parse(&["--retention", "1d12h"]).unwrap().retention;
        assert_eq!(retention, Duration::from_secs(36 * 3600));
        assert!(parse(&["--retention", "0s"]).is_err());
        assert!(parse(&["--retention", "soon"]).is_err());
    }
}
