//! From what discovery finds to what is scraped.

mod group;
mod labels;
mod scrape;
mod url;

pub use group::TargetGroup;
pub use labels::Labels;
pub use scrape::{ScrapeSettings, Target, TargetError, TargetId};
pub use url::Params;
