//! `services`: what is scraped, where it is found, how its targets are relabelled.

use std::path::Path;
use std::time::Duration;

use periskop_core::ServiceName;
use periskop_core::config::{At, Fields, Problems};
use periskop_core::target::{NameScheme, ProviderId, RelabelConfig, ScrapeSettings, ServiceSpec};
use periskop_discovery::DiscoveryConfig;

use super::scraper::{self, ScraperConfig};

/// One service.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Its name, unique within a configuration.
    pub name: ServiceName,
    /// Where its targets are found, in the order of the file.
    pub discovery: Vec<DiscoveryConfig>,
    /// What becomes of their labels.
    pub relabel: Vec<RelabelConfig>,
    /// How they are scraped.
    pub scraper: ScraperConfig,
}

impl ServiceConfig {
    /// A service of this name with all defaults, whose targets are still to be found.
    pub fn new(name: impl Into<ServiceName>) -> Self {
        Self {
            name: name.into(),
            discovery: Vec::new(),
            relabel: Vec::new(),
            scraper: ScraperConfig::default(),
        }
    }

    /// The same for the engine, with the discoveries that run for it.
    pub(crate) fn spec(&self, providers: Vec<ProviderId>) -> ServiceSpec {
        ServiceSpec {
            name: self.name.clone(),
            providers,
            scrape: ScrapeSettings {
                scheme: self.scraper.scheme.clone(),
                path: self.scraper.endpoint.clone(),
                params: self.scraper.params.clone(),
                interval: self.scraper.interval,
                timeout: self.scraper.timeout,
            },
            relabel: self.relabel.clone(),
            target_limit: self.scraper.target_limit,
        }
    }
}

/// Takes one item of `services` apart.
pub(super) fn decode(
    at: &At<'_>,
    problems: &mut Problems,
    dir: &Path,
    timeout: Option<Duration>,
) -> Option<ServiceConfig> {
    let mut fields = Fields::new(at, problems)?;
    let name = fields.string("name").unwrap_or_default();
    if name.is_empty() {
        fields.problem("name", "a service needs a name");
    } else if name.chars().any(char::is_control) {
        fields.problem("name", "a service's name holds no control characters");
    }
    let mut discovery = DiscoveryConfig::decode_all(&mut fields);
    discovery.iter_mut().for_each(|config| config.resolve_paths(dir));
    let relabel = RelabelConfig::decode_list(&mut fields, "relabel_configs", NameScheme::default());
    let scraper =
        fields.section("scraper", |at, problems| scraper::decode(at, problems, dir, timeout));
    fields.finish();
    Some(ServiceConfig {
        name: ServiceName::from(name),
        discovery,
        relabel,
        scraper: scraper.unwrap_or_default(),
    })
}
