//! What the mechanisms of AWS share: who asks, how requests are signed, how APIs answer.
//!
//! No SDK: it would be most of the binary and of the time to build it, for some twenty calls. What
//! it does for Prometheus is done here: the search for credentials ([`session`]), signatures
//! ([`sign`]), three protocols and a second attempt where that may help ([`client`]).
//!
//! What is deliberately absent: credentials by another program (`credential_process`) and by a
//! person's login (SSO); a profile that wants them is told so.

pub(crate) mod client;
pub(crate) mod credentials;
mod metadata;
pub(crate) mod paging;
mod profile;
mod refusal;
pub(crate) mod session;
pub(crate) mod settings;
pub(crate) mod sign;
mod sts;
#[cfg(any(feature = "elasticache", feature = "rds"))]
pub(crate) mod table;
#[cfg(test)]
pub(crate) mod tests;

pub use settings::{AwsApi, AwsFilter, Clusters};

use crate::xml::Element;

/// The text of an element at a path, where there is one. As in the SDK an element without a text
/// is a text without a character, and not the same as no element.
pub(crate) fn text<'e>(element: &'e Element, path: &[&str]) -> Option<&'e str> {
    element.at(path).map(Element::text)
}
