//! The queries that the README of the stores shows answer what it says, on each database.

use periskop_core::aggregate::{Act, ActionId};
use periskop_core::target::Labels;
use periskop_core::{
    AggregateId, ContentHash, Exception, HttpContext, Observer, Occurrence, ReplicaId, Report,
    ReportedError, ServiceName, Settings, Severity, State, Timestamp,
};
use periskop_tests::store::{SHARED, Store};
use periskop_tests::workspace;
use sqlx::{AssertSqlSafe, Connection, Row};

/// The queries of a Markdown text for a database.
fn queries(markdown: &str, database: &str) -> Vec<String> {
    let blocks = markdown.split("```sql").skip(1).filter_map(|rest| rest.split_once('\n'));
    let for_it = blocks.filter(|(which, _)| which.is_empty() || which.contains(database));
    for_it.filter_map(|(_, rest)| Some(rest.split("```").next()?.to_owned())).collect()
}

/// An error on two instances, resolved by somebody.
fn state() -> State {
    let now = Timestamp::parse("2026-11-27T10:00:00.000001Z").expect("it is a time");
    let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
    let service = ServiceName::from("shop");
    for (instance, count) in [("a", 40), ("b", 2)] {
        let occurrence = Occurrence {
            name: format!("occurrence of {instance}"),
            content: ContentHash::of(instance.as_bytes()),
            time: Some(now),
            severity: Severity::Error,
            exceptions: vec![Exception {
                class: Some("Timeout".into()),
                message: Some(format!("on {instance}")),
                stacktrace: vec!["frame".into()],
            }],
            http: Some(HttpContext { method: Some("POST".into()), ..HttpContext::default() }),
        };
        let error = ReportedError {
            key: "Timeout@1f".into(),
            total_count: count,
            severity: Severity::Error,
            created_at: Some(now),
            incarnations: None,
            occurrences: vec![occurrence],
            unchanged: Vec::new(),
        };
        let report = Report {
            target_uuid: Some(instance.to_owned()),
            errors: vec![error],
            ..Report::default()
        };
        let url = format!("http://{instance}/");
        observer.scraped(now, &service, &url, &Labels::new(), report);
    }
    let id = AggregateId { service, key: "Timeout@1f".into() };
    observer
        .act(now, &id, ActionId(1), Act::Resolve, "ann", "fixed in 1.2")
        .expect("it has just happened");
    observer.into_state()
}

macro_rules! asked {
    ($connection:ty, $spec:expr, $queries:expr) => {{
        let mut connection = <$connection>::connect($spec).await.expect("it is there");
        let mut answers = Vec::new();
        for query in $queries {
            let rows = sqlx::query(AssertSqlSafe(query.clone())).fetch_all(&mut connection).await;
            let rows = rows.unwrap_or_else(|error| panic!("{error}\nin\n{query}"));
            let text = |name: &str| {
                let all = rows.iter().map(|row| row.try_get::<String, _>(name).ok());
                all.flatten().collect::<Vec<_>>()
            };
            answers.push((rows.len(), text("aggregation_key"), text("source"), text("message")));
        }
        answers
    }};
}

#[tokio::test]
async fn the_queries_of_the_readme_are_answered() {
    let file = workspace::root().join("periskop-storage/README.md");
    let readme = std::fs::read_to_string(file).expect("there is a README");
    for kind in SHARED {
        let Some(store) = Store::fresh(kind).await else { continue };
        let mut opened = store.open();
        opened.commit(&State::new(10).join(state())).await.expect("it works");
        opened.close().await.expect("it can be closed");
        let queries = queries(&readme, kind);
        assert_eq!(queries.len(), 4);
        let answers = match kind {
            "sqlite" => asked!(sqlx::SqliteConnection, &store.spec, &queries),
            "postgres" => asked!(sqlx::PgConnection, &store.spec, &queries),
            _ => asked!(sqlx::MySqlConnection, &store.spec, &queries),
        };
        let [errors, instances, actions, occurrences] = answers.as_slice() else { panic!() };
        assert_eq!((errors.0, errors.1.as_slice()), (1, &["Timeout@1f".to_owned()][..]), "{kind}");
        assert_eq!(instances.2, ["a", "b"], "{kind}: the one that counted more comes first");
        assert_eq!((actions.0, actions.1.len()), (1, 1), "{kind}");
        let messages: Vec<_> = occurrences.3.iter().map(|m| m.trim_matches('"')).collect();
        assert_eq!(occurrences.0, 2, "{kind}");
        assert!(messages.contains(&"on a") && messages.contains(&"on b"), "{kind}: {messages:?}");
    }
}
