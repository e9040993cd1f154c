//! The task that alone speaks with the store.

use std::time::Duration;
use std::{iter, mem, panic};

use periskop_core::config::format_duration;
use periskop_core::storage::{Cursor, Storage, StorageError, Stored};
use periskop_core::{Delta, ReplicaId, State};
use tokio::sync::mpsc;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::journal::{Journal, Noted};

/// How long a store may take to answer at the start before the server begins without it.
pub(super) const START_WITHIN: Duration = Duration::from_secs(3);
/// How long one that answers may take to tell what it holds: a large one is not away, and whoever
/// begins without it counts under another name and shows what was resolved.
pub(super) const LOAD_WITHIN: Duration = Duration::from_secs(30);
/// The pause after a failure: doubled from the first to the second.
pub(super) const RETRY: (Duration, Duration) =
    (Duration::from_millis(250), Duration::from_secs(30));
/// Errors of one commit. What is written of them is in memory until it is, some tens of megabytes; of
/// all that a fleet tells at first sight it would be as many gigabytes.
pub(super) const AT_ONCE: usize = 1_000;
/// How often the store is asked what others have written.
pub(super) const POLL: Duration = Duration::from_secs(5);

/// What the owner of a state is to know of its store.
pub enum News {
    /// It takes long: to be begun without.
    Late,
    /// What is stored, and who this process is if it has not observed anything yet.
    Loaded {
        /// The observer that the store remembers.
        id: ReplicaId,
        /// What is stored.
        state: State,
    },
    /// What other processes have written.
    Learned(State),
}

/// The owner's end of a store. Dropping it ends the keeper, whatever is not written yet.
pub struct Store {
    journal: Journal,
    news: mpsc::Receiver<News>,
    keeper: JoinSet<Result<(), StorageError>>,
}

impl Store {
    /// Begins to load what is stored. `fresh` is who this process is if nobody says otherwise;
    /// `failed` is told of each failure. Must be called within a Tokio runtime.
    pub fn open(
        storage: Box<dyn Storage>,
        journal: Journal,
        fresh: ReplicaId,
        failed: impl Fn(&StorageError) + Send + 'static,
    ) -> Self {
        let (telling, news) = mpsc::channel(1);
        let keeper = Keeper {
            storage,
            journal: journal.clone(),
            news: telling,
            failed: Box::new(failed),
            is_open: false,
            pause: RETRY.0,
            cursor: Cursor::default(),
            next_poll: Instant::now() + POLL,
        };
        let mut task = JoinSet::new();
        task.spawn(keeper.run(fresh));
        Self { journal, news, keeper: task }
    }

    /// What waits to be written.
    pub fn journal(&self) -> &Journal {
        &self.journal
    }

    /// Waits for what is to be known next.
    ///
    /// # Errors
    ///
    /// The store cannot be used, and trying again does not help.
    pub async fn news(&mut self) -> Result<News, StorageError> {
        if let Some(news) = self.news.recv().await {
            return Ok(news);
        }
        self.end().await?;
        std::future::pending().await
    }

    /// Writes what is left, for at most so long, and ends.
    ///
    /// # Errors
    ///
    /// The store cannot be used.
    pub async fn finish(mut self, within: Duration) -> Result<(), StorageError> {
        // Nobody hears any more; whoever speaks must not wait.
        self.news.close();
        self.journal.close();
        let Ok(ended) = timeout(within, self.end()).await else {
            let errors = self.journal.pending_errors();
            if errors > 0 {
                tracing::error!(errors, "the store does not answer, what changed last is lost");
            }
            return Ok(());
        };
        ended
    }

    /// Waits for the end of the keeper. Its panics go on here: what is not stored any more would
    /// otherwise look stored.
    async fn end(&mut self) -> Result<(), StorageError> {
        match self.keeper.join_next().await {
            Some(Ok(ended)) => ended,
            Some(Err(error)) if error.is_panic() => panic::resume_unwind(error.into_panic()),
            Some(Err(_)) | None => Ok(()),
        }
    }
}

struct Keeper {
    storage: Box<dyn Storage>,
    journal: Journal,
    news: mpsc::Sender<News>,
    failed: Box<dyn Fn(&StorageError) + Send>,
    /// Whether what is stored has been loaded.
    is_open: bool,
    /// How long to wait after the next failure.
    pause: Duration,
    cursor: Cursor,
    next_poll: Instant,
}

impl Keeper {
    async fn run(mut self, fresh: ReplicaId) -> Result<(), StorageError> {
        self.open(fresh).await?;
        if self.is_open {
            self.keep().await?;
        }
        if let Err(error) = self.storage.close().await {
            // Whoever follows is only slower to take the name over.
            tracing::warn!(reason = %error, "the store was not closed");
        }
        Ok(())
    }

    /// Loads what is stored, for as long as it takes, unless it is closed before with nothing to
    /// write.
    async fn open(&mut self, fresh: ReplicaId) -> Result<(), StorageError> {
        let mut patience = Patience::new(self.news.clone());
        let journal = self.journal.clone();
        loop {
            let loaded = tokio::select! {
                biased;
                () = journal.finished() => return Ok(()),
                loaded = load(&mut *self.storage, fresh, &mut patience) => loaded,
            };
            match loaded {
                Ok((id, Stored { state, cursor })) => {
                    self.cursor = cursor;
                    self.is_open = true;
                    self.journal.loaded();
                    self.answered();
                    self.tell(News::Loaded { id, state }).await;
                    return Ok(());
                }
                Err(error) => {
                    let pause = self.pause_after(error)?;
                    patience.spend(START_WITHIN, journal.pause(RETRY.0, pause)).await;
                }
            }
        }
    }

    /// Writes what was noted and asks for news, until everything is written and no more comes.
    async fn keep(&mut self) -> Result<(), StorageError> {
        self.next_poll = Instant::now() + POLL;
        while !self.journal.is_finished() {
            self.journal.due(self.next_poll).await;
            match self.turn().await {
                Ok(()) => self.answered(),
                Err(error) => {
                    let pause = self.pause_after(error)?;
                    self.journal.pause(RETRY.0, pause).await;
                }
            }
        }
        Ok(())
    }

    async fn turn(&mut self) -> Result<(), StorageError> {
        let mut noted = self.journal.take();
        if let Err(error) = self.write(&mut noted).await {
            self.journal.put_back(noted);
            return Err(error);
        }
        self.journal.written(noted);
        if Instant::now() >= self.next_poll && !self.journal.is_closed() {
            self.poll().await?;
        }
        Ok(())
    }

    /// Prunes first, then commits: what is in the delta is what is known after the prune, since
    /// what was pruned once it had been noted was taken out again. The other way round an error
    /// that went and has come back would keep what it had before. A prune that is repeated after
    /// its commit, since its answer was lost, takes nothing away: it says how old what went was,
    /// and what has come back is younger.
    async fn write(&mut self, noted: &mut Noted) -> Result<(), StorageError> {
        if !noted.pruned.is_empty() {
            self.storage.prune(&noted.pruned).await?;
            noted.pruned = Default::default();
        }
        let mut parts = parts(mem::take(&mut noted.delta));
        while let Some(part) = parts.next() {
            let begun = Instant::now();
            if let Err(error) = self.storage.commit(&part).await {
                // Those before it are durable.
                noted.delta = part;
                parts.for_each(|later| noted.delta.append(later));
                return Err(error);
            }
            self.journal.committed(begun.elapsed());
        }
        Ok(())
    }

    async fn poll(&mut self) -> Result<(), StorageError> {
        if let Some(Stored { state, cursor }) = self.storage.changes_since(&self.cursor).await? {
            self.cursor = cursor;
            self.tell(News::Learned(state)).await;
        }
        self.next_poll = Instant::now() + POLL;
        Ok(())
    }

    async fn tell(&mut self, news: News) {
        // Nobody hears any more where the server is about to end.
        let _ = self.news.send(news).await;
    }

    fn answered(&mut self) {
        self.pause = RETRY.0;
        self.journal.answered();
    }

    /// Takes note of a failure; how long to wait then. The error itself where waiting cannot help.
    fn pause_after(&mut self, error: StorageError) -> Result<Duration, StorageError> {
        self.journal.failed(&error);
        (self.failed)(&error);
        // Whoever has had it all along is not locked out by another; one of its own operations
        // may be in the way, and will not be for long.
        let passes = matches!(error, StorageError::Locked { .. }) && self.is_open;
        if !error.is_transient() && !passes {
            tracing::error!(reason = %error, "the store cannot be used");
            return Err(error);
        }
        let pause = self.pause;
        self.pause = (pause * 2).min(RETRY.1);
        let next_try_in = format_duration(pause);
        tracing::warn!(reason = %error, next_try_in, "the store failed");
        Ok(pause)
    }
}

/// A delta in parts that are committed one after the other, none if it is empty.
fn parts(delta: Delta) -> Box<dyn Iterator<Item = Delta> + Send> {
    if delta.is_empty() {
        return Box::new(iter::empty());
    }
    let is_much = delta.touched().nth(AT_ONCE).is_some();
    if is_much { Box::new(delta.into_parts(AT_ONCE)) } else { Box::new(iter::once(delta)) }
}

/// Who this process is, and what is stored.
async fn load(
    storage: &mut dyn Storage,
    fresh: ReplicaId,
    patience: &mut Patience,
) -> Result<(ReplicaId, Stored), StorageError> {
    let id = patience.spend(START_WITHIN, storage.identify(fresh)).await?;
    let within = patience.spent() + LOAD_WITHIN;
    Ok((id, patience.spend(within, storage.load()).await?))
}

/// How long the owner waits for what is stored.
struct Patience {
    news: mpsc::Sender<News>,
    begun: Instant,
    is_over: bool,
}

impl Patience {
    fn new(news: mpsc::Sender<News>) -> Self {
        Self { news, begun: Instant::now(), is_over: false }
    }

    fn spent(&self) -> Duration {
        self.begun.elapsed()
    }

    /// Does `work` to its end; if it is not over `within` so long since the beginning, the driver
    /// is told not to wait.
    async fn spend<T>(&mut self, within: Duration, work: impl Future<Output = T>) -> T {
        let mut work = std::pin::pin!(work);
        if !self.is_over {
            tokio::select! {
                biased;
                done = &mut work => return done,
                () = sleep_until(self.begun + within) => {}
            }
            self.is_over = true;
            tracing::warn!("what is stored is not loaded yet, beginning without it");
            let _ = self.news.send(News::Late).await;
        }
        work.await
    }
}
