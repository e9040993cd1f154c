//! The overview of services.

use std::cmp::Reverse;
use std::time::Duration;

use periskop_core::{ServiceName, Severity, Timestamp};

use super::super::chart::Series;
use super::super::text::Text;
use super::super::view::{Health, Overview, ServiceRow, State};
use super::{Knowledge, LONGEST_LINE, day, state_of, trend};

/// All services, those that are configured and those that are only remembered, worst first: what
/// came back, is new or explodes, then what does not report, then what is open.
pub fn overview(knowledge: Knowledge<'_>) -> Overview {
    let configured = knowledge.fleet.0.keys();
    let mut names: Vec<&ServiceName> = knowledge.state.services().chain(configured).collect();
    names.sort();
    names.dedup();
    let mut services: Vec<_> = names.into_iter().map(|name| service(knowledge, name)).collect();
    // Stable: equals stay in the order of their names.
    services.sort_by_key(|s| {
        let bad = s.regressed + s.new + usize::from(s.is_rising());
        Reverse((bad, s.instances - s.up, s.open))
    });
    Overview { services }
}

fn service(knowledge: Knowledge<'_>, name: &ServiceName) -> ServiceRow {
    let Knowledge { state, fleet, now, started, .. } = knowledge;
    let instances = fleet.of(name);
    let mut row = ServiceRow {
        name: Text::clip(name.as_str(), LONGEST_LINE),
        up: instances.iter().filter(|i| i.health == Health::Up).count(),
        instances: instances.len(),
        open: 0,
        new: 0,
        regressed: 0,
        rate: 0.0,
        trend: None,
        severity: Severity::Info,
        series: quiet(now),
    };
    for error in state.errors_of(name) {
        match state_of(error, now) {
            State::Open => {}
            State::New(_) => row.new += 1,
            State::Regressed => row.regressed += 1,
            State::Resolved | State::Muted(_) => continue,
        }
        row.open += 1;
        row.rate += error.rate(now);
        row.severity = row.severity.max(error.severity());
        let series = day(error, now);
        row.series.from = series.from;
        for (sum, n) in row.series.counts.iter_mut().zip(series.counts) {
            *sum = sum.saturating_add(n);
        }
    }
    row.trend = trend(row.rate, &row.series, now, started);
    row
}

fn quiet(now: Timestamp) -> Series {
    let step = Duration::from_secs(3_600);
    Series { from: now.minus(step * 24), step, counts: vec![0; 24] }
}
