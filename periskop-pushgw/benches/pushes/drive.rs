//! Clients that keep their connection and push one after the other. As little as will do, so that
//! what is measured is the gateway.

use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// What became of the pushes.
pub(crate) struct Driven {
    /// How long each took, sorted.
    times: Vec<Duration>,
    pub(crate) refused: usize,
    pub(crate) took: Duration,
}

impl Driven {
    pub(crate) fn count(&self) -> usize {
        self.times.len()
    }

    pub(crate) fn per_second(&self) -> f64 {
        self.times.len() as f64 / self.took.as_secs_f64()
    }

    pub(crate) fn quantile(&self, q: f64) -> Duration {
        let last = self.times.len().saturating_sub(1);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a position in the list"
        )]
        let at = (last as f64 * q) as usize;
        self.times.get(at).copied().unwrap_or_default()
    }
}

/// One connection for each of `bodies`, pushing what that makes while `go_on` of how many it has
/// pushed.
pub(crate) async fn drive<B: FnMut() -> Vec<u8>>(
    address: &str,
    bodies: impl Iterator<Item = B>,
    go_on: impl Fn(usize) -> bool,
) -> Driven {
    let begun = Instant::now();
    let (mut times, mut refused) = (Vec::new(), 0);
    let pushers = bodies.map(|mut body| {
        let go_on = &go_on;
        async move {
            let mut connection = Connection::open(address).await;
            let (mut times, mut refused) = (Vec::new(), 0);
            while go_on(times.len()) {
                let body = body();
                let begun = Instant::now();
                let status = connection.push(&body).await;
                times.push(begun.elapsed());
                refused += usize::from(status != 200);
            }
            (times, refused)
        }
    });
    for (more, wrong) in futures_util::future::join_all(pushers).await {
        times.extend(more);
        refused += wrong;
    }
    let took = begun.elapsed();
    times.sort_unstable();
    Driven { times, refused, took }
}

/// The length of the answer to `GET path`.
pub(crate) async fn get(address: &str, path: &str) -> usize {
    let mut connection = Connection::open(address).await;
    let request = format!("GET {path} HTTP/1.1\r\nhost: {address}\r\n\r\n");
    connection.stream.write_all(request.as_bytes()).await.expect("the gateway reads");
    connection.answer().await.1
}

struct Connection {
    stream: TcpStream,
    host: String,
    request: Vec<u8>,
    read: Vec<u8>,
}

impl Connection {
    async fn open(address: &str) -> Self {
        let stream = TcpStream::connect(address).await.expect("the gateway listens");
        stream.set_nodelay(true).expect("it is TCP");
        Self { stream, host: address.to_owned(), request: Vec::new(), read: Vec::new() }
    }

    async fn push(&mut self, body: &[u8]) -> u16 {
        self.request.clear();
        let length = body.len();
        let head = format!(
            "POST /errors HTTP/1.1\r\nhost: {}\r\ncontent-length: {length}\r\n\r\n",
            self.host
        );
        self.request.extend_from_slice(head.as_bytes());
        self.request.extend_from_slice(body);
        self.stream.write_all(&self.request).await.expect("the gateway reads");
        self.answer().await.0
    }

    /// Status, and length of the body.
    async fn answer(&mut self) -> (u16, usize) {
        self.read.clear();
        let head = loop {
            if let Some(end) = self.read.windows(4).position(|four| four == b"\r\n\r\n") {
                break String::from_utf8_lossy(&self.read[..end + 4]).to_ascii_lowercase();
            }
            let read = self.stream.read_buf(&mut self.read).await.expect("the gateway answers");
            assert!(read > 0, "the gateway hung up");
        };
        let status = head.split(' ').nth(1).and_then(|status| status.parse().ok());
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let length: usize = length.and_then(|n| n.trim().parse().ok()).expect("a length");
        let mut left = (head.len() + length).saturating_sub(self.read.len());
        let mut rest = vec![0; left.min(1 << 20)];
        while left > 0 {
            let most = left.min(rest.len());
            let read = self.stream.read(&mut rest[..most]).await.expect("the gateway answers");
            assert!(read > 0, "the gateway hung up");
            left -= read;
        }
        (status.expect("a status"), length)
    }
}
