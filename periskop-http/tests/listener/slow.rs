//! Clients that are slow, greedy, or many.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::{Method, Uri};
use axum::routing::{any, get};
use http_body::Frame;
use periskop_http::{Access, BodyLimit, Guard, Limits, Role, WebConfig};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Notify;
use tokio::time::{Instant, Interval, timeout};

use crate::support::{Listening, PATIENCE, connect, impatient, read_all};

const GET: &str = "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n";

fn hello() -> Router {
    Router::new().route("/", get(|| async { "hello" }))
}

/// A body without an end: so many bytes every so often. Says when it is dropped.
struct Endless {
    bytes: usize,
    beat: Option<Interval>,
    dropped: Arc<Notify>,
}

impl http_body::Body for Endless {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if let Some(beat) = &mut self.beat {
            std::task::ready!(beat.poll_tick(cx));
        }
        Poll::Ready(Some(Ok(Frame::data(Bytes::from(vec![b'.'; self.bytes])))))
    }
}

impl Drop for Endless {
    fn drop(&mut self) {
        self.dropped.notify_one();
    }
}

fn endless(bytes: usize, every: Option<Duration>) -> (Router, Arc<Notify>) {
    let dropped = Arc::new(Notify::new());
    let told = Arc::clone(&dropped);
    let answer = move || {
        let beat = every.map(tokio::time::interval);
        let body = Endless { bytes, beat, dropped: Arc::clone(&told) };
        std::future::ready(Body::new(body))
    };
    (Router::new().route("/", get(answer)), dropped)
}

#[tokio::test]
async fn slow_headers_are_cut_off_and_so_is_a_connection_without_requests() {
    let server = Listening::start(hello(), None, impatient()).await;
    for sent in ["", "GET / HTTP/1.1\r\nHost: loc"] {
        let answer = read_all(connect(server.address, sent).await).await;
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 408 "), "{answer}");
    }
    let answer = read_all(connect(server.address, GET).await).await;
    assert!(answer.ends_with("hello"), "it is answered, kept, and closed in time: {answer}");
}

#[tokio::test]
async fn headers_that_drip_are_cut_off_too() {
    let server = Listening::start(hello(), None, impatient()).await;
    let (mut reading, mut writing) =
        connect(server.address, "GET / HTTP/1.1\r\n").await.into_split();
    let drip = async {
        while writing.write_all(b"X: y\r\n").await.is_ok() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let begun = Instant::now();
    let mut answer = Vec::new();
    tokio::select! {
        () = drip => {}
        _ = timeout(PATIENCE, reading.read_to_end(&mut answer)) => {}
    }
    assert!(begun.elapsed() < PATIENCE);
}

#[tokio::test]
async fn a_slow_body_is_cut_off_and_a_large_one_refused() {
    let limit = BodyLimit { bytes: 1000, patience: Duration::from_millis(300) };
    let echo = any(|body: Bytes| async move { body.len().to_string() });
    let app = limit.around(Router::new().route("/", echo));
    let server = Listening::start(app, None, Limits::default()).await;
    let send = async |headers: &str, body: &str| {
        let head = format!("POST / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n{headers}\r\n\r\n");
        read_all(connect(server.address, &format!("{head}{body}")).await).await
    };
    let fine = send("Content-Length: 1000", &"x".repeat(1000)).await;
    assert!(fine.starts_with("HTTP/1.1 200 ") && fine.ends_with("1000"), "{fine}");
    let slow = send("Content-Length: 1000", "x").await;
    assert!(slow.starts_with("HTTP/1.1 408 ") && slow.contains("problem+json"), "{slow}");
    let announced = send("Content-Length: 100000", &"x".repeat(100_000)).await;
    assert!(announced.starts_with("HTTP/1.1 413 "), "{announced}");
    let chunk = format!("7d0\r\n{}\r\n0\r\n\r\n", "x".repeat(2000));
    let chunked = send("Transfer-Encoding: chunked", &chunk).await;
    assert!(chunked.starts_with("HTTP/1.1 413 "), "{chunked}");
}

#[tokio::test]
async fn a_client_that_does_not_read_is_cut_off() {
    let (app, dropped) = endless(64 * 1024, None);
    let server = Listening::start(app, None, impatient()).await;
    let _stream = connect(server.address, GET).await;
    timeout(PATIENCE, dropped.notified()).await.expect("the answer is given up");
}

#[tokio::test]
async fn a_stream_with_heartbeats_lives_longer_than_every_time_out() {
    let (app, dropped) = endless(10, Some(Duration::from_millis(50)));
    let server = Listening::start(app, None, impatient()).await;
    let mut stream = connect(server.address, GET).await;
    let begun = Instant::now();
    let mut buffer = [0; 1024];
    while begun.elapsed() < Duration::from_millis(1200) {
        let read = timeout(PATIENCE, stream.read(&mut buffer)).await.unwrap().unwrap();
        assert!(read > 0, "it goes on");
    }
    drop(stream);
    timeout(PATIENCE, dropped.notified()).await.expect("it ends with its client");
}

#[tokio::test]
async fn connections_beyond_the_limit_wait() {
    let limits = Limits { connections: 2, ..Limits::default() };
    let server = Listening::start(hello(), None, limits).await;
    let first = connect(server.address, GET).await;
    let mut second = connect(server.address, GET).await;
    let mut buffer = [0; 1024];
    assert!(second.read(&mut buffer).await.unwrap() > 0, "both are served");
    let mut third = connect(server.address, GET).await;
    let early = timeout(Duration::from_millis(300), third.read(&mut buffer)).await;
    assert!(early.is_err(), "the third waits");
    drop(first);
    let read = timeout(PATIENCE, third.read(&mut buffer)).await.expect("its turn comes");
    assert!(read.unwrap() > 0);
}

#[tokio::test]
async fn headers_that_are_too_long_or_too_many_are_refused() {
    let server = Listening::start(hello(), None, Limits::default()).await;
    let long = format!("X: {}\r\n", "x".repeat(40 * 1024));
    let many = "X: y\r\n".repeat(101);
    for headers in [long, many] {
        let request = format!("GET / HTTP/1.1\r\nHost: a\r\n{headers}\r\n");
        let answer = read_all(connect(server.address, &request).await).await;
        assert!(answer.starts_with("HTTP/1.1 431 "), "{answer}");
    }
}

#[tokio::test]
async fn who_writes_a_long_body_without_a_credential_gets_to_read_why_it_is_refused() {
    let text = "tokens: [{name: a, role: push, token: 0123456789abcdef}]";
    let web = WebConfig::parse(text, std::path::Path::new("")).unwrap();
    let need = |_: &Method, _: &Uri| Role::Push;
    let app = Guard::new(Access::new(&web), need).around(hello());
    let server = Listening::start(app, None, Limits::default()).await;
    let length = 900 * 1024;
    let head = format!("POST / HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
    let stream = connect(server.address, &format!("{head}{}", "x".repeat(length))).await;
    let (mut reading, _writing) = stream.into_split();
    let mut answer = [0; 12];
    timeout(PATIENCE, reading.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 401");
}

#[tokio::test]
async fn a_stop_lets_requests_end_and_cuts_off_those_that_do_not() {
    let (begun, go_on) = (Arc::new(Notify::new()), Arc::new(Notify::new()));
    let (has_begun, may_end) = (Arc::clone(&begun), Arc::clone(&go_on));
    let answer = move || async move {
        has_begun.notify_one();
        may_end.notified().await;
        "done"
    };
    let limits = Limits { grace: Duration::from_secs(60), ..Limits::default() };
    let mut server = Listening::start(Router::new().route("/", get(answer)), None, limits).await;
    let waiting = connect(server.address, GET).await;
    begun.notified().await;
    server.stop();
    go_on.notify_one();
    assert!(read_all(waiting).await.ends_with("done"));
    timeout(PATIENCE, &mut server.served).await.expect("nothing is left to wait for").unwrap();

    let (app, dropped) = endless(10, Some(Duration::from_millis(50)));
    let mut server = Listening::start(app, None, impatient()).await;
    let mut stream = connect(server.address, GET).await;
    assert!(stream.read(&mut [0; 100]).await.unwrap() > 0, "it is answered");
    server.stop();
    timeout(PATIENCE, &mut server.served).await.expect("the grace is over").unwrap();
    timeout(PATIENCE, dropped.notified()).await.expect("it is cut off");
}
