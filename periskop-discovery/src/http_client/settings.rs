//! Prometheus's HTTP client settings as types that cannot contradict themselves.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use periskop_core::config::Secret;
use url::Url;

use super::{JwtBearer, Source};

/// How to speak HTTP with a backend or a target: Prometheus's `http_config`, inlined by it into
/// scrape and discovery settings.
///
/// Source of the rules: `config/http_config.go` of prometheus/common, as of Prometheus 3.14.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct HttpClientConfig {
    /// Who we are; none: anonymous.
    pub auth: Option<Auth>,
    /// How TLS is spoken.
    pub tls: TlsConfig,
    /// Which proxy is used.
    pub proxy: ProxyConfig,
    /// Whether redirects are followed (at most ten); otherwise the redirect is the answer.
    /// Default true.
    pub follow_redirects: bool,
    /// Whether HTTP/2 is offered over TLS. Default true.
    pub enable_http2: bool,
    /// Headers added to every request, by canonical name.
    pub headers: BTreeMap<String, HeaderValues>,
}

impl Default for HttpClientConfig {
    fn default() -> Self {
        Self {
            auth: None,
            tls: TlsConfig::default(),
            proxy: ProxyConfig::default(),
            follow_redirects: true,
            enable_http2: true,
            headers: BTreeMap::new(),
        }
    }
}

impl HttpClientConfig {
    /// Takes relative file names as relative to `dir`, the directory of the configuration file.
    pub fn resolve_paths(&mut self, dir: &Path) {
        match &mut self.auth {
            Some(Auth::Basic { username, password }) => {
                username.iter_mut().for_each(|source| source.resolve_path(dir));
                password.iter_mut().for_each(|source| source.resolve_path(dir));
            }
            Some(Auth::Authorization { credentials, .. }) => {
                credentials.iter_mut().for_each(|source| source.resolve_path(dir));
            }
            Some(Auth::OAuth2(oauth2)) => {
                oauth2.client_secret.iter_mut().for_each(|source| source.resolve_path(dir));
                oauth2.jwt_bearer.iter_mut().for_each(|jwt| jwt.resolve_paths(dir));
                oauth2.tls.resolve_paths(dir);
            }
            None => {}
        }
        self.tls.resolve_paths(dir);
        for file in self.headers.values_mut().flat_map(|values| &mut values.files) {
            *file = dir.join(&*file);
        }
    }
}

/// One way to say who we are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Auth {
    /// `basic_auth`, RFC 7617.
    Basic {
        /// `username` or `username_file`.
        username: Option<Source<String>>,
        /// `password` or `password_file`.
        password: Option<Source<Secret>>,
    },
    /// `authorization`, and what was once `bearer_token` and `bearer_token_file`.
    Authorization {
        /// The scheme, `Bearer` unless told otherwise.
        scheme: String,
        /// `credentials` or `credentials_file`.
        credentials: Option<Source<Secret>>,
    },
    /// `oauth2`: the client credentials grant of RFC 6749, section 4.4, or the JWT bearer grant of
    /// RFC 7523.
    OAuth2(Box<OAuth2Config>),
}

/// Where a token is fetched, and with what.
#[derive(Clone, PartialEq, Eq)]
pub struct OAuth2Config {
    /// `client_id`.
    pub client_id: String,
    /// `client_secret` or `client_secret_file`.
    pub client_secret: Option<Source<Secret>>,
    /// `grant_type: urn:ietf:params:oauth:grant-type:jwt-bearer` and what belongs to it: a token is
    /// signed for instead of telling a secret. `None`: the client credentials grant.
    pub jwt_bearer: Option<JwtBearer>,
    /// `scopes`, asked for together.
    pub scopes: Vec<String>,
    /// `token_url` as configured; it is parsed when a client is built, as Prometheus does.
    pub token_url: String,
    /// `endpoint_params`, sent with the request for a token. Some endpoints take a password so.
    pub endpoint_params: BTreeMap<String, Secret>,
    /// TLS towards the token endpoint.
    pub tls: TlsConfig,
    /// The proxy towards the token endpoint.
    pub proxy: ProxyConfig,
}

/// The URL may hold a password.
impl std::fmt::Debug for OAuth2Config {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("OAuth2Config")
            .field("client_id", &self.client_id)
            .field("client_secret", &self.client_secret)
            .field("jwt_bearer", &self.jwt_bearer)
            .field("scopes", &self.scopes)
            .field("token_url", &super::redact_text(&self.token_url))
            .field("endpoint_params", &self.endpoint_params)
            .field("tls", &self.tls)
            .field("proxy", &self.proxy)
            .finish()
    }
}

/// `tls_config`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TlsConfig {
    /// `ca` or `ca_file`: the only authorities trusted; none: the system's.
    pub ca: Option<Source<String>>,
    /// `cert`, `key` and their files: the client certificate, with its key.
    pub client_cert: Option<ClientCert>,
    /// `server_name`: whose certificate is expected, whatever host the URL names.
    pub server_name: Option<String>,
    /// `insecure_skip_verify`: any certificate will do.
    pub insecure_skip_verify: bool,
    /// `min_version`.
    pub min_version: Option<TlsVersion>,
    /// `max_version`.
    pub max_version: Option<TlsVersion>,
}

impl TlsConfig {
    pub(crate) fn resolve_paths(&mut self, dir: &Path) {
        self.ca.iter_mut().for_each(|source| source.resolve_path(dir));
        if let Some(client) = &mut self.client_cert {
            client.cert.resolve_path(dir);
            client.key.resolve_path(dir);
        }
    }
}

/// A client certificate: never one half without the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClientCert {
    /// The chain, PEM, leaf first.
    pub cert: Source<String>,
    /// The key, PEM.
    pub key: Source<Secret>,
}

/// A version of TLS, as Prometheus names it.
///
/// Only 1.2 and 1.3 are spoken: as a minimum `TLS10` and `TLS11` mean 1.2, as a maximum they are
/// refused, because nothing would be left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TlsVersion {
    /// TLS 1.0, RFC 8996 says never.
    Tls10,
    /// TLS 1.1, RFC 8996 says never.
    Tls11,
    /// TLS 1.2.
    Tls12,
    /// TLS 1.3.
    Tls13,
}

impl TlsVersion {
    const ALL: [Self; 4] = [Self::Tls10, Self::Tls11, Self::Tls12, Self::Tls13];

    /// The version of this name (`TLS12`).
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|version| version.name() == name)
    }

    /// `TLS10` to `TLS13`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Tls10 => "TLS10",
            Self::Tls11 => "TLS11",
            Self::Tls12 => "TLS12",
            Self::Tls13 => "TLS13",
        }
    }
}

/// `proxy_url`, `no_proxy`, `proxy_from_environment`, `proxy_connect_header`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyConfig {
    /// Which proxy, if any. The environment is looked at only where this says so.
    pub choice: ProxyChoice,
    /// Headers sent to the proxy with `CONNECT`.
    pub connect_header: BTreeMap<String, Vec<Secret>>,
}

/// Where a proxy is taken from.
#[derive(Clone, Default, PartialEq, Eq)]
pub enum ProxyChoice {
    /// No proxy, whatever the environment says.
    #[default]
    Direct,
    /// `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, in upper or lower case.
    Environment,
    /// This one, but for the hosts of `no_proxy`.
    Url {
        /// The proxy: http, https or socks5.
        url: Url,
        /// Hosts reached directly, separated by commas, as in `NO_PROXY`; `""`: none.
        no_proxy: String,
    },
}

/// A proxy's URL may hold a password.
impl std::fmt::Debug for ProxyChoice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Direct => f.write_str("Direct"),
            Self::Environment => f.write_str("Environment"),
            Self::Url { url, no_proxy } => f
                .debug_struct("Url")
                .field("url", &super::redact_url(url).as_str())
                .field("no_proxy", no_proxy)
                .finish(),
        }
    }
}

/// The values of one added header, in the order they are sent: `values`, `secrets`, `files`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct HeaderValues {
    /// Shown wherever configuration is shown.
    pub values: Vec<String>,
    /// Never shown.
    pub secrets: Vec<Secret>,
    /// Read at every request.
    pub files: Vec<PathBuf>,
}
