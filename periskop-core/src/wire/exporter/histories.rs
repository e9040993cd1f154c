//! A state is the same whether answers are read whole or only as far as they are new.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;

use super::{Limits, Memo, Options, parse, parse_changed};
use crate::aggregate::{Act, ActionId};
use crate::ids::{AggregateId, ReplicaId, ServiceName};
use crate::observer::{Observer, Settings};
use crate::redact::Redactor;
use crate::target::Labels;
use crate::time::Timestamp;

const NOW: Timestamp = Timestamp::from_micros(1_772_366_400_000_000);

/// What an instance tells of one error.
#[derive(Clone, Debug)]
struct Told {
    key: u8,
    count: u64,
    created: u8,
    severity: u8,
    key_comes_last: bool,
    occurrences: Vec<Happened>,
}

/// An occurrence: its name, and which of the times, severities and contents it has.
#[derive(Clone, Copy, Debug)]
struct Happened {
    name: u8,
    time: u8,
    severity: u8,
    content: u8,
}

/// What happens between two answers.
#[derive(Clone, Debug)]
enum Step {
    Happens(Index, Happened),
    Ages(Index),
    Restarts(Index, u8),
    Worsens(Index, u8),
    Turns(Index),
    Appears(Told),
    Vanishes(Index),
    Doubles(Index),
    Swaps(Index, Index),
    Source(u8),
    Waits(u16),
    Forget(u8),
    Keep(u8),
}

fn happened() -> impl Strategy<Value = Happened> {
    (0..6_u8, 0..12_u8, 0..4_u8, 0..3_u8).prop_map(|(name, time, severity, content)| Happened {
        name,
        time,
        severity,
        content,
    })
}

fn told() -> impl Strategy<Value = Told> {
    (0..3_u8, 0..9_u64, 0..3_u8, 0..4_u8, prop::bool::weighted(0.1), vec(happened(), 0..5))
        .prop_map(|(key, count, created, severity, key_comes_last, occurrences)| Told {
            key,
            count,
            created,
            severity,
            key_comes_last,
            occurrences,
        })
}

fn step() -> impl Strategy<Value = Step> {
    let error = any::<Index>;
    prop_oneof![
        6 => (error(), happened()).prop_map(|(error, new)| Step::Happens(error, new)),
        2 => error().prop_map(Step::Ages),
        1 => (error(), 0..3_u8).prop_map(|(error, created)| Step::Restarts(error, created)),
        1 => (error(), 0..4_u8).prop_map(|(error, severity)| Step::Worsens(error, severity)),
        1 => error().prop_map(Step::Turns),
        2 => told().prop_map(Step::Appears),
        1 => error().prop_map(Step::Vanishes),
        1 => error().prop_map(Step::Doubles),
        2 => (error(), error()).prop_map(|(a, b)| Step::Swaps(a, b)),
        1 => (0..3_u8).prop_map(Step::Source),
        1 => (0..600_u16).prop_map(Step::Waits),
        1 => (0..3_u8).prop_map(Step::Forget),
        1 => (1..6_u8).prop_map(Step::Keep),
    ]
}

impl Happened {
    fn written(self) -> String {
        let time = match self.time {
            0 => r#""timestamp":null,"#.to_owned(),
            1 => r#""timestamp":"soon","#.to_owned(),
            // Too far ahead, until somebody has waited.
            2 => r#""timestamp":"2026-03-01T12:09:00Z","#.to_owned(),
            3 => r#""timestamp":"1999-03-01T12:00:00Z","#.to_owned(),
            minute => format!(r#""timestamp":"2026-03-01T11:{minute:02}:00Z","#),
        };
        let severity = match self.severity {
            0 => String::new(),
            1 => r#""severity":"info","#.to_owned(),
            2 => r#""severity":"warning","#.to_owned(),
            _ => r#""severity":"fatal","#.to_owned(),
        };
        let name = match self.name {
            0 => "null".to_owned(),
            1 => "7".to_owned(),
            name => format!(r#""occurrence {name}""#),
        };
        let message = ["a", "b", "a longer one"][usize::from(self.content)];
        format!(r#"{{{time}{severity}"error":{{"message":"{message}"}},"uuid":{name}}}"#)
    }
}

impl Told {
    fn written(&self) -> String {
        let occurrences: Vec<_> = self.occurrences.iter().map(|o| o.written()).collect();
        let severity = ["null", r#""info""#, r#""warning""#, r#""error""#];
        let created = ["null", r#""2026-03-01T11:00:00Z""#, r#""2026-03-01T11:05:00.5Z""#];
        let key = format!(r#""aggregation_key":"error {}""#, self.key);
        let rest = format!(
            r#""total_count":{},"severity":{},"latest_errors":[{}],"created_at":{}"#,
            self.count,
            severity[usize::from(self.severity)],
            occurrences.join(", "),
            created[usize::from(self.created)],
        );
        let (first, then) = if self.key_comes_last { (&rest, &key) } else { (&key, &rest) };
        format!("{{{first},{then}}}")
    }
}

/// An observer that reads everything, one that reads what is new, and what both look at.
struct World {
    now: Timestamp,
    whole: Observer,
    changed: Observer,
    memo: Memo,
    options: Options,
    errors: Vec<Told>,
    source: u8,
}

impl World {
    fn new(errors: Vec<Told>, limit: usize) -> Self {
        let limits = Limits { occurrences: limit, ..Limits::default() };
        let observer = || Observer::new(ReplicaId::from_u64(1), Settings::default(), NOW);
        Self {
            now: NOW,
            whole: observer(),
            changed: observer(),
            memo: Memo::new(42),
            options: Options { limits, redactor: Redactor::off() },
            errors,
            source: 0,
        }
    }

    fn service() -> ServiceName {
        ServiceName::from("service")
    }

    fn take(&mut self, step: Step) {
        let count = self.errors.len();
        let mut change = |error: Index, change: &dyn Fn(&mut Told)| {
            if count > 0 {
                change(&mut self.errors[error.index(count)]);
            }
        };
        match step {
            Step::Happens(error, new) => change(error, &|told| {
                told.count += 1;
                told.occurrences.push(new);
            }),
            Step::Ages(error) => change(error, &|told| {
                if !told.occurrences.is_empty() {
                    told.occurrences.remove(0);
                }
            }),
            Step::Restarts(error, created) => change(error, &|told| {
                told.created = created;
                told.count = 1;
            }),
            Step::Worsens(error, severity) => change(error, &|told| told.severity = severity),
            Step::Turns(error) => change(error, &|told| told.occurrences.reverse()),
            Step::Appears(told) => self.errors.push(told),
            Step::Vanishes(error) if count > 0 => drop(self.errors.remove(error.index(count))),
            Step::Doubles(error) if count > 0 => {
                self.errors.push(self.errors[error.index(count)].clone());
            }
            Step::Swaps(a, b) if count > 0 => self.errors.swap(a.index(count), b.index(count)),
            Step::Vanishes(_) | Step::Doubles(_) | Step::Swaps(..) => {}
            Step::Source(source) => self.source = source,
            Step::Waits(seconds) => self.now = self.now.plus(Duration::from_secs(seconds.into())),
            Step::Forget(key) => {
                let key = format!("error {key}").into();
                let id = AggregateId { service: Self::service(), key };
                for observer in [&mut self.whole, &mut self.changed] {
                    let _unknown = observer.act(self.now, &id, ActionId(1), Act::Forget, "", "");
                }
                self.memo.clear();
            }
            Step::Keep(keep) => {
                let settings = Settings { occurrences_per_error: keep, ..Settings::default() };
                // As the engine does: only where more is kept something is to be read again.
                if keep > self.changed.settings().occurrences_per_error {
                    self.memo.clear();
                }
                self.whole.set_settings(settings);
                self.changed.set_settings(settings);
            }
        }
    }

    fn body(&self) -> Vec<u8> {
        let errors: Vec<_> = self.errors.iter().map(Told::written).collect();
        let source = ["null", r#""one""#, r#""another""#][usize::from(self.source)];
        format!(r#"{{"aggregated_errors":[{}],"target_uuid":{source}}}"#, errors.join(","))
            .into_bytes()
    }

    fn answer(&mut self) -> Result<(), TestCaseError> {
        self.now = self.now.plus(Duration::from_secs(10));
        let body = self.body();
        let all = parse(&body, self.now, &self.options).unwrap();
        let new = parse_changed(&body, self.now, &self.options, &mut self.memo).unwrap();
        prop_assert_eq!((all.skipped, &all.warnings), (new.skipped, &new.warnings));
        for read in &new.errors {
            let told = all.errors.iter().filter(|error| error.key == read.key);
            let told: usize = told.map(|error| error.occurrences.len()).sum();
            let read = new.errors.iter().filter(|error| error.key == read.key);
            let read: usize = read.map(|e| e.occurrences.len() + e.unchanged.len()).sum();
            prop_assert_eq!(told, read, "each occurrence is either read or unchanged");
        }
        let (service, labels) = (Self::service(), Labels::default());
        let all = self.whole.scraped(self.now, &service, "http://t/", &labels, all);
        let new = self.changed.scraped(self.now, &service, "http://t/", &labels, new);
        prop_assert_eq!(self.whole.state(), self.changed.state());
        prop_assert_eq!(all.changed(), new.changed());
        prop_assert_eq!(all.state(), new.state());
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn what_is_merged_of_answers_is_the_same_whether_they_are_read_whole_or_not(
        errors in vec(told(), 0..4),
        limit in prop_oneof![Just(100), 1..4_usize],
        steps in vec(vec(step(), 0..4), 1..12),
    ) {
        let mut world = World::new(errors, limit);
        world.answer()?;
        for between in steps {
            between.into_iter().for_each(|step| world.take(step));
            world.answer()?;
        }
    }
}
