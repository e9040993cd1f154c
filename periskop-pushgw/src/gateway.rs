//! The gateway itself: an observer that hears pushes, and what it exports.

use std::io;
use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use axum::Router;
use periskop_client::{Capture, Collector};
use periskop_core::storage::{Storage, StorageError};
use periskop_core::wire::exporter::{Limits, Options, line_and_column, parse};
use periskop_core::{ReplicaId, Timestamp};
use periskop_http::Access;
use periskop_storage::persist::StoreStatus;
use tokio::sync::Semaphore;

use crate::body::{self, Collected, DecodeError, Encoding};
use crate::clock;
use crate::heard::{Heard, Overview};
use crate::http;
use crate::keeping::{Keeping, Stored};
use crate::metrics::Metrics;
use crate::push_error::{PushError, Pushed};
use crate::pushers::Pusher;
use crate::seldom::Seldom;
use crate::web::Web;

/// What a gateway keeps, and what a push may cost.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Occurrences per error, incarnations per error, and how long what is not pushed any more is
    /// remembered.
    pub state: periskop_core::Settings,
    /// How a payload is read: its limits, and what is masked. `payload_length` limits a body both
    /// as it arrives and decompressed.
    pub options: Options,
    /// Pushers that are remembered, by `target_uuid`; those of which nothing is remembered any
    /// more do not count. A pusher costs some 200 bytes and 64 for each error of its own.
    pub pushers_limit: usize,
    /// Different errors, counting those that are forgotten but were told to readers of sums. An
    /// error costs some kilobytes for its occurrences.
    pub errors_limit: usize,
}

impl Default for Settings {
    fn default() -> Self {
        // A process's state is a thousand errors at most in the published clients, some megabytes
        // in the largest fleets known.
        let limits = Limits { payload_length: 16 << 20, memory: 64 << 20, ..Limits::default() };
        Self {
            state: periskop_core::Settings::default(),
            options: Options { limits, ..Options::default() },
            // Ten days of 100,000 one-shot jobs, if every one has an error of its own.
            pushers_limit: 1_000_000,
            errors_limit: 100_000,
        }
    }
}

/// Takes pushes, merges them, and exports what it knows. Cheap to clone; clones are the same
/// gateway.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    settings: Settings,
    heard: RwLock<Heard>,
    /// Where there is a store.
    keeping: Option<Keeping>,
    /// Mebibytes for all large bodies together.
    pub(crate) large: Arc<Semaphore>,
    /// What is large or compressed is read by few at once: that bounds memory.
    heavy: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) seldom: Seldom,
    pub(crate) collector: Collector,
    pub(crate) started: Timestamp,
}

/// Why a gateway has ended by itself.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ServeError {
    /// The store cannot be used, and trying again does not help.
    #[error(transparent)]
    Storage(#[from] StorageError),
    /// The listener's.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Mebibytes for all bodies together that are larger than one.
const LARGE: usize = 128;

/// So many bodies that are large or compressed are read at once.
const HEAVY: usize = 2;

/// What is no larger than this is read where it arrives; it takes a millisecond or so.
const LIGHT: usize = 256 << 10;

/// How often it is looked for what is to be forgotten.
const CLEAN_EVERY: Duration = Duration::from_secs(3600);

impl Gateway {
    /// A gateway that knows nothing yet and keeps what it hears in memory. `replica_id` is random,
    /// that of no other running process.
    pub fn new(settings: Settings, replica_id: ReplicaId) -> Self {
        let heard = Heard::new(replica_id, &settings, clock::now(), None);
        Self::of(settings, heard, None, Collector::new())
    }

    /// A gateway that goes on from what `storage` has, and keeps it up to date. `name` is that of
    /// the store for people, without credentials; `fresh` is random: who this gateway is if the
    /// store does not know. Must be called within a Tokio runtime.
    ///
    /// A store that is away does not keep it from starting: it then knows what is pushed, and joins
    /// what is stored when the store is there. One gateway at a time should have a store: of two,
    /// each exports what both know, which readers of sums would add up.
    ///
    /// # Errors
    ///
    /// The store cannot be used, and trying again does not help.
    pub async fn open(
        settings: Settings,
        fresh: ReplicaId,
        name: &str,
        storage: Box<dyn Storage>,
    ) -> Result<Self, StorageError> {
        let collector = Collector::new();
        let reporting = collector.clone();
        let failed = move |error: &_| reporting.record(Capture::of(error).key("store"));
        let (keeping, stored) = Keeping::open(name, storage, fresh, failed).await?;
        let journal = keeping.journal().clone();
        let now = clock::now();
        let heard = match stored {
            Stored::Everything(id, state) => Heard::restore(id, &settings, now, *state, journal),
            Stored::NotYet => Heard::new(fresh, &settings, now, Some(journal)),
        };
        Ok(Self::of(settings, heard, Some(keeping), collector))
    }

    fn of(
        settings: Settings,
        heard: Heard,
        keeping: Option<Keeping>,
        collector: Collector,
    ) -> Self {
        let shared = Shared {
            settings,
            heard: RwLock::new(heard),
            keeping,
            large: Arc::new(Semaphore::new(LARGE)),
            heavy: Arc::new(Semaphore::new(HEAVY)),
            metrics: Metrics::new(),
            seldom: Seldom::default(),
            collector,
            started: clock::now(),
        };
        Self { shared: Arc::new(shared) }
    }

    /// All routes, to be served or mounted. Pushes from foreign origins are refused here; who else
    /// may reach it is for `access` to say, or for the application if that is
    /// [open](Web::open). [`Self::keep_house`] is to run beside it, and [`Self::finish`] after it.
    pub fn router(&self, access: Access) -> Router {
        http::router(self.clone(), access, false)
    }

    /// Serves on `listener`, to whom `web` lets in, until `stop` completes and what was begun is
    /// answered.
    ///
    /// # Errors
    ///
    /// The listener's, or that the store cannot be used any more.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        web: Web,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> Result<(), ServeError> {
        let is_loopback = listener.local_addr()?.ip().to_canonical().is_loopback();
        let Web { access, tls, limits } = web;
        let routes = http::router(self.clone(), access, is_loopback);
        tokio::select! {
            () = periskop_http::serve(listener, routes, tls, limits, stop) => {}
            error = self.keep_house() => return Err(error.into()),
        }
        Ok(self.finish().await?)
    }

    /// Forgets once an hour what is older than the retention, and listens to the store. Ends only
    /// where that cannot be used any more, with the reason.
    pub async fn keep_house(&self) -> StorageError {
        let clean = async {
            let mut hours = tokio::time::interval(CLEAN_EVERY);
            loop {
                hours.tick().await;
                self.clean(clock::now());
            }
        };
        let follow = async {
            match &self.shared.keeping {
                Some(keeping) => {
                    keeping.follow(|state| self.shared.write().join(clock::now(), state)).await
                }
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            error = follow => error,
            () = clean => unreachable!("it goes on for ever"),
        }
    }

    /// Forgets what has not been pushed for the retention; how many incarnations.
    pub fn clean(&self, now: Timestamp) -> usize {
        let count = self.shared.write().keep_house(now);
        if count > 0 {
            tracing::info!(count, "forgot incarnations that were not pushed for the retention");
        }
        count
    }

    /// Writes what is not written yet, for at most five seconds. To be called when nothing more is
    /// pushed; it does nothing where there is no store.
    ///
    /// # Errors
    ///
    /// The store cannot be used.
    pub async fn finish(&self) -> Result<(), StorageError> {
        let Some(keeping) = &self.shared.keeping else { return Ok(()) };
        self.shared.write().settle_all(clock::now());
        keeping.finish().await
    }

    /// Merges a payload of the exporter format. Where there is a store, it is durable once
    /// [`stored`](Self::stored) says so.
    ///
    /// # Errors
    ///
    /// [`PushError::Payload`] where it is none, or a limit; bad parts of a good one only cost
    /// themselves.
    pub fn push(
        &self,
        now: Timestamp,
        body: &[u8],
        address: Option<IpAddr>,
    ) -> Result<Pushed, PushError> {
        let settings = &self.shared.settings;
        let report = parse(body, now, &settings.options).map_err(|source| {
            let (line, column) = line_and_column(body, source.offset());
            PushError::Payload { source, line, column }
        })?;
        self.shared.write().push(now, report, address, settings)
    }

    /// Waits until everything that was pushed is durable: two seconds at most, and not at all
    /// while the store is known to be away.
    ///
    /// # Errors
    ///
    /// [`PushError::NotStored`]; it is kept in memory until the store answers.
    pub async fn stored(&self) -> Result<(), PushError> {
        match &self.shared.keeping {
            Some(keeping) => keeping.durable().await.map_err(PushError::NotStored),
            None => Ok(()),
        }
    }

    /// Merges a body as it came over the network, and waits until it is durable.
    pub(crate) async fn push_encoded(
        &self,
        encoding: Encoding,
        body: Collected,
        address: Option<IpAddr>,
    ) -> Result<Pushed, PushError> {
        let pushed = self.read(encoding, body, address).await?;
        self.stored().await?;
        if pushed.left_out > 0 {
            let limit = self.shared.settings.errors_limit;
            let Pushed { errors: merged, left_out, .. } = pushed;
            return Err(PushError::TooManyErrors { limit, merged, left_out });
        }
        Ok(pushed)
    }

    async fn read(
        &self,
        encoding: Encoding,
        body: Collected,
        address: Option<IpAddr>,
    ) -> Result<Pushed, PushError> {
        if encoding == Encoding::Identity && body.bytes.len() <= LIGHT {
            return self.push(clock::now(), &body.bytes, address);
        }
        // Nobody closes this semaphore; were it closed, there would be no limit to keep.
        let permit = self.shared.heavy.clone().acquire_owned().await;
        let gateway = self.clone();
        let read = move || {
            // Who hangs up does not end the work, so the work holds its place.
            let _permit = permit;
            let limit = gateway.body_limit();
            let Collected { bytes, held: _held } = body;
            let body = body::decode(encoding, bytes, limit).map_err(|error| match error {
                DecodeError::TooLarge { limit } => {
                    PushError::TooLarge { limit, decompressed: true }
                }
                corrupt @ DecodeError::Corrupt { .. } => PushError::Corrupt(corrupt.to_string()),
            })?;
            gateway.push(clock::now(), &body, address)
        };
        let done = tokio::task::spawn_blocking(read).await;
        done.unwrap_or_else(|panic| {
            self.shared.collector.report(&panic);
            Err(PushError::Internal)
        })
    }

    /// Everything that was pushed, merged, in the exporter format, with `incarnations`.
    ///
    /// Without a `target_uuid`: a new one after every restart would make readers of sums count
    /// everything again.
    pub fn export(&self, now: Timestamp) -> Vec<u8> {
        self.shared.read().export(now)
    }

    /// The gateway's own errors; who runs it in its own process adds them to these.
    pub fn collector(&self) -> &Collector {
        &self.shared.collector
    }

    /// How the store fares; `None` where there is none, and everything is lost with the process.
    pub fn store(&self) -> Option<StoreStatus> {
        self.shared.keeping.as_ref().map(Keeping::status)
    }

    pub(crate) fn keeping(&self) -> Option<&Keeping> {
        self.shared.keeping.as_ref()
    }

    pub(crate) fn settings(&self) -> &Settings {
        &self.shared.settings
    }

    pub(crate) fn body_limit(&self) -> usize {
        self.shared.settings.options.limits.payload_length
    }

    pub(crate) fn overview(&self) -> Overview {
        self.shared.read().overview()
    }

    /// Those who pushed last.
    pub(crate) fn newest_pushers(&self, most: usize) -> Vec<(String, Pusher)> {
        self.shared.read().newest_pushers(most)
    }
}

impl Shared {
    /// A merge cannot fail; were it to panic all the same, what is known is still worth having,
    /// and the next push of the same payload completes it.
    fn read(&self) -> RwLockReadGuard<'_, Heard> {
        self.heard.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Heard> {
        self.heard.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests;
