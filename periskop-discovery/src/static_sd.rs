//! `static_configs`: targets written in the configuration itself.

use async_trait::async_trait;
use periskop_core::config::{At, Fields, Node, Problems};
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::TargetGroup;

use crate::build::{BuildError, BuildOptions};
use crate::groups::ADDRESS;
use crate::mechanism::Mechanism;

/// All `static_configs` of a service. They are one mechanism, with the sources `0`, `1`, ….
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct StaticConfig {
    /// The groups, in the order of the file.
    pub groups: Vec<TargetGroup>,
}

impl StaticConfig {
    /// Takes `static_configs` out of a service's section; `None` where there are none.
    pub(crate) fn take(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let mut groups = fields.list("static_configs", decode);
        for (i, group) in groups.iter_mut().enumerate() {
            group.source = i.to_string();
        }
        (!groups.is_empty()).then_some(Self { groups })
    }
}

impl Mechanism for StaticConfig {
    fn name(&self) -> &'static str {
        "static"
    }

    fn effective(&self) -> Node {
        Node::sequence(self.groups.iter().map(TargetGroup::to_node))
    }

    fn build(&self, _options: &BuildOptions) -> Result<Box<dyn Discovery>, BuildError> {
        Ok(Box::new(StaticDiscovery::new(self.clone())))
    }
}

fn decode(at: &At<'_>, problems: &mut Problems) -> Option<TargetGroup> {
    let group = TargetGroup::decode(at, problems)?;
    for target in &group.targets {
        let address = target.get(ADDRESS);
        // What is likeliest meant to be a URL would never be reached.
        if address.contains('/') {
            at.problem(problems, format!("{address:?} is not a valid hostname"));
        }
    }
    Some(group)
}

/// Tells its groups once.
pub struct StaticDiscovery {
    groups: Option<Vec<TargetGroup>>,
}

impl StaticDiscovery {
    /// Tells these groups.
    pub fn new(config: StaticConfig) -> Self {
        Self { groups: Some(config.groups) }
    }
}

#[async_trait]
impl Discovery for StaticDiscovery {
    async fn next(&mut self) -> Result<Vec<TargetGroup>, DiscoveryError> {
        match self.groups.take() {
            Some(groups) => Ok(groups),
            None => std::future::pending().await,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt as _;

    #[tokio::test]
    async fn the_groups_are_told_once() {
        let group = TargetGroup { source: "0".into(), ..TargetGroup::default() };
        let mut discovery = StaticDiscovery::new(StaticConfig { groups: vec![group.clone()] });
        assert_eq!(discovery.next().await.unwrap(), [group]);
        assert!(discovery.next().now_or_never().is_none());
    }
}
