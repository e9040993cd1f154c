//! How many occurrences when, as each observer saw it.

use std::time::Duration;

use crate::ids::ReplicaId;
use crate::merge::Merge;
use crate::time::Timestamp;

/// Occurrences over time, per observer. Each observer keeps its own and only adds to it; they are
/// joined side by side, and what is shown is the observer with the greatest sum.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Series(Vec<(ReplicaId, Buckets)>);

/// What one observer saw: by the minute for a day, by the hour for thirty. An empty bucket costs
/// nothing, and each occurrence is in both, so that dropping old minutes loses nothing.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Buckets {
    minutes: Sparse,
    hours: Sparse,
}

/// Buckets that are not empty, sorted by number. A bucket holds at most 2^32 - 1 and saturates.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Sparse(Vec<(u32, u32)>);

/// How long a bucket of a series is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Width {
    /// One minute.
    Minute,
    /// One hour.
    Hour,
}

impl Width {
    /// In seconds.
    pub const fn secs(self) -> u32 {
        match self {
            Self::Minute => 60,
            Self::Hour => 3600,
        }
    }

    /// The width of so many seconds.
    pub const fn of_secs(secs: i64) -> Option<Self> {
        match secs {
            60 => Some(Self::Minute),
            3600 => Some(Self::Hour),
            _ => None,
        }
    }

    /// The number of the bucket that holds an instant; 0 for all before the epoch.
    pub(crate) fn number(self, at: Timestamp) -> u32 {
        number(at, self.secs().into())
    }

    /// How many buckets are kept, counted back from the newest.
    pub const fn kept(self) -> u32 {
        match self {
            Self::Minute => 24 * 60,
            Self::Hour => 30 * 24,
        }
    }
}

/// What one observer saw within a minute or an hour; greater counts join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bucket {
    /// Who saw it.
    pub observer: ReplicaId,
    /// How long it is.
    pub width: Width,
    /// Which one since the epoch.
    pub number: u32,
    /// How many occurrences.
    pub count: u32,
}

const MINUTE: i64 = 60;
const HOUR: i64 = 3600;
const MINUTES_KEPT: u32 = Width::Minute.kept();
const HOURS_KEPT: u32 = Width::Hour.kept();

impl Series {
    /// As many points as a series is ever shown with; a longer one ends there.
    pub const MOST_POINTS: usize = 10_000;

    /// What an observer saw.
    pub fn of(&self, observer: ReplicaId) -> Option<&Buckets> {
        self.0.binary_search_by_key(&observer, |(o, _)| *o).ok().map(|i| &self.0[i].1)
    }

    /// Every observer's buckets.
    pub fn iter(&self) -> impl Iterator<Item = (ReplicaId, &Buckets)> {
        self.0.iter().map(|(observer, buckets)| (*observer, buckets))
    }

    /// Whether nobody saw anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The series of the observer that saw most within `from..to`, one sum for each `step`,
    /// beginning at a multiple of it. `step` is rounded up to whole minutes; for a multiple of an
    /// hour the hours are read (thirty days of them), else the minutes (one day).
    pub fn show(&self, from: Timestamp, to: Timestamp, step: Duration) -> Vec<(Timestamp, u64)> {
        let step = i64::try_from(step.as_secs()).unwrap_or(i64::MAX).clamp(MINUTE, 366 * 24 * HOUR);
        let step = (step + MINUTE - 1) / MINUTE * MINUTE;
        let from = from.as_secs().div_euclid(step) * step;
        let to = to.as_secs().max(from);
        let points = usize::try_from((to - from + step - 1) / step).unwrap_or(usize::MAX);
        let points = points.min(Self::MOST_POINTS);
        let mut best: Option<(u64, Vec<u64>)> = None;
        for (_, buckets) in &self.0 {
            let mut sums = vec![0_u64; points];
            buckets.each(step, |start, count| {
                let Ok(i) = usize::try_from((start - from).div_euclid(step)) else { return };
                if start < to
                    && let Some(sum) = sums.get_mut(i)
                {
                    *sum += u64::from(count);
                }
            });
            let all = sums.iter().sum();
            if best.as_ref().is_none_or(|(most, _)| all > *most) {
                best = Some((all, sums));
            }
        }
        let sums = best.map_or_else(|| vec![0; points], |(_, sums)| sums);
        let starts = (from..).step_by(usize::try_from(step).unwrap_or(usize::MAX));
        starts
            .zip(sums)
            .map(|(at, sum)| (Timestamp::from_micros(at.saturating_mul(1_000_000)), sum))
            .collect()
    }

    /// How many occurrences the observer that saw most saw within `from..=to`, by the minute.
    pub fn count(&self, from: Timestamp, to: Timestamp) -> u64 {
        let (from, to) = (number(from, MINUTE), number(to, MINUTE));
        let within = |buckets: &Buckets| {
            let buckets = &buckets.minutes.0;
            let first = buckets.partition_point(|(n, _)| *n < from);
            buckets[first..].iter().take_while(|(n, _)| *n <= to).map(|(_, c)| u64::from(*c)).sum()
        };
        self.0.iter().map(|(_, buckets)| within(buckets)).max().unwrap_or(0)
    }

    /// Of the `most` buckets up to the newest, those that are not empty, of the observer that saw
    /// most in them: number and count.
    pub(crate) fn newest_buckets(&self, width: Width, most: u32) -> &[(u32, u32)] {
        let newest = self.0.iter().filter_map(|(_, buckets)| buckets.of(width).0.last()).max();
        let first = newest.map_or(0, |(number, _)| number.saturating_sub(most - 1));
        let mut best: (u64, &[(u32, u32)]) = (0, &[]);
        for (_, buckets) in &self.0 {
            let all = &buckets.of(width).0;
            let late = &all[all.partition_point(|(number, _)| *number < first)..];
            let sum = late.iter().map(|(_, count)| u64::from(*count)).sum();
            if sum > best.0 {
                best = (sum, late);
            }
        }
        best.1
    }

    /// When the newest minute begins in which somebody saw something, of those that are kept.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        let newest = self.0.iter().filter_map(|(_, buckets)| buckets.minutes.0.last()).max();
        newest.map(|(number, _)| start(*number, MINUTE))
    }

    /// The same of the hours.
    pub(crate) fn newest_hour(&self) -> Option<Timestamp> {
        let newest = self.0.iter().filter_map(|(_, buckets)| buckets.hours.0.last()).max();
        newest.map(|(number, _)| start(*number, HOUR))
    }

    /// When the first bucket begins, later than that of `after`, in which somebody saw something:
    /// to the minute where minutes are kept, else to the hour.
    pub(crate) fn first_after(&self, after: Timestamp) -> Option<Timestamp> {
        let first = |sparse: &Sparse, width: i64| {
            let at = sparse.0.partition_point(|(n, _)| *n <= number(after, width));
            sparse.0.get(at).map(|(n, _)| start(*n, width))
        };
        let found = self.0.iter().filter_map(|(_, buckets)| {
            let (minute, hour) = (first(&buckets.minutes, MINUTE), first(&buckets.hours, HOUR));
            let within = |hour: &Timestamp, minute: &Timestamp| {
                minute.since(*hour) < Duration::from_secs(3600)
            };
            match (hour, minute) {
                // The same is in both; else the minutes of that hour are not kept any more, or
                // the hour is that of `after`.
                (Some(hour), Some(minute)) if within(&hour, &minute) => Some(minute),
                (hour, minute) => hour.into_iter().chain(minute).min(),
            }
        });
        found.min()
    }

    /// An update that adds `count` at `now` to what `observer` saw.
    pub(crate) fn added(&self, observer: ReplicaId, now: Timestamp, count: u64) -> Self {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        let known = self.of(observer);
        let bucket = |sparse: fn(&Buckets) -> &Sparse, width: i64| {
            let n = number(now, width);
            let before = known.map_or(0, |buckets| sparse(buckets).get(n));
            Sparse(vec![(n, before.saturating_add(count))])
        };
        let minutes = bucket(|b| &b.minutes, MINUTE);
        let hours = bucket(|b| &b.hours, HOUR);
        Self(vec![(observer, Buckets { minutes, hours })])
    }

    /// Puts one bucket into a series that is being read. [`Self::tidy`] is to follow.
    pub(crate) fn put(&mut self, bucket: Bucket) {
        let i = match self.0.binary_search_by_key(&bucket.observer, |(o, _)| *o) {
            Ok(i) => i,
            Err(i) => {
                self.0.insert(i, (bucket.observer, Buckets::default()));
                i
            }
        };
        let buckets = &mut self.0[i].1;
        let sparse = match bucket.width {
            Width::Minute => &mut buckets.minutes.0,
            Width::Hour => &mut buckets.hours.0,
        };
        match sparse.binary_search_by_key(&bucket.number, |(n, _)| *n) {
            Ok(i) => sparse[i].1 = sparse[i].1.max(bucket.count),
            Err(i) => sparse.insert(i, (bucket.number, bucket.count)),
        }
    }

    /// Drops what is older than is kept.
    pub(crate) fn tidy(&mut self) {
        for (_, buckets) in &mut self.0 {
            buckets.minutes.join(&Sparse::default(), MINUTES_KEPT);
            buckets.hours.join(&Sparse::default(), HOURS_KEPT);
        }
    }

    pub(crate) fn join(&mut self, other: Self, delta: &mut Self) -> bool {
        for (observer, theirs) in other.0 {
            if theirs == Buckets::default() {
                continue;
            }
            let i = match self.0.binary_search_by_key(&observer, |(o, _)| *o) {
                Ok(i) => i,
                Err(i) => {
                    self.0.reserve_exact(1);
                    self.0.insert(i, (observer, Buckets::default()));
                    i
                }
            };
            let ours = &mut self.0[i].1;
            let news = Buckets {
                minutes: ours.minutes.join(&theirs.minutes, MINUTES_KEPT),
                hours: ours.hours.join(&theirs.hours, HOURS_KEPT),
            };
            if news != Buckets::default() {
                delta.0.push((observer, news));
            }
        }
        !delta.0.is_empty()
    }
}

impl Merge for Series {
    fn merge(&mut self, other: Self) -> bool {
        self.join(other, &mut Self::default())
    }
}

impl Buckets {
    /// Every bucket that is kept: its width, its number and its count.
    pub(crate) fn each_kept(&self) -> impl Iterator<Item = (Width, u32, u32)> {
        let of = |width, sparse: &'_ Sparse| {
            sparse.0.iter().map(move |(n, count)| (width, *n, *count)).collect::<Vec<_>>()
        };
        of(Width::Minute, &self.minutes).into_iter().chain(of(Width::Hour, &self.hours))
    }

    fn of(&self, width: Width) -> &Sparse {
        match width {
            Width::Minute => &self.minutes,
            Width::Hour => &self.hours,
        }
    }

    /// Every bucket that `step` wants, by the second at which it starts.
    fn each(&self, step: i64, mut visit: impl FnMut(i64, u32)) {
        let (sparse, width) =
            if step % HOUR == 0 { (&self.hours, HOUR) } else { (&self.minutes, MINUTE) };
        for (n, count) in &sparse.0 {
            visit(i64::from(*n) * width, *count);
        }
    }
}

impl Sparse {
    fn get(&self, n: u32) -> u32 {
        self.0.binary_search_by_key(&n, |(n, _)| *n).map_or(0, |i| self.0[i].1)
    }

    /// Per bucket the greater count; then only as many buckets as are kept, counted back from the
    /// newest, which makes dropping and joining commute. Returns what is new.
    fn join(&mut self, other: &Self, kept: u32) -> Self {
        let mut news = Vec::new();
        for &(n, count) in &other.0 {
            match self.0.binary_search_by_key(&n, |(n, _)| *n) {
                Ok(i) if self.0[i].1 >= count => continue,
                Ok(i) => self.0[i].1 = count,
                Err(i) => {
                    if self.0.len() == self.0.capacity() {
                        self.0.reserve_exact(1 + self.0.len() / 4);
                    }
                    self.0.insert(i, (n, count));
                }
            }
            news.push((n, count));
        }
        let oldest = self.0.last().map_or(0, |(n, _)| n.saturating_sub(kept - 1));
        self.0.drain(..self.0.partition_point(|(n, _)| *n < oldest));
        news.retain(|(n, _)| *n >= oldest);
        Self(news)
    }
}

/// The number of the bucket of this width that holds an instant; 0 for all before the epoch.
fn number(at: Timestamp, width: i64) -> u32 {
    u32::try_from(at.as_secs().div_euclid(width).max(0)).unwrap_or(u32::MAX)
}

fn start(number: u32, width: i64) -> Timestamp {
    Timestamp::from_micros(i64::from(number).saturating_mul(width * 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> Timestamp {
        Timestamp::from_micros(minute * 60_000_000)
    }

    fn seen(observer: u64, counts: &[(i64, u64)]) -> Series {
        let mut series = Series::default();
        for (minute, count) in counts {
            let update = series.added(ReplicaId::from_u64(observer), at(*minute), *count);
            series.merge(update);
        }
        series
    }

    #[test]
    fn what_was_first_seen_after_an_instant_is_known_to_the_minute_while_minutes_are_kept() {
        let series = seen(1, &[(10, 1), (11, 1), (75, 1)]);
        assert_eq!(series.first_after(at(10)), Some(at(11)));
        assert_eq!(series.first_after(at(11)), Some(at(75)));
        assert_eq!(series.first_after(at(75)), None);
        assert_eq!(series.newest(), Some(at(75)));
        let day = 24 * 60;
        let later = seen(1, &[(10, 1), (75, 1), (75 + 2 * day, 1)]);
        assert_eq!(later.first_after(at(10)), Some(at(60)), "the hour");
    }

    #[test]
    fn what_two_observers_saw_is_not_added_up() {
        let mut a = seen(1, &[(10, 3), (11, 1), (11, 2)]);
        a.merge(seen(2, &[(10, 4), (12, 1)]));
        let shown = a.show(at(10), at(13), Duration::from_secs(60));
        assert_eq!(shown, [(at(10), 3), (at(11), 3), (at(12), 0)]);
        assert_eq!(a.count(at(11), at(12)), 3);
    }

    #[test]
    fn minutes_are_dropped_after_a_day_and_hours_go_on() {
        let a = seen(1, &[(0, 3), (2 * 24 * 60, 1)]);
        let sum = |step| a.show(at(0), at(60), Duration::from_secs(step)).iter().map(|p| p.1).sum();
        let (by_minute, by_hour): (u64, u64) = (sum(60), sum(3600));
        assert_eq!((by_minute, by_hour), (0, 3));
    }

    #[test]
    fn a_hostile_range_costs_no_memory() {
        let (past, far) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        let series = seen(1, &[(1, 1)]);
        for step in [Duration::ZERO, Duration::from_secs(3600), Duration::MAX] {
            assert!(series.show(past, far, step).len() <= Series::MOST_POINTS);
        }
    }
}
