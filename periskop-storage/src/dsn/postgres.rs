//! PostgreSQL's DSNs: URLs, and libpq's keywords and values.

use std::collections::BTreeMap;
use std::fmt;
use std::net::IpAddr;
use std::time::Duration;

use sqlx::ConnectOptions;
use sqlx::postgres::{PgConnectOptions, PgSslMode};
use url::Url;

use crate::dsn::DsnError;
use crate::dsn::parts::{self, Parts, Place, Shown};
use crate::dsn::{keywords, parts::without_nul};

/// A PostgreSQL database, and how it is reached.
///
/// `Display` and `Debug` show a URL without the password.
///
/// ```
/// use periskop_storage::PostgresDsn;
///
/// let url = PostgresDsn::parse("postgres://me:hunter2@db.example/errors").unwrap();
/// let keywords = PostgresDsn::parse("host=db.example user=me password=hunter2 dbname=errors");
/// assert_eq!(keywords.unwrap(), url);
/// assert_eq!(url.to_string(), "postgres://me@db.example:5432/errors");
/// ```
///
/// # Parameters
///
/// The same in both forms, in any case:
///
/// - libpq's `host` (a socket's directory where it begins with `/`), `hostaddr`, `port`, `dbname`
///   (pgx's `database` as well), `user`, `password`, `connect_timeout`, `application_name`,
///   `options`, `sslmode`, `sslrootcert`, `sslcert` and `sslkey`, and sqlx's names for them
///   (`ssl-mode`, …). The last of several wins, an empty one counts as absent, and what is absent
///   comes from the environment (`PGHOST`, …) and from `~/.pgpass` as with libpq.
/// - `statement_cache_capacity`, pgx's and sqlx's: 0 for poolers such as PgBouncer.
/// - What cannot be followed and would weaken the connection if ignored is refused, such as
///   `require_auth`, `sslpassword`, `channel_binding=require` or an unknown name with `ssl`.
/// - What says how a client works and not what it reaches is ignored: keepalives, Kerberos names,
///   pgx's `default_query_exec_mode`, and the settings that our own statements depend on
///   (`client_encoding`, `TimeZone`, `DateStyle`, `IntervalStyle`, `extra_float_digits`).
/// - Any other name is a run-time parameter of the server, as in pgx: `search_path`,
///   `statement_timeout`. The server refuses those that it does not know.
///
/// `sslmode` is libpq's with its default `prefer`, but `allow` means `prefer`: sqlx would never
/// try TLS with it. `require` with an `sslrootcert` means `verify-ca`, and `sslrootcert=system`
/// `verify-full`, both as in libpq. It does not count for sockets.
#[derive(Clone)]
pub struct PostgresDsn {
    /// As sqlx reads them out of a URL's query.
    parameters: BTreeMap<String, String>,
    connect_timeout: Option<Duration>,
    options: PgConnectOptions,
}

impl PostgresDsn {
    /// Reads either form.
    ///
    /// # Errors
    ///
    /// Says what is wrong, without quoting it.
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        const EXPECTED: &str = "postgres://user:password@host:port/database or keywords and \
                                values, as in host=… user=… dbname=…";
        without_nul(text)?;
        if text.trim().is_empty() {
            return Err(DsnError::Empty);
        }
        let Some(rest) = parts::after_scheme(text, &["postgres", "postgresql"]) else {
            return match text.split_once("://") {
                Some((scheme, _)) if !scheme.contains('=') => {
                    Err(DsnError::Form { expected: EXPECTED })
                }
                _ => Self::from_settings(keywords::parse(text)?),
            };
        };
        let Parts { user, password, host, port, database, parameters } = Parts::parse(rest)?;
        let port = port.map(|port| port.to_string()).unwrap_or_default();
        let password = password.expose().to_owned();
        let own = [
            ("host", host),
            ("port", port),
            ("user", user),
            ("password", password),
            ("dbname", database),
        ];
        let own = own.into_iter().filter(|(_, value)| !value.is_empty());
        let own = own.map(|(name, value)| (name.to_owned(), value));
        // JDBC's name, which libpq understands in URLs.
        let parameters = parameters.into_iter().map(|setting| match setting {
            (name, value) if name == "ssl" && value == "true" => {
                ("sslmode".to_owned(), "require".to_owned())
            }
            other => other,
        });
        Self::from_settings(own.chain(parameters))
    }

    /// What sqlx connects with. Its `Debug` shows the password.
    pub fn connect_options(&self) -> PgConnectOptions {
        self.options.clone()
    }

    /// How long connecting may take, where the DSN says so.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.connect_timeout
    }

    fn from_settings(
        settings: impl IntoIterator<Item = (String, String)>,
    ) -> Result<Self, DsnError> {
        let mut parameters = BTreeMap::new();
        for (name, value) in settings {
            match Meaning::of(&name.to_ascii_lowercase(), &value)? {
                Meaning::Nothing => {}
                Meaning::Ours(name) if value.is_empty() => drop(parameters.remove(name)),
                Meaning::Ours(name) => drop(parameters.insert(name.to_owned(), value)),
                Meaning::Servers(name) => {
                    parameters.insert(format!("options[{name}]"), value);
                }
            }
        }
        let connect_timeout =
            parameters.remove("connect_timeout").map(|seconds| timeout(&seconds)).transpose()?;
        check_address(&mut parameters)?;
        check_tls(&mut parameters)?;
        if let Some(capacity) = parameters.get("statement-cache-capacity") {
            let expected = "a number of 0 to 65535";
            let part = "statement_cache_capacity";
            capacity.parse::<u16>().map_err(|_| DsnError::Value { part, expected })?;
        }
        let options = options(&parameters)?;
        Ok(Self { parameters, connect_timeout: connect_timeout.flatten(), options })
    }
}

impl PartialEq for PostgresDsn {
    fn eq(&self, other: &Self) -> bool {
        self.parameters == other.parameters && self.connect_timeout == other.connect_timeout
    }
}

impl Eq for PostgresDsn {}

impl fmt::Display for PostgresDsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let socket = socket(&self.options);
        let port = self.options.get_port();
        let place = match &socket {
            Some(path) => Place::Socket { parameter: "host", path },
            None => Place::Tcp { host: self.options.get_host(), port },
        };
        let user = self.options.get_username();
        let database = self.options.get_database().unwrap_or_default();
        Shown { scheme: "postgres", user, place, database }.fmt(f)?;
        match socket {
            Some(_) if port != 5432 => write!(f, "&port={port}"),
            _ => Ok(()),
        }
    }
}

impl fmt::Debug for PostgresDsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PostgresDsn({self})")
    }
}

/// What a parameter is for.
enum Meaning<'n> {
    /// A part of the connection, by its one name.
    Ours(&'static str),
    /// A run-time parameter of the server.
    Servers(&'n str),
    /// Nothing that counts here.
    Nothing,
}

/// The names under which sqlx and we know a part of the connection, the one that we use last.
const OURS: [(&[&str], &str); 14] = [
    (&[], "host"),
    (&[], "hostaddr"),
    (&[], "port"),
    (&["database"], "dbname"),
    (&[], "user"),
    (&[], "password"),
    (&[], "connect_timeout"),
    (&[], "application_name"),
    (&[], "options"),
    (&["ssl-mode"], "sslmode"),
    (&["ssl-root-cert", "ssl-ca"], "sslrootcert"),
    (&["ssl-cert"], "sslcert"),
    (&["ssl-key"], "sslkey"),
    (&["statement_cache_capacity"], "statement-cache-capacity"),
];

/// What libpq and pgx know and we have no use for.
const IGNORED: [&str; 27] = [
    "client_encoding",
    "datestyle",
    "default_query_exec_mode",
    "description_cache_capacity",
    "extra_float_digits",
    "fallback_application_name",
    "gssdelegation",
    "gsslib",
    "intervalstyle",
    "keepalives",
    "keepalives_count",
    "keepalives_idle",
    "keepalives_interval",
    "krbspn",
    "krbsrvname",
    "load_balance_hosts",
    "max_protocol_version",
    "min_protocol_version",
    "prefer_simple_protocol",
    "ssl_max_protocol_version",
    "sslcompression",
    "sslkeylogfile",
    "sslsni",
    "statement_cache_mode",
    "tcp_user_timeout",
    "time_zone",
    "timezone",
];

/// What must not be ignored, the values with which it may be all the same, and what else to do.
const REFUSED: [(&str, &[&str], &str); 15] = [
    ("channel_binding", &["disable", "prefer"], ""),
    ("gssencmode", &["disable", "prefer"], ""),
    ("passfile", &[], ", and set the environment variable PGPASSFILE"),
    ("replication", &["false", "off", "no", "0"], ""),
    ("require_auth", &[], ""),
    ("requirepeer", &[], ""),
    ("service", &[], ", and write down what the service says"),
    ("servicefile", &[], ", and write down what the service says"),
    (
        "ssl_min_protocol_version",
        &["TLSv1", "TLSv1.1", "TLSv1.2"],
        ": TLSv1.2 is the lowest anyway",
    ),
    ("sslcertmode", &["disable", "allow"], ""),
    ("sslcrl", &[], ""),
    ("sslcrldir", &[], ""),
    ("sslnegotiation", &["postgres"], ""),
    ("sslpassword", &[], ", and use a key without a password"),
    ("target_session_attrs", &["any", "primary", "read-write"], ": a store is written to"),
];

impl<'n> Meaning<'n> {
    /// `name` is in lower case: the server's own parameters know no case, and nobody means two
    /// things by two cases of libpq's.
    fn of(name: &'n str, value: &str) -> Result<Self, DsnError> {
        if let Some((_, ours)) = OURS.iter().find(|(a, ours)| *ours == name || a.contains(&name)) {
            return Ok(Self::Ours(ours));
        }
        if IGNORED.contains(&name) {
            return Ok(Self::Nothing);
        }
        if let Some((parameter, harmless, instead)) = REFUSED.iter().find(|(p, ..)| *p == name) {
            return match value.is_empty() || harmless.contains(&value) {
                true => Ok(Self::Nothing),
                false => Err(DsnError::Unsupported { parameter, instead }),
            };
        }
        let name =
            name.strip_prefix("options[").and_then(|name| name.strip_suffix(']')).unwrap_or(name);
        let is_name = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '.';
        if !name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
            || !name.chars().all(is_name)
        {
            let expected = "names of letters, digits, `_` and `.`";
            return Err(DsnError::Value { part: "parameters", expected });
        }
        if name.starts_with("ssl") {
            return Err(DsnError::Unknown { parameter: name.to_owned() });
        }
        // Under `options[…]` too: they would have our own statements misread.
        Ok(if IGNORED.contains(&name) { Self::Nothing } else { Self::Servers(name) })
    }
}

/// libpq counts in whole seconds, and 0 is no limit.
fn timeout(seconds: &str) -> Result<Option<Duration>, DsnError> {
    let wrong = DsnError::Value { part: "connect_timeout", expected: "a number of seconds" };
    let seconds: i32 = seconds.trim().parse().map_err(|_| wrong)?;
    let seconds = u64::try_from(seconds).ok().filter(|seconds| *seconds > 0);
    Ok(seconds.map(Duration::from_secs))
}

fn check_address(parameters: &mut BTreeMap<String, String>) -> Result<(), DsnError> {
    if let Some(port) = parameters.get("port") {
        if port.contains(',') {
            return Err(DsnError::SeveralHosts);
        }
        let port = parts::port_number(port)?.to_string();
        parameters.insert("port".to_owned(), port);
    }
    if let Some(host) = parameters.get("host").filter(|host| !host.starts_with('/')) {
        parts::host_name(host)?;
    }
    let Some(address) = parameters.remove("hostaddr") else { return Ok(()) };
    if address.contains(',') {
        return Err(DsnError::SeveralHosts);
    }
    let wrong = DsnError::Value { part: "hostaddr", expected: "an IP address" };
    address.parse::<IpAddr>().map_err(|_| wrong)?;
    let is_named = parameters.insert("host".to_owned(), address).is_some();
    let is_full = |mode: &String| mode.eq_ignore_ascii_case("verify-full");
    if is_named && parameters.get("sslmode").is_some_and(is_full) {
        let reason = "sslmode=verify-full needs the host's name, which hostaddr stands in for: \
                      give only one of host and hostaddr";
        return Err(DsnError::Conflict { reason });
    }
    Ok(())
}

fn check_tls(parameters: &mut BTreeMap<String, String>) -> Result<(), DsnError> {
    const MODES: [(&str, &str); 6] = [
        ("disable", "disable"),
        ("allow", "prefer"),
        ("prefer", "prefer"),
        ("require", "require"),
        ("verify-ca", "verify-ca"),
        ("verify-full", "verify-full"),
    ];
    let given = parameters.get("sslmode").map(|mode| {
        let known = MODES.iter().find(|(name, _)| name.eq_ignore_ascii_case(mode));
        let expected = "disable, allow, prefer, require, verify-ca or verify-full";
        known.map(|(_, mode)| *mode).ok_or(DsnError::Value { part: "sslmode", expected })
    });
    let mut mode = given.transpose()?;
    match parameters.get("sslrootcert").map(String::as_str) {
        Some("system") => {
            if mode.is_some_and(|mode| mode != "verify-full") {
                let reason = "sslrootcert=system is for sslmode=verify-full only: anybody can \
                              have a certificate for some host";
                return Err(DsnError::Conflict { reason });
            }
            mode = Some("verify-full");
            // sqlx takes the system's when it is given none.
            parameters.remove("sslrootcert");
        }
        Some(_) if mode == Some("require") => mode = Some("verify-ca"),
        _ => {}
    }
    if let Some(mode) = mode {
        parameters.insert("sslmode".to_owned(), mode.to_owned());
    }
    if parameters.contains_key("sslcert") != parameters.contains_key("sslkey") {
        return Err(DsnError::Conflict { reason: "sslcert and sslkey need each other" });
    }
    Ok(())
}

/// Has sqlx read the parameters out of a URL: only so does it look into `~/.pgpass` for this host
/// and user.
fn options(parameters: &BTreeMap<String, String>) -> Result<PgConnectOptions, DsnError> {
    // `~/.pgpass` knows sockets by this name.
    let is_socket = parameters.get("host").is_some_and(|host| host.starts_with('/'));
    let local = is_socket.then_some(("host", "localhost"));
    let given = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
    // All that sqlx could object to has been checked.
    let unexpected = DsnError::Value { part: "DSN", expected: "what sqlx can connect with" };
    let options = Url::parse_with_params("postgres:///", local.into_iter().chain(given))
        .ok()
        .and_then(|url| PgConnectOptions::from_url(&url).ok())
        .ok_or(unexpected)?;
    // A server refuses TLS on a socket; libpq does not try.
    Ok(match socket(&options) {
        Some(_) => options.ssl_mode(PgSslMode::Disable),
        None => options,
    })
}

/// The directory of the socket, where it is one.
fn socket(options: &PgConnectOptions) -> Option<String> {
    let host = Some(options.get_host()).filter(|host| host.starts_with('/'));
    let given = options.get_socket().map(|path| path.to_string_lossy().into_owned());
    given.or_else(|| host.map(str::to_owned))
}

#[cfg(test)]
mod tests;
