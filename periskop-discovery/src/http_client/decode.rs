//! Reading the settings, with Prometheus's rules and words.

use std::collections::BTreeMap;
use std::path::PathBuf;

use periskop_core::config::{At, Fields, Problems, Secret};
use url::Url;

use super::settings::{
    Auth, ClientCert, HeaderValues, HttpClientConfig, OAuth2Config, ProxyChoice, ProxyConfig,
    TlsConfig, TlsVersion,
};
use super::{JwtBearer, Source};

/// Headers that belong to the protocol or have a setting of their own; prometheus/common's list.
const RESERVED_HEADERS: [&str; 18] = [
    "Authorization",
    "Host",
    "Content-Encoding",
    "Content-Length",
    "Content-Type",
    "User-Agent",
    "Connection",
    "Keep-Alive",
    "Proxy-Authenticate",
    "Proxy-Authorization",
    "Www-Authenticate",
    "Accept-Encoding",
    "X-Prometheus-Remote-Write-Version",
    "X-Prometheus-Remote-Read-Version",
    "X-Prometheus-Scrape-Timeout-Seconds",
    "X-Amz-Date",
    "X-Amz-Security-Token",
    "X-Amz-Content-Sha256",
];

const ONE_AUTH: &str = "at most one of basic_auth, oauth2 & authorization must be configured";

impl HttpClientConfig {
    /// Takes the settings out of the section that they are inlined in. Problems are noted there.
    pub fn take(fields: &mut Fields<'_, '_>) -> Self {
        let auth = take_auth(fields, true);
        Self::take_with(fields, auth, &Self::default())
    }

    /// The same where Prometheus neither sets its defaults nor looks whether there are two ways to
    /// say who we are: `aws_sd_configs`.
    #[cfg(feature = "aws")]
    pub(crate) fn take_unchecked(fields: &mut Fields<'_, '_>) -> Self {
        let auth = take_auth(fields, false);
        let off = Self { follow_redirects: false, enable_http2: false, ..Self::default() };
        Self::take_with(fields, auth, &off)
    }

    fn take_with(fields: &mut Fields<'_, '_>, auth: Option<Auth>, defaults: &Self) -> Self {
        Self {
            auth,
            tls: fields.section("tls_config", TlsConfig::decode).unwrap_or_default(),
            proxy: ProxyConfig::take(fields),
            follow_redirects: fields.bool("follow_redirects").unwrap_or(defaults.follow_redirects),
            enable_http2: fields.bool("enable_http2").unwrap_or(defaults.enable_http2),
            headers: fields.section("http_headers", decode_headers).unwrap_or_default(),
        }
    }
}

fn take_auth(fields: &mut Fields<'_, '_>, checked: bool) -> Option<Auth> {
    let token = text(fields.string("bearer_token")).map(Secret::new);
    let token_file = file(fields, "bearer_token_file");
    let basic = fields.section("basic_auth", decode_basic);
    let oauth2 = fields.section("oauth2", OAuth2Config::decode);
    let authorization = fields.section("authorization", decode_authorization);

    if checked {
        check_auth(fields, token.is_some(), token_file.is_some());
    }
    let bearer = token.map(Source::Inline).or(token_file.map(Source::File)).map(|credentials| {
        Auth::Authorization { scheme: "Bearer".into(), credentials: Some(credentials) }
    });
    authorization.or(basic).or(oauth2.map(|o| Auth::OAuth2(Box::new(o)))).or(bearer)
}

/// Notes where there is more than one way to say who we are.
fn check_auth(fields: &mut Fields<'_, '_>, has_token: bool, has_token_file: bool) {
    let is_set =
        |fields: &mut Fields<'_, '_>, name| fields.node(name).is_some_and(|at| !at.node.is_null());
    let has_basic = is_set(fields, "basic_auth");
    let has_oauth2 = is_set(fields, "oauth2");
    let has_authorization = is_set(fields, "authorization");
    let has_bearer = has_token || has_token_file;

    if has_token && has_token_file {
        let message = "at most one of bearer_token & bearer_token_file must be configured";
        fields.problem("bearer_token_file", message);
    }
    if has_bearer && (has_basic || has_oauth2) {
        let message = "at most one of basic_auth, oauth2, bearer_token & bearer_token_file must be configured";
        fields.problem(if has_basic { "basic_auth" } else { "oauth2" }, message);
    } else if has_bearer && has_authorization {
        let message = "authorization is not compatible with bearer_token & bearer_token_file";
        fields.problem("authorization", message);
    }
    if has_authorization && (has_basic || has_oauth2) {
        fields.problem("authorization", ONE_AUTH);
    } else if has_basic && has_oauth2 {
        fields.problem("oauth2", ONE_AUTH);
    }
}

fn decode_basic(at: &At<'_>, problems: &mut Problems) -> Option<Auth> {
    let mut fields = Fields::new(at, problems)?;
    let username = fields.string("username");
    let password = fields.secret("password");
    let auth = Auth::Basic {
        username: one_of(
            &mut fields,
            text(username).map(Source::Inline),
            "username_file",
            "at most one of basic_auth username, username_file & username_ref must be configured",
        ),
        password: one_of(
            &mut fields,
            secret(password).map(Source::Inline),
            "password_file",
            "at most one of basic_auth password, password_file & password_ref must be configured",
        ),
    };
    fields.finish();
    Some(auth)
}

fn decode_authorization(at: &At<'_>, problems: &mut Problems) -> Option<Auth> {
    let mut fields = Fields::new(at, problems)?;
    let scheme = fields.string("type").unwrap_or_default();
    let scheme = match scheme.trim() {
        "" => "Bearer",
        named => named,
    };
    if scheme.eq_ignore_ascii_case("basic") {
        let message = r#"authorization type cannot be set to "basic", use "basic_auth" instead"#;
        fields.problem("type", message);
    }
    let credentials = fields.secret("credentials");
    let credentials = one_of(
        &mut fields,
        secret(credentials).map(Source::Inline),
        "credentials_file",
        "at most one of authorization credentials & credentials_file must be configured",
    );
    fields.finish();
    Some(Auth::Authorization { scheme: scheme.to_owned(), credentials })
}

impl OAuth2Config {
    fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let client_secret = fields.secret("client_secret");
        let config = Self {
            client_id: fields.string("client_id").unwrap_or_default(),
            client_secret: one_of(
                &mut fields,
                secret(client_secret).map(Source::Inline),
                "client_secret_file",
                "at most one of oauth2 client_secret, client_secret_file & client_secret_ref must \
                 be configured using grant-type=client_credentials",
            ),
            jwt_bearer: JwtBearer::take(&mut fields),
            scopes: fields.string_list("scopes").unwrap_or_default(),
            token_url: fields.string("token_url").unwrap_or_default(),
            endpoint_params: fields
                .string_map("endpoint_params")
                .unwrap_or_default()
                .into_iter()
                .map(|(name, value)| (name, Secret::new(value)))
                .collect(),
            tls: fields.section("tls_config", TlsConfig::decode).unwrap_or_default(),
            proxy: ProxyConfig::take(&mut fields),
        };
        if config.client_id.is_empty() {
            fields.problem("client_id", "oauth2 client_id must be configured");
        }
        if config.token_url.is_empty() {
            fields.problem("token_url", "oauth2 token_url must be configured");
        }
        fields.finish();
        Some(config)
    }
}

impl TlsConfig {
    /// Reads a `tls_config` section.
    pub fn decode(at: &At<'_>, problems: &mut Problems) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let ca = text(fields.string("ca")).map(Source::Inline);
        let cert = text(fields.string("cert")).map(Source::Inline);
        let key = secret(fields.secret("key")).map(Source::Inline);
        let many = "at most one of ca, ca_file & ca_ref must be configured";
        let ca = one_of(&mut fields, ca, "ca_file", many);
        let many = "at most one of cert, cert_file & cert_ref must be configured";
        let cert = one_of(&mut fields, cert, "cert_file", many);
        let many = "at most one of key, key_file & key_ref must be configured";
        let key = one_of(&mut fields, key, "key_file", many);
        let client_cert = match (cert, key) {
            (Some(cert), Some(key)) => Some(ClientCert { cert, key }),
            (Some(_), None) => {
                let message = "exactly one of key or key_file must be configured when a client \
                               certificate is configured";
                fields.problem("cert_file", message);
                None
            }
            (None, Some(_)) => {
                let message = "exactly one of cert or cert_file must be configured when a client \
                               key is configured";
                fields.problem("key_file", message);
                None
            }
            (None, None) => None,
        };
        let config = Self {
            ca,
            client_cert,
            server_name: text(fields.string("server_name")),
            insecure_skip_verify: fields.bool("insecure_skip_verify").unwrap_or(false),
            min_version: fields.parsed("min_version", tls_version),
            max_version: fields.parsed("max_version", tls_version),
        };
        if config.max_version.is_some_and(|version| version < TlsVersion::Tls12) {
            fields.problem("max_version", "TLS below 1.2 is not spoken");
        }
        fields.finish();
        Some(config)
    }
}

fn tls_version(name: &str) -> Result<TlsVersion, String> {
    TlsVersion::from_name(name).ok_or_else(|| format!("unknown TLS version: {name}"))
}

impl ProxyConfig {
    /// Takes the settings out of the section that they are inlined in.
    pub fn take(fields: &mut Fields<'_, '_>) -> Self {
        let url = fields.string("proxy_url").filter(|url| !url.is_empty());
        let has_url = url.is_some();
        let url = url.and_then(|url| {
            // The message does not quote the URL: it may hold a password.
            let parsed =
                Url::parse(&url).map_err(|e| e.to_string()).and_then(|url| match url.scheme() {
                    "http" | "https" | "socks5" | "socks5h" if url.has_host() => Ok(url),
                    _ => Err("expected an http, https, socks5 or socks5h URL with a host".into()),
                });
            parsed.map_err(|e| fields.problem("proxy_url", format!("invalid URL: {e}"))).ok()
        });
        let no_proxy = fields.string("no_proxy").unwrap_or_default();
        let environment = fields.bool("proxy_from_environment").unwrap_or(false);
        let connect_header = fields.section("proxy_connect_header", decode_connect_header);
        let connect_header = connect_header.unwrap_or_default();

        if !connect_header.is_empty() && !environment && !has_url {
            let message = "if proxy_connect_header is configured, proxy_url or \
                           proxy_from_environment must also be configured";
            fields.problem("proxy_connect_header", message);
        }
        if environment && has_url {
            let message =
                "if proxy_from_environment is configured, proxy_url must not be configured";
            fields.problem("proxy_url", message);
        }
        if environment && !no_proxy.is_empty() {
            let message =
                "if proxy_from_environment is configured, no_proxy must not be configured";
            fields.problem("no_proxy", message);
        } else if !has_url && !no_proxy.is_empty() {
            let message = "if no_proxy is configured, proxy_url must also be configured";
            fields.problem("no_proxy", message);
        }
        let choice = match url {
            Some(url) => ProxyChoice::Url { url, no_proxy },
            None if environment => ProxyChoice::Environment,
            None => ProxyChoice::Direct,
        };
        Self { choice, connect_header }
    }
}

fn decode_connect_header(
    at: &At<'_>,
    problems: &mut Problems,
) -> Option<BTreeMap<String, Vec<Secret>>> {
    let mut headers = BTreeMap::new();
    for (entry, at) in at.entries(problems)? {
        let values = at.items(problems).unwrap_or_default();
        let values = values.iter().filter_map(|value| value.string(problems).map(Secret::new));
        headers.insert(canonical(entry.key.text()), values.collect());
    }
    Some(headers)
}

fn decode_headers(at: &At<'_>, problems: &mut Problems) -> Option<BTreeMap<String, HeaderValues>> {
    let mut headers = BTreeMap::new();
    for (entry, at) in at.entries(problems)? {
        let name = canonical(entry.key.text());
        if RESERVED_HEADERS.contains(&name.as_str()) {
            at.problem(problems, format!("setting header {name:?} is not allowed"));
        } else if reqwest::header::HeaderName::try_from(&name).is_err() {
            at.problem(problems, format!("{name:?} is not a valid header name"));
        }
        let Some(mut fields) = Fields::new(&at, problems) else { continue };
        let values = HeaderValues {
            values: fields.string_list("values").unwrap_or_default(),
            secrets: strings(&mut fields, "secrets").map(Secret::new).collect(),
            files: strings(&mut fields, "files").map(PathBuf::from).collect(),
        };
        fields.finish();
        headers.insert(name, values);
    }
    Some(headers)
}

fn strings(fields: &mut Fields<'_, '_>, name: &'static str) -> impl Iterator<Item = String> {
    fields.string_list(name).unwrap_or_default().into_iter()
}

/// Go's `CanonicalMIMEHeaderKey`: `x-foo` is `X-Foo`; what is no header name stays as it is.
fn canonical(name: &str) -> String {
    if reqwest::header::HeaderName::try_from(name).is_err() {
        return name.to_owned();
    }
    let mut upper = true;
    name.chars()
        .map(|c| {
            let c = if upper { c.to_ascii_uppercase() } else { c.to_ascii_lowercase() };
            upper = c == '-';
            c
        })
        .collect()
}

/// The value given inline or the file named by `file_field`, but not both.
fn one_of<T>(
    fields: &mut Fields<'_, '_>,
    inline: Option<Source<T>>,
    file_field: &'static str,
    both: &str,
) -> Option<Source<T>> {
    let file = file(fields, file_field);
    if inline.is_some() && file.is_some() {
        fields.problem(file_field, both);
    }
    inline.or(file.map(Source::File))
}

fn file(fields: &mut Fields<'_, '_>, name: &'static str) -> Option<PathBuf> {
    text(fields.string(name)).map(PathBuf::from)
}

/// As in Go, empty is not set.
fn text(value: Option<String>) -> Option<String> {
    value.filter(|value| !value.is_empty())
}

fn secret(value: Option<Secret>) -> Option<Secret> {
    value.filter(|value| !value.is_empty())
}
