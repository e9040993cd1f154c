//! An API server of Kubernetes that has what it is told, for listing and watching.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use futures_util::stream;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use hyper_util::service::TowerToHyperService;
use reqwest::Url;
use serde::Deserialize;
use serde_json::{Value as Json, json};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::{JoinHandle, JoinSet};
use tokio_rustls::TlsAcceptor;

/// Objects by resource, such as `pods`.
pub type Objects = BTreeMap<String, Vec<Json>>;

/// What happens to an object, as the fixtures write it.
#[derive(Clone, Debug, Deserialize)]
pub struct Event {
    #[serde(rename = "type")]
    kind: String,
    resource: String,
    object: Json,
}

impl Event {
    /// An event of type `ADDED`, `MODIFIED` or `DELETED`.
    pub fn new(kind: &str, resource: &str, object: Json) -> Self {
        Self { kind: kind.to_owned(), resource: resource.to_owned(), object }
    }
}

/// A running API server; dropping it stops it.
pub struct ApiServer {
    cluster: Arc<Cluster>,
    address: SocketAddr,
    server: JoinHandle<()>,
}

struct Cluster {
    state: Mutex<Content>,
    /// The version of everything.
    version: watch::Sender<u64>,
    /// How often the watches were ended from outside.
    cut: watch::Sender<u64>,
}

#[derive(Default)]
struct Content {
    objects: Objects,
    /// What has happened, with the version that it made.
    events: Vec<(u64, Event)>,
    /// What has happened before is forgotten.
    oldest: u64,
    /// Answers to the next requests with this in their path and query.
    faults: Vec<(String, Fault)>,
    asked: Vec<String>,
    /// As whom was asked: the headers `Authorization`.
    asked_as: BTreeSet<String>,
}

/// What a server answers that is not well.
#[derive(Clone, Debug)]
pub enum Fault {
    /// This status, with a text.
    Status(StatusCode, &'static str),
    /// A good status with this body, which then ends.
    Body(&'static str),
}

impl ApiServer {
    /// Begins to serve these objects on loopback, with TLS where a certificate is asked for that
    /// is then written to a file.
    ///
    /// # Panics
    ///
    /// Where loopback cannot be listened on.
    pub async fn start(objects: Objects, certificate: Option<&Path>) -> Self {
        let content = Content { objects, oldest: 1, ..Content::default() };
        let cluster = Arc::new(Cluster {
            state: Mutex::new(content),
            version: watch::Sender::new(1),
            cut: watch::Sender::new(0),
        });
        let app = Router::new().fallback(answer).with_state(cluster.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        let tls = certificate.map(own_certificate);
        let server = tokio::spawn(async move {
            // Connections end with it, and it with the test.
            let mut connections = JoinSet::new();
            while let Ok((stream, _)) = listener.accept().await {
                let (app, tls) = (app.clone(), tls.clone());
                connections.spawn(async move {
                    match tls {
                        None => serve(stream, app).await,
                        Some(tls) => {
                            if let Ok(stream) = tls.accept(stream).await {
                                serve(stream, app).await;
                            }
                        }
                    }
                });
            }
        });
        Self { cluster, address, server }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Lets something happen. Those who watch are told.
    pub fn happen(&self, event: Event) {
        self.cluster.with(|content| {
            let version = *self.cluster.version.borrow() + 1;
            let objects = content.objects.entry(event.resource.clone()).or_default();
            objects.retain(|object| name(object) != name(&event.object));
            if event.kind != "DELETED" {
                objects.push(event.object.clone());
            }
            content.events.push((version, event));
            self.cluster.version.send_replace(version);
        });
    }

    /// Forgets what has happened so far: whoever wants to go on from there has to list anew.
    pub fn forget(&self) {
        let version = *self.cluster.version.borrow();
        self.cluster.with(|content| content.oldest = version);
    }

    /// Ends all watches.
    pub fn end_watches(&self) {
        self.cluster.cut.send_modify(|n| *n += 1);
    }

    /// Answers the next request that has `part` in its path and query with a fault.
    pub fn fail(&self, part: &str, fault: Fault) {
        self.cluster.with(|content| content.faults.push((part.to_owned(), fault)));
    }

    /// The paths and queries that were asked for.
    pub fn asked(&self) -> Vec<String> {
        self.cluster.with(|content| content.asked.clone())
    }

    /// As whom was asked: the headers `Authorization`, `""` where there was none.
    pub fn asked_as(&self) -> BTreeSet<String> {
        self.cluster.with(|content| content.asked_as.clone())
    }

    /// How many watches there are.
    pub fn watches(&self) -> usize {
        self.cluster.cut.receiver_count()
    }
}

impl Drop for ApiServer {
    fn drop(&mut self) {
        self.server.abort();
    }
}

async fn serve(stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static, app: Router) {
    let builder = auto::Builder::new(TokioExecutor::new());
    // A client that goes away is no failure of a server.
    let _ = builder.serve_connection(TokioIo::new(stream), TowerToHyperService::new(app)).await;
}

/// A certificate for loopback, written to a file for those who are to trust it.
fn own_certificate(path: &Path) -> TlsAcceptor {
    let certificate = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]);
    let certificate = certificate.expect("an address is all that it needs");
    std::fs::write(path, certificate.cert.pem()).expect("the folder can be written to");
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

impl Cluster {
    fn with<T>(&self, then: impl FnOnce(&mut Content) -> T) -> T {
        then(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Namespace and name.
fn name(object: &Json) -> (Option<&str>, Option<&str>) {
    let of = |field: &str| object["metadata"][field].as_str();
    (of("namespace"), of("name"))
}

/// Which objects are asked for.
struct Asked {
    resource: String,
    namespace: Option<String>,
    query: BTreeMap<String, String>,
}

impl Asked {
    fn read(url: &Url) -> Option<Self> {
        let mut parts: Vec<&str> = url.path().trim_matches('/').split('/').collect();
        let resource = parts.pop()?.to_owned();
        let namespace = match parts[..] {
            [.., "namespaces", namespace] => {
                let namespace = namespace.to_owned();
                parts.truncate(parts.len() - 2);
                Some(namespace)
            }
            _ => None,
        };
        let api = match resource.as_str() {
            "pods" | "services" | "endpoints" | "nodes" | "namespaces" => "api/v1",
            "endpointslices" => "apis/discovery.k8s.io/v1",
            "ingresses" => "apis/networking.k8s.io/v1",
            "replicasets" => "apis/apps/v1",
            "jobs" => "apis/batch/v1",
            _ => return None,
        };
        let query = url.query_pairs().into_owned().collect();
        (parts.join("/") == api).then_some(Self { resource, namespace, query })
    }

    fn query(&self, name: &str) -> &str {
        self.query.get(name).map_or("", String::as_str)
    }

    /// Label selectors of equalities, and field selectors of names.
    fn selects(&self, object: &Json) -> bool {
        let terms = |selector: &str| -> Vec<(String, String)> {
            let pair = |term: &str| term.split_once('=').map(|(k, v)| (k.to_owned(), v.to_owned()));
            selector.split(',').filter_map(pair).collect()
        };
        let labels = terms(self.query("labelSelector"));
        let fields = terms(self.query("fieldSelector"));
        self.namespace.as_deref().is_none_or(|ns| object["metadata"]["namespace"] == ns)
            && labels.iter().all(|(k, v)| object["metadata"]["labels"][k] == v.as_str())
            && fields.iter().all(|(k, v)| {
                object.pointer(&format!("/{}", k.replace('.', "/"))) == Some(&json!(v))
            })
    }
}

async fn answer(State(cluster): State<Arc<Cluster>>, request: Request) -> Response<Body> {
    let asked = request.uri().path_and_query().map_or("/", |path| path.as_str()).to_owned();
    let authorization = request.headers().get("authorization");
    let asked_as = authorization.and_then(|value| value.to_str().ok()).unwrap_or_default();
    let fault = cluster.with(|content| {
        content.asked.push(asked.clone());
        content.asked_as.insert(asked_as.to_owned());
        let found = content.faults.iter().position(|(part, _)| asked.contains(part.as_str()));
        found.map(|at| content.faults.remove(at).1)
    });
    match fault {
        Some(Fault::Status(status, text)) => return failure(status, text),
        Some(Fault::Body(text)) => return Response::new(text.into()),
        None => {}
    }
    let Ok(url) = Url::parse(&format!("http://mock{asked}")) else {
        return failure(StatusCode::BAD_REQUEST, "no URL");
    };
    let Some(asked) = Asked::read(&url) else {
        return failure(StatusCode::NOT_FOUND, "the server could not find the requested resource");
    };
    if !asked.query("sendInitialEvents").is_empty() {
        return failure(StatusCode::UNPROCESSABLE_ENTITY, "sendInitialEvents is forbidden");
    }
    match asked.query("watch") {
        "" | "0" | "false" => list(&cluster, &asked),
        _ => watch(cluster, asked),
    }
}

fn failure(status: StatusCode, message: &str) -> Response<Body> {
    let body = json!({
        "kind": "Status", "apiVersion": "v1", "status": "Failure",
        "message": message, "code": status.as_u16(),
    });
    let mut response = Response::new(Body::from(body.to_string()));
    *response.status_mut() = status;
    response
}

/// The objects, in pages if they are asked for; where the next one begins is its token.
fn list(cluster: &Cluster, asked: &Asked) -> Response<Body> {
    cluster.with(|content| {
        let objects = content.objects.get(&asked.resource).into_iter().flatten();
        let mut items: Vec<&Json> = objects.filter(|object| asked.selects(object)).collect();
        let mut metadata = json!({"resourceVersion": cluster.version.borrow().to_string()});
        let begin: usize = asked.query("continue").parse().unwrap_or(0);
        items.drain(..begin.min(items.len()));
        if let Ok(limit) = asked.query("limit").parse()
            && items.len() > limit
        {
            items.truncate(limit);
            metadata["continue"] = json!((begin + limit).to_string());
        }
        let body =
            json!({"kind": "List", "apiVersion": "v1", "metadata": metadata, "items": items});
        Response::new(Body::from(body.to_string()))
    })
}

fn watch(cluster: Arc<Cluster>, asked: Asked) -> Response<Body> {
    let since: u64 = asked.query("resourceVersion").parse().unwrap_or(0);
    if since < cluster.with(|content| content.oldest) {
        return failure(StatusCode::GONE, "too old resource version");
    }
    let (version, cut) = (cluster.version.subscribe(), cluster.cut.subscribe());
    let watching = Watching { cluster, asked, since, version, cut };
    let lines = stream::unfold(watching, |mut watching| async move {
        watching.next().await.map(|line| (Ok::<_, std::convert::Infallible>(line), watching))
    });
    Response::new(Body::from_stream(lines))
}

struct Watching {
    cluster: Arc<Cluster>,
    asked: Asked,
    since: u64,
    version: watch::Receiver<u64>,
    cut: watch::Receiver<u64>,
}

impl Watching {
    /// What has happened since, as lines; `None` when the watch is over.
    async fn next(&mut self) -> Option<Bytes> {
        loop {
            let mut lines = String::new();
            self.version.mark_unchanged();
            self.cluster.with(|content| {
                for (version, event) in &content.events {
                    if *version > self.since
                        && event.resource == self.asked.resource
                        && self.asked.selects(&event.object)
                    {
                        let mut object = event.object.clone();
                        object["metadata"]["resourceVersion"] = json!(version.to_string());
                        let event = json!({"type": event.kind, "object": object});
                        lines.push_str(&format!("{event}\n"));
                    }
                    self.since = self.since.max(*version);
                }
            });
            if !lines.is_empty() {
                return Some(lines.into());
            }
            tokio::select! {
                changed = self.version.changed() => changed.ok()?,
                _ = self.cut.changed() => return None,
            }
        }
    }
}
