//! A gateway on each store: a restart loses neither what was pushed nor what readers of sums were
//! told.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_core::wire::exporter::{Options, parse};
use periskop_core::{ReplicaId, ReportedError, Timestamp};
use periskop_pushgw::{Gateway, Settings};
use periskop_tests::store::{DURABLE, Store};

const DAY: Duration = Duration::from_secs(24 * 3600);

fn now() -> Timestamp {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    Timestamp::EPOCH.plus(now)
}

/// A payload of one error that began at that time, or does not tell when.
fn payload(source: &str, since: Option<Timestamp>, count: u64) -> String {
    let since = since.map(|since| format!(r#""created_at": "{since}","#)).unwrap_or_default();
    format!(
        r#"{{"target_uuid": "{source}", "aggregated_errors": [{{{since} "aggregation_key": "k",
        "total_count": {count}, "latest_errors": [{{"error": {{"class": "C"}}, "uuid": "{source}",
        "timestamp": "{}"}}]}}]}}"#,
        now()
    )
}

async fn open(store: &Store) -> Gateway {
    let id = ReplicaId::from_u64(rand::random());
    let opened = Gateway::open(Settings::default(), id, &store.spec, store.open()).await;
    opened.expect("the store can be used")
}

fn told(gateway: &Gateway) -> ReportedError {
    let report = parse(&gateway.export(now()), now(), &Options::default());
    report.expect("it was written here").errors.remove(0)
}

#[tokio::test]
async fn what_was_pushed_and_what_was_told_outlives_the_gateway() {
    for kind in DURABLE {
        let Some(store) = Store::fresh(kind).await else { continue };
        let gateway = open(&store).await;
        let push = |gateway: &Gateway, body: String| {
            gateway.push(now(), body.as_bytes(), None).expect("it is a payload");
        };
        // Younger than the retention; older: it may have been counted before; of no known age.
        let (young, old) = (now().minus(DAY), now().minus(60 * DAY));
        push(&gateway, payload("young", Some(young), 3));
        push(&gateway, payload("old", Some(old), 1000));
        push(&gateway, payload("ageless", None, 5));
        gateway.stored().await.expect("it is stored");
        assert_eq!(told(&gateway).total_count, 8, "{kind}");
        let began = told(&gateway).created_at;
        // Killed, nothing is finished; but for the store that only one process has at a time, which
        // a task that is only cancelled lets go of a moment later.
        if kind == "sled" {
            gateway.finish().await.expect("it is written");
        }
        drop(gateway);
        let gateway = open(&store).await;
        let error = told(&gateway);
        assert_eq!((error.total_count, error.created_at), (8, began), "{kind}");
        let mut counts: Vec<_> = error.incarnations.unwrap().iter().map(|i| i.count).collect();
        counts.sort_unstable();
        assert_eq!(counts, [3, 5, 1000], "{kind}");
        assert_eq!(error.occurrences.len(), 3, "{kind}");
        push(&gateway, payload("young", Some(young), 4));
        push(&gateway, payload("old", Some(old), 1002));
        push(&gateway, payload("ageless", None, 6));
        assert_eq!(told(&gateway).total_count, 12, "{kind}: what is added, and nothing twice");
        // What is forgotten stays in the sum, also after another restart.
        gateway.clean(now().plus(31 * DAY));
        assert_eq!(gateway.finish().await.map_err(|error| error.to_string()), Ok(()), "{kind}");
        drop(gateway);
        let gateway = open(&store).await;
        push(&gateway, payload("ageless", None, 7));
        push(&gateway, payload("new", Some(now()), 1));
        assert_eq!(told(&gateway).total_count, 14, "{kind}");
        gateway.finish().await.expect("it is written");
    }
}
