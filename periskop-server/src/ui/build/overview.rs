//! The overview of services.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use periskop_core::aggregate::Status;
use periskop_core::catalogue::Service;
use periskop_core::{ServiceName, Severity, Timestamp};

use super::super::chart::Series;
use super::super::text::Text;
use super::super::view::{Overview, ServiceRow};
use super::{Knowledge, LONGEST_LINE, trend};

/// All services, those that are configured and those that are only remembered, worst first: what
/// came back, is new or explodes, then what does not report, then what is open.
pub fn overview(knowledge: Knowledge<'_>) -> Overview {
    let Knowledge { state, catalogue, fleet, now, .. } = knowledge;
    let mut names: Vec<&ServiceName> = state.services().chain(fleet.services()).collect();
    names.sort();
    names.dedup();
    let known = catalogue.services(now).into_iter().map(|service| (service.name, service));
    let known: BTreeMap<&ServiceName, Service<'_>> = known.collect();
    let rows = names.into_iter().map(|name| row(knowledge, name, known.get(name)));
    let mut services: Vec<_> = rows.collect();
    // Stable: equals stay in the order of their names.
    services.sort_by_key(|s| {
        let bad = s.regressed + s.new + usize::from(s.is_rising());
        Reverse((bad, s.instances - s.up, s.open))
    });
    Overview { services }
}

fn row(knowledge: Knowledge<'_>, name: &ServiceName, known: Option<&Service<'_>>) -> ServiceRow {
    let Knowledge { fleet, now, started, .. } = knowledge;
    let (instances, up) = fleet.count(name);
    let count = |status| known.map_or(0, |service| service.count(status));
    let regressed = count(Status::Regressed);
    let mut row = ServiceRow {
        name: Text::clip(name.as_str(), LONGEST_LINE),
        up,
        instances,
        open: count(Status::Open) + regressed,
        new: known.map_or(0, |service| service.new),
        regressed,
        rate: known.map_or(0.0, |service| service.rate),
        trend: None,
        severity: known.map_or(Severity::Info, |service| service.severity),
        series: known.map_or_else(|| quiet(now), day),
    };
    row.trend = trend(row.rate, &row.series, now, started);
    row
}

fn day(service: &Service<'_>) -> Series {
    Series { from: service.from, step: Service::HOUR, counts: service.hours.clone() }
}

fn quiet(now: Timestamp) -> Series {
    Series { from: now.minus(Service::HOUR * 24), step: Service::HOUR, counts: vec![0; 24] }
}
