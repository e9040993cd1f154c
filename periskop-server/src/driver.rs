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
use periskop_core::observer::Pruned;
use periskop_core::storage::{Storage, StorageError};
use periskop_core::target::TargetId;
use periskop_core::{AggregateId, Delta, HttpContext, Observer, ServiceName};
use periskop_storage::persist::{News, Store};
use tokio::sync::{mpsc, oneshot};
use tokio::task::{Id, JoinError, JoinSet};

use crate::api::without_userinfo;
use crate::clock;
use crate::config::Config;
use crate::handle::{ActError, Done, Handle};
use crate::indexing::Indexing;
use crate::providers::{Providers, Told};
use crate::scraper::{Failure, Scrape, Scraper};

/// Messages that may wait for the loop. Senders wait beyond it.
pub(crate) const INBOX: usize = 1024;

/// The longest sleep: a clock that was set forward is noticed by then.
const LONGEST_SLEEP: Duration = Duration::from_secs(10);

/// How long people wait for what they did to be durable, and a stop for everything to be.
const STORE_WITHIN: Duration = Duration::from_secs(2);
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// How often what is remembered of departed targets is dropped.
const CLEANING: Duration = Duration::from_secs(60);

/// Something that happened outside.
pub(crate) enum Message {
    /// A discovery told something.
    Told(Told),
    /// Somebody does something to errors.
    Act {
        ids: Vec<AggregateId>,
        act: Act,
        by: String,
        why: String,
        answer: oneshot::Sender<Result<Done, ActError>>,
    },
    /// There is another configuration.
    Configure { config: Arc<Config>, answer: Answer },
    /// It will be time to go: nothing is scraped any more, and what is known is stored. Who still has
    /// a request under way may act.
    Wind,
    /// It is time to go.
    Stop { answer: Answer },
}

/// Told when something is done.
pub(crate) type Answer = oneshot::Sender<()>;

/// Drives the engine. See the [module](self).
pub(crate) struct Driver {
    handle: Handle,
    inbox: mpsc::Receiver<Message>,
    providers: Providers,
    store: Option<Store>,
    scraper: Arc<Scraper>,
    /// What discoveries told before anything was begun.
    early: Vec<Told>,
    scrapes: JoinSet<Scrape>,
    /// Whose scrape a task is.
    under_way: HashMap<Id, ScrapeRequest>,
    /// Whether nothing is scraped any more.
    is_winding: bool,
    indexing: Indexing,
}

impl Driver {
    /// Begins to load what is in `storage`, whose journal the handle has.
    pub(crate) fn new(
        handle: Handle,
        inbox: mpsc::Receiver<Message>,
        providers: Providers,
        storage: Option<Box<dyn Storage>>,
    ) -> Self {
        let store = storage.zip(handle.journal().cloned()).map(|(storage, journal)| {
            let fresh = handle.read(|engine| engine.observer().id());
            let collector = handle.collector().clone();
            Store::open(storage, journal, fresh, move |error| {
                collector.record(Capture::of(error).key("store"));
            })
        });
        Self {
            handle,
            inbox,
            providers,
            store,
            scraper: Arc::new(Scraper::new()),
            early: Vec::new(),
            scrapes: JoinSet::new(),
            under_way: HashMap::new(),
            is_winding: false,
            indexing: Indexing::default(),
        }
    }

    /// Runs until it is told to stop.
    ///
    /// # Errors
    ///
    /// The store cannot be used.
    pub(crate) async fn run(mut self) -> Result<(), StorageError> {
        let taken = self.take_up().await?;
        if let TakenUp::Stop { asked } = taken {
            return self.stop(asked).await;
        }
        self.configure(&self.handle.config());
        for told in std::mem::take(&mut self.early) {
            self.take_told(told);
        }
        self.handle.set_ready(matches!(taken, TakenUp::Everything));
        let mut next_cleaning = clock::now().plus(CLEANING);
        loop {
            self.do_what_follows();
            self.indexing.turn(&self.handle);
            let due = self.handle.read(Engine::poll_timeout);
            let until_due = due.map_or(LONGEST_SLEEP, |due| due.since(clock::now()));
            tokio::select! {
                message = self.inbox.recv() => match message {
                    Some(Message::Stop { answer }) => return self.stop(Some(answer)).await,
                    Some(message) => self.take(message),
                    None => return self.stop(None).await,
                },
                Some(ended) = self.scrapes.join_next_with_id() => {
                    self.take_scrape(ended);
                    // Those that have ended meanwhile cost no turn of their own.
                    while let Some(ended) = self.scrapes.try_join_next_with_id() {
                        self.take_scrape(ended);
                    }
                }
                news = news_of(&mut self.store) => self.take_news(news?),
                // The next turn indexes, after whoever waits for this thread.
                () = tokio::task::yield_now(), if self.indexing.is_due() => {}
                () = tokio::time::sleep(until_due.min(LONGEST_SLEEP)) => {}
            }
            let now = clock::now();
            if now >= next_cleaning {
                next_cleaning = now.plus(CLEANING);
                self.forget_departed();
            }
            // What has become due since is asked for in the next turn.
            if due.is_some_and(|due| due <= now) {
                self.handle.write(|engine| engine.handle_timeout(now));
            }
        }
    }

    /// Waits for what is stored, unless that takes long: scraping is not to wait for a store that
    /// is away. It then begins under a name that is random, as a process without a store does:
    /// what was resolved shows until it is known that it was, and nothing that is new is hidden.
    async fn take_up(&mut self) -> Result<TakenUp, StorageError> {
        if self.store.is_none() {
            return Ok(TakenUp::Everything);
        }
        let refused = refuse_until_stopped(&mut self.inbox, &mut self.early, &self.handle);
        let news = tokio::select! {
            asked = refused => return Ok(TakenUp::Stop { asked }),
            news = news_of(&mut self.store) => news?,
        };
        let News::Loaded { id, state } = news else { return Ok(TakenUp::Nothing) };
        let now = clock::now();
        let settings = self.handle.config().state;
        let observer = Observer::restore(id, settings, now, state);
        let mut engine = Engine::new(observer, now);
        self.handle.change(|known, _| std::mem::swap(known, &mut engine));
        self.list_anew();
        Ok(TakenUp::Everything)
    }

    /// What the store holds is joined, and is not written back to it.
    fn take_news(&mut self, news: News) {
        let now = clock::now();
        match news {
            News::Late => {}
            News::Learned(state) => self.handle.write(|e| e.handle_stored(now, &state)),
            News::Loaded { state, .. } => {
                // Under the name that it has: other processes may have taken the stored one.
                self.handle.write(|engine| engine.handle_stored(now, &state));
                self.handle.set_ready(true);
                tracing::info!("what is stored is loaded now");
            }
        }
    }

    /// Scrapes end where they are; what was answered is taken.
    fn wind(&mut self) {
        self.is_winding = true;
        self.scrapes.abort_all();
    }

    async fn stop(&mut self, asked: Option<Answer>) -> Result<(), StorageError> {
        self.wind();
        while let Some(ended) = self.scrapes.join_next_with_id().await {
            self.take_scrape(ended);
        }
        self.do_what_follows();
        let stopped = match self.store.take() {
            Some(store) => store.finish(STOP_WITHIN).await,
            None => Ok(()),
        };
        if let Some(answer) = asked {
            // Whoever asked may be gone.
            let _ = answer.send(());
        }
        stopped
    }

    fn take(&mut self, message: Message) {
        // Whoever asked may be gone; it is done all the same.
        match message {
            Message::Told(told) => self.take_told(told),
            Message::Act { answer, .. } if !self.handle.is_ready() => {
                let _ = answer.send(Err(ActError::NotReady));
            }
            Message::Act { ids, act, by, why, answer } => {
                let done = self.act(ids, act, &by, &why);
                let Some(store) = self.store.as_ref().filter(|_| done.done > 0) else {
                    let _ = answer.send(Ok(done));
                    return;
                };
                let journal = store.journal().clone();
                tokio::spawn(async move {
                    let stored = tokio::time::timeout(STORE_WITHIN, journal.durable()).await;
                    let is_stored = stored.unwrap_or(false);
                    let _ =
                        answer.send(if is_stored { Ok(done) } else { Err(ActError::NotStored) });
                });
            }
            Message::Configure { config, answer } => {
                self.configure(&config);
                self.handle.set_config(config);
                let _ = answer.send(());
            }
            Message::Wind => {
                self.wind();
                if let Some(store) = &self.store {
                    let journal = store.journal().clone();
                    // Begins to write now, while requests under way end.
                    tokio::spawn(async move { journal.durable().await });
                }
            }
            Message::Stop { .. } => {}
        }
    }

    /// One at a time, so that readers get in between.
    fn act(&mut self, ids: Vec<AggregateId>, act: Act, by: &str, why: &str) -> Done {
        let mut done = Done::default();
        for id in ids {
            let (now, action) = (clock::now(), ActionId(rand::random()));
            match self.handle.write(|e| e.handle_act(now, &id, action, act, by, why)) {
                Ok(()) => done.done += 1,
                Err(_) => done.unknown.push(id),
            }
            self.do_what_follows();
        }
        done
    }

    fn configure(&mut self, config: &Config) {
        self.scraper.configure(&config.services, &config.redact);
        let (specs, failures) = self.providers.configure(&config.services);
        for failure in failures {
            self.take_told(failure);
        }
        let now = clock::now();
        let kept = self.handle.change(|engine, _| {
            let kept = engine.observer().settings().occurrences_per_error;
            engine.handle_settings(now, config.state);
            engine.handle_services(now, specs);
            kept
        });
        if config.state.occurrences_per_error != kept {
            self.list_anew();
        }
        self.forget_departed();
    }

    /// Lists everything anew. Takes a while, in which others read on: nothing changes but here.
    fn list_anew(&mut self) {
        let mut catalogue = self.handle.read(|engine| Handle::catalogue_of(engine.state()));
        // What it takes the place of goes when nobody waits for it any more.
        self.handle.change(|_, known| std::mem::swap(known, &mut catalogue));
        self.indexing.begin();
    }

    fn take_told(&mut self, told: Told) {
        let now = clock::now();
        let Told { service, provider, mechanism, outcome } = told;
        match outcome {
            Ok(groups) => {
                // Lists tell how many instances there are, and which labels.
                let take = |engine: &mut Engine| {
                    engine.handle_groups(now, &service, provider, groups);
                };
                self.handle.change(|engine, _| take(engine));
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
            Err(error) if error.is_cancelled() => {
                self.under_way.remove(&error.id());
                return;
            }
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
                Output::Changed(delta) => {
                    self.follow(&delta);
                    if let Some(store) = &self.store {
                        store.journal().changed(delta);
                    }
                }
                Output::Pruned(pruned) => {
                    self.handle.metrics().pruned(pruned.errors.len(), pruned.count());
                    self.note_pruned(pruned);
                }
                Output::CrowdedOut(gone) => self.note_pruned(gone),
                Output::Event(event) => {
                    // Pages tell how many instances are up.
                    self.handle.answers().clear();
                    tell(&event);
                    self.handle.tell(&event);
                }
                // The store has it.
                Output::Learned(delta) => self.follow(&delta),
                _ => {}
            }
        }
    }

    fn follow(&mut self, delta: &Delta) {
        self.handle.change(|engine, catalogue| catalogue.take(engine.state(), delta));
        self.indexing.begin();
        if !delta.changed().is_empty() {
            self.handle.events().changed();
        }
    }

    fn note_pruned(&self, pruned: Pruned) {
        self.handle.change(|engine, catalogue| catalogue.take_pruned(engine.state(), &pruned));
        self.handle.events().changed();
        if let Some(store) = &self.store {
            store.journal().pruned(pruned);
        }
    }

    fn scrape(&mut self, request: ScrapeRequest) {
        if self.is_winding {
            return;
        }
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

/// What a driver begins with.
enum TakenUp {
    /// All there is.
    Everything,
    /// Nothing: it has not been loaded yet.
    Nothing,
    /// Nothing is to be begun.
    Stop { asked: Option<Answer> },
}

impl Drop for Driver {
    /// However it ends: what answers without it is not up to date for long.
    fn drop(&mut self) {
        self.handle.set_ready(false);
        self.handle.events().close();
    }
}

/// What is to be known of the store; nothing where there is none.
async fn news_of(store: &mut Option<Store>) -> Result<News, StorageError> {
    match store {
        Some(store) => store.news().await,
        None => std::future::pending().await,
    }
}

/// Answers until the server is to stop: nothing can be done before the state is loaded.
async fn refuse_until_stopped(
    inbox: &mut mpsc::Receiver<Message>,
    early: &mut Vec<Told>,
    handle: &Handle,
) -> Option<Answer> {
    loop {
        match inbox.recv().await {
            Some(Message::Told(told)) => early.push(told),
            Some(Message::Act { answer, .. }) => drop(answer.send(Err(ActError::NotReady))),
            Some(Message::Configure { config, answer }) => {
                // It is what is begun with.
                handle.set_config(config);
                let _ = answer.send(());
            }
            Some(Message::Wind) => {}
            Some(Message::Stop { answer }) => return Some(answer),
            None => return None,
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

#[cfg(test)]
mod tests;
