//! The command line: what was asked for, out of flags, environment and defaults.

use std::convert::Infallible;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, ValueEnum};
use periskop_core::config::{Secret, parse_bytes, parse_duration};
use periskop_storage::{SpecError, StoreSpec};

use crate::gateway::Settings;

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
    /// Where the state is kept: `memory`, `sqlite:PATH`, `sled:PATH`, or the DSN of a PostgreSQL or
    /// MySQL database. One gateway at a time should have it.
    #[arg(long, value_name = "STORE", env = "PERISKOP_STORAGE", hide_env_values = true,
        value_parser = secret, default_value = "memory")]
    pub storage: Secret,
    /// How long what is not pushed any more is remembered.
    #[arg(long, value_name = "DURATION", value_parser = retention, default_value = "30d")]
    pub retention: Duration,
    /// The longest body of a push, before and after decompression.
    #[arg(long, value_name = "SIZE", value_parser = size, default_value = "16MiB")]
    pub body_limit: usize,
    /// The most pushers that are remembered; a new one beyond it is answered 429.
    #[arg(long, value_name = "N", default_value_t = Settings::default().pushers_limit)]
    pub pushers_limit: usize,
    /// The most different errors that are remembered; of a push with more the new ones are left
    /// out, and it is answered 429.
    #[arg(long, value_name = "N", default_value_t = Settings::default().errors_limit)]
    pub errors_limit: usize,
    /// Who may reach it: Prometheus's web configuration, and tokens with roles. It is read again at
    /// a hangup signal.
    #[arg(long = "web.config", value_name = "FILE", env = "PERISKOP_WEB_CONFIG")]
    pub web_config: Option<PathBuf>,
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
    /// The address to listen on. Loopback, unless told otherwise.
    pub fn address(&self) -> SocketAddr {
        self.listen.unwrap_or((Ipv4Addr::LOCALHOST, self.port).into())
    }

    /// Where the state is kept.
    ///
    /// # Errors
    ///
    /// No store is called so.
    pub fn store(&self) -> Result<StoreSpec, SpecError> {
        StoreSpec::parse(self.storage.expose())
    }

    /// What the gateway keeps, and what a push may cost.
    pub fn settings(&self) -> Settings {
        let mut settings = Settings::default();
        settings.state.retention = self.retention;
        settings.options.limits.payload_length = self.body_limit;
        // What a payload may take in memory grows with what it may have on the wire.
        settings.options.limits.memory = settings.options.limits.memory.max(4 * self.body_limit);
        Settings { pushers_limit: self.pushers_limit, errors_limit: self.errors_limit, ..settings }
    }
}

/// Never fails: what is wrong with a DSN is told by [`Cli::store`], without repeating it.
fn secret(text: &str) -> Result<Secret, Infallible> {
    Ok(Secret::new(text))
}

/// Room for an empty payload at least.
fn size(text: &str) -> Result<usize, String> {
    match usize::try_from(parse_bytes(text)?) {
        Ok(size @ 1024..) => Ok(size),
        Ok(_) => Err("hardly anything would fit: at least 1KiB".to_owned()),
        Err(_) => Err("too large".to_owned()),
    }
}

/// Ages are written down by the hour: below that, a restart could forget what it interrupted.
fn retention(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        duration if duration < Duration::from_secs(3600) => Err("must be at least 1h".to_owned()),
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
    fn a_store_is_named_as_the_server_names_it() {
        let cli = |text: &str| parse(&["--storage", text]).unwrap();
        assert_eq!(parse(&[]).unwrap().store().unwrap(), StoreSpec::Memory);
        assert_eq!(cli("sqlite:gw.db").store().unwrap().to_string(), "sqlite:gw.db");
        for (text, is_right) in [
            ("postgres://me:s3cr3t@db/gw", true),
            ("floppy:s3cr3t", false),
            ("mysql://s3cr3t@", false),
        ] {
            let (cli, store) = (cli(text), cli(text).store());
            assert_eq!(store.is_ok(), is_right, "{text}");
            let told = match store {
                Ok(store) => store.to_string(),
                Err(error) => format!("{error} {error:?}"),
            };
            assert!(!told.contains("s3cr3t") && !format!("{cli:?}").contains("s3cr3t"), "{told}");
        }
    }

    #[test]
    fn limits_are_what_is_asked_for() {
        let asked = ["--body-limit", "32MiB", "--pushers-limit", "7", "--errors-limit", "8"];
        let settings = parse(&asked).unwrap().settings();
        assert_eq!(settings.options.limits.payload_length, 32 << 20);
        assert_eq!(settings.options.limits.memory, 128 << 20);
        assert_eq!((settings.pushers_limit, settings.errors_limit), (7, 8));
        assert!(parse(&["--body-limit", "10"]).is_err());
    }

    #[test]
    fn a_retention_is_prometheus_duration_and_an_hour_at_least() {
        let retention = parse(&["--retention", "1d12h"]).unwrap().retention;
        assert_eq!(retention, Duration::from_secs(36 * 3600));
        assert!(parse(&["--retention", "59m"]).is_err());
        assert!(parse(&["--retention", "soon"]).is_err());
    }
}
