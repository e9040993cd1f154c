//! Who may reach a Periskop server or gateway, and on what terms.
//!
//! One module for both binaries. A [`WebConfig`] is what an operator writes: Prometheus's web
//! configuration and, beyond it, tokens with roles. [`Access`] holds the credentials and decides;
//! [`Guard`] asks it before any route is reached, and looks after origins and security headers;
//! [`serve`] listens, with TLS where there is a [`Tls`], and cuts off who is slow.
//!
//! ```no_run
//! # async fn f() -> Result<(), Box<dyn std::error::Error>> {
//! use axum::http::{Method, Uri};
//! use periskop_http::{Access, Guard, Limits, Role, Tls, WebConfig, serve};
//!
//! let web = WebConfig::load("web.yaml".as_ref())?;
//! let access = Access::new(&web);
//! let need = |method: &Method, _: &Uri| match *method {
//!     Method::GET => Role::Read,
//!     _ => Role::Admin,
//! };
//! let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
//! let app = Guard::new(access, need).on_loopback(true).around(axum::Router::new());
//! let tls = web.tls.as_ref().map(|tls| Tls::new(tls, web.http2)).transpose()?;
//! serve(listener, app, tls, web.limits, std::future::pending()).await;
//! # Ok(()) }
//! ```
//!
//! Invariants: a credential is in no log, answer or `Debug`; what is not known to be allowed is
//! refused; a credential in a URL is never read.

mod access;
mod body;
mod config;
mod credential;
mod file;
mod guard;
mod limits;
mod listener;
mod origin;
mod password;
mod problem;
mod role;
mod throttle;
mod tls;

pub use access::{Access, Principal, Refusal};
pub use body::BodyLimit;
pub use config::{
    Anonymous, ClientAuth, Credentials, RateLimit, Source, TlsSettings, Token, TokenSecret, User,
    WebConfig, WebConfigError,
};
pub use credential::{Credential, Malformed};
pub use guard::Guard;
pub use limits::Limits;
pub use listener::{PeerCertificate, serve};
pub use password::{NewToken, PasswordError, hash_password};
pub use problem::Problem;
pub use role::{Role, Roles};
pub use tls::{Tls, TlsError};
