//! The running server as its pages see it.

mod targets;

use std::collections::BTreeSet;
use std::convert::Infallible;

use async_trait::async_trait;
use periskop_core::aggregate::Act;
use periskop_core::catalogue::Catalogue;
use periskop_core::engine::{Engine, TargetView};
use periskop_core::query::Query;
use periskop_core::{AggregateId, ServiceName, State, Timestamp};
use periskop_http::Tls;
use periskop_storage::persist::StoreStatus;

use crate::answers::Answer;
use crate::handle::{ActError, Handle};
use crate::ui::backend::{Backend, Made, Refused};
use crate::ui::build::{Fleet, Instance};
use crate::ui::format;
use crate::ui::target_filter::TargetFilter;
use crate::ui::text::Text;
use crate::ui::view::{StatusPage, TargetsPage};

#[async_trait]
impl Backend for Handle {
    fn base_path(&self) -> &str {
        Handle::base_path(self)
    }

    fn now(&self) -> Timestamp {
        Handle::now(self)
    }

    fn started(&self) -> Timestamp {
        Handle::started(self)
    }

    fn notice(&self) -> Option<String> {
        let store = self.store()?;
        let trouble = store.trouble()?;
        let means = match store.is_loaded {
            true => "What people do and what is found now is kept in memory until it answers.",
            false => {
                "Until it is loaded, what was resolved shows as open, older errors are missing, \
                 and nothing can be resolved."
            }
        };
        Some(format!("The store: {trouble}. {means}"))
    }

    fn read(&self, look: &mut dyn FnMut(&State, &Catalogue, &dyn Fleet)) {
        Handle::look(self, |engine, catalogue| look(engine.state(), catalogue, &Scraped(engine)));
    }

    async fn searchable(&self, query: &Query) -> Result<(), Refused> {
        Handle::searchable(self, query).await.map_err(|_| Refused::StillIndexing)
    }

    async fn page(&self, name: String, make: &(dyn Fn() -> Made + Send + Sync)) -> Made {
        let made = self.answers().get(name, Handle::now(self), || {
            let (status, page) = make();
            Ok::<_, Infallible>(Answer::new(status, page))
        });
        let Ok(answer) = made.await;
        (answer.status, answer.body)
    }

    fn targets(&self, filter: TargetFilter) -> TargetsPage {
        Handle::read(self, |engine| targets::targets(engine, filter))
    }

    fn status(&self) -> StatusPage {
        let (known, replica) = Handle::look(self, |engine, catalogue| {
            let (state, errors) = (engine.state(), catalogue.len());
            let known = vec![
                ("Services", count(engine.services().count())),
                ("Targets", count(engine.services().map(|s| s.target_count()).sum::<usize>())),
                ("Errors", count(errors)),
                ("Sources of counts", count(state.source_count())),
            ];
            (known, engine.observer().id().to_string())
        });
        let config = self.config();
        let reload = match self.metrics().last_reload() {
            None => "never".to_owned(),
            Some((true, at)) => at.map_or_else(String::new, |at| at.to_string()),
            Some((false, _)) => "failed; the configuration before it is in force".to_owned(),
        };
        let listening = self.listening();
        let address = listening.map_or_else(|| "as embedded".to_owned(), |a| a.to_string());
        let mut warnings = Vec::new();
        let is_public = listening.is_some_and(|a| !a.ip().to_canonical().is_loopback());
        if is_public && self.access().is_open() {
            warnings.push(Text::new(format!(
                "Whoever reaches {address} can see and resolve every error: there is no access control."
            )));
        }
        if let Some(trouble) = self.tls().and_then(Tls::trouble) {
            let stays = "The certificates as they were stay in force";
            warnings.push(Text::new(format!("{stays}: {trouble}")));
        }
        if matches!(self.metrics().last_reload(), Some((false, _))) {
            warnings.push(Text::new("The configuration file could not be read when it last was."));
        }
        let base = if self.base_path().is_empty() { "/" } else { self.base_path() };
        let profile = if cfg!(debug_assertions) { "debug" } else { "release" };
        let platform = format!("{}, {}", std::env::consts::OS, std::env::consts::ARCH);
        let facts = vec![
            (
                "Build",
                vec![
                    ("Version", Text::new(env!("CARGO_PKG_VERSION"))),
                    ("Platform", Text::new(platform)),
                    ("Profile", Text::new(profile)),
                ],
            ),
            (
                "Run time",
                vec![
                    ("Running since", Text::new(Handle::started(self).to_string())),
                    ("Time of this server", Text::new(Handle::now(self).to_string())),
                    ("Listening on", Text::new(address)),
                    ("Mounted at", Text::new(base)),
                    ("Who may do what", Text::new(self.access().in_words())),
                    ("Configuration reloaded", Text::new(reload)),
                    ("Name as a replica", Text::new(replica)),
                ],
            ),
            ("Store", store_facts(self.store())),
            ("Known", known),
        ];
        StatusPage { facts, config: Text::new(config.to_yaml()), warnings }
    }

    async fn act(&self, id: &AggregateId, act: Act, by: &str, why: &str) -> Result<(), Refused> {
        Handle::act(self, id, act, by, why).await.map_err(|error| match error {
            ActError::Unknown(_) => Refused::Unknown,
            ActError::NotStored => Refused::NotStored,
            _ => Refused::Unavailable,
        })
    }

    async fn act_on(
        &self,
        ids: &[AggregateId],
        act: Act,
        by: &str,
        why: &str,
    ) -> Result<usize, Refused> {
        match Handle::act_on(self, ids.to_vec(), act, by, why).await {
            Ok(done) => Ok(done.done),
            Err(ActError::NotStored) => Err(Refused::NotStored),
            Err(_) => Err(Refused::Unavailable),
        }
    }
}

fn count(n: usize) -> Text {
    Text::new(format::exact(n))
}

fn store_facts(store: Option<StoreStatus>) -> Vec<(&'static str, Text)> {
    let Some(store) = store else {
        return vec![("Kept in", Text::new("memory: lost when this process ends"))];
    };
    let fares = match (store.is_loaded, store.is_up) {
        (true, true) => format!("works, since {}", store.since),
        (true, false) => format!("does not, since {}", store.since),
        (false, _) => "what is stored is not loaded yet".to_owned(),
    };
    let waiting = match store.pending {
        0 => "nothing".to_owned(),
        errors => format!("what changed of {}", format::plural(errors, "error")),
    };
    let mut facts = vec![
        ("Kept in", Text::new(store.name)),
        ("How it fares", Text::new(fares)),
        ("Waits to be written", Text::new(waiting)),
    ];
    facts.extend(store.last_error.map(|error| ("Last failure", Text::new(error))));
    facts
}

/// The instances that an engine has scraped.
struct Scraped<'a>(&'a Engine);

impl Fleet for Scraped<'_> {
    fn services(&self) -> Vec<&ServiceName> {
        self.0.services().map(|service| service.name()).collect()
    }

    fn count(&self, service: &ServiceName) -> (usize, usize) {
        let known = self.0.service(service);
        known.map_or((0, 0), |service| (service.target_count(), service.healths().up))
    }

    fn instances(&self, service: &ServiceName) -> Vec<Instance> {
        let instance = |target: TargetView<'_>| {
            let labels = target.target().public_labels();
            Instance { labels, health: targets::health(target) }
        };
        self.0.targets_of(service).map(instance).collect()
    }

    fn label_names(&self, most: usize) -> BTreeSet<&str> {
        let labels = self.0.targets().take(most).flat_map(|target| target.target().labels().iter());
        labels.map(|(name, _)| name).filter(|name| !name.starts_with("__")).collect()
    }
}
