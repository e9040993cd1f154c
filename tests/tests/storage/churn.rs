//! Weeks of deploys, in virtual time: a store holds no more than is remembered, however many
//! instances have come and gone.

use std::path::Path;
use std::time::Duration;

use periskop_core::storage::Storage;
use periskop_core::target::Labels;
use periskop_core::{
    ContentHash, Delta, Exception, Observer, Occurrence, ReplicaId, Report, ReportedError,
    ServiceName, Settings, Severity, State, Timestamp,
};
use periskop_tests::store::Store;
use sqlx::{AssertSqlSafe, Connection};

const DAY: Duration = Duration::from_secs(24 * 3600);
const STEP: Duration = Duration::from_secs(3 * 3600);
const INSTANCES: u32 = 3;

/// A service that is deployed twice a day: instances with names and addresses of their own, which
/// report what every version reports, and what only theirs does.
struct Deploys {
    observer: Observer,
    now: Timestamp,
    begun: Timestamp,
    version: u32,
}

impl Deploys {
    fn new(name: ReplicaId) -> Self {
        let begun = Timestamp::parse("2026-03-01T00:00:00Z").expect("it is a time");
        let settings = Settings { retention: 4 * DAY, ..Settings::default() };
        let observer = Observer::new(name, settings, begun);
        Self { observer, now: begun, begun, version: 0 }
    }

    /// Three hours pass; what changed in them, and what was forgotten.
    async fn step(&mut self, store: &mut dyn Storage) {
        let service = ServiceName::from("deployed");
        self.now = self.now.plus(STEP);
        let mut delta = Delta::default();
        let version = u32::try_from(self.now.since(self.begun).as_secs() / (12 * 3600));
        let version = version.expect("it is small");
        for instance in 0..INSTANCES {
            if version != self.version {
                let url = url(self.version, instance);
                delta.append(self.observer.departed(self.now, &service, &url));
            }
            let (url, labels) = (url(version, instance), Labels::from([("zone", "a")]));
            self.observer.discovered(&service, &url);
            let report = self.report(version, instance);
            delta.append(self.observer.found(self.now, &service, &url, None));
            delta.append(self.observer.scraped(self.now, &service, &url, &labels, report));
        }
        self.version = version;
        delta.append(self.observer.settle(self.now));
        store.commit(&delta).await.expect("the store works");
        let pruned = self.observer.prune(self.now);
        store.prune(&pruned).await.expect("the store works");
    }

    fn report(&self, version: u32, instance: u32) -> Report {
        let hours = self.now.since(self.begun).as_secs() / 3600;
        let keys = ["always".to_owned(), "often".to_owned(), format!("only in {version}")];
        let error = |key: String| {
            let name = format!("{key} {instance} at {hours}");
            ReportedError {
                total_count: hours,
                severity: Severity::Error,
                created_at: Some(self.begun.plus(DAY / 2 * version)),
                incarnations: None,
                occurrences: vec![Occurrence {
                    content: ContentHash::of(name.as_bytes()),
                    name,
                    time: Some(self.now),
                    severity: Severity::Error,
                    exceptions: vec![Exception {
                        class: Some("Failure".to_owned()),
                        message: Some(format!("after {hours} hours")),
                        stacktrace: (0..20).map(|n| format!("frame {n} of {version}")).collect(),
                    }],
                    http: None,
                }],
                key: key.into(),
                unchanged: Vec::new(),
            }
        };
        Report {
            target_uuid: Some(format!("{version} {instance}")),
            errors: keys.map(error).to_vec(),
            ..Report::default()
        }
    }
}

fn url(version: u32, instance: u32) -> String {
    format!("http://10.{}.{}.{instance}:80/-/exceptions", version / 250, version % 250)
}

/// How many rows a store has, or how many bytes of its own on disk.
async fn size(store: &Store) -> u64 {
    let (kind, path) = store.spec.split_once(':').expect("it has a kind");
    macro_rules! rows {
        ($connection:ty, $tables:literal) => {{
            let mut connection = <$connection>::connect(&store.spec).await.expect("it is there");
            let tables: Vec<String> =
                sqlx::query_scalar($tables).fetch_all(&mut connection).await.expect("has tables");
            assert!(tables.len() > 10, "{tables:?}");
            let mut rows = 0;
            for table in tables {
                let count = AssertSqlSafe(format!("SELECT COUNT(*) FROM {table}"));
                let count = sqlx::query_scalar::<_, i64>(count).fetch_one(&mut connection).await;
                rows += count.expect("it can be counted").cast_unsigned();
            }
            rows
        }};
    }
    match kind {
        "sled" => bytes(Path::new(path)),
        "sqlite" => rows!(
            sqlx::SqliteConnection,
            "SELECT name FROM sqlite_master WHERE type = 'table' AND name LIKE 'periskop%'"
        ),
        "postgres" => rows!(
            sqlx::PgConnection,
            "SELECT tablename::TEXT FROM pg_tables WHERE tablename LIKE 'periskop%'"
        ),
        _ => rows!(
            sqlx::MySqlConnection,
            "SELECT CAST(table_name AS CHAR) FROM information_schema.tables \
             WHERE table_schema = DATABASE() AND table_type = 'BASE TABLE'"
        ),
    }
}

fn bytes(folder: &Path) -> u64 {
    let of = |entry: std::fs::DirEntry| match entry.file_type() {
        Ok(kind) if kind.is_dir() => bytes(&entry.path()),
        _ => entry.metadata().map_or(0, |file| file.len()),
    };
    std::fs::read_dir(folder).expect("it is a folder").flatten().map(of).sum()
}

/// `weeks`: by when it is as large as it gets; it is compared with what it is after twice as many.
/// After five there are as many hours of a series as are kept.
///
/// It may be larger by half in the end: what is old is looked for at random commits, so that one
/// store has more of it lying about than another at any time. One that never let go of it grew by
/// two thirds.
async fn weeks_of_deploys(kind: &str, weeks: u32) {
    let Some(store) = Store::fresh(kind).await else { return };
    let mut opened = store.open();
    let name = opened.identify(ReplicaId::from_u64(1)).await.expect("the store works");
    let mut deploys = Deploys::new(name);
    let mut once = 0;
    for day in 0..2 * 7 * weeks {
        for _ in 0..DAY.as_secs() / STEP.as_secs() {
            deploys.step(&mut *opened).await;
        }
        if day == 7 * weeks {
            once = size(&store).await;
        }
    }
    let in_the_end = size(&store).await;
    assert!(once > 0);
    assert!(
        in_the_end <= once + once / 2,
        "{kind}: {once} after {weeks} weeks, {in_the_end} after twice as many"
    );
    let stored = opened.load().await.expect("the store works").state;
    let mut loaded = State::new(10);
    loaded.join(stored);
    let known = deploys.observer.state();
    let totals = |state: &State| -> Vec<(String, u64)> {
        state.errors().map(|error| (error.key().to_string(), error.total())).collect()
    };
    assert_eq!(totals(&loaded), totals(known), "{kind}");
    assert!(totals(known).len() < 20, "errors of old versions are forgotten");
}

#[tokio::test]
async fn sqlite() {
    weeks_of_deploys("sqlite", 5).await;
}

#[tokio::test]
async fn postgres() {
    weeks_of_deploys("postgres", 5).await;
}

#[tokio::test]
async fn mysql() {
    weeks_of_deploys("mysql", 5).await;
}

#[tokio::test]
async fn sled() {
    // Its log is written again from the beginning once there are five segments of it, which is after
    // ten weeks.
    weeks_of_deploys("sled", 13).await;
}
