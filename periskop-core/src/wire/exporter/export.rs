//! From a merged state to the exporter format: what a gateway exports, and a server to another.
//!
//! Readers of `incarnations` learn who counted what, so that they merge exactly however often and
//! by however many paths they read it. Readers of the sum alone, such as the original server, are
//! promised less, and [`Exported`] keeps the promise. Triage, series and labels are not exported:
//! what people decided here is not decided elsewhere.

mod sums;

use std::collections::BTreeMap;
use std::time::Duration;

use hashbrown::HashMap;

use self::sums::Sum;
use super::Writer;
use crate::aggregate::{Counts, Incarnation, Known, Since};
use crate::ids::{AggregateId, AggregationKey, ServiceName, SourceId};
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
///   here before, and forgotten), one whose clock is ahead by more than five minutes (for it that
///   cannot be told), and a source without `created_at` that was forgotten and is back.
/// - `created_at` is what was exported first for that error, whatever older time is learnt later.
///
/// A reader may therefore under-count, and never over-counts (but of a push that arrives again after
/// more than the retention, which looks like the past of somebody who has been forgotten). An
/// error costs some hundred bytes here, and is never let go: that is the promise.
///
/// Everything that changes the state goes through this, reading it changes nothing. What a store
/// is to keep of it is part of the deltas, in a service of its own; [`Self::restore`] takes it out
/// of what was stored.
#[derive(Debug)]
pub struct Exported {
    retention: Duration,
    errors: HashMap<AggregateId, Sum>,
}

/// What a push did.
#[derive(Debug)]
pub struct Heard {
    /// What was new, for a store.
    pub delta: Delta,
    /// What went since an error had more incarnations than the limit: for a store to follow, after
    /// the delta.
    pub crowded_out: Pruned,
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

    /// Goes on from what was stored, and takes it out of `state`: the rest of that is for the
    /// observer. What was stored without sums is taken for told.
    pub fn restore(retention: Duration, state: &mut State) -> Self {
        let mut exported = Self::new(retention);
        exported.join(state);
        exported
    }

    /// The same for what is loaded late, when something was told already: the larger sum counts,
    /// and what was counted in both is not told apart.
    pub fn join(&mut self, state: &mut State) {
        for (service, key, stored) in sums::take(state) {
            self.errors.entry(AggregateId { service, key }).or_default().join_stored(&stored);
        }
        for (service, known) in &state.services {
            for key in known.errors.keys() {
                let id = AggregateId { service: service.clone(), key: key.clone() };
                self.errors.entry(id).or_default();
            }
        }
        for view in state.errors() {
            let sum = self.errors.entry(view.id()).or_default();
            if sum.created_at.is_none() {
                sum.created_at = Some(view.first_seen());
                sum.told = sum.told.max(view.total());
            }
        }
    }

    /// How many errors were ever told of, those that have counted nothing yet included.
    pub fn len(&self) -> usize {
        self.errors.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.errors.is_empty()
    }

    /// Whether this one is among them.
    pub fn knows(&self, id: &AggregateId) -> bool {
        self.errors.contains_key(id)
    }

    /// A process pushed its state to `observer`.
    pub fn pushed(
        &mut self,
        now: Timestamp,
        observer: &mut Observer,
        service: &ServiceName,
        report: Report,
    ) -> Heard {
        let touched = self.hear(now, observer, service, &report);
        let mut delta = observer.pushed(now, service, report);
        let crowded_out = observer.take_crowded_out();
        for (id, gone) in &crowded_out.incarnations {
            self.errors.entry(id.clone()).or_default().lost(gone);
        }
        for (key, sources) in touched {
            let id = AggregateId { service: service.clone(), key };
            // Also of one that has counted nothing yet: it has a place in the state.
            let sum = self.errors.entry(id.clone()).or_default();
            let Some(view) = observer.state().error(&id) else { continue };
            let is_lossy = crowded_out.incarnations.contains_key(&id);
            if sum.created_at.is_some() && !is_lossy && !delta.changed().contains(&id) {
                continue;
            }
            sum.created_at.get_or_insert(view.first_seen());
            for (source, before) in &sources.before {
                let now = sum.part(view.counts(), *source);
                sum.told = sum.told.saturating_add(now.saturating_sub(*before));
            }
            let touched = sources.incarnations.iter();
            let lost = sums::of(crowded_out.incarnations.get(&id).map_or(&[][..], Vec::as_slice));
            sums::store(service, &id.key, sum, touched.chain(lost), &mut delta);
        }
        Heard { delta, crowded_out }
    }

    /// Forgets what is too old, but not that it was counted. The delta is for a store, before what
    /// was pruned.
    pub fn prune(&mut self, now: Timestamp, observer: &mut Observer) -> (Delta, Pruned) {
        let mut delta = Delta::default();
        for (id, gone) in &observer.expired(now).incarnations {
            let known = observer.state().aggregate(&id.service, &id.key);
            let Some(counts) = known.map(|known| &known.counts) else { continue };
            let sum = self.errors.entry(id.clone()).or_default();
            sum.forgets(counts, gone);
            sums::store(&id.service, &id.key, sum, sums::of(gone), &mut delta);
        }
        (delta, observer.prune(now))
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
            total_count: sum.map_or(view.total(), |sum| sum.told),
            severity: view.severity(),
            created_at: sum.and_then(|sum| sum.created_at).or_else(|| Some(view.first_seen())),
            incarnations: Some(incarnations(now, view, LISTED)),
            occurrences: view.occurrences().map(|shown| shown.to_occurrence()).collect(),
            unchanged: Vec::new(),
        }
    }

    /// Notes what of a report may have been counted before, and what each of its sources adds up
    /// to before the observer hears it.
    fn hear(
        &mut self,
        now: Timestamp,
        observer: &Observer,
        service: &ServiceName,
        report: &Report,
    ) -> BTreeMap<AggregationKey, Touched> {
        let nothing = Counts::default();
        let mut all = BTreeMap::<_, Touched>::new();
        for error in &report.errors {
            let id = AggregateId { service: service.clone(), key: error.key.clone() };
            let known = observer.state().aggregate(service, &error.key);
            let counts = known.map_or(&nothing, |known| &known.counts);
            let touched = all.entry(error.key.clone()).or_default();
            for (incarnation, count) in lives(observer, report, error) {
                if counts.get(&incarnation).is_none() && count > 0 {
                    let sum = self.errors.entry(id.clone()).or_default();
                    sum.appears(now, self.retention, incarnation, count);
                }
                let part =
                    || self.errors.get(&id).map_or(0, |s| s.part(counts, incarnation.source));
                touched.before.entry(incarnation.source).or_insert_with(part);
                touched.incarnations.push(incarnation);
            }
        }
        all
    }
}

/// What a report speaks of in one error.
#[derive(Default)]
struct Touched {
    /// What each source added to the sum before.
    before: BTreeMap<SourceId, u64>,
    incarnations: Vec<Incarnation>,
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
mod histories;
#[cfg(test)]
mod tests;
