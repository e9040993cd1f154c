//! What `/metrics` answers.

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::encoding::text::encode;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

use crate::heard::Overview;
use crate::keeping::Keeping;
use crate::push_error::{PushError, Pushed};

/// The gateway's metrics. All names begin with `periskop_pushgw_`.
pub(crate) struct Metrics {
    registry: Registry,
    pushes: Counter,
    refused: Family<Reason, Counter>,
    requests_refused: Family<Reason, Counter>,
    skipped: Counter,
    warnings: Counter,
    errors: Gauge,
    incarnations: Gauge,
    pushers: Gauge,
    evicted: Gauge,
    store_up: Gauge,
    store_pending: Gauge,
    store_failures: Gauge,
}

/// Why something was refused: one of a handful of words.
#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Reason {
    reason: &'static str,
}

impl Metrics {
    pub(crate) fn new() -> Self {
        let mut metrics = Self {
            registry: Registry::with_prefix("periskop_pushgw"),
            pushes: Counter::default(),
            refused: Family::default(),
            requests_refused: Family::default(),
            skipped: Counter::default(),
            warnings: Counter::default(),
            errors: Gauge::default(),
            incarnations: Gauge::default(),
            pushers: Gauge::default(),
            evicted: Gauge::default(),
            store_up: Gauge::default(),
            store_pending: Gauge::default(),
            store_failures: Gauge::default(),
        };
        let registry = &mut metrics.registry;
        registry.register("pushes", "Pushes that were answered with 200", metrics.pushes.clone());
        registry.register(
            "pushes_refused",
            "Pushes that were answered with something else, by reason",
            metrics.refused.clone(),
        );
        registry.register(
            "requests_refused",
            "Requests refused before they reached a route, by reason",
            metrics.requests_refused.clone(),
        );
        registry.register(
            "errors_skipped",
            "Errors of merged pushes that were left out: nothing can be counted for them",
            metrics.skipped.clone(),
        );
        registry.register(
            "warnings",
            "Parts of merged pushes that were wrong and cost themselves",
            metrics.warnings.clone(),
        );
        registry.register("errors", "Different errors known", metrics.errors.clone());
        registry.register(
            "incarnations",
            "Lifetimes of pushers' counters known, over all errors",
            metrics.incarnations.clone(),
        );
        registry.register(
            "incarnations_evicted",
            "Lifetimes of counters dropped because an error had more than the limit",
            metrics.evicted.clone(),
        );
        registry.register(
            "pushers",
            "Pushers known, those of which everything is forgotten left out",
            metrics.pushers.clone(),
        );
        registry.register(
            "store_up",
            "Whether the store did what it was asked for last; 1 where there is none",
            metrics.store_up.clone(),
        );
        registry.register(
            "store_pending_errors",
            "Errors of which something waits to be written",
            metrics.store_pending.clone(),
        );
        registry.register(
            "store_failures",
            "How often the store failed since the start",
            metrics.store_failures.clone(),
        );
        metrics
    }

    /// A push was answered.
    pub(crate) fn pushed(&self, done: &Result<Pushed, PushError>) {
        match done {
            Ok(pushed) => {
                self.pushes.inc();
                self.skipped.inc_by(pushed.skipped as u64);
                self.warnings.inc_by(pushed.warnings.len() as u64);
            }
            Err(error) => {
                self.refused.get_or_create(&Reason { reason: error.reason() }).inc();
            }
        }
    }

    /// A request was refused for this reason before it reached a route.
    pub(crate) fn refused(&self, reason: &'static str) {
        self.requests_refused.get_or_create(&Reason { reason }).inc();
    }

    /// The content type and text of an answer: OpenMetrics, which Prometheus reads.
    pub(crate) fn text(
        &self,
        known: &Overview,
        keeping: Option<&Keeping>,
    ) -> (&'static str, String) {
        let number = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
        self.errors.set(number(known.errors));
        self.incarnations.set(number(known.incarnations));
        self.pushers.set(number(known.sources));
        let store = keeping.map(|keeping| keeping.journal().figures());
        self.store_up.set(store.as_ref().is_none_or(|store| store.is_up).into());
        self.store_pending.set(number(store.as_ref().map_or(0, |store| store.pending)));
        let failures = store.map_or(0, |store| store.failures);
        self.store_failures.set(i64::try_from(failures).unwrap_or(i64::MAX));
        self.evicted.set(i64::try_from(known.evicted).unwrap_or(i64::MAX));
        let mut text = String::new();
        // Writing to memory cannot fail.
        let _ = encode(&mut text, &self.registry);
        ("application/openmetrics-text; version=1.0.0; charset=utf-8", text)
    }
}
