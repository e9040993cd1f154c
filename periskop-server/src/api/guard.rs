//! Who may change something, and what every answer says about itself.
//!
//! Without a password between a browser and this server, any page that the browser shows could
//! resolve errors. So a request that changes something must not come from another origin, and on
//! a loopback address `Host` must be one of loopback's names, or a page could rebind its own name
//! to 127.0.0.1 and be of the same origin.

use std::net::IpAddr;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use periskop_http::Problem;

/// What the guard knows about where it stands.
#[derive(Clone, Debug, Default)]
pub(crate) struct Guard {
    /// Whether the server listens on a loopback address only.
    pub(crate) loopback: bool,
}

/// Refuses what must not pass and adds the security headers that a page has not set itself.
pub(crate) async fn guard(
    State(guard): State<Arc<Guard>>,
    request: Request,
    next: Next,
) -> Response {
    let host = host_of(&request);
    let refused = if guard.loopback && host.as_deref().is_some_and(|host| !is_loopback(host)) {
        Some(Problem::forbidden(format!(
            "this server listens on loopback and does not answer to the name `{}`",
            host.as_deref().unwrap_or_default().chars().take(100).collect::<String>()
        )))
    } else if changes(request.method()) {
        foreign_origin(request.headers(), host.as_deref()).err()
    } else {
        None
    };
    let mut response = match refused {
        Some(problem) => problem.into_response(),
        None => next.run(request).await,
    };
    if is_bare_refusal(&response) {
        explain(&mut response);
    }
    add_security_headers(response.headers_mut());
    response
}

/// A refusal that nobody has put into words: of the router itself, or of no route at all.
fn is_bare_refusal(response: &Response) -> bool {
    response.status().is_client_error() && !response.headers().contains_key(header::CONTENT_TYPE)
}

/// Keeps what else the refusal says, such as `Allow`.
fn explain(response: &mut Response) {
    let reason = response.status().canonical_reason().unwrap_or("refused");
    *response.body_mut() = Body::from(format!("{} {reason}\n", response.status().as_u16()));
    let headers = response.headers_mut();
    headers.remove(header::CONTENT_LENGTH);
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
}

/// Whether a request of this method may change something. Everything that is not known to be safe.
fn changes(method: &Method) -> bool {
    !matches!(*method, Method::GET | Method::HEAD | Method::OPTIONS | Method::TRACE)
}

fn host_of(request: &Request) -> Option<String> {
    let named = request.headers().get(header::HOST).map(|host| host.as_bytes());
    let named = named.map(|host| String::from_utf8_lossy(host).into_owned());
    // An absolute request target wins over the header (RFC 9112, 3.2.2).
    request.uri().authority().map(|authority| authority.as_str().to_owned()).or(named)
}

/// A browser says where a request comes from in `Sec-Fetch-Site`, older ones in `Origin`; scripts
/// say neither. `none` is somebody typing the address.
fn foreign_origin(headers: &HeaderMap, host: Option<&str>) -> Result<(), Problem> {
    let text = |name: HeaderName| {
        headers.get(name).map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    match text(HeaderName::from_static("sec-fetch-site")).as_deref() {
        Some("same-origin" | "none") => return Ok(()),
        Some(_) => return Err(Problem::forbidden("another site may not change anything here")),
        None => {}
    }
    match text(header::ORIGIN) {
        None => Ok(()),
        Some(origin) if host.is_some_and(|host| is_same_authority(&origin, host)) => Ok(()),
        Some(_) => Err(Problem::forbidden("another origin may not change anything here")),
    }
}

/// Whether an `Origin` is the authority that `Host` names. The scheme is not compared: behind a
/// proxy that ends TLS this server does not know its own.
fn is_same_authority(origin: &str, host: &str) -> bool {
    let (default_port, authority) = match origin.split_once("://") {
        Some(("http", authority)) => (":80", authority),
        Some(("https", authority)) => (":443", authority),
        _ => return false,
    };
    let bare = |text: &str| text.strip_suffix(default_port).unwrap_or(text).to_ascii_lowercase();
    bare(authority) == bare(host)
}

/// Whether a `Host` header names this very machine.
fn is_loopback(host: &str) -> bool {
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

/// Nothing here is to be framed, sniffed or embedded; a page with scripts and styles of its own
/// sets the policy that it needs.
fn add_security_headers(headers: &mut HeaderMap) {
    for (name, value) in [
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        (header::REFERRER_POLICY, "same-origin"),
        (
            header::CONTENT_SECURITY_POLICY,
            "default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
        ),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        // What an answer says is true now; a list that a proxy kept would hide what is new.
        (header::CACHE_CONTROL, "no-store"),
    ] {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    }
}

#[cfg(test)]
mod tests {
    use axum::Router;
    use axum::http::StatusCode;
    use axum::routing::any;
    use tower::ServiceExt;

    use super::*;

    async fn status(guard_settings: Guard, method: &str, headers: &[(&str, &str)]) -> StatusCode {
        let app = Router::new()
            .route("/", any(|| async { "done" }))
            .layer(axum::middleware::from_fn_with_state(Arc::new(guard_settings), guard));
        let mut request = axum::http::Request::builder().method(method).uri("/");
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Body::empty()).unwrap();
        app.oneshot(request).await.unwrap().status()
    }

    #[tokio::test]
    async fn a_change_needs_to_come_from_here_or_from_a_script() {
        for (headers, passes) in [
            (&[][..], true),
            (&[("host", "p:1"), ("origin", "http://p:1")], true),
            (&[("host", "p"), ("origin", "https://p:443")], true),
            (&[("host", "P.example"), ("origin", "https://p.example")], true),
            (&[("host", "p:1"), ("sec-fetch-site", "same-origin"), ("origin", "http://x")], true),
            (&[("host", "p:1"), ("sec-fetch-site", "none")], true),
            (&[("host", "p:1"), ("origin", "http://p:2")], false),
            (&[("host", "p:1"), ("origin", "http://evil.example")], false),
            (&[("host", "p:1"), ("origin", "null")], false),
            (&[("host", "p:1"), ("origin", "file://p:1")], false),
            (&[("host", "p:1"), ("sec-fetch-site", "cross-site")], false),
            (&[("host", "p:1"), ("sec-fetch-site", "same-site"), ("origin", "http://p:1")], false),
        ] {
            for method in ["POST", "DELETE", "PUT", "PATCH", "BREW"] {
                let found = status(Guard::default(), method, headers).await;
                assert_eq!(found.is_success(), passes, "{method} {headers:?}: {found}");
            }
            assert!(status(Guard::default(), "GET", headers).await.is_success());
        }
    }

    #[tokio::test]
    async fn on_loopback_only_loopbacks_names_are_answered() {
        for (host, passes) in [
            ("localhost", true),
            ("LOCALHOST:7777", true),
            ("127.0.0.1:7777", true),
            ("127.8.9.1", true),
            ("[::1]:7777", true),
            ("[::ffff:127.0.0.1]", true),
            ("app.localhost:1", true),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("127.0.0.1.evil.example:7777", false),
            ("10.0.0.1", false),
            ("[::1]evil", false),
            ("", false),
        ] {
            let guard = Guard { loopback: true };
            for method in ["GET", "DELETE"] {
                let found = status(guard.clone(), method, &[("host", host)]).await;
                assert_eq!(found.is_success(), passes, "{method} {host}");
            }
            assert!(status(Guard::default(), "GET", &[("host", host)]).await.is_success());
        }
    }
}
