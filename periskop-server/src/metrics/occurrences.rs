//! `periskop_error_occurrences`: what is counted of each error, as a counter that does not fall.

use std::collections::HashMap;

use periskop_core::view::ErrorView;
use xxhash_rust::xxh3::xxh3_128;

use super::exposition::{Family, Kind, Page};
use crate::config::MetricsConfig;

/// Series on one page. Beyond it the rest is left out and counted: a page that no Prometheus can
/// take is worth less than one that lacks something and says so.
const SERIES: usize = 50_000;

/// What each series showed last, so that forgetting what is old does not look like a restart.
#[derive(Debug, Default)]
pub(super) struct Occurrences {
    shown: HashMap<u128, Shown>,
    round: u64,
}

#[derive(Clone, Copy, Debug)]
struct Shown {
    count: u64,
    /// What was forgotten since the series began.
    forgotten: u64,
    round: u64,
}

impl Occurrences {
    /// Writes every error's count, per target where `options` say so. `each` shows every error.
    pub(super) fn write(
        &mut self,
        page: &mut Page,
        options: MetricsConfig,
        each: impl FnOnce(&mut dyn FnMut(ErrorView<'_>)),
    ) {
        self.round += 1;
        let mut left_out = 0_u64;
        let mut family = page.family(
            "periskop_error_occurrences",
            Kind::Counter,
            "Number of occurrences per service, error type and severity.",
        );
        each(&mut |error| {
            if options.target_label {
                for source in error.sources() {
                    let target = source.source.map_or("", |source| source.name());
                    left_out += self.sample(&mut family, error, Some(target), source.count);
                }
            } else {
                left_out += self.sample(&mut family, error, None, error.total());
            }
        });
        let round = self.round;
        self.shown.retain(|_, shown| shown.round == round);
        page.family(
            "periskop_error_occurrences_left_out",
            Kind::Gauge,
            "Series of periskop_error_occurrences that are too many for this page.",
        )
        .sample(&[], left_out);
    }

    /// Writes one sample, or answers 1 if there is no room for it.
    fn sample(
        &mut self,
        family: &mut Family<'_>,
        error: ErrorView<'_>,
        target: Option<&str>,
        count: u64,
    ) -> u64 {
        let severity = error.severity().as_str();
        let (service, key) = (error.service().as_str(), error.key().as_str());
        let parts = [service, key, severity, target.unwrap_or("")];
        // Quoted, so that no two series have the same text.
        let id = xxh3_128(format!("{parts:?}").as_bytes());
        if self.shown.len() >= SERIES && !self.shown.contains_key(&id) {
            return 1;
        }
        let shown = self.shown.entry(id).or_insert(Shown { count, forgotten: 0, round: 0 });
        if shown.round == self.round {
            // Two sources of one name: only a joined part of a state has that.
            return 1;
        }
        shown.forgotten += shown.count.saturating_sub(count);
        *shown = Shown { count, round: self.round, ..*shown };
        let value = count.saturating_add(shown.forgotten);
        let mut labels = vec![("service_name", service), ("severity", severity)];
        labels.extend(target.map(|target| ("target", target)));
        labels.push(("aggregation_key", key));
        family.sample(&labels, value);
        0
    }
}

#[cfg(test)]
mod tests {
    use periskop_core::state::State;
    use periskop_core::wire::exporter;
    use periskop_core::{Observer, ReplicaId, Settings, Timestamp};

    use super::super::exposition::Format;
    use super::*;

    /// A state in which sources count one error: names and counts.
    fn state(sources: &[(&str, u64)]) -> State {
        let now = Timestamp::parse("2026-11-20T00:00:00Z").unwrap();
        let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
        for (source, count) in sources {
            let body = format!(
                r#"{{"target_uuid": "{source}", "aggregated_errors": [{{"aggregation_key": "k",
                    "total_count": {count}, "created_at": "2026-11-19T00:00:00Z"}}]}}"#
            );
            let options = exporter::Options::default();
            let report = exporter::parse(body.as_bytes(), now, &options).unwrap();
            observer.pushed(now, &"s".into(), report);
        }
        observer.into_state()
    }

    fn samples(shown: &mut Occurrences, state: &State, target_label: bool) -> Vec<String> {
        let mut page = Page::new(Format::Prometheus);
        shown
            .write(&mut page, MetricsConfig { target_label }, |show| state.errors().for_each(show));
        let page = page.finish();
        let lines = page.lines().filter(|line| line.starts_with("periskop_error_occurrences{"));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn each_target_has_its_series_unless_the_label_is_turned_off() {
        let state = state(&[("a", 3), ("b", 4)]);
        let with = samples(&mut Occurrences::default(), &state, true);
        assert_eq!(with.len(), 2);
        assert!(with.iter().any(|line| line.contains(r#"target="b""#) && line.ends_with(" 4")));
        let without = samples(&mut Occurrences::default(), &state, false);
        let expected = "periskop_error_occurrences{service_name=\"s\",severity=\"error\",aggregation_key=\"k\"} 7";
        assert_eq!(without, [expected]);
    }

    #[test]
    fn a_sum_does_not_fall_when_a_part_of_it_is_forgotten() {
        let mut shown = Occurrences::default();
        let value = |shown: &mut Occurrences, sources: &[(&str, u64)]| {
            let line = samples(shown, &state(sources), false).remove(0);
            line.rsplit_once(' ').unwrap().1.parse::<u64>().unwrap()
        };
        assert_eq!(value(&mut shown, &[("a", 3), ("b", 4)]), 7);
        assert_eq!(value(&mut shown, &[("b", 4)]), 7);
        assert_eq!(value(&mut shown, &[("b", 6)]), 9);
    }

    #[test]
    fn the_series_of_what_is_gone_is_gone() {
        let mut shown = Occurrences::default();
        samples(&mut shown, &state(&[("a", 3)]), true);
        assert!(samples(&mut shown, &State::default(), true).is_empty());
        assert!(shown.shown.is_empty());
    }
}
