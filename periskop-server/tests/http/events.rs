//! `GET /api/v1/events`: what happens, as it happens.

use std::time::Duration;

use periskop_server::Periskop;
use periskop_server::config::Config;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::oneshot;
use tokio::time::timeout;

use crate::support::{PATIENCE, Server, payload};

/// A connection that listens.
struct Listening {
    stream: TcpStream,
    heard: String,
}

impl Listening {
    async fn to(address: std::net::SocketAddr, query: &str, last: Option<&str>) -> Self {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let last = last.map(|id| format!("Last-Event-ID: {id}\r\n")).unwrap_or_default();
        let request =
            format!("GET /api/v1/events{query} HTTP/1.1\r\nHost: {address}\r\n{last}\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut this = Self { stream, heard: String::new() };
        this.until(": listening").await;
        this
    }

    /// Reads on until it has heard a text; what follows is kept.
    async fn until(&mut self, text: &str) -> String {
        let reading = async {
            while !self.heard.contains(text) {
                let mut bytes = [0; 4096];
                let n = self.stream.read(&mut bytes).await.unwrap();
                assert!(n > 0, "it ended before `{text}`: {}", self.heard);
                self.heard.push_str(&String::from_utf8_lossy(&bytes[..n]));
            }
        };
        timeout(PATIENCE, reading).await.unwrap_or_else(|_| panic!("never heard `{text}`"));
        let end = self.heard.find(text).unwrap() + text.len();
        self.heard.drain(..end).collect()
    }
}

/// The id of the last whole event in what was heard.
fn last_id(heard: &str) -> String {
    let ids = heard.lines().filter_map(|line| line.strip_prefix("id: "));
    ids.max().expect("an event with an id").to_owned()
}

async fn resolve(server: &Server, key: &str) {
    let path = format!("/api/v1/errors/s/{key}/resolve");
    assert_eq!(server.post(&path, "").await.status, 200);
}

#[tokio::test]
async fn who_listens_hears_what_happens_and_who_comes_back_what_they_missed() {
    let server = Server::of(&[("s", payload(&["a", "b", "c"]))]).await;
    let mut listening = Listening::to(server.address, "", None).await;
    resolve(&server, "a").await;
    let heard = listening.until("\"aggregation_key\":\"a\"").await;
    assert!(heard.contains("event: resolved"), "{heard}");
    listening.until("\"state\":\"resolved\",\"from\":\"open\"").await;
    listening.until("event: changed").await;
    let id = last_id(&heard);
    drop(listening);
    resolve(&server, "b").await;
    let mut again = Listening::to(server.address, "", Some(&id)).await;
    let missed = again.until("\"aggregation_key\":\"b\"").await;
    assert!(!missed.contains("\"aggregation_key\":\"a\""), "{missed}");

    let mut elsewhere = Listening::to(server.address, "?service=other", None).await;
    resolve(&server, "c").await;
    again.until("\"aggregation_key\":\"c\"").await;
    let heard = elsewhere.until("event: changed").await;
    assert!(!heard.contains("resolved"), "of another service: {heard}");
}

#[tokio::test]
async fn who_was_told_by_another_process_looks_anew() {
    let server = Server::of(&[("s", payload(&["a"]))]).await;
    let mut listening = Listening::to(server.address, "", Some("1f-7")).await;
    listening.until("event: reset").await;
    let wrong = server.get("/api/v1/events?last_event_id=x").await;
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    assert_eq!(server.get("/api/v1/events?servce=x").await.status, 400);
}

#[tokio::test]
async fn streams_end_when_the_server_stops() {
    let config = Config::parse("services: []", std::path::Path::new("")).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    let (stop, stopped) = oneshot::channel::<()>();
    let serving =
        tokio::spawn(Periskop::builder().config(config).build().serve(listener, async move {
            // It is told, or the test is over.
            let _ = stopped.await;
        }));
    let mut listening = Listening::to(address, "", None).await;
    stop.send(()).unwrap();
    let mut rest = Vec::new();
    let ended = timeout(Duration::from_secs(5), listening.stream.read_to_end(&mut rest)).await;
    ended.expect("well before anybody is cut off").unwrap();
    timeout(PATIENCE, serving).await.unwrap().unwrap().unwrap();
}

#[tokio::test]
async fn only_so_many_listen_at_once() {
    let server = Server::start("services: []").await;
    let mut all = Vec::new();
    for _ in 0..256 {
        all.push(Listening::to(server.address, "", None).await);
    }
    assert_eq!(server.get("/api/v1/events").await.status, 503);
    all.pop();
    server
        .until("there is room again", async |server| {
            let mut stream = TcpStream::connect(server.address).await.unwrap();
            let request =
                format!("GET /api/v1/events HTTP/1.1\r\nHost: {}\r\n\r\n", server.address);
            stream.write_all(request.as_bytes()).await.unwrap();
            let mut start = [0; 12];
            stream.read_exact(&mut start).await.unwrap();
            &start == b"HTTP/1.1 200"
        })
        .await;
}
