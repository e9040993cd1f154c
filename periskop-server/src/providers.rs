//! The discoveries that run: one task each, kept over a reload where its settings are the same.

mod throttle;

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;

use futures_util::FutureExt as _;
use periskop_core::ServiceName;
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{ProviderId, ServiceSpec, TargetGroup};
use periskop_discovery::{BuildOptions, DiscoveryConfig};
use tokio::sync::mpsc;
use tokio::task::AbortHandle;

use crate::config::ServiceConfig;
use crate::driver::Message;
use throttle::Throttled;

/// What a discovery told.
#[derive(Debug)]
pub(crate) struct Told {
    /// For which service.
    pub(crate) service: ServiceName,
    /// Which discovery.
    pub(crate) provider: ProviderId,
    /// Its kind, for the metric: `dns`, `file`, …, `custom`.
    pub(crate) mechanism: &'static str,
    /// Groups that changed, or why nothing is known.
    pub(crate) outcome: Result<Vec<TargetGroup>, DiscoveryError>,
}

/// All discoveries of all services.
pub(crate) struct Providers {
    inbox: mpsc::WeakSender<Message>,
    options: BuildOptions,
    configured: HashMap<ServiceName, Vec<Configured>>,
    /// Plugged in by whoever embeds this server; a reload does not touch them.
    custom: HashMap<ServiceName, Vec<Running>>,
    last_id: ProviderId,
}

struct Configured {
    config: DiscoveryConfig,
    running: Running,
}

/// A discovery at work; it ends when this is dropped.
struct Running {
    id: ProviderId,
    task: Option<AbortHandle>,
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}

impl Providers {
    /// No discovery yet. What is told goes to `inbox`.
    pub(crate) fn new(inbox: &mpsc::Sender<Message>) -> Self {
        Self {
            inbox: inbox.downgrade(),
            options: BuildOptions::default(),
            configured: HashMap::new(),
            custom: HashMap::new(),
            last_id: 0,
        }
    }

    /// Lets a discovery work that is no configured one.
    pub(crate) fn plug(&mut self, service: ServiceName, discovery: Box<dyn Discovery>) {
        let running = self.start(&service, "custom", discovery);
        self.custom.entry(service).or_default().push(running);
    }

    /// Runs what is configured and ends what is not any more. Answers with the services for the
    /// engine, and with the discoveries that could not be begun; the others go on without them.
    pub(crate) fn configure(
        &mut self,
        services: &[ServiceConfig],
    ) -> (Vec<ServiceSpec>, Vec<Told>) {
        let mut before = std::mem::take(&mut self.configured);
        let (mut specs, mut failures) = (Vec::new(), Vec::new());
        for service in services {
            let mut old = before.remove(&service.name).unwrap_or_default();
            let mut now = Vec::new();
            for config in &service.discovery {
                let same = old.iter().position(|known| known.config == *config);
                now.push(match same {
                    Some(at) => old.swap_remove(at),
                    None => self.begin(&service.name, config, &mut failures),
                });
            }
            let custom = self.custom.get(&service.name).into_iter().flatten();
            let ids = now.iter().map(|known| &known.running).chain(custom);
            specs.push(service.spec(ids.map(|running| running.id).collect()));
            self.configured.insert(service.name.clone(), now);
        }
        (specs, failures)
    }

    fn begin(
        &mut self,
        service: &ServiceName,
        config: &DiscoveryConfig,
        failures: &mut Vec<Told>,
    ) -> Configured {
        let running = match begin(config, &self.options) {
            Ok(discovery) => self.start(service, config.mechanism(), discovery),
            Err(error) => {
                self.last_id += 1;
                failures.push(Told {
                    service: service.clone(),
                    provider: self.last_id,
                    mechanism: config.mechanism(),
                    outcome: Err(error),
                });
                Running { id: self.last_id, task: None }
            }
        };
        Configured { config: config.clone(), running }
    }

    fn start(
        &mut self,
        service: &ServiceName,
        mechanism: &'static str,
        discovery: Box<dyn Discovery>,
    ) -> Running {
        self.last_id += 1;
        let provider = self.last_id;
        let (inbox, service) = (self.inbox.clone(), service.clone());
        let mut discovery = Throttled::new(discovery);
        let task = tokio::spawn(async move {
            loop {
                let next = AssertUnwindSafe(discovery.next()).catch_unwind().await;
                let ended = next.is_err();
                let outcome = next.unwrap_or_else(|_| Err(broken(mechanism)));
                let service = service.clone();
                let told = Message::Told(Told { service, provider, mechanism, outcome });
                // Without a driver there is nobody to tell.
                let Some(inbox) = inbox.upgrade() else { return };
                if inbox.send(told).await.is_err() || ended {
                    return;
                }
            }
        });
        Running { id: provider, task: Some(task.abort_handle()) }
    }
}

/// What is told of a discovery that has panicked: what it has found stays, and somebody should
/// know that nothing more will come.
fn broken(mechanism: &str) -> DiscoveryError {
    DiscoveryError::Unreachable {
        endpoint: format!("{mechanism} discovery"),
        reason: "it has ended by a mistake of its own, see the log; a changed configuration or a \
                 restart begins it anew"
            .into(),
    }
}

/// Begins to look for targets as configured. An error says which settings cannot be put to work.
pub(crate) fn begin(
    config: &DiscoveryConfig,
    options: &BuildOptions,
) -> Result<Box<dyn Discovery>, DiscoveryError> {
    // No backend has answered anything: what is wrong is here.
    config.build(options).map_err(|error| DiscoveryError::Unreachable {
        endpoint: format!("{}_sd_configs", config.mechanism()),
        reason: error.to_string(),
    })
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;

    use super::*;

    struct Mistaken;

    #[async_trait]
    impl Discovery for Mistaken {
        async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError> {
            panic!("a mistake")
        }
    }

    #[tokio::test]
    async fn a_discovery_that_panics_is_told_of_and_asked_no_more() {
        let (inbox, mut messages) = mpsc::channel(4);
        let mut providers = Providers::new(&inbox);
        providers.plug("api".into(), Box::new(Mistaken));
        let Some(Message::Told(told)) = messages.recv().await else { panic!("nothing is told") };
        let error = told.outcome.expect_err("it has panicked").to_string();
        assert!(error.contains("a mistake of its own"), "{error}");
        drop(inbox);
        assert!(messages.recv().await.is_none());
    }
}
