//! Looking at a state without touching it.

use std::collections::BTreeMap;
use std::time::Duration;

use crate::aggregate::{Action, Age, Aggregate, Counts, Known, Since, Standing, Status, Width};
use crate::ids::{AggregateId, AggregationKey, ServiceName};
use crate::occurrence::Severity;
use crate::state::{Source, State};
use crate::texts::OccurrenceView;
use crate::time::Timestamp;

/// One error of one service, borrowed from a [`State`].
#[derive(Clone, Copy)]
pub struct ErrorView<'a> {
    state: &'a State,
    service: &'a ServiceName,
    key: &'a AggregationKey,
    aggregate: &'a Aggregate,
}

/// What one source counted of one error.
#[derive(Clone, Debug)]
pub struct SourceView<'a> {
    /// What it calls itself; `None` only for a state that was joined from a part.
    pub source: Option<&'a Source>,
    /// Its count over all its lives, what is forgotten apart.
    pub count: u64,
    /// The newest usable occurrence time that it reported.
    pub newest: Option<Timestamp>,
    /// Whether it is exported right now, as far as this observer knows.
    pub exported: bool,
    /// Since when it is not exported, if it is not.
    pub gone: Option<Timestamp>,
}

const HOUR: Duration = Duration::from_secs(3600);

/// How an error came back that somebody had resolved.
#[derive(Clone, Debug)]
pub struct Regression<'a> {
    /// What it was resolved by.
    pub resolved: &'a Action,
    /// Since when, as far as that is known: the oldest evidence that is kept of it.
    pub since: Timestamp,
    /// On which instances, by name; `None` for one that does not say who it is.
    pub sources: Vec<Option<&'a Source>>,
}

impl<'a> ErrorView<'a> {
    pub(crate) fn new(
        state: &'a State,
        service: &'a ServiceName,
        key: &'a AggregationKey,
        aggregate: &'a Aggregate,
    ) -> Self {
        Self { state, service, key, aggregate }
    }

    /// Which error.
    pub fn id(self) -> AggregateId {
        AggregateId { service: self.service.clone(), key: self.key.clone() }
    }

    /// The service that reports it.
    pub fn service(self) -> &'a ServiceName {
        self.service
    }

    /// The client's aggregation key.
    pub fn key(self) -> &'a AggregationKey {
        self.key
    }

    /// How often it happened.
    pub fn total(self) -> u64 {
        self.aggregate.total()
    }

    /// The oldest time known of it.
    pub fn first_seen(self) -> Timestamp {
        self.aggregate.first_seen.or(self.aggregate.last_seen).unwrap_or(Timestamp::EPOCH)
    }

    /// The newest time known of it.
    pub fn last_seen(self) -> Timestamp {
        self.aggregate.last_seen.or(self.aggregate.first_seen).unwrap_or(Timestamp::EPOCH)
    }

    /// The severity of its newest occurrence.
    pub fn severity(self) -> Severity {
        self.aggregate.severity.map(|(_, severity)| severity).unwrap_or_default()
    }

    /// Its state, derived from what people decided and what happened since.
    pub fn status(self, now: Timestamp) -> Status {
        self.aggregate.triage.status(&self.aggregate.counts, now)
    }

    /// The same, for whoever asks again before anything else is known of it.
    pub fn standing(self) -> Standing {
        self.aggregate.triage.standing(&self.aggregate.counts)
    }

    /// How it came back after it was resolved; `None` if nothing is new since, or nobody resolved it.
    pub fn regression(self) -> Option<Regression<'a>> {
        let resolved = self.resolved_by()?;
        let news: Vec<&Known> = self.aggregate.triage.news(&self.aggregate.counts).collect();
        let newest = news.iter().filter_map(|known| known.tally.newest()).max();
        let mut sources: Vec<_> = news.iter().map(|known| self.source(known)).collect();
        sources.sort_by_key(|source| source.map(Source::name));
        sources.dedup();
        news.first()?;
        let begun = news.iter().filter_map(|known| match known.incarnation.since {
            Since::CreatedAt(at) => Some(at),
            Since::Reset { .. } => None,
        });
        let occurred = self.occurrences().filter_map(OccurrenceView::time);
        let after = |at: &Timestamp| *at > resolved.at;
        let seen = begun.chain(occurred).filter(after).chain(self.first_seen_after(resolved.at));
        let since = seen.min().or(newest).unwrap_or(resolved.at).max(resolved.at);
        Some(Regression { resolved, since, sources })
    }

    fn first_seen_after(self, at: Timestamp) -> Option<Timestamp> {
        self.aggregate.series.first_after(at)
    }

    /// When the newest minute begins in which an observer saw it; none that has a rate is older than
    /// a quarter of an hour.
    pub(crate) fn newest_minute(self) -> Option<Timestamp> {
        self.aggregate.series.newest()
    }

    /// See [`crate::aggregate::Series`]: the newest buckets, number and count.
    pub(crate) fn newest_buckets(self, width: Width, most: u32) -> &'a [(u32, u32)] {
        self.aggregate.series.newest_buckets(width, most)
    }

    /// Whether any observer's series may have something from `from` on.
    pub(crate) fn may_be_seen_since(self, from: Timestamp) -> bool {
        self.aggregate.series.newest_hour().is_some_and(|newest| newest >= from.minus(HOUR))
    }

    /// Its total by the value that a label of the instances has; `""` for those that do not have it.
    pub fn counts_by(self, label: &str) -> BTreeMap<&'a str, u64> {
        let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
        for view in self.sources() {
            let labels = view.source.and_then(Source::labels);
            let count = counts.entry(labels.map_or("", |labels| labels.get(label))).or_default();
            *count = count.saturating_add(view.count);
        }
        counts
    }

    /// The newest occurrences, newest first.
    pub fn occurrences(self) -> impl ExactSizeIterator<Item = OccurrenceView<'a>> {
        self.aggregate.latest.iter().map(|kept| kept.view())
    }

    /// The tallies of every life of every source's counter.
    pub fn counts(self) -> &'a Counts {
        &self.aggregate.counts
    }

    /// How many instances that were gone before are not included in the counts, because there were
    /// more than are remembered of one error.
    pub fn evicted(self) -> u64 {
        self.aggregate.evicted
    }

    /// The source of an incarnation.
    pub fn source(self, known: &Known) -> Option<&'a Source> {
        self.state.sources.get(&known.incarnation.source)
    }

    /// What each source counted, the largest count first.
    pub fn sources(self) -> Vec<SourceView<'a>> {
        let all: Vec<Known> = self.aggregate.counts.iter().copied().collect();
        let by_source = all.chunk_by(|a, b| a.incarnation.source == b.incarnation.source);
        let mut views: Vec<_> = by_source.map(|lives| self.source_view(lives)).collect();
        views.sort_by_key(|view| std::cmp::Reverse(view.count));
        views
    }

    fn source_view(self, lives: &[Known]) -> SourceView<'a> {
        let counts: Counts = lives.iter().copied().collect();
        let age = lives.iter().map(|known| known.age).max_by_key(|age| (age.is_exported(), *age));
        SourceView {
            source: lives.first().and_then(|known| self.source(known)),
            count: counts.total(&self.aggregate.forgotten),
            newest: lives.iter().filter_map(|known| known.tally.newest()).max(),
            exported: age.is_some_and(Age::is_exported),
            gone: age.and_then(Age::gone_since),
        }
    }

    /// Occurrences over time, one sum for each `step`; see [`crate::aggregate::Series::show`].
    pub fn series(self, from: Timestamp, to: Timestamp, step: Duration) -> Vec<(Timestamp, u64)> {
        self.aggregate.series.show(from, to, step)
    }

    /// Occurrences per minute over the last fifteen minutes.
    pub fn rate(self, now: Timestamp) -> f64 {
        let window = Duration::from_secs(14 * 60);
        let count = self.aggregate.series.count(now.minus(window), now);
        // Exact up to 2^32, which is more than a bucket holds.
        f64::from(u32::try_from(count).unwrap_or(u32::MAX)) / 15.0
    }

    /// What people did, newest first.
    pub fn history(self) -> impl Iterator<Item = &'a Action> {
        self.aggregate.triage.history()
    }

    /// The action that has it resolved, if one does; where the status is
    /// [`Status::Regressed`], what it was resolved by before it came back.
    pub fn resolved_by(self) -> Option<&'a Action> {
        self.aggregate.triage.resolved_by()
    }

    /// The action that muted it, if one rules, ended or not.
    pub fn muted_by(self) -> Option<&'a Action> {
        self.aggregate.triage.muted_by()
    }

    /// Up to when people had its texts forgotten.
    pub fn forgotten_through(self) -> Option<Timestamp> {
        self.aggregate.forgotten.through()
    }
}
