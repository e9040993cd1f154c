//! The one loop: it alone changes the engine, and does what the engine asks for.
//!
//! Everything that happens comes in as a [`Message`] or as the end of a scrape; whatever follows
//! from it comes out of the engine. Absent on purpose: decisions. When to scrape, what a result
//! means and what is forgotten is decided in core, without a clock.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use periskop_client::{Capture, Severity};
use periskop_core::aggregate::{Act, ActionId};
use periskop_core::engine::{
    Engine, Event, Health, Output, ScrapeFailure, ScrapeRequest, ScrapeResult,
};
use periskop_core::storage::{Storage, StorageError};
use periskop_core::target::TargetId;
use periskop_core::{AggregateId, HttpContext, Observer, ReplicaId, ServiceName, State};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};

use crate::api::without_userinfo;
use crate::clock;
use crate::config::Config;
use crate::handle::{ActError, Handle};
use crate::persist::Journal;
use crate::providers::{Providers, Told};
use crate::scraper::{Failure, Scrape, Scraper};

/// Messages that may wait for the loop. Senders wait beyond it.
pub(crate) const INBOX: usize = 1024;

/// The longest sleep: a clock that was set forward is noticed by then.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// How long people wait for what they did to be durable, and a stop for everything to be.
const STORE_WITHIN: Duration = Duration::from_secs(2);
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The pause before a store that could not be loaded is tried again: from the first to the second.
const LOAD_RETRY: (Duration, Duration) = (Duration::from_millis(500), Duration::from_secs(30));

/// How often what is remembered of departed targets is dropped.
const CLEANING: Duration = Duration::from_secs(60);

/// Something that happened outside.
pub(crate) enum Message {
    /// A discovery told something.
    Told(Told),
    /// Somebody does something to an error.
    Act {
        id: AggregateId,
        act: Act,
        by: String,
        why: String,
        answer: oneshot::Sender<Result<(), ActError>>,
    },
    /// There is another configuration.
    Configure { config: Arc<Config>, answer: oneshot::Sender<()> },
    /// It is time to go.
    Stop { answer: oneshot::Sender<()> },
}

/// Drives the engine. See the [module](self).
pub(crate) struct Driver {
    handle: Handle,
    inbox: mpsc::Receiver<Message>,
    providers: Providers,
    storage: Option<Box<dyn Storage>>,
    journal: Journal,
    scraper: Arc<Scraper>,
    /// What discoveries told before the state was loaded.
    early: Vec<Told>,
    scrapes: JoinSet<Scrape>,
    /// Whose scrape a task is.
    under_way: HashMap<Id, ScrapeRequest>,
}

impl Driver {
    pub(crate) fn new(
        handle: Handle,
        inbox: mpsc::Receiver<Message>,
        providers: Providers,
        storage: Option<Box<dyn Storage>>,
    ) -> Self {
        Self {
            handle,
            inbox,
            providers,
            storage,
            journal: Journal::default(),
            scraper: Arc::new(Scraper::new()),
            early: Vec::new(),
            scrapes: JoinSet::new(),
            under_way: HashMap::new(),
        }
    }

    /// Runs until it is told to stop.
    pub(crate) async fn run(mut self) {
        let Some(writer) = self.load().await else { return };
        self.configure(&self.handle.config());
        for told in std::mem::take(&mut self.early) {
            self.take_told(told);
        }
        self.handle.set_ready();
        let mut next_cleaning = clock::now().plus(CLEANING);
        loop {
            self.do_what_follows();
            let due = self.handle.read(Engine::poll_timeout);
            let until_due = due.map_or(LONGEST_SLEEP, |due| due.since(clock::now()));
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(Message::Stop { answer }) => {
                        self.stop().await;
                        // Whoever asked may be gone.
                        let _ = answer.send(());
                        break;
                    }
                    Some(message) => self.take(message),
                    None => break,
                },
                Some(ended) = self.scrapes.join_next_with_id() => self.take_scrape(ended),
                () = tokio::time::sleep(until_due.min(LONGEST_SLEEP)) => {}
            }
            let now = clock::now();
            if now >= next_cleaning {
                next_cleaning = now.plus(CLEANING);
                self.forget_departed();
            }
            if self.handle.read(Engine::poll_timeout).is_some_and(|due| due <= now) {
                self.handle.write(|engine| engine.handle_timeout(now));
            }
        }
        drop(writer);
    }

    /// Takes up what is stored, for as long as it takes: a store that is away is waited for.
    /// `None` when the server is to stop before.
    async fn load(&mut self) -> Option<JoinSet<()>> {
        let mut writers = JoinSet::new();
        let Some(mut storage) = self.storage.take() else { return Some(writers) };
        let mut pause = LOAD_RETRY.0;
        let loaded = loop {
            tokio::select! {
                biased;
                () = refuse_until_stopped(&mut self.inbox, &mut self.early, &self.handle) => {
                    return None;
                }
                loaded = load(&mut *storage) => match loaded {
                    Ok(loaded) => break loaded,
                    Err(error) => note_store_failure(&self.handle, &error),
                },
            }
            tokio::select! {
                () = refuse_until_stopped(&mut self.inbox, &mut self.early, &self.handle) => {
                    return None;
                }
                () = tokio::time::sleep(pause) => pause = (pause * 2).min(LOAD_RETRY.1),
            }
        };
        let (id, state) = loaded;
        let now = clock::now();
        let settings = self.handle.config().state;
        let observer = Observer::restore(id, settings, now, state);
        self.handle.write(|engine| *engine = Engine::new(observer, now));
        let handle = self.handle.clone();
        let (journal, writer) =
            Journal::new(storage, move |error| note_store_failure(&handle, error));
        self.journal = journal;
        writers.spawn(writer);
        Some(writers)
    }

    async fn stop(&mut self) {
        self.scrapes.shutdown().await;
        self.do_what_follows();
        if tokio::time::timeout(STOP_WITHIN, self.journal.durable()).await.is_err() {
            tracing::error!("the store does not answer, what changed last is lost");
        }
    }

    fn take(&mut self, message: Message) {
        let now = clock::now();
        match message {
            Message::Told(told) => self.take_told(told),
            Message::Act { id, act, by, why, answer } => {
                let action = ActionId(rand::random());
                let done = self.handle.write(|e| e.handle_act(now, &id, action, act, &by, &why));
                self.do_what_follows();
                // Whoever asked may be gone, here and below; it is done all the same.
                if done.is_err() {
                    let _ = answer.send(Err(ActError::Unknown(id)));
                    return;
                }
                let journal = self.journal.clone();
                tokio::spawn(async move {
                    let stored = tokio::time::timeout(STORE_WITHIN, journal.durable()).await;
                    let _ = answer.send(stored.map_err(|_| ActError::NotStored));
                });
            }
            Message::Configure { config, answer } => {
                self.configure(&config);
                self.handle.set_config(config);
                let _ = answer.send(());
            }
            Message::Stop { .. } => {}
        }
    }

    fn configure(&mut self, config: &Config) {
        self.scraper.configure(&config.services, &config.redact);
        let (specs, failures) = self.providers.configure(&config.services);
        for failure in failures {
            self.take_told(failure);
        }
        let now = clock::now();
        self.handle.write(|engine| {
            engine.handle_settings(now, config.state);
            engine.handle_services(now, specs);
        });
        self.forget_departed();
    }

    fn take_told(&mut self, told: Told) {
        let now = clock::now();
        let Told { service, provider, mechanism, outcome } = told;
        match outcome {
            Ok(groups) => {
                self.handle.write(|engine| engine.handle_groups(now, &service, provider, groups));
            }
            Err(error) => {
                self.handle.metrics().discovery_failed(mechanism);
                let class = format!("{mechanism}_sd");
                self.handle
                    .collector()
                    .record(Capture::of(&error).severity(Severity::Warning).key(class));
                let reason = error.to_string();
                self.handle.write(|engine| {
                    engine.handle_discovery_failure(now, &service, provider, reason);
                });
            }
        }
    }

    fn take_scrape(&mut self, ended: Result<(Id, Scrape), JoinError>) {
        let (id, scrape) = match ended {
            Ok((id, scrape)) => (id, scrape),
            Err(error) => {
                self.handle.collector().report(&error);
                (error.id(), Scrape::failed(Failure::Internal))
            }
        };
        let Some(request) = self.under_way.remove(&id) else { return };
        self.handle.metrics().scraped(&request.service, &scrape);
        let Scrape { duration, outcome, .. } = scrape;
        let outcome = outcome.map_err(|failure| {
            self.note_failure(&request, &failure);
            ScrapeFailure { reason: failure.to_string(), position: None }
        });
        let result = ScrapeResult { target: request.target, duration, outcome };
        let now = clock::now();
        self.handle.write(|engine| engine.handle_scrape(now, result));
    }

    /// Failed scrapes are errors of ours as well, as in the reference: by kind, with the request.
    fn note_failure(&self, request: &ScrapeRequest, failure: &Failure) {
        let http = HttpContext {
            method: Some("GET".into()),
            url: Some(without_userinfo(&request.url)),
            ..HttpContext::default()
        };
        let capture = Capture::of(failure)
            .severity(Severity::Warning)
            .key(format!("scrape-{}", failure.reason()))
            .http(http);
        self.handle.collector().record(capture);
    }

    fn do_what_follows(&mut self) {
        loop {
            // One at a time, so that readers get in between.
            let Some(output) = self.handle.write(Engine::poll_output) else { return };
            match output {
                Output::Scrape(request) => self.scrape(request),
                Output::Changed(delta) => self.journal.changed(delta),
                Output::Pruned(pruned) => {
                    self.handle.metrics().pruned(pruned.errors.len(), pruned.count());
                    self.journal.pruned(pruned);
                }
                Output::CrowdedOut(gone) => self.journal.pruned(gone),
                Output::Event(event) => tell(&event),
                _ => {}
            }
        }
    }

    fn scrape(&mut self, request: ScrapeRequest) {
        let scraper = Arc::clone(&self.scraper);
        let what = request.clone();
        let task = self.scrapes.spawn(async move { scraper.scrape(&what, clock::now).await });
        self.under_way.insert(task.id(), request);
    }

    fn forget_departed(&self) {
        let active: HashSet<TargetId> = self
            .handle
            .read(|engine| engine.targets().map(|target| target.target().id()).collect());
        self.scraper.retain(|target| active.contains(target));
        let services: HashSet<ServiceName> =
            self.handle.read(|engine| engine.services().map(|s| s.name().clone()).collect());
        self.handle.metrics().retain(|service| services.contains(service));
    }
}

/// Who this process is, and what is stored.
async fn load(storage: &mut dyn Storage) -> Result<(ReplicaId, State), StorageError> {
    let id = storage.identify(ReplicaId::from_u64(rand::random())).await?;
    Ok((id, storage.load().await?.state))
}

fn note_store_failure(handle: &Handle, error: &StorageError) {
    tracing::error!(%error, "the store failed, it is tried again");
    handle.metrics().store_failed();
    handle.collector().record(Capture::of(error).key("store"));
}

/// Answers until the server is to stop: nothing can be done before the state is loaded.
async fn refuse_until_stopped(
    inbox: &mut mpsc::Receiver<Message>,
    early: &mut Vec<Told>,
    handle: &Handle,
) {
    loop {
        match inbox.recv().await {
            Some(Message::Told(told)) => early.push(told),
            Some(Message::Act { answer, .. }) => drop(answer.send(Err(ActError::NotReady))),
            Some(Message::Configure { config, answer }) => {
                // It is what is begun with once the state is loaded.
                handle.set_config(config);
                let _ = answer.send(());
            }
            Some(Message::Stop { answer }) => {
                let _ = answer.send(());
                return;
            }
            None => return,
        }
    }
}

/// Says in the log what somebody may want to know.
fn tell(event: &Event) {
    match event {
        Event::Target { service, url, health, failure, .. } => {
            let url = without_userinfo(url);
            match (health, failure) {
                (Health::Down, Some(reason)) => {
                    let reason = reason.to_string();
                    tracing::warn!(service = service.as_str(), url, reason, "target is down");
                }
                _ => tracing::info!(service = service.as_str(), url, %health, "target changed"),
            }
        }
        Event::Discovery { service, failure: Some(reason), .. } => {
            tracing::warn!(
                service = service.as_str(),
                reason,
                "discovery fails, the last targets stay"
            );
        }
        Event::Discovery { service, failure: None, .. } => {
            tracing::info!(service = service.as_str(), "discovery works again");
        }
        Event::Error { id, from: None, to: Some(_) } => {
            tracing::debug!(service = id.service.as_str(), key = id.key.as_str(), "new error");
        }
        _ => {}
    }
}
