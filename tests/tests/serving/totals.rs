//! Totals in the histories that the reference gets wrong, over real sockets. The clients' tests
//! have the restart behind one address; the rules themselves are tested in core.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_client::{Capture, Collector, Timestamp};
use periskop_tests::server::Server;
use periskop_tests::target::{Target, error, payload};
use periskop_tests::{eventually, http};
use reqwest::StatusCode;

fn ago(seconds: u64) -> String {
    let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
    Timestamp::EPOCH.plus(now).minus(Duration::from_secs(seconds)).to_string()
}

/// A number that the test sets and the target tells.
fn counter(n: u64) -> Arc<AtomicU64> {
    Arc::new(AtomicU64::new(n))
}

#[tokio::test]
async fn ten_instances_behind_one_address_add_up() {
    let instances: Vec<_> = (0..10).map(|_| Collector::new()).collect();
    let report = |collector: &Collector, n| {
        (0..n).for_each(|_| collector.record(Capture::message("x").class("Busy").key("busy")));
    };
    for (instance, n) in instances.iter().zip(1..) {
        report(instance, n);
    }
    let answering = instances.clone();
    let index = |n: u64| usize::try_from(n * 7 % 10).expect("less than ten");
    let target = Target::answering(move |n| answering[index(n)].export()).await;
    let server = Server::scraping("balanced", &target.address).await;
    server.error_of("balanced", "Busy", 55).await;

    instances.iter().for_each(|instance| report(instance, 2));
    server.error_of("balanced", "Busy", 75).await;
}

#[tokio::test]
async fn forked_workers_that_share_a_uuid_add_up() {
    let (one, other) = (ago(60), ago(59));
    let target = Target::answering(move |n| {
        let (count, created_at) = if n % 2 == 0 { (30, &one) } else { (12, &other) };
        payload(Some("shared"), &[error("Forked", count, Some(created_at), &[ago(50)])])
    })
    .await;
    let server = Server::scraping("forked", &target.address).await;
    server.error_of("forked", "Forked", 42).await;
    target.scraped_again(4).await;
    server.error_of("forked", "Forked", 42).await;
}

#[tokio::test]
async fn a_counter_without_created_at_that_falls_goes_on_from_there() {
    let count = counter(50);
    let telling = count.clone();
    let target = Target::answering(move |_| {
        payload(None, &[error("Plain", telling.load(Ordering::SeqCst), None, &[])])
    })
    .await;
    let server = Server::scraping("plain", &target.address).await;
    server.error_of("plain", "Plain", 50).await;
    count.store(20, Ordering::SeqCst);
    server.error_of("plain", "Plain", 70).await;
    count.store(60, Ordering::SeqCst);
    server.error_of("plain", "Plain", 110).await;
}

#[tokio::test]
async fn a_resolved_error_comes_back_with_something_new_and_not_before() {
    let count = counter(3);
    let telling = count.clone();
    let began = ago(60);
    let target = Target::answering(move |_| {
        let count = telling.load(Ordering::SeqCst);
        payload(Some("one"), &[error("a/b c", count, Some(&began), &[ago(30)])])
    })
    .await;
    let server = Server::scraping("resolving", &target.address).await;
    server.error_of("resolving", "a/b c", 3).await;

    let address = format!("{}/services/resolving/errors/a%2Fb%20c/", server.url);
    let answer = http().delete(&address).send().await.unwrap();
    assert_eq!(answer.status(), StatusCode::NO_CONTENT);
    target.scraped_again(3).await;
    assert!(server.errors("resolving").await.is_empty(), "what is known brings nothing back");

    count.store(4, Ordering::SeqCst);
    server.error_of("resolving", "a/b c", 4).await;
    let (_, body) = server.get("/api/v1/errors?service=resolving").await;
    let listed: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!(listed["errors"][0]["state"], "regressed", "{body}");
    assert_eq!(listed["errors"][0]["total_count"], 4);
}

#[tokio::test]
async fn an_instance_whose_clock_is_an_hour_ahead_is_counted_and_can_be_resolved() {
    let began = ago(60);
    let ahead = || {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).expect("the clock is set");
        Timestamp::EPOCH.plus(now).plus(Duration::from_secs(3600)).to_string()
    };
    let target = Target::answering(move |n| {
        // A new occurrence at the first answer only, and its time stays what it was.
        let times = if n == 0 { vec![ahead()] } else { Vec::new() };
        payload(Some("fast"), &[error("Ahead", 5, Some(&began), &times)])
    })
    .await;
    let server = Server::scraping("ahead", &target.address).await;
    server.error_of("ahead", "Ahead", 5).await;
    let address = format!("{}/services/ahead/errors/Ahead/", server.url);
    assert_eq!(http().delete(&address).send().await.unwrap().status(), StatusCode::NO_CONTENT);
    target.scraped_again(3).await;
    assert!(server.errors("ahead").await.is_empty());
    let gone = http().delete(&address).send().await.unwrap().status();
    assert_eq!(gone, StatusCode::NO_CONTENT, "resolving twice is no mistake");
}

#[tokio::test]
async fn a_service_without_errors_is_a_service() {
    let target = Target::answering(|_| payload(Some("quiet"), &[])).await;
    let server = Server::scraping("quiet", &target.address).await;
    eventually("the service is known", || async {
        match server.get("/services/").await {
            (StatusCode::OK, body) if body.trim() == "[\"quiet\"]" => Ok(()),
            other => Err(other),
        }
    })
    .await;
    assert_eq!(server.get("/services/quiet/errors/").await.1.trim(), "[]");
}
