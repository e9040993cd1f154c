//! HTTP as Prometheus's settings describe it: for discovery, and for whoever scrapes.
//!
//! [`HttpClientConfig`] is the configuration, [`HttpClient`] what it makes. What may change while
//! a process runs does so without a reload: files of credentials are read at every request, and
//! when a certificate file has another content, connections are made anew.
//!
//! Credentials stay where they belong: they are in no `Debug`, `Display` or error, and a redirect
//! to another host is followed without them and without the headers that were configured.
//!
//! TLS is rustls with ring: versions 1.2 and 1.3. `server_name` decides which certificate is
//! asked for (SNI, but behind a proxy) and accepted.

mod decode;
mod effective;
mod error;
mod jwt_bearer;
mod named;
mod oauth2;
mod proxy;
mod request;
mod secret;
mod settings;
mod tls;
mod transport;

use std::path::Path;
use std::sync::Arc;

use periskop_core::config::Secret;
use reqwest::Method;
use reqwest::header::{AUTHORIZATION, HeaderMap, HeaderName, HeaderValue};
use url::Url;

pub use error::HttpError;
pub use jwt_bearer::{Algorithm, JwtBearer};
#[cfg(feature = "kubernetes")]
pub(crate) use proxy::from_environment_for;
pub use request::RequestBuilder;
pub use secret::Source;
#[cfg(feature = "_cloud")]
pub(crate) use secret::read_text;
pub use settings::{
    Auth, ClientCert, HeaderValues, HttpClientConfig, OAuth2Config, ProxyChoice, ProxyConfig,
    TlsConfig, TlsVersion,
};

use oauth2::TokenSource;
use secret::Text;
use transport::Transport;

/// An HTTP client with one configuration. Cheap to clone; clones share connections and tokens.
///
/// ```no_run
/// # async fn f() -> Result<(), periskop_discovery::http_client::HttpError> {
/// use periskop_discovery::http_client::{HttpClient, HttpClientConfig};
/// use std::time::Duration;
///
/// let client = HttpClient::new(&HttpClientConfig::default(), "Periskop/0.1")?;
/// let url = "http://localhost:8080/-/exceptions".parse().expect("a URL");
/// let mut response = client.get(url).timeout(Duration::from_secs(10)).send().await?;
/// while let Some(chunk) = response.chunk().await? { /* stop where it gets too long */ }
/// # Ok(()) }
/// ```
#[derive(Clone)]
pub struct HttpClient(Arc<Inner>);

struct Inner {
    config: HttpClientConfig,
    user_agent: HeaderValue,
    transport: Transport,
    tokens: Option<TokenSource>,
}

impl HttpClient {
    /// A client that introduces itself as `user_agent`. Certificates are read now.
    ///
    /// # Errors
    ///
    /// [`HttpError::File`] where a certificate cannot be read, [`HttpError::Setting`] where a
    /// setting cannot be used. Files of credentials are not looked at yet.
    pub fn new(config: &HttpClientConfig, user_agent: &str) -> Result<Self, HttpError> {
        let transport = Transport::new(&config.tls, &config.proxy, config.enable_http2)?;
        Self::with_transport(config, user_agent, transport)
    }

    /// A client of whoever listens on a Unix socket; hosts and ports of URLs mean nothing then.
    ///
    /// # Errors
    ///
    /// [`HttpError::Setting`] where the system has no such sockets. Whether anybody listens is
    /// not looked at yet.
    pub(crate) fn over_unix_socket(path: &Path, user_agent: &str) -> Result<Self, HttpError> {
        let transport = Transport::over_unix_socket(path)?;
        Self::with_transport(&HttpClientConfig::default(), user_agent, transport)
    }

    fn with_transport(
        config: &HttpClientConfig,
        user_agent: &str,
        transport: Transport,
    ) -> Result<Self, HttpError> {
        let tokens = match &config.auth {
            Some(Auth::OAuth2(oauth2)) => Some(TokenSource::new(oauth2)?),
            _ => None,
        };
        let user_agent = HeaderValue::try_from(user_agent).map_err(|_| HttpError::Setting {
            field: "user agent",
            reason: "not fit for a header".into(),
        })?;
        Ok(Self(Arc::new(Inner { config: config.clone(), user_agent, transport, tokens })))
    }

    /// A `GET` of `url`.
    pub fn get(&self, url: Url) -> RequestBuilder {
        self.request(Method::GET, url)
    }

    /// A request of any method.
    pub fn request(&self, method: Method, url: Url) -> RequestBuilder {
        RequestBuilder::new(self.clone(), method, url)
    }
}

impl std::fmt::Debug for HttpClient {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HttpClient").field(&self.0.config).finish()
    }
}

impl Inner {
    /// What is added to a request, as long as it goes to the host that was asked for.
    async fn own_headers(&self) -> Result<HeaderMap, HttpError> {
        let mut headers = HeaderMap::new();
        for (name, values) in &self.config.headers {
            let invalid = || HttpError::Setting {
                field: "http_headers",
                reason: format!("the name or a value of {name:?} is not fit for a header"),
            };
            let header = HeaderName::try_from(name).map_err(|_| invalid())?;
            for value in &values.values {
                let value = HeaderValue::try_from(value).map_err(|_| invalid())?;
                headers.append(header.clone(), value);
            }
            for secret in &values.secrets {
                headers.append(header.clone(), sensitive(secret.expose()).map_err(|_| invalid())?);
            }
            for file in &values.files {
                let secret = secret::read_text(file).await?;
                headers.append(header.clone(), sensitive(secret.expose()).map_err(|_| invalid())?);
            }
        }
        if let Some(authorization) = self.authorization().await? {
            headers.insert(AUTHORIZATION, authorization);
        }
        Ok(headers)
    }

    async fn authorization(&self) -> Result<Option<HeaderValue>, HttpError> {
        let unfit =
            |field| move |_| HttpError::Setting { field, reason: "not fit for a header".into() };
        match &self.config.auth {
            Some(Auth::Basic { username, password }) => {
                let username = optional(username.as_ref()).await?;
                let password = optional(password.as_ref()).await?;
                let value = basic(username.expose(), password.expose());
                Ok(Some(sensitive(&value).map_err(unfit("basic_auth"))?))
            }
            Some(Auth::Authorization { scheme, credentials: Some(credentials) }) => {
                let credentials = credentials.read().await?;
                let value = format!("{scheme} {}", credentials.expose());
                Ok(Some(sensitive(&value).map_err(unfit("authorization"))?))
            }
            Some(Auth::OAuth2(_)) => match &self.tokens {
                Some(tokens) => Ok(Some(tokens.header().await?)),
                None => Ok(None),
            },
            Some(Auth::Authorization { credentials: None, .. }) | None => Ok(None),
        }
    }
}

async fn optional<T: Text>(source: Option<&Source<T>>) -> Result<Secret, HttpError> {
    match source {
        Some(source) => source.read().await,
        None => Ok(Secret::default()),
    }
}

/// RFC 7617.
fn basic(username: &str, password: &str) -> String {
    use base64::Engine as _;
    let pair = format!("{username}:{password}");
    format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair))
}

fn sensitive(value: &str) -> Result<HeaderValue, reqwest::header::InvalidHeaderValue> {
    let mut value = HeaderValue::try_from(value)?;
    value.set_sensitive(true);
    Ok(value)
}

/// A URL fit to be shown: the password, if it has one, is masked.
pub(crate) fn redact_url(url: &Url) -> Url {
    let mut shown = url.clone();
    if shown.password().is_some() {
        // A URL that has a password can have another one.
        let _ = shown.set_password(Some("xxxxx"));
    }
    shown
}

/// The same for a text that is meant to be a URL, kept as it was written where it can be.
pub(crate) fn redact_text(text: &str) -> String {
    match Url::parse(text) {
        Ok(url) if url.password().is_some() => redact_url(&url).into(),
        // Whatever this is, it holds what looks like credentials.
        Err(_) if text.contains('@') => Secret::HIDDEN.into(),
        _ => text.to_owned(),
    }
}
