//! One connection, from the handshake to its end.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::pin::{Pin, pin};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::ConnectInfo;
use axum::http::{Request, Response};
use hyper::body::Incoming;
use hyper::server::conn::{http1, http2};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite, AsyncWriteExt as _};
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio_io_timeout::TimeoutStream;
use tokio_rustls::TlsAcceptor;
use tower::ServiceExt as _;

use super::PeerCertificate;
use super::in_flight::{Counted, InFlight};
use crate::limits::Limits;
use crate::tls::{Tls, name_of};

/// Requests of one HTTP/2 connection at a time: a page and its files, and not more than that.
const STREAMS: u32 = 100;

/// Streams that a client may open and give up before its connection is closed (CVE-2023-44487).
const RESETS: usize = 20;

/// What an HTTP/2 connection keeps of an answer that its client does not read.
const SEND_BUFFER: usize = 256 * 1024;

/// How long the end of a connection may take once nothing more is to be said.
const FAREWELL: Duration = Duration::from_secs(1);

/// The first byte of a TLS handshake.
const HANDSHAKE: u8 = 22;

const PLAIN_HTTP_ON_TLS: &[u8] = b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/plain; \
charset=utf-8\r\nConnection: close\r\nContent-Length: 29\r\n\r\nthis port speaks only HTTPS.\n";

/// What connections share.
pub(super) struct Connection {
    pub(super) router: Router,
    pub(super) tls: Option<Tls>,
    pub(super) limits: Limits,
    pub(super) stopped: watch::Receiver<bool>,
}

/// Who is at the other end.
#[derive(Clone)]
struct Peer {
    address: SocketAddr,
    certificate: Option<PeerCertificate>,
}

impl Connection {
    /// Serves it to its end, which may be anything: clients vanish.
    pub(super) async fn serve(&self, stream: TcpStream) {
        let Ok(address) = stream.peer_addr() else { return };
        // It is only slower without.
        let _ = stream.set_nodelay(true);
        let Some(tls) = &self.tls else {
            let io = self.patient(stream);
            return self.http1(io, Peer { address, certificate: None }).await;
        };
        let shaken =
            tokio::time::timeout(self.limits.header_timeout, self.shake_hands(stream, tls));
        let Ok(Some(stream)) = shaken.await else { return };
        let (_, session) = stream.get_ref();
        let shown = session.peer_certificates().and_then(|chain| chain.first());
        let verified = shown.filter(|_| tls.verifies_clients());
        let certificate =
            verified.and_then(name_of).map(|name| PeerCertificate(name.as_str().into()));
        let peer = Peer { address, certificate };
        match session.alpn_protocol() {
            Some(b"h2") => self.http2(stream, peer).await,
            _ => self.http1(stream, peer).await,
        }
    }

    /// A stream whose writes end with an error when the other end does not read.
    fn patient(&self, stream: TcpStream) -> Pin<Box<TimeoutStream<TcpStream>>> {
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(self.limits.write_timeout));
        Box::pin(stream)
    }

    async fn shake_hands(&self, stream: TcpStream, tls: &Tls) -> Option<TlsStream> {
        let mut first = [0];
        if stream.peek(&mut first).await.ok()? == 0 {
            return None;
        }
        let mut stream = self.patient(stream);
        if first[0] != HANDSHAKE {
            if first[0].is_ascii_uppercase() {
                // Somebody has forgotten the `s`; whether they hear of it is all the same to us.
                let _ = stream.write_all(PLAIN_HTTP_ON_TLS).await;
                let _ = stream.shutdown().await;
                linger(stream).await;
            }
            return None;
        }
        let acceptor = TlsAcceptor::from(tls.config());
        match acceptor.accept(stream).await {
            Ok(stream) => Some(stream),
            Err(error) => {
                tracing::debug!(%error, "a handshake failed");
                None
            }
        }
    }

    async fn http1<I: AsyncRead + AsyncWrite + Unpin + 'static>(&self, io: I, peer: Peer) {
        let in_flight = InFlight::default();
        let service = service_fn(|request| self.answer(request, peer.clone(), &in_flight));
        let connection = http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(self.limits.header_timeout)
            .max_headers(self.limits.headers)
            .max_header_size(self.limits.header_bytes)
            .serve_connection(TokioIo::new(io), service);
        let mut connection = pin!(connection);
        let mut stopped = self.stopped.clone();
        tokio::select! {
            // How it ended, only its client could tell.
            _ = connection.as_mut() => return,
            () = told(&mut stopped) => connection.as_mut().graceful_shutdown(),
        }
        let _ = connection.await;
    }

    async fn http2<I: AsyncRead + AsyncWrite + Unpin + Send + 'static>(&self, io: I, peer: Peer) {
        let in_flight = InFlight::default();
        let router = self.router.clone();
        let counted = in_flight.clone();
        let service = service_fn(move |request| {
            answer(router.clone(), request, peer.clone(), counted.clone())
        });
        let header_bytes = u32::try_from(self.limits.header_bytes).unwrap_or(u32::MAX);
        let connection = http2::Builder::new(TokioExecutor::new())
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_pending_accept_reset_streams(RESETS)
            .max_local_error_reset_streams(RESETS)
            .max_header_list_size(header_bytes)
            .max_send_buf_size(SEND_BUFFER)
            .keep_alive_interval(self.limits.write_timeout / 2)
            .keep_alive_timeout(self.limits.write_timeout / 2)
            .serve_connection(TokioIo::new(io), service);
        let mut connection = pin!(connection);
        let mut stopped = self.stopped.clone();
        tokio::select! {
            _ = connection.as_mut() => return,
            () = told(&mut stopped) => connection.as_mut().graceful_shutdown(),
            () = in_flight.idle_for(self.limits.idle_timeout) => {
                connection.as_mut().graceful_shutdown();
                // What was answered may still be on its way.
                let _ = tokio::time::timeout(self.limits.idle_timeout, connection).await;
                return;
            }
            // Of one stream; what the whole connection does not read, its writes tell.
            () = in_flight.stalled_for(self.limits.write_timeout) => return,
        }
        let _ = connection.await;
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        peer: Peer,
        in_flight: &InFlight,
    ) -> Result<Response<Counted<Body>>, Infallible> {
        answer(self.router.clone(), request, peer, in_flight.clone()).await
    }
}

type TlsStream = tokio_rustls::server::TlsStream<Pin<Box<TimeoutStream<TcpStream>>>>;

async fn answer(
    router: Router,
    request: Request<Incoming>,
    peer: Peer,
    in_flight: InFlight,
) -> Result<Response<Counted<Body>>, Infallible> {
    let begun = in_flight.begin();
    let mut request = request.map(Body::new);
    request.extensions_mut().insert(ConnectInfo(peer.address));
    if let Some(certificate) = peer.certificate {
        request.extensions_mut().insert(certificate);
    }
    let response = router.oneshot(request).await?;
    Ok(response.map(|body| Counted::new(body, begun)))
}

async fn told(stopped: &mut watch::Receiver<bool>) {
    // A sender that is gone says the same.
    let _ = stopped.wait_for(|stopped| *stopped).await;
}

/// Reads what is still coming, so that the system does not discard what was written.
async fn linger(mut stream: impl AsyncRead + Unpin) {
    let rest = async {
        let mut sink = tokio::io::sink();
        // However it ends, it has ended.
        let _ = tokio::io::copy(&mut stream, &mut sink).await;
    };
    let _ = tokio::time::timeout(FAREWELL, rest).await;
}
