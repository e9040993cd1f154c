//! What a server should show, by a model that is too simple to be wrong: what it was told.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use crate::aggregate::{Act, Status};
use crate::report::Report;
use crate::time::Timestamp;
use crate::view::ErrorView;

/// One lifetime of a counter: who counts, and since when.
type Life = (String, Option<Timestamp>);

/// What one server was told, by scrapes and joins.
#[derive(Clone, Default)]
pub(super) struct Truth {
    errors: BTreeMap<String, Told>,
}

#[derive(Clone, Default)]
struct Told {
    /// The greatest count of each life.
    counts: BTreeMap<Life, u64>,
    /// The names of all occurrences.
    occurrences: BTreeSet<String>,
    /// The newest time that was usable when it came.
    newest: Option<Timestamp>,
    /// Whether it is resolved, and if it is, what was known when it was.
    resolved: Question<Option<BTreeMap<Life, u64>>>,
    muted: Question<bool>,
}

/// The last decision about one question.
#[derive(Clone, Default)]
struct Question<T> {
    /// Which act it was; 0 is none.
    act: u128,
    answer: T,
    /// Two servers decided, and which of them was later is not modelled.
    unclear: bool,
}

impl<T> Question<T> {
    fn decide(&mut self, act: u128, answer: T) {
        *self = Self { act, answer, unclear: false };
    }

    fn join(&mut self, other: Self) {
        if other.act == 0 || (other.act == self.act && !other.unclear) {
            return;
        }
        if self.act == 0 {
            *self = other;
        } else {
            self.unclear = true;
        }
    }
}

impl Truth {
    pub(super) fn hear(&mut self, now: Timestamp, url: &str, report: &Report) {
        let source = report.target_uuid.clone().unwrap_or_else(|| url.to_owned());
        let horizon = now.plus(Duration::from_secs(5 * 60));
        for error in &report.errors {
            let told = self.errors.entry(error.key.as_str().to_owned()).or_default();
            let count = told.counts.entry((source.clone(), error.created_at)).or_default();
            *count = (*count).max(error.total_count);
            for occurrence in &error.occurrences {
                told.occurrences.insert(occurrence.name.clone());
                told.newest = told.newest.max(occurrence.time.filter(|time| *time <= horizon));
            }
        }
    }

    pub(super) fn join(&mut self, other: Self) {
        for (key, theirs) in other.errors {
            let ours = self.errors.entry(key).or_default();
            for (life, count) in theirs.counts {
                let known = ours.counts.entry(life).or_default();
                *known = (*known).max(count);
            }
            ours.occurrences.extend(theirs.occurrences);
            ours.newest = ours.newest.max(theirs.newest);
            ours.resolved.join(theirs.resolved);
            ours.muted.join(theirs.muted);
        }
    }

    /// `n` tells acts apart.
    pub(super) fn act(&mut self, n: u128, key: &str, act: Act) {
        let told = self.errors.entry(key.to_owned()).or_default();
        match act {
            Act::Resolve => told.resolved.decide(n, Some(told.counts.clone())),
            Act::Reopen => told.resolved.decide(n, None),
            Act::Mute(_) => told.muted.decide(n, true),
            Act::Unmute => told.muted.decide(n, false),
            Act::Forget => {}
        }
    }

    pub(super) fn total(&self, key: &str) -> u64 {
        self.errors.get(key).map_or(0, |told| told.counts.values().sum())
    }

    /// The greatest count that anybody told at once.
    pub(super) fn greatest(&self, key: &str) -> u64 {
        self.errors.get(key).and_then(|told| told.counts.values().max().copied()).unwrap_or(0)
    }

    /// Whether an error is shown as it should be.
    pub(super) fn check(&self, now: Timestamp, key: &str, shown: Option<ErrorView<'_>>) {
        assert_eq!(shown.map_or(0, ErrorView::total), self.total(key), "the total of {key}");
        let (Some(told), Some(shown)) = (self.errors.get(key), shown) else { return };
        let kept = shown.occurrences().len();
        assert_eq!(kept, told.occurrences.len().min(10), "occurrences kept of {key}");
        if let Some(newest) = told.newest {
            assert!(shown.last_seen() >= newest, "{key} was last seen {}", shown.last_seen());
            let newest_kept = shown.occurrences().filter_map(|o| o.time()).max();
            // Ten without a usable time stand at their `created_at`, which may be just as new.
            let is_crowded_out = kept == 10 && newest_kept.is_none();
            assert!(
                newest_kept >= Some(newest) || is_crowded_out,
                "{key} shows {newest_kept:?} as newest and not {newest}"
            );
        }
        self.check_status(key, told, shown.status(now));
    }

    fn check_status(&self, key: &str, told: &Told, status: Status) {
        if told.muted.unclear {
            return;
        }
        if told.muted.answer {
            return assert_eq!(status, Status::Muted, "{key}");
        }
        match &told.resolved.answer {
            _ if told.resolved.unclear => {}
            None => assert_eq!(status, Status::Open, "{key}"),
            Some(known) if told.counts == *known => {
                assert_eq!(status, Status::Resolved, "{key}: nothing new was told");
            }
            Some(known) => {
                let grew = known.iter().any(|(life, count)| told.counts.get(life) > Some(count));
                if grew {
                    assert_eq!(status, Status::Regressed, "{key}: a known counter rose");
                }
            }
        }
    }
}
