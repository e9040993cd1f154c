//! A server that is built: what embeds it gets a router, the binary lets it listen.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use axum::Router;
use periskop_client::Collector;
use periskop_core::discovery::Discovery;
use periskop_core::engine::Engine;
use periskop_core::storage::{Storage, StorageError};
use periskop_core::{Observer, ReplicaId, ServiceName};
use periskop_http::{Tls, TlsError};
use periskop_storage::persist::Journal;
use tokio::net::TcpListener;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

use crate::api;
use crate::cli::Listen;
use crate::clock;
use crate::config::{Config, ConfigError, ServiceConfig};
use crate::driver::{Driver, INBOX};
use crate::external_url::ExternalUrl;
use crate::handle::{Handle, Parts};
use crate::providers::Providers;
use crate::stores::{self, NamedStore};

/// A running server: it discovers, scrapes and merges until it is stopped or dropped.
///
/// ```no_run
/// # async fn f() -> Result<(), Box<dyn std::error::Error>> {
/// use periskop_server::Periskop;
///
/// let periskop = Periskop::builder().config_file("periskop.yaml")?.base_path("/errors").build();
/// let app: axum::Router = axum::Router::new().merge(periskop.router());
/// # Ok(()) }
/// ```
pub struct Periskop {
    handle: Handle,
    /// Until it has ended.
    driver: Option<JoinHandle<Result<(), StorageError>>>,
}

/// Why a server has ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store cannot be used, and trying again does not help.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The listener's.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The certificates cannot be used.
    #[error("web.tls_server_config: {0}")]
    Tls(#[from] TlsError),
    /// A mistake of ours.
    #[error("a task has ended: {0}")]
    Panicked(tokio::task::JoinError),
}

impl Periskop {
    /// Begins with an empty configuration.
    pub fn builder() -> Builder {
        Builder::default()
    }

    /// To look at what is known, and to act on it.
    pub fn handle(&self) -> &Handle {
        &self.handle
    }

    /// API and pages, below the base path, to be merged into an application.
    ///
    /// What `web` of the configuration says of users, tokens and `anonymous` holds here too; without it,
    /// who may reach this is the application's business. Changes from other origins are refused
    /// in any case. The listener is the application's: TLS and `limits` have no effect. For the
    /// delay of those who guess it must tell the client's address, as
    /// `into_make_service_with_connect_info::<SocketAddr>()` does; else all are one client.
    pub fn router(&self) -> Router {
        api::router(&self.handle, false)
    }

    /// Serves on `listener` until `stop` completes, then stops; or until it is stopped by its
    /// handle.
    ///
    /// # Errors
    ///
    /// The listener's, the certificates', or it has [ended](Self::ended) by itself.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let address = listener.local_addr()?;
        self.handle.set_listening(address);
        let web = self.handle.config().web.clone();
        let tls = match web.tls {
            None => None,
            Some(settings) => {
                let made = tokio::task::spawn_blocking(move || Tls::new(&settings, web.http2));
                Some(made.await.map_err(ServeError::Panicked)??)
            }
        };
        if let Some(tls) = &tls {
            self.handle.set_tls(tls.clone());
        }
        let on_loopback = address.ip().to_canonical().is_loopback();
        let router = api::router(&self.handle, on_loopback);
        let handle = self.handle.clone();
        // A stream of events is a request that never ends by itself.
        let stop = async move {
            stop.await;
            handle.events().close();
            handle.wind().await;
        };
        tokio::select! {
            () = periskop_http::serve(listener, router, tls, web.limits, stop) => {}
            // A server that answers and does not scrape would look well: it had better end.
            ended = self.ended() => return ended,
        }
        self.handle.stop().await;
        self.ended().await
    }

    /// Waits until it has ended: it was stopped, or cannot go on. For whoever mounts the
    /// [`router`](Self::router), which goes on answering from what is known, and says that it is
    /// not ready.
    ///
    /// # Errors
    ///
    /// Why it cannot go on; told once.
    pub async fn ended(&mut self) -> Result<(), ServeError> {
        let Some(driver) = &mut self.driver else { return Ok(()) };
        let ended = driver.await;
        self.driver = None;
        match ended {
            Ok(ended) => Ok(ended?),
            Err(error) => Err(ServeError::Panicked(error)),
        }
    }

    /// Stops: scrapes end, what has been stored is stored.
    pub async fn stop(mut self) {
        self.handle.stop().await;
        // Why it could not go on was logged where it happened; there is nothing left to stop.
        let _ = self.ended().await;
    }
}

impl Drop for Periskop {
    fn drop(&mut self) {
        if let Some(driver) = &self.driver {
            driver.abort();
        }
    }
}

/// What a server is made of.
#[derive(Default)]
pub struct Builder {
    config: Config,
    config_file: Option<PathBuf>,
    discoveries: Vec<(ServiceName, Box<dyn Discovery>)>,
    base_path: String,
    external_url: Option<ExternalUrl>,
    collector: Option<Collector>,
    store: Option<NamedStore>,
}

impl Builder {
    /// Takes this configuration.
    #[must_use]
    pub fn config(mut self, config: Config) -> Self {
        self.config = config;
        self
    }

    /// Reads this configuration file, which is then the one that a reload reads again.
    ///
    /// # Errors
    ///
    /// It cannot be read, or is wrong.
    pub fn config_file(mut self, file: impl AsRef<Path>) -> Result<Self, ConfigError> {
        self.config = Config::load(file.as_ref())?;
        self.config_file = Some(file.as_ref().to_owned());
        Ok(self)
    }

    /// Adds a service, in place of one of the same name.
    #[must_use]
    pub fn service(mut self, service: ServiceConfig) -> Self {
        self.config.services.retain(|known| known.name != service.name);
        self.config.services.push(service);
        self
    }

    /// Finds targets of a service by a mechanism of one's own, beside what is configured for it.
    /// A service that is not configured is added with all defaults.
    #[must_use]
    pub fn discovery(
        mut self,
        service: impl Into<ServiceName>,
        discovery: impl Discovery + 'static,
    ) -> Self {
        let service = service.into();
        if !self.config.services.iter().any(|known| known.name == service) {
            self.config.services.push(ServiceConfig::new(service.as_str()));
        }
        self.discoveries.push((service, Box::new(discovery)));
        self
    }

    /// Mounts everything below this path, such as `/errors`. `/` or nothing is the top.
    #[must_use]
    pub fn base_path(mut self, path: impl AsRef<str>) -> Self {
        let path = path.as_ref().trim_matches('/');
        self.base_path = if path.is_empty() { String::new() } else { format!("/{path}") };
        self
    }

    /// The URL under which people reach it: its path is the [base path](Self::base_path), and its
    /// host is answered to on a loopback address as well.
    #[must_use]
    pub fn external_url(self, url: ExternalUrl) -> Self {
        let path = url.path().to_owned();
        Self { external_url: Some(url), ..self.base_path(path) }
    }

    /// Keeps what is known in a store of one's own, whatever `repository` says. The server is
    /// ready once that is loaded; it scrapes before if that takes long.
    #[must_use]
    pub fn storage(mut self, storage: impl Storage + 'static) -> Self {
        self.store =
            Some(NamedStore { name: "custom".into(), storage: Box::new(storage), path: None });
        self
    }

    /// Adds the server's own errors to those of the program that embeds it.
    #[must_use]
    pub fn collector(mut self, collector: Collector) -> Self {
        self.collector = Some(collector);
        self
    }

    /// Begins to discover and to scrape. Must be called within a Tokio runtime.
    pub fn build(self) -> Periskop {
        let now = clock::now();
        let (inbox, messages) = mpsc::channel(INBOX);
        let mut providers = Providers::new(&inbox);
        for (service, discovery) in self.discoveries {
            providers.plug(service, discovery);
        }
        let store = self.store.or_else(|| stores::configured(&self.config));
        let journal = store.as_ref().map(|store| Journal::new(&store.name));
        let observer = Observer::new(ReplicaId::from_u64(rand::random()), self.config.state, now);
        let handle = Handle::new(Parts {
            engine: Engine::new(observer, now),
            config: Arc::new(self.config),
            config_file: self.config_file,
            inbox,
            journal,
            collector: self.collector.unwrap_or_default(),
            base_path: self.base_path,
            external_url: self.external_url,
        });
        let storage = store.map(|store| store.storage);
        let driver = Driver::new(handle.clone(), messages, providers, storage);
        Periskop { handle, driver: Some(tokio::spawn(driver.run())) }
    }
}

/// Binds the address that is asked for.
///
/// # Errors
///
/// It is taken, or not ours.
pub async fn bind(listen: Listen) -> io::Result<TcpListener> {
    match listen {
        Listen::Address(address) => TcpListener::bind(address).await,
        Listen::Everywhere(port) => match TcpListener::bind((Ipv6Addr::UNSPECIFIED, port)).await {
            Ok(listener) => Ok(listener),
            Err(error) if is_about_the_port(&error) => Err(error),
            // A machine without IPv6.
            Err(_) => TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)).await,
        },
    }
}

fn is_about_the_port(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::AddrInUse | io::ErrorKind::PermissionDenied)
}

/// The address to open: loopback where all addresses are listened on.
pub fn url_of(address: SocketAddr) -> String {
    let ip = match address.ip() {
        ip if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        ip => ip,
    };
    format!("http://{}", SocketAddr::new(ip, address.port()))
}
