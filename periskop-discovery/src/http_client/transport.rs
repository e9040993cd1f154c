//! Connections: TLS and proxy as configured, pooled, renewed when a certificate file changes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::RwLock;

use super::HttpError;
use super::proxy::proxies;
use super::settings::{ProxyConfig, TlsConfig};
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
    client: reqwest::Client,
}

impl Transport {
    /// Reads the certificates; a file that is not there is an error at once, as in Prometheus.
    pub(super) fn new(
        tls: &TlsConfig,
        proxy: &ProxyConfig,
        http2: bool,
    ) -> Result<Self, HttpError> {
        let material = TlsMaterial::read(tls)?;
        let client = build(tls, proxy, http2, &material)?;
        Ok(Self {
            tls: Arc::new(tls.clone()),
            proxy: proxy.clone(),
            http2,
            on_disk: TlsMaterial::is_on_disk(tls),
            current: RwLock::new(Current { material, client }),
        })
    }

    /// The client to use now.
    pub(super) async fn client(&self) -> Result<reqwest::Client, HttpError> {
        if !self.on_disk {
            return Ok(self.current.read().await.client.clone());
        }
        let tls = self.tls.clone();
        let material =
            tokio::task::spawn_blocking(move || TlsMaterial::read(&tls)).await.map_err(
                |_| HttpError::Failed { reason: "reading certificates was cut off".into() },
            )??;
        {
            let current = self.current.read().await;
            if current.material == material {
                return Ok(current.client.clone());
            }
        }
        let client = build(&self.tls, &self.proxy, self.http2, &material)?;
        *self.current.write().await = Current { material, client: client.clone() };
        Ok(client)
    }
}

fn build(
    tls: &TlsConfig,
    proxy: &ProxyConfig,
    http2: bool,
    material: &TlsMaterial,
) -> Result<reqwest::Client, HttpError> {
    let mut builder = reqwest::Client::builder()
        .tls_backend_preconfigured(material.build(tls, http2)?)
        // The environment counts only where the settings say so.
        .no_proxy()
        .redirect(reqwest::redirect::Policy::none())
        .referer(false)
        .connect_timeout(CONNECT_TIMEOUT)
        .pool_idle_timeout(IDLE_TIMEOUT);
    if !http2 {
        builder = builder.http1_only();
    }
    for proxy in proxies(proxy)? {
        builder = builder.proxy(proxy);
    }
    builder.build().map_err(|e| HttpError::Setting {
        field: "tls_config",
        reason: HttpError::from(e).to_string(),
    })
}
