//! From what discovery finds to what is scraped.

mod group;
mod labels;
mod relabel;

pub use group::TargetGroup;
pub use labels::Labels;
pub use relabel::{
    Action, MAX_LABELS, MAX_VALUE, NameScheme, Pattern, PatternError, RelabelConfig, Template,
    relabel,
};
