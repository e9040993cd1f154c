//! Where a request comes from: its `Host`, and the page that sent it.

use std::net::IpAddr;

use axum::http::{HeaderMap, HeaderName, Method, Uri, header};

/// Whether a request of this method may change something: everything that is not known to be safe.
pub(crate) fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

/// The authority that a request is for.
pub(crate) fn host_of(uri: &Uri, headers: &HeaderMap) -> Option<String> {
    // An absolute request target wins over the header (RFC 9112, 3.2.2); HTTP/2 has only that.
    let named = headers.get(header::HOST);
    let named = named.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    uri.authority().map(|authority| authority.as_str().to_owned()).or(named)
}

/// Whether a page of another origin sent this. A browser says where a request comes from in
/// `Sec-Fetch-Site`, older ones in `Origin`; clients and scripts say neither. `none` is somebody
/// typing the address.
pub(crate) fn is_foreign(headers: &HeaderMap, host: Option<&str>) -> bool {
    let text = |name: HeaderName| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    match text(HeaderName::from_static("sec-fetch-site")).as_deref() {
        Some(site) => !matches!(site, "same-origin" | "none"),
        None => text(header::ORIGIN)
            .is_some_and(|origin| !host.is_some_and(|host| is_same_authority(&origin, host))),
    }
}

/// Whether an `Origin` is the authority that `Host` names. The scheme is not compared: behind a
/// proxy that ends TLS we do not know our own.
fn is_same_authority(origin: &str, host: &str) -> bool {
    let (default_port, authority) = match origin.split_once("://") {
        Some(("http", authority)) => (":80", authority),
        Some(("https", authority)) => (":443", authority),
        _ => return false,
    };
    let bare = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    bare(authority) == bare(host)
}

/// Whether a `Host` names this very machine.
pub(crate) fn is_loopback(host: &str) -> bool {
    let name = match host.strip_prefix('[').and_then(|rest| rest.split_once(']')) {
        Some((address, port)) if port.is_empty() || is_port(port) => address,
        Some(_) => return false,
        None => match host.rfind(':') {
            Some(at) if is_port(&host[at..]) => &host[..at],
            Some(_) => return false,
            None => host,
        },
    };
    let name = name.trim_end_matches('.').to_ascii_lowercase();
    match name.parse::<IpAddr>() {
        Ok(address) => address.to_canonical().is_loopback(),
        // RFC 6761: whatever ends in `.localhost` is loopback too.
        Err(_) => name == "localhost" || name.ends_with(".localhost"),
    }
}

fn is_port(text: &str) -> bool {
    text.strip_prefix(':').is_some_and(|port| port.bytes().all(|b| b.is_ascii_digit()))
}

#[cfg(test)]
mod tests {
    use axum::http::HeaderValue;

    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let entry = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        all.iter().map(entry).collect()
    }

    #[test]
    fn a_change_comes_from_here_or_from_a_client() {
        for (all, is_foreign_one) in [
            (&[][..], false),
            (&[("origin", "http://gw:1")], false),
            (&[("origin", "http://GW:1")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "http://x")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://gw:2")], true),
            (&[("origin", "http://evil.example")], true),
            (&[("origin", "null")], true),
            (&[("origin", "file://gw:1")], true),
            (&[("sec-fetch-site", "cross-site")], true),
            (&[("sec-fetch-site", "same-site"), ("origin", "http://gw:1")], true),
        ] {
            assert_eq!(is_foreign(&headers(all), Some("gw:1")), is_foreign_one, "{all:?}");
        }
        assert!(is_foreign(&headers(&[("origin", "http://gw")]), None));
        assert!(is_same_authority("https://gw:443", "gw"));
    }

    #[test]
    fn only_loopbacks_own_names_are_loopback() {
        for name in ["localhost", "LOCALHOST:1", "127.8.9.1:1", "[::1]:1", "app.localhost"] {
            assert!(is_loopback(name), "{name}");
        }
        for name in ["evil.example", "localhost.evil.example", "10.0.0.1", "[::1]evil", ""] {
            assert!(!is_loopback(name), "{name}");
        }
    }
}
