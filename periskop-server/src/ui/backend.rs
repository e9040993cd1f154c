//! What the pages need of a running server.

use async_trait::async_trait;
use axum::body::Bytes;
use axum::http::StatusCode;
use periskop_core::aggregate::Act;
use periskop_core::catalogue::Catalogue;
use periskop_core::query::Query;
use periskop_core::{AggregateId, State, Timestamp};

use super::build::Fleet;
use super::target_filter::TargetFilter;
use super::view::{StatusPage, TargetsPage};

/// The running server as the pages see it, so that their tests need none.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Where the pages are mounted: empty, or `/` and what follows, without a slash at the end.
    fn base_path(&self) -> &str;

    /// The time.
    fn now(&self) -> Timestamp;

    /// When this process began.
    fn started(&self) -> Timestamp;

    /// What everybody should know whatever they look at, such as a store that is away.
    fn notice(&self) -> Option<String>;

    /// Shows `look` what is known. Scraping waits meanwhile.
    fn read(&self, look: &mut dyn FnMut(&State, &Catalogue, &dyn Fleet));

    /// Waits until texts can be searched, if `query` asks for any; refused if that takes too long.
    async fn searchable(&self, query: &Query) -> Result<(), Refused>;

    /// A page that depends on `name`, on what is known and on the time: made by `make`, unless one is
    /// there that still holds.
    async fn page(&self, name: String, make: &(dyn Fn() -> Made + Send + Sync)) -> Made;

    /// The targets that `filter` asks for, as they are shown.
    fn targets(&self, filter: TargetFilter) -> TargetsPage;

    /// The server as it is shown.
    fn status(&self) -> StatusPage;

    /// Does something to an error, for `by`, who may be nobody in particular, because of `why`,
    /// which may be empty.
    async fn act(&self, id: &AggregateId, act: Act, by: &str, why: &str) -> Result<(), Refused>;

    /// Does the same to several errors, and tells to how many: some may be gone meanwhile.
    async fn act_on(
        &self,
        ids: &[AggregateId],
        act: Act,
        by: &str,
        why: &str,
    ) -> Result<usize, Refused>;
}

/// A page that is made: whether what was asked for could be understood, and its HTML.
pub type Made = (StatusCode, Bytes);

/// Why something was not done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refused {
    /// There is no such error.
    Unknown,
    /// It is done, and would be lost with the process: the store does not answer.
    NotStored,
    /// Texts cannot be searched yet: those of many errors are not indexed.
    StillIndexing,
    /// The server cannot do it now.
    Unavailable,
}
