//! Connections: TLS and proxy as configured, pooled, renewed when a certificate file changes.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use reqwest::ClientBuilder;
use reqwest::header::HeaderValue;
use rustls::ClientConfig;
use tokio::sync::RwLock;
use url::Url;

use super::HttpError;
use super::named::{NamedClients, rename};
use super::proxy::proxies;
use super::settings::{ProxyChoice, ProxyConfig, TlsConfig};
use super::tls::TlsMaterial;

/// Both as in Prometheus.
const IDLE_TIMEOUT: Duration = Duration::from_secs(5 * 60);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A pool of connections. Redirects, credentials and headers are not its business.
pub(super) struct Transport {
    tls: Arc<TlsConfig>,
    proxy: ProxyConfig,
    http2: bool,
    on_disk: bool,
    current: RwLock<Current>,
}

struct Current {
    material: TlsMaterial,
    /// What `material` makes; its clones share authorities and keys.
    config: ClientConfig,
    client: reqwest::Client,
    named: NamedClients,
}

impl Current {
    fn new(
        tls: &TlsConfig,
        proxy: &ProxyConfig,
        http2: bool,
        material: TlsMaterial,
    ) -> Result<Self, HttpError> {
        let config = material.build(tls)?;
        let client = finish(builder(config.clone(), http2), proxy)?;
        Ok(Self { material, config, client, named: NamedClients::default() })
    }
}

impl Transport {
    /// Reads the certificates; a file that is not there is an error at once, as in Prometheus.
    pub(super) fn new(
        tls: &TlsConfig,
        proxy: &ProxyConfig,
        http2: bool,
    ) -> Result<Self, HttpError> {
        let current = Current::new(tls, proxy, http2, TlsMaterial::read(tls)?)?;
        Ok(Self {
            tls: Arc::new(tls.clone()),
            proxy: proxy.clone(),
            http2,
            on_disk: TlsMaterial::is_on_disk(tls),
            current: RwLock::new(current),
        })
    }

    /// Connects to a socket, whatever the URL says. Without TLS and proxy.
    pub(super) fn over_unix_socket(path: &Path) -> Result<Self, HttpError> {
        let mut transport = Self::new(&TlsConfig::default(), &ProxyConfig::default(), false)?;
        let current = transport.current.get_mut();
        let builder = on_unix_socket(builder(current.config.clone(), false), path)?;
        current.client = finish(builder, &transport.proxy)?;
        Ok(transport)
    }

    /// The client for this URL now, the URL to give it, and the `Host` where that is not the
    /// URL's.
    pub(super) async fn client(
        &self,
        url: &Url,
    ) -> Result<(reqwest::Client, Url, Option<HeaderValue>), HttpError> {
        self.renew().await?;
        let current = self.current.read().await;
        // Behind a proxy the URL must be what it is: it is the proxy that connects.
        let renamed = match &self.tls.server_name {
            Some(name) if self.proxy.choice == ProxyChoice::Direct => rename(url, name),
            _ => None,
        };
        let Some((renamed, host)) = renamed else {
            return Ok((current.client.clone(), url.clone(), None));
        };
        // HTTP/2 has no place for another host than the URL's.
        let client = current.named.client(url, |instead| {
            let builder = builder(current.config.clone(), false);
            finish(builder.dns_resolver(instead), &self.proxy)
        })?;
        Ok((client, renamed, Some(host)))
    }

    /// Begins with new connections where a certificate is not what it was.
    async fn renew(&self) -> Result<(), HttpError> {
        if !self.on_disk {
            return Ok(());
        }
        let tls = self.tls.clone();
        let material =
            tokio::task::spawn_blocking(move || TlsMaterial::read(&tls)).await.map_err(
                |_| HttpError::Failed { reason: "reading certificates was cut off".into() },
            )??;
        if self.current.read().await.material != material {
            let current = Current::new(&self.tls, &self.proxy, self.http2, material)?;
            *self.current.write().await = current;
        }
        Ok(())
    }
}

fn builder(mut config: ClientConfig, http2: bool) -> ClientBuilder {
    if http2 {
        config.alpn_protocols.push(b"h2".to_vec());
    }
    config.alpn_protocols.push(b"http/1.1".to_vec());
    let builder = reqwest::Client::builder()
        .tls_backend_preconfigured(config)
        // The environment counts only where the settings say so.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT);
    if http2 { builder } else { builder.http1_only() }
}

#[cfg(unix)]
fn on_unix_socket(builder: ClientBuilder, path: &Path) -> Result<ClientBuilder, HttpError> {
    Ok(builder.unix_socket(path))
}

#[cfg(not(unix))]
fn on_unix_socket(_: ClientBuilder, _: &Path) -> Result<ClientBuilder, HttpError> {
    let reason = "this system has no Unix sockets".into();
    Err(HttpError::Setting { field: "host", reason })
}

fn finish(mut builder: ClientBuilder, proxy: &ProxyConfig) -> Result<reqwest::Client, HttpError> {
    for proxy in proxies(proxy)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|e| HttpError::Setting {
        field: "tls_config",
        reason: HttpError::from(e).to_string(),
    })
}
