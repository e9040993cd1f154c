//! Errors counted by what can be chosen of them.

use std::collections::BTreeMap;

use super::Catalogue;
use super::entry::{Class, Row, ServiceNumber};
use super::listing::{Choice, Wanted};
use crate::aggregate::Status;
use crate::ids::ServiceName;
use crate::occurrence::Severity;
use crate::time::Timestamp;

/// How many errors there are for each choice, with the other choices as they are.
#[derive(Clone, Debug, Default)]
pub struct Facets<'a> {
    /// By service.
    pub services: BTreeMap<&'a ServiceName, usize>,
    /// By severity, those without errors as well.
    pub severities: BTreeMap<Severity, usize>,
    /// By state, those without errors as well.
    pub states: BTreeMap<Status, usize>,
    /// Open and new; they are among the open ones.
    pub new: usize,
    /// By the value of the label that was asked for, among all that are wanted: an error is counted
    /// once for each value that its instances have, under `""` where they have none.
    pub label: BTreeMap<String, usize>,
}

/// What is chosen beside the query.
pub(super) struct Chosen {
    seen_since: Option<Timestamp>,
    /// By number.
    services: Vec<bool>,
    severities: [bool; SEVERITIES.len()],
    classes: [bool; Class::ALL.len()],
}

/// Errors and their occurrences by service, severity and class: every count of a list is a sum of
/// some of these, so that each error is counted at one place.
pub(super) struct Cells(Vec<[[Cell; Class::ALL.len()]; SEVERITIES.len()]>);

#[derive(Clone, Copy, Default)]
struct Cell {
    errors: usize,
    occurrences: u64,
}

const SEVERITIES: [Severity; 3] = [Severity::Info, Severity::Warning, Severity::Error];

const fn place(severity: Severity) -> usize {
    match severity {
        Severity::Info => 0,
        Severity::Warning => 1,
        Severity::Error => 2,
    }
}

impl Chosen {
    pub(super) fn new(catalogue: &Catalogue, wanted: &Wanted) -> Self {
        let names = catalogue.services.names().iter();
        let is_one = |name| wanted.services.is_empty() || wanted.services.contains(name);
        let severity =
            |one: Severity| wanted.severities.is_empty() || wanted.severities.contains(&one);
        let class = |class: Class| {
            let has = |choice: &Choice| match choice {
                Choice::New => class == Class::New,
                Choice::Is(status) => class.status() == *status,
            };
            wanted.states.is_empty() || wanted.states.iter().any(has)
        };
        Self {
            seen_since: wanted.seen_since,
            services: names.map(is_one).collect(),
            severities: SEVERITIES.map(severity),
            classes: Class::ALL.map(class),
        }
    }

    /// Whether an error counts for anything.
    pub(super) fn counts(&self, row: &Row) -> bool {
        self.seen_since.is_none_or(|since| row.last_seen >= since)
    }

    /// Whether one that counts is wanted.
    pub(super) fn has(&self, row: &Row, class: Class) -> bool {
        self.classes[class.index()]
            && self.severities[place(row.severity)]
            && self.services[row.service.index()]
    }
}

impl Cells {
    /// Of so many services.
    pub(super) fn new(services: usize) -> Self {
        Self(vec![Default::default(); services])
    }

    pub(super) fn count(&mut self, row: &Row, class: Class) {
        let cell = &mut self.0[row.service.index()][place(row.severity)][class.index()];
        cell.errors += 1;
        cell.occurrences = cell.occurrences.saturating_add(row.total);
    }

    /// How many errors a service has of some severities and classes.
    pub(super) fn errors(
        &self,
        service: ServiceNumber,
        severity: impl Fn(Severity) -> bool,
        class: impl Fn(Class) -> bool,
    ) -> usize {
        let cells = SEVERITIES.iter().zip(&self.0[service.index()]);
        let chosen = cells
            .filter(|(one, _)| severity(**one))
            .flat_map(|(_, cells)| Class::ALL.iter().zip(cells).filter(|(one, _)| class(**one)));
        chosen.map(|(_, cell)| cell.errors).sum()
    }

    /// How many errors are wanted, and how many occurrences they have.
    pub(super) fn wanted(&self, chosen: &Chosen) -> (usize, u64) {
        let mut sum = Cell::default();
        self.each(|service, severity, class, cell| {
            if chosen.services[service] && chosen.severities[severity] && chosen.classes[class] {
                sum.errors += cell.errors;
                sum.occurrences = sum.occurrences.saturating_add(cell.occurrences);
            }
        });
        (sum.errors, sum.occurrences)
    }

    /// What there would be for other choices of one kind.
    pub(super) fn facets<'a>(&self, catalogue: &'a Catalogue, chosen: &Chosen) -> Facets<'a> {
        let mut services = vec![0; self.0.len()];
        let mut severities = [0; SEVERITIES.len()];
        let mut classes = [0; Class::ALL.len()];
        self.each(|service, severity, class, cell| {
            let (is_service, is_severity, is_class) =
                (chosen.services[service], chosen.severities[severity], chosen.classes[class]);
            if is_severity && is_class {
                services[service] += cell.errors;
            }
            if is_service && is_class {
                severities[severity] += cell.errors;
            }
            if is_service && is_severity {
                classes[class] += cell.errors;
            }
        });
        let mut states = BTreeMap::from(Status::ALL.map(|status| (status, 0)));
        for (class, n) in Class::ALL.iter().zip(classes) {
            *states.entry(class.status()).or_default() += n;
        }
        let names = catalogue.services.names().iter();
        Facets {
            services: names.zip(services).filter(|(_, n)| *n > 0).collect(),
            severities: SEVERITIES.into_iter().zip(severities).collect(),
            states,
            new: classes[Class::New.index()],
            label: BTreeMap::new(),
        }
    }

    /// Shows each cell with its service, its severity and its class, by place.
    fn each(&self, mut visit: impl FnMut(usize, usize, usize, Cell)) {
        for (service, severities) in self.0.iter().enumerate() {
            for (severity, classes) in severities.iter().enumerate() {
                for (class, cell) in classes.iter().enumerate() {
                    visit(service, severity, class, *cell);
                }
            }
        }
    }
}
