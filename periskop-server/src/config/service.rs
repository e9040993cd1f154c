//! `services`: what is scraped, where it is found, how its targets are relabelled.

use std::path::Path;
use std::time::Duration;

use periskop_core::ServiceName;
use periskop_core::config::{At, Fields, Problems};
use periskop_core::target::relabel::{self, RelabelConfig};
use periskop_discovery::config::SdConfig;

use super::scraper::{self, ScraperConfig};

/// One service.
#[derive(Clone, Debug)]
pub struct ServiceConfig {
    /// Its name, unique within a configuration.
    pub name: ServiceName,
    /// Where its targets are found, in the order of the file.
    pub discovery: Vec<SdConfig>,
    /// What becomes of their labels.
    pub relabel: Vec<RelabelConfig>,
    /// How they are scraped.
    pub scraper: ScraperConfig,
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
    let discovery = periskop_discovery::config::decode(&mut fields, dir);
    let relabel = fields.list("relabel_configs", relabel::decode);
    let scraper =
        fields.section("scraper", |at, problems| scraper::decode(at, problems, dir, timeout));
    fields.finish();
    Some(ServiceConfig { name: ServiceName::from(name), discovery, relabel, scraper: scraper.unwrap_or_default() })
}
