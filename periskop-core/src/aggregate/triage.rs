//! What people decided about an error: a set of actions, from which its state is derived.

use std::fmt;

use crate::aggregate::{Counts, Forgotten, Incarnation, Known};
use crate::merge::Merge;
use crate::time::Timestamp;

/// Names an action; random, so that two people's actions never collide.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ActionId(pub u128);

impl fmt::Debug for ActionId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

/// What somebody did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Act {
    /// It is dealt with; whatever is new from now on brings it back.
    Resolve,
    /// It is not dealt with after all.
    Reopen,
    /// Hide it, go on counting.
    Mute(MuteFor),
    /// Show it again.
    Unmute,
    /// Remove its texts for good.
    Forget,
}

/// How long something stays muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum MuteFor {
    /// Until somebody unmutes it.
    Ever,
    /// Until then.
    Until(Timestamp),
    /// Until it happened this often again.
    Further(u64),
}

/// One action, as it is remembered.
#[derive(Clone, Debug, PartialEq)]
pub struct Action {
    /// Random.
    pub id: ActionId,
    /// When; later than any action known then, whatever the clock said.
    pub at: Timestamp,
    /// What.
    pub act: Act,
    /// By whom.
    pub by: Box<str>,
    /// Why, if somebody said so; else empty.
    pub why: Box<str>,
    /// What was known then. Only an action that rules keeps it.
    pub(crate) watermark: Option<Box<Watermark>>,
}

/// What was known of an error when somebody decided about it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Watermark {
    /// Its `last_seen` then.
    pub last_seen: Option<Timestamp>,
    /// Its counts then, sorted by incarnation.
    pub counts: Vec<(Incarnation, u64)>,
}

impl Watermark {
    /// What is known now.
    pub(crate) fn of(last_seen: Option<Timestamp>, counts: &Counts) -> Self {
        let counts = counts.iter().map(|k| (k.incarnation, k.tally.count())).collect();
        Self { last_seen, counts }
    }

    fn count(&self, incarnation: &Incarnation) -> Option<u64> {
        let found = self.counts.binary_search_by(|(i, _)| i.cmp(incarnation));
        found.ok().map(|i| self.counts[i].1)
    }
}

/// The state of an error, derived from what people decided and what happened since.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Status {
    /// Never resolved, or reopened.
    Open,
    /// Resolved, and nothing new since.
    Resolved,
    /// Resolved, and something new since.
    Regressed,
    /// Whatever of the above is true, hidden from the default list.
    Muted,
}

/// The state of an error as far as it does not depend on the time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Standing {
    unmuted: Status,
    hidden: Hidden,
}

/// Whether somebody has an error hidden.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Hidden {
    Never,
    Until(Timestamp),
    /// Until somebody does something, or something happens.
    Always,
}

impl Standing {
    /// The state at a time, if nothing else becomes known until then.
    pub fn at(self, now: Timestamp) -> Status {
        match self.hidden {
            Hidden::Always => Status::Muted,
            Hidden::Until(until) if now < until => Status::Muted,
            _ => self.unmuted,
        }
    }

    /// When it changes by itself, if it does or did.
    pub(crate) fn until(self) -> Option<Timestamp> {
        match self.hidden {
            Hidden::Until(until) => Some(until),
            Hidden::Never | Hidden::Always => None,
        }
    }
}

impl Status {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Open, Self::Regressed, Self::Resolved, Self::Muted];

    /// `open`, `resolved`, `regressed` or `muted`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Resolved => "resolved",
            Self::Regressed => "regressed",
            Self::Muted => "muted",
        }
    }

    /// Reads one of those words.
    pub fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == text)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The actions taken on one error: the newest hundred, and always the two that rule.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Triage(
    /// Sorted by (at, id).
    Vec<Action>,
);

/// What becomes of an action when others have been taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Fate {
    /// It answers one of the two questions, and keeps what was known then.
    pub rules: bool,
    /// It is remembered.
    pub is_kept: bool,
}

/// The questions that an action answers. In each, the greatest (at, id) rules.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Question {
    Resolved,
    Muted,
}

impl Triage {
    /// As many actions as are remembered, the ruling ones apart.
    pub const KEPT: usize = 100;

    /// The actions, newest first.
    pub fn history(&self) -> impl Iterator<Item = &Action> {
        self.0.iter().rev()
    }

    /// Whether nobody ever did anything.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The newest time of any action.
    pub(crate) fn newest(&self) -> Option<Timestamp> {
        self.0.last().map(|action| action.at)
    }

    /// The action that has it resolved, if one does, regressed or not.
    pub fn resolved_by(&self) -> Option<&Action> {
        self.ruling(Question::Resolved).filter(|action| action.act == Act::Resolve)
    }

    /// The action that has it muted, if one does, ended or not.
    pub fn muted_by(&self) -> Option<&Action> {
        self.ruling(Question::Muted).filter(|action| matches!(action.act, Act::Mute(_)))
    }

    /// The state that follows from these actions and from what is known now.
    pub fn status(&self, counts: &Counts, now: Timestamp) -> Status {
        self.standing(counts).at(now)
    }

    /// The same, for whoever asks again before anything else is known.
    pub fn standing(&self, counts: &Counts) -> Standing {
        let unmuted = match self.resolved_by() {
            None => Status::Open,
            Some(action) if counts.iter().any(|known| is_new_since(known, action)) => {
                Status::Regressed
            }
            Some(_) => Status::Resolved,
        };
        Standing { unmuted, hidden: self.hidden(counts) }
    }

    /// The incarnations that make it regressed, if it is resolved.
    pub(crate) fn news<'a>(&'a self, counts: &'a Counts) -> impl Iterator<Item = &'a Known> {
        self.resolved_by()
            .into_iter()
            .flat_map(move |action| counts.iter().filter(move |known| is_new_since(known, action)))
    }

    /// Whether one must stay that aged so long: it makes the error regressed, or has ended its mute.
    pub(crate) fn needs(&self, known: &Known) -> bool {
        let regressed = self.resolved_by().is_some_and(|action| is_new_since(known, action));
        let unmuted = self.muted_by().is_some_and(|action| {
            matches!(action.act, Act::Mute(MuteFor::Further(_))) && further(known, action) > 0
        });
        regressed || unmuted
    }

    fn hidden(&self, counts: &Counts) -> Hidden {
        let further = |action| counts.sum_of(|known| further(known, action), &Forgotten::default());
        match self.muted_by().map(|action| (action.act, action)) {
            Some((Act::Mute(MuteFor::Ever), _)) => Hidden::Always,
            Some((Act::Mute(MuteFor::Until(until)), _)) => Hidden::Until(until),
            Some((Act::Mute(MuteFor::Further(n)), action)) if further(action) < n => Hidden::Always,
            _ => Hidden::Never,
        }
    }

    fn ruling(&self, question: Question) -> Option<&Action> {
        self.0.iter().rev().find(|action| action.act.question() == Some(question))
    }

    /// An update that adds one action.
    pub(crate) fn of(action: Action) -> Self {
        Self(vec![action])
    }

    pub(crate) fn join(&mut self, other: Self, delta: &mut Self) -> bool {
        let before = self.0.clone();
        let mut touched = Vec::new();
        for action in other.0 {
            match self.0.binary_search_by(|known| known.key().cmp(&action.key())) {
                // The same action; one of us may have let go of what was known then.
                Ok(i) if action.watermark > self.0[i].watermark => {
                    touched.push(action.id);
                    self.0[i] = action;
                }
                Ok(_) => {}
                Err(i) => {
                    touched.push(action.id);
                    self.0.insert(i, action);
                }
            }
        }
        if touched.is_empty() {
            return false;
        }
        self.tidy();
        // What was dropped again at once, or had nothing to add, is no news.
        let news = |a: &&Action| touched.contains(&a.id) && !before.contains(a);
        delta.0 = self.0.iter().filter(news).cloned().collect();
        !delta.0.is_empty()
    }

    /// What becomes of actions, the oldest first: of each the word that [`Act::as_str`] gives.
    pub fn kept<'a>(words: impl DoubleEndedIterator<Item = &'a str>) -> Vec<Fate> {
        let mut answered = Vec::new();
        let mut fates: Vec<_> = words
            .rev()
            .enumerate()
            .map(|(newer, word)| {
                let question = Question::of(word);
                let rules = question.is_some_and(|question| !answered.contains(&question));
                answered.extend(question);
                Fate { rules, is_kept: rules || newer < Self::KEPT }
            })
            .collect();
        fates.reverse();
        fates
    }

    fn tidy(&mut self) {
        let mut fates = Self::kept(self.0.iter().map(|action| action.act.as_str())).into_iter();
        self.0.retain_mut(|action| {
            let fate = fates.next().unwrap_or(Fate { rules: false, is_kept: true });
            if !fate.rules {
                action.watermark = None;
            }
            fate.is_kept
        });
    }
}

impl Merge for Triage {
    fn merge(&mut self, other: Self) -> bool {
        self.join(other, &mut Self::default())
    }
}

impl Action {
    /// An action as it was stored.
    pub fn stored(
        id: ActionId,
        at: Timestamp,
        act: Act,
        by: &str,
        why: &str,
        watermark: Option<Watermark>,
    ) -> Self {
        let watermark = watermark.map(Box::new);
        Self { id, at, act, by: by.into(), why: why.into(), watermark }
    }

    /// What was known when it was taken, as far as that still matters.
    pub fn watermark(&self) -> Option<&Watermark> {
        self.watermark.as_deref()
    }

    fn key(&self) -> (Timestamp, ActionId) {
        (self.at, self.id)
    }
}

impl Act {
    /// The word that the API uses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Resolve => "resolve",
            Self::Reopen => "reopen",
            Self::Mute(_) => "mute",
            Self::Unmute => "unmute",
            Self::Forget => "forget",
        }
    }

    /// Until when it hides, if it does so until a time.
    pub const fn until(self) -> Option<Timestamp> {
        match self {
            Self::Mute(MuteFor::Until(until)) => Some(until),
            _ => None,
        }
    }

    /// For how many further occurrences it hides, if it counts them.
    pub const fn further(self) -> Option<u64> {
        match self {
            Self::Mute(MuteFor::Further(n)) => Some(n),
            _ => None,
        }
    }

    /// The act that these say; `None` if there is none.
    pub fn of_parts(word: &str, until: Option<Timestamp>, further: Option<u64>) -> Option<Self> {
        Some(match (word, until, further) {
            ("resolve", None, None) => Self::Resolve,
            ("reopen", None, None) => Self::Reopen,
            ("mute", None, None) => Self::Mute(MuteFor::Ever),
            ("mute", Some(until), None) => Self::Mute(MuteFor::Until(until)),
            ("mute", None, Some(n)) => Self::Mute(MuteFor::Further(n)),
            ("unmute", None, None) => Self::Unmute,
            ("forget", None, None) => Self::Forget,
            _ => return None,
        })
    }

    fn question(self) -> Option<Question> {
        Question::of(self.as_str())
    }
}

impl Question {
    fn of(word: &str) -> Option<Self> {
        match word {
            "resolve" | "reopen" => Some(Self::Resolved),
            "mute" | "unmute" => Some(Self::Muted),
            _ => None,
        }
    }
}

/// Whether an incarnation brings something new since an action. What is in the watermark is
/// judged by its count, which needs no clock.
fn is_new_since(known: &Known, action: &Action) -> bool {
    let Some(watermark) = &action.watermark else { return false };
    match watermark.count(&known.incarnation) {
        Some(count) => known.tally.count() > count,
        None => {
            let seen = watermark.last_seen.map_or(action.at, |seen| seen.min(action.at));
            known.tally.newest().is_none_or(|newest| newest > seen)
                || known.tally.risen().is_some_and(|risen| risen >= action.at)
        }
    }
}

/// How much an incarnation counted since an action.
fn further(known: &Known, action: &Action) -> u64 {
    let before = action.watermark.as_ref().and_then(|w| w.count(&known.incarnation));
    match before {
        Some(before) => known.tally.count().saturating_sub(before),
        None if is_new_since(known, action) => known.tally.count(),
        None => 0,
    }
}
