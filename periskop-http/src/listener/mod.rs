//! The listener: accepts, speaks TLS where that is configured, and cuts off who is slow.
//!
//! A connection is bounded in each of its stages: the handshake, the headers of a request, an answer
//! that nobody reads, a connection without requests. Bodies of requests are the business of
//! whoever reads them ([`BodyLimit`](crate::BodyLimit)). Connections beyond the limit wait in the
//! system's backlog, where they cost nothing.

mod connection;
mod in_flight;

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{OwnedSemaphorePermit, Semaphore, watch};
use tokio::task::JoinSet;

use self::connection::Connection;
use crate::limits::Limits;
use crate::tls::Tls;

/// The pause after an accept that failed for want of something, such as file descriptors.
const BREATHER: Duration = Duration::from_millis(500);

/// The name in the certificate that a client has shown and that has been verified; in the extensions
/// of its requests.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate(Arc<str>);

impl PeerCertificate {
    /// The common name, else the first alternative one.
    pub fn name(&self) -> &str {
        &self.0
    }
}

/// Serves until `stop` completes; then no connection is accepted any more, and requests under way
/// have [`Limits::grace`] to end. The address of the client is in each request's extensions, as
/// `ConnectInfo<SocketAddr>`.
///
/// Without `tls` this is plain HTTP/1.1; with it, HTTP/2 too where that is offered. Answers when
/// everything is over; what becomes of single connections is nobody's business but theirs.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Tls>,
    limits: Limits,
    stop: impl Future<Output = ()> + Send,
) {
    let (stopping, stopped) = watch::channel(false);
    let shared = Arc::new(Connection { router, tls: tls.clone(), limits, stopped });
    let permits = Arc::new(Semaphore::new(limits.connections));
    let mut connections = JoinSet::new();
    let accepting = async {
        loop {
            let (stream, permit) = accept(&listener, &permits).await;
            let connection = Arc::clone(&shared);
            connections.spawn(async move {
                connection.serve(stream).await;
                drop(permit);
            });
            while connections.try_join_next().is_some() {}
        }
    };
    let watching = async {
        match tls {
            Some(tls) => tls.watch().await,
            None => std::future::pending().await,
        }
    };
    tokio::select! {
        () = stop => {}
        () = accepting => {}
        () = watching => {}
    }
    drop(listener);
    // Nobody listens where there is no connection.
    let _ = stopping.send(true);
    let ended = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(limits.grace, ended).await.is_err() {
        tracing::warn!("some requests were cut off");
    }
}

async fn accept(
    listener: &TcpListener,
    permits: &Arc<Semaphore>,
) -> (TcpStream, OwnedSemaphorePermit) {
    // It is never closed.
    let permit = Arc::clone(permits).acquire_owned().await.expect("the semaphore stays open");
    loop {
        match listener.accept().await {
            Ok((stream, _)) => return (stream, permit),
            Err(error) if is_of_one_connection(&error) => {}
            Err(error) => {
                tracing::error!(%error, "cannot accept a connection");
                tokio::time::sleep(BREATHER).await;
            }
        }
    }
}

/// Whether it says something about one connection that is gone already.
fn is_of_one_connection(error: &io::Error) -> bool {
    use io::ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset};
    matches!(error.kind(), ConnectionAborted | ConnectionRefused | ConnectionReset)
}
