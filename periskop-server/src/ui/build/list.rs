//! The list of errors: filtered, counted, sorted, and one page of it taken apart.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use periskop_core::view::ErrorView;
use periskop_core::{AggregateId, ServiceName, Severity, Timestamp};

use super::super::filter::{ErrorFilter, Seen, Sort, StateFilter};
use super::super::text::Text;
use super::super::view::{ErrorsPage, Facets, State};
use super::{Knowledge, LONGEST_LINE, is_asked_for, row, state_of};

/// Errors on a page.
const PER_PAGE: usize = 50;

/// Services that are offered as a filter.
const SERVICES_OFFERED: usize = 30;

/// The page that `filter` asks for.
pub fn errors(knowledge: Knowledge<'_>, filter: ErrorFilter) -> ErrorsPage {
    let Knowledge { state, now, .. } = knowledge;
    let needle = filter.q.to_lowercase();
    let shown = filter.state.unwrap_or_default();
    let mut tally = Tally::default();
    let mut matching = Vec::new();
    for error in state.errors() {
        if !contains(error, &needle) || !is_seen(error, filter.seen, now) {
            continue;
        }
        let state = state_of(error, now);
        if tally.count(error, state, shown, &filter) {
            matching.push((error, state));
        }
    }
    sort(&mut matching, &filter, now);
    let skipped = filter.cursor.as_deref().and_then(|n| n.parse().ok()).unwrap_or(0_usize);
    let page = matching.iter().skip(skipped).take(PER_PAGE);
    let end = skipped.saturating_add(PER_PAGE);
    ErrorsPage {
        state: shown,
        problem: None,
        done: None,
        total: matching.len(),
        occurrences: matching.iter().fold(0, |sum, (e, _)| sum.saturating_add(e.total())),
        rows: page.map(|(error, state)| row(*error, *state, LONGEST_LINE, now)).collect(),
        next: (end < matching.len()).then(|| end.to_string()),
        facets: tally.facets(&filter),
        services: state.services().count(),
        filter,
    }
}

/// Every error that `filter` matches, on whatever page.
pub fn matching(knowledge: Knowledge<'_>, filter: &ErrorFilter) -> Vec<AggregateId> {
    let Knowledge { state, now, .. } = knowledge;
    let needle = filter.q.to_lowercase();
    let shown = filter.state.unwrap_or_default();
    let all = state.errors().filter(|error| {
        contains(*error, &needle)
            && is_seen(*error, filter.seen, now)
            && Tally::default().count(*error, state_of(*error, now), shown, filter)
    });
    all.map(ErrorView::id).collect()
}

fn is_seen(error: ErrorView<'_>, seen: Seen, now: Timestamp) -> bool {
    seen.within().is_none_or(|within| error.last_seen() >= now.minus(within))
}

/// Sorts; equals stay in the order of service and key.
fn sort(errors: &mut [(ErrorView<'_>, State)], filter: &ErrorFilter, now: Timestamp) {
    let key = |error: ErrorView<'_>| match filter.sort {
        Sort::LastSeen => i128::from(error.last_seen().as_micros()),
        Sort::FirstSeen => i128::from(error.first_seen().as_micros()),
        Sort::Count => i128::from(error.total()),
        // Numbers that are not negative are in the order of their bits.
        Sort::Rate => i128::from(error.rate(now).to_bits()),
    };
    let sign = if filter.ascending { 1 } else { -1 };
    errors.sort_by_cached_key(|(error, _)| sign * key(*error));
}

/// Whether any text of an error contains `needle`, which is in lower case.
fn contains(error: ErrorView<'_>, needle: &str) -> bool {
    let has = |text: &str| text.to_lowercase().contains(needle);
    needle.is_empty()
        || has(error.key().as_str())
        || error.occurrences().any(|occurrence| occurrence.texts().any(has))
}

/// How many errors each choice would show, with the other choices as they are.
#[derive(Default)]
struct Tally<'a> {
    states: [usize; StateFilter::ALL.len()],
    severities: [usize; 3],
    services: BTreeMap<&'a ServiceName, usize>,
}

impl<'a> Tally<'a> {
    /// Counts an error, and tells whether it is shown.
    fn count(
        &mut self,
        error: ErrorView<'a>,
        state: State,
        shown: StateFilter,
        filter: &ErrorFilter,
    ) -> bool {
        let severity = error.severity();
        let is_state = is_asked_for(state, shown);
        let is_severity = filter.severity.is_none_or(|asked| asked == severity);
        let is_service = filter.service.as_deref().is_none_or(|s| s == error.service().as_str());
        if is_severity && is_service {
            for (n, choice) in self.states.iter_mut().zip(StateFilter::ALL) {
                *n += usize::from(is_asked_for(state, choice));
            }
        }
        if is_state && is_service {
            self.severities[severity as usize] += 1;
        }
        if is_state && is_severity {
            *self.services.entry(error.service()).or_default() += 1;
        }
        is_state && is_severity && is_service
    }

    fn facets(self, filter: &ErrorFilter) -> Facets {
        let mut services: Vec<(Text, usize)> =
            self.services.into_iter().map(|(name, n)| (Text::new(name.as_str()), n)).collect();
        services.sort_by_key(|(_, n)| Reverse(*n));
        let chosen = filter.service.as_deref();
        let at = services.iter().position(|(name, _)| Some(name.as_str()) == chosen);
        match (at, chosen) {
            // What is chosen can always be seen and taken back.
            (Some(at), _) if at >= SERVICES_OFFERED => services[..=at].rotate_right(1),
            (None, Some(chosen)) => services.insert(0, (Text::new(chosen), 0)),
            _ => {}
        }
        services.truncate(SERVICES_OFFERED);
        Facets {
            states: StateFilter::ALL.into_iter().zip(self.states).collect(),
            severities: [Severity::Error, Severity::Warning, Severity::Info]
                .map(|severity| (severity, self.severities[severity as usize]))
                .to_vec(),
            services,
            ..Facets::default()
        }
    }
}
