//! What `serverset_sd_configs` and `nerve_sd_configs` share: znodes that are watched, each with
//! one target.

mod watch;

use std::time::Duration;

use periskop_core::config::{Fields, Node, format_duration};
use periskop_core::discovery::Discovery;
use periskop_core::target::Labels;

use crate::build::BuildOptions;
use crate::watching::Watching;
use watch::Watch;

/// Prometheus's default.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Which ensemble is asked, and for what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Ensemble {
    /// Host and port of each server; any of them is asked.
    pub servers: Vec<String>,
    /// The znodes below which targets are, themselves included.
    pub paths: Vec<String>,
    /// How long a session lives that nothing is heard of. Default 10s.
    pub timeout: Duration,
}

impl Ensemble {
    /// Takes the settings of a mechanism of this name.
    pub(crate) fn take(fields: &mut Fields<'_, '_>, mechanism: &str) -> Self {
        let ensemble = Self {
            servers: fields.string_list("servers").unwrap_or_default(),
            paths: fields.string_list("paths").unwrap_or_default(),
            timeout: fields.duration("timeout").unwrap_or(TIMEOUT),
        };
        if ensemble.servers.is_empty() {
            let message =
                format!("{mechanism} SD config must contain at least one Zookeeper server");
            fields.problem("servers", message);
        }
        if ensemble.paths.is_empty() {
            let message = format!("{mechanism} SD config must contain at least one path");
            fields.problem("paths", message);
        }
        if let Some(path) = ensemble.paths.iter().find(|path| !path.starts_with('/')) {
            let message = format!("{mechanism} SD config paths must begin with '/': {path}");
            fields.problem("paths", message);
        }
        ensemble
    }

    pub(crate) fn effective(&self) -> Node {
        let mut entries = vec![
            ("servers", Node::sequence(&self.servers)),
            ("paths", Node::sequence(&self.paths)),
        ];
        if !self.timeout.is_zero() {
            entries.push(("timeout", format_duration(self.timeout).into()));
        }
        Node::mapping(entries)
    }

    /// Watches; `parse` makes a target of a znode's data and path.
    pub(crate) fn watch(&self, options: &BuildOptions, parse: Parse) -> Box<dyn Discovery> {
        let watch = Watch::new(self.clone(), parse, options);
        Box::new(Watching::new(|teller| watch.run(teller)))
    }
}

/// What makes a target of a znode's data and path. `None`: there is none.
pub(crate) type Parse = fn(&[u8], &str) -> Option<Labels>;
