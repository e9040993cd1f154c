//! From a report to what it adds: which life of which counter, how much, seen when.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aggregate::{Age, Aggregate, Incarnation, Known, LatestOccurrences, Since, Tally};
use crate::ids::{AggregateId, AggregationKey, ReplicaId, ServiceName, SourceId};
use crate::merge::{lower, raise};
use crate::observer::exports::{self, Exports};
use crate::observer::{Observer, Pruned};
use crate::report::{Report, ReportedError, ReportedIncarnation};
use crate::state::{Delta, Source};
use crate::texts::Texts;
use crate::time::Timestamp;

/// An occurrence's time further ahead of the scrape than this is a broken clock's.
const MOST_AHEAD: Duration = Duration::from_secs(5 * 60);

/// One answer or push, as far as it is the same for all its errors.
pub(super) struct Hearing {
    pub(super) now: Timestamp,
    pub(super) source: SourceId,
    /// When this source was heard before, if it was since the process started.
    pub(super) heard_before: Option<Timestamp>,
    /// The last good answer of that target, else the start of the process: what began later was
    /// not counted before anybody looked.
    pub(super) horizon: Timestamp,
    pub(super) pushed: bool,
}

impl Hearing {
    fn is_usable(&self, time: Timestamp) -> bool {
        time >= Timestamp::YEAR_2000 && time <= self.now.plus(MOST_AHEAD)
    }
}

/// What a report says of one life of one counter.
struct Told {
    incarnation: Incarnation,
    count: u64,
    newest: Option<Timestamp>,
    risen: Option<Timestamp>,
    /// Since when it is not exported where it was read, if it is not.
    gone: Option<Timestamp>,
}

impl Observer {
    /// Merges a report; returns what of it is exported, or pushed, right now.
    pub(super) fn hear(
        &mut self,
        service: &ServiceName,
        hearing: &Hearing,
        report: Report,
        delta: &mut Delta,
    ) -> Exports {
        let mut exports = Exports::new();
        for error in one_per_life(report.errors) {
            let exported = self.hear_error(service, hearing, &error, delta);
            exports.entry(error.key).or_default().extend(exported);
        }
        exports
    }

    fn hear_error(
        &mut self,
        service: &ServiceName,
        hearing: &Hearing,
        error: &ReportedError,
        delta: &mut Delta,
    ) -> Vec<Incarnation> {
        let nothing = Aggregate {
            latest: LatestOccurrences::new(self.settings.occurrences_per_error),
            ..Aggregate::default()
        };
        let known = self.state.services.get(service).and_then(|s| s.errors.get(&error.key));
        let known = known.map_or(&nothing, Box::as_ref);
        let mut update = Aggregate {
            latest: LatestOccurrences::new(self.settings.occurrences_per_error),
            ..Aggregate::default()
        };
        let seen = see(hearing, error, known, &mut update, &mut self.state.texts);
        self.unusable_times += seen.unusable;
        let told = match &error.incarnations {
            Some(list) => list.iter().map(Told::listed).collect(),
            None => vec![identify(hearing, self.id, error, seen.newest, known)],
        };
        let heard_before = |source| match source == hearing.source {
            true => hearing.heard_before,
            false => None,
        };
        let mut added = 0_u64;
        let (mut exported, mut gone) = (Vec::new(), Vec::new());
        for told in told {
            let before = known.counts.get(&told.incarnation);
            let count_before = before.map(|before| before.tally.count());
            let raised = count_before.is_none_or(|before| told.count > before);
            let risen = match raised {
                true => told.risen.max(heard_before(told.incarnation.source)),
                false => told.risen,
            };
            let tally = Tally::new(told.count, told.newest, risen);
            let newest_ever = told.newest.max(before.and_then(|before| before.tally.newest()));
            if raised && newest_ever.is_none() {
                raise(&mut update.last_seen, Some(hearing.now));
            }
            added = added.saturating_add(match count_before {
                Some(before) => told.count.saturating_sub(before),
                None if began_since(hearing, &told.incarnation) => told.count,
                None => 0,
            });
            // That it is exported, or pushed, is said when the whole payload has been read.
            let since = told.gone.map_or(hearing.now, |gone| gone.min(hearing.now));
            let age = before.map_or(Age::gone(since), |before| before.age);
            match told.gone {
                None => exported.push(told.incarnation),
                Some(_) if before.is_none_or(|before| !before.age.is_exported()) => {
                    gone.push((told.incarnation, Age::gone(since)));
                }
                Some(_) => {}
            }
            update.counts.put(Known { incarnation: told.incarnation, tally, age });
        }
        if known.first_seen.is_none() && update.first_seen.is_none() {
            update.first_seen = Some(hearing.now);
        }
        if added > 0 {
            update.series = known.series.added(self.id, hearing.now, added);
        }
        for listed in error.incarnations.iter().flatten() {
            let source = Source { name: listed.source.as_str().into(), labels: None };
            self.state.join_source(SourceId::of(&listed.source), source, delta);
        }
        self.state.join_aggregate(service, error.key.clone(), update, delta);
        let unsettled = &mut self.local.entry(service.clone()).or_default().unsettled;
        for (incarnation, age) in gone {
            let turned = vec![(error.key.clone(), incarnation)];
            exports::age(hearing.now, &mut self.state, service, turned, age, unsettled, delta);
        }
        self.evict(service, &error.key);
        exported
    }

    /// Beyond the limit the incarnations that are not exported go first, oldest first.
    fn evict(&mut self, service: &ServiceName, key: &AggregationKey) {
        let limit = self.settings.incarnations_limit.max(1);
        let Some(aggregate) = self.state.aggregate_mut(service, key) else { return };
        let surplus = aggregate.counts.len().saturating_sub(limit);
        if surplus == 0 {
            return;
        }
        let mut ages: Vec<_> = aggregate
            .counts
            .iter()
            .map(|known| (known.age.is_exported(), known.age, known.incarnation))
            .collect();
        // Once an error has that many, every push of a new one comes here.
        ages.select_nth_unstable(surplus - 1);
        let mut victims: Vec<_> = ages[..surplus].iter().map(|(_, age, i)| (*i, *age)).collect();
        victims.sort_unstable();
        aggregate.counts.retain(|known| !Pruned::has(&victims, known));
        aggregate.evicted = aggregate.evicted.saturating_add(surplus as u64);
        self.evicted = self.evicted.saturating_add(surplus as u64);
        let id = AggregateId { service: service.clone(), key: key.clone() };
        self.crowded_out
            .append(Pruned { incarnations: BTreeMap::from([(id, victims)]), ..Pruned::default() });
    }
}

impl Told {
    fn listed(listed: &ReportedIncarnation) -> Self {
        Self {
            incarnation: listed.incarnation(),
            count: listed.count,
            newest: listed.newest,
            risen: listed.risen,
            gone: listed.gone,
        }
    }
}

/// What the occurrences of one error say.
struct Seen {
    newest: Option<Timestamp>,
    unusable: u64,
}

/// Reads times and severities into the update, and packs the occurrences that will be kept.
fn see(
    hearing: &Hearing,
    error: &ReportedError,
    known: &Aggregate,
    update: &mut Aggregate,
    texts: &mut Texts,
) -> Seen {
    let created = error.created_at.filter(|time| hearing.is_usable(*time));
    let mut seen = Seen { newest: None, unusable: 0 };
    raise(&mut update.severity, Some((Timestamp::EPOCH, error.severity)));
    lower(&mut update.first_seen, created);
    raise(&mut update.last_seen, created);
    let mut judge = |time: Option<Timestamp>, severity| {
        let usable = time.filter(|time| hearing.is_usable(*time));
        match usable {
            Some(time) => {
                raise(&mut seen.newest, usable);
                lower(&mut update.first_seen, usable);
                raise(&mut update.last_seen, usable);
                raise(&mut update.severity, Some((time, severity)));
            }
            None => seen.unusable += 1,
        }
        usable
    };
    for unchanged in &error.unchanged {
        // It has been offered to what is kept already.
        judge(Some(unchanged.time), unchanged.severity);
    }
    for occurrence in &error.occurrences {
        let usable = judge(occurrence.time, occurrence.severity);
        let time = usable.or(created).unwrap_or(Timestamp::EPOCH);
        let forgotten = known.forgotten.through().is_some_and(|through| time <= through);
        if !forgotten && known.latest.wants(&occurrence.name, time, occurrence.content) {
            update.latest.put(texts.pack(occurrence, time, usable.is_some()));
        }
    }
    seen
}

/// Which life of the source's counter an answer speaks of, and what it says of it.
fn identify(
    hearing: &Hearing,
    observer: ReplicaId,
    error: &ReportedError,
    newest: Option<Timestamp>,
    known: &Aggregate,
) -> Told {
    let source = hearing.source;
    let told = |since, count| {
        let incarnation = Incarnation { source, since };
        Told { incarnation, count, newest, risen: None, gone: None }
    };
    if let Some(created_at) = error.created_at {
        return told(Since::CreatedAt(created_at), error.total_count);
    }
    let is_numbered = |known: &&Known| known.incarnation.observer().is_some();
    let lives = || known.counts.of_source(source).iter().filter(is_numbered);
    let has_times = newest.is_some() || lives().any(|life| life.tally.newest().is_some());
    let late = has_times
        && lives()
            .any(|life| life.tally.count() >= error.total_count && life.tally.newest() >= newest);
    let life = |n| Since::Reset { observer, n };
    match known.counts.present_life(source, observer) {
        None => told(life(next_number(known, source, observer)), error.total_count),
        Some(present) => {
            let count = present.tally.count();
            let fell = error.total_count < count;
            if late || (fell && hearing.pushed) {
                told(present.incarnation.since, count)
            } else if fell {
                told(life(next_number(known, source, observer)), error.total_count)
            } else {
                told(present.incarnation.since, error.total_count)
            }
        }
    }
}

/// A number that no life has, nor anything forgotten.
fn next_number(known: &Aggregate, source: SourceId, observer: ReplicaId) -> u32 {
    let living = known.counts.of_source(source).iter().map(|known| known.incarnation);
    let forgotten = known.forgotten.of_source(source).iter().map(|(incarnation, _)| *incarnation);
    let numbers = living.chain(forgotten).filter_map(|incarnation| match incarnation.since {
        Since::Reset { observer: o, n } if o == observer => Some(n),
        _ => None,
    });
    numbers.max().map_or(0, |n| n.saturating_add(1))
}

/// Whether a counter that is seen for the first time began while its target was being watched.
fn began_since(hearing: &Hearing, incarnation: &Incarnation) -> bool {
    match incarnation.since {
        Since::CreatedAt(since) => since > hearing.horizon && since <= hearing.now,
        // A fall was seen, so this life began after the answer before it.
        Since::Reset { n, .. } => n > 0,
    }
}

/// If one key comes twice with the same `created_at`, or none, the larger count and all
/// occurrences are read.
fn one_per_life(errors: Vec<ReportedError>) -> impl Iterator<Item = ReportedError> {
    let mut lives: BTreeMap<(AggregationKey, Option<Timestamp>, bool), usize> = BTreeMap::new();
    let mut read: Vec<ReportedError> = Vec::with_capacity(errors.len());
    for error in errors {
        let life = (error.key.clone(), error.created_at, error.incarnations.is_some());
        match lives.get(&life) {
            Some(&i) => {
                let first = &mut read[i];
                first.total_count = first.total_count.max(error.total_count);
                first.severity = first.severity.max(error.severity);
                first.occurrences.extend(error.occurrences);
                first.unchanged.extend(error.unchanged);
                if let (Some(all), Some(more)) = (&mut first.incarnations, error.incarnations) {
                    all.extend(more);
                }
            }
            None => {
                lives.insert(life, read.len());
                read.push(error);
            }
        }
    }
    read.into_iter()
}
