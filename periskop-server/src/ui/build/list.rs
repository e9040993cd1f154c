//! The list of errors: found, counted and sorted by the catalogue, and one page of it taken apart.

use std::cmp::Reverse;

use periskop_core::aggregate::Status;
use periskop_core::catalogue::{self, Choice, Place, Wanted};
use periskop_core::query::{Query, QueryError};
use periskop_core::{AggregateId, Severity, Timestamp};

use super::super::filter::{ErrorFilter, StateFilter};
use super::super::text::Text;
use super::super::view::{ErrorsPage, Facets, QueryProblem};
use super::{Knowledge, LONGEST_LINE, row, state_of};

/// Errors on a page.
const PER_PAGE: usize = 50;

/// Services, and values of a label, that are offered as a filter.
const MOST_OFFERED: usize = 30;

/// Labels that are offered, and instances that are looked at for them.
const MOST_LABELS: usize = 16;
const MOST_LOOKED_AT: usize = 1_000;

/// What the search is marked with where something is missing.
const MISSING: &str = "‸";

/// The page that `filter` asks for.
pub fn errors(knowledge: Knowledge<'_>, filter: ErrorFilter) -> ErrorsPage {
    let Knowledge { state, catalogue, now, .. } = knowledge;
    let services = state.services().count();
    let (wanted, shown) = match wanted(&filter, now) {
        Ok(wanted) => wanted,
        Err(error) => {
            return ErrorsPage {
                problem: Some(problem(&filter, error)),
                services,
                ..ErrorsPage::empty(filter)
            };
        }
    };
    let page = catalogue.list(state, &wanted, now);
    let rows = page.errors.iter().map(|e| row(*e, state_of(*e, now), LONGEST_LINE, now));
    ErrorsPage {
        state: shown,
        total: page.total,
        occurrences: page.occurrences,
        rows: rows.collect(),
        next: page.next.as_ref().map(ToString::to_string),
        facets: facets(knowledge, &page.facets, &filter),
        services,
        ..ErrorsPage::empty(filter)
    }
}

/// Every error that `filter` matches, on whatever page; none if its search cannot be read.
pub fn matching(knowledge: Knowledge<'_>, filter: &ErrorFilter) -> Option<Vec<AggregateId>> {
    let Knowledge { state, catalogue, now, .. } = knowledge;
    let (wanted, _) = wanted(filter, now).ok()?;
    Some(catalogue.all_wanted(state, &wanted, now))
}

/// What the catalogue is asked for, and the state that this shows.
fn wanted(filter: &ErrorFilter, now: Timestamp) -> Result<(Wanted, StateFilter), QueryError> {
    let query = Query::parse(&filter.q)?;
    // Whoever searches for a state is not to have it hidden by what is usual.
    let usual = if query.mentions_state() { StateFilter::All } else { StateFilter::default() };
    let shown = filter.state.unwrap_or(usual);
    let wanted = Wanted {
        query,
        services: filter.service.iter().map(|name| name.as_str().into()).collect(),
        severities: filter.severity.into_iter().collect(),
        states: choices(shown).to_vec(),
        seen_since: filter.seen.within().map(|within| now.minus(within)),
        sort: filter.sort,
        ascending: filter.ascending,
        limit: PER_PAGE,
        // A cursor that was not given out here begins at the beginning.
        after: filter.cursor.as_deref().and_then(|cursor| Place::parse(cursor).ok()),
        facet_label: filter.label.clone(),
    };
    Ok((wanted, shown))
}

fn choices(shown: StateFilter) -> &'static [Choice] {
    match shown {
        StateFilter::All => &[],
        StateFilter::Open => &[Choice::Is(Status::Open), Choice::Is(Status::Regressed)],
        StateFilter::New => &[Choice::New],
        StateFilter::Regressed => &[Choice::Is(Status::Regressed)],
        StateFilter::Muted => &[Choice::Is(Status::Muted)],
        StateFilter::Resolved => &[Choice::Is(Status::Resolved)],
    }
}

fn facets(
    knowledge: Knowledge<'_>,
    counted: &catalogue::Facets<'_>,
    filter: &ErrorFilter,
) -> Facets {
    let of = |status| counted.states.get(&status).copied().unwrap_or(0);
    let states = StateFilter::ALL.map(|state| {
        let n = match state {
            StateFilter::Open => of(Status::Open) + of(Status::Regressed),
            StateFilter::New => counted.new,
            StateFilter::Regressed => of(Status::Regressed),
            StateFilter::Muted => of(Status::Muted),
            StateFilter::Resolved => of(Status::Resolved),
            StateFilter::All => counted.states.values().sum(),
        };
        (state, n)
    });
    let severities = [Severity::Error, Severity::Warning, Severity::Info]
        .map(|severity| (severity, counted.severities.get(&severity).copied().unwrap_or(0)));
    let services = counted.services.iter().map(|(name, n)| (name.as_str(), *n));
    let labels = counted.label.iter().map(|(value, n)| (value.as_str(), *n));
    Facets {
        states: states.to_vec(),
        severities: severities.to_vec(),
        services: offered(services, filter.service.as_deref()),
        label_names: label_names(knowledge, filter.label.as_deref()),
        labels: offered(labels, None),
    }
}

/// The most frequent ones; what is chosen can always be seen and taken back.
fn offered<'a>(
    counted: impl Iterator<Item = (&'a str, usize)>,
    chosen: Option<&str>,
) -> Vec<(Text, usize)> {
    let mut all: Vec<(&str, usize)> = counted.collect();
    all.sort_by_key(|(_, n)| Reverse(*n));
    let place = chosen.map(|chosen| (chosen, all.iter().position(|(name, _)| *name == chosen)));
    let mut shown: Vec<(Text, usize)> =
        all.iter().take(MOST_OFFERED).map(|(name, n)| (Text::new(*name), *n)).collect();
    if let Some((chosen, place)) = place
        && place.is_none_or(|place| place >= MOST_OFFERED)
    {
        shown.truncate(MOST_OFFERED - 1);
        shown.insert(0, (Text::new(chosen), place.map_or(0, |place| all[place].1)));
    }
    shown
}

/// Labels that instances have, but for the one that names each of them.
fn label_names(knowledge: Knowledge<'_>, chosen: Option<&str>) -> Vec<Text> {
    let mut names = knowledge.fleet.label_names(MOST_LOOKED_AT);
    names.remove("instance");
    let chosen = chosen.filter(|chosen| !names.contains(chosen));
    chosen.into_iter().chain(names).take(MOST_LABELS).map(Text::new).collect()
}

fn problem(filter: &ErrorFilter, error: QueryError) -> QueryProblem {
    let part = |from: usize, n: usize| filter.q.chars().skip(from).take(n).collect::<String>();
    let end = error.position.saturating_add(error.length);
    let marked = part(error.position, error.length);
    let suggestion = error.suggestion.map(|q| {
        let query = filter.with(|f| f.q.clone_from(&q)).to_query();
        (Text::clip(&q, LONGEST_LINE), query)
    });
    QueryProblem {
        message: Text::clip(&error.message, LONGEST_LINE),
        before: Text::new(part(0, error.position)),
        marked: Text::new(if marked.is_empty() { MISSING.to_owned() } else { marked }),
        after: Text::new(part(end, usize::MAX)),
        suggestion,
    }
}
