//! URLs as Go's `net/url` takes them apart: it accepts much that the URL standard of browsers
//! refuses, and settings are checked by its rules.

/// The parts that settings are checked for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct GoUrl<'a> {
    /// In front of the colon; may be empty.
    pub(crate) scheme: &'a str,
    /// Host and port, without user information; may be empty.
    pub(crate) host: &'a str,
    /// What comes after the host.
    pub(crate) path: &'a str,
}

impl<'a> GoUrl<'a> {
    /// Takes a text apart. The error quotes nothing: it could be a password.
    pub(crate) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.chars().any(|c| c.is_ascii_control()) {
            return Err("parse URL: invalid control character in URL");
        }
        let text = text.split_once('#').map_or(text, |(before, _)| before);
        let (scheme, rest) = scheme(text)?;
        let rest = rest.split_once('?').map_or(rest, |(before, _)| before);
        let Some(after) = rest.strip_prefix("//") else {
            let first = rest.split('/').next().unwrap_or_default();
            if scheme.is_empty() && first.contains(':') {
                return Err("parse URL: first path segment in URL cannot contain colon");
            }
            check_escapes(rest)?;
            return Ok(Self { scheme, host: "", path: rest });
        };
        let (authority, path) = after.split_at(after.find('/').unwrap_or(after.len()));
        let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
        check_host(host)?;
        check_escapes(path)?;
        Ok(Self { scheme, host, path })
    }
}

fn scheme(text: &str) -> Result<(&str, &str), &'static str> {
    for (i, c) in text.char_indices() {
        match c {
            'a'..='z' | 'A'..='Z' => {}
            '0'..='9' | '+' | '-' | '.' if i > 0 => {}
            ':' if i == 0 => return Err("parse URL: missing protocol scheme"),
            ':' => return Ok((&text[..i], &text[i + 1..])),
            _ => break,
        }
    }
    Ok(("", text))
}

fn check_host(host: &str) -> Result<(), &'static str> {
    let port = match host.strip_prefix('[') {
        Some(literal) => {
            let (_, port) = literal.split_once(']').ok_or("parse URL: missing ']' in host")?;
            port
        }
        None => host.find(':').map_or("", |colon| &host[colon..]),
    };
    let is_port = port.is_empty()
        || port.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()));
    if !is_port {
        return Err("parse URL: invalid port after host");
    }
    if host.contains([' ', '"', '<', '>', '\\', '^', '`', '{', '|', '}']) {
        return Err("parse URL: invalid character in host name");
    }
    Ok(())
}

fn check_escapes(path: &str) -> Result<(), &'static str> {
    let is_hex = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_hexdigit());
    let mut bytes = path.bytes();
    while let Some(byte) = bytes.next() {
        if byte == b'%' && !(is_hex(bytes.next()) && is_hex(bytes.next())) {
            return Err("parse URL: invalid URL escape");
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_found_where_go_finds_them() {
        for (text, scheme, host, path) in [
            ("http://a:1/b?c#d", "http", "a:1", "/b"),
            ("https://u:p@[::1]:80", "https", "[::1]:80", ""),
            ("unix:///var/run/docker.sock", "unix", "", "/var/run/docker.sock"),
            ("localhost:2375", "localhost", "", "2375"),
            ("eureka.com", "", "", "eureka.com"),
            ("", "", "", ""),
        ] {
            assert_eq!(GoUrl::parse(text), Ok(GoUrl { scheme, host, path }), "{text}");
        }
    }

    #[test]
    fn what_go_refuses_is_refused() {
        for text in
            ["10.0.0.1:2375", ":a", "http://a:b", "http://a b", "http://[::1", "/%zz", "a\n"]
        {
            assert!(GoUrl::parse(text).is_err(), "{text:?}");
        }
    }
}
