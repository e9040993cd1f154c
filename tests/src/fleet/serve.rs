//! Answers scrapes.

use std::collections::HashMap;
use std::convert::Infallible;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use futures_util::stream::{self, StreamExt as _};
use http_body::{Body, Frame, SizeHint};
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Empty, Full, StreamBody};
use hyper::body::Incoming;
use hyper::header::{ACCEPT_ENCODING, CONNECTION, CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE};
use hyper::header::{HeaderMap, HeaderValue};
use hyper::{Request, Response, StatusCode};
use hyper_util::rt::{TokioIo, TokioTimer};
use periskop_core::Timestamp;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::AbortHandle;

use super::addresses::{Addresses, Listening};
use super::encoding::gzip;
use super::{Answer, Encoding, Fleet, Hostility, Moved, Reply, Serial};

/// A fleet that several parts of the program have to do with.
#[derive(Clone, Debug)]
pub struct Shared(Arc<Mutex<Fleet>>);

impl Shared {
    /// A fleet that has run for a while.
    pub fn new(fleet: Fleet) -> Self {
        Self(Arc::new(Mutex::new(fleet)))
    }

    /// The fleet, while nobody else has it.
    pub fn lock(&self) -> MutexGuard<'_, Fleet> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The time on the wall.
pub fn now() -> Timestamp {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    Timestamp::EPOCH.plus(since)
}

/// The listeners of a fleet. They end with it.
#[derive(Debug)]
pub struct Serving {
    fleet: Shared,
    addresses: Addresses,
    listening: Listening,
    accepting: HashMap<Serial, AbortHandle>,
}

impl Serving {
    /// Listens for every instance. Called within a runtime.
    ///
    /// # Errors
    ///
    /// An address is taken, or there are no descriptors left.
    pub fn begin(fleet: Shared, addresses: Addresses, listening: Listening) -> io::Result<Self> {
        let mut serving = Self { fleet, addresses, listening, accepting: HashMap::new() };
        match listening {
            Listening::Each => {
                let serials: Vec<_> = serving.fleet.lock().addresses().map(|(s, _)| s).collect();
                for serial in serials {
                    serving.listen(serial)?;
                }
            }
            Listening::Together => {
                let task = accept(addresses.listen_together()?, serving.fleet.clone(), addresses);
                serving.accepting.insert(0, tokio::spawn(task).abort_handle());
            }
        }
        Ok(serving)
    }

    /// Listens at new addresses, and no more at old ones.
    ///
    /// # Errors
    ///
    /// An address is taken, or there are no descriptors left.
    pub fn follow(&mut self, moved: &[Moved]) -> io::Result<()> {
        if self.listening == Listening::Together {
            // Whoever is not there any more has his connections closed when they are accepted.
            return Ok(());
        }
        for Moved { from, to, .. } in moved {
            self.listen(*to)?;
            if let Some(accepting) = self.accepting.remove(from) {
                accepting.abort();
            }
        }
        Ok(())
    }

    fn listen(&mut self, serial: Serial) -> io::Result<()> {
        let listener = self.addresses.listen(serial)?;
        let task = accept(listener, self.fleet.clone(), self.addresses);
        self.accepting.insert(serial, tokio::spawn(task).abort_handle());
        Ok(())
    }
}

impl Drop for Serving {
    fn drop(&mut self) {
        self.accepting.values().for_each(AbortHandle::abort);
    }
}

async fn accept(listener: TcpListener, fleet: Shared, addresses: Addresses) {
    loop {
        match listener.accept().await {
            Ok((connection, peer)) => {
                let local = connection.local_addr().ok();
                let serial = local.and_then(|local| addresses.serial(local));
                // Whoever is not on this machine has nothing to ask here.
                if let Some(serial) = serial.filter(|_| peer.ip().is_loopback()) {
                    tokio::spawn(converse(connection, serial, fleet.clone()));
                }
            }
            // No descriptors are left, or the peer was gone already.
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    }
}

/// One connection until its end.
async fn converse(connection: TcpStream, serial: Serial, fleet: Shared) {
    // Answers are written whole: there is nothing to wait for.
    let _ = connection.set_nodelay(true);
    let answered = Answered::default();
    let service = hyper::service::service_fn(|request: Request<Incoming>| {
        let (fleet, answered) = (fleet.clone(), answered.clone());
        async move { Ok::<_, Infallible>(respond(&fleet, serial, &answered, &request).await) }
    });
    // A connection that breaks is the business of whoever broke it.
    let _ = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .serve_connection(TokioIo::new(connection), service)
        .await;
}

/// The version that was last answered to the end over a connection. Whoever asks again over it has
/// read that.
#[derive(Clone, Debug, Default)]
struct Answered(Arc<Mutex<Option<u64>>>);

impl Answered {
    fn set(&self, version: Option<u64>) -> Option<u64> {
        let mut answered = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *answered, version)
    }
}

type Sent = UnsyncBoxBody<Bytes, io::Error>;

async fn respond(
    fleet: &Shared,
    serial: Serial,
    answered: &Answered,
    request: &Request<Incoming>,
) -> Response<Sent> {
    let reply = {
        let mut fleet = fleet.lock();
        if let Some(version) = answered.set(None) {
            fleet.was_read(serial, version, now());
        }
        let encoding = match fleet.plan().gzip && takes_gzip(request.headers()) {
            true => Encoding::Gzip,
            false => Encoding::Identity,
        };
        (encoding, fleet.answer(serial, encoding, now()))
    };
    match reply {
        (encoding, Reply::Honest(answer)) => {
            let length = answer.len();
            json(encoding, Whole::new(answer, answered).boxed_unsync(), Some(length))
        }
        (encoding, Reply::Hostile(how, answer)) => hostile(how, encoding, answer).await,
        (_, Reply::Gone) => {
            let mut gone = Response::new(Empty::new().map_err(|e| match e {}).boxed_unsync());
            *gone.status_mut() = StatusCode::SERVICE_UNAVAILABLE;
            gone.headers_mut().insert(CONNECTION, HeaderValue::from_static("close"));
            gone
        }
    }
}

fn takes_gzip(headers: &HeaderMap) -> bool {
    let encodings = headers.get(ACCEPT_ENCODING).and_then(|value| value.to_str().ok());
    encodings.is_some_and(|encodings| encodings.contains("gzip"))
}

fn json(encoding: Encoding, body: Sent, length: Option<usize>) -> Response<Sent> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static("application/json"));
    if encoding == Encoding::Gzip {
        headers.insert(CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    if let Some(length) = length {
        headers.insert(CONTENT_LENGTH, HeaderValue::from(length));
    }
    response
}

/// An honest answer, part by part.
struct Whole {
    parts: std::vec::IntoIter<Bytes>,
    left: u64,
    version: u64,
    answered: Answered,
}

impl Whole {
    fn new(answer: Answer, answered: &Answered) -> Self {
        Self {
            left: answer.len() as u64,
            version: answer.version,
            parts: answer.parts.into_iter(),
            answered: answered.clone(),
        }
    }
}

impl Body for Whole {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, io::Error>>> {
        let part = self.parts.next();
        self.left -= part.as_ref().map_or(0, |part| part.len() as u64);
        if self.left == 0 {
            self.answered.set(Some(self.version));
        }
        Poll::Ready(part.map(|part| Ok(Frame::data(part))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == 0
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left)
    }
}

async fn hostile(how: Hostility, encoding: Encoding, answer: Answer) -> Response<Sent> {
    let length = answer.len();
    match how {
        Hostility::Hang => std::future::pending().await,
        Hostility::Slow => {
            let body = Bytes::from(answer.parts.concat());
            let pieces =
                (0..length).step_by(100).map(move |at| body.slice(at..length.min(at + 100)));
            let slowly = stream::iter(pieces).then(|piece| async {
                tokio::time::sleep(Duration::from_millis(100)).await;
                Ok(Frame::data(piece))
            });
            json(encoding, StreamBody::new(slowly).boxed_unsync(), Some(length))
        }
        Hostility::Garbage => {
            let page = "<html><body>502 Bad Gateway</body></html>\n".repeat(100);
            let page = Full::new(Bytes::from(page)).map_err(|e| match e {});
            json(Encoding::Identity, page.boxed_unsync(), None)
        }
        Hostility::Huge => {
            let begin = stream::once(async { Ok(Frame::data(Bytes::from_static(b"{\"a\":["))) });
            let blank = Bytes::from(vec![b' '; 64 << 10]);
            let endless = stream::repeat_with(move || Ok(Frame::data(blank.clone())));
            json(Encoding::Identity, StreamBody::new(begin.chain(endless)).boxed_unsync(), None)
        }
        Hostility::Cut => {
            let mut body = answer.parts.concat();
            body.truncate(length / 2);
            let half = stream::once(async { Ok(Frame::data(Bytes::from(body))) });
            let cut = stream::once(async { Err(io::ErrorKind::ConnectionReset.into()) });
            json(encoding, StreamBody::new(half.chain(cut)).boxed_unsync(), Some(length))
        }
        Hostility::Bomb => {
            let blank = gzip(&vec![b' '; 10 << 20]);
            let bomb = stream::repeat_with(move || Ok(Frame::data(blank.clone()))).take(100);
            json(Encoding::Gzip, StreamBody::new(bomb).boxed_unsync(), None)
        }
        Hostility::Refuse => {
            let mut response = json(
                Encoding::Identity,
                Full::new(Bytes::from_static(b"out of order\n"))
                    .map_err(|e| match e {})
                    .boxed_unsync(),
                None,
            );
            *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
            response
        }
    }
}
