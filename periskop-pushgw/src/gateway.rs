//! The gateway itself: an observer that hears pushes, and what it exports.

use std::net::IpAddr;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use axum::Router;
use axum::http::StatusCode;
use periskop_client::Collector;
use periskop_core::wire::exporter::{
    Exported, Limits, Options, PayloadError, Writer, line_and_column, parse,
};
use periskop_core::{Observer, ReplicaId, Report, ServiceName, Timestamp, Warning};
use tokio::sync::Semaphore;

use crate::body::{self, Collected, DecodeError, Encoding};
use crate::clock;
use crate::http;
use crate::metrics::Metrics;
use crate::pushers::{Pusher, Pushers};

/// What a gateway keeps, and what a push may cost.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Occurrences per error, incarnations per error, and how long what is not pushed any more is
    /// remembered.
    pub state: periskop_core::Settings,
    /// How a payload is read: its limits, and what is masked. `payload_length` limits a body both
    /// as it arrives and decompressed.
    pub options: Options,
}

impl Default for Settings {
    fn default() -> Self {
        // A process's state is a thousand errors at most in the published clients, some megabytes
        // in the largest fleets known.
        let limits = Limits { payload_length: 16 << 20, memory: 64 << 20, ..Limits::default() };
        let options = Options { limits, ..Options::default() };
        Self { state: periskop_core::Settings::default(), options }
    }
}

/// Takes pushes, merges them, and exports what it knows. Cheap to clone; clones are the same
/// gateway.
#[derive(Clone)]
pub struct Gateway {
    pub(crate) shared: Arc<Shared>,
}

pub(crate) struct Shared {
    settings: Settings,
    service: ServiceName,
    heard: RwLock<Heard>,
    /// Mebibytes for all large bodies together.
    pub(crate) large: Arc<Semaphore>,
    /// What is large or compressed is read by few at once: that bounds memory.
    heavy: Arc<Semaphore>,
    pub(crate) metrics: Metrics,
    pub(crate) collector: Collector,
    pub(crate) started: Timestamp,
}

struct Heard {
    observer: Observer,
    exported: Exported,
    pushers: Pushers,
}

/// What a push did.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pushed {
    /// How many errors were read.
    pub errors: usize,
    /// How many were left out because nothing can be counted for them.
    pub skipped: usize,
    /// What was wrong with parts of it; a bounded number.
    pub warnings: Vec<Warning>,
    /// Whether anything of it was new.
    pub is_news: bool,
}

/// Why a push was refused whole.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum PushError {
    /// It is no payload of the exporter format.
    #[error("{source} (line {line}, column {column})")]
    Payload {
        /// What is wrong, and at which byte.
        source: PayloadError,
        /// The line of that byte, from 1.
        line: usize,
        /// Its column in bytes, from 1.
        column: usize,
    },
    /// It has more bytes, or decompresses to more, than the limit.
    #[error("the body is larger than the limit of {limit} bytes{}", if *.decompressed { " once decompressed" } else { "" })]
    TooLarge {
        /// The limit in bytes.
        limit: usize,
        /// Whether it is its decompressed size that is too large.
        decompressed: bool,
    },
    /// Its `Content-Encoding` is not understood.
    #[error("content encoding `{0}` is not supported: gzip, deflate, zstd and identity are")]
    UnknownEncoding(String),
    /// It is not what its `Content-Encoding` says.
    #[error("{0}")]
    Corrupt(String),
    /// It did not arrive whole.
    #[error("the body did not arrive whole: {0}")]
    Incomplete(String),
    /// It did not arrive in time.
    #[error("the body did not arrive within {} seconds", .0.as_secs())]
    Slow(Duration),
    /// There is no room for a large body just now.
    #[error("too many large bodies arrive at once, try again later")]
    Busy,
    /// The gateway failed, and has reported that as an error of its own.
    #[error("the gateway failed to read the body")]
    Internal,
}

impl PushError {
    /// The status that answers it.
    pub(crate) fn status(&self) -> StatusCode {
        match self {
            Self::TooLarge { .. } => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Payload { source, .. } if is_limit(source) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::UnknownEncoding(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::Slow(_) => StatusCode::REQUEST_TIMEOUT,
            Self::Busy => StatusCode::SERVICE_UNAVAILABLE,
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
            Self::Payload { .. } | Self::Corrupt(_) | Self::Incomplete(_) => {
                StatusCode::BAD_REQUEST
            }
        }
    }
}

fn is_limit(error: &PayloadError) -> bool {
    matches!(
        error,
        PayloadError::TooLong { .. }
            | PayloadError::TooManyErrors { .. }
            | PayloadError::TooMuchMemory { .. }
    )
}

/// The one service whose errors a gateway knows. Whoever scrapes it names the service.
const SERVICE: &str = "pushed";

/// Mebibytes for all bodies together that are larger than one.
const LARGE: usize = 128;

/// So many bodies that are large or compressed are read at once.
const HEAVY: usize = 2;

/// What is no larger than this is read where it arrives; it takes a millisecond or so.
const LIGHT: usize = 256 << 10;

/// How often it is looked for what is to be forgotten.
const PRUNE_EVERY: Duration = Duration::from_secs(3600);

impl Gateway {
    /// A gateway that knows nothing yet. `replica_id` is random, that of no other running process.
    pub fn new(settings: Settings, replica_id: ReplicaId) -> Self {
        let started = clock::now();
        let heard = Heard {
            observer: Observer::new(replica_id, settings.state, started),
            exported: Exported::new(settings.state.retention),
            pushers: Pushers::default(),
        };
        let shared = Shared {
            settings,
            service: ServiceName::from(SERVICE),
            heard: RwLock::new(heard),
            large: Arc::new(Semaphore::new(LARGE)),
            heavy: Arc::new(Semaphore::new(HEAVY)),
            metrics: Metrics::new(),
            collector: Collector::new(),
            started,
        };
        Self { shared: Arc::new(shared) }
    }

    /// All routes, to be served or mounted. Pushes from foreign origins are refused here; who else
    /// may reach it is the application's business. [`Self::keep_house`] is to run beside it.
    pub fn router(&self) -> Router {
        http::router(self.clone(), false)
    }

    /// Serves on `listener` until `stop` completes and what was begun is answered.
    ///
    /// # Errors
    ///
    /// The listener's.
    pub async fn serve(
        self,
        listener: tokio::net::TcpListener,
        stop: impl Future<Output = ()> + Send + 'static,
    ) -> std::io::Result<()> {
        let is_loopback = listener.local_addr()?.ip().to_canonical().is_loopback();
        let routes = http::router(self.clone(), is_loopback)
            .into_make_service_with_connect_info::<std::net::SocketAddr>();
        let served = axum::serve(listener, routes).with_graceful_shutdown(stop);
        tokio::select! {
            done = served.into_future() => done,
            () = self.keep_house() => Ok(()),
        }
    }

    /// Forgets once an hour what is older than the retention; never ends.
    pub async fn keep_house(&self) {
        let mut hours = tokio::time::interval(PRUNE_EVERY);
        loop {
            hours.tick().await;
            self.prune(clock::now());
        }
    }

    /// Forgets what has not been pushed for the retention; how many incarnations.
    pub fn prune(&self, now: Timestamp) -> usize {
        let mut heard = self.shared.write();
        let Heard { observer, exported, .. } = &mut *heard;
        let count = exported.prune(now, observer).count();
        if count > 0 {
            tracing::info!(count, "forgot incarnations that were not pushed for the retention");
        }
        count
    }

    /// Merges a payload of the exporter format.
    ///
    /// # Errors
    ///
    /// [`PushError::Payload`] where it is none; bad parts of a good one only cost themselves.
    pub fn push(
        &self,
        now: Timestamp,
        body: &[u8],
        address: Option<IpAddr>,
    ) -> Result<Pushed, PushError> {
        let report = parse(body, now, &self.shared.settings.options).map_err(|source| {
            let (line, column) = line_and_column(body, source.offset());
            PushError::Payload { source, line, column }
        })?;
        Ok(self.merge(now, report, address))
    }

    /// Merges a body as it came over the network.
    pub(crate) async fn push_encoded(
        &self,
        encoding: Encoding,
        body: Collected,
        address: Option<IpAddr>,
    ) -> Result<Pushed, PushError> {
        if encoding == Encoding::Identity && body.bytes.len() <= LIGHT {
            return self.push(clock::now(), &body.bytes, address);
        }
        // Nobody closes this semaphore; were it closed, there would be no limit to keep.
        let permit = self.shared.heavy.clone().acquire_owned().await;
        let gateway = self.clone();
        let read = move || {
            // Who hangs up does not end the work, so the work holds its place.
            let _permit = permit;
            let limit = gateway.body_limit();
            let Collected { bytes, held: _held } = body;
            let body = body::decode(encoding, bytes, limit).map_err(|error| match error {
                DecodeError::TooLarge { limit } => {
                    PushError::TooLarge { limit, decompressed: true }
                }
                corrupt @ DecodeError::Corrupt { .. } => PushError::Corrupt(corrupt.to_string()),
            })?;
            gateway.push(clock::now(), &body, address)
        };
        let done = tokio::task::spawn_blocking(read).await;
        done.unwrap_or_else(|panic| {
            self.shared.collector.report(&panic);
            Err(PushError::Internal)
        })
    }

    fn merge(&self, now: Timestamp, report: Report, address: Option<IpAddr>) -> Pushed {
        let name = report.source_of_push().to_owned();
        let mut pushed = Pushed {
            errors: report.errors.len(),
            skipped: report.skipped,
            warnings: report.warnings.clone(),
            is_news: false,
        };
        let listed = |error: &periskop_core::ReportedError| match &error.incarnations {
            Some(listed) => listed.iter().fold(0_u64, |sum, i| sum.saturating_add(i.count)),
            None => error.total_count,
        };
        let pusher = Pusher {
            address,
            at: now,
            pushes: 1,
            errors: pushed.errors,
            occurrences: report.errors.iter().map(listed).fold(0, u64::saturating_add),
            warning: pushed.warnings.first().map(|warning| warning.message.clone()),
        };
        let mut heard = self.shared.write();
        let Heard { observer, exported, pushers } = &mut *heard;
        let delta = exported.pushed(now, observer, &self.shared.service, report);
        // There is no store that would have to follow.
        drop(observer.take_crowded_out());
        pushers.note(&name, pusher);
        pushed.is_news = !delta.changed().is_empty();
        pushed
    }

    /// Everything that was pushed, merged, in the exporter format, with `incarnations`.
    ///
    /// Without a `target_uuid`: a new one after every restart would make readers of sums count
    /// everything again.
    pub fn export(&self, now: Timestamp) -> Vec<u8> {
        let heard = self.shared.read();
        let mut writer = Writer::new(None);
        heard.exported.write(now, heard.observer.state(), &self.shared.service, &mut writer);
        writer.finish()
    }

    /// The gateway's own errors; who runs it in its own process adds them to these.
    pub fn collector(&self) -> &Collector {
        &self.shared.collector
    }

    pub(crate) fn body_limit(&self) -> usize {
        self.shared.settings.options.limits.payload_length
    }

    pub(crate) fn look(&self) -> Overview {
        let heard = self.shared.read();
        let (mut errors, mut incarnations, mut occurrences) = (0, 0, 0_u64);
        for view in heard.observer.state().errors() {
            errors += 1;
            incarnations += view.counts().len();
            occurrences = occurrences.saturating_add(view.total());
        }
        let evicted = heard.observer.evicted();
        let retention = heard.observer.settings().retention;
        Overview { errors, incarnations, occurrences, evicted, retention }
    }

    pub(crate) fn newest_pushers(&self, most: usize) -> Vec<(String, Pusher)> {
        self.shared.read().pushers.newest(most)
    }
}

/// How much a gateway knows.
pub(crate) struct Overview {
    pub(crate) errors: usize,
    pub(crate) incarnations: usize,
    pub(crate) occurrences: u64,
    pub(crate) evicted: u64,
    pub(crate) retention: Duration,
}

impl Shared {
    /// A merge cannot fail; were it to panic all the same, what is known is still worth having,
    /// and the next push of the same payload completes it.
    fn read(&self) -> RwLockReadGuard<'_, Heard> {
        self.heard.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Heard> {
        self.heard.write().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gateway() -> Gateway {
        Gateway::new(Settings::default(), ReplicaId::from_u64(1))
    }

    /// An hour after what is pushed began: younger than the retention.
    fn now() -> Timestamp {
        Timestamp::parse("2026-03-01T13:00:00Z").unwrap()
    }

    fn payload(source: &str, count: u64) -> String {
        format!(
            r#"{{"target_uuid": "{source}", "aggregated_errors": [{{"aggregation_key": "k",
            "total_count": {count}, "created_at": "2026-03-01T12:00:00Z", "latest_errors": []}}]}}"#
        )
    }

    fn exported(gateway: &Gateway) -> Report {
        let body = gateway.export(now());
        parse(&body, now(), &Options::default()).unwrap()
    }

    #[test]
    fn the_same_payload_pushed_a_hundred_times_counts_once() {
        let gateway = gateway();
        for n in 0..100 {
            let pushed = gateway.push(now(), payload("u", 410).as_bytes(), None).unwrap();
            assert_eq!(pushed.is_news, n == 0);
        }
        let report = exported(&gateway);
        assert_eq!(report.errors[0].total_count, 410);
        assert_eq!(report.target_uuid, None);
        assert_eq!(report.errors[0].incarnations.as_ref().unwrap()[0].count, 410);
    }

    #[test]
    fn what_is_not_pushed_any_more_is_forgotten_and_still_counted_for_readers_of_sums() {
        let gateway = gateway();
        gateway.push(now(), payload("u", 3).as_bytes(), None).unwrap();
        assert_eq!(gateway.prune(now().plus(Duration::from_secs(31 * 24 * 3600))), 1);
        assert_eq!(exported(&gateway).errors, []);
        gateway.push(now(), payload("v", 2).as_bytes(), None).unwrap();
        let error = exported(&gateway).errors.remove(0);
        assert_eq!(error.total_count, 5);
        assert_eq!(error.incarnations.unwrap()[0].count, 2);
    }

    #[test]
    fn nonsense_is_refused_with_its_place_and_harms_nothing() {
        let gateway = gateway();
        gateway.push(now(), payload("u", 3).as_bytes(), None).unwrap();
        let error = gateway.push(now(), b"{\n \"a\": x}", None).unwrap_err();
        assert_eq!(error.status(), StatusCode::BAD_REQUEST);
        let text = error.to_string();
        assert!(text.contains("byte 8") && text.contains("line 2, column 7"), "{text}");
        assert_eq!(exported(&gateway).errors[0].total_count, 3);
    }
}
