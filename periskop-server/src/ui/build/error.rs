//! One error whole.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use periskop_core::aggregate::{Act, Action};
use periskop_core::target::Labels;
use periskop_core::texts::{ExceptionView, HttpView, OccurrenceView};
use periskop_core::view::ErrorView;
use periskop_core::{AggregateId, Timestamp};

use super::super::chart::{Bars, Event, Mark};
use super::super::text::Text;
use super::super::view::{
    ErrorPage, ExceptionCard, Health, HistoryRow, HttpCard, InstanceNote, InstanceRow,
    OccurrenceCard, Range, State,
};
use super::super::{frames, shell};
use super::{Knowledge, LONGEST_LINE, day, labels, row, series, state_of, trend};

/// The longest message or body that is shown, in characters.
const LONGEST_TEXT: usize = 20_000;

/// The longest body that a command line is made with, in bytes. Linux takes 128 KiB a word.
const LONGEST_COMMAND: usize = 64 * 1_024;

/// Causes that are shown.
const MOST_EXCEPTIONS: usize = 50;

/// Frames of an exception that are shown.
const MOST_FRAMES: usize = 500;

/// Instances that are shown.
const MOST_INSTANCES: usize = 200;

/// The page of an error; none if there is no such error. `occurrence` names the one to show, the
/// newest if it is not kept.
pub fn error(
    knowledge: Knowledge<'_>,
    id: &AggregateId,
    occurrence: Option<&str>,
    range: Range,
) -> Option<ErrorPage> {
    let Knowledge { state, now, started, .. } = knowledge;
    let error = state.error(id)?;
    let state = state_of(error, now);
    let row = row(error, state, LONGEST_TEXT, now);
    let (step, steps) = range.steps();
    let chart = series(error, now, step, steps);
    let (long, steps) = Range::Month.steps();
    let charted = series(error, now, long, steps).total();
    let marks = error.history().filter_map(mark).collect();
    let rate = error.rate(now);
    let (instances, reporting) = instances(knowledge, error);
    Some(ErrorPage {
        rate,
        trend: trend(rate, &day(error, now), now, started),
        bars: Bars::new(chart, row.severity, marks),
        range,
        before: row.total.saturating_sub(charted),
        known: knowledge.fleet.of(error.service()).len(),
        reporting,
        instances,
        evicted: error.evicted(),
        history: history(error, state),
        occurrence: card(error, occurrence),
        row,
    })
}

/// Who counts: one row for each set of labels, since an instance that restarts under another uuid
/// is still the same to whoever looks for it.
#[derive(Default)]
struct Counted {
    count: u64,
    exported: bool,
    gone: bool,
    health: Option<Health>,
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Who<'a> {
    Labelled(&'a Labels),
    Named(&'a str),
}

/// Counts by instance, most first, and how many of those that are scraped report the error.
fn instances(knowledge: Knowledge<'_>, error: ErrorView<'_>) -> (Vec<InstanceRow>, usize) {
    let sources = error.sources();
    let mut by_who: BTreeMap<Who<'_>, Counted> = BTreeMap::new();
    for instance in knowledge.fleet.of(error.service()) {
        by_who.entry(Who::Labelled(&instance.labels)).or_default().health = Some(instance.health);
    }
    for view in &sources {
        let name = view.source.map_or("(unknown)", |source| source.name());
        let labels = view.source.and_then(|source| source.labels()).filter(|l| !l.is_empty());
        let counted = by_who.entry(labels.map_or(Who::Named(name), Who::Labelled)).or_default();
        counted.count = counted.count.saturating_add(view.count);
        counted.exported |= view.exported;
        counted.gone |= view.gone.is_some();
    }
    let reporting = by_who.values().filter(|c| c.health.is_some() && c.exported).count();
    let most = by_who.values().map(|c| c.count).max().unwrap_or(0).max(1);
    let mut rows: Vec<_> =
        by_who.into_iter().map(|(who, counted)| instance_row(&who, &counted, most)).collect();
    rows.sort_by_key(|row| Reverse(row.count));
    rows.truncate(MOST_INSTANCES);
    (rows, reporting)
}

fn instance_row(who: &Who<'_>, counted: &Counted, most: u64) -> InstanceRow {
    let (name, labels) = match who {
        Who::Named(name) => (*name, Vec::new()),
        Who::Labelled(all) => {
            let mut rest = (*all).clone();
            rest.remove("instance");
            let name = all.get("instance");
            (if name.is_empty() { "(no instance label)" } else { name }, labels(&rest))
        }
    };
    let share = u128::from(counted.count) * 100 / u128::from(most);
    InstanceRow {
        name: Text::clip(name, LONGEST_LINE),
        labels,
        count: counted.count,
        share: u8::try_from(share).unwrap_or(100),
        note: match counted.health {
            Some(Health::Down) => InstanceNote::Down,
            Some(_) if !counted.exported => InstanceNote::None,
            None if counted.gone => InstanceNote::Gone,
            _ => InstanceNote::Reports,
        },
    }
}

fn mark(action: &Action) -> Option<Mark> {
    let what = match action.act {
        Act::Resolve => Event::Resolved,
        Act::Reopen => Event::Reopened,
        Act::Mute(_) | Act::Unmute | Act::Forget => return None,
    };
    Some(Mark { at: action.at, what })
}

fn history(error: ErrorView<'_>, state: State) -> Vec<HistoryRow> {
    let back = (state == State::Regressed).then(|| HistoryRow {
        at: error.last_seen(),
        what: "seen again",
        by: Text::default(),
        why: Text::default(),
    });
    let actions = error.history().map(|action| HistoryRow {
        at: action.at,
        what: match action.act {
            Act::Resolve => "resolved",
            Act::Reopen => "reopened",
            Act::Mute(_) => "muted",
            Act::Unmute => "unmuted",
            Act::Forget => "texts forgotten",
        },
        by: Text::clip(&action.by, LONGEST_LINE),
        why: Text::clip(&action.why, LONGEST_LINE),
    });
    back.into_iter().chain(actions).collect()
}

fn card(error: ErrorView<'_>, name: Option<&str>) -> Option<OccurrenceCard> {
    let all: Vec<OccurrenceView<'_>> = error.occurrences().collect();
    let at = all.iter().position(|o| Some(o.name()) == name).unwrap_or(0);
    let shown = *all.get(at)?;
    let name_of = |at: Option<usize>| Some(Text::new(all.get(at?)?.name()));
    let time: Option<Timestamp> = shown.time();
    Some(OccurrenceCard {
        name: Text::new(shown.name()),
        place: at + 1,
        of: all.len(),
        newer: name_of(at.checked_sub(1)),
        older: name_of(Some(at + 1)),
        time,
        severity: shown.severity(),
        exceptions: shown.exceptions().take(MOST_EXCEPTIONS).map(exception).collect(),
        further: shown.exceptions().skip(MOST_EXCEPTIONS).count(),
        http: shown.http().map(request),
    })
}

fn exception(exception: ExceptionView<'_>) -> ExceptionCard {
    ExceptionCard {
        class: Text::clip(exception.class().unwrap_or_default(), LONGEST_LINE),
        message: Text::clip(exception.message().unwrap_or_default(), LONGEST_TEXT),
        frames: frames::group(exception.frames().take(MOST_FRAMES)),
        further: exception.frames().len().saturating_sub(MOST_FRAMES),
    }
}

fn request(http: HttpView<'_>) -> HttpCard {
    let (method, url) = (http.method().unwrap_or_default(), http.url().unwrap_or_default());
    let headers: Vec<(&str, &str)> = http.headers().collect();
    let body = http.body();
    let curl = shell::curl(&shell::Request { method, url, headers: &headers, body });
    let show = |(name, value): &(&str, &str)| {
        (Text::clip(name, LONGEST_LINE), Text::clip(value, LONGEST_TEXT))
    };
    HttpCard {
        method: Text::clip(method, LONGEST_LINE),
        url: Text::clip(url, LONGEST_TEXT),
        headers: headers.iter().map(show).collect(),
        body: Text::clip(body.unwrap_or_default(), LONGEST_TEXT),
        curl: (curl.len() <= LONGEST_COMMAND).then(|| Text::new(curl)),
    }
}
