//! Target groups, the currency of discovery.

use crate::target::Labels;

/// Targets that one source of a discovery mechanism tells together.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetGroup {
    /// Identifies the group within its mechanism: a later group of the same source replaces it.
    pub source: String,
    /// The targets, each with its own labels, `__address__` among them.
    pub targets: Vec<Labels>,
    /// Labels that all of them have; a target's own win.
    pub labels: Labels,
}
