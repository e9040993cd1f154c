//! What a running server shares with whoever reads it or asks it to do something.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};

use periskop_client::Collector;
use periskop_core::aggregate::Act;
use periskop_core::catalogue::{Catalogue, Wanted};
use periskop_core::engine::{Engine, Event};
use periskop_core::search::{ErrorNumber, MemoryIndex};
use periskop_core::view::ErrorView;
use periskop_core::{AggregateId, State, Timestamp};
use periskop_http::{Access, Tls, WebConfig};
use periskop_storage::persist::{Journal, StoreStatus};
use tokio::sync::{mpsc, oneshot};

use crate::answers::Answers;
use crate::clock;
use crate::config::{Config, ConfigError};
use crate::driver::Message;
use crate::events::{Events, Happened, What};
use crate::external_url::ExternalUrl;
use crate::held::Held;
use crate::metrics::Metrics;

/// A running server, as its readers see it. Cheap to clone.
#[derive(Clone)]
pub struct Handle(Arc<Shared>);

struct Shared {
    known: RwLock<Known>,
    held_by_readers: Held,
    held_by_loop: Held,
    config: RwLock<Arc<Config>>,
    config_file: Option<PathBuf>,
    inbox: mpsc::Sender<Message>,
    metrics: Metrics,
    events: Events,
    answers: Answers,
    journal: Option<Journal>,
    collector: Collector,
    access: Access,
    tls: OnceLock<Tls>,
    started: Timestamp,
    ready: AtomicBool,
    base_path: String,
    external_url: Option<ExternalUrl>,
    listening: OnceLock<SocketAddr>,
}

/// What is known, and what finds it. Behind one lock, so that an answer is of one moment.
struct Known {
    engine: Engine,
    catalogue: Catalogue,
}

/// What a [`Handle`] is made of.
pub(crate) struct Parts {
    pub(crate) engine: Engine,
    pub(crate) config: Arc<Config>,
    pub(crate) config_file: Option<PathBuf>,
    pub(crate) inbox: mpsc::Sender<Message>,
    /// Where there is a store.
    pub(crate) journal: Option<Journal>,
    pub(crate) collector: Collector,
    pub(crate) base_path: String,
    pub(crate) external_url: Option<ExternalUrl>,
}

/// What became of something that was to be done to several errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Done {
    /// To how many it was done.
    pub done: usize,
    /// Those that are not there.
    pub unknown: Vec<AggregateId>,
}

/// Why an action was not done.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ActError {
    /// There is no such error.
    #[error("no error `{}` in service `{}`", _0.key, _0.service)]
    Unknown(AggregateId),
    /// It is done, but the store has not taken it yet: it is written when the store answers.
    #[error("the store does not answer; this is kept in memory until it does")]
    NotStored,
    /// What is stored is not loaded yet.
    #[error("what is stored is not loaded yet")]
    NotReady,
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

/// Why the configuration stays as it was.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// There is no file to read again.
    #[error("started without a configuration file, there is nothing to reload")]
    NoFile,
    /// The file cannot be read, or is wrong.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The server is stopping.
    #[error("the server is stopping")]
    Stopping,
}

impl Handle {
    pub(crate) fn new(parts: Parts) -> Self {
        let access = Access::new(&parts.config.web);
        let started = clock::now();
        Self(Arc::new(Shared {
            known: RwLock::new(Known {
                engine: parts.engine,
                catalogue: Catalogue::new(MemoryIndex::new()),
            }),
            held_by_readers: Held::default(),
            held_by_loop: Held::default(),
            config: RwLock::new(parts.config),
            config_file: parts.config_file,
            inbox: parts.inbox,
            metrics: Metrics::default(),
            events: Events::new(started),
            answers: Answers::default(),
            journal: parts.journal,
            collector: parts.collector,
            access,
            tls: OnceLock::new(),
            started,
            ready: AtomicBool::new(false),
            base_path: parts.base_path,
            external_url: parts.external_url,
            listening: OnceLock::new(),
        }))
    }

    /// Looks at what is known: state, services, targets. Scraping waits meanwhile, so `look` is
    /// to take out what it needs and no longer.
    pub fn read<R>(&self, look: impl FnOnce(&Engine) -> R) -> R {
        self.look(|engine, _| look(engine))
    }

    /// The same with the catalogue, which finds, counts and lists the errors of the engine's state.
    pub fn look<R>(&self, look: impl FnOnce(&Engine, &Catalogue) -> R) -> R {
        let known = self.0.known.read().unwrap_or_else(PoisonError::into_inner);
        self.0.held_by_readers.during(|| look(&known.engine, &known.catalogue))
    }

    /// Shows every error to `look`, some at a time, so that scraping waits for none of it. What changes
    /// meanwhile is seen or not.
    pub(crate) fn each_error(&self, mut look: impl FnMut(ErrorView<'_>)) {
        const AT_ONCE: usize = 256;
        let mut from = Some(ErrorNumber(0));
        while let Some(first) = from {
            from = self.look(|engine, catalogue| {
                catalogue.some(engine.state(), first, AT_ONCE, &mut look)
            });
        }
    }

    /// Every error that is wanted: for whoever wants to do something to all of them.
    pub fn all_wanted(&self, wanted: &Wanted) -> Vec<AggregateId> {
        let now = self.now();
        self.look(|engine, catalogue| catalogue.all_wanted(engine.state(), wanted, now))
    }

    /// Does something to an error, for `by` and because of `why` (both may be empty).
    ///
    /// # Errors
    ///
    /// There is no such error, or no server any more.
    pub async fn act(
        &self,
        id: &AggregateId,
        act: Act,
        by: impl Into<String>,
        why: impl Into<String>,
    ) -> Result<(), ActError> {
        let done = self.act_on(vec![id.clone()], act, by, why).await?;
        match done.unknown.into_iter().next() {
            Some(unknown) => Err(ActError::Unknown(unknown)),
            None => Ok(()),
        }
    }

    /// Does the same to several errors. Those that are not there are told of, and do not keep it
    /// from being done to the others.
    ///
    /// # Errors
    ///
    /// It is not stored yet, or there is no server any more.
    pub async fn act_on(
        &self,
        ids: Vec<AggregateId>,
        act: Act,
        by: impl Into<String>,
        why: impl Into<String>,
    ) -> Result<Done, ActError> {
        let (answer, answered) = oneshot::channel();
        let (by, why) = (by.into(), why.into());
        let message = Message::Act { ids, act, by, why, answer };
        self.0.inbox.send(message).await.map_err(|_| ActError::Stopping)?;
        answered.await.unwrap_or(Err(ActError::Stopping))
    }

    /// Reads the configuration file again and takes it over. Services and targets that did not
    /// change keep their state and their rhythm.
    ///
    /// # Errors
    ///
    /// The file is wrong: nothing has changed.
    pub async fn reload(&self) -> Result<(), ReloadError> {
        let outcome = self.try_reload().await;
        self.0.metrics.reloaded(outcome.is_ok(), self.now());
        match &outcome {
            Ok(()) => tracing::info!("configuration reloaded"),
            Err(error) => {
                tracing::error!(%error, "configuration not reloaded, the old one stays");
                self.0.collector.report(error);
            }
        }
        outcome
    }

    async fn try_reload(&self) -> Result<(), ReloadError> {
        let file = self.0.config_file.clone().ok_or(ReloadError::NoFile)?;
        let read = tokio::task::spawn_blocking(move || Config::load(&file));
        let config = read.await.map_err(|_| ReloadError::Stopping)??;
        self.configure(config).await
    }

    /// Takes another configuration over.
    ///
    /// # Errors
    ///
    /// [`ReloadError::Stopping`].
    pub async fn configure(&self, config: Config) -> Result<(), ReloadError> {
        let before = self.config();
        if config.repository != before.repository {
            tracing::warn!("`repository` has changed, which takes effect at the next start");
        }
        for setting in before.web.needs_restart(&config.web) {
            tracing::warn!("`web`: {setting} has changed, which takes effect at the next start");
        }
        // Who may do nothing any more is not to wait for anything.
        let (handle, web) = (self.clone(), config.web.clone());
        let replaced = tokio::task::spawn_blocking(move || handle.replace_access(&web));
        replaced.await.map_err(|_| ReloadError::Stopping)?;
        let (answer, answered) = oneshot::channel();
        let message = Message::Configure { config: Arc::new(config), answer };
        self.0.inbox.send(message).await.map_err(|_| ReloadError::Stopping)?;
        answered.await.map_err(|_| ReloadError::Stopping)
    }

    /// Blocks for the files.
    fn replace_access(&self, web: &WebConfig) {
        self.0.access.replace(web);
        let replaced = self.tls().zip(web.tls.as_ref()).map(|(tls, web)| tls.replace(web));
        if let Some(Err(error)) = replaced {
            tracing::error!(%error, "the certificates as they were stay in force");
        }
    }

    /// The configuration that is in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.0.config.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// The time, by the clock that everything here goes by.
    pub fn now(&self) -> Timestamp {
        clock::now()
    }

    /// When this process began.
    pub fn started(&self) -> Timestamp {
        self.0.started
    }

    /// Whether it runs, and the stored state is loaded.
    pub fn is_ready(&self) -> bool {
        self.0.ready.load(Ordering::Acquire)
    }

    /// How the store fares; `None` where there is none, and everything is lost with the process.
    pub fn store(&self) -> Option<StoreStatus> {
        self.0.journal.as_ref().map(Journal::status)
    }

    /// Where the pages and the API are mounted: empty, or `/` and what follows, without a slash
    /// at the end. Every link begins with it.
    pub fn base_path(&self) -> &str {
        &self.0.base_path
    }

    /// The URL under which people reach it, where somebody has said so.
    pub fn external_url(&self) -> Option<&ExternalUrl> {
        self.0.external_url.as_ref()
    }

    /// The address that is listened on, if this server listens itself.
    pub fn listening(&self) -> Option<SocketAddr> {
        self.0.listening.get().copied()
    }

    /// The server's own errors, to add to.
    pub fn collector(&self) -> &Collector {
        &self.0.collector
    }

    /// Asks the server to stop. It finishes what it has begun to store.
    pub async fn stop(&self) {
        let (answer, stopped) = oneshot::channel();
        if self.0.inbox.send(Message::Stop { answer }).await.is_ok() {
            // An error says that it has stopped already.
            let _ = stopped.await;
        }
    }

    /// Lets the server prepare to [`stop`](Self::stop): it scrapes no more and stores what it knows.
    pub(crate) async fn wind(&self) {
        // An error says that it has stopped already.
        let _ = self.0.inbox.send(Message::Wind).await;
    }

    /// Who may do what.
    pub fn access(&self) -> &Access {
        &self.0.access
    }

    /// Where it is listened with TLS.
    pub(crate) fn tls(&self) -> Option<&Tls> {
        self.0.tls.get()
    }

    pub(crate) fn set_tls(&self, tls: Tls) {
        // As with the address: a server listens once.
        let _ = self.0.tls.set(tls);
    }

    pub(crate) fn metrics(&self) -> &Metrics {
        &self.0.metrics
    }

    /// A catalogue of everything in a state.
    pub(crate) fn catalogue_of(state: &State) -> Catalogue {
        let mut catalogue = Catalogue::new(MemoryIndex::new());
        catalogue.take_all(state);
        catalogue
    }

    /// For the driver only: everybody else reads.
    pub(crate) fn write<R>(&self, change: impl FnOnce(&mut Engine) -> R) -> R {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        self.0.held_by_loop.during(|| change(&mut known.engine))
    }

    /// For the driver only: everybody else reads. What lists show is another thing afterwards.
    pub(crate) fn change<R>(&self, change: impl FnOnce(&mut Engine, &mut Catalogue) -> R) -> R {
        let changed = {
            let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
            let Known { engine, catalogue } = &mut *known;
            self.0.held_by_loop.during(|| change(engine, catalogue))
        };
        self.0.answers.clear();
        changed
    }

    /// For the driver only. Answers stay what they are.
    pub(crate) fn index_some(&self, most: usize) -> bool {
        let mut known = self.0.known.write().unwrap_or_else(PoisonError::into_inner);
        let Known { engine, catalogue } = &mut *known;
        self.0.held_by_loop.during(|| catalogue.index_some(engine.state(), most))
    }

    /// How long what is known was held, and by whom.
    pub(crate) fn held(&self) -> [(&'static str, &Held); 2] {
        [("loop", &self.0.held_by_loop), ("reader", &self.0.held_by_readers)]
    }

    /// Answers that may be given again.
    pub(crate) fn answers(&self) -> &Answers {
        &self.0.answers
    }

    /// Tells whoever listens, if it happened to an error.
    pub(crate) fn tell(&self, event: &Event) {
        let Event::Error { id, from, to } = event else { return };
        let Some(what) = What::of(*from, *to) else { return };
        let severity = self.read(|e| e.state().error(id).map(|error| error.severity()));
        let (error, at) = (id.clone(), self.now());
        self.0.events.tell(Happened { what, error, from: *from, to: *to, severity, at });
    }

    /// What happens, as it is told to whoever listens.
    pub(crate) fn events(&self) -> &Events {
        &self.0.events
    }

    pub(crate) fn set_config(&self, config: Arc<Config>) {
        *self.0.config.write().unwrap_or_else(PoisonError::into_inner) = config;
    }

    pub(crate) fn journal(&self) -> Option<&Journal> {
        self.0.journal.as_ref()
    }

    pub(crate) fn set_ready(&self, is_ready: bool) {
        self.0.ready.store(is_ready, Ordering::Release);
    }

    pub(crate) fn set_listening(&self, address: SocketAddr) {
        // Set twice only by a server that listens twice; the first address is as good.
        let _ = self.0.listening.set(address);
    }
}
