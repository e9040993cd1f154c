//! What this server measures, under the reference's names where it has one.
//!
//! Two kinds: counters that are kept here, and series that are read off the engine when somebody
//! asks, so that those of departed targets and errors are gone by themselves. Invariant: the
//! number of series is bounded, whatever targets make up.

mod exposition;
mod occurrences;

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use periskop_core::engine::{Engine, Health};
use periskop_core::{ServiceName, Timestamp};
use periskop_http::{Refusal, Tls};
use periskop_storage::persist::{Durations, Figures, Journal};

pub(crate) use self::exposition::Format;
use self::exposition::{Family, Kind, Page};
use self::occurrences::Occurrences;
use crate::handle::Handle;
use crate::held::Held;
use crate::scraper::Scrape;

/// The counters of a server.
#[derive(Debug, Default)]
pub(crate) struct Metrics {
    counters: Mutex<Counters>,
    /// Apart, so that no scrape waits while a long page is written.
    occurrences: Mutex<Occurrences>,
}

#[derive(Debug, Default)]
struct Counters {
    services: BTreeMap<ServiceName, Scrapes>,
    discovery_failures: BTreeMap<&'static str, u64>,
    application_errors: BTreeMap<&'static str, u64>,
    pruned_incarnations: u64,
    pruned_errors: u64,
    reload: Option<Reload>,
    refused: BTreeMap<Refusal, u64>,
}

/// The scrapes of one service.
#[derive(Debug, Default)]
struct Scrapes {
    /// Errors in good answers, as the reference counts them.
    errors: u64,
    durations: Durations,
    bytes: u64,
    failures: BTreeMap<&'static str, u64>,
    warnings: u64,
    skipped: u64,
}

#[derive(Debug)]
struct Reload {
    is_good: bool,
    last_good: Option<Timestamp>,
}

impl Metrics {
    fn counters(&self) -> MutexGuard<'_, Counters> {
        self.counters.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A target was scraped, well or not.
    pub(crate) fn scraped(&self, service: &ServiceName, scrape: &Scrape) {
        let mut counters = self.counters();
        let scrapes = counters.services.entry(service.clone()).or_default();
        scrapes.durations.record(scrape.duration);
        scrapes.bytes += scrape.body_length as u64;
        match &scrape.outcome {
            Ok(report) => {
                scrapes.errors += (report.errors.len() + report.unchanged.len()) as u64;
                scrapes.warnings += report.warnings.len() as u64;
                scrapes.skipped += report.skipped as u64;
            }
            Err(failure) => *scrapes.failures.entry(failure.reason()).or_default() += 1,
        }
    }

    /// A discovery could not find out what it is for.
    pub(crate) fn discovery_failed(&self, mechanism: &'static str) {
        *self.counters().discovery_failures.entry(mechanism).or_default() += 1;
    }

    /// A request failed; `kind` as the reference calls it.
    pub(crate) fn application_error(&self, kind: &'static str) {
        *self.counters().application_errors.entry(kind).or_default() += 1;
    }

    /// A request was refused before it reached a route.
    pub(crate) fn refused(&self, refusal: Refusal) {
        *self.counters().refused.entry(refusal).or_default() += 1;
    }

    /// Something was forgotten for its age.
    pub(crate) fn pruned(&self, errors: usize, incarnations: usize) {
        let mut counters = self.counters();
        counters.pruned_errors += errors as u64;
        counters.pruned_incarnations += incarnations as u64;
    }

    /// The configuration was read again.
    pub(crate) fn reloaded(&self, is_good: bool, now: Timestamp) {
        let mut counters = self.counters();
        let before = counters.reload.as_ref().and_then(|reload| reload.last_good);
        let last_good = if is_good { Some(now) } else { before };
        counters.reload = Some(Reload { is_good, last_good });
    }

    /// Whether the last reload went well, and when one last did; `None` before the first.
    pub(crate) fn last_reload(&self) -> Option<(bool, Option<Timestamp>)> {
        self.counters().reload.as_ref().map(|reload| (reload.is_good, reload.last_good))
    }

    /// Drops the counters of services that are configured no more.
    pub(crate) fn retain(&self, mut is_configured: impl FnMut(&ServiceName) -> bool) {
        self.counters().services.retain(|service, _| is_configured(service));
    }

    /// The page, as of now; of each error as of a moment of its own.
    pub(crate) fn page(&self, handle: &Handle, format: Format) -> String {
        let mut page = Page::new(format);
        build_info(&mut page, handle.started());
        handle.read(|engine| {
            targets(&mut page, engine);
            let counters = self.counters();
            counters.scrapes(&mut page);
            counters.application(&mut page);
            counters.refusals(&mut page);
            state(&mut page, engine, &counters);
        });
        self::store(&mut page, handle.journal().map(Journal::figures).as_ref());
        self::tls(&mut page, handle.tls());
        locks(&mut page, handle);
        let mut occurrences = self.occurrences.lock().unwrap_or_else(PoisonError::into_inner);
        let options = handle.config().metrics;
        occurrences.write(&mut page, options, |show| handle.each_error(show));
        page.finish()
    }
}

impl Counters {
    fn scrapes(&self, page: &mut Page) {
        self.each_service(
            page.family(
                "periskop_errors_scrapped_total",
                Kind::Counter,
                "Total number of errors scrapped.",
            ),
            |scrapes| scrapes.errors,
        );
        let mut family = page.family(
            "periskop_target_scrape_duration_seconds",
            Kind::Histogram,
            "From the request to the last byte of the answer.",
        );
        for (service, s) in &self.services {
            let labels = [("service_name", service.as_str())];
            histogram(&mut family, &labels, &s.durations);
        }
        let mut family = page.family(
            "periskop_target_scrape_failures_total",
            Kind::Counter,
            "Scrapes that gave nothing, by kind of reason.",
        );
        for (service, scrapes) in &self.services {
            for (reason, count) in &scrapes.failures {
                let labels = [("service_name", service.as_str()), ("reason", *reason)];
                family.sample(&labels, *count);
            }
        }
        self.each_service(
            page.family(
                "periskop_target_scrape_body_bytes_total",
                Kind::Counter,
                "Bytes of good answers, decompressed.",
            ),
            |scrapes| scrapes.bytes,
        );
        self.each_service(
            page.family(
                "periskop_payload_warnings_total",
                Kind::Counter,
                "Parts of answers that were left out or changed because they are wrong.",
            ),
            |scrapes| scrapes.warnings,
        );
        self.each_service(
            page.family(
                "periskop_payload_errors_skipped_total",
                Kind::Counter,
                "Errors in answers that could not be counted.",
            ),
            |scrapes| scrapes.skipped,
        );
    }

    fn each_service(&self, mut family: Family<'_>, count: impl Fn(&Scrapes) -> u64) {
        for (service, scrapes) in &self.services {
            family.sample(&[("service_name", service.as_str())], count(scrapes));
        }
    }

    fn refusals(&self, page: &mut Page) {
        let mut family = page.family(
            "periskop_http_requests_refused_total",
            Kind::Counter,
            "Requests refused before they reached a route, by reason.",
        );
        for refusal in Refusal::ALL {
            let count = self.refused.get(&refusal).copied().unwrap_or_default();
            family.sample(&[("reason", refusal.as_str())], count);
        }
    }

    fn application(&self, page: &mut Page) {
        let mut family = page.family(
            "periskop_application_errors_total",
            Kind::Counter,
            "Total number of errors in the Periskop service.",
        );
        for (kind, count) in &self.application_errors {
            family.sample(&[("type", kind)], *count);
        }
        let mut family = page.family(
            "periskop_sd_refresh_failures_total",
            Kind::Counter,
            "Attempts to find targets that failed; the last targets stay.",
        );
        for (mechanism, count) in &self.discovery_failures {
            family.sample(&[("mechanism", mechanism)], *count);
        }
        if let Some(reload) = &self.reload {
            page.family(
                "periskop_config_last_reload_successful",
                Kind::Gauge,
                "Whether the configuration could be read when it was last tried.",
            )
            .sample(&[], reload.is_good);
            if let Some(at) = reload.last_good {
                page.family(
                    "periskop_config_last_reload_success_timestamp_seconds",
                    Kind::Gauge,
                    "When the configuration was last reloaded.",
                )
                .sample(&[], seconds(at));
            }
        }
    }
}

/// Whether the certificates on disk are those in force.
fn tls(page: &mut Page, tls: Option<&Tls>) {
    let Some(tls) = tls else { return };
    page.family(
        "periskop_tls_files_in_force",
        Kind::Gauge,
        "Whether the files of TLS are in force as they are now.",
    )
    .sample(&[], tls.trouble().is_none());
}

/// How long what is known was held, by those who read it and by the one who changes it.
fn locks(page: &mut Page, handle: &Handle) {
    let mut family = page.family(
        "periskop_state_held_seconds",
        Kind::Histogram,
        "How long the state was held: by readers the loop waits for, by the loop all others.",
    );
    for (by, held) in handle.held() {
        let (counts, seconds) = held.histogram();
        family.histogram(&[("by", by)], &Held::SECONDS, &counts, seconds);
    }
}

fn build_info(page: &mut Page, started: Timestamp) {
    page.family("periskop_build_info", Kind::Gauge, "Constant 1, with the version.")
        .sample(&[("version", env!("CARGO_PKG_VERSION"))], 1_u64);
    page.family("process_start_time_seconds", Kind::Gauge, "When this process began.")
        .sample(&[], seconds(started));
    if let Some(bytes) = resident_bytes() {
        page.family("process_resident_memory_bytes", Kind::Gauge, "Memory in use.")
            .sample(&[], bytes);
    }
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        page.family("periskop_runtime_tasks", Kind::Gauge, "Tasks that have not ended yet.")
            .sample(&[], runtime.metrics().num_alive_tasks());
    }
}

fn targets(page: &mut Page, engine: &Engine) {
    let mut family =
        page.family("periskop_instances_scrapped", Kind::Gauge, "Number of instances scrapped.");
    for service in engine.services() {
        family.sample(&[("service_name", service.name().as_str())], service.target_count());
    }
    let mut family = page.family("periskop_targets", Kind::Gauge, "Targets by health.");
    for service in engine.services() {
        for health in [Health::Down, Health::Unknown, Health::Up] {
            let labels = [("service_name", service.name().as_str()), ("health", health.as_str())];
            family.sample(&labels, service.healths().of(health));
        }
    }
    let mut family = page.family("periskop_targets_dropped", Kind::Gauge, "Found and not scraped.");
    for service in engine.services() {
        family.sample(&[("service_name", service.name().as_str())], service.dropped_count());
    }
}

fn state(page: &mut Page, engine: &Engine, counters: &Counters) {
    let observer = engine.observer();
    for (name, help, count) in [
        (
            "periskop_unusable_times_total",
            "Occurrences whose time cannot be right.",
            observer.unusable_times(),
        ),
        (
            "periskop_incarnations_limit_evictions_total",
            "Lifetimes of exporters forgotten because an error had too many.",
            observer.evicted(),
        ),
        (
            "periskop_pruned_incarnations_total",
            "Lifetimes of exporters forgotten for their age.",
            counters.pruned_incarnations,
        ),
        (
            "periskop_pruned_errors_total",
            "Errors forgotten with their last exporter.",
            counters.pruned_errors,
        ),
    ] {
        page.family(name, Kind::Counter, help).sample(&[], count);
    }
}

fn store(page: &mut Page, store: Option<&Figures>) {
    page.family(
        "periskop_store_failures_total",
        Kind::Counter,
        "Operations that the store refused; they are repeated.",
    )
    .sample(&[], store.map_or(0, |store| store.failures));
    let Some(store) = store else { return };
    page.family("periskop_store_up", Kind::Gauge, "Whether the store did what it was last asked.")
        .sample(&[], store.is_up);
    page.family(
        "periskop_store_pending_errors",
        Kind::Gauge,
        "Errors of which something waits to be written.",
    )
    .sample(&[], store.pending);
    page.family("periskop_store_commits_total", Kind::Counter, "Writes of what changed.")
        .sample(&[], store.commits.count());
    let mut family = page.family(
        "periskop_store_commit_duration_seconds",
        Kind::Histogram,
        "How long it took until what changed was durable.",
    );
    histogram(&mut family, &[], &store.commits);
}

fn histogram(family: &mut Family<'_>, labels: &[(&str, &str)], durations: &Durations) {
    let (bounds, counts, seconds) = durations.histogram();
    family.histogram(labels, bounds, counts, seconds);
}

fn seconds(at: Timestamp) -> f64 {
    // Exact to the microsecond for the next 200 years.
    #[expect(clippy::cast_precision_loss, reason = "metrics are floating-point numbers")]
    let micros = at.as_micros() as f64;
    micros / 1e6
}

/// What Linux says; other systems do not have this file.
fn resident_bytes() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}
