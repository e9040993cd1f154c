//! Running a case.

use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::TargetGroup;
use periskop_discovery::{BuildOptions, DiscoveryConfig, Environment, dns_sd::DnsServers};
use reqwest::Url;
use tokio::time::timeout;

use super::case::{Case, Expected, FileStep, Placeholders};
use super::compare::{ExpectedGroup, Order, State, compare_groups, contains_partial};
use super::dns::DnsServer;
use super::mock::Mock;
use super::replay_kubernetes::replay_kubernetes;
use super::zookeeper::{self, ZooKeeper};
use crate::PATIENCE;

/// Where a case refreshes more than once, it does so this often instead of as configured.
pub(super) const OFTEN: Duration = Duration::from_millis(200);
/// The fixed addresses that are asked without the settings of HTTP, so that no proxy leads to the
/// backend of a case.
const WITHOUT_A_PROXY: [&str; 3] = [
    "https://compute.googleapis.com",
    "https://login.microsoftonline.com",
    "https://service-account.api.stackit.cloud",
];
/// A key that signs nothing but requests of tests.
pub(super) const RSA_KEY: &str = include_str!("rsa_key.pem");
pub(super) const RSA_KEY_FILE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/src/sd/rsa_key.pem");
/// Where nothing is to be told, not even an error, nothing comes for so long.
const QUIET: Duration = Duration::from_secs(2);

/// Why a case cannot be run here: its backend is not installed.
pub fn cannot_replay(case: &Case) -> Option<String> {
    match case.request.transport.as_str() {
        "zookeeper" => zookeeper::missing(),
        _ => None,
    }
}

/// Runs a case against its backend.
///
/// # Errors
///
/// What went otherwise than recorded.
pub async fn replay(case: &Case) -> Result<(), String> {
    let run = async {
        match case.request.transport.as_str() {
            scheme @ ("http" | "https") => replay_http(case, scheme).await,
            "dns" => replay_dns(case).await,
            "file" => replay_file(case).await,
            "kubernetes" => replay_kubernetes(case).await,
            "zookeeper" => replay_zookeeper(case).await,
            other => Err(format!("no backend for {other}")),
        }
    };
    timeout(PATIENCE, run).await.map_err(|_| "nothing more came".to_owned())?
}

/// A case of an HTTP backend that runs.
pub(super) struct Running {
    pub(super) mock: Mock,
    pub(super) discovery: Box<dyn Discovery>,
    pub(super) expected: Expected,
    config: DiscoveryConfig,
    options: BuildOptions,
    /// What the mechanism reads is here.
    _dir: tempfile::TempDir,
}

impl Running {
    /// Begins anew, as after a restart, and forgets how often what was asked for.
    pub(super) fn begin_anew(&mut self) -> Result<(), String> {
        self.discovery = build(&self.config, &self.options)?;
        self.mock.forget();
        Ok(())
    }
}

async fn replay_http(case: &Case, scheme: &str) -> Result<(), String> {
    let Running { mock, mut discovery, expected, _dir, .. } = start(case, scheme).await?;
    match &expected.sequence {
        Some(sequence) => follow(discovery, &mock, sequence, expected.order()).await,
        None => {
            check_first(&mut discovery, &expected).await?;
            check_again(&mut discovery, &expected).await
        }
    }
}

/// Starts a case's backend, and the discovery that asks it.
pub(super) async fn start(case: &Case, scheme: &str) -> Result<Running, String> {
    let mock = Mock::start(scheme, case.request.routes.clone(), case.dir.clone()).await;
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut places = Placeholders::server_of(scheme, mock.address());
    places.set("{{DIR}}", dir.path().display().to_string());
    places.set("{{CASE_DIR}}", case.dir.display().to_string());
    places.set("{{RSA_KEY_FILE}}", RSA_KEY_FILE);
    places.set("{{RSA_PRIVATE_KEY_PEM}}", RSA_KEY.replace('\n', "\\n"));
    let expected = case.expected(&places);
    let config = case.config(&places)?;
    let mut options = BuildOptions {
        environment: environment(case, &places, dir.path()).map_err(|e| e.to_string())?,
        refresh_interval: Some(OFTEN),
        ..BuildOptions::default()
    };
    let here = Url::parse(&format!("http://{}", mock.address())).map_err(|e| e.to_string())?;
    for origin in WITHOUT_A_PROXY {
        options.origins.insert(origin.to_owned(), here.clone());
    }
    let discovery = build(&config, &options)?;
    Ok(Running { mock, discovery, expected, config, options, _dir: dir })
}

/// What the mechanism finds in its environment: what the case says, and for Google an account.
fn environment(case: &Case, places: &Placeholders, dir: &Path) -> std::io::Result<Environment> {
    let variables = case.request.env.iter();
    let mut variables: Vec<_> =
        variables.map(|(name, value)| (name.clone(), places.fill(value))).collect();
    if case.key() == "gce_sd_configs" {
        let account = dir.join("account.json");
        let json = serde_json::json!({
            "type": "service_account",
            "project_id": "prj",
            "private_key_id": "1",
            "private_key": RSA_KEY,
            "client_email": "sd@prj.example",
            "token_uri": places.fill("{{SERVER}}/token"),
        });
        fs::write(&account, json.to_string())?;
        let account = account.display().to_string();
        variables.push(("GOOGLE_APPLICATION_CREDENTIALS".to_owned(), account));
    }
    Ok(Environment::fixed(variables))
}

/// What is looked at again is the same, and is not told again.
async fn check_again(
    discovery: &mut Box<dyn Discovery>,
    expected: &Expected,
) -> Result<(), String> {
    let Some(wanted) = &expected.groups else { return Ok(()) };
    match timeout(OFTEN * 3, discovery.next()).await {
        Err(_) => Ok(()),
        Ok(Ok(groups)) => compare_groups(&told(&groups), wanted, expected.order())
            .and(Err("what has not changed is told again".to_owned())),
        Ok(Err(error)) => Err(format!("the second refresh failed: {error}")),
    }
}

async fn replay_dns(case: &Case) -> Result<(), String> {
    let question = case.request.dns.as_ref().ok_or("a case without a question")?;
    let server = DnsServer::answering(question).await;
    let places = Placeholders::default();
    let dns = DnsServers::Fixed { servers: vec![server.address()], search: Vec::new(), ndots: 1 };
    let options = BuildOptions { dns, ..BuildOptions::default() };
    let mut discovery = build(&case.config(&places)?, &options)?;
    check_first(&mut discovery, &case.expected(&places)).await
}

pub(super) fn build(
    config: &DiscoveryConfig,
    options: &BuildOptions,
) -> Result<Box<dyn Discovery>, String> {
    config.build(options).map_err(|error| format!("cannot be built: {error}"))
}

impl Expected {
    pub(super) fn order(&self) -> Order {
        Order::from_name(self.order.as_deref())
    }
}

/// One look at the backend, and what is told of it.
pub(super) async fn check_first(
    discovery: &mut Box<dyn Discovery>,
    expected: &Expected,
) -> Result<(), String> {
    match (discovery.next().await, &expected.error) {
        (Ok(groups), Some(wanted)) => Err(format!("told {groups:?}, wanted the error {wanted:?}")),
        (Err(error), Some(wanted)) if error.to_string().contains(wanted.as_str()) => Ok(()),
        (Err(error), Some(wanted)) => Err(format!("wanted the error {wanted:?}, got {error}")),
        (Err(error), None) => Err(format!("failed: {error}")),
        (Ok(groups), None) => {
            let groups = told(&groups);
            contains_partial(&groups, &expected.partial)?;
            match &expected.groups {
                Some(wanted) => compare_groups(&groups, wanted, expected.order()),
                None => Ok(()),
            }
        }
    }
}

/// The state after each refresh. A refresh is over when the next one asks the backend.
async fn follow(
    mut discovery: Box<dyn Discovery>,
    mock: &Mock,
    sequence: &[Option<Vec<ExpectedGroup>>],
    order: Order,
) -> Result<(), String> {
    let (mut state, mut wanted) = (State::default(), State::default());
    for (i, update) in sequence.iter().enumerate() {
        loop {
            tokio::select! {
                biased;
                groups = discovery.next() => {
                    state.update(told(&groups.map_err(|e| format!("refresh {i} failed: {e}"))?));
                    wanted.update(update.iter().flatten().cloned());
                    if state.compare(&wanted, order).is_ok() {
                        break;
                    }
                }
                () = mock.requests(i + 2) => {
                    wanted.update(update.iter().flatten().cloned());
                    break;
                }
            }
        }
        state
            .compare(&wanted, order)
            .map_err(|difference| format!("refresh {i}:\n{difference}"))?;
    }
    Ok(())
}

async fn replay_file(case: &Case) -> Result<(), String> {
    let dir = tempfile::tempdir().map_err(|e| e.to_string())?;
    let mut places = Placeholders::default();
    places.set("{{DIR}}", dir.path().display().to_string());
    let expected = case.expected(&places);
    let mut discovery = build(&case.config(&places)?, &BuildOptions::default())?;
    let (mut state, mut wanted) = (State::default(), State::default());
    // The directory is empty, and watched from now on.
    state.update(told(&discovery.next().await.map_err(|e| e.to_string())?));

    let updates = expected.sequence.as_deref().unwrap_or_default();
    for (i, (step, update)) in case.request.steps.iter().zip(updates).enumerate() {
        let step: FileStep = serde_json::from_value(step.clone()).map_err(|e| e.to_string())?;
        apply(&step, case, dir.path()).map_err(|e| format!("step {i}: {e}"))?;
        let before = wanted.clone();
        wanted.update(update.iter().flatten().cloned());
        match update {
            // What cannot be read is told as an error, and changes nothing.
            None => match timeout(QUIET, discovery.next()).await {
                Ok(Ok(groups)) => state.update(told(&groups)),
                Ok(Err(DiscoveryError::Invalid { .. })) | Err(_) => {}
                Ok(Err(error)) => return Err(format!("step {i}: another error: {error}")),
            },
            Some(_) if wanted == before => {}
            Some(_) => {
                while state.compare(&wanted, expected.order()).is_err() {
                    let next = timeout(PATIENCE / 4, discovery.next()).await;
                    match next {
                        Ok(Ok(groups)) => state.update(told(&groups)),
                        // Of a file that is no longer as bad.
                        Ok(Err(_)) => {}
                        Err(_) => break,
                    }
                }
            }
        }
        let compared = state.compare(&wanted, expected.order());
        compared.map_err(|difference| format!("step {i}:\n{difference}"))?;
    }
    Ok(())
}

async fn replay_zookeeper(case: &Case) -> Result<(), String> {
    let server = ZooKeeper::take().await?;
    let mut places = Placeholders::default();
    places.set("{{ZK}}", server.address().to_string());
    server.create_all(&case.request.znodes).await?;
    let expected = case.expected(&places);
    let mut discovery = build(&case.config(&places)?, &BuildOptions::default())?;
    let steps = case.request.steps.iter().map(|step| serde_json::from_value(step.clone()));
    let steps: Vec<zookeeper::Step> = steps.collect::<Result<_, _>>().map_err(|e| e.to_string())?;
    // What is there at the beginning, then after each step.
    let states = expected.sequence.clone().unwrap_or_else(|| vec![expected.groups.clone()]);
    let mut state = State::default();
    for (i, wanted_groups) in states.iter().enumerate() {
        match i.checked_sub(1).and_then(|i| steps.get(i)) {
            Some(step) => server.apply(step).await.map_err(|e| format!("step {i}: {e}"))?,
            None => {
                state.update(told(&discovery.next().await.map_err(|e| e.to_string())?));
            }
        }
        let mut wanted = State::default();
        wanted.update(wanted_groups.iter().flatten().cloned());
        while let Err(difference) = state.compare(&wanted, expected.order()) {
            match timeout(PATIENCE / 4, discovery.next()).await {
                Ok(Ok(groups)) => state.update(told(&groups)),
                Ok(Err(error)) => return Err(format!("step {i}: {error}")),
                Err(_) => return Err(format!("step {i}:\n{difference}")),
            }
        }
    }
    Ok(())
}

/// Does all the steps of a case about files.
pub(super) fn apply_all(case: &Case, dir: &Path) -> std::io::Result<()> {
    for step in &case.request.steps {
        apply(&serde_json::from_value(step.clone())?, case, dir)?;
    }
    Ok(())
}

/// Does one step; `copy` and `write` replace the file in one go.
fn apply(step: &FileStep, case: &Case, dir: &Path) -> std::io::Result<()> {
    let replace = |to: &str, data: &[u8]| {
        let beside = dir.join("being-written");
        fs::write(&beside, data)?;
        fs::rename(beside, dir.join(to))
    };
    match step {
        FileStep::Copy { from, to } => {
            let fixtures = case.dir.parent().unwrap_or(&case.dir);
            replace(to, &fs::read(fixtures.join(from))?)
        }
        FileStep::Write { to, data } => replace(to, data.as_bytes()),
        FileStep::Append { to, data } => {
            fs::OpenOptions::new().append(true).open(dir.join(to))?.write_all(data.as_bytes())
        }
        FileStep::Remove { to } => fs::remove_file(dir.join(to)),
        FileStep::Rename { from, to } => fs::rename(dir.join(from), dir.join(to)),
    }
}

pub(super) fn told(groups: &[TargetGroup]) -> Vec<ExpectedGroup> {
    groups.iter().map(ExpectedGroup::from).collect()
}
