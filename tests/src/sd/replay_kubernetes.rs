//! Running a case against a cluster.

use std::fs;
use std::time::Duration;

use periskop_discovery::{BuildOptions, Environment};
use tokio::time::timeout;

use super::case::{Case, Placeholders};
use super::compare::State;
use super::kubernetes::ApiServer;
use super::replay::{build, told};

/// The namespace of the pod that discovery runs in, where it runs in one.
const OWN_NAMESPACE: &str = "own-ns";
/// Everything has been told when nothing comes for so long.
const QUIET: Duration = Duration::from_millis(500);

/// What is known when everything has happened, and nothing more is told.
pub(super) async fn replay_kubernetes(case: &Case) -> Result<(), String> {
    // Where no API server is named, there is the one of the cluster that we run in.
    let in_cluster = case.request.config.get("api_server").is_none();
    let account = tempfile::tempdir().map_err(|e| e.to_string())?;
    let authority = account.path().join("ca.crt");
    let certificate = in_cluster.then_some(authority.as_path());
    let server = ApiServer::start(case.request.initial.clone(), certificate).await;
    for (name, content) in [("token", "let me in"), ("namespace", OWN_NAMESPACE)] {
        fs::write(account.path().join(name), content).map_err(|e| e.to_string())?;
    }
    let address = server.address();
    let options = BuildOptions {
        environment: Environment::fixed([
            ("KUBERNETES_SERVICE_HOST", address.ip().to_string()),
            ("KUBERNETES_SERVICE_PORT", address.port().to_string()),
        ]),
        service_account: account.path().to_owned(),
        ..BuildOptions::default()
    };
    let scheme = if in_cluster { "https" } else { "http" };
    let places = Placeholders::server_of(scheme, address);
    let expected = case.expected(&places);
    let mut discovery = build(&case.config(&places)?, &options)?;

    let mut state = State::default();
    let failed = |error| format!("failed: {error}");
    state.update(told(&discovery.next().await.map_err(failed)?));
    for event in &case.request.events {
        server.happen(event.clone());
    }
    while let Ok(groups) = timeout(QUIET, discovery.next()).await {
        state.update(told(&groups.map_err(failed)?));
    }
    let mut difference = None;
    for groups in expected.groups.iter().chain(&expected.also_accept) {
        let mut wanted = State::default();
        wanted.update(groups.iter().cloned());
        match state.compare(&wanted, expected.order()) {
            Ok(()) => return Ok(()),
            // That to the first is what is of use.
            Err(to_this) => difference = difference.or(Some(to_this)),
        }
    }
    Err(difference.unwrap_or_else(|| "nothing is expected".to_owned()))
}
