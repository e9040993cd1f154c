//! A line that can be cut: a proxy in front of a server, so that a test can take the server away
//! from whoever uses it, and give it back, without touching the server.
//!
//! Bytes pass unchanged, both ways. While the line is cut nothing listens at the proxy's address,
//! as if the server were gone.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::task::JoinHandle;

/// How many connections may wait to be accepted.
const BACKLOG: u32 = 128;

/// A proxy on a free port of loopback. It is gone, with its connections, when it is dropped.
#[derive(Debug)]
pub struct Proxy {
    server: Arc<str>,
    address: SocketAddr,
    /// Owns the listener and every connection.
    line: JoinHandle<()>,
    /// While the line is cut: bound, so that nobody else is given the port, but not listening.
    cut: Option<TcpSocket>,
}

impl Proxy {
    /// A proxy in front of `server`, `host:port`, which need not be there yet. Called within a
    /// runtime.
    ///
    /// # Panics
    ///
    /// If there is no free port.
    pub fn to(server: &str) -> Self {
        let server = Arc::from(server);
        let socket = bind((Ipv4Addr::LOCALHOST, 0).into());
        let address = socket.local_addr().expect("it is bound");
        let line = connect(socket, Arc::clone(&server));
        Self { server, address, line, cut: None }
    }

    /// Where it listens. That stays the same.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Closes all connections and refuses new ones; both is so when this returns.
    ///
    /// # Panics
    ///
    /// If somebody else was given the port in the moment in which it was free.
    pub async fn cut(&mut self) {
        if self.cut.is_none() {
            self.line.abort();
            // What it owned has been dropped when it has ended, not before.
            let _ = (&mut self.line).await;
            self.cut = Some(bind(self.address));
        }
    }

    /// Listens again. Connections that were closed stay closed.
    ///
    /// # Panics
    ///
    /// If somebody else listens there.
    pub fn restore(&mut self) {
        if let Some(socket) = self.cut.take() {
            self.line = connect(socket, Arc::clone(&self.server));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.line.abort();
    }
}

fn bind(address: SocketAddr) -> TcpSocket {
    let socket = TcpSocket::new_v4().expect("a socket");
    // Connections of before may not have gone entirely.
    socket.set_reuseaddr(true).expect("a new socket can be set up");
    socket.bind(address).expect("a free port");
    socket
}

fn connect(socket: TcpSocket, server: Arc<str>) -> JoinHandle<()> {
    let listener = socket.listen(BACKLOG).expect("a port of our own");
    tokio::spawn(carry(listener, server))
}

/// All of it in one task, so that all of it ends with the task.
async fn carry(listener: TcpListener, server: Arc<str>) {
    let mut connections = FuturesUnordered::new();
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((client, _)) = accepted {
                    connections.push(pass(client, &server));
                }
            }
            Some(()) = connections.next() => {}
        }
    }
}

/// A server that is not there, or goes, is seen by the client as a connection that ends.
async fn pass(mut client: TcpStream, server: &str) {
    if let Ok(mut server) = TcpStream::connect(server).await {
        // Questions and answers are small, and waited for.
        let _ = (client.set_nodelay(true), server.set_nodelay(true));
        let _ = copy_bidirectional(&mut client, &mut server).await;
    }
}

#[cfg(test)]
mod tests {
    use std::io::ErrorKind;

    use tokio::io::{AsyncReadExt, AsyncWriteExt};

    use super::*;

    async fn answers(client: &mut TcpStream) -> bool {
        let mut answer = [0; 4];
        client.write_all(b"ping").await.is_ok()
            && client.read_exact(&mut answer).await.is_ok()
            && &answer == b"ping"
    }

    /// Sends back what it is sent.
    async fn echo() -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let server = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let (mut from, mut to) = client.into_split();
                    let _ = tokio::io::copy(&mut from, &mut to).await;
                });
            }
        });
        (address, server)
    }

    #[tokio::test]
    async fn a_cut_line_is_dead_until_it_is_restored() {
        let (server, _echo) = echo().await;
        let mut proxy = Proxy::to(&server.to_string());
        for _ in 0..20 {
            let mut before = [
                TcpStream::connect(proxy.address()).await.unwrap(),
                TcpStream::connect(proxy.address()).await.unwrap(),
            ];
            for client in &mut before {
                assert!(answers(client).await);
            }
            proxy.cut().await;
            for client in &mut before {
                assert!(!answers(client).await, "it is closed");
            }
            let refused = TcpStream::connect(proxy.address()).await.unwrap_err();
            assert_eq!(refused.kind(), ErrorKind::ConnectionRefused);
            proxy.cut().await;

            proxy.restore();
            proxy.restore();
            assert!(!answers(&mut before[0]).await, "what was closed stays closed");
            assert!(answers(&mut TcpStream::connect(proxy.address()).await.unwrap()).await);
        }
    }

    #[tokio::test]
    async fn a_server_that_is_not_there_ends_the_connection() {
        let (server, echo) = echo().await;
        let proxy = Proxy::to(&server.to_string());
        echo.abort();
        assert!(echo.await.unwrap_err().is_cancelled());
        let mut client = TcpStream::connect(proxy.address()).await.unwrap();
        assert!(!answers(&mut client).await);
    }
}
