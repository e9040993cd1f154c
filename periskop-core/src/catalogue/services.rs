//! What the errors of a service are together.

use std::time::Duration;

use hashbrown::HashMap;

use super::Catalogue;
use super::entry::{Class, Entry, Row, ServiceNumber};
use super::lately::{self, HOURS, Lately, Sums};
use super::tally::Cells;
use crate::aggregate::Status;
use crate::ids::ServiceName;
use crate::occurrence::Severity;
use crate::search::ErrorNumber;
use crate::time::Timestamp;

/// The errors of one service at a glance.
#[derive(Clone, Debug)]
pub struct Service<'a> {
    /// The service.
    pub name: &'a ServiceName,
    /// How many errors are in each state.
    states: [usize; Status::ALL.len()],
    /// Those that are open and [new](crate::query::is_new); they are among the open ones.
    pub new: usize,
    /// The worst severity of those that are open or regressed; [`Severity::Info`] if there is none.
    pub severity: Severity,
    /// How many occurrences a minute these have, over the last quarter of an hour.
    pub rate: f64,
    /// How many occurrences these have had by the hour, [`Service::HOURS`] of them: that of `now` is the
    /// last.
    pub hours: Vec<u64>,
    /// When the first of these hours begins.
    pub from: Timestamp,
}

impl Service<'_> {
    /// How many hours are told.
    pub const HOURS: usize = HOURS;
    /// How long each is.
    pub const HOUR: Duration = Duration::from_secs(3_600);

    /// How many errors are in a state.
    pub fn count(&self, status: Status) -> usize {
        let place = Status::ALL.iter().position(|known| *known == status);
        place.map_or(0, |i| self.states[i])
    }
}

/// The services that have or had errors, by number.
#[derive(Clone, Debug, Default)]
pub(super) struct Services {
    names: Vec<ServiceName>,
    numbers: HashMap<ServiceName, ServiceNumber>,
    sums: Vec<Sums>,
}

impl Services {
    /// The number of a service. It keeps it for good: there are not more services than were ever
    /// configured.
    pub(super) fn number(&mut self, name: &ServiceName) -> ServiceNumber {
        if let Some(number) = self.numbers.get(name) {
            return *number;
        }
        let count = u32::try_from(self.names.len());
        let number = ServiceNumber(count.expect("2^32 services need more memory than there is"));
        self.names.push(name.clone());
        self.sums.push(Sums::default());
        self.numbers.insert(name.clone(), number);
        number
    }

    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    /// In the order of their numbers.
    pub(super) fn names(&self) -> &[ServiceName] {
        &self.names
    }

    /// An error, which is always of the same service, has become another, has come, or has gone.
    pub(super) fn replace(
        &mut self,
        number: ErrorNumber,
        before: Option<(Row, &Entry)>,
        after: Option<(Row, &Entry)>,
    ) {
        let Some(service) = before.or(after).map(|(row, _)| row.service) else { return };
        let sums = &mut self.sums[service.index()];
        let nothing = Lately::default();
        let was_timed = sums.timed.contains(number);
        let is_timed = after.is_some_and(|(row, _)| row.standing().until().is_some());
        let old = before.filter(|_| !was_timed).map_or(&nothing, |(_, entry)| &entry.lately);
        let new = after.filter(|_| !is_timed).map_or(&nothing, |(_, entry)| &entry.lately);
        sums.replace(old, new);
        if is_timed {
            sums.timed.insert(number);
        } else {
            sums.timed.remove(number);
        }
    }
}

pub(super) fn list(catalogue: &Catalogue, now: Timestamp) -> Vec<Service<'_>> {
    let mut cells = Cells::new(catalogue.services.len());
    for row in catalogue.rows.iter().flatten() {
        cells.count(row, row.class(now));
    }
    let services = catalogue.services.names.iter().zip(&catalogue.services.sums);
    let all = services.enumerate().map(|(i, (name, sums))| {
        let number = ServiceNumber(u32::try_from(i).unwrap_or(u32::MAX));
        let (mut hours, mut late) = sums.at(now);
        for error in sums.timed.iter() {
            let known = catalogue.row(error).zip(catalogue.entry(error));
            if let Some((row, entry)) = known
                && row.class(now).is_unresolved()
            {
                late = late.saturating_add(entry.lately.add_to(&mut hours, now));
            }
        }
        let of = |class| cells.errors(number, |_| true, |c| c == class);
        let states = Status::ALL.map(|status| {
            Class::ALL.into_iter().filter(|class| class.status() == status).map(of).sum()
        });
        let is_there = |severity: &Severity| {
            cells.errors(number, |s| s == *severity, Class::is_unresolved) > 0
        };
        let worst = [Severity::Error, Severity::Warning].into_iter().find(is_there);
        Service {
            name,
            states,
            new: of(Class::New),
            severity: worst.unwrap_or(Severity::Info),
            rate: lately::rate(late),
            hours: hours.to_vec(),
            from: lately::begin(now),
        }
    });
    all.filter(|service| service.states.iter().any(|n| *n > 0)).collect()
}
