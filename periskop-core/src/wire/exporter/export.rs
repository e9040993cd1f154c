//! From a merged state to the exporter format: what a gateway exports, and a server to another.
//!
//! Readers of `incarnations` learn who counted what, so that they merge exactly however often and
//! by however many paths they read it. Readers of the sum alone, such as the original server, are
//! promised less, and [`Exported`] keeps the promise. Triage, series and labels are not exported:
//! what people decided here is not decided elsewhere.

use std::time::Duration;

use hashbrown::HashMap;

use super::Writer;
use crate::aggregate::{Counts, Forgotten, Incarnation, Known, Since};
use crate::ids::{AggregateId, ServiceName, SourceId};
use crate::observer::{Observer, Pruned};
use crate::report::{Report, ReportedError, ReportedIncarnation, ReportedLife};
use crate::state::{Delta, State};
use crate::time::Timestamp;
use crate::view::ErrorView;

/// What the export tells readers of sums, beyond what the state knows.
///
/// They see one `total_count` and one `created_at` per error, and add what the sum grows by. So, as
/// long as this lives beside its state:
///
/// - `total_count` never falls: what the state has forgotten stays in it.
/// - What they may have counted already enters it only with what it adds afterwards: an
///   incarnation that began longer ago than the retention when it is first seen (it may have been
///   here before, and forgotten), and a source without `created_at` that was forgotten and is back.
/// - `created_at` is what was exported first for that error, whatever older time is learnt later.
///
/// A reader may therefore under-count, and never over-counts. An error costs some hundred bytes
/// here, and is never let go: that is the promise.
///
/// Everything that changes the state goes through this, reading it changes nothing.
#[derive(Debug)]
pub struct Exported {
    retention: Duration,
    errors: HashMap<AggregateId, Sum>,
}

/// One error, as readers of sums see it.
#[derive(Debug, Default)]
struct Sum {
    created_at: Option<Timestamp>,
    /// The largest that was told.
    told: u64,
    /// What the state has forgotten of it.
    gone: u64,
    /// What incarnations had when they were first seen, if that may have been counted before.
    before: HashMap<Incarnation, u64>,
    /// What sources without `created_at` had when they were forgotten: it cannot be seen from
    /// their lives whether they were here before.
    forgotten: HashMap<SourceId, u64>,
}

/// At most so many incarnations are listed of one error: what a reader takes unless told
/// otherwise. Those that changed within a day are listed beyond it.
const LISTED: usize = 100_000;

/// What changed since then is always listed.
const RECENT: Duration = Duration::from_secs(24 * 3600);

impl Exported {
    /// Nothing was exported yet. `retention` is that of the observer.
    pub fn new(retention: Duration) -> Self {
        Self { retention, errors: HashMap::new() }
    }

    /// A process pushed its state to `observer`.
    pub fn pushed(
        &mut self,
        now: Timestamp,
        observer: &mut Observer,
        service: &ServiceName,
        report: Report,
    ) -> Delta {
        self.hear(now, observer, service, &report);
        let delta = observer.pushed(now, service, report);
        for id in delta.changed() {
            let Some(view) = observer.state().error(id) else { continue };
            let sum = self.errors.entry(id.clone()).or_default();
            sum.created_at.get_or_insert(view.first_seen());
            sum.told = sum.told.max(sum.of(view.counts()));
        }
        delta
    }

    /// Forgets what is too old, but not that it was counted.
    pub fn prune(&mut self, now: Timestamp, observer: &mut Observer) -> Pruned {
        for (id, incarnations) in &observer.expired(now).incarnations {
            let known = observer.state().aggregate(&id.service, &id.key);
            let Some(counts) = known.map(|known| &known.counts) else { continue };
            let stays = |known: &&Known| !Pruned::has(incarnations, known);
            let staying: Counts = counts.iter().filter(stays).copied().collect();
            let sum = self.errors.entry(id.clone()).or_default();
            let left = sum.live(counts).saturating_sub(sum.live(&staying));
            sum.gone = sum.gone.saturating_add(left);
            for (incarnation, _) in incarnations {
                sum.before.remove(incarnation);
                if incarnation.observer().is_some() {
                    let lives = numbered(counts.of_source(incarnation.source));
                    let had = lives.total(&Forgotten::default());
                    let most = sum.forgotten.entry(incarnation.source).or_default();
                    *most = had.max(*most);
                }
            }
        }
        observer.prune(now)
    }

    /// Writes the errors of one service, one after the other: no more than one of them is held
    /// in memory beside the state and what is written.
    pub fn write(&self, now: Timestamp, state: &State, service: &ServiceName, writer: &mut Writer) {
        for view in state.errors_of(service) {
            writer.error(&self.error(now, view));
        }
    }

    /// One error as it is exported. Its severity is that of its newest occurrence; where two
    /// occurrences of one name and time differed, of the more severe, of which a reader only sees
    /// the other.
    pub fn error(&self, now: Timestamp, view: ErrorView<'_>) -> ReportedError {
        let sum = self.errors.get(&view.id());
        ReportedError {
            key: view.key().clone(),
            total_count: sum.map_or(view.total(), |sum| sum.told.max(sum.of(view.counts()))),
            severity: view.severity(),
            created_at: sum.and_then(|sum| sum.created_at).or_else(|| Some(view.first_seen())),
            incarnations: Some(incarnations(now, view, LISTED)),
            occurrences: view.occurrences().map(|shown| shown.to_occurrence()).collect(),
        }
    }

    /// Notes what of a report may have been counted before. To be called before the observer
    /// hears it.
    fn hear(
        &mut self,
        now: Timestamp,
        observer: &Observer,
        service: &ServiceName,
        report: &Report,
    ) {
        let horizon = now.minus(self.retention);
        for error in &report.errors {
            let id = AggregateId { service: service.clone(), key: error.key.clone() };
            let known = observer.state().aggregate(service, &error.key).map(|known| &known.counts);
            let is_known = |i: &Incarnation| known.is_some_and(|counts| counts.get(i).is_some());
            for (incarnation, count) in lives(observer, report, error) {
                if is_known(&incarnation) {
                    continue;
                }
                let counted = match incarnation.since {
                    Since::CreatedAt(since) => (since < horizon).then_some(count),
                    Since::Reset { .. } => {
                        let sum = self.errors.get(&id);
                        sum.and_then(|sum| sum.forgotten.get(&incarnation.source)).copied()
                    }
                };
                if let Some(counted) = counted {
                    let before = &mut self.errors.entry(id.clone()).or_default().before;
                    let most = before.entry(incarnation).or_default();
                    *most = counted.max(*most);
                }
            }
        }
    }
}

impl Sum {
    fn of(&self, counts: &Counts) -> u64 {
        self.gone.saturating_add(self.live(counts))
    }

    /// What is known now, without what may have been counted before. What people had forgotten
    /// here is counted: a sum that fell would be taken for a restart.
    fn live(&self, counts: &Counts) -> u64 {
        let added = |known: &Known| {
            let before = self.before.get(&known.incarnation).copied().unwrap_or(0);
            known.tally.count().saturating_sub(before)
        };
        counts.sum_of(added, &Forgotten::default())
    }
}

fn numbered(lives: &[Known]) -> Counts {
    lives.iter().filter(|known| known.incarnation.observer().is_some()).copied().collect()
}

/// The lives that a report speaks of, and their counts.
fn lives<'a>(
    observer: &'a Observer,
    report: &'a Report,
    error: &'a ReportedError,
) -> impl Iterator<Item = (Incarnation, u64)> + 'a {
    let told = match &error.incarnations {
        Some(_) => None,
        None => {
            let source = SourceId::of(report.source_of_push());
            // The first life of a source that is not known is its first again.
            let first = Since::Reset { observer: observer.id(), n: 0 };
            let since = error.created_at.map_or(first, Since::CreatedAt);
            Some((Incarnation { source, since }, error.total_count))
        }
    };
    let listed = error.incarnations.iter().flatten();
    told.into_iter().chain(listed.map(|listed| (listed.incarnation(), listed.count)))
}

/// Who counted what of an error, at least `most` of them if there are so many: what changed least
/// recently is left out first, and nothing that changed within a day.
fn incarnations(now: Timestamp, view: ErrorView<'_>, most: usize) -> Vec<ReportedIncarnation> {
    // A count can only have changed while it was exported or pushed.
    let changed = |known: &Known| known.age.gone_since().unwrap_or(now);
    let mut known: Vec<&Known> = view.counts().iter().collect();
    if known.len() > most {
        known.sort_by_key(|known| std::cmp::Reverse(changed(known)));
        let recent = known.partition_point(|known| changed(known) >= now.minus(RECENT));
        known.truncate(recent.max(most));
    }
    let listed = known.into_iter().filter_map(|known| {
        // Only a state that was joined from a part has a source without a name.
        let source = view.source(known)?.name().to_owned();
        let life = match known.incarnation.since {
            Since::CreatedAt(since) => ReportedLife::Since(since),
            Since::Reset { observer, n } => {
                ReportedLife::Reset { observer: observer.to_string(), n }
            }
        };
        Some(ReportedIncarnation {
            source,
            life,
            count: known.tally.count(),
            newest: known.tally.newest(),
            risen: known.tally.risen(),
            gone: known.age.gone_since(),
        })
    });
    listed.collect()
}

#[cfg(test)]
mod tests;
