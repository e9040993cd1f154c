//! What the pages show: plain values, already chosen, counted and bounded, not yet formatted.
//!
//! Whatever a target, a user or a configuration wrote is a [`Text`].

use std::time::Duration;

use periskop_core::ids::sha256_hex;
use periskop_core::{Severity, Timestamp};

use super::chart::{Bars, Series};
use super::filter::{ErrorFilter, Sort, StateFilter};
use super::format;
use super::frames::Frames;
use super::text::Text;

/// All services, worst first.
#[derive(Clone, Debug, Default)]
pub struct Overview {
    /// One a service.
    pub services: Vec<ServiceRow>,
}

impl Overview {
    /// Instances that answer.
    pub fn up(&self) -> usize {
        self.services.iter().map(|s| s.up).sum()
    }

    /// Instances known.
    pub fn instances(&self) -> usize {
        self.services.iter().map(|s| s.instances).sum()
    }

    /// Errors that want attention.
    pub fn open(&self) -> usize {
        self.services.iter().map(|s| s.open).sum()
    }
}

/// A service in the overview.
#[derive(Clone, Debug)]
pub struct ServiceRow {
    /// Its name.
    pub name: Text,
    /// Instances that answered their last scrape.
    pub up: usize,
    /// Instances that are scraped.
    pub instances: usize,
    /// Errors open or regressed.
    pub open: usize,
    /// Of these, first seen lately.
    pub new: usize,
    /// Of these, resolved once and back.
    pub regressed: usize,
    /// Occurrences per minute, now.
    pub rate: f64,
    /// Now, as a multiple of the day before; where there is something to compare with.
    pub trend: Option<f64>,
    /// The worst severity among its open errors.
    pub severity: Severity,
    /// Its occurrences in the last day.
    pub series: Series,
}

/// The list of errors under a filter.
#[derive(Clone, Debug)]
pub struct ErrorsPage {
    /// What is asked for.
    pub filter: ErrorFilter,
    /// How many errors match.
    pub total: usize,
    /// How many occurrences they have together.
    pub occurrences: u64,
    /// How many pages they fill.
    pub pages: usize,
    /// Those of this page.
    pub rows: Vec<ErrorRow>,
    /// How many there would be under another filter.
    pub facets: Facets,
    /// How many services are known, so that an empty list can say why it is empty.
    pub services: usize,
}

impl ErrorsPage {
    /// The query that sorts by `sort`, and turns the order round where it is chosen already.
    pub fn sorted(&self, sort: Sort) -> String {
        let turn = self.filter.sort == sort && !self.filter.ascending;
        self.filter
            .with(|f| {
                f.sort = sort;
                f.ascending = turn;
            })
            .to_query()
    }

    /// The query of the page `n`, from 0.
    pub fn page(&self, n: usize) -> String {
        ErrorFilter { page: n, ..self.filter.clone() }.to_query()
    }

    /// The query that asks for `state`.
    pub fn state(&self, state: StateFilter) -> String {
        self.filter.with(|f| f.state = state).to_query()
    }

    /// The query that asks for `severity`, or for all if it is chosen already.
    pub fn severity(&self, severity: Severity) -> String {
        let chosen = self.filter.severity == Some(severity);
        self.filter.with(|f| f.severity = (!chosen).then_some(severity)).to_query()
    }

    /// The query that asks for `service`, or for all if it is chosen already.
    pub fn service(&self, service: &Text) -> String {
        let chosen = self.is_service(service);
        self.filter.with(|f| f.service = (!chosen).then(|| service.as_str().to_owned())).to_query()
    }

    /// Whether `service` is chosen.
    pub fn is_service(&self, service: &Text) -> bool {
        self.filter.service.as_deref() == Some(service.as_str())
    }

    /// States that hold matches which the present choice of state hides.
    pub fn elsewhere(&self) -> impl Iterator<Item = &(StateFilter, usize)> {
        self.facets.states.iter().filter(|(state, n)| {
            *n > 0
                && matches!(state, StateFilter::Open | StateFilter::Muted | StateFilter::Resolved)
        })
    }
}

/// Counts for the choices beside the list; each disregards the present choice of its own kind.
#[derive(Clone, Debug, Default)]
pub struct Facets {
    /// Per state, in the order of [`StateFilter::ALL`].
    pub states: Vec<(StateFilter, usize)>,
    /// Per severity, worst first.
    pub severities: Vec<(Severity, usize)>,
    /// Per service, most first; a bounded number.
    pub services: Vec<(Text, usize)>,
}

/// An error in the list.
#[derive(Clone, Debug)]
pub struct ErrorRow {
    /// Its service.
    pub service: Text,
    /// Its aggregation key.
    pub key: Text,
    /// The class of its newest exception, or the key where that has none.
    pub class: Text,
    /// Its message; may be empty.
    pub message: Text,
    /// How bad it is.
    pub severity: Severity,
    /// What to say of its state.
    pub state: State,
    /// Occurrences, ever.
    pub total: u64,
    /// The first of them.
    pub first_seen: Timestamp,
    /// The last of them.
    pub last_seen: Timestamp,
    /// Occurrences in the last day.
    pub series: Series,
}

impl ErrorRow {
    /// An identity within the page that survives live updates: scripts and focus hold on to it.
    pub fn id(&self) -> String {
        let name = [self.service.as_str(), self.key.as_str()].join("\0");
        format!("e-{}", &sha256_hex(name.as_bytes())[..16])
    }
}

/// The state of an error, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Open for a while.
    Open,
    /// Open, first seen lately.
    New,
    /// Resolved, and it came back.
    Regressed,
    /// Resolved.
    Resolved,
    /// Hidden, for ever or until something happens.
    Muted(Muted),
}

/// Until when an error is muted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Muted {
    /// Until it is unmuted.
    Ever,
    /// For so much longer.
    For(Duration),
    /// Until it has occurred so often again.
    Further(u64),
}

impl State {
    /// The word on the page; none for a state without need of one.
    pub fn word(self) -> Option<String> {
        Some(match self {
            Self::Open => return None,
            Self::New => "NEW".to_owned(),
            Self::Regressed => "REGRESSED".to_owned(),
            Self::Resolved => "RESOLVED".to_owned(),
            Self::Muted(Muted::Ever) => "MUTED".to_owned(),
            Self::Muted(Muted::For(left)) => format!("MUTED {}", format::span(left)),
            Self::Muted(Muted::Further(n)) => format!("MUTED {} more", format::short(n)),
        })
    }

    /// The class that colours the word.
    pub const fn class(self) -> &'static str {
        match self {
            Self::Open => "",
            Self::New => "new",
            Self::Regressed => "reg",
            Self::Resolved => "ok",
            Self::Muted(_) => "mut",
        }
    }

    /// Whether the error can be resolved; else it can be reopened.
    pub const fn can_resolve(self) -> bool {
        !matches!(self, Self::Resolved)
    }
}

/// One error whole.
#[derive(Clone, Debug)]
pub struct ErrorPage {
    /// What its row in the list shows.
    pub row: ErrorRow,
    /// Occurrences per minute, now.
    pub rate: f64,
    /// Now, as a multiple of the day before.
    pub trend: Option<f64>,
    /// Its occurrences over the range that was asked for.
    pub bars: Bars,
    /// That range.
    pub range: Range,
    /// Occurrences that no chart shows: they were counted before anybody looked, or long ago.
    pub before: u64,
    /// Counts per instance: the scraped ones, then those that are gone.
    pub instances: Vec<InstanceRow>,
    /// Instances that have reported it, and are scraped.
    pub reporting: usize,
    /// Instances that are scraped.
    pub known: usize,
    /// Instances that were gone and are not included in the counts any more.
    pub evicted: u64,
    /// What people did, newest first.
    pub history: Vec<HistoryRow>,
    /// The occurrence to show; none where no text is kept.
    pub occurrence: Option<OccurrenceCard>,
}

impl ErrorPage {
    /// Whether it explodes.
    pub fn is_rising(&self) -> bool {
        self.trend.is_some_and(|ratio| ratio >= 2.0)
    }

    /// The occurrence that was chosen; none for the newest, which is the default.
    pub fn chosen(&self) -> Option<&Text> {
        self.occurrence.as_ref().filter(|o| o.place > 1).map(|o| &o.name)
    }
}

/// How far back a chart reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Range {
    /// An hour, by the minute.
    Hour,
    /// A day, by the quarter of an hour.
    #[default]
    Day,
    /// A week, by two hours.
    Week,
    /// Thirty days, by eight hours.
    Month,
}

impl Range {
    /// All, shortest first.
    pub const ALL: [Self; 4] = [Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The value in an address, and the name on the page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// Reads the value of an address; the default for an unknown one.
    pub fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|range| range.as_str() == text).unwrap_or_default()
    }

    /// How long a step is, and how many there are.
    pub const fn steps(self) -> (Duration, u32) {
        match self {
            Self::Hour => (Duration::from_secs(60), 60),
            Self::Day => (Duration::from_secs(15 * 60), 96),
            Self::Week => (Duration::from_secs(2 * 3_600), 84),
            Self::Month => (Duration::from_secs(8 * 3_600), 90),
        }
    }
}

/// What one instance has reported of an error.
#[derive(Clone, Debug)]
pub struct InstanceRow {
    /// Its address, or what it calls itself.
    pub name: Text,
    /// Its labels after relabelling.
    pub labels: Vec<(Text, Text)>,
    /// Occurrences it has reported.
    pub count: u64,
    /// Its share of the largest count, in percent.
    pub share: u8,
    /// What is to be said of it.
    pub note: InstanceNote,
}

/// What is to be said of an instance beside its count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstanceNote {
    /// It reports the error.
    Reports,
    /// It is scraped and has never reported it.
    None,
    /// It is scraped and does not answer.
    Down,
    /// It has reported it and is gone; its count stays.
    Gone,
}

/// Something that happened to an error.
#[derive(Clone, Debug)]
pub struct HistoryRow {
    /// When.
    pub at: Timestamp,
    /// What: `resolved`, `seen again`.
    pub what: &'static str,
    /// By whom; empty where nobody did it.
    pub by: Text,
    /// Why; may be empty.
    pub why: Text,
}

/// One occurrence.
#[derive(Clone, Debug)]
pub struct OccurrenceCard {
    /// Its uuid.
    pub name: Text,
    /// Its place among those that are kept, newest first, from 1.
    pub place: usize,
    /// How many are kept.
    pub of: usize,
    /// The name of the next newer one.
    pub newer: Option<Text>,
    /// The name of the next older one.
    pub older: Option<Text>,
    /// When it happened, if its clock can be believed.
    pub time: Option<Timestamp>,
    /// How bad it is.
    pub severity: Severity,
    /// The exception, then its causes.
    pub exceptions: Vec<ExceptionCard>,
    /// Causes that are not shown because there are too many.
    pub further: usize,
    /// The request during which it happened.
    pub http: Option<HttpCard>,
}

/// One exception of a chain of causes.
#[derive(Clone, Debug)]
pub struct ExceptionCard {
    /// Its class; may be empty.
    pub class: Text,
    /// Its message; may be empty.
    pub message: Text,
    /// Its stack trace.
    pub frames: Vec<Frames>,
    /// Frames that are not shown because there are too many.
    pub further: usize,
}

/// A request.
#[derive(Clone, Debug)]
pub struct HttpCard {
    /// The method; may be empty.
    pub method: Text,
    /// The URL.
    pub url: Text,
    /// Header names and values.
    pub headers: Vec<(Text, Text)>,
    /// The body; may be empty.
    pub body: Text,
    /// The command that sends it again; none for a body too long to paste.
    pub curl: Option<Text>,
}

/// What is scraped.
#[derive(Clone, Debug, Default)]
pub struct TargetsPage {
    /// Per service.
    pub services: Vec<TargetGroup>,
}

/// The targets of a service.
#[derive(Clone, Debug)]
pub struct TargetGroup {
    /// The service.
    pub service: Text,
    /// Targets that are scraped, those that are down first.
    pub targets: Vec<TargetRow>,
    /// Why some of what was found is no target; a bounded number.
    pub invalid: Vec<Text>,
    /// Labels of targets that relabelling dropped; a bounded number.
    pub dropped: Vec<Vec<(Text, Text)>>,
    /// How many were dropped.
    pub dropped_total: usize,
    /// Why discovery does not work at present.
    pub problems: Vec<Text>,
}

impl TargetGroup {
    /// Targets that answered their last scrape.
    pub fn up(&self) -> usize {
        self.targets.iter().filter(|t| t.health == Health::Up).count()
    }
}

/// A target.
#[derive(Clone, Debug)]
pub struct TargetRow {
    /// Where it is scraped.
    pub url: Text,
    /// Whether it answers.
    pub health: Health,
    /// When it was last scraped.
    pub last_scrape: Option<Timestamp>,
    /// How long that took.
    pub took: Option<Duration>,
    /// What went wrong; may be empty.
    pub error: Text,
    /// How it was found last, if this process has not tried it yet.
    pub before: Option<Before>,
    /// What was wrong with parts of its last good answer.
    pub warnings: Vec<Text>,
    /// Its labels after relabelling.
    pub labels: Vec<(Text, Text)>,
    /// Its labels as discovery found them.
    pub discovered: Vec<(Text, Text)>,
}

/// How a target was found before this process began.
#[derive(Clone, Debug)]
pub struct Before {
    /// Whether it answered.
    pub is_up: bool,
    /// Since when it was so.
    pub since: Timestamp,
    /// Why it did not answer; may be empty.
    pub reason: Text,
}

/// Whether a target answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Health {
    /// It answered its last scrape.
    Up,
    /// It did not.
    Down,
    /// It has not been scraped yet.
    Unknown,
}

/// What runs here, and how it is configured.
#[derive(Clone, Debug, Default)]
pub struct StatusPage {
    /// Groups of facts, each with its heading.
    pub facts: Vec<(&'static str, Vec<(&'static str, Text)>)>,
    /// The configuration as it is in force, secrets as `<secret>`.
    pub config: Text,
    /// What the operator should know, such as an address open to everybody.
    pub warnings: Vec<Text>,
}

/// What could not be done.
#[derive(Clone, Debug)]
pub struct ProblemPage {
    /// The HTTP status.
    pub status: u16,
    /// In a few words.
    pub title: &'static str,
    /// What was asked for, or what to do.
    pub detail: Text,
}
