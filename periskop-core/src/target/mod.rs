//! From what discovery finds to what is scraped.

mod group;
mod labels;
mod last_state;
mod pool;
mod relabel;
mod schedule;
mod scrape;
mod url;

pub use group::TargetGroup;
pub use labels::Labels;
pub use last_state::LastState;
pub use pool::{DroppedTarget, Pool, PoolChange, ProviderId, ServiceSpec, TargetLimitExceeded};
pub use relabel::{
    Action, DroppedBy, MAX_LABELS, MAX_VALUE, NameScheme, Pattern, PatternError, RelabelConfig,
    Template, relabel, relabel_or_rule,
};
pub use schedule::Schedule;
pub use scrape::{ScrapeSettings, Target, TargetError, TargetId};
pub use url::Params;
