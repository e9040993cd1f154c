//! What answers cost: `cargo bench -p periskop-server --bench render`.
//!
//! Every answer is asked for as a client does, through all layers, of a server that knows 1,000 and
//! 100,000 errors. `again` asks for the same once more; `changed` asks after an error has changed, so
//! that nothing can be taken from the answer before. The yardstick is `constant`: the same router
//! answering what needs no look at anything.

#![allow(clippy::unwrap_used, reason = "a bench may fail")]

use std::sync::OnceLock;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use divan::Bencher;
use divan::counter::BytesCount;
use http_body_util::BodyExt as _;
use periskop_core::aggregate::{Act, MuteFor};
use periskop_core::storage::Storage as _;
use periskop_core::target::Labels;
use periskop_core::{
    AggregateId, ContentHash, Exception, Observer, Occurrence, ReplicaId, Report, ReportedError,
    ServiceName, Settings, Severity, Timestamp,
};
use periskop_server::Periskop;
use periskop_storage::MemoryStorage;
use tokio::runtime::Runtime;
use tower::ServiceExt as _;

#[global_allocator]
static ALLOCATOR: divan::AllocProfiler = divan::AllocProfiler::system();

fn main() {
    divan::main();
}

const SERVICES: usize = 20;
const SIZES: [usize; 2] = [1_000, 100_000];

const LIST: &str = "/api/v1/errors?limit=50";
const BY_COUNT: &str = "/api/v1/errors?limit=50&sort=count&state=open&severity=error";
const SEARCH: &str = "/api/v1/errors?limit=50&query=timeout";
const LABEL: &str = "/api/v1/errors?limit=50&facet_label=zone";

#[divan::bench]
fn constant(bencher: Bencher<'_, '_>) {
    again(bencher, World::of(1_000), "/-/health");
}

macro_rules! answers {
    ($($name:ident: $path:expr;)*) => {$(
        mod $name {
            use super::*;

            #[divan::bench(args = SIZES, max_time = 2)]
            fn again(bencher: Bencher<'_, '_>, errors: usize) {
                super::again(bencher, World::of(errors), &$path);
            }

            #[divan::bench(args = SIZES, max_time = 2)]
            fn changed(bencher: Bencher<'_, '_>, errors: usize) {
                super::changed(bencher, World::of(errors), &$path);
            }
        }
    )*};
}

answers! {
    list_json: LIST;
    list_json_by_count: BY_COUNT;
    list_json_search: SEARCH;
    list_json_label: LABEL;
    list_page: "/errors";
    overview_page: "/";
    error_page: "/errors/service-3/key-203";
    metrics: "/metrics";
    services: "/api/v1/services";
}

fn again(bencher: Bencher<'_, '_>, world: &World, path: &str) {
    let bytes = world.ask(path);
    bencher.counter(BytesCount::new(bytes)).bench(|| world.ask(path));
}

fn changed(bencher: Bencher<'_, '_>, world: &World, path: &str) {
    let bytes = world.ask(path);
    bencher
        .counter(BytesCount::new(bytes))
        .with_inputs(|| world.change())
        .bench_values(|()| world.ask(path));
}

/// A server that knows so many errors, and is asked.
struct World {
    runtime: Runtime,
    periskop: Periskop,
    router: Router,
}

impl World {
    /// One for each size, made when it is first asked for.
    fn of(errors: usize) -> &'static Self {
        static WORLDS: [OnceLock<World>; 2] = [OnceLock::new(), OnceLock::new()];
        let i = SIZES.iter().position(|size| *size == errors).unwrap();
        WORLDS[i].get_or_init(|| Self::new(errors))
    }

    fn new(errors: usize) -> Self {
        let runtime = Runtime::new().unwrap();
        let (periskop, router) = runtime.block_on(async {
            let mut store = MemoryStorage::new();
            for delta in known(errors).into_state().into_deltas(1_000) {
                store.commit(&delta).await.unwrap();
            }
            let periskop = Periskop::builder().storage(store).build();
            while !periskop.handle().is_ready() {
                tokio::time::sleep(Duration::from_millis(10)).await;
            }
            let router = periskop.router();
            (periskop, router)
        });
        Self { runtime, periskop, router }
    }

    /// The length of the answer.
    fn ask(&self, path: &str) -> usize {
        // The host is one to which a guarded server answers; a page is for a browser.
        let accept = if path.starts_with("/api") { "application/json" } else { "text/html" };
        let request = Request::get(path).header("host", "localhost").header("accept", accept);
        let request = request.body(Body::empty()).unwrap();
        self.runtime.block_on(async {
            let response = self.router.clone().oneshot(request).await.unwrap();
            assert!(response.status().is_success(), "{path}: {}", response.status());
            response.into_body().collect().await.unwrap().to_bytes().len()
        })
    }

    /// Somebody mutes an error that no filter hides for it.
    fn change(&self) {
        let id = AggregateId { service: "service-5".into(), key: "key-5".into() };
        let act = Act::Mute(MuteFor::Further(1_000_000));
        let acted = self.periskop.handle().act(&id, act, "", "");
        self.runtime.block_on(acted).unwrap();
    }
}

/// What somebody knows after a day: errors of twenty services, each counted by two instances.
fn known(errors: usize) -> Observer {
    let now = Timestamp::EPOCH.plus(std::time::SystemTime::UNIX_EPOCH.elapsed().unwrap());
    let begun = now.minus(Duration::from_secs(24 * 3_600));
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), begun);
    for (step, zone) in ["a", "b"].into_iter().enumerate() {
        for service in 0..SERVICES {
            let at = begun.plus(Duration::from_secs((11 * 3_600 * step + 60 * service) as u64));
            let name = ServiceName::from(format!("service-{service}"));
            let url = format!("http://10.0.{step}.{service}:8080/errors");
            let labels = Labels::from([("instance", &*url), ("zone", zone)]);
            let numbers = (0..errors).filter(|n| n % SERVICES == service);
            let errors = numbers.map(|n| error(n, at)).collect();
            let report = Report { target_uuid: Some(url.clone()), errors, ..Report::default() };
            observer.discovered(&name, &url);
            observer.scraped(at, &name, &url, &labels, report);
        }
    }
    observer
}

fn error(n: usize, at: Timestamp) -> ReportedError {
    let severity = [Severity::Error, Severity::Warning, Severity::Info][n % 3];
    let what = ["timeout", "connection reset", "no such order", "quota exceeded"][n % 4];
    let message = format!("{what} after {n} ms while talking to 10.0.0.{}", n % 256);
    let time = at.minus(Duration::from_millis(n as u64 % 3_600_000));
    ReportedError {
        key: format!("key-{n}").into(),
        total_count: 1 + n as u64 % 1_000,
        severity,
        created_at: Some(at.minus(Duration::from_secs(3_600))),
        incarnations: None,
        unchanged: Vec::new(),
        occurrences: vec![Occurrence {
            name: format!("{n:032x}"),
            content: ContentHash::of(message.as_bytes()),
            time: Some(time),
            severity,
            exceptions: vec![Exception {
                class: Some(format!("com.example.Failure{}", n % 500)),
                message: Some(message),
                stacktrace: (0..20).map(|i| format!("at com.example.C{}.m{i}", n % 977)).collect(),
            }],
            http: None,
        }],
    }
}
