//! What was pushed, merged; and what of it a store is to know.
//!
//! Invariant: whatever changes here is noted in the journal in the same breath, in the order in
//! which it happened, so that a store that follows the journal has what is here.

use std::collections::HashSet;
use std::net::IpAddr;

use periskop_core::wire::exporter::{Exported, Writer};
use periskop_core::{
    AggregateId, Observer, ReplicaId, Report, ReportedError, ServiceName, SourceId, State,
    Timestamp,
};
use periskop_storage::persist::Journal;

use crate::gateway::Settings;
use crate::push_error::{PushError, Pushed};
use crate::pushers::{Pusher, Pushers};

/// The one service whose errors a gateway knows. Whoever scrapes it names the service.
const SERVICE: &str = "pushed";

/// What a gateway knows.
pub(crate) struct Heard {
    service: ServiceName,
    observer: Observer,
    exported: Exported,
    pushers: Pushers,
    /// Where there is a store.
    journal: Option<Journal>,
}

/// What is known, in numbers.
pub(crate) struct Overview {
    pub(crate) errors: usize,
    pub(crate) incarnations: usize,
    pub(crate) occurrences: u64,
    pub(crate) sources: usize,
    pub(crate) evicted: u64,
}

impl Heard {
    /// Nothing yet.
    pub(crate) fn new(
        id: ReplicaId,
        settings: &Settings,
        now: Timestamp,
        journal: Option<Journal>,
    ) -> Self {
        Self {
            service: ServiceName::from(SERVICE),
            observer: Observer::new(id, settings.state, now),
            exported: Exported::new(settings.state.retention),
            pushers: Pushers::default(),
            journal,
        }
    }

    /// Goes on from what was stored.
    pub(crate) fn restore(
        id: ReplicaId,
        settings: &Settings,
        now: Timestamp,
        mut stored: State,
        journal: Journal,
    ) -> Self {
        let exported = Exported::restore(settings.state.retention, &mut stored);
        Self {
            exported,
            observer: Observer::restore(id, settings.state, now, stored),
            ..Self::new(id, settings, now, Some(journal))
        }
    }

    /// Joins what a store told late. It is not written back.
    pub(crate) fn join(&mut self, now: Timestamp, mut stored: State) {
        self.exported.join(&mut stored);
        self.observer.join(now, &stored);
    }

    /// Merges a report, within the limits.
    pub(crate) fn push(
        &mut self,
        now: Timestamp,
        mut report: Report,
        address: Option<IpAddr>,
        settings: &Settings,
    ) -> Result<Pushed, PushError> {
        if self.new_sources(&report, settings.pushers_limit) {
            return Err(PushError::TooManyPushers { limit: settings.pushers_limit });
        }
        let name = report.source_of_push().to_owned();
        let left_out = self.leave_out(&mut report, settings.errors_limit);
        let mut pushed = Pushed {
            errors: report.errors.len(),
            skipped: report.skipped,
            left_out,
            warnings: report.warnings.clone(),
            is_news: false,
        };
        let pusher = Pusher {
            address,
            at: now,
            pushes: 1,
            errors: pushed.errors,
            occurrences: report.errors.iter().map(counted).fold(0, u64::saturating_add),
            warning: pushed.warnings.first().map(|warning| warning.message.clone()),
        };
        self.pushers.note(&name, pusher);
        // Of whom there is nothing to count nothing is remembered: names are free to make up.
        if report.errors.is_empty() {
            return Ok(pushed);
        }
        let heard = self.exported.pushed(now, &mut self.observer, &self.service, report);
        pushed.is_news = !heard.delta.changed().is_empty();
        if let Some(journal) = &self.journal {
            if !heard.delta.is_empty() {
                journal.changed(heard.delta);
            }
            if !heard.crowded_out.is_empty() {
                journal.pruned(heard.crowded_out);
            }
        }
        Ok(pushed)
    }

    /// Whether there are more sources than may be once those of the report are there as well.
    fn new_sources(&self, report: &Report, most: usize) -> bool {
        let state = self.observer.state();
        let room = most.saturating_sub(state.source_count());
        let listed = report.errors.iter().flat_map(|error| error.incarnations.iter().flatten());
        let listed = listed.map(|incarnation| SourceId::of(&incarnation.source));
        let counts = report.errors.iter().any(|error| error.incarnations.is_none());
        let own = counts.then(|| SourceId::of(report.source_of_push()));
        let new: HashSet<_> =
            listed.chain(own).filter(|id| state.source(*id).is_none()).take(room + 1).collect();
        new.len() > room
    }

    /// Takes the errors out of the report for which there is no room; how many.
    fn leave_out(&self, report: &mut Report, most: usize) -> usize {
        let before = report.errors.len();
        if self.exported.len() + before > most {
            let mut new = HashSet::new();
            let room = most.saturating_sub(self.exported.len());
            report.errors.retain(|error| {
                let id = AggregateId { service: self.service.clone(), key: error.key.clone() };
                let fits = self.exported.knows(&id) || new.contains(&error.key) || new.len() < room;
                if fits && !self.exported.knows(&id) {
                    new.insert(error.key.clone());
                }
                fits
            });
        }
        before - report.errors.len()
    }

    /// Forgets what is older than the retention, and tells the store what has lasted; how many
    /// incarnations went.
    pub(crate) fn keep_house(&mut self, now: Timestamp) -> usize {
        let mut delta = self.observer.settle(now);
        let (sums, pruned) = self.exported.prune(now, &mut self.observer);
        delta.append(sums);
        let count = pruned.count();
        if let Some(journal) = &self.journal {
            journal.changed(delta);
            journal.pruned(pruned);
        }
        count
    }

    /// Tells the store what it would otherwise be told in an hour.
    pub(crate) fn settle_all(&mut self, now: Timestamp) {
        let settled = self.observer.settle_all(now);
        if let Some(journal) = &self.journal {
            journal.changed(settled);
        }
    }

    /// Everything, merged, in the exporter format.
    pub(crate) fn export(&self, now: Timestamp) -> Vec<u8> {
        let mut writer = Writer::new(None);
        self.exported.write(now, self.observer.state(), &self.service, &mut writer);
        writer.finish()
    }

    /// Those who pushed last.
    pub(crate) fn newest_pushers(&self, most: usize) -> Vec<(String, Pusher)> {
        self.pushers.newest(most)
    }

    pub(crate) fn overview(&self) -> Overview {
        let (mut errors, mut incarnations, mut occurrences) = (0, 0, 0_u64);
        for view in self.observer.state().errors() {
            errors += 1;
            incarnations += view.counts().len();
            occurrences = occurrences.saturating_add(view.total());
        }
        let sources = self.observer.state().source_count();
        Overview { errors, incarnations, occurrences, sources, evicted: self.observer.evicted() }
    }
}

fn counted(error: &ReportedError) -> u64 {
    match &error.incarnations {
        Some(listed) => listed.iter().fold(0, |sum, i| sum.saturating_add(i.count)),
        None => error.total_count,
    }
}
