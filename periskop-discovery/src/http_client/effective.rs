//! Printing the settings again, defaults filled in and secrets masked, as Prometheus does.

use std::path::Path;

use periskop_core::config::Node;

use super::settings::{
    Auth, HttpClientConfig, OAuth2Config, ProxyChoice, ProxyConfig, TlsConfig, TlsVersion,
};
use super::{Source, redact_text, redact_url};

/// Keys and values in the order of Prometheus.
pub(crate) type Entries = Vec<(&'static str, Node)>;

impl HttpClientConfig {
    /// The settings as keys and values, to be inlined into the section they belong to.
    pub fn effective(&self) -> Vec<(&'static str, Node)> {
        let mut entries = Entries::new();
        match &self.auth {
            Some(Auth::Basic { username, password }) => {
                let mut basic = Entries::new();
                push_source(&mut basic, ["username", "username_file"], username.as_ref());
                push_source(&mut basic, ["password", "password_file"], password.as_ref());
                entries.push(("basic_auth", Node::mapping(basic)));
            }
            Some(Auth::Authorization { scheme, credentials }) => {
                let mut authorization = vec![("type", scheme.into())];
                let names = ["credentials", "credentials_file"];
                push_source(&mut authorization, names, credentials.as_ref());
                entries.push(("authorization", Node::mapping(authorization)));
            }
            Some(Auth::OAuth2(oauth2)) => entries.push(("oauth2", oauth2.effective())),
            None => {}
        }
        push_tls(&mut entries, &self.tls);
        entries.push(("follow_redirects", self.follow_redirects.into()));
        entries.push(("enable_http2", self.enable_http2.into()));
        push_proxy(&mut entries, &self.proxy);
        if !self.headers.is_empty() {
            let headers = self.headers.iter().map(|(name, values)| {
                let mut lists = Entries::new();
                push_list(&mut lists, "values", values.values.iter().map(Node::from));
                push_list(&mut lists, "secrets", values.secrets.iter().map(Node::from));
                push_list(&mut lists, "files", values.files.iter().map(|file| path(file)));
                (name.as_str(), Node::mapping(lists))
            });
            entries.push(("http_headers", Node::mapping(headers)));
        }
        entries
    }
}

impl OAuth2Config {
    fn effective(&self) -> Node {
        let mut entries: Entries = vec![("client_id", (&self.client_id).into())];
        let names = ["client_secret", "client_secret_file"];
        push_source(&mut entries, names, self.client_secret.as_ref());
        if let Some(jwt) = &self.jwt_bearer {
            jwt.push_effective(&mut entries);
        }
        push_list(&mut entries, "scopes", self.scopes.iter().map(Node::from));
        entries.push(("token_url", redact_text(&self.token_url).into()));
        if !self.endpoint_params.is_empty() {
            entries.push(("endpoint_params", Node::mapping(&self.endpoint_params)));
        }
        push_tls(&mut entries, &self.tls);
        push_proxy(&mut entries, &self.proxy);
        Node::mapping(entries)
    }
}

impl TlsConfig {
    /// `tls_config` as Prometheus prints it: not at all where it is the default.
    #[cfg(feature = "_backend")]
    pub(crate) fn entry(&self) -> Option<(&'static str, Node)> {
        let mut entries = Entries::new();
        push_tls(&mut entries, self);
        entries.pop()
    }
}

fn push_tls(entries: &mut Entries, tls: &TlsConfig) {
    if *tls == TlsConfig::default() {
        return;
    }
    let mut section = Entries::new();
    push_source(&mut section, ["ca", "ca_file"], tls.ca.as_ref());
    if let Some(client) = &tls.client_cert {
        push_source(&mut section, ["cert", "cert_file"], Some(&client.cert));
        push_source(&mut section, ["key", "key_file"], Some(&client.key));
    }
    section.extend(tls.server_name.as_ref().map(|name| ("server_name", name.into())));
    section.push(("insecure_skip_verify", tls.insecure_skip_verify.into()));
    let version = |name, version: Option<TlsVersion>| version.map(|v| (name, v.name().into()));
    section.extend(version("min_version", tls.min_version));
    section.extend(version("max_version", tls.max_version));
    entries.push(("tls_config", Node::mapping(section)));
}

fn push_proxy(entries: &mut Entries, proxy: &ProxyConfig) {
    match &proxy.choice {
        ProxyChoice::Direct => {}
        ProxyChoice::Environment => entries.push(("proxy_from_environment", true.into())),
        ProxyChoice::Url { url, no_proxy } => {
            entries.push(("proxy_url", redact_url(url).as_str().into()));
            if !no_proxy.is_empty() {
                entries.push(("no_proxy", no_proxy.into()));
            }
        }
    }
    if !proxy.connect_header.is_empty() {
        let headers = proxy.connect_header.iter();
        let headers = headers.map(|(name, values)| (name, Node::sequence(values)));
        entries.push(("proxy_connect_header", Node::mapping(headers)));
    }
}

pub(super) fn push_source<'a, T>(
    entries: &mut Entries,
    [inline, file]: [&'static str; 2],
    source: Option<&'a Source<T>>,
) where
    &'a T: Into<Node>,
{
    match source {
        Some(Source::Inline(value)) => entries.push((inline, value.into())),
        Some(Source::File(file_path)) => entries.push((file, path(file_path))),
        None => {}
    }
}

fn push_list(entries: &mut Entries, name: &'static str, items: impl Iterator<Item = Node>) {
    let items: Vec<Node> = items.collect();
    if !items.is_empty() {
        entries.push((name, Node::sequence(items)));
    }
}

fn path(path: &Path) -> Node {
    path.display().to_string().into()
}
