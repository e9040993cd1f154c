//! From what the engine knows to what a page shows.
//!
//! Runs while scraping waits, so it takes out what one page needs: the list is the catalogue's, and
//! only the errors of its page are taken apart. Whatever is long is bounded here.

mod error;
mod instances;
mod list;
mod occurrence;
mod overview;
mod past;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Duration;

use periskop_core::aggregate::{Act, MuteFor, Status};
use periskop_core::catalogue::Catalogue;
use periskop_core::query::is_new;
use periskop_core::target::Labels;
use periskop_core::view::ErrorView;
use periskop_core::{ServiceName, State, Timestamp};

pub use error::error;
pub use list::{errors, matching};
pub use overview::overview;

use super::asked::Scale;
use super::chart::Series;
use super::text::Text;
use super::view::{self, ErrorRow, Health, Lately, Muted};

/// An error that is new stands out for this long.
const JUST_NEW_FOR: Duration = Duration::from_secs(3_600);

/// The longest class, message or name in a list, in characters.
const LONGEST_LINE: usize = 300;

/// The longest class or key where one stands for an error.
const LONGEST_CLASS: usize = 150;

/// The longest message or body of an error's own page, in characters.
const LONGEST_TEXT: usize = 20_000;

/// What the pages about errors are made from.
#[derive(Clone, Copy)]
pub struct Knowledge<'a> {
    /// Errors and services.
    pub state: &'a State,
    /// Finds, counts and lists these errors.
    pub catalogue: &'a Catalogue,
    /// What is scraped.
    pub fleet: &'a dyn Fleet,
    /// The time.
    pub now: Timestamp,
    /// When this process began to look: rates are compared with nothing earlier.
    pub started: Timestamp,
}

/// The instances that are scraped, looked at where they are known: no page needs all that is known of
/// all of them.
pub trait Fleet {
    /// The services that are configured, with or without instances, by name.
    fn services(&self) -> Vec<&ServiceName>;

    /// How many instances a service has, and how many of them are up.
    fn count(&self, service: &ServiceName) -> (usize, usize);

    /// The instances of a service.
    fn instances(&self, service: &ServiceName) -> Vec<Instance>;

    /// The names of the labels that instances have, as far as `most` of them tell.
    fn label_names(&self, most: usize) -> BTreeSet<&str>;
}

/// An instance that is scraped.
#[derive(Clone, Debug)]
pub struct Instance {
    /// Its labels after relabelling, without those that begin with `__`.
    pub labels: Labels,
    /// Whether it answers.
    pub health: Health,
}

/// The state of an error, as it is told and filtered.
fn state_of(error: ErrorView<'_>, now: Timestamp) -> view::State {
    match error.status(now) {
        Status::Open if error.first_seen() > now.minus(JUST_NEW_FOR) => {
            view::State::New(Lately::Hour)
        }
        status if is_new(status, error.first_seen(), now) => view::State::New(Lately::Day),
        Status::Open => view::State::Open,
        Status::Regressed => view::State::Regressed,
        Status::Resolved => view::State::Resolved,
        Status::Muted => view::State::Muted(match error.muted_by().map(|action| action.act) {
            Some(Act::Mute(MuteFor::Until(until))) => Muted::For(until.since(now)),
            Some(Act::Mute(MuteFor::Further(n))) => Muted::Further(n),
            _ => Muted::Ever,
        }),
    }
}

/// What the list shows of an error; `longest` bounds its texts.
fn row(error: ErrorView<'_>, state: view::State, longest: usize, now: Timestamp) -> ErrorRow {
    let newest = error.occurrences().next();
    let exception = newest.and_then(|occurrence| occurrence.exceptions().next());
    let class = exception.and_then(|e| e.class()).filter(|class| !class.is_empty());
    let message = exception.and_then(|e| e.message()).unwrap_or_default();
    ErrorRow {
        service: Text::new(error.service().as_str()),
        key: Text::new(error.key().as_str()),
        class: Text::brief(class.unwrap_or(error.key().as_str()), LONGEST_CLASS),
        message: Text::brief(message.trim(), longest),
        severity: error.severity(),
        state,
        total: error.total(),
        first_seen: error.first_seen(),
        last_seen: error.last_seen(),
        series: day(error, now),
    }
}

/// The last day of an error, by the hour.
fn day(error: ErrorView<'_>, now: Timestamp) -> Series {
    let step = Duration::from_secs(3_600);
    series_over(error, Scale { from: now.minus(step * 23), step, steps: 24 })
}

/// The occurrences of an error on a scale; where it ends now, the last step is unfinished.
fn series_over(error: ErrorView<'_>, scale: Scale) -> Series {
    let Scale { from, step, steps } = scale;
    let shown = error.series(from, from.plus(step * (steps + 1)), step);
    let start = shown.first().map_or(from, |(start, _)| *start);
    let counts = shown.into_iter().take(steps as usize).map(|(_, n)| n).collect();
    Series { from: start, step, counts }
}

/// The present rate as a multiple of the usual one: that of the day before the last quarter of an
/// hour, as far as it was watched. None where too little is known to compare with.
fn trend(rate: f64, day: &Series, now: Timestamp, started: Timestamp) -> Option<f64> {
    const WATCHED_AT_LEAST: Duration = Duration::from_secs(2 * 3_600);
    const USUAL_AT_LEAST: f64 = 10.0;
    let watched = now.since(started.max(day.from));
    if watched < WATCHED_AT_LEAST {
        return None;
    }
    // Exact up to 2^32, beyond which a ratio needs no precision.
    let total = f64::from(u32::try_from(day.total()).unwrap_or(u32::MAX));
    let usual = total - rate * 15.0;
    (usual >= USUAL_AT_LEAST).then(|| rate / (usual / (watched.as_secs_f64() / 60.0 - 15.0)))
}

fn labels(labels: &Labels) -> Vec<(Text, Text)> {
    labels.iter().map(|(name, value)| (Text::new(name), Text::clip(value, LONGEST_LINE))).collect()
}
