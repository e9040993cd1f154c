//! Pushing over real sockets: what arrives, what is tried again, and what the host never notices.

#![cfg(feature = "push")]

mod gateway;

use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use axum::http::StatusCode;
use periskop_client::push::{Gateway, GatewayBuilder, PushError};
use periskop_client::{Capture, Collector};

use self::gateway::{FakeGateway, PATIENCE};

fn counted(times: u32) -> Collector {
    let collector = Collector::new();
    (0..times).for_each(|_| collector.record(Capture::message("lost").key("k")));
    collector
}

fn gateway(builder: GatewayBuilder) -> Gateway {
    builder.timeout(PATIENCE).build().expect("the URL is fine")
}

#[tokio::test]
async fn a_batch_job_pushes_once_what_it_has_counted() {
    let fake = FakeGateway::start().await;
    let collector = counted(3);
    gateway(Gateway::builder(fake.url())).push_once_async(&collector).await.unwrap();
    let push = fake.next_push().await;
    assert_eq!(push.body, collector.export());
    assert_eq!(push.header("content-type"), Some("application/json"));
    assert_eq!(push.header("authorization"), None);
    assert_eq!(push.path, "/errors");
}

#[test]
fn outside_of_any_runtime_it_pushes_just_as_well() {
    let runtime = tokio::runtime::Runtime::new().unwrap();
    let fake = runtime.block_on(FakeGateway::start());
    gateway(Gateway::builder(fake.url())).push_once(&counted(1)).unwrap();
    assert!(!runtime.block_on(fake.next_push()).body.is_empty());
}

#[tokio::test]
async fn credentials_arrive_and_those_in_files_are_read_anew() {
    let fake = FakeGateway::start().await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("secret");
    std::fs::write(&file, "first\n").unwrap();
    let collector = counted(1);
    let authorization = async |gateway: &Gateway| {
        gateway.push_once_async(&collector).await.unwrap();
        fake.next_push().await.header("authorization").unwrap_or_default().to_owned()
    };

    let basic = gateway(Gateway::builder(fake.url()).basic_auth("me", "s3cr3t"));
    assert_eq!(authorization(&basic).await, "Basic bWU6czNjcjN0");
    let in_url = gateway(Gateway::builder(fake.url().replace("//", "//me:s3cr%33t@")));
    assert_eq!(authorization(&in_url).await, "Basic bWU6czNjcjN0");
    let bearer = gateway(Gateway::builder(fake.url()).bearer_token("s3cr3t"));
    assert_eq!(authorization(&bearer).await, "Bearer s3cr3t");

    let of_file = gateway(Gateway::builder(fake.url()).bearer_token_file(&file));
    assert_eq!(authorization(&of_file).await, "Bearer first");
    std::fs::write(&file, "second\r\n").unwrap();
    assert_eq!(authorization(&of_file).await, "Bearer second");
    std::fs::remove_file(&file).unwrap();
    let error = of_file.push_once_async(&collector).await.unwrap_err();
    assert!(matches!(&error, PushError::File { .. }) && error.is_temporary(), "{error:?}");
    std::fs::write(&file, "pass").unwrap();
    let basic = gateway(Gateway::builder(fake.url()).basic_auth_file("me", &file));
    assert_eq!(authorization(&basic).await, "Basic bWU6cGFzcw==");
}

#[tokio::test]
async fn what_the_gateway_says_is_told_and_credentials_are_not() {
    let fake = FakeGateway::start().await;
    fake.answers(StatusCode::UNAUTHORIZED, &[], "who are\nyou?");
    let gateway = gateway(Gateway::builder(fake.url()).bearer_token("s3cr3t"));
    let error = gateway.push_once_async(&counted(1)).await.unwrap_err();
    assert_eq!(error.to_string(), "the gateway answered 401: who are you?");
    assert!(!error.is_temporary() && !format!("{error:?} {gateway:?}").contains("s3cr3t"));
}

#[tokio::test]
async fn a_gateway_may_say_how_long_to_leave_it_alone() {
    let fake = FakeGateway::start().await;
    let gateway = gateway(Gateway::builder(fake.url()));
    let ask = async |wait: &str| {
        fake.answers(StatusCode::TOO_MANY_REQUESTS, &[("retry-after", wait)], "");
        match gateway.push_once_async(&counted(1)).await {
            Err(PushError::Answered { status: 429, retry_after, .. }) => retry_after,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(ask("120").await, Some(Duration::from_secs(120)));
    assert_eq!(ask("Fri, 31 Dec 1999 23:59:59 GMT").await, None, "our own pauses do for a date");
}

#[tokio::test]
async fn a_redirect_is_told_and_not_followed() {
    let elsewhere = FakeGateway::start().await;
    let fake = FakeGateway::start().await;
    let place = format!("{}?token=s3cr3t", elsewhere.url().replace("//", "//me:s3cr3t@"));
    fake.answers(StatusCode::TEMPORARY_REDIRECT, &[("location", &place)], "");
    let gateway = gateway(Gateway::builder(fake.url()).bearer_token("s3cr3t"));
    let error = gateway.push_once_async(&counted(1)).await.unwrap_err();
    assert!(matches!(&error, PushError::Redirected { status: 307, .. }), "{error:?}");
    assert!(error.to_string().contains(&elsewhere.url()), "{error}");
    assert!(!format!("{error:?}").contains("s3cr3t"), "{error:?}");
    assert_eq!(elsewhere.pushes(), 0);
}

#[tokio::test]
async fn a_pusher_pushes_what_is_counted_as_it_comes() {
    let fake = FakeGateway::start().await;
    let collector = counted(1);
    let gateway = gateway(Gateway::builder(fake.url()));
    let pusher = gateway.pusher().interval(Duration::ZERO).spawn(&collector).unwrap();
    assert_eq!(fake.next_push().await.total(), 1, "what was there before it began");
    (0..1000).for_each(|_| collector.record(Capture::message("lost").key("k")));
    fake.next_push_that(|push| push.total() == 1001).await;
    assert!(fake.pushes() < 20, "what comes together goes together");
    pusher.shutdown_async(PATIENCE).await.unwrap();
}

#[tokio::test]
async fn a_push_that_fails_is_tried_again_and_one_that_is_refused_is_not() {
    let fake = FakeGateway::start().await;
    fake.answers(StatusCode::SERVICE_UNAVAILABLE, &[], "not yet");
    let collector = counted(1);
    let gateway = gateway(Gateway::builder(fake.url()));
    let pusher = gateway.pusher().interval(Duration::ZERO).spawn(&collector).unwrap();
    fake.next_push().await;
    fake.answers(StatusCode::BAD_REQUEST, &[], "no");
    fake.next_push().await;
    gateway::eventually(|| pusher.status().failures == 2).await;
    let status = pusher.status();
    assert!(matches!(status.last_error, Some(PushError::Answered { status: 400, .. })));
    fake.answers(StatusCode::OK, &[], "");
    collector.record(Capture::message("another").key("k"));
    assert_eq!(fake.next_push().await.total(), 2, "something has changed");
    gateway::eventually(|| pusher.status().pushes == 1).await;
    assert!(pusher.status().last_error.is_none() && pusher.status().pushed_at.is_some());
}

#[tokio::test]
async fn the_last_push_has_what_was_counted_last() {
    let fake = FakeGateway::start().await;
    let collector = counted(1);
    let gateway = gateway(Gateway::builder(fake.url()));
    let pusher = gateway.pusher().interval(Duration::from_secs(3600)).spawn(&collector).unwrap();
    assert_eq!(fake.next_push().await.total(), 1);
    collector.record(Capture::message("last words").key("k"));
    pusher.shutdown_async(PATIENCE).await.unwrap();
    assert_eq!(fake.next_push().await.total(), 2);

    collector.record(Capture::message("forgotten").key("k"));
    let pusher = gateway.pusher().interval(Duration::from_secs(3600)).spawn(&collector).unwrap();
    tokio::task::spawn_blocking(move || drop(pusher)).await.unwrap();
    assert_eq!(fake.next_push().await.total(), 3, "being dropped is an end as well");
}

#[tokio::test]
async fn an_end_with_nothing_new_is_quiet() {
    let fake = FakeGateway::start().await;
    let collector = counted(1);
    let gateway = gateway(Gateway::builder(fake.url()));
    let pusher = gateway.spawn(&collector).unwrap();
    gateway::eventually(|| pusher.status().pushes == 1).await;
    pusher.shutdown_async(PATIENCE).await.unwrap();
    let idle = gateway.spawn(&Collector::new()).unwrap();
    idle.shutdown_async(PATIENCE).await.unwrap();
    assert_eq!(fake.pushes(), 1);
}

#[test]
fn a_gateway_that_hangs_holds_up_nobody() {
    // It is connected to, and never answers.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/errors", silent.local_addr().unwrap());
    let gateway = Gateway::builder(url).timeout(PATIENCE).build().unwrap();
    let collector = counted(1);
    let pusher = gateway.pusher().interval(Duration::ZERO).spawn(&collector).unwrap();
    let (_connection, _) = silent.accept().unwrap();

    let begun = Instant::now();
    for _ in 0..1000 {
        collector.record(Capture::message("meanwhile").key("k"));
    }
    assert!(begun.elapsed() < PATIENCE / 4, "reports do not wait for a push");
    let begun = Instant::now();
    let error = pusher.shutdown(Duration::from_millis(50)).unwrap_err();
    assert!(matches!(error, PushError::TimedOut { .. }), "{error:?}");
    assert!(begun.elapsed() < PATIENCE / 4, "the end is as bounded as it was asked to be");
}

#[tokio::test]
async fn a_child_has_a_thread_and_counts_of_its_own() {
    let fake = FakeGateway::start().await;
    let pid = Arc::new(AtomicU32::new(100));
    let asked = pid.clone();
    let collector = Collector::builder().process_id(move || asked.load(Ordering::Relaxed)).build();
    collector.record(Capture::message("lost").key("k"));
    let gateway = gateway(Gateway::builder(fake.url()));
    let pusher = gateway.pusher().interval(Duration::ZERO).spawn(&collector).unwrap();
    let of_parent = fake.next_push().await;
    gateway::eventually(|| pusher.status().pushes == 1).await;

    pid.store(101, Ordering::Relaxed);
    collector.record(Capture::message("lost").key("k"));
    let of_child = fake.next_push().await;
    assert_eq!((of_parent.total(), of_child.total()), (1, 1));
    assert_ne!(of_parent.target_uuid(), of_child.target_uuid());
    gateway::eventually(|| pusher.status().pushes == 1).await;
    pusher.shutdown_async(PATIENCE).await.unwrap();
}

#[cfg(feature = "gzip")]
#[tokio::test]
async fn large_pushes_are_compressed_where_that_is_wanted() {
    use std::io::Read;

    let fake = FakeGateway::start().await;
    let collector = counted(1);
    let gateway = gateway(Gateway::builder(fake.url()).gzip_from(100));
    gateway.push_once_async(&collector).await.unwrap();
    let push = fake.next_push().await;
    assert_eq!(push.header("content-encoding"), Some("gzip"));
    let mut plain = Vec::new();
    flate2::read::GzDecoder::new(&push.body[..]).read_to_end(&mut plain).unwrap();
    assert_eq!(plain, collector.export());
}
