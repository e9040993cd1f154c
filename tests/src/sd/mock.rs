//! An HTTP backend that answers as written: in plain, with TLS, and as a proxy that every host is
//! said to be behind.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode};
use bytes::Bytes;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use reqwest::Url;
use serde::Deserialize;
use serde_json::Value as Json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

use super::case::Placeholders;
use super::mutate::mutate;

/// A request that is expected, and its answer. Routes that expect the same are answers in order.
#[derive(Clone, Debug, Deserialize)]
pub struct Route {
    method: String,
    path: String,
    /// A key without a value must be absent; keys that are not here are free.
    #[serde(default)]
    query: BTreeMap<String, Option<String>>,
    /// Without these the answer is 401.
    #[serde(default)]
    headers: BTreeMap<String, String>,
    #[serde(default)]
    body_match: Option<BodyMatch>,
    status: u16,
    #[serde(default)]
    resp_headers: BTreeMap<String, String>,
    #[serde(default)]
    response_file: Option<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct BodyMatch {
    json: Option<Json>,
    json_subset: Option<Json>,
    form: Option<BTreeMap<String, String>>,
    prefix: Option<String>,
    xmlrpc_method: Option<String>,
    header: Option<BTreeMap<String, String>>,
}

/// What a backend does instead of answering.
#[derive(Clone, Debug, PartialEq)]
pub enum Fault {
    /// Another answer, whatever is asked.
    Answer(u16, &'static str, Vec<u8>),
    /// The right answer, cut in half; its length is told as that of the half.
    Half,
    /// The right answer, cut in half by the connection's end.
    Cut,
    /// The connection ends without an answer.
    Nothing,
    /// Two gigabytes. `true`: as their length says.
    Endless(bool),
    /// Another place to ask.
    Elsewhere(SocketAddr),
    /// The right answer with something wrong in it, which this number chooses.
    Mutated(u64),
}

/// A running backend; dropping it stops it.
pub struct Mock {
    address: SocketAddr,
    routes: Arc<Routes>,
    requests: watch::Receiver<usize>,
    server: JoinHandle<()>,
}

struct Routes {
    routes: Vec<Route>,
    dir: PathBuf,
    places: Placeholders,
    /// How often each route's group was asked for, by the index of its first route.
    asked: Mutex<BTreeMap<usize, usize>>,
    requests: watch::Sender<usize>,
    fault: Mutex<Option<Fault>>,
    /// What was asked since the last fault began: header lines as they came.
    heard: Mutex<Vec<String>>,
}

impl Mock {
    /// Begins to serve on loopback, as what each connection begins with asks for: plain HTTP, TLS
    /// with a certificate of nobody, or `CONNECT`, whatever host that names. Response files are
    /// looked for in `dir`; `places` are filled in as well as those of the server itself.
    ///
    /// # Panics
    ///
    /// Where loopback cannot be listened on.
    pub async fn start(scheme: &str, routes: Vec<Route>, dir: PathBuf) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let (sender, requests) = watch::channel(0);
        let routes = Arc::new(Routes {
            routes,
            dir,
            places: Placeholders::server_of(scheme, address),
            asked: Mutex::default(),
            requests: sender,
            fault: Mutex::default(),
            heard: Mutex::default(),
        });
        let app = Router::new().fallback(answer).with_state(routes.clone());
        let tls = nobodys_certificate();
        let server = tokio::spawn(async move {
            // Connections end with it, and it with the test.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                connections.spawn(connection(stream, app.clone(), tls.clone()));
            }
        });
        Self { address, routes, requests, server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins to behave so, or no longer.
    pub fn behave(&self, fault: Option<Fault>) {
        *self.routes.fault.lock().unwrap_or_else(PoisonError::into_inner) = fault;
        self.routes.heard.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// Forgets how often what was asked for: answers begin with the first again.
    pub fn forget(&self) {
        self.routes.asked.lock().unwrap_or_else(PoisonError::into_inner).clear();
    }

    /// How many requests have come.
    pub fn asked(&self) -> usize {
        *self.requests.borrow()
    }

    /// The headers of all requests since it last began to behave otherwise.
    pub fn heard(&self) -> Vec<String> {
        self.routes.heard.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits until this many requests have come.
    pub async fn requests(&self, at_least: usize) {
        let mut requests = self.requests.clone();
        // The sender lives as long as the server, which lives as long as we.
        let _ = requests.wait_for(|n| *n >= at_least).await;
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn connection(mut stream: TcpStream, app: Router, tls: TlsAcceptor) {
    let mut beginning = [0; 8];
    // More comes, or the other side is gone.
    while let Ok(read @ 1..) = stream.peek(&mut beginning).await {
        match &beginning[..read] {
            b"CONNECT " => {
                if accept_connect(&mut stream).await.is_err() {
                    return;
                }
            }
            // A TLS handshake, RFC 8446, section 5.1.
            [0x16, ..] => {
                if let Ok(stream) = tls.accept(stream).await {
                    serve(stream, app).await;
                }
                return;
            }
            start if b"CONNECT ".starts_with(start) => tokio::task::yield_now().await,
            _ => return serve(stream, app).await,
        }
    }
}

/// Reads to the end of the head, byte by byte: what comes then is another's.
async fn accept_connect(stream: &mut TcpStream) -> std::io::Result<()> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(stream.read_u8().await?);
    }
    stream.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Router) {
    let builder = auto::Builder::new(TokioExecutor::new());
    // A client that goes away is no failure of a backend.
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).await;
}

fn nobodys_certificate() -> TlsAcceptor {
    let certificate = rcgen::generate_simple_self_signed(["nobody".to_owned()]);
    let certificate = certificate.expect("a name is all that it needs");
    let key = rustls::pki_types::PrivatePkcs8KeyDer::from(certificate.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("ring has them")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.cert.der().clone()], key.into())
        .expect("the key is the certificate's");
    TlsAcceptor::from(Arc::new(config))
}

async fn answer(State(routes): State<Arc<Routes>>, request: Request) -> Response<Body> {
    let (head, body) = request.into_parts();
    let Ok(body) = to_bytes(body, 16 << 20).await else { return plain(StatusCode::BAD_REQUEST) };
    routes.requests.send_modify(|n| *n += 1);
    routes.hear(&head.headers);
    // A proxy is asked with the whole address.
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    let Ok(url) = Url::parse(&format!("http://mock{path}")) else {
        return plain(StatusCode::BAD_REQUEST);
    };
    let asked = Asked { method: head.method.as_str(), url: &url, headers: &head.headers, body };
    let right = match routes.find(&asked) {
        None => plain(StatusCode::NOT_FOUND),
        Some(route) if !has_headers(&head.headers, &route.headers) => {
            plain(StatusCode::UNAUTHORIZED)
        }
        Some(route) => routes.response(route),
    };
    let fault = routes.fault.lock().unwrap_or_else(PoisonError::into_inner).clone();
    match fault {
        None => right,
        Some(fault) => spoil(right, fault).await,
    }
}

/// What comes of the right answer.
async fn spoil(right: Response<Body>, fault: Fault) -> Response<Body> {
    let (mut head, body) = right.into_parts();
    let whole = to_bytes(body, 16 << 20).await.unwrap_or_default();
    let half = whole.slice(..whole.len() / 2);
    let broken = || Err(std::io::Error::other("cut off"));
    head.headers.insert("connection", HeaderValue::from_static("close"));
    match fault {
        Fault::Answer(status, content_type, body) => {
            let response = Response::builder().status(status).header("content-type", content_type);
            response.body(body.into()).unwrap_or_else(|_| plain(StatusCode::BAD_GATEWAY))
        }
        Fault::Half => Response::from_parts(head, half.into()),
        Fault::Cut => {
            head.headers.insert("content-length", HeaderValue::from(whole.len() + 1));
            let chunks = [Ok(half), broken()];
            Response::from_parts(head, Body::from_stream(futures_util::stream::iter(chunks)))
        }
        Fault::Nothing => {
            let chunks: [Result<Bytes, _>; 1] = [broken()];
            Response::new(Body::from_stream(futures_util::stream::iter(chunks)))
        }
        Fault::Endless(told) => {
            const CHUNK: usize = 1 << 20;
            if told {
                head.headers.insert("content-length", HeaderValue::from(CHUNK << 11));
            }
            let chunk = Bytes::from(vec![b' '; CHUNK]);
            let chunks = std::iter::repeat_n(chunk, 1 << 11).map(Ok::<_, std::io::Error>);
            Response::from_parts(head, Body::from_stream(futures_util::stream::iter(chunks)))
        }
        Fault::Mutated(seed) => {
            head.headers.remove("content-length");
            Response::from_parts(head, mutate(whole.to_vec(), seed).into())
        }
        Fault::Elsewhere(address) => {
            let place = format!("http://{address}/elsewhere");
            let response = Response::builder().status(StatusCode::FOUND).header("location", place);
            response.body(Body::empty()).unwrap_or_else(|_| plain(StatusCode::BAD_GATEWAY))
        }
    }
}

struct Asked<'a> {
    method: &'a str,
    url: &'a Url,
    headers: &'a HeaderMap,
    body: Bytes,
}

impl Routes {
    fn hear(&self, headers: &HeaderMap) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.extend(
            headers.iter().map(|(name, value)| {
                format!("{name}: {}", String::from_utf8_lossy(value.as_bytes()))
            }),
        );
    }

    fn find(&self, asked: &Asked<'_>) -> Option<&Route> {
        let matching = |with_body: bool| {
            self.routes
                .iter()
                .position(|route| route.body_match.is_some() == with_body && route.matches(asked))
        };
        let first = matching(true).or_else(|| matching(false))?;
        let alike: Vec<&Route> =
            self.routes.iter().filter(|route| route.asks_like(&self.routes[first])).collect();
        let mut counts = self.asked.lock().unwrap_or_else(PoisonError::into_inner);
        let count = counts.entry(first).or_default();
        let route = alike[(*count).min(alike.len() - 1)];
        *count += 1;
        Some(route)
    }

    fn response(&self, route: &Route) -> Response<Body> {
        let body = match &route.response_file {
            None => Vec::new(),
            Some(file) => match std::fs::read(self.dir.join(file)) {
                Ok(bytes) => match String::from_utf8(bytes) {
                    Ok(text) => self.places.fill(&text).into_bytes(),
                    Err(binary) => binary.into_bytes(),
                },
                Err(_) => return plain(StatusCode::INTERNAL_SERVER_ERROR),
            },
        };
        let mut response = Response::builder().status(route.status);
        for (name, value) in &route.resp_headers {
            response = response.header(name, self.places.fill(value));
        }
        response.body(body.into()).unwrap_or_else(|_| plain(StatusCode::INTERNAL_SERVER_ERROR))
    }
}

impl Route {
    fn matches(&self, asked: &Asked<'_>) -> bool {
        let query = |key: &str| {
            let mut pairs = asked.url.query_pairs();
            pairs.find(|(name, _)| name == key).map(|(_, value)| value.into_owned())
        };
        self.method == asked.method
            && self.path.trim_end_matches('/') == asked.url.path().trim_end_matches('/')
            && self.query.iter().all(|(key, value)| query(key) == *value)
            && self.body_match.as_ref().is_none_or(|wanted| wanted.matches(asked))
    }

    fn asks_like(&self, other: &Self) -> bool {
        self.method == other.method
            && self.path.trim_end_matches('/') == other.path.trim_end_matches('/')
            && self.query == other.query
            && self.body_match == other.body_match
    }
}

impl BodyMatch {
    fn matches(&self, asked: &Asked<'_>) -> bool {
        let json = || serde_json::from_slice::<Json>(&asked.body).unwrap_or(Json::Null);
        let text = String::from_utf8_lossy(&asked.body);
        self.json.as_ref().is_none_or(|wanted| json() == *wanted)
            && self.json_subset.as_ref().is_none_or(|wanted| is_subset(wanted, &json()))
            && self.form.as_ref().is_none_or(|wanted| has_form(&text, wanted))
            && self.prefix.as_ref().is_none_or(|prefix| text.starts_with(prefix.as_str()))
            && self.header.as_ref().is_none_or(|wanted| has_headers(asked.headers, wanted))
            && self
                .xmlrpc_method
                .as_ref()
                .is_none_or(|method| text.contains(&format!("<methodName>{method}</methodName>")))
    }
}

fn is_subset(wanted: &Json, found: &Json) -> bool {
    match (wanted, found) {
        (Json::Object(wanted), Json::Object(found)) => wanted
            .iter()
            .all(|(key, value)| found.get(key).is_some_and(|found| is_subset(value, found))),
        _ => wanted == found,
    }
}

fn has_form(body: &str, wanted: &BTreeMap<String, String>) -> bool {
    let Ok(url) = Url::parse(&format!("http://mock/?{body}")) else { return false };
    let fields: BTreeMap<_, _> = url.query_pairs().into_owned().collect();
    wanted.iter().all(|(name, value)| fields.get(name) == Some(value))
}

fn has_headers(headers: &HeaderMap, wanted: &BTreeMap<String, String>) -> bool {
    wanted.iter().all(|(name, value)| headers.get(name).is_some_and(|found| found == value))
}

fn plain(status: StatusCode) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    response
}
