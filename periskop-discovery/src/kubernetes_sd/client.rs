//! The way to the API server: `kube`'s client, over our own HTTP where its settings are ours.

use std::error::Error;
use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response, Uri};
use kube::client::{AuthError, Body};
use kube::config::{KubeConfigOptions, Kubeconfig, KubeconfigError};
use kube::{Client, Config};
use tower::BoxError;
use url::Url;

use super::config::{Access, KubernetesConfig, parse_url};
use crate::build::{BuildError, BuildOptions};
use crate::http_client::{HttpClient, HttpError, from_environment_for, redact_url};

/// So many watches share a connection where HTTP/2 is spoken. Servers and proxies allow a hundred
/// at least; what comes beyond what they allow waits for ever, since watches do not end.
const WATCHES: usize = 64;
/// So many kinds of objects are watched in a namespace, at most.
const KINDS: usize = 5;

/// An API server, and the namespaces to look at there.
pub(super) struct Server {
    client: Client,
    /// For watches beyond the first [`WATCHES`], each for as many.
    more_clients: Vec<Client>,
    /// Its address, as errors name it.
    pub(super) shown: String,
    /// Empty: all.
    pub(super) namespaces: Vec<String>,
}

impl Server {
    /// Reads what the settings name. Nothing is asked yet.
    pub(super) fn new(
        settings: &KubernetesConfig,
        options: &BuildOptions,
    ) -> Result<Self, BuildError> {
        let mut namespaces = settings.namespaces.clone();
        let mut more_clients = Vec::new();
        let (client, shown) = match &settings.access {
            Access::ApiServer { url, http } => {
                let url = parse_url(url).map_err(BuildError::Missing)?;
                let client = || -> Result<Client, BuildError> {
                    let http = HttpClient::new(http, &options.user_agent)?;
                    Ok(over_our_http(http, url.clone()))
                };
                let more = namespaces.len() * KINDS / WATCHES;
                more_clients = (0..more).map(|_| client()).collect::<Result<_, _>>()?;
                (client()?, redact_url(&url).to_string())
            }
            Access::Kubeconfig(path) => {
                let (config, proxy) = read_kubeconfig(path)?;
                of_config(config, proxy, options)?
            }
            Access::InCluster { own_namespace } => {
                let account = &options.service_account;
                if *own_namespace {
                    namespaces.push(read_namespace(account)?);
                }
                of_config(in_cluster(account, options)?, None, options)?
            }
        };
        namespaces.sort();
        namespaces.dedup();
        for name in &namespaces {
            let fits = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            if !name.chars().all(fits) || matches!(name.as_str(), "." | "..") {
                return Err(BuildError::Missing(format!("{name:?} is no name of a namespace")));
            }
        }
        // As the API has it, no name is the name of all of them.
        if namespaces.iter().any(String::is_empty) {
            namespaces.clear();
        }
        let shown = shown.trim_end_matches('/').to_owned();
        Ok(Self { client, more_clients, shown, namespaces })
    }

    /// The client for the watch of this number.
    pub(super) fn client(&self, watch: usize) -> Client {
        let beyond = (watch / WATCHES).checked_sub(1);
        let more = beyond.and_then(|at| self.more_clients.get(at));
        more.unwrap_or(&self.client).clone()
    }
}

/// Prometheus's HTTP client settings hold, `kube` only finds the words.
fn over_our_http(http: HttpClient, base: Url) -> Client {
    let service = tower::service_fn(move |request: Request<Body>| {
        let (http, base) = (http.clone(), base.clone());
        async move {
            let mut url = base;
            let path = format!("{}{}", url.path().trim_end_matches('/'), request.uri().path());
            url.set_path(&path);
            url.set_query(request.uri().query());
            let mut call = http.request(request.method().clone(), url);
            for (name, value) in request.headers() {
                call = call.header(name.clone(), value.clone());
            }
            let response = call.send().await?;
            Ok::<_, HttpError>(Response::<reqwest::Body>::from(response))
        }
    });
    Client::new(service, "default")
}

/// A client as `kube` makes it. The proxy is the one that is named, else the environment's.
fn of_config(
    mut config: Config,
    proxy: Option<String>,
    options: &BuildOptions,
) -> Result<(Client, String), BuildError> {
    let url = Url::parse(&config.cluster_url.to_string()).map_err(BuildError::Url)?;
    let shown = redact_url(&url).to_string();
    let proxy = match proxy {
        Some(named) => Some(Url::parse(&named).map_err(BuildError::Url)?),
        None => from_environment_for(&url, &options.environment)?,
    };
    config.proxy_url = proxy.map(|proxy| proxy_uri(&proxy)).transpose()?;
    let user_agent = HeaderValue::try_from(&options.user_agent)
        .map_err(|_| BuildError::Missing("the user agent is not fit for a header".to_owned()))?;
    config.headers.push((USER_AGENT, user_agent));
    // Every failure is told, and waited for, by us.
    config.default_retry = false;
    // What `kube` makes of it takes the process's provider, which is ours unless another is set.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        // Someone else may be faster, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    }
    let client = Client::try_from(config).map_err(|error| {
        BuildError::Missing(format!("cannot make a client for {shown}: {}", innermost(&error)))
    })?;
    Ok((client, shown))
}

fn proxy_uri(proxy: &Url) -> Result<Uri, BuildError> {
    // Names are resolved by the proxy either way.
    let text = proxy.as_str().replacen("socks5h://", "socks5://", 1);
    let scheme = text.split(':').next().unwrap_or_default();
    if !matches!(scheme, "http" | "https" | "socks5") {
        let reason = format!("proxies of scheme {scheme:?} are not spoken to");
        return Err(BuildError::Missing(reason));
    }
    // Not the text: it may hold a password.
    text.parse().map_err(|error| BuildError::Missing(format!("not the URL of a proxy: {error}")))
}

/// The current context of a file, and the proxy that it names.
fn read_kubeconfig(path: &Path) -> Result<(Config, Option<String>), BuildError> {
    let unfit = |error: &(dyn Error + 'static)| {
        BuildError::Missing(format!("kubeconfig_file {}: {}", path.display(), innermost(error)))
    };
    let read = Kubeconfig::read_from(path).map_err(|error| unfit(&error))?;
    let proxy = named_proxy(&read);
    let options = KubeConfigOptions::default();
    // It is async in name only: nothing is waited for.
    match Config::from_custom_kubeconfig(read, &options).now_or_never() {
        Some(config) => Ok((config.map_err(|error| unfit(&error))?, proxy)),
        None => Err(BuildError::Missing(format!("kubeconfig_file {}: timed out", path.display()))),
    }
}

/// `kube` does not tell it from the environment's, which it takes whatever `NO_PROXY` says of the
/// server.
fn named_proxy(config: &Kubeconfig) -> Option<String> {
    let current = config.current_context.as_ref()?;
    let context = config.contexts.iter().find(|context| context.name == *current)?;
    let name = &context.context.as_ref()?.cluster;
    let cluster = config.clusters.iter().find(|cluster| cluster.name == *name)?;
    cluster.cluster.as_ref()?.proxy_url.clone().filter(|url| !url.is_empty())
}

/// As every client in a pod does it: the address is in the environment, who we are in files.
fn in_cluster(account: &Path, options: &BuildOptions) -> Result<Config, BuildError> {
    let variable = |name| options.environment.get(name);
    let (Some(host), Some(port)) =
        (variable("KUBERNETES_SERVICE_HOST"), variable("KUBERNETES_SERVICE_PORT"))
    else {
        return Err(BuildError::Missing(
            "unable to load in-cluster configuration, KUBERNETES_SERVICE_HOST and \
             KUBERNETES_SERVICE_PORT must be defined"
                .to_owned(),
        ));
    };
    let url = format!("https://{}", crate::label::join_host_port(&host, port));
    let url = url.parse().map_err(|error| {
        BuildError::Missing(format!("KUBERNETES_SERVICE_HOST and _PORT are no address: {error}"))
    })?;
    let mut config = Config::new(url);
    let token = account.join("token");
    read(&token)?;
    config.auth_info.token_file = Some(token.display().to_string());
    let authority = account.join("ca.crt");
    // As in client-go: without it, the system's authorities count.
    if authority.exists() {
        config.root_cert_file = Some(authority);
    }
    Ok(config)
}

fn read_namespace(account: &Path) -> Result<String, BuildError> {
    let unknown =
        |reason| BuildError::Missing(format!("could not determine the pod's namespace: {reason}"));
    let path = account.join("namespace");
    let name = read(&path).map_err(|error| unknown(error.to_string()))?;
    match name.trim() {
        "" => Err(unknown(format!("{} is empty", path.display()))),
        name => Ok(name.to_owned()),
    }
}

fn read(path: &PathBuf) -> Result<String, BuildError> {
    std::fs::read_to_string(path)
        .map_err(|error| BuildError::Missing(format!("cannot read {}: {error}", path.display())))
}

/// Why there is no answer, in one line.
pub(super) fn reason(error: kube::Error) -> String {
    match error {
        kube::Error::Service(error) => reason_of(error),
        other => innermost(&other),
    }
}

fn reason_of(error: BoxError) -> String {
    match error.downcast::<HttpError>() {
        Ok(error) => error.to_string(),
        Err(error) => match error.downcast::<reqwest::Error>() {
            Ok(error) => HttpError::from(*error).to_string(),
            Err(error) => innermost(&*error),
        },
    }
}

/// Of a chain of causes the last one that says something, in one line.
fn innermost(error: &(dyn Error + 'static)) -> String {
    let (mut told, mut next) = (String::new(), Some(error));
    while let Some(cause) = next {
        if let Some(instead) = without_secrets(cause) {
            return instead;
        }
        let text = cause.to_string();
        if !text.is_empty() {
            told = text;
        }
        next = cause.source();
    }
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// `kube` quotes what plugins print and what stands in files, which is where tokens are.
fn without_secrets(error: &(dyn Error + 'static)) -> Option<String> {
    match error.downcast_ref::<AuthError>() {
        Some(AuthError::AuthExecRun { out, .. }) => {
            return Some(format!("the credential plugin failed: {}", out.status));
        }
        Some(AuthError::AuthExecParse(_) | AuthError::AuthExec(_)) => {
            return Some("what the credential plugin says cannot be read".to_owned());
        }
        _ => {}
    }
    match error.downcast_ref::<KubeconfigError>() {
        Some(KubeconfigError::Parse(error)) => Some(match error.location() {
            Some(at) => format!("line {}, column {}: not valid", at.line(), at.column()),
            None => "not valid".to_owned(),
        }),
        _ => None,
    }
}
