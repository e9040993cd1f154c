//! How much of the machine clients may take up.

use std::time::Duration;

/// Limits of a listener. The defaults suit a server that people, scrapers and a few hundred
/// pushers reach directly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Connections at a time; more wait in the system's backlog. 512, as with Prometheus's
    /// `--web.max-connections`.
    pub connections: usize,
    /// Bytes of a request's line and headers together, 32 KiB. More is answered with `431`.
    pub header_bytes: usize,
    /// Headers of a request, 100.
    pub headers: usize,
    /// How long a TLS handshake may take, and the headers of a request, 10 s. A connection
    /// over which no request comes for as long is closed, too.
    pub header_timeout: Duration,
    /// How long a client may read nothing of what waits for it, 30 s.
    pub write_timeout: Duration,
    /// How long an HTTP/2 connection may be without a request, 60 s.
    pub idle_timeout: Duration,
    /// How long requests may go on once the listener is to stop, 1 s: answers are made in
    /// milliseconds, and who does not read theirs is not to delay an exit.
    pub grace: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 512,
            header_bytes: 32 * 1024,
            headers: 100,
            header_timeout: Duration::from_secs(10),
            write_timeout: Duration::from_secs(30),
            idle_timeout: Duration::from_secs(60),
            grace: Duration::from_secs(1),
        }
    }
}
