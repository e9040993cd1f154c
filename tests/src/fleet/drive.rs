//! Asks a server's API, as fast as it answers, over a number of connections.

use std::io;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt as _, Empty};
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::header::HOST;
use hyper::{Request, StatusCode};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use url::{Url, form_urlencoded};

use super::dice::Dice;
use super::latencies::{Latencies, Told};
use super::queries::query;

/// What is asked again and again.
#[derive(Clone, Debug)]
pub enum Asked {
    /// This path.
    Path(String),
    /// The newest fifty errors that what people look for is found in.
    Searches,
}

impl Asked {
    /// The newest fifty errors.
    pub fn list() -> Self {
        Self::Path("/api/v1/errors?limit=50".to_owned())
    }

    fn path(&self, dice: &mut Dice) -> String {
        match self {
            Self::Path(path) => path.clone(),
            Self::Searches => {
                let query: String =
                    form_urlencoded::byte_serialize(query(dice).as_bytes()).collect();
                format!("/api/v1/errors?limit=50&query={query}")
            }
        }
    }
}

/// Asks for so long, each connection one question after the other. Called on a runtime that has
/// nothing else to do, so that what is measured is the server.
///
/// # Errors
///
/// The server cannot be reached at all.
pub async fn ask(
    server: &Url,
    asked: &Asked,
    connections: usize,
    time: Duration,
) -> io::Result<Told> {
    let begun = Instant::now();
    let mut tasks = JoinSet::new();
    for n in 0..connections {
        let connection = Connection::open(server.clone()).await?;
        let dice = Dice::of(&[n as u64]);
        tasks.spawn(connection.ask(asked.clone(), dice, begun + time));
    }
    let mut all = Latencies::default();
    while let Some(answered) = tasks.join_next().await {
        all.join(answered.unwrap_or_default());
    }
    Ok(all.told(begun.elapsed()))
}

/// One connection, which is opened again if it breaks.
struct Connection {
    server: Url,
    authority: String,
    sender: SendRequest<Empty<Bytes>>,
}

impl Connection {
    async fn open(server: Url) -> io::Result<Self> {
        let host = server.host_str().unwrap_or("127.0.0.1").to_owned();
        let authority = format!("{host}:{}", server.port_or_known_default().unwrap_or(80));
        let stream = TcpStream::connect(&authority).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) =
            handshake(TokioIo::new(stream)).await.map_err(io::Error::other)?;
        // It ends with its sender, or breaks, which the sender learns.
        tokio::spawn(connection);
        Ok(Self { server, authority, sender })
    }

    async fn ask(mut self, asked: Asked, mut dice: Dice, until: Instant) -> Latencies {
        let mut latencies = Latencies::default();
        while Instant::now() < until {
            let path = asked.path(&mut dice);
            let begun = Instant::now();
            match self.get(&path).await {
                Ok(StatusCode::OK) => latencies.add(begun.elapsed()),
                Ok(_) => latencies.failures += 1,
                Err(_) => {
                    latencies.failures += 1;
                    match Self::open(self.server.clone()).await {
                        Ok(again) => self = again,
                        Err(_) => tokio::time::sleep(Duration::from_millis(100)).await,
                    }
                }
            }
        }
        latencies
    }

    async fn get(&mut self, path: &str) -> Result<StatusCode, hyper::Error> {
        let request = Request::get(path).header(HOST, &self.authority).body(Empty::new());
        let request = request.expect("our own paths are paths");
        self.sender.ready().await?;
        let response = self.sender.send_request(request).await?;
        let status = response.status();
        let mut body = response.into_body();
        while let Some(frame) = body.frame().await {
            frame?;
        }
        Ok(status)
    }
}
