//! The parts of a DSN that is a URL, and what its other forms share with it.
//!
//! Not the `url` crate's reading: a password with an unescaped `/` or `#` would end up among the
//! parts that are shown. Here what is ambiguous is refused.

use std::fmt;
use std::net::Ipv6Addr;
use std::num::NonZeroU16;

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use periskop_core::config::Secret;

use crate::dsn::DsnError;

/// The parts of `scheme://[user[:password]@][host][:port][/database][?name=value&…]`, decoded.
/// What is not there is empty.
pub(super) struct Parts {
    pub(super) user: String,
    pub(super) password: Secret,
    /// Not checked yet; a socket where it begins with `/`.
    pub(super) host: String,
    pub(super) port: Option<NonZeroU16>,
    pub(super) database: String,
    /// In the order of the URL.
    pub(super) parameters: Vec<(String, String)>,
}

impl Parts {
    /// Takes apart what follows `://`.
    pub(super) fn parse(rest: &str) -> Result<Self, DsnError> {
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if tail.contains('@') && !authority.is_empty() {
            return Err(DsnError::Unescaped);
        }
        if tail.contains('#') {
            return Err(DsnError::Value { part: "URL", expected: "no `#`, which is written %23" });
        }
        let (userinfo, address) = authority.rsplit_once('@').unwrap_or(("", authority));
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let (host, port) = host_and_port(address)?;
        let (path, query) = tail.split_once('?').unwrap_or((tail, ""));
        Ok(Self {
            user: decoded(user, "user")?,
            password: Secret::new(decoded(password, "password")?),
            host: decoded(host, "host")?,
            port,
            database: decoded(path.strip_prefix('/').unwrap_or(path), "database")?,
            parameters: parameters(query)?,
        })
    }
}

/// What follows the scheme and `://`, where the scheme is one of these.
pub(super) fn after_scheme<'t>(text: &'t str, schemes: &[&str]) -> Option<&'t str> {
    let (scheme, rest) = text.split_once("://")?;
    schemes.iter().any(|known| scheme.eq_ignore_ascii_case(known)).then_some(rest)
}

/// Takes `name=value&…` apart. In a value `+` is a blank, as everywhere where parameters are
/// read out of URLs.
pub(super) fn parameters(query: &str) -> Result<Vec<(String, String)>, DsnError> {
    let pairs = query.split('&').filter(|pair| !pair.is_empty());
    let pairs = pairs.map(|pair| {
        let Some((name, value)) = pair.split_once('=') else {
            return Err(DsnError::Value { part: "parameters", expected: "name=value" });
        };
        let value = value.replace('+', " ");
        Ok((decoded(name, "parameters")?, decoded(&value, "parameters")?))
    });
    pairs.collect()
}

/// Takes `host:port` apart, where either may be missing and an IPv6 address may have brackets.
pub(super) fn host_and_port(text: &str) -> Result<(&str, Option<NonZeroU16>), DsnError> {
    if text.contains(',') {
        return Err(DsnError::SeveralHosts);
    }
    let (host, port) = match text.strip_prefix('[').and_then(|inner| inner.split_once(']')) {
        Some((host, "")) => (host, ""),
        Some((host, rest)) => (host, rest.strip_prefix(':').ok_or(HOST)?),
        None if text.parse::<Ipv6Addr>().is_ok() => (text, ""),
        None => text.split_once(':').unwrap_or((text, "")),
    };
    let port = if port.is_empty() { None } else { Some(port_number(port)?) };
    Ok((host, port))
}

/// A port's number.
pub(super) fn port_number(text: &str) -> Result<NonZeroU16, DsnError> {
    text.parse().map_err(|_| DsnError::Value { part: "port", expected: "a number of 1 to 65535" })
}

const HOST: DsnError = DsnError::Value { part: "host", expected: "a name or an IP address" };

/// A host's name or address, which is neither empty nor anything that only looks like one
/// because a delimiter is missing.
pub(super) fn host_name(text: &str) -> Result<&str, DsnError> {
    if text.contains(',') {
        return Err(DsnError::SeveralHosts);
    }
    let is_address =
        || text.split('%').next().is_some_and(|address| address.parse::<Ipv6Addr>().is_ok());
    let delimits = |c: char| c.is_control() || c.is_whitespace() || "[]()@/?#\\'\"".contains(c);
    if text.is_empty() || text.contains(delimits) || (text.contains(':') && !is_address()) {
        return Err(HOST);
    }
    Ok(text)
}

/// Percent-decodes; what is no encoding is refused, instead of being taken as it is: it was meant
/// otherwise, and a wrong password is hard to find.
pub(super) fn decoded(text: &str, part: &'static str) -> Result<String, DsnError> {
    let wrong = || DsnError::Encoding { part };
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let mut digit = || char::from(rest.next()?).to_digit(16);
                let (high, low) = digit().zip(digit()).ok_or_else(wrong)?;
                u8::try_from(high * 16 + low).map_err(|_| wrong())?
            }
            byte => byte,
        });
    }
    let text = String::from_utf8(bytes).map_err(|_| wrong())?;
    without_nul(&text)?;
    Ok(text)
}

/// Refuses NUL, which ends texts in both protocols.
pub(super) fn without_nul(text: &str) -> Result<(), DsnError> {
    match text.contains('\0') {
        true => Err(DsnError::Value { part: "DSN", expected: "no NUL" }),
        false => Ok(()),
    }
}

/// A database as a URL without credentials, which is how people see it.
pub(super) struct Shown<'a> {
    pub(super) scheme: &'static str,
    pub(super) user: &'a str,
    pub(super) place: Place<'a>,
    pub(super) database: &'a str,
}

/// Where a server is.
#[derive(Clone, Copy)]
pub(super) enum Place<'a> {
    Tcp {
        host: &'a str,
        port: u16,
    },
    /// A socket, with the name of the parameter that it is given as.
    Socket {
        parameter: &'static str,
        path: &'a str,
    },
}

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const PART: &AsciiSet =
            &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');
        const PATH: &AsciiSet = &PART.remove(b'/');
        let encoded = |text| utf8_percent_encode(text, PART);
        write!(f, "{}://", self.scheme)?;
        if !self.user.is_empty() {
            write!(f, "{}@", encoded(self.user))?;
        }
        match self.place {
            Place::Tcp { host, port } if host.contains(':') => {
                write!(f, "[{}]:{port}", host.replace('%', "%25"))?;
            }
            Place::Tcp { host, port } => write!(f, "{}:{port}", encoded(host))?,
            Place::Socket { .. } => {}
        }
        if !self.database.is_empty() {
            write!(f, "/{}", encoded(self.database))?;
        }
        if let Place::Socket { parameter, path } = self.place {
            write!(f, "?{parameter}={}", utf8_percent_encode(path, PATH))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_url_is_taken_apart_and_decoded() {
        let parts = Parts::parse("me%40corp:p%2Fw%3a@db.example:7/my%20db?a=b+c&d=%2B").unwrap();
        assert_eq!(parts.user, "me@corp");
        assert_eq!(parts.password.expose(), "p/w:");
        assert_eq!((parts.host.as_str(), parts.port), ("db.example", NonZeroU16::new(7)));
        assert_eq!(parts.database, "my db");
        let parameters = [("a", "b c"), ("d", "+")].map(|(n, v)| (n.to_owned(), v.to_owned()));
        assert_eq!(parts.parameters, parameters);
    }

    #[test]
    fn an_unescaped_at_sign_in_a_password_is_unambiguous() {
        let parts = Parts::parse("me@corp:p@ss@db/x").unwrap();
        assert_eq!((parts.user.as_str(), parts.host.as_str()), ("me@corp", "db"));
        assert_eq!(parts.password.expose(), "p@ss");
    }

    #[test]
    fn an_address_has_a_host_a_port_both_or_neither() {
        for (text, host, port) in [
            ("", "", None),
            ("db", "db", None),
            ("db:", "db", None),
            (":5", "", Some(5)),
            ("10.0.0.1:65535", "10.0.0.1", Some(65_535)),
            ("[::1]", "::1", None),
            ("[fe80::1%25eth0]:5", "fe80::1%25eth0", Some(5)),
            ("::1", "::1", None),
        ] {
            let port = port.and_then(NonZeroU16::new);
            assert_eq!(host_and_port(text), Ok((host, port)), "{text}");
        }
        for text in ["db:0", "db:65536", "db:x", "a:1:2", "[::1]5"] {
            assert!(host_and_port(text).is_err(), "{text}");
        }
        assert_eq!(host_and_port("a:1,b:2"), Err(DsnError::SeveralHosts));
    }

    #[test]
    fn what_only_looks_like_a_host_is_none() {
        for host in ["db", "db.example.", "münchen", "10.0.0.1", "::1", "fe80::1%eth0", "my_db"] {
            assert_eq!(host_name(host), Ok(host));
        }
        for text in ["", "a b", "tcp(db", "[::1]", "a:b", "a/b", "a\n"] {
            assert_eq!(host_name(text), Err(HOST), "{text:?}");
        }
    }

    #[test]
    fn a_database_is_shown_as_a_url() {
        let shown =
            |place| Shown { scheme: "x", user: "a:b", place, database: "my db" }.to_string();
        assert_eq!(shown(Place::Tcp { host: "db", port: 1 }), "x://a%3Ab@db:1/my%20db");
        let place = Place::Tcp { host: "fe80::1%eth0", port: 1 };
        assert_eq!(shown(place), "x://a%3Ab@[fe80::1%25eth0]:1/my%20db");
        let place = Place::Socket { parameter: "host", path: "/run/a b" };
        assert_eq!(shown(place), "x://a%3Ab@/my%20db?host=/run/a%20b");
    }

    proptest! {
        #[test]
        fn taking_apart_is_total(text in any::<String>(), url in "[a-z:@/?#&=%,\\[\\]0-9]{0,30}") {
            let _ = Parts::parse(&text);
            let _ = Parts::parse(&url);
        }
    }
}
