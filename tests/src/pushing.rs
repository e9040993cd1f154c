//! A process whose whole life is to commit: each commit says of three errors that they happened
//! once more, so that a half of one can be told from the whole.

use std::time::Duration;

use periskop_core::aggregate::{Act, ActionId};
use periskop_core::{
    AggregateId, ContentHash, Delta, Exception, Observer, Occurrence, ReplicaId, Report,
    ReportedError, ServiceName, Settings, Severity, State, Timestamp,
};

/// The errors that happen together.
pub const KEYS: [&str; 3] = ["a", "b\0", "ü"];

/// When it began; every commit is a second later.
const BEGIN: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

/// Goes on from what is stored.
pub struct Pusher {
    observer: Observer,
    count: u64,
}

impl Pusher {
    /// Goes on from this.
    pub fn new(name: ReplicaId, stored: State) -> Self {
        let count = counted(&stored);
        let now = BEGIN.plus(Duration::from_secs(count));
        let settings = Settings::default();
        Self { observer: Observer::restore(name, settings, now, stored), count }
    }

    /// Everything happens once more; now and then somebody resolves one of them as well.
    ///
    /// # Panics
    ///
    /// Never: what is resolved has just happened.
    pub fn again(&mut self) -> (u64, Delta) {
        self.count += 1;
        let now = BEGIN.plus(Duration::from_secs(self.count));
        let service = ServiceName::from("crashing");
        let errors = KEYS.map(|key| error(key, self.count, now)).to_vec();
        let uuid = Some("the one".to_owned());
        let report = Report { target_uuid: uuid, errors, ..Report::default() };
        let mut delta = self.observer.pushed(now, &service, report);
        if self.count.is_multiple_of(7) {
            let id = AggregateId { service, key: KEYS[0].into() };
            let action = ActionId(self.count.into());
            let by = self.count.to_string();
            let acted = self.observer.act(now, &id, action, Act::Resolve, &by, "");
            delta.append(acted.expect("it has just happened"));
        }
        (self.count, delta)
    }
}

fn error(key: &str, count: u64, now: Timestamp) -> ReportedError {
    let name = format!("occurrence {count:09}");
    let exception = Exception {
        class: Some("Crash".to_owned()),
        message: Some(format!("for the {count}th time")),
        stacktrace: (0..30).map(|n| format!("at frame {n} of {key}")).collect(),
    };
    ReportedError {
        key: key.into(),
        total_count: count,
        severity: Severity::Error,
        created_at: Some(BEGIN),
        incarnations: None,
        occurrences: vec![Occurrence {
            content: ContentHash::of(name.as_bytes()),
            name,
            time: Some(now),
            severity: Severity::Error,
            exceptions: vec![exception],
            http: None,
        }],
        unchanged: Vec::new(),
    }
}

/// How often everything happened, as far as is stored.
///
/// # Panics
///
/// If a commit is there by halves.
pub fn counted(stored: &State) -> u64 {
    let service = ServiceName::from("crashing");
    let totals = KEYS.map(|key| {
        let id = AggregateId { service: service.clone(), key: key.into() };
        let Some(error) = stored.error(&id) else { return 0 };
        let newest = error.occurrences().next().map(|o| o.name().into_owned());
        let expected = format!("occurrence {:09}", error.total());
        assert_eq!(newest, Some(expected), "count and occurrence came together");
        error.total()
    });
    assert!(totals.iter().all(|total| *total == totals[0]), "half a commit: {totals:?}");
    let id = AggregateId { service, key: KEYS[0].into() };
    if let Some(error) = stored.error(&id) {
        let resolved = error.resolved_by().map(|action| action.by.to_string());
        let last = totals[0] / 7 * 7;
        let expected = (last > 0).then(|| last.to_string());
        assert_eq!(resolved, expected, "what people did came with it");
    }
    totals[0]
}
