//! Connections to one host that ask for another's certificate, as `server_name` wants it.
//!
//! Which name is verified is the verifier's business; which name is *indicated* to the server
//! (SNI), so that it can choose among its certificates, is the URL's host in every HTTP client.
//! So the URL names the server that is expected, and a resolver of its own sends the connection
//! to where it belongs. Connections are pooled by host, hence one client for each real host.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Mutex, PoisonError};

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use reqwest::header::HeaderValue;
use url::{Host, Url};

use super::HttpError;

/// Clients of so many hosts are kept at least, twice as many at most.
const KEPT: usize = 4096;

/// Clients by real host. Two generations: what was not used while the newer one filled is
/// dropped with the older.
#[derive(Default)]
pub(super) struct NamedClients(Mutex<[HashMap<String, reqwest::Client>; 2]>);

impl NamedClients {
    /// The client that connects to the host of `url`, made by `build` if there is none.
    pub(super) fn client(
        &self,
        url: &Url,
        build: impl FnOnce(Instead) -> Result<reqwest::Client, HttpError>,
    ) -> Result<reqwest::Client, HttpError> {
        let host = match url.host() {
            Some(Host::Domain(name)) => name.to_owned(),
            Some(Host::Ipv4(ip)) => ip.to_string(),
            Some(Host::Ipv6(ip)) => ip.to_string(),
            None => String::new(),
        };
        let mut generations = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let [newer, older] = &mut *generations;
        if let Some(client) = newer.get(&host) {
            return Ok(client.clone());
        }
        let client = match older.remove(&host) {
            Some(client) => client,
            None => build(Instead(host.clone()))?,
        };
        if newer.len() >= KEPT {
            *older = std::mem::take(newer);
        }
        newer.insert(host, client.clone());
        Ok(client)
    }
}

/// The URL as its server is to be called, and the `Host` that is really meant. `None` where
/// they are the same.
pub(super) fn rename(url: &Url, server_name: &str) -> Option<(Url, HeaderValue)> {
    if url.scheme() != "https" || url.host_str() == Some(server_name) {
        return None;
    }
    let host = match url.port() {
        Some(port) => format!("{}:{port}", url.host_str()?),
        None => url.host_str()?.to_owned(),
    };
    let mut renamed = url.clone();
    renamed.set_host(Some(server_name)).ok()?;
    Some((renamed, HeaderValue::try_from(host).ok()?))
}

/// Resolves every name to the addresses of this host.
pub(super) struct Instead(String);

impl Resolve for Instead {
    fn resolve(&self, _name: Name) -> Resolving {
        let host = self.0.clone();
        Box::pin(async move {
            // The port is taken from the URL.
            let found: Vec<SocketAddr> = tokio::net::lookup_host((host, 0)).await?.collect();
            Ok(Box::new(found.into_iter()) as Addrs)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_renamed_and_keeps_its_host_for_the_header() {
        let rename = |url: &str| {
            let (url, host) = rename(&Url::parse(url).unwrap(), "web.internal")?;
            Some((url.to_string(), host.to_str().unwrap().to_owned()))
        };
        assert_eq!(
            rename("https://10.0.0.1:8443/x"),
            Some(("https://web.internal:8443/x".into(), "10.0.0.1:8443".into()))
        );
        assert_eq!(
            rename("https://[fd00::1]/"),
            Some(("https://web.internal/".into(), "[fd00::1]".into()))
        );
        assert_eq!(rename("https://web.internal/"), None);
        assert_eq!(rename("http://10.0.0.1/"), None);
    }
}
