//! Which requests go through which proxy, by the rules of Go's `golang.org/x/net/http/httpproxy`.

use std::net::IpAddr;

use reqwest::header::{HeaderMap, HeaderName, HeaderValue};
use url::{Host, Url};

use super::HttpError;
use super::settings::{ProxyChoice, ProxyConfig};
#[cfg(feature = "kubernetes")]
use crate::environment::Environment;

/// The proxies for a client; none: every request goes straight.
pub(super) fn proxies(config: &ProxyConfig) -> Result<Vec<reqwest::Proxy>, HttpError> {
    let rules = match &config.choice {
        ProxyChoice::Direct => return Ok(Vec::new()),
        ProxyChoice::Environment => from_environment(|name| std::env::var(name).ok())?,
        ProxyChoice::Url { url, no_proxy } => {
            if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
                let reason = format!("proxies of scheme {:?} are not spoken to", url.scheme());
                return Err(HttpError::Setting { field: "proxy_url", reason });
            }
            // Without no_proxy Go sends even localhost through the proxy.
            let exempt = (!no_proxy.is_empty()).then(|| NoProxy::parse(no_proxy));
            Rules { http: Some(url.clone()), https: Some(url.clone()), exempt }
        }
    };
    let headers = connect_headers(config)?;
    let https = rules.clone();
    Ok(vec![
        reqwest::Proxy::custom(move |url| (url.scheme() == "http").then(|| rules.of(url))?),
        // Only a TLS connection is a CONNECT, which is where the extra headers belong.
        reqwest::Proxy::custom(move |url| (url.scheme() == "https").then(|| https.of(url))?)
            .headers(headers),
    ])
}

/// The proxy that the environment has for a URL, for clients that are not ours.
#[cfg(feature = "kubernetes")]
pub(crate) fn from_environment_for(
    url: &Url,
    environment: &Environment,
) -> Result<Option<Url>, HttpError> {
    Ok(from_environment(|name| environment.get(name))?.of(url))
}

fn connect_headers(config: &ProxyConfig) -> Result<HeaderMap, HttpError> {
    let invalid = |name: &str| HttpError::Setting {
        field: "proxy_connect_header",
        reason: format!("{name:?} is not a valid header"),
    };
    let mut headers = HeaderMap::new();
    for (name, values) in &config.connect_header {
        let header = HeaderName::try_from(name).map_err(|_| invalid(name))?;
        for value in values {
            let mut value = HeaderValue::try_from(value.expose()).map_err(|_| invalid(name))?;
            value.set_sensitive(true);
            headers.append(header.clone(), value);
        }
    }
    Ok(headers)
}

/// A proxy for each scheme, and who is exempt.
#[derive(Clone)]
struct Rules {
    http: Option<Url>,
    https: Option<Url>,
    exempt: Option<NoProxy>,
}

impl Rules {
    fn of(&self, url: &Url) -> Option<Url> {
        let proxy = if url.scheme() == "https" { &self.https } else { &self.http };
        if self.exempt.as_ref().is_some_and(|exempt| exempt.covers(url)) {
            return None;
        }
        proxy.clone()
    }
}

fn from_environment(var: impl Fn(&str) -> Option<String>) -> Result<Rules, HttpError> {
    let either = |upper: &str| {
        var(upper).or_else(|| var(&upper.to_lowercase())).filter(|value| !value.is_empty())
    };
    let proxy = |upper: &'static str| {
        let Some(value) = either(upper) else { return Ok(None) };
        let parsed = Url::parse(&value)
            .ok()
            .filter(|url| url.has_host())
            .or_else(|| Url::parse(&format!("http://{value}")).ok());
        let invalid =
            || HttpError::Setting { field: upper, reason: "is not the URL of a proxy".into() };
        parsed.map(Some).ok_or_else(invalid)
    };
    // A CGI program's HTTP_PROXY is the client's header Proxy (CVE-2016-5386).
    let http = if var("REQUEST_METHOD").is_some() { None } else { proxy("HTTP_PROXY")? };
    let exempt = NoProxy::parse(&either("NO_PROXY").unwrap_or_default());
    Ok(Rules { http, https: proxy("HTTPS_PROXY")?, exempt: Some(exempt) })
}

/// A list of hosts that are reached directly. `localhost` and loopback addresses always are.
#[derive(Clone, Debug, Default)]
struct NoProxy {
    everything: bool,
    networks: Vec<(IpAddr, u8)>,
    hosts: Vec<HostPattern>,
}

#[derive(Clone, Debug)]
struct HostPattern {
    /// A domain without its leading dot, or an address; lower case.
    name: String,
    port: Option<u16>,
    /// `.example.org` and `*.example.org` leave the domain itself out.
    only_below: bool,
}

impl NoProxy {
    fn parse(list: &str) -> Self {
        let mut parsed = Self::default();
        for entry in list.split(',').map(|entry| entry.trim().to_lowercase()) {
            if entry == "*" {
                parsed.everything = true;
            } else if let Some(network) = network(&entry) {
                parsed.networks.push(network);
            } else if !entry.is_empty() {
                parsed.hosts.push(HostPattern::parse(&entry));
            }
        }
        parsed
    }

    fn covers(&self, url: &Url) -> bool {
        let Some(host) = url.host() else { return false };
        let (name, ip) = match host {
            Host::Domain(name) => (name.trim_end_matches('.').to_lowercase(), None),
            Host::Ipv4(ip) => (ip.to_string(), Some(IpAddr::V4(ip))),
            Host::Ipv6(ip) => (ip.to_string(), Some(IpAddr::V6(ip))),
        };
        name == "localhost"
            || ip.is_some_and(|ip| ip.is_loopback())
            || self.everything
            || ip.is_some_and(|ip| self.networks.iter().any(|network| contains(*network, ip)))
            || self.hosts.iter().any(|pattern| {
                pattern.port.is_none_or(|port| url.port_or_known_default() == Some(port))
                    && pattern.matches(&name, ip.is_some())
            })
    }
}

impl HostPattern {
    fn parse(entry: &str) -> Self {
        let bare: Option<IpAddr> = entry.parse().ok();
        let (name, port) = match entry.rsplit_once(':') {
            Some((name, port)) if bare.is_none() && port.parse::<u16>().is_ok() => {
                (name, port.parse().ok())
            }
            _ => (entry, None),
        };
        let name = name.trim_start_matches('[').trim_end_matches(']');
        let name = name.strip_prefix('*').filter(|rest| rest.starts_with('.')).unwrap_or(name);
        let only_below = name.starts_with('.');
        Self { name: name.trim_start_matches('.').to_owned(), port, only_below }
    }

    fn matches(&self, name: &str, is_address: bool) -> bool {
        if name == self.name {
            return !self.only_below;
        }
        !is_address && name.strip_suffix(&self.name).is_some_and(|rest| rest.ends_with('.'))
    }
}

fn network(entry: &str) -> Option<(IpAddr, u8)> {
    let (address, length) = entry.split_once('/')?;
    let address: IpAddr = address.parse().ok()?;
    let length: u8 = length.parse().ok()?;
    let bits = if address.is_ipv4() { 32 } else { 128 };
    (length <= bits).then_some((address, length))
}

fn contains((network, length): (IpAddr, u8), address: IpAddr) -> bool {
    let differing = match (network, address) {
        (IpAddr::V4(a), IpAddr::V4(b)) => u128::from(a.to_bits() ^ b.to_bits()) << 96,
        (IpAddr::V6(a), IpAddr::V6(b)) => a.to_bits() ^ b.to_bits(),
        _ => return false,
    };
    differing.leading_zeros() >= u32::from(length)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(list: &str, url: &str) -> bool {
        NoProxy::parse(list).covers(&Url::parse(url).unwrap())
    }

    #[test]
    fn no_proxy_names_domains_addresses_networks_and_ports_as_in_go() {
        for (list, url, direct) in [
            ("example.org", "http://example.org", true),
            ("example.org", "http://a.example.org", true),
            ("example.org", "http://notexample.org", false),
            (".example.org", "http://example.org", false),
            (".example.org", "http://a.example.org", true),
            ("*.example.org", "http://a.b.example.org", true),
            ("EXAMPLE.org", "http://Example.ORG.", true),
            ("example.org:8080", "http://example.org:8080", true),
            ("example.org:8080", "http://example.org", false),
            ("example.org:443", "https://example.org", true),
            ("10.0.0.0/8", "http://10.1.2.3:9100", true),
            ("10.0.0.0/8", "http://11.1.2.3", false),
            ("fd00::/8", "http://[fd12::1]", true),
            ("0.0.0.0/0", "http://[fd12::1]", false),
            ("192.0.2.1", "http://192.0.2.1", true),
            ("[fd12::1]:80", "http://[fd12::1]", true),
            ("a, b ,*", "http://anything", true),
            ("other", "http://localhost:1234", true),
            ("other", "http://127.0.0.9", true),
            ("", "http://example.org", false),
        ] {
            assert_eq!(covers(list, url), direct, "{url} with no_proxy {list:?}");
        }
    }

    #[test]
    fn the_environment_is_read_in_upper_case_first() {
        let var = |name: &str| match name {
            "HTTP_PROXY" => Some("proxy.example:3128".to_owned()),
            "https_proxy" => Some("http://u:p@secure.example".to_owned()),
            "NO_PROXY" => Some("direct.example".to_owned()),
            _ => None,
        };
        let rules = from_environment(var).unwrap();
        let of = |url: &str| rules.of(&Url::parse(url).unwrap()).map(|url| url.to_string());
        assert_eq!(of("http://a.example").as_deref(), Some("http://proxy.example:3128/"));
        assert_eq!(of("https://a.example").as_deref(), Some("http://u:p@secure.example/"));
        assert_eq!(of("http://direct.example"), None);
        assert_eq!(of("http://localhost"), None);
    }

    #[test]
    fn a_cgi_programs_http_proxy_is_not_trusted() {
        let var = |name: &str| match name {
            "HTTP_PROXY" => Some("http://attacker.example".to_owned()),
            "REQUEST_METHOD" => Some("GET".to_owned()),
            _ => None,
        };
        assert!(from_environment(var).unwrap().http.is_none());
    }
}
