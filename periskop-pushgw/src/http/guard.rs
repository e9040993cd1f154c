//! Who may push, and what every answer says about itself.
//!
//! Without a password between a browser and the gateway, any page that the browser shows could
//! push. So a push must not come from another origin, and on loopback `Host` must be one of
//! loopback's names, or a page could rebind its own name to 127.0.0.1 and be of the same origin.

use std::net::IpAddr;
use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;

use super::refused;
use crate::gateway::Gateway;

/// What the guard knows about where it stands.
#[derive(Clone)]
pub(super) struct Guard {
    /// Whether nothing but loopback is listened on.
    pub(super) on_loopback: bool,
    pub(super) gateway: Gateway,
}

/// Refuses what must not pass, and adds the security headers that a page has not set itself.
pub(super) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let host = host_of(&request);
    let is_foreign_name = guard.on_loopback && host.as_deref().is_some_and(|h| !is_loopback(h));
    let reads = matches!(*request.method(), Method::GET | Method::HEAD | Method::OPTIONS);
    let mut response = if is_foreign_name {
        guard.gateway.shared.metrics.refused("host");
        let reason = "this gateway listens on loopback and answers to no other name";
        refused(StatusCode::FORBIDDEN, reason)
    } else if !reads && is_foreign(request.headers(), host.as_deref()) {
        guard.gateway.shared.metrics.refused("origin");
        refused(StatusCode::FORBIDDEN, "a page of another origin may not push here")
    } else {
        next.run(request).await
    };
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (header::CACHE_CONTROL, "no-store"),
    ] {
        response.headers_mut().entry(name).or_insert(HeaderValue::from_static(value));
    }
    response
}

fn host_of(request: &Request) -> Option<String> {
    let named = request.headers().get(header::HOST);
    let named = named.map(|host| String::from_utf8_lossy(host.as_bytes()).into_owned());
    // An absolute request target wins over the header (RFC 9112, 3.2.2).
    request.uri().authority().map(|authority| authority.as_str().to_owned()).or(named)
}

/// A browser says where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`; clients
/// and scripts say neither. `none` is somebody typing the address.
fn is_foreign(headers: &HeaderMap, host: Option<&str>) -> bool {
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
/// proxy that ends TLS the gateway does not know its own.
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
fn is_loopback(host: &str) -> bool {
    let is_port = |text: &str| {
        let digits = text.strip_prefix(':');
        digits.is_some_and(|digits| digits.bytes().all(|b| b.is_ascii_digit()))
    };
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

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(all: &[(&'static str, &'static str)]) -> HeaderMap {
        let entry = |(name, value): &(&'static str, &'static str)| {
            (HeaderName::from_static(name), HeaderValue::from_static(value))
        };
        all.iter().map(entry).collect()
    }

    #[test]
    fn a_push_comes_from_here_or_from_a_client() {
        for (all, is_foreign_one) in [
            (&[][..], false),
            (&[("origin", "http://gw:1")], false),
            (&[("origin", "http://GW:1")], false),
            (&[("sec-fetch-site", "same-origin"), ("origin", "http://x")], false),
            (&[("sec-fetch-site", "none")], false),
            (&[("origin", "http://gw:2")], true),
            (&[("origin", "http://evil.example")], true),
            (&[("origin", "null")], true),
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
