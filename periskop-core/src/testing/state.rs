//! Strategies for everything that merges.
//!
//! Domains are small, so that random values meet: few sources, few times, few names.

use std::time::Duration;

use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

use crate::aggregate::{
    Act, Action, ActionId, Age, Aggregate, Counts, Forgotten, Incarnation, Known,
    LatestOccurrences, MuteFor, Series, Since, Tally, Triage, Watermark,
};
use crate::ids::{AggregateId, AggregationKey, ReplicaId, ServiceName, SourceId};
use crate::merge::Merge;
use crate::observer::{Observer, Settings};
use crate::occurrence::{ContentHash, Exception, Occurrence, Severity};
use crate::report::{Report, ReportedError};
use crate::state::State;
use crate::target::Labels;
use crate::texts::Texts;
use crate::time::Timestamp;

/// A moment within a quarter of an hour.
pub fn moment() -> impl Strategy<Value = Timestamp> {
    (0..15_u32).prop_map(|minute| start().plus(Duration::from_secs(60) * minute))
}

fn start() -> Timestamp {
    Timestamp::from_micros(1_772_323_200_000_000)
}

/// A severity.
pub fn severity() -> impl Strategy<Value = Severity> {
    prop_oneof![Just(Severity::Info), Just(Severity::Warning), Just(Severity::Error)]
}

/// What one incarnation counted.
pub fn tally() -> impl Strategy<Value = Tally> {
    (0..5_u64, option::of(moment()), option::of(moment()))
        .prop_map(|(count, newest, risen)| Tally::new(count, newest, risen))
}

/// One lifetime of one counter.
pub fn incarnation() -> impl Strategy<Value = Incarnation> {
    let source = prop_oneof![Just("a"), Just("b")].prop_map(SourceId::of);
    let since = prop_oneof![
        moment().prop_map(Since::CreatedAt),
        (0..2_u64, 0..3_u32)
            .prop_map(|(observer, n)| Since::Reset { observer: ReplicaId::from_u64(observer), n }),
    ];
    (source, since).prop_map(|(source, since)| Incarnation { source, since })
}

/// Whether something is exported.
pub fn age() -> impl Strategy<Value = Age> {
    prop_oneof![moment().prop_map(Age::exported), moment().prop_map(Age::gone)]
}

/// Tallies by incarnation.
pub fn counts() -> impl Strategy<Value = Counts> {
    let known = (incarnation(), tally(), age()).prop_map(|(incarnation, tally, age)| Known {
        incarnation,
        tally,
        age,
    });
    vec(known, 0..6).prop_map(Counts::from_iter)
}

/// What people had forgotten.
pub fn forgotten() -> impl Strategy<Value = Forgotten> {
    option::weighted(0.3, (moment(), vec((incarnation(), 0..5_u64), 0..4))).prop_map(|some| {
        some.map_or_else(Forgotten::default, |(through, counts)| Forgotten::new(through, counts))
    })
}

/// An occurrence of which there may be others with the same name.
pub fn occurrence() -> impl Strategy<Value = Occurrence> {
    (0..12_u8, moment(), 0..3_u8, severity()).prop_map(|(name, time, content, severity)| {
        let message = Some(format!("message {content}"));
        let exception = Exception { class: Some("C".into()), message, stacktrace: vec![] };
        Occurrence {
            name: format!("o{name}"),
            // Of three contents two share a hash, as when two observers redact differently.
            content: ContentHash::of(&[content / 2]),
            time: Some(time),
            severity,
            exceptions: vec![exception],
            http: None,
        }
    })
}

/// The newest four occurrences.
pub fn latest() -> impl Strategy<Value = LatestOccurrences> {
    vec(occurrence(), 0..8).prop_map(|occurrences| {
        let mut latest = LatestOccurrences::new(4);
        for o in occurrences {
            let kept = Texts::default().pack(&o, o.time.unwrap_or_default(), true);
            latest.put(kept);
        }
        latest
    })
}

/// Actions; some histories are longer than what is remembered.
pub fn triage() -> impl Strategy<Value = Triage> {
    let few = vec((0..8_u8, any::<bool>()), 0..6);
    let many = vec((any::<u8>(), any::<bool>()), 100..250);
    prop_oneof![9 => few, 1 => many].prop_map(|actions| {
        let mut triage = Triage::default();
        for (id, remembers) in actions {
            triage.merge(Triage::of(action(id, remembers)));
        }
        triage
    })
}

/// The action with this id: an id is random, so what it names is always the same.
fn action(id: u8, remembers: bool) -> Action {
    let act = match id % 7 {
        0 | 1 => Act::Resolve,
        2 => Act::Reopen,
        3 => Act::Mute(MuteFor::Ever),
        4 => Act::Mute(MuteFor::Further(2)),
        5 => Act::Unmute,
        _ => Act::Forget,
    };
    let at = start().plus(Duration::from_secs(u64::from(id / 3)));
    let watermark = match act {
        Act::Resolve | Act::Mute(_) if remembers => {
            Some(Box::new(Watermark { last_seen: Some(at), counts: vec![] }))
        }
        _ => None,
    };
    Action { id: ActionId(id.into()), at, act, by: "ann".into(), why: "".into(), watermark }
}

/// What two observers saw over time.
pub fn series() -> impl Strategy<Value = Series> {
    vec((0..2_u64, 0..3_000_u32, 1..4_u64), 0..6).prop_map(|seen| {
        let mut series = Series::default();
        for (observer, minute, count) in seen {
            let at = start().plus(Duration::from_secs(60) * minute);
            let update = series.added(ReplicaId::from_u64(observer), at, count);
            series.merge(update);
        }
        series
    })
}

/// Everything known of one error.
pub fn aggregate() -> impl Strategy<Value = Aggregate> {
    let times = (option::of(moment()), option::of(moment()));
    let severity = option::of((moment(), severity()));
    (counts(), times, severity, latest(), triage(), forgotten(), series()).prop_map(
        |(counts, (first_seen, last_seen), severity, latest, triage, forgotten, series)| {
            let mut whole =
                Aggregate { latest: LatestOccurrences::new(4), forgotten, ..Aggregate::default() };
            let told = Aggregate {
                counts,
                first_seen,
                last_seen,
                severity,
                latest,
                triage,
                series,
                ..Aggregate::default()
            };
            whole.merge(told);
            whole
        },
    )
}

/// One thing that happens to an observer.
#[derive(Clone, Debug)]
pub enum Step {
    /// A target of a source answers.
    Scrape(u8, Report),
    /// A process pushes.
    Push(Report),
    /// A target leaves.
    Depart(u8),
    /// Somebody decides about one of the errors.
    Act(u8, ActionId, Act),
    /// Nobody answers.
    Down(u8),
}

/// Something that happens.
pub fn step() -> impl Strategy<Value = Step> {
    let act = prop_oneof![
        3 => Just(Act::Resolve),
        1 => Just(Act::Reopen),
        1 => Just(Act::Mute(MuteFor::Further(3))),
        1 => Just(Act::Mute(MuteFor::Ever)),
        1 => Just(Act::Unmute),
        1 => Just(Act::Forget),
    ];
    prop_oneof![
        6 => (0..3_u8, report()).prop_map(|(target, report)| Step::Scrape(target, report)),
        2 => report().prop_map(Step::Push),
        1 => (0..3_u8).prop_map(Step::Depart),
        1 => (0..3_u8).prop_map(Step::Down),
        3 => (0..2_u8, any::<u128>(), act).prop_map(|(key, id, act)| Step::Act(key, ActionId(id), act)),
    ]
}

fn report() -> impl Strategy<Value = Report> {
    let error =
        (0..2_u8, 0..6_u64, option::weighted(0.7, moment()), severity(), vec(occurrence(), 0..3));
    (option::of(0..2_u8), vec(error, 0..3)).prop_map(|(uuid, errors)| Report {
        target_uuid: uuid.map(|n| format!("u{n}")),
        errors: errors
            .into_iter()
            .map(|(key, total_count, created_at, severity, occurrences)| ReportedError {
                key: key_of(key),
                total_count,
                severity,
                created_at,
                incarnations: None,
                occurrences,
                unchanged: Vec::new(),
            })
            .collect(),
        ..Report::default()
    })
}

fn key_of(n: u8) -> AggregationKey {
    format!("K{n}").into()
}

/// Takes one step; an observer whose state grows returns the delta.
pub fn take(observer: &mut Observer, now: Timestamp, step: &Step) -> crate::state::Delta {
    let service = ServiceName::from("svc");
    let url = |target: &u8| format!("http://10.0.0.{target}:80/-/exceptions");
    match step {
        Step::Scrape(target, report) => {
            let labels = Labels::from([("instance", format!("10.0.0.{target}:80"))]);
            observer.scraped(now, &service, &url(target), &labels, report.clone())
        }
        Step::Push(report) => observer.pushed(now, &service, report.clone()),
        Step::Depart(target) => observer.departed(now, &service, &url(target)),
        Step::Down(target) => observer.scrape_failed(&service, &url(target)),
        Step::Act(key, action, act) => {
            let id = AggregateId { service, key: key_of(*key) };
            observer.act(now, &id, *action, *act, "ann", "").unwrap_or_default()
        }
    }
}

/// A state that one of three observers came to.
pub fn state() -> impl Strategy<Value = State> {
    (0..3_u64, vec((0..900_u64, step()), 0..8)).prop_map(|(id, mut steps)| {
        steps.sort_by_key(|(second, _)| *second);
        let settings = Settings { occurrences_per_error: 4, ..Settings::default() };
        let mut observer = Observer::new(ReplicaId::from_u64(id), settings, start());
        for (second, step) in steps {
            // Never two observers at the same microsecond.
            let now = start().plus(Duration::from_micros(second * 1_000_003 + id));
            take(&mut observer, now, &step);
        }
        observer.into_state()
    })
}
