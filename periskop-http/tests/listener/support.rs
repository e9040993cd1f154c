//! Servers, authorities and clients.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::{ConnectInfo, Request};
use axum::http::{Method, Uri};
use axum::routing::any;
use periskop_http::{Access, Guard, Limits, Principal, Role, Tls, WebConfig, serve};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout};

/// How long anything may take before a test gives up.
pub(crate) const PATIENCE: Duration = Duration::from_secs(20);

/// Time-outs that a test need not wait for.
pub(crate) fn impatient() -> Limits {
    Limits {
        header_timeout: Duration::from_millis(300),
        write_timeout: Duration::from_millis(300),
        idle_timeout: Duration::from_millis(300),
        grace: Duration::from_millis(300),
        ..Limits::default()
    }
}

/// Something that listens.
pub(crate) struct Listening {
    pub(crate) address: SocketAddr,
    pub(crate) tls: Option<Tls>,
    pub(crate) served: JoinHandle<()>,
    stop: Option<oneshot::Sender<()>>,
}

impl Listening {
    pub(crate) async fn start(router: Router, tls: Option<Tls>, limits: Limits) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (stop, stopped) = oneshot::channel();
        let stopped = async {
            stopped.await.ok();
        };
        let served = tokio::spawn(serve(listener, router, tls.clone(), limits, stopped));
        Self { address, tls, served, stop: Some(stop) }
    }

    /// As the binaries do it, with a configuration whose files lie in `dir`.
    pub(crate) async fn configured(text: &str, dir: &Path) -> Self {
        let web = WebConfig::parse(text, dir).unwrap_or_else(|problems| panic!("{problems}"));
        let tls = web.tls.as_ref().map(|tls| Tls::new(tls, web.http2).unwrap());
        let need = |_: &Method, _: &Uri| Role::Read;
        let router = Router::new().route("/", any(introduce));
        let router = Guard::new(Access::new(&web), need).around(router);
        Self::start(router, tls, web.limits).await
    }

    pub(crate) fn url(&self) -> String {
        format!("https://localhost:{}/", self.address.port())
    }

    pub(crate) fn stop(&mut self) {
        self.stop.take().unwrap().send(()).ok();
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.served.abort();
    }
}

/// Says who asks, and from where.
async fn introduce(request: Request) -> String {
    let ConnectInfo(address) = request.extensions().get::<ConnectInfo<SocketAddr>>().unwrap();
    assert!(address.ip().is_loopback());
    let principal = request.extensions().get::<Principal>().unwrap();
    principal.name().unwrap_or("nobody").to_owned()
}

/// Whoever signs certificates.
pub(crate) struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub(crate) fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub(crate) fn pem(&self) -> String {
        self.0.pem()
    }

    /// A certificate with this name, and its key.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        params.distinguished_name = rcgen::DistinguishedName::new();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// Writes a server's certificate and key, and this authority's own certificate.
    pub(crate) fn write(&self, dir: &Path) {
        let (cert, key) = self.issue("localhost");
        std::fs::write(dir.join("key.pem"), key).unwrap();
        std::fs::write(dir.join("cert.pem"), cert).unwrap();
        std::fs::write(dir.join("ca.pem"), self.pem()).unwrap();
    }

    /// TLS of a client that trusts this authority and shows `identity`.
    pub(crate) fn client(
        &self,
        identity: Option<(String, String)>,
        versions: &[&'static rustls::SupportedProtocolVersion],
        alpn: &[&str],
    ) -> ClientConfig {
        let mut roots = RootCertStore::empty();
        roots.add(CertificateDer::from_pem_slice(self.pem().as_bytes()).unwrap()).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider)
            .with_protocol_versions(versions)
            .unwrap()
            .with_root_certificates(roots);
        let mut config = match identity {
            None => builder.with_no_client_auth(),
            Some((cert, key)) => {
                let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
                let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
                builder.with_client_auth_cert(vec![cert], key).unwrap()
            }
        };
        config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
        config
    }

    /// One request over a connection of its own.
    pub(crate) async fn get(
        &self,
        url: &str,
        identity: Option<(String, String)>,
    ) -> Result<reqwest::Response, reqwest::Error> {
        get(url, self.client(identity, rustls::ALL_VERSIONS, &["h2", "http/1.1"])).await
    }
}

pub(crate) async fn get(url: &str, tls: ClientConfig) -> Result<reqwest::Response, reqwest::Error> {
    let client = reqwest::Client::builder().no_proxy().tls_backend_preconfigured(tls);
    client.timeout(PATIENCE).build().unwrap().get(url).send().await
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, is_so: impl AsyncFn() -> bool) {
    let begun = Instant::now();
    while !is_so().await {
        assert!(begun.elapsed() < PATIENCE, "in {PATIENCE:?} it was never so that {what}");
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A connection over which `text` was sent.
pub(crate) async fn connect(address: SocketAddr, text: &str) -> TcpStream {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(text.as_bytes()).await.unwrap();
    stream
}

/// Everything until the other end closes.
pub(crate) async fn read_all(mut stream: impl AsyncRead + Unpin) -> String {
    let mut all = Vec::new();
    // A reset is an end, too.
    let read = timeout(PATIENCE, stream.read_to_end(&mut all)).await;
    read.expect("the connection ends").ok();
    String::from_utf8_lossy(&all).into_owned()
}
