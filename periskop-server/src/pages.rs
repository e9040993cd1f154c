//! The running server as its pages see it.

use async_trait::async_trait;
use periskop_core::aggregate::Act;
use periskop_core::engine::{self, Engine, ServiceView, TargetView};
use periskop_core::target::Labels;
use periskop_core::{AggregateId, State, Timestamp};
use periskop_http::Tls;
use periskop_storage::persist::StoreStatus;

use crate::api::without_userinfo;
use crate::handle::{ActError, Handle};
use crate::ui::backend::{Backend, Refused};
use crate::ui::build::{Fleet, Instance};
use crate::ui::format;
use crate::ui::text::Text;
use crate::ui::view::{Before, Health, StatusPage, TargetGroup, TargetRow, TargetsPage};

/// Dropped targets shown of one service.
const DROPPED: usize = 100;
/// Reasons shown why something that was found is no target.
const INVALID: usize = 10;

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

    fn read(&self, look: &mut dyn FnMut(&State, &Fleet)) {
        Handle::read(self, |engine| look(engine.state(), &fleet(engine)));
    }

    fn targets(&self) -> TargetsPage {
        let services =
            Handle::read(self, |engine| engine.services().map(|s| group(engine, s)).collect());
        TargetsPage { services }
    }

    fn status(&self) -> StatusPage {
        let (services, targets, errors) = Handle::read(self, |engine| {
            let errors = engine.state().errors().count();
            (engine.services().count(), engine.targets().count(), errors)
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
        let count = |n: usize| Text::new(n.to_string());
        let facts = vec![
            (
                "Server",
                vec![
                    ("Version", Text::new(env!("CARGO_PKG_VERSION"))),
                    ("Running since", Text::new(Handle::started(self).to_string())),
                    ("Listening on", Text::new(address)),
                    ("Who may do what", Text::new(self.access().in_words())),
                    ("Configuration reloaded", Text::new(reload)),
                ],
            ),
            ("Store", store_facts(self.store())),
            (
                "Known",
                vec![
                    ("Services", count(services)),
                    ("Targets", count(targets)),
                    ("Errors", count(errors)),
                ],
            ),
        ];
        StatusPage { facts, config: Text::new(config.to_yaml()), warnings }
    }

    async fn act(&self, id: &AggregateId, act: Act, by: &str) -> Result<(), Refused> {
        Handle::act(self, id, act, by, "").await.map_err(|error| match error {
            ActError::Unknown(_) => Refused::Unknown,
            ActError::NotStored => Refused::NotStored,
            _ => Refused::Unavailable,
        })
    }
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
        let instance = Instance { labels, health: health(target) };
        fleet.add(target.service().clone(), instance);
    }
    fleet
}

fn group(engine: &Engine, service: ServiceView<'_>) -> TargetGroup {
    let mut targets: Vec<TargetRow> = engine.targets_of(service.name()).map(row).collect();
    targets.sort_by(|a, b| {
        let place = |row: &TargetRow| (row.health != Health::Down, row.url.as_str().to_owned());
        place(a).cmp(&place(b))
    });
    let dropped = service.dropped().take(DROPPED);
    let invalid = service.dropped().filter_map(|target| {
        let reason = target.error?.to_string();
        Some(Text::new(format!("{}: {reason}", target.discovered.get("__address__"))))
    });
    let over_limit = service.over_limit().map(|excess| excess.to_string());
    let failing = service.failing_discoveries().map(|(_, reason)| reason.to_owned());
    TargetGroup {
        service: Text::new(service.name().as_str()),
        targets,
        invalid: invalid.take(INVALID).collect(),
        dropped: dropped.map(|target| texts(&target.discovered)).collect(),
        dropped_total: service.dropped_count(),
        problems: over_limit.into_iter().chain(failing).map(Text::new).collect(),
    }
}

fn row(view: TargetView<'_>) -> TargetRow {
    let (target, status) = (view.target(), view.status());
    let error = status.last_error.as_ref().map(ToString::to_string);
    TargetRow {
        url: Text::new(without_userinfo(target.url())),
        health: health(view),
        last_scrape: status.last_scrape,
        took: status.last_scrape.map(|_| status.last_duration),
        error: Text::new(error.unwrap_or_default()),
        before: view.last_state().filter(|_| status.last_scrape.is_none()).map(|last| Before {
            is_up: last.is_up(),
            since: last.since(),
            reason: Text::new(last.reason()),
        }),
        warnings: status.warnings.iter().map(|warning| Text::new(&warning.message)).collect(),
        labels: texts(&target.public_labels()),
        discovered: texts(target.discovered()),
    }
}

fn health(view: TargetView<'_>) -> Health {
    match view.status().health {
        engine::Health::Up => Health::Up,
        engine::Health::Down => Health::Down,
        engine::Health::Unknown => Health::Unknown,
    }
}

fn texts(labels: &Labels) -> Vec<(Text, Text)> {
    labels.iter().map(|(name, value)| (Text::new(name), Text::new(value))).collect()
}
