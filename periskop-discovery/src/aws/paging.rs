//! From page to page, to an end.

use periskop_core::discovery::DiscoveryError;

use super::credentials::missing;
use crate::api::PAGES_LIMIT;

/// The pages of one list.
///
/// A list that does not end is an error, not a part of a list: nothing is known of the rest.
#[derive(Debug)]
pub(crate) struct Pages {
    what: &'static str,
    next: Option<String>,
    turned: usize,
}

impl Pages {
    /// Before the first page. `what` is what failed if it does.
    pub(crate) fn new(what: &'static str) -> Self {
        Self { what, next: None, turned: 0 }
    }

    /// The token of the page that is to be asked for; none: the first one.
    pub(crate) fn token(&self) -> Option<&str> {
        self.next.as_deref()
    }

    /// Goes to the page that the last one has named; false: it was the last one.
    pub(crate) fn turn(&mut self, next: Option<&str>) -> Result<bool, DiscoveryError> {
        let Some(next) = next.filter(|next| !next.is_empty()) else { return Ok(false) };
        self.turned += 1;
        if self.turned >= PAGES_LIMIT || self.next.as_deref() == Some(next) {
            return Err(missing(self.what, "the pages of the answer do not end"));
        }
        self.next = Some(next.to_owned());
        Ok(true)
    }
}
