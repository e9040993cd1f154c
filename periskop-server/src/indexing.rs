//! Texts are indexed beside everything else, and whoever asks for texts waits for it.
//!
//! After a start no text is indexed, and indexing those of 100,000 errors takes seconds. A search
//! before that would look at every text of every error, for seconds in which nothing can change:
//! no scrape is taken, and nothing is indexed. So searches wait until few are left, and what the
//! loop has to do besides holds indexing up by no more than half.

use std::time::{Duration, Instant};

use periskop_core::query::Query;

use crate::handle::Handle;

/// Errors whose texts are indexed while what is known is held once: two milliseconds.
const AT_ONCE: usize = 32;

/// Errors that a search may have to look at one by one: some milliseconds as well.
const FEW: usize = 256;

/// As long as one turn of the loop indexes, whatever it has done meanwhile.
const LONGEST_TURN: Duration = Duration::from_millis(200);

/// How long a search waits, and how often it looks whether it still has to. People give up by then, and
/// so do proxies.
const SEARCHES_WAIT: Duration = Duration::from_secs(20);
const LOOKS_EVERY: Duration = Duration::from_millis(20);

/// Why a search is not answered now.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the texts of {left} errors are not indexed yet, which searches need; try again soon")]
#[non_exhaustive]
pub struct StillIndexing {
    /// Of how many errors the texts are not indexed.
    pub left: usize,
}

/// What the loop knows of indexing.
#[derive(Default)]
pub(crate) struct Indexing {
    /// Since when the loop has done something else; `None` while there is nothing to index.
    since: Option<Instant>,
}

impl Indexing {
    /// Whether there may be texts to index.
    pub(crate) fn is_due(&self) -> bool {
        self.since.is_some()
    }

    /// There may be.
    pub(crate) fn begin(&mut self) {
        self.since.get_or_insert_with(Instant::now);
    }

    /// Indexes for as long as the loop has done something else since, and the texts of some errors at
    /// least. Readers get in between.
    pub(crate) fn turn(&mut self, handle: &Handle) {
        let Some(since) = self.since else { return };
        let begun = Instant::now();
        let share = begun.duration_since(since).min(LONGEST_TURN);
        let mut is_some_left = handle.index_some(AT_ONCE);
        while is_some_left && begun.elapsed() < share {
            is_some_left = handle.index_some(AT_ONCE);
        }
        self.since = is_some_left.then(Instant::now);
    }
}

impl Handle {
    /// Waits until what `query` asks for can be found without a look at the texts of many errors: for
    /// some seconds after a start, or where many errors have come at once; else not at all.
    ///
    /// [`look`](Self::look) answers the same without it, and may hold up everything for seconds.
    ///
    /// # Errors
    ///
    /// It takes too long.
    pub async fn searchable(&self, query: &Query) -> Result<(), StillIndexing> {
        if !query.asks_for_texts() {
            return Ok(());
        }
        let begun = tokio::time::Instant::now();
        loop {
            let left = self.look(|_, catalogue| catalogue.unindexed());
            if left <= FEW {
                return Ok(());
            }
            if begun.elapsed() >= SEARCHES_WAIT {
                return Err(StillIndexing { left });
            }
            tokio::time::sleep(LOOKS_EVERY).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use periskop_core::wire::exporter;

    use super::*;
    use crate::server::Periskop;

    /// Many errors, of which no text is indexed, and none will be: the loop has ended.
    async fn with_nothing_indexed() -> Handle {
        let periskop = Periskop::builder().build();
        let handle = periskop.handle().clone();
        periskop.stop().await;
        let errors: Vec<String> = (0..=FEW)
            .map(|n| format!(r#"{{"aggregation_key": "key {n}", "total_count": 1}}"#))
            .collect();
        let body = format!(r#"{{"aggregated_errors": [{}]}}"#, errors.join(", "));
        let now = handle.now();
        let report = exporter::parse(body.as_bytes(), now, &exporter::Options::default()).unwrap();
        handle.change(|engine, catalogue| {
            engine.handle_push(now, &"s".into(), report);
            catalogue.take_all(engine.state());
        });
        handle
    }

    #[tokio::test(start_paused = true)]
    async fn a_search_waits_until_few_are_left_and_gives_up_after_a_while() {
        let handle = with_nothing_indexed().await;
        let (text, fact) = (Query::parse("key").unwrap(), Query::parse("count:1").unwrap());
        assert_eq!(handle.searchable(&fact).await, Ok(()));
        let begun = tokio::time::Instant::now();
        assert_eq!(handle.searchable(&text).await, Err(StillIndexing { left: FEW + 1 }));
        assert!(begun.elapsed() >= SEARCHES_WAIT);
        let mut waits = std::pin::pin!(handle.searchable(&text));
        assert!(tokio::time::timeout(SEARCHES_WAIT / 2, &mut waits).await.is_err());
        handle.index_some(1);
        assert_eq!(waits.await, Ok(()));
    }

    #[tokio::test]
    async fn each_turn_indexes_some_until_nothing_is_left() {
        let handle = with_nothing_indexed().await;
        let left = || handle.look(|_, catalogue| catalogue.unindexed());
        let mut indexing = Indexing::default();
        indexing.turn(&handle);
        assert_eq!(left(), FEW + 1, "nobody has said that there is something");
        indexing.begin();
        indexing.turn(&handle);
        assert!(left() <= FEW + 1 - AT_ONCE && indexing.is_due());
        while indexing.is_due() {
            indexing.turn(&handle);
        }
        assert_eq!(left(), 0);
    }
}
