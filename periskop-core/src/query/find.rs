//! Answering a query with an index: the same as looking at every error, sooner.

use hashbrown::{HashMap, HashSet};

use crate::SourceId;
use crate::query::expr::{Expr, Seen, Term, TextField};
use crate::query::pattern::Pattern;
use crate::query::{Facts, Indexed};
use crate::search::{ErrorSet, fold};
use crate::time::Timestamp;
use crate::view::ErrorView;

/// What a part of a query costs, so that what is cheap narrows what is dear.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Cost {
    /// Facts.
    Facts,
    /// A question to the index.
    Index,
    /// A look at each error.
    View,
    /// A question to the index, then a look at the texts of what is left.
    Texts,
    /// A look at all texts.
    Scan,
}

/// One evaluation of a query.
pub(super) struct Finder<'a> {
    errors: &'a dyn Indexed,
    now: Timestamp,
}

impl<'a> Finder<'a> {
    pub(super) fn new(errors: &'a dyn Indexed, now: Timestamp) -> Self {
        Self { errors, now }
    }

    /// The errors among `within` that match.
    pub(super) fn find(&self, expr: &Expr, within: &ErrorSet) -> ErrorSet {
        match expr {
            Expr::All(parts) => {
                let mut rest = within.clone();
                for part in by_cost(parts) {
                    if rest.is_empty() {
                        break;
                    }
                    rest = self.find(part, &rest);
                }
                rest
            }
            Expr::Any(parts) => {
                let (mut found, mut rest) = (ErrorSet::new(), within.clone());
                for part in by_cost(parts) {
                    if rest.is_empty() {
                        break;
                    }
                    let more = self.find(part, &rest);
                    rest.subtract(&more);
                    found.unite(&more);
                }
                found
            }
            Expr::Not(inner) => {
                let mut rest = within.clone();
                rest.subtract(&self.find(inner, within));
                rest
            }
            Expr::Term(term) => self.find_term(term, within),
        }
    }

    fn find_term(&self, term: &Term, within: &ErrorSet) -> ErrorSet {
        let now = self.now;
        match term {
            Term::Anywhere(pattern) => self.anywhere(pattern, within),
            Term::Text(TextField::Service, pattern) => {
                self.by_facts(within, |facts| pattern.matches(facts.service.as_str()))
            }
            Term::Text(TextField::Key, pattern) => {
                self.by_facts(within, |facts| pattern.matches(facts.key.as_str()))
            }
            Term::Text(field @ (TextField::Label(_) | TextField::Instance), pattern) => {
                self.by_label(term, field, pattern, within)
            }
            Term::Text(_, pattern) => self.by_view(term, &self.narrowed(pattern, within)),
            Term::Severity(wanted) => {
                self.by_facts(within, |facts| wanted.is_none_or(|wanted| wanted == facts.severity))
            }
            Term::State(wanted) => self.by_facts(within, |facts| {
                wanted.is_none_or(|wanted| wanted.holds(facts.status, facts.first_seen, now))
            }),
            Term::Count(op, limit) => self.by_facts(within, |facts| op.holds(&facts.total, limit)),
            Term::Rate(..) => self.by_view(term, within),
            Term::Seen(Seen::First, op, moment) => {
                self.by_facts(within, |facts| moment.holds(*op, facts.first_seen, now))
            }
            Term::Seen(Seen::Last, op, moment) => {
                self.by_facts(within, |facts| moment.holds(*op, facts.last_seen, now))
            }
        }
    }

    fn anywhere(&self, pattern: &Pattern, within: &ErrorSet) -> ErrorSet {
        match pattern {
            Pattern::Some => within.clone(),
            // One text is one question, whose answer is exact.
            Pattern::Part(_) => self.narrowed(pattern, within),
            Pattern::Regex(matcher) => {
                let candidates = self.narrowed(pattern, within);
                if candidates.is_empty() {
                    return candidates;
                }
                self.scan(&candidates, &|text| matcher.is_match(text))
            }
            Pattern::Whole(whole) => {
                let candidates = self.narrowed(pattern, within);
                self.scan(&candidates, &|text| text == whole)
            }
        }
    }

    /// The errors among `within` that have one of the texts which a match must have.
    fn narrowed(&self, pattern: &Pattern, within: &ErrorSet) -> ErrorSet {
        let Some(needles) = pattern.needles() else { return within.clone() };
        let mut found = ErrorSet::new();
        for needle in needles {
            found.unite(&self.errors.index().search(needle));
        }
        found.intersect(within);
        let late = self.late(within);
        if !late.is_empty() {
            found.subtract(&late);
            let needles: Vec<_> = needles.iter().map(|needle| fold(needle.as_ref())).collect();
            let matches = |text: &str| needles.iter().any(|needle| text.contains(&**needle));
            found.unite(&self.look(&late, &matches));
        }
        found
    }

    /// The errors among `within` one of whose texts, folded, is a match.
    fn scan(&self, within: &ErrorSet, matches: &(dyn Fn(&str) -> bool + Sync)) -> ErrorSet {
        let late = self.late(within);
        let mut indexed = within.clone();
        indexed.subtract(&late);
        let mut found = self.errors.index().scan(Some(&indexed), matches);
        found.unite(&self.look(&late, matches));
        found
    }

    /// Those among `within` that the index does not know yet.
    fn late(&self, within: &ErrorSet) -> ErrorSet {
        let mut late = self.errors.unindexed().clone();
        late.intersect(within);
        late
    }

    /// What an index would say of these errors. What is the same in many occurrences is looked at
    /// once.
    fn look(&self, errors: &ErrorSet, matches: &dyn Fn(&str) -> bool) -> ErrorSet {
        let matches = |text: &str| matches(&fold(text));
        let mut skeletons = HashMap::new();
        let mut has = |error: ErrorView<'_>| {
            matches(error.key().as_str())
                || error.occurrences().any(|occurrence| {
                    let repeats = || occurrence.repeating_texts().any(matches);
                    *skeletons.entry(occurrence.skeleton_address()).or_insert_with(repeats)
                        || occurrence.own_texts().any(|own| matches(&own))
                })
        };
        errors.iter().filter(|number| self.errors.view(*number).is_some_and(&mut has)).collect()
    }

    fn by_facts(&self, within: &ErrorSet, holds: impl Fn(&Facts<'_>) -> bool) -> ErrorSet {
        let facts = |number| self.errors.facts(number, self.now);
        within.iter().filter(|number| facts(*number).is_some_and(|facts| holds(&facts))).collect()
    }

    fn by_view(&self, term: &Term, within: &ErrorSet) -> ErrorSet {
        let matches = |view| term.matches(view, self.now);
        within.iter().filter(|number| self.errors.view(*number).is_some_and(matches)).collect()
    }

    fn by_label(
        &self,
        term: &Term,
        field: &TextField,
        pattern: &Pattern,
        within: &ErrorSet,
    ) -> ErrorSet {
        let sources = self.errors.state().sources.iter();
        let having = sources.filter(|(_, source)| field.matches_source(pattern, source));
        let having: HashSet<SourceId> = having.map(|(id, _)| *id).collect();
        if having.is_empty() {
            return ErrorSet::new();
        }
        let counts = |view: ErrorView<'_>| {
            let mut counts = view.counts().iter();
            counts
                .any(|known| known.tally.count() > 0 && having.contains(&known.incarnation.source))
        };
        // Of what people had forgotten only the rest counts, which takes a sum.
        let exactly = |view: ErrorView<'_>| {
            counts(view) && (view.forgotten_through().is_none() || term.matches(view, self.now))
        };
        within.iter().filter(|number| self.errors.view(*number).is_some_and(exactly)).collect()
    }
}

/// The parts, the cheapest first.
fn by_cost(parts: &[Expr]) -> Vec<&Expr> {
    let mut sorted: Vec<&Expr> = parts.iter().collect();
    sorted.sort_by_cached_key(|part| cost(part));
    sorted
}

fn cost(expr: &Expr) -> Cost {
    match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().map(cost).max().unwrap_or(Cost::Facts),
        Expr::Not(inner) => cost(inner),
        Expr::Term(term) => match term {
            Term::Text(TextField::Service | TextField::Key, _)
            | Term::Severity(_)
            | Term::State(_)
            | Term::Count(..)
            | Term::Seen(..)
            | Term::Anywhere(Pattern::Some) => Cost::Facts,
            Term::Anywhere(Pattern::Part(_)) => Cost::Index,
            Term::Text(TextField::Label(_) | TextField::Instance, _) | Term::Rate(..) => Cost::View,
            Term::Text(_, pattern) | Term::Anywhere(pattern) => match pattern.needles() {
                Some(_) => Cost::Texts,
                None => Cost::Scan,
            },
        },
    }
}
