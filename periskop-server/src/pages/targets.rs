//! The targets as they are shown: chosen, sorted and bounded while scraping waits, so that ten
//! thousand of them cost one pass and the rows of one page.

use std::sync::Arc;

use periskop_core::engine::{self, Engine, ServiceView, TargetView};
use periskop_core::target::Labels;

use crate::api::without_userinfo;
use crate::ui::target_filter::{TargetFilter, TargetState};
use crate::ui::text::Text;
use crate::ui::view::{Before, Health, TargetCounts, TargetGroup, TargetRow, TargetsPage};

/// Targets on a page of one service.
const PER_PAGE: usize = 100;
/// Targets of each service where all services are shown: those that are down come first.
const PER_SERVICE: usize = 20;
/// Targets shown together; of further services there is a line each.
const TOGETHER: usize = 200;
/// Reasons shown why something that was found is no target.
const INVALID: usize = 10;
/// Labels of a target, and the longest value, in characters.
const MOST_LABELS: usize = 64;
const LONGEST_LABEL: usize = 300;

/// The page that `filter` asks for.
pub(super) fn targets(engine: &Engine, filter: TargetFilter) -> TargetsPage {
    let mut page = TargetsPage { filter, ..TargetsPage::default() };
    let mut left = TOGETHER;
    for service in engine.services() {
        let name = service.name().as_str();
        page.names.push(Text::new(name));
        if page.filter.service.as_deref().is_some_and(|asked| asked != name) {
            continue;
        }
        let group = group(engine, service, &page.filter, left);
        left -= group.targets.len() + group.dropped.len().min(left);
        page.counts.add(group.counts);
        if group.matching > 0 || page.filter.state == TargetState::All {
            page.services.push(group);
        }
    }
    page
}

fn group(
    engine: &Engine,
    service: ServiceView<'_>,
    filter: &TargetFilter,
    left: usize,
) -> TargetGroup {
    let mut counts = TargetCounts { dropped: service.dropped_count(), ..TargetCounts::default() };
    let mut chosen: Vec<(bool, Arc<str>, TargetView<'_>)> = Vec::new();
    for view in engine.targets_of(service.name()) {
        let health = health(view);
        counts.count(health);
        let is_chosen = match filter.state {
            TargetState::All => true,
            TargetState::Up => health == Health::Up,
            TargetState::Down => health == Health::Down,
            TargetState::Unknown => health == Health::Unknown,
            TargetState::Dropped => false,
        };
        if is_chosen {
            chosen.push((health != Health::Down, view.target().url().into(), view));
        }
    }
    chosen.sort_unstable_by(|a, b| (a.0, &a.1).cmp(&(b.0, &b.1)));
    let is_alone = filter.service.is_some();
    let shown = if is_alone { PER_PAGE } else { PER_SERVICE.min(left) };
    let skipped = if is_alone { filter.page.saturating_mul(PER_PAGE) } else { 0 };
    let targets: Vec<_> =
        chosen.iter().skip(skipped).take(shown).map(|(_, _, view)| row(*view)).collect();
    let wants_dropped = matches!(filter.state, TargetState::All | TargetState::Dropped);
    // They follow the targets, on whatever page that is.
    let first = skipped.saturating_sub(chosen.len());
    let dropped = service.dropped().skip(first).take(shown - targets.len());
    let dropped: Vec<_> = dropped.map(|target| texts(&target.discovered)).collect();
    let invalid = service.dropped().filter_map(|target| {
        let reason = target.error?.to_string();
        Some(Text::clip(&format!("{}: {reason}", target.discovered.get("__address__")), 2_000))
    });
    let over_limit = service.over_limit().map(|excess| excess.to_string());
    let failing = service.failing_discoveries().map(|(_, reason)| reason.to_owned());
    TargetGroup {
        service: Text::new(service.name().as_str()),
        counts,
        matching: chosen.len() + if wants_dropped { counts.dropped } else { 0 },
        pages: if is_alone {
            (chosen.len() + if wants_dropped { counts.dropped } else { 0 }).div_ceil(PER_PAGE)
        } else {
            1
        },
        targets,
        invalid: invalid.take(INVALID).collect(),
        dropped: if wants_dropped { dropped } else { Vec::new() },
        problems: over_limit.into_iter().chain(failing).map(|p| Text::clip(&p, 2_000)).collect(),
    }
}

fn row(view: TargetView<'_>) -> TargetRow {
    let (target, status) = (view.target(), view.status());
    let error = status.last_error.as_ref().map(ToString::to_string);
    TargetRow {
        url: Text::new(without_userinfo(target.url())),
        health: health(view),
        last_scrape: status.last_scrape,
        took: status.last_scrape.map(|_| status.last_duration),
        error: Text::clip(&error.unwrap_or_default(), 2_000),
        before: view.last_state().filter(|_| status.last_scrape.is_none()).map(|last| Before {
            is_up: last.is_up(),
            since: last.since(),
            reason: Text::new(last.reason()),
        }),
        warnings: status.warnings.iter().map(|warning| Text::new(&warning.message)).collect(),
        labels: texts(&target.public_labels()),
        discovered: texts(target.discovered()),
    }
}

pub(super) fn health(view: TargetView<'_>) -> Health {
    match view.status().health {
        engine::Health::Up => Health::Up,
        engine::Health::Down => Health::Down,
        engine::Health::Unknown => Health::Unknown,
    }
}

fn texts(labels: &Labels) -> Vec<(Text, Text)> {
    let shown = labels.iter().take(MOST_LABELS);
    shown.map(|(name, value)| (Text::new(name), Text::clip(value, LONGEST_LABEL))).collect()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use periskop_core::engine::{Output, ScrapeFailure, ScrapeResult};
    use periskop_core::target::{ServiceSpec, TargetGroup as Found};
    use periskop_core::{Observer, ReplicaId, Settings, Timestamp};

    use super::*;

    /// A service of `targets` targets, the first `down` of which do not answer.
    fn engine(services: &[(&str, usize, usize)]) -> Engine {
        let now = Timestamp::parse("2026-11-23T12:00:00Z").unwrap();
        let observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
        let mut engine = Engine::new(observer, now);
        let specs = services.iter().map(|(name, ..)| ServiceSpec::new(*name, vec![0])).collect();
        engine.handle_services(now, specs);
        for (name, targets, _) in services {
            let address = |i| Labels::from([("__address__", format!("10.0.0.1:{}", 1_000 + i))]);
            let group = Found {
                source: "s".to_owned(),
                targets: (0..*targets).map(address).collect(),
                labels: Labels::new(),
            };
            engine.handle_groups(now, &(*name).into(), 0, vec![group]);
        }
        let later = now.plus(Duration::from_secs(3_600));
        engine.handle_timeout(later);
        while let Some(output) = engine.poll_output() {
            let Output::Scrape(request) = output else { continue };
            let down = services.iter().find(|(name, ..)| *name == request.service.as_str());
            let port: usize = request.url.split([':', '/']).nth(4).unwrap().parse().unwrap();
            if port < 1_000 + down.unwrap().2 {
                let outcome = Err(ScrapeFailure::new("connection refused"));
                let duration = Duration::from_millis(1);
                let result = ScrapeResult { target: request.target, duration, outcome };
                engine.handle_scrape(later, result);
            }
        }
        engine
    }

    fn page(engine: &Engine, query: &str) -> TargetsPage {
        targets(engine, TargetFilter::parse(query))
    }

    #[test]
    fn ten_thousand_targets_fill_one_page_with_those_that_are_down_first() {
        let engine = engine(&[("big", 10_000, 3), ("small", 5, 0)]);
        let all = page(&engine, "");
        let shown: Vec<_> = all.services.iter().map(|g| (g.targets.len(), g.matching)).collect();
        assert_eq!(shown, [(PER_SERVICE, 10_000), (5, 5)]);
        let down = |row: &&TargetRow| row.health == Health::Down;
        assert_eq!(all.services[0].targets.iter().filter(down).count(), 3);
        assert!(all.services[0].targets[..3].iter().all(|row| row.health == Health::Down));
        assert_eq!((all.counts.down, all.counts.unknown, all.counts.total()), (3, 10_002, 10_005));
    }

    #[test]
    fn the_targets_of_one_service_come_in_pages() {
        let engine = engine(&[("big", 250, 0), ("small", 5, 0)]);
        for (query, rows) in [("", 100), ("&page=2", 100), ("&page=3", 50), ("&page=99", 0)] {
            let page = page(&engine, &format!("service=big{query}"));
            assert_eq!(page.services.len(), 1);
            assert_eq!((page.services[0].targets.len(), page.services[0].pages), (rows, 3));
            assert_eq!(page.names.len(), 2, "the others can still be chosen");
        }
    }

    #[test]
    fn targets_are_filtered_by_state() {
        let engine = engine(&[("a", 4, 1), ("b", 2, 0)]);
        let down = page(&engine, "state=down");
        assert_eq!(down.services.len(), 1, "a service without such a target is left out");
        assert_eq!(down.services[0].targets.len(), 1);
        assert_eq!(down.services[0].targets[0].error.as_str(), "connection refused");
        assert!(page(&engine, "state=up").services.is_empty());
        assert_eq!(page(&engine, "state=unknown").services.len(), 2);
    }

    #[test]
    fn many_services_do_not_fill_the_page_with_targets() {
        let names: Vec<String> = (0..30).map(|i| format!("s{i:02}")).collect();
        let services: Vec<_> = names.iter().map(|name| (name.as_str(), 15, 0)).collect();
        let all = page(&engine(&services), "");
        assert_eq!(all.services.len(), 30);
        let rows: usize = all.services.iter().map(|group| group.targets.len()).sum();
        assert_eq!(rows, TOGETHER);
    }
}
