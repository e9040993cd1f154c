//! What happened to an error: what people did, when it came back, when instances restarted.

use std::collections::BTreeMap;
use std::time::Duration;

use periskop_core::aggregate::{Act, MuteFor, Since};
use periskop_core::state::Source;
use periskop_core::target::Labels;
use periskop_core::view::{ErrorView, Regression};
use periskop_core::{SourceId, Timestamp};

use super::super::chart::{Event, Mark};
use super::super::text::Text;
use super::super::view::{Done, Hidden, HistoryRow, State, Undo};
use super::LONGEST_LINE;

/// Restarts that a chart marks, the latest ones.
const MOST_RESTARTS: usize = 100;

/// What was done is offered to be taken back for this long.
const TAKEN_BACK_WITHIN: Duration = Duration::from_secs(10 * 60);

/// What people did, newest first, and that it came back.
pub(super) fn history(error: ErrorView<'_>, state: State) -> Vec<HistoryRow> {
    let regression = error.regression().filter(|_| state == State::Regressed);
    let back = regression.map(|regression| HistoryRow {
        at: regression.since,
        what: "came back",
        until: None,
        by: Text::default(),
        why: Text::clip(&whence(&regression), LONGEST_LINE),
    });
    let actions = error.history().map(|action| HistoryRow {
        at: action.at,
        what: what(action.act),
        until: hidden(action.act),
        by: Text::clip(&action.by, LONGEST_LINE),
        why: Text::clip(&action.why, LONGEST_LINE),
    });
    back.into_iter().chain(actions).collect()
}

/// On which instances, and after whose doing.
fn whence(regression: &Regression<'_>) -> String {
    const NAMED: usize = 5;
    let mut names: Vec<&str> = regression.sources.iter().map(|source| instance(*source)).collect();
    names.sort_unstable();
    names.dedup();
    let more = names.len().saturating_sub(NAMED);
    names.truncate(NAMED);
    let more = if more > 0 { format!(" and {more} more") } else { String::new() };
    format!("on {}{more}, resolved by {}", names.join(", "), regression.resolved.by)
}

fn instance(source: Option<&Source>) -> &str {
    let Some(source) = source else { return "an unknown instance" };
    let label = source.labels().map(|labels| labels.get("instance"));
    label.filter(|label| !label.is_empty()).unwrap_or_else(|| source.name())
}

/// What a chart of an error marks.
pub(super) fn marks(error: ErrorView<'_>, from: Timestamp, to: Timestamp) -> Vec<Mark> {
    let acts = error.history().filter_map(|action| {
        let what = match action.act {
            Act::Resolve => Event::Resolved,
            Act::Reopen => Event::Reopened,
            Act::Mute(_) | Act::Unmute | Act::Forget => return None,
        };
        Some(Mark { at: action.at, what })
    });
    let restarts = restarts(error, from, to).into_iter();
    let restarts = restarts.map(|at| Mark { at, what: Event::Restarted });
    let back = error.regression().map(|back| Mark { at: back.since, what: Event::Regressed });
    restarts.chain(acts).chain(back).collect()
}

/// When an instance began to count anew, as far as its exporter tells: a life of a counter that
/// is not the first one of its instance. An instance is who has the same labels, since most clients
/// call themselves something else in each life.
fn restarts(error: ErrorView<'_>, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    #[derive(PartialEq, Eq, PartialOrd, Ord)]
    enum Who<'a> {
        Labelled(&'a Labels),
        Named(SourceId),
    }
    let mut lives: BTreeMap<Who<'_>, Vec<Timestamp>> = BTreeMap::new();
    for known in error.counts().iter() {
        let Since::CreatedAt(at) = known.incarnation.since else { continue };
        let labels = error.source(known).and_then(|source| source.labels());
        let who = match labels.filter(|labels| !labels.is_empty()) {
            Some(labels) => Who::Labelled(labels),
            None => Who::Named(known.incarnation.source),
        };
        lives.entry(who).or_default().push(at);
    }
    let mut restarts: Vec<Timestamp> = lives
        .into_values()
        .flat_map(|mut lives| {
            lives.sort_unstable();
            lives.into_iter().skip(1)
        })
        .filter(|at| (from..to).contains(at))
        .collect();
    restarts.sort_unstable();
    restarts.split_off(restarts.len().saturating_sub(MOST_RESTARTS))
}

/// What `act` did, if that was the last thing that was done, and a moment ago.
pub(super) fn done(error: ErrorView<'_>, act: Option<&str>, now: Timestamp) -> Option<Done> {
    let mut history = error.history();
    let last = history.next().filter(|last| Some(last.act.as_str()) == act)?;
    if now.since(last.at) > TAKEN_BACK_WITHIN {
        return None;
    }
    let plain = |act| Some(Undo { act, until: None, count: None });
    let undo = match last.act {
        Act::Resolve => plain("reopen"),
        Act::Reopen => plain("resolve"),
        Act::Mute(_) => plain("unmute"),
        Act::Unmute => history.find_map(|a| hidden(a.act)).and_then(|before| again(before, now)),
        Act::Forget => None,
    };
    Some(Done { what: what(last.act), until: hidden(last.act), undo })
}

/// Mutes as before, if that would still hide anything.
fn again(before: Hidden, now: Timestamp) -> Option<Undo> {
    let (until, count) = match before {
        Hidden::Ever => (None, None),
        Hidden::Until(until) if until > now => (Some(until.since(now).as_secs().max(1)), None),
        Hidden::Until(_) => return None,
        Hidden::Further(n) => (None, Some(n)),
    };
    Some(Undo { act: "mute", until: until.map(|seconds| format!("{seconds}s")), count })
}

fn what(act: Act) -> &'static str {
    match act {
        Act::Resolve => "resolved",
        Act::Reopen => "reopened",
        Act::Mute(_) => "muted",
        Act::Unmute => "unmuted",
        Act::Forget => "forgotten",
    }
}

fn hidden(act: Act) -> Option<Hidden> {
    match act {
        Act::Mute(MuteFor::Ever) => Some(Hidden::Ever),
        Act::Mute(MuteFor::Until(until)) => Some(Hidden::Until(until)),
        Act::Mute(MuteFor::Further(n)) => Some(Hidden::Further(n)),
        _ => None,
    }
}
