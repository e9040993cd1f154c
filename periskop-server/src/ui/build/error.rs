//! One error whole.

use periskop_core::AggregateId;

use super::super::asked::{Asked, Range, Span};
use super::super::chart::Bars;
use super::super::view::ErrorPage;
use super::{Knowledge, LONGEST_TEXT, day, instances, occurrence, past};
use super::{row, series_over, state_of, trend};

/// The page of an error; none if there is no such error.
pub fn error(knowledge: Knowledge<'_>, id: &AggregateId, asked: &Asked) -> Option<ErrorPage> {
    let Knowledge { state, now, started, .. } = knowledge;
    let error = state.error(id)?;
    let state = state_of(error, now);
    let row = row(error, state, LONGEST_TEXT, now);
    let chart = series_over(error, asked.span.scale(now));
    let charted = series_over(error, Span::Last(Range::Month).scale(now)).total();
    let marks = past::marks(error, chart.from, chart.to());
    let rate = error.rate(now);
    let counts = instances::count(knowledge, error, asked.by.as_deref());
    let occurrence = occurrence::card(error, asked.occurrence.as_deref());
    let done = past::done(error, asked.done.as_deref(), now);
    let newest = occurrence.as_ref().is_none_or(|occurrence| occurrence.place == 1);
    let asked = if newest { asked.showing(None) } else { asked.clone() };
    Some(ErrorPage {
        rate,
        trend: trend(rate, &day(error, now), now, started),
        bars: Bars::new(chart, row.severity, marks),
        before: row.total.saturating_sub(charted),
        known: knowledge.fleet.count(error.service()).0,
        reporting: counts.reporting,
        instances: counts.rows,
        further: counts.further,
        labels: counts.labels,
        evicted: error.evicted(),
        history: past::history(error, state),
        done,
        asked,
        occurrence,
        row,
    })
}
