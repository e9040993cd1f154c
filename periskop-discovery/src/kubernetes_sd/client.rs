//! The way to the API server: `kube`'s client, over our own HTTP where its settings are ours.

use std::path::{Path, PathBuf};

use futures_util::FutureExt as _;
use http::header::{HeaderValue, USER_AGENT};
use http::{Request, Response};
use kube::client::Body;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use tower::BoxError;
use url::Url;

use super::config::{Access, KubernetesConfig, parse_url};
use crate::build::{BuildError, BuildOptions};
use crate::http_client::{HttpClient, HttpError, redact_url};

/// An API server, and the namespaces to look at there.
pub(super) struct Server {
    pub(super) client: Client,
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
        let (client, shown) = match &settings.access {
            Access::ApiServer { url, http } => {
                let url = parse_url(url).map_err(BuildError::Missing)?;
                let http = HttpClient::new(http, &options.user_agent)?;
                (over_our_http(http, url.clone()), redact_url(&url).to_string())
            }
            Access::Kubeconfig(path) => of_config(read_kubeconfig(path)?, options)?,
            Access::InCluster { own_namespace } => {
                let account = &options.service_account;
                if *own_namespace {
                    namespaces.push(read_namespace(account)?);
                }
                of_config(in_cluster(account, options)?, options)?
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
        Ok(Self { client, shown: shown.trim_end_matches('/').to_owned(), namespaces })
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

fn of_config(mut config: Config, options: &BuildOptions) -> Result<(Client, String), BuildError> {
    let shown = match Url::parse(&config.cluster_url.to_string()) {
        Ok(url) => redact_url(&url).to_string(),
        Err(_) => "the API server".to_owned(),
    };
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

fn read_kubeconfig(path: &Path) -> Result<Config, BuildError> {
    let unfit = |error: &dyn std::error::Error| {
        BuildError::Missing(format!("kubeconfig_file {}: {}", path.display(), innermost(error)))
    };
    let read = Kubeconfig::read_from(path).map_err(|error| unfit(&error))?;
    let options = KubeConfigOptions::default();
    // It is async in name only: nothing is waited for.
    let config = Config::from_custom_kubeconfig(read, &options).now_or_never();
    match config {
        Some(config) => config.map_err(|error| unfit(&error)),
        None => Err(BuildError::Missing(format!("kubeconfig_file {}: timed out", path.display()))),
    }
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

/// Of a chain of causes the last one that says something.
fn innermost(error: &dyn std::error::Error) -> String {
    let mut told = error.to_string();
    let mut cause = error.source();
    while let Some(inner) = cause {
        let text = inner.to_string();
        if !text.is_empty() {
            told = text;
        }
        cause = inner.source();
    }
    told.split_whitespace().collect::<Vec<_>>().join(" ")
}
