//! A small HTTP server, plain or with TLS, that remembers what it was asked, and certificates.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use periskop_core::config;
use periskop_core::config::{At, Fields, Problems};
use periskop_discovery::http_client::{HttpClient, HttpClientConfig};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::{ClientHello, ResolvesServerCert, WebPkiClientVerifier};
use rustls::sign::CertifiedKey;
use rustls::{RootCertStore, ServerConfig};
use tokio::io::{AsyncBufReadExt as _, AsyncRead, AsyncReadExt as _, AsyncWrite};
use tokio::io::{AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;

/// One request as it came.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    /// `GET /path HTTP/1.1`.
    pub(crate) line: String,
    /// Header lines, names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Asked {
    pub(crate) fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap_or_default()
    }

    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn all(&self, name: &str) -> Vec<&str> {
        let values = self.headers.iter().filter(|(found, _)| found == name);
        values.map(|(_, value)| value.as_str()).collect()
    }
}

/// Status line's number, extra header lines, body.
pub(crate) type Reply = (u16, Vec<String>, String);

pub(crate) fn ok(body: &str) -> Reply {
    (200, vec![], body.to_owned())
}

pub(crate) fn redirect(status: u16, to: impl std::fmt::Display) -> Reply {
    (status, vec![format!("Location: {to}")], String::new())
}

type Handler = Arc<dyn Fn(&Asked) -> Reply + Send + Sync>;

/// A running server; dropping it stops it.
pub(crate) struct Server {
    pub(crate) address: SocketAddr,
    scheme: &'static str,
    asked: Arc<Mutex<Vec<Asked>>>,
    connections: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Server {
    pub(crate) async fn plain(answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static) -> Self {
        Self::start(None, answer).await
    }

    pub(crate) async fn tls(
        config: ServerConfig,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::start(Some(TlsAcceptor::from(Arc::new(config))), answer).await
    }

    async fn start(
        tls: Option<TlsAcceptor>,
        answer: impl Fn(&Asked) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let connections = Arc::new(AtomicUsize::new(0));
        let scheme = if tls.is_some() { "https" } else { "http" };
        let task = tokio::spawn({
            let (asked, connections) = (asked.clone(), connections.clone());
            let answer: Handler = Arc::new(answer);
            async move {
                while let Ok((stream, _)) = listener.accept().await {
                    connections.fetch_add(1, Ordering::SeqCst);
                    let (tls, asked, answer) = (tls.clone(), asked.clone(), answer.clone());
                    tokio::spawn(async move {
                        // A client that gives up is part of the tests.
                        match tls {
                            Some(tls) => {
                                if let Ok(stream) = tls.accept(stream).await {
                                    let _ = serve(stream, &asked, &answer).await;
                                }
                            }
                            None => {
                                let _ = serve(stream, &asked, &answer).await;
                            }
                        }
                    });
                }
            }
        });
        Self { address, scheme, asked, connections, task }
    }

    pub(crate) fn url(&self, path: &str) -> url::Url {
        format!("{}://{}{path}", self.scheme, self.address).parse().unwrap()
    }

    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.asked.lock().unwrap().clone()
    }

    pub(crate) fn last(&self) -> Asked {
        self.asked().pop().expect("a request")
    }

    pub(crate) fn connections(&self) -> usize {
        self.connections.load(Ordering::SeqCst)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.task.abort();
    }
}

async fn serve(
    stream: impl AsyncRead + AsyncWrite + Unpin,
    asked: &Mutex<Vec<Asked>>,
    answer: &Handler,
) -> std::io::Result<()> {
    let mut stream = BufReader::new(stream);
    loop {
        let Some(request) = read_request(&mut stream).await? else { return Ok(()) };
        asked.lock().unwrap().push(request.clone());
        if let Some(target) = request.line.strip_prefix("CONNECT ") {
            let target = target.split(' ').next().unwrap_or_default();
            let mut upstream = TcpStream::connect(target).await?;
            stream.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
            tokio::io::copy_bidirectional(&mut stream, &mut upstream).await?;
            return Ok(());
        }
        let (status, headers, body) = answer(&request);
        let mut head = format!("HTTP/1.1 {status} Status\r\nContent-Length: {}\r\n", body.len());
        for header in headers {
            head += &format!("{header}\r\n");
        }
        stream.write_all(format!("{head}\r\n{body}").as_bytes()).await?;
        stream.flush().await?;
    }
}

async fn read_request(
    stream: &mut BufReader<impl AsyncRead + Unpin>,
) -> std::io::Result<Option<Asked>> {
    let mut lines = Vec::new();
    loop {
        let mut line = String::new();
        if stream.read_line(&mut line).await? == 0 {
            return Ok(None);
        }
        match line.trim_end() {
            "" => break,
            line => lines.push(line.to_owned()),
        }
    }
    let headers: Vec<(String, String)> = lines[1..]
        .iter()
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_lowercase(), value.to_owned()))
        .collect();
    let mut request = Asked { line: lines[0].clone(), headers, body: String::new() };
    let length = request.header("content-length").and_then(|value| value.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    stream.read_exact(&mut body).await?;
    request.body = String::from_utf8_lossy(&body).into_owned();
    Ok(Some(request))
}

/// An authority of its own, for servers and clients.
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

    /// A certificate for this name, and its key, as PEM.
    pub(crate) fn issue(&self, name: &str) -> (String, String) {
        let key = KeyPair::generate().unwrap();
        let params = CertificateParams::new(vec![name.to_owned()]).unwrap();
        (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
    }

    /// TLS of a server of this name.
    pub(crate) fn server(&self, name: &str) -> ServerConfig {
        let (cert, key) = self.issue(name);
        server_config(&cert, &key, None)
    }

    /// TLS of a server of two names: the first is the one it shows to whoever does not ask.
    pub(crate) fn server_of_two(&self, default: &str, asked_for: &str) -> ServerConfig {
        let provider = rustls::crypto::ring::default_provider();
        let certified = |name: &str| {
            let (cert, key) = self.issue(name);
            let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
            Arc::new(CertifiedKey::from_der(vec![cert], key, &provider).unwrap())
        };
        let two = Two {
            default: certified(default),
            name: asked_for.to_owned(),
            asked_for: certified(asked_for),
        };
        ServerConfig::builder_with_provider(Arc::new(provider.clone()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_cert_resolver(Arc::new(two))
    }

    /// TLS of a server of this name, for clients of this authority only.
    pub(crate) fn server_for_clients(&self, name: &str) -> ServerConfig {
        let (cert, key) = self.issue(name);
        server_config(&cert, &key, Some(self))
    }
}

#[derive(Debug)]
struct Two {
    default: Arc<CertifiedKey>,
    name: String,
    asked_for: Arc<CertifiedKey>,
}

impl ResolvesServerCert for Two {
    fn resolve(&self, hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let asked_for = hello.server_name() == Some(&*self.name);
        Some(if asked_for { self.asked_for.clone() } else { self.default.clone() })
    }
}

/// What `openssl req -x509` makes: a server's certificate that signs itself as an authority.
pub(crate) fn self_signed_authority(name: &str) -> (String, String) {
    let key = KeyPair::generate().unwrap();
    let mut params = CertificateParams::new(vec![name.to_owned()]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    (params.self_signed(&key).unwrap().pem(), key.serialize_pem())
}

pub(crate) fn server_config(cert: &str, key: &str, clients: Option<&Authority>) -> ServerConfig {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(provider.clone())
        .with_safe_default_protocol_versions()
        .unwrap();
    let builder = match clients {
        None => builder.with_no_client_auth(),
        Some(authority) => {
            let mut roots = RootCertStore::empty();
            roots.add(authority.0.der().clone()).unwrap();
            let verifier =
                WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider).build();
            builder.with_client_cert_verifier(verifier.unwrap())
        }
    };
    let cert = CertificateDer::from_pem_slice(cert.as_bytes()).unwrap();
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap();
    builder.with_single_cert(vec![cert], key).unwrap()
}

/// Settings as they stand in a configuration file.
pub(crate) fn settings(yaml: &str) -> HttpClientConfig {
    let root = config::parse(yaml).unwrap();
    let decode = |at: &At<'_>, problems: &mut Problems| {
        let mut fields = Fields::new(at, problems)?;
        let settings = HttpClientConfig::take(&mut fields);
        fields.finish();
        Some(settings)
    };
    config::decode(&root, decode).unwrap()
}

pub(crate) fn client(yaml: &str) -> HttpClient {
    HttpClient::new(&settings(yaml), "test/1").unwrap()
}
