//! MySQL's and MariaDB's DSNs: URLs, and those of Go's driver.

use std::fmt;
use std::num::NonZeroU16;
use std::time::Duration;

use periskop_core::config::{Secret, parse_go_duration};
use sqlx::mysql::{MySqlConnectOptions, MySqlSslMode};

use crate::dsn::DsnError;
use crate::dsn::parts::{self, Parts, Place, Shown};

/// A MySQL or MariaDB database, and how it is reached.
///
/// `Display` and `Debug` show a URL without the password.
///
/// ```
/// use periskop_storage::MySqlDsn;
///
/// let go = MySqlDsn::parse("me:p@ss/word@tcp(db.example)/errors?parseTime=True").unwrap();
/// let url = MySqlDsn::parse("mysql://me:p%40ss%2Fword@db.example:3306/errors").unwrap();
/// assert_eq!(go, url);
/// assert_eq!(go.to_string(), "mysql://me@db.example:3306/errors");
/// ```
///
/// # Go's form
///
/// `[user[:password]@][net[(address)]]/database[?name=value&…]`, as go-sql-driver reads it: the
/// last `/` ends the address, the last `@` before it the credentials, and the first `:` in those
/// the user, so a password may contain anything and is not encoded, while the database's name and
/// the parameters are. `net` is `tcp` (`127.0.0.1:3306` where nothing else is said) or `unix`
/// (`/tmp/mysql.sock`). What begins with `mysql://` or `mariadb://` is a URL.
///
/// A database must be named. Who names no user is the user without a name, in a URL as well.
///
/// # Parameters
///
/// The same in both forms, in any case:
///
/// - `tls`, Go's: `true` verifies the certificate and the host's name, `skip-verify` nothing,
///   `preferred` uses TLS where the server has it, `false` never. sqlx's for the same:
///   `ssl-mode`, with `ssl-ca`, `ssl-cert` and `ssl-key`. Without any of them it is `preferred`
///   and not Go's `false`, because MySQL takes no password of its default kind in the clear; a
///   server whose TLS is older than 1.2 wants `tls=false`.
/// - `timeout`, Go's, for connecting.
/// - `socket`, sqlx's, and `allowCleartextPasswords` and `statement-cache-capacity`.
/// - What says how a client works or reads values is ignored: Go's `parseTime`, `loc`, `charset`,
///   `collation`, `readTimeout`, `writeTimeout`, `interpolateParams`, `multiStatements` and the
///   rest of its list, sqlx's `timezone`.
/// - Any other name is a system variable in Go's form. They are ignored, because our statements
///   depend on `sql_mode` and its like; but an unknown name with `ssl` or `tls` is refused, and
///   in a URL, which has no such tradition, every unknown name is.
#[derive(Clone, PartialEq, Eq)]
pub struct MySqlDsn {
    address: Address,
    user: String,
    password: Secret,
    database: String,
    parameters: Parameters,
}

#[derive(Clone, PartialEq, Eq)]
enum Address {
    Tcp { host: String, port: u16 },
    Socket(String),
}

#[derive(Clone, Default, PartialEq, Eq)]
struct Parameters {
    socket: Option<String>,
    tls: Tls,
    ca: Option<String>,
    cert: Option<String>,
    key: Option<String>,
    allows_cleartext: bool,
    statement_cache_capacity: Option<u16>,
    connect_timeout: Option<Duration>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
enum Tls {
    Never,
    #[default]
    Preferred,
    Unverified,
    VerifyAuthority,
    VerifyHost,
}

impl MySqlDsn {
    /// Reads either form.
    ///
    /// # Errors
    ///
    /// Says what is wrong, without quoting it.
    pub fn parse(text: &str) -> Result<Self, DsnError> {
        parts::without_nul(text)?;
        if text.trim().is_empty() {
            return Err(DsnError::Empty);
        }
        let (mut dsn, parameters, of_go) = match parts::after_scheme(text, &["mysql", "mariadb"]) {
            Some(rest) => Self::from_url(rest)?,
            None => Self::from_go(text)?,
        };
        for (name, value) in parameters {
            dsn.parameters.set(&name, &value, of_go)?;
        }
        if dsn.parameters.cert.is_some() != dsn.parameters.key.is_some() {
            return Err(DsnError::Conflict { reason: "ssl-cert and ssl-key need each other" });
        }
        if let Some(socket) = dsn.parameters.socket.take() {
            dsn.address = Address::Socket(socket);
        }
        if dsn.database.is_empty() {
            return Err(DsnError::Missing { part: "the database's name" });
        }
        Ok(dsn)
    }

    /// What sqlx connects with. Its `Debug` shows the password.
    pub fn connect_options(&self) -> MySqlConnectOptions {
        let options = MySqlConnectOptions::new().username(&self.user).database(&self.database);
        let mut options = match &self.address {
            Address::Tcp { host, port } => options.host(host).port(*port),
            Address::Socket(path) => options.socket(path),
        };
        // A server wants an empty answer for an empty password, as for none.
        if !self.password.is_empty() {
            options = options.password(self.password.expose());
        }
        let Parameters { ca, cert, key, .. } = &self.parameters;
        if let Some(ca) = ca {
            options = options.ssl_ca(ca);
        }
        if let (Some(cert), Some(key)) = (cert, key) {
            options = options.ssl_client_cert(cert).ssl_client_key(key);
        }
        if let Some(capacity) = self.parameters.statement_cache_capacity {
            options = options.statement_cache_capacity(capacity.into());
        }
        let mode = match self.parameters.tls {
            Tls::Never => MySqlSslMode::Disabled,
            Tls::Preferred => MySqlSslMode::Preferred,
            Tls::Unverified => MySqlSslMode::Required,
            Tls::VerifyAuthority => MySqlSslMode::VerifyCa,
            Tls::VerifyHost => MySqlSslMode::VerifyIdentity,
        };
        options.ssl_mode(mode).enable_cleartext_plugin(self.parameters.allows_cleartext)
    }

    /// How long connecting may take, where the DSN says so.
    pub fn connect_timeout(&self) -> Option<Duration> {
        self.parameters.connect_timeout
    }

    /// A URL without its parameters, these, and that they are not Go's.
    fn from_url(rest: &str) -> Result<Apart, DsnError> {
        let Parts { user, password, host, port, database, parameters } = Parts::parse(rest)?;
        let address = match host.starts_with('/') {
            true => Address::Socket(host),
            false => tcp(&host, port)?,
        };
        let own = Parameters::default();
        Ok((Self { address, user, password, database, parameters: own }, parameters, false))
    }

    fn from_go(text: &str) -> Result<Apart, DsnError> {
        let Some((before, after)) = text.rsplit_once('/') else {
            return Err(DsnError::Form {
                expected: "mysql://user:password@host:port/database or \
                           user:password@tcp(host:port)/database",
            });
        };
        let (credentials, net) = before.rsplit_once('@').unwrap_or(("", before));
        let address = go_address(net)?;
        // With neither, what should be a password would be shown as a database.
        if after.contains('@') {
            return Err(DsnError::Unescaped);
        }
        let (database, query) = after.split_once('?').unwrap_or((after, ""));
        let (user, password) = credentials.split_once(':').unwrap_or((credentials, ""));
        let dsn = Self {
            address,
            user: user.to_owned(),
            password: Secret::new(password),
            database: parts::decoded(database, "database")?,
            parameters: Parameters::default(),
        };
        Ok((dsn, parts::parameters(query)?, true))
    }
}

/// A DSN without its parameters, these, and whether they are Go's.
type Apart = (MySqlDsn, Vec<(String, String)>, bool);

/// `net(address)`, either of which may be missing.
fn go_address(text: &str) -> Result<Address, DsnError> {
    let (net, address) = match text.split_once('(') {
        Some((net, rest)) => match rest.strip_suffix(')') {
            Some(address) => (net, address),
            None if rest.contains(')') => {
                let expected = "no `/`, which is written %2F";
                return Err(DsnError::Value { part: "parameters", expected });
            }
            None => return Err(DsnError::Value { part: "address", expected: "a closing `)`" }),
        },
        None => (text, ""),
    };
    match net {
        "" | "tcp" => {
            let (host, port) = parts::host_and_port(address)?;
            tcp(host, port)
        }
        "unix" if address.is_empty() => Ok(Address::Socket("/tmp/mysql.sock".to_owned())),
        "unix" => Ok(Address::Socket(address.to_owned())),
        _ => Err(DsnError::Value { part: "address", expected: "tcp(host:port) or unix(path)" }),
    }
}

fn tcp(host: &str, port: Option<NonZeroU16>) -> Result<Address, DsnError> {
    let host = match host {
        "" => "127.0.0.1",
        host => parts::host_name(host)?,
    };
    Ok(Address::Tcp { host: host.to_owned(), port: port.map_or(3306, NonZeroU16::get) })
}

/// What go-sql-driver and sqlx know and we have no use for, spelt as [`Parameters::set`] does.
const IGNORED: [&str; 22] = [
    "allowallfiles",
    "allowfallbacktoplaintext",
    "allownativepasswords",
    "allowoldpasswords",
    "charset",
    "checkconnliveness",
    "clientfoundrows",
    "collation",
    "columnswithalias",
    "compress",
    "connectionattributes",
    "interpolateparams",
    "loc",
    "maxallowedpacket",
    "multistatements",
    "parsetime",
    "readtimeout",
    "rejectreadonly",
    "timetruncate",
    "timezone",
    "tinyint1isbool",
    "writetimeout",
];

impl Parameters {
    fn set(&mut self, name: &str, value: &str, of_go: bool) -> Result<(), DsnError> {
        // `ssl-mode`, `sslmode` and `ssl_mode` are all in use.
        let known = name.to_ascii_lowercase().replace(['-', '_'], "");
        let path = Some(value.to_owned()).filter(|path| !path.is_empty());
        match known.as_str() {
            "tls" => self.tls = Tls::of_go(value)?,
            "sslmode" => self.tls = Tls::of_mysql(value)?,
            "sslca" => self.ca = path,
            "sslcert" => self.cert = path,
            "sslkey" => self.key = path,
            "socket" => self.socket = path,
            "timeout" => {
                let expected = "a duration such as 30s";
                let timeout = parse_go_duration(value);
                let timeout = timeout.map_err(|_| DsnError::Value { part: "timeout", expected })?;
                self.connect_timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
            }
            "allowcleartextpasswords" => {
                let expected = "true or false";
                let part = "allowCleartextPasswords";
                self.allows_cleartext = bool(value).ok_or(DsnError::Value { part, expected })?;
            }
            "statementcachecapacity" => {
                let expected = "a number of 0 to 65535";
                let part = "statement-cache-capacity";
                let capacity = value.parse().map_err(|_| DsnError::Value { part, expected })?;
                self.statement_cache_capacity = Some(capacity);
            }
            "serverpubkey" => {
                let instead = ", and use TLS: the key is known to a Go program by name only";
                return Err(DsnError::Unsupported { parameter: "serverPubKey", instead });
            }
            known if IGNORED.contains(&known) => {}
            known if of_go && !known.starts_with("ssl") && !known.starts_with("tls") => {}
            _ => return Err(DsnError::Unknown { parameter: name.to_owned() }),
        }
        Ok(())
    }
}

impl Tls {
    fn of_go(value: &str) -> Result<Self, DsnError> {
        match (bool(value), value.to_ascii_lowercase().as_str()) {
            (Some(true), _) => Ok(Self::VerifyHost),
            (Some(false), _) => Ok(Self::Never),
            (None, "skip-verify") => Ok(Self::Unverified),
            (None, "preferred") => Ok(Self::Preferred),
            // Go's may also name what a program has registered, which is nowhere to be found.
            _ => Err(DsnError::Value {
                part: "tls",
                expected: "true, false, skip-verify or preferred",
            }),
        }
    }

    fn of_mysql(value: &str) -> Result<Self, DsnError> {
        match value.to_ascii_lowercase().replace('-', "_").as_str() {
            "disabled" => Ok(Self::Never),
            "preferred" => Ok(Self::Preferred),
            "required" => Ok(Self::Unverified),
            "verify_ca" => Ok(Self::VerifyAuthority),
            "verify_identity" => Ok(Self::VerifyHost),
            _ => Err(DsnError::Value {
                part: "ssl-mode",
                expected: "disabled, preferred, required, verify_ca or verify_identity",
            }),
        }
    }
}

/// As go-sql-driver spells it.
fn bool(value: &str) -> Option<bool> {
    match value {
        "1" | "true" | "TRUE" | "True" => Some(true),
        "0" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

impl fmt::Display for MySqlDsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let place = match &self.address {
            Address::Tcp { host, port } => Place::Tcp { host, port: *port },
            Address::Socket(path) => Place::Socket { parameter: "socket", path },
        };
        Shown { scheme: "mysql", user: &self.user, place, database: &self.database }.fmt(f)
    }
}

impl fmt::Debug for MySqlDsn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "MySqlDsn({self})")
    }
}

#[cfg(test)]
mod tests;
