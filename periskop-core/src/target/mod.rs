//! From what discovery finds to what is scraped.

mod group;
mod labels;

pub use group::TargetGroup;
pub use labels::Labels;
