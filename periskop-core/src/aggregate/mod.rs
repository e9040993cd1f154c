//! One error of one service: what is known of it, and how such knowledge joins.

mod counts;
mod forgotten;
mod latest;
mod lives;
mod series;
mod triage;

pub use counts::{Age, Counts, Incarnation, Known, Since, Tally};
pub use forgotten::Forgotten;
pub use latest::LatestOccurrences;
pub use series::{Bucket, Buckets, Series, Width};
pub use triage::{Act, Action, ActionId, Fate, MuteFor, Standing, Status, Triage, Watermark};

use crate::merge::{Merge, lower, raise};
use crate::occurrence::Severity;
use crate::texts::Texts;
use crate::time::Timestamp;

/// Everything known of one error. A delta is an `Aggregate` too: one that holds only what is new.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Aggregate {
    pub(crate) counts: Counts,
    pub(crate) first_seen: Option<Timestamp>,
    pub(crate) last_seen: Option<Timestamp>,
    /// Of the newest occurrence; of equally new ones the more severe.
    pub(crate) severity: Option<(Timestamp, Severity)>,
    pub(crate) latest: LatestOccurrences,
    pub(crate) triage: Triage,
    pub(crate) forgotten: Forgotten,
    pub(crate) series: Series,
    /// How many incarnations went because there were too many: a hint for people and no knowledge
    /// that merges.
    pub(crate) evicted: u64,
}

/// What a join found to be new.
#[derive(Clone, Debug, Default)]
pub(crate) struct Growth {
    /// Exactly the new knowledge, so that joining it elsewhere has the same effect.
    pub(crate) delta: Aggregate,
    /// Whether anything but ages and series grew.
    pub(crate) substance: bool,
    /// Whether anything grew at all.
    pub(crate) any: bool,
}

impl Aggregate {
    /// Joins `other` and tells what was new. `texts` are the texts of the state that `self` is
    /// part of; what is kept of `other` is shared with them.
    pub(crate) fn join(&mut self, other: Aggregate, texts: &mut Texts) -> Growth {
        let mut delta = Aggregate::default();
        let mut substance = self.forgotten.join(other.forgotten, &mut delta.forgotten);
        let counts = self.counts.join(other.counts, &mut delta.counts);
        substance |= counts.substance;
        if lower(&mut self.first_seen, other.first_seen) {
            delta.first_seen = self.first_seen;
            substance = true;
        }
        if raise(&mut self.last_seen, other.last_seen) {
            delta.last_seen = self.last_seen;
            substance = true;
        }
        if raise(&mut self.severity, other.severity) {
            delta.severity = self.severity;
            substance = true;
        }
        let through = self.forgotten.through();
        self.latest.forget_through(through);
        substance |= self.latest.join(other.latest, through, texts, &mut delta.latest);
        substance |= self.triage.join(other.triage, &mut delta.triage);
        let series = self.series.join(other.series, &mut delta.series);
        Growth { delta, substance, any: substance || counts.ages || series }
    }

    /// Whether it is listed: its total is not 0.
    pub(crate) fn is_listed(&self) -> bool {
        self.total() > 0
    }

    /// How often it happened, as far as it is not forgotten.
    pub fn total(&self) -> u64 {
        self.counts.total(&self.forgotten)
    }
}

impl Merge for Aggregate {
    fn merge(&mut self, other: Self) -> bool {
        self.join(other, &mut Texts::default()).any
    }
}
