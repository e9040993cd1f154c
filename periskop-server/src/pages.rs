//! The running server as its pages see it.

mod targets;

use async_trait::async_trait;
use periskop_core::aggregate::Act;
use periskop_core::catalogue::Catalogue;
use periskop_core::engine::Engine;
use periskop_core::{AggregateId, State, Timestamp};
use periskop_http::Tls;
use periskop_storage::persist::StoreStatus;

use crate::handle::{ActError, Handle};
use crate::ui::backend::{Backend, Refused};
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

    fn read(&self, look: &mut dyn FnMut(&State, &Catalogue, &Fleet)) {
        Handle::look(self, |engine, catalogue| look(engine.state(), catalogue, &fleet(engine)));
    }

    fn targets(&self, filter: TargetFilter) -> TargetsPage {
        Handle::read(self, |engine| targets::targets(engine, filter))
    }

    fn status(&self) -> StatusPage {
        let (known, replica) = Handle::read(self, |engine| {
            let state = engine.state();
            let known = vec![
                ("Services", count(engine.services().count())),
                ("Targets", count(engine.targets().count())),
                ("Errors", count(state.errors().count())),
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

fn fleet(engine: &Engine) -> Fleet {
    let mut fleet = Fleet::default();
    for service in engine.services() {
        fleet.add_service(service.name().clone());
    }
    for target in engine.targets() {
        let labels = target.target().public_labels();
        let instance = Instance { labels, health: targets::health(target) };
        fleet.add(target.service().clone(), instance);
    }
    fleet
}
