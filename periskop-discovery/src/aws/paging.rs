//! From page to page, to an end.

use futures_util::future::BoxFuture;
use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use periskop_core::discovery::DiscoveryError;

use super::client::Client;
use super::credentials::missing;
use crate::api::PAGES_LIMIT;
use crate::xml::Element;

/// So many questions are put together at once; how many are asked at once is the session's.
const IN_HAND: usize = 100;

/// A list of the Query protocol that comes in pages.
pub(crate) struct List {
    /// What failed if it does.
    pub(crate) what: &'static str,
    /// The action that is asked for.
    pub(crate) action: &'static str,
    /// The version of the API.
    pub(crate) version: &'static str,
    /// The parameter that names a page.
    pub(crate) token: &'static str,
    /// Where an answer names the next page: within the result, where the API has results.
    pub(crate) next: &'static [&'static str],
}

impl Client<'_> {
    /// Shows each page of a list to `look`: the result, where the API has results.
    pub(crate) async fn each_page(
        &self,
        list: &List,
        parameters: &[(&str, String)],
        mut look: impl FnMut(&Element) + Send,
    ) -> Result<(), DiscoveryError> {
        let mut pages = Pages::new(list.what);
        loop {
            let mut parameters = parameters.to_vec();
            parameters.extend(pages.token().map(|token| (list.token, token.to_owned())));
            let page = self.query(list.what, list.action, list.version, &parameters).await?;
            let (result, next) = match list.next {
                [result, next @ ..] if !next.is_empty() => {
                    let found = page.root().child(result);
                    let found = found
                        .ok_or_else(|| missing(list.what, format!("an answer without {result}")))?;
                    (found, next)
                }
                next => (page.root(), next),
            };
            look(result);
            if !pages.turn(super::text(result, next))? {
                return Ok(());
            }
        }
    }
}

/// What many questions are answered, in their order; an error where one of them is.
pub(crate) fn all<'a, T: Send + 'a>(
    questions: impl Iterator<Item = impl Future<Output = Result<T, DiscoveryError>> + Send + 'a>,
) -> BoxFuture<'a, Result<Vec<T>, DiscoveryError>> {
    let questions: Vec<_> = questions.collect();
    Box::pin(stream::iter(questions).buffered(IN_HAND).try_collect())
}

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
