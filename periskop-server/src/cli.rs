//! The command line: what was asked for, out of flags, environment and defaults.

use std::ffi::OsString;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};
use periskop_core::config::parse_duration;

use crate::external_url::ExternalUrl;

/// The port where none is asked for.
pub const DEFAULT_PORT: u16 = 7777;

/// Discovers, scrapes, merges and shows the exceptions of a fleet.
#[derive(Debug, Parser)]
#[command(name = "periskop-server", version, args_conflicts_with_subcommands = true)]
pub struct Cli {
    /// What to do; without a subcommand: serve.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// How to serve.
    #[command(flatten)]
    pub serve: ServeArgs,
}

/// What can be done other than serving a configuration.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Read a configuration and tell every mistake in it; exit with 1 if there is one.
    CheckConfig {
        /// The configuration file.
        file: PathBuf,
    },
    /// Run a small fleet that really throws, and the server that scrapes it. No configuration needed.
    Demo {
        /// Where to listen.
        #[command(flatten)]
        listen: ListenArgs,
    },
    /// Print the bcrypt hash of a password, for `basic_auth_users`.
    ///
    /// The password is asked for, or read from the first line of standard input.
    HashPassword,
    /// Print a new token, and its digest for `token_sha256`.
    NewToken,
    /// Find the targets of a configuration once and print them, before and after relabelling.
    ///
    /// All discoveries are asked at the same time; nothing is scraped. Of everything that is found
    /// this prints where it was found, its labels before relabelling and what comes of it: labels
    /// and URL of the target, the rule that drops it, or why it cannot be scraped. Exits with 1 if
    /// a discovery fails or does not answer.
    Sd(SdArgs),
    /// Take out, put in or look through what a store holds.
    Storage {
        /// What to do with it.
        #[command(subcommand)]
        command: StorageCommand,
    },
}

/// Whose targets are to be found, and how they are printed.
#[derive(Debug, Args)]
pub struct SdArgs {
    /// The configuration file.
    pub config: PathBuf,
    /// Only this service.
    #[arg(long, value_name = "NAME")]
    pub service: Option<String>,
    /// How long to wait for what each discovery tells first, such as 1m30s.
    #[arg(long, value_name = "DURATION", default_value = "30s", value_parser = longer_than_nothing)]
    pub timeout: Duration,
    /// Print JSON, for programs.
    #[arg(long)]
    pub json: bool,
}

fn longer_than_nothing(text: &str) -> Result<Duration, String> {
    match parse_duration(text)? {
        Duration::ZERO => Err("must be longer than 0".to_owned()),
        duration => Ok(duration),
    }
}

/// What can be done with a store.
#[derive(Debug, Subcommand)]
pub enum StorageCommand {
    /// Write everything that is stored, as lines of JSON.
    ///
    /// The store is only read: a server may run on it if it is of a kind that several processes can
    /// share. A FILE appears when it is whole, and only you may read it.
    Export {
        /// Which store.
        #[command(flatten)]
        store: StoreArgs,
        /// The file to write; without it, or as `-`, standard output.
        #[arg(long, value_name = "FILE")]
        to: Option<PathBuf>,
    },
    /// Join what `export` has written into a store.
    ///
    /// What the store holds stays: the same file may be imported again, and files of several
    /// stores one after the other. Every line is read before anything is written; if one of them
    /// is wrong, nothing is.
    Import {
        /// Which store.
        #[command(flatten)]
        store: StoreArgs,
        /// The file to read; without it, or as `-`, standard input.
        file: Option<PathBuf>,
    },
    /// Read everything that is stored and count it; exit with 1 if something cannot be read.
    Check {
        /// Which store.
        #[command(flatten)]
        store: StoreArgs,
    },
}

/// Which store.
#[derive(Debug, Args)]
pub struct StoreArgs {
    /// The configuration file whose `repository` is the store [env: CONFIG_FILE].
    #[arg(long, value_name = "FILE", conflicts_with = "storage")]
    pub config: Option<PathBuf>,
    /// The store itself: sqlite:PATH, sled:PATH, or the DSN of a database.
    #[arg(long, value_name = "SPEC")]
    pub storage: Option<String>,
}

/// How to serve.
#[derive(Debug, Args)]
pub struct ServeArgs {
    /// The configuration file [env: CONFIG_FILE].
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// Where to listen.
    #[command(flatten)]
    pub listen: ListenArgs,
}

/// Where to listen, and how to speak.
#[derive(Debug, Args)]
pub struct ListenArgs {
    /// The port to listen on [env: PORT] [default: 7777]. With a configuration on all addresses,
    /// without one on loopback.
    #[arg(long, value_name = "N", conflicts_with = "listen")]
    pub port: Option<u16>,
    /// The address and port to listen on, such as 127.0.0.1:7777; port 0 takes a free one.
    #[arg(long, value_name = "ADDR")]
    pub listen: Option<SocketAddr>,
    /// The URL under which people reach this server, behind a proxy for instance. Everything is
    /// below its path, which the proxy is to leave as it is.
    #[arg(long = "web.external-url", value_name = "URL")]
    pub external_url: Option<ExternalUrl>,
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

/// A setting of the environment that cannot be read.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("environment variable {name}: `{value}` is not a port")]
pub struct EnvError {
    name: &'static str,
    value: String,
}

/// Where to listen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listen {
    /// On this address.
    Address(SocketAddr),
    /// On this port of every address, IPv6 and IPv4, as Go's `:N` does.
    Everywhere(u16),
}

impl ServeArgs {
    /// The configuration file: the flag, else `CONFIG_FILE`. An empty value is none.
    pub fn config_file(&self, env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        config_file(self.config.as_ref(), env)
    }
}

impl StoreArgs {
    /// The configuration file: the flag, else `CONFIG_FILE`. An empty value is none.
    pub fn config_file(&self, env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
        config_file(self.config.as_ref(), env)
    }
}

fn config_file(flag: Option<&PathBuf>, env: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let named = flag.cloned().or_else(|| env("CONFIG_FILE").map(PathBuf::from));
    named.filter(|path| !path.as_os_str().is_empty())
}

impl ListenArgs {
    /// The address to listen on. Flags beat the environment; without a configuration only
    /// loopback is listened on, unless `--listen` says otherwise.
    ///
    /// # Errors
    ///
    /// `PORT` is set and is no port.
    pub fn resolve(
        &self,
        has_config: bool,
        env: impl Fn(&str) -> Option<OsString>,
    ) -> Result<Listen, EnvError> {
        if let Some(address) = self.listen {
            return Ok(Listen::Address(address));
        }
        let port = match self.port {
            Some(port) => port,
            None => match env("PORT").filter(|value| !value.is_empty()) {
                Some(value) => port_of("PORT", &value)?,
                None => DEFAULT_PORT,
            },
        };
        Ok(match has_config {
            true => Listen::Everywhere(port),
            false => Listen::Address((Ipv4Addr::LOCALHOST, port).into()),
        })
    }
}

fn port_of(name: &'static str, value: &OsString) -> Result<u16, EnvError> {
    let value = value.to_string_lossy();
    value.trim().parse().map_err(|_| EnvError { name, value: value.into_owned() })
}

/// The arguments with Go's single dash (`-config`, `-port`) made double, so that a command line
/// of the reference goes on working.
pub fn accept_go_flags(args: impl IntoIterator<Item = OsString>) -> impl Iterator<Item = OsString> {
    args.into_iter().map(|arg| match arg.to_str() {
        Some(text)
            if ["-config", "-port"].iter().any(|flag| {
                text.strip_prefix(flag).is_some_and(|end| end.is_empty() || end.starts_with('='))
            }) =>
        {
            format!("-{text}").into()
        }
        _ => arg,
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    fn parse(args: &[&str]) -> Cli {
        let args = std::iter::once(&"periskop-server").chain(args).map(OsString::from);
        Cli::try_parse_from(accept_go_flags(args)).unwrap()
    }

    fn env<'a>(vars: &'a [(&str, &str)]) -> impl Fn(&str) -> Option<OsString> + 'a {
        |name| vars.iter().find(|(n, _)| *n == name).map(|(_, value)| value.into())
    }

    #[test]
    fn the_definition_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_beat_the_environment() {
        let vars = [("PORT", "1"), ("CONFIG_FILE", "env.yaml")];
        let given = parse(&["--port", "2", "--config", "flag.yaml"]).serve;
        assert_eq!(given.listen.resolve(true, env(&vars)), Ok(Listen::Everywhere(2)));
        assert_eq!(given.config_file(env(&vars)), Some("flag.yaml".into()));
        let silent = parse(&[]).serve;
        assert_eq!(silent.listen.resolve(true, env(&vars)), Ok(Listen::Everywhere(1)));
        assert_eq!(silent.config_file(env(&vars)), Some("env.yaml".into()));
        let listen = parse(&["--listen", "10.0.0.1:0"]).serve.listen;
        let address = Listen::Address("10.0.0.1:0".parse().unwrap());
        assert_eq!(listen.resolve(true, env(&vars)), Ok(address));
    }

    #[test]
    fn without_a_configuration_only_loopback_is_listened_on() {
        let loopback = |port| Ok(Listen::Address((Ipv4Addr::LOCALHOST, port).into()));
        let given = parse(&["--port", "2"]).serve.listen;
        assert_eq!(given.resolve(false, env(&[])), loopback(2));
        assert_eq!(parse(&[]).serve.listen.resolve(false, env(&[])), loopback(DEFAULT_PORT));
    }

    #[test]
    fn a_port_that_is_none_is_named() {
        let error = parse(&[]).serve.listen.resolve(true, env(&[("PORT", "http")])).unwrap_err();
        assert_eq!(error.to_string(), "environment variable PORT: `http` is not a port");
        assert!(parse(&[]).serve.listen.resolve(true, env(&[("PORT", "")])).is_ok());
    }

    #[test]
    fn a_command_line_of_the_reference_is_understood() {
        let given = parse(&["-port=8080", "-config", "periskop.yaml"]).serve;
        assert_eq!(given.listen.port, Some(8080));
        assert_eq!(given.config_file(env(&[])), Some("periskop.yaml".into()));
    }

    #[test]
    fn a_store_is_named_in_one_way() {
        let both = ["periskop-server", "storage", "check", "--config", "a", "--storage", "memory"];
        assert!(Cli::try_parse_from(both).is_err());
        let given = parse(&["storage", "export", "-config", "a.yaml", "--to", "b"]);
        let Some(Command::Storage { command: StorageCommand::Export { store, to } }) =
            given.command
        else {
            panic!("not the export");
        };
        assert_eq!(store.config_file(env(&[])), Some("a.yaml".into()));
        assert_eq!(to, Some("b".into()));
    }

    #[test]
    fn how_long_to_wait_for_discoveries_is_a_duration() {
        let wait = |args: &[&str]| {
            let all = ["periskop-server", "sd", "a.yaml"].iter().chain(args);
            let Command::Sd(args) = Cli::try_parse_from(all)?.command.expect("a command") else {
                panic!("not sd");
            };
            Ok::<_, clap::Error>(args.timeout)
        };
        assert_eq!(wait(&[]).unwrap(), Duration::from_secs(30));
        assert_eq!(wait(&["--timeout", "1m30s"]).unwrap(), Duration::from_secs(90));
        assert!(wait(&["--timeout", "0"]).is_err());
        assert!(wait(&["--timeout", "soon"]).is_err());
    }

    #[test]
    fn a_url_that_nobody_can_open_is_refused() {
        let url = "https://tools.example.com/periskop/";
        let given = parse(&["--web.external-url", url]).serve.listen;
        assert_eq!(given.external_url.unwrap().path(), "/periskop");
        assert!(Cli::try_parse_from(["periskop-server", "--web.external-url", "/p"]).is_err());
    }

    #[test]
    fn the_demo_takes_an_address_of_its_own() {
        let Some(Command::Demo { listen }) = parse(&["demo", "--listen", "127.0.0.1:0"]).command
        else {
            panic!("not the demo");
        };
        assert!(listen.listen.is_some());
    }
}
