//! What stands before every route: who may reach it, and what every answer says about itself.
//!
//! Without a password between a browser and this server, any page that the browser shows could
//! resolve errors. So a request that changes something must not come from another origin, and on
//! a loopback address `Host` must be one of loopback's names, or a page could rebind its own name
//! to 127.0.0.1 and be of the same origin. With one it is the same: browsers send passwords by
//! themselves. After that [`Access`] is asked, for whatever path: a route that somebody adds is
//! guarded before it is written.

use std::net::SocketAddr;
use std::sync::Arc;

use axum::Router;
use axum::body::Body;
use axum::extract::{ConnectInfo, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, StatusCode, Uri, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};

use crate::access::{Access, Denial, Refusal};
use crate::body;
use crate::listener::PeerCertificate;
use crate::origin::{changes, host_of, is_foreign, is_loopback};
use crate::problem::Problem;
use crate::role::Role;

type Need = dyn Fn(&Method, &Uri) -> Role + Send + Sync;
type Words = dyn Fn(&Parts, Problem) -> Response + Send + Sync;
type Count = dyn Fn(Refusal) + Send + Sync;

/// Stands before every route of an application: asks where a request comes from and who sends it,
/// and adds security headers to every answer.
#[derive(Clone)]
pub struct Guard {
    access: Access,
    need: Arc<Need>,
    words: Arc<Words>,
    count: Arc<Count>,
    on_loopback: bool,
    /// A name that is answered to on loopback as well.
    name: Option<Arc<str>>,
}

impl Guard {
    /// Lets through whom `access` allows what `need` says a request needs. `need` is asked for
    /// everything, known or not; what it does not know had better need [`Role::Admin`].
    pub fn new(
        access: Access,
        need: impl Fn(&Method, &Uri) -> Role + Send + Sync + 'static,
    ) -> Self {
        Self {
            access,
            need: Arc::new(need),
            words: Arc::new(|_, problem| problem.into_response()),
            count: Arc::new(|_| {}),
            on_loopback: false,
            name: None,
        }
    }

    /// Whether nothing but loopback is listened on, so that only its names are answered.
    #[must_use]
    pub fn on_loopback(mut self, on_loopback: bool) -> Self {
        self.on_loopback = on_loopback;
        self
    }

    /// A `Host` that is answered to on loopback as well: that of a proxy on the same machine which
    /// passes on what it was asked for.
    #[must_use]
    pub fn answering_to(mut self, name: Option<String>) -> Self {
        self.name = name.map(|name| name.to_ascii_lowercase().into());
        self
    }

    /// Puts refusals into words other than problem+json.
    #[must_use]
    pub fn in_words(
        mut self,
        words: impl Fn(&Parts, Problem) -> Response + Send + Sync + 'static,
    ) -> Self {
        self.words = Arc::new(words);
        self
    }

    /// Tells of every refusal, for metrics.
    #[must_use]
    pub fn counting(mut self, count: impl Fn(Refusal) + Send + Sync + 'static) -> Self {
        self.count = Arc::new(count);
        self
    }

    /// Stands before all routes of an application, its fallback included. To be the outermost layer.
    pub fn around(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, guard))
    }

    /// What is wrong with where a request comes from.
    fn refuse_origin(&self, request: &Request) -> Option<(Refusal, Problem)> {
        let host = host_of(request.uri(), request.headers());
        let is_ours = |host: &&str| {
            is_loopback(host) || self.name.as_deref() == Some(&*host.to_ascii_lowercase())
        };
        if let Some(host) = host.as_deref().filter(|host| self.on_loopback && !is_ours(host)) {
            let name: String = host.chars().take(100).collect();
            let problem =
                format!("this server listens on loopback and does not answer to `{name}`");
            return Some((Refusal::Host, Problem::forbidden(problem)));
        }
        if changes(request.method()) && is_foreign(request.headers(), host.as_deref()) {
            let problem = "a page of another origin may not change anything here";
            return Some((Refusal::Origin, Problem::forbidden(problem)));
        }
        None
    }

    fn denied(&self, parts: &Parts, denial: Denial) -> Response {
        let problem = match denial.refusal {
            Refusal::NoCredential => {
                Problem::new(StatusCode::UNAUTHORIZED, "this needs a credential")
            }
            Refusal::WrongCredential => {
                Problem::new(StatusCode::UNAUTHORIZED, "the credential is not right")
            }
            Refusal::Throttled => {
                let problem = "too many attempts from your address; try again later";
                Problem::new(StatusCode::TOO_MANY_REQUESTS, problem)
            }
            Refusal::RateLimit => {
                Problem::new(StatusCode::TOO_MANY_REQUESTS, "too many requests; try again later")
            }
            _ => Problem::forbidden(format!("this needs the role `{}`", denial.need)),
        };
        let is_unauthorized = problem.status() == StatusCode::UNAUTHORIZED;
        let mut response = (self.words)(parts, problem);
        if is_unauthorized {
            for challenge in self.access.challenges() {
                response.headers_mut().append(header::WWW_AUTHENTICATE, challenge);
            }
        }
        if let Some(wait) = denial.retry_after {
            let seconds = wait.as_secs() + u64::from(wait.subsec_nanos() > 0);
            response.headers_mut().insert(header::RETRY_AFTER, seconds.max(1).into());
        }
        response
    }
}

async fn guard(State(guard): State<Guard>, mut request: Request, next: Next) -> Response {
    let mut response = match admit(&guard, &mut request).await {
        Ok(()) => next.run(request).await,
        Err((refusal, make)) => {
            (guard.count)(refusal);
            let (parts, body) = request.into_parts();
            let response = make(&guard, &parts);
            body::drain(&parts, body).await;
            response
        }
    };
    if is_bare_refusal(&response) {
        explain(&mut response);
    }
    for (name, value) in guard.access.headers() {
        response.headers_mut().insert(name, value);
    }
    add_security_headers(response.headers_mut());
    response
}

type Refused = (Refusal, Box<dyn FnOnce(&Guard, &Parts) -> Response + Send>);

async fn admit(guard: &Guard, request: &mut Request) -> Result<(), Refused> {
    if let Some((refusal, problem)) = guard.refuse_origin(request) {
        return Err((refusal, Box::new(|guard, parts| (guard.words)(parts, problem))));
    }
    let need = (guard.need)(request.method(), request.uri());
    let address = request.extensions().get::<ConnectInfo<SocketAddr>>();
    let address = address.map(|ConnectInfo(address)| address.ip());
    let certificate = request.extensions().get::<PeerCertificate>().cloned();
    let name = certificate.as_ref().map(PeerCertificate::name);
    let decided = guard.access.decide(need, request.headers(), address, name).await;
    let principal = decided.map_err(|denial| -> Refused {
        (denial.refusal, Box::new(move |guard, parts| guard.denied(parts, denial)))
    })?;
    request.extensions_mut().insert(principal);
    // Nobody further in needs it, and what is not there is in no log.
    request.headers_mut().remove(header::AUTHORIZATION);
    Ok(())
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
mod tests;
