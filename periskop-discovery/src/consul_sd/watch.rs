//! When is asked: one task for the catalogue, one for each service.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use periskop_core::discovery::DiscoveryError;
use periskop_core::target::TargetGroup;
use tokio::sync::mpsc;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::{Instant, Interval, MissedTickBehavior, interval, sleep, timeout_at};

use super::agent::{Agent, Indexed, Services};
use super::labels::{Entry, group};
use crate::watching::Teller;

/// How long a watch waits after an error, as in Prometheus.
pub(super) const RETRY: Duration = Duration::from_secs(15);
/// How long the first full sync waits for a service that does not answer.
const FIRST_SYNC: Duration = Duration::from_secs(10);
/// How many answers may wait to be looked at.
const AHEAD: usize = 64;

/// Which services are wanted, where the catalogue has more.
pub(super) struct Scope {
    /// Names; empty: all.
    pub(super) services: Vec<String>,
    /// Tags that a service must have.
    pub(super) tags: Vec<String>,
}

impl Scope {
    fn has(&self, name: &str, tags: &[String]) -> bool {
        (self.services.is_empty() || self.services.iter().any(|wanted| wanted == name))
            && self.tags.iter().all(|wanted| tags.contains(wanted))
    }
}

/// A watch that has not begun.
pub(super) struct Watch<A> {
    pub(super) agent: A,
    pub(super) scope: Scope,
    /// Whether the catalogue says which services there are; otherwise `scope` does.
    pub(super) asks_catalogue: bool,
    /// `None`: that of the agent.
    pub(super) datacenter: Option<String>,
    pub(super) tag_separator: String,
    pub(super) pace: Pace,
}

/// When is asked again.
#[derive(Clone, Copy, Debug)]
pub(super) struct Pace {
    /// How often each question is asked at most.
    pub(super) every: Duration,
    /// How long an error is waited out.
    pub(super) retry: Duration,
}

impl Pace {
    fn ticks(self) -> Interval {
        let mut ticks = interval(self.every);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        ticks
    }
}

enum Event {
    Catalogue(Services),
    Instances(Service, Vec<Entry>),
    Failed(Option<Service>, DiscoveryError),
}

/// A service, and the how many-th watch it is of: what an ended one has still said is no news.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Service {
    name: String,
    number: u64,
}

impl<A: Agent> Watch<A> {
    pub(super) async fn run(self, teller: Teller) {
        let Self { agent, scope, asks_catalogue, datacenter, tag_separator, pace } = self;
        let agent = Arc::new(agent);
        let datacenter = match datacenter {
            Some(name) => name,
            None => own_datacenter(agent.as_ref(), &teller, pace).await,
        };
        let (events, told) = mpsc::channel(AHEAD);
        let mut watches = Watches {
            agent,
            pace,
            events,
            tasks: JoinSet::new(),
            watched: BTreeMap::new(),
            begun: 0,
            unheard: 0,
            scope,
        };
        if asks_catalogue {
            watches.watch_catalogue();
        } else {
            for name in watches.scope.services.clone() {
                watches.watch_service(name);
            }
        }
        let first = First { awaits_catalogue: asks_catalogue, until: None, groups: Vec::new() };
        Telling { watches, teller, datacenter, tag_separator, first }.run(told).await;
    }
}

async fn own_datacenter(agent: &impl Agent, teller: &Teller, pace: Pace) -> String {
    loop {
        match agent.datacenter().await {
            Ok(name) => return name,
            Err(error) => teller.error(error).await,
        }
        sleep(pace.retry).await;
    }
}

/// The tasks. They end with it.
struct Watches<A> {
    agent: Arc<A>,
    pace: Pace,
    events: mpsc::Sender<Event>,
    tasks: JoinSet<()>,
    watched: BTreeMap<String, Watched>,
    begun: u64,
    /// How many have not said anything yet.
    unheard: usize,
    scope: Scope,
}

struct Watched {
    number: u64,
    task: AbortHandle,
    /// Whether it has said anything yet, be it an error.
    answered: bool,
}

impl<A: Agent> Watches<A> {
    fn watch_catalogue(&mut self) {
        let (agent, events, pace) = (self.agent.clone(), self.events.clone(), self.pace);
        let ask = move |after| {
            let agent = agent.clone();
            async move { agent.services(after).await }
        };
        self.tasks.spawn(follow(events, pace, ask, Event::Catalogue, None));
    }

    fn watch_service(&mut self, name: String) {
        if self.watched.contains_key(&name) {
            return;
        }
        self.begun += 1;
        self.unheard += 1;
        let service = Service { name: name.clone(), number: self.begun };
        let (agent, events, pace) = (self.agent.clone(), self.events.clone(), self.pace);
        let asked = name.clone();
        let ask = move |after| {
            let (agent, name) = (agent.clone(), asked.clone());
            async move { agent.instances(&name, after).await }
        };
        let of = service.clone();
        let event = move |entries| Event::Instances(of.clone(), entries);
        let task = self.tasks.spawn(follow(events, pace, ask, event, Some(service)));
        self.watched.insert(name, Watched { number: self.begun, task, answered: false });
    }

    /// Ends what watches services that are not in the catalogue, and names them.
    fn end_others(&mut self, catalogue: &Services) -> Vec<String> {
        let gone = self.watched.keys().filter(|name| !catalogue.contains_key(*name));
        let gone: Vec<String> = gone.cloned().collect();
        for name in &gone {
            if let Some(watched) = self.watched.remove(name) {
                watched.task.abort();
                self.unheard -= usize::from(!watched.answered);
            }
        }
        // Otherwise the set would keep what has ended.
        while self.tasks.try_join_next().is_some() {}
        gone
    }

    /// Notes that a watch has said something; `false` if it is none of ours any more.
    fn answered(&mut self, service: &Service) -> bool {
        match self.watched.get_mut(&service.name) {
            Some(watched) if watched.number == service.number => {
                self.unheard -= usize::from(!std::mem::replace(&mut watched.answered, true));
                true
            }
            _ => false,
        }
    }
}

/// Asks the same question again and again, each time for what is new.
async fn follow<T, F>(
    events: mpsc::Sender<Event>,
    pace: Pace,
    ask: impl Fn(Option<u64>) -> F,
    event: impl Fn(T) -> Event,
    service: Option<Service>,
) where
    F: Future<Output = Result<Indexed<T>, DiscoveryError>>,
{
    let (mut last, mut failed, mut ticks) = (None, false, pace.ticks());
    loop {
        ticks.tick().await;
        match ask(last).await {
            // The time to wait is over, and nothing has changed, but for an error that is over.
            Ok(answer) if answer.index.is_some() && answer.index == last && !failed => {}
            // An index that went backwards is that of a restored or another server: its answer is
            // the state now. One that is missing cannot be waited for: the next question does not.
            Ok(answer) => {
                (last, failed) = (answer.index, false);
                let _ = events.send(event(answer.value)).await;
            }
            Err(error) => {
                failed = true;
                let _ = events.send(Event::Failed(service.clone(), error)).await;
                sleep(pace.retry).await;
            }
        }
    }
}

/// What becomes of answers.
struct Telling<A> {
    watches: Watches<A>,
    teller: Teller,
    datacenter: String,
    tag_separator: String,
    first: First,
}

/// The first full sync, which waits for everything.
struct First {
    awaits_catalogue: bool,
    until: Option<Instant>,
    groups: Vec<TargetGroup>,
}

impl<A: Agent> Telling<A> {
    async fn run(mut self, mut told: mpsc::Receiver<Event>) {
        loop {
            let event = match self.first.until.filter(|_| !self.teller.told_once()) {
                Some(until) => timeout_at(until, told.recv()).await.ok(),
                None => Some(told.recv().await),
            };
            let late = event.is_none();
            let (mut groups, mut is_answer) = (Vec::new(), false);
            match event {
                Some(Some(event)) => {
                    is_answer = self.take(event, &mut groups).await;
                    // Where much has changed at once, it is told at once.
                    while let Ok(event) = told.try_recv() {
                        is_answer = self.take(event, &mut groups).await;
                    }
                }
                Some(None) => return, // we hold a sender
                None => self.first.until = None,
            }
            if self.teller.told_once() {
                // An answer without news is told where it ends a failure.
                if is_answer || !groups.is_empty() {
                    self.teller.groups(latest(groups)).await;
                }
            } else {
                self.tell_first(groups, late).await;
            }
        }
    }

    /// Takes in an event, which changes these groups; whether it is an answer, not an error.
    async fn take(&mut self, event: Event, groups: &mut Vec<TargetGroup>) -> bool {
        match event {
            Event::Catalogue(services) => {
                self.first.awaits_catalogue = false;
                for (name, tags) in &services {
                    if self.watches.scope.has(name, tags) {
                        self.watches.watch_service(name.clone());
                    }
                }
                let gone = self.watches.end_others(&services).into_iter();
                groups.extend(gone.map(|source| TargetGroup { source, ..TargetGroup::default() }));
                if self.watches.watched.is_empty() {
                    groups.push(TargetGroup::default());
                }
                true
            }
            Event::Instances(service, entries) => {
                if self.watches.answered(&service) {
                    let (dc, separator) = (&self.datacenter, &self.tag_separator);
                    groups.push(group(&service.name, dc, &entries, separator));
                }
                true
            }
            Event::Failed(service, error) => {
                if service.is_none_or(|service| self.watches.answered(&service)) {
                    self.teller.error(error).await;
                }
                false
            }
        }
    }

    /// Tells once all services have been asked, or if it is late.
    async fn tell_first(&mut self, groups: Vec<TargetGroup>, late: bool) {
        self.first.groups.extend(groups);
        if self.first.awaits_catalogue {
            return;
        }
        if self.watches.unheard == 0 || late {
            self.teller.groups(latest(std::mem::take(&mut self.first.groups))).await;
        } else {
            self.first.until.get_or_insert_with(|| Instant::now() + FIRST_SYNC);
        }
    }
}

/// The last group of each source, in the order in which they came.
fn latest(groups: Vec<TargetGroup>) -> Vec<TargetGroup> {
    let mut seen = BTreeSet::new();
    let mut latest: Vec<TargetGroup> =
        groups.into_iter().rev().filter(|group| seen.insert(group.source.clone())).collect();
    latest.reverse();
    latest
}

#[cfg(test)]
#[path = "watch_tests.rs"]
mod tests;
