//! What the operating system tells this process: stop, or read the configuration again.

#[cfg(unix)]
pub(crate) use self::unix::listen;

#[cfg(not(unix))]
pub(crate) use self::elsewhere::listen;

#[cfg(unix)]
mod unix {
    use std::io;

    use tokio::signal::unix::{SignalKind, signal};

    /// Takes SIGTERM and SIGINT, and SIGHUP, from now on: whoever is told that the server runs
    /// may send one at once. The first future ends with the first of the two; the second calls
    /// `reload` for each hangup.
    pub(crate) fn listen<R: Future<Output = ()> + Send>(
        reload: impl Fn() -> R + Send + 'static,
    ) -> io::Result<(impl Future<Output = ()> + Send, impl Future<Output = ()> + Send)> {
        let mut terminate = signal(SignalKind::terminate())?;
        let mut interrupt = signal(SignalKind::interrupt())?;
        let mut hangup = signal(SignalKind::hangup())?;
        let stop = async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
            }
        };
        let reloads = async move {
            while hangup.recv().await.is_some() {
                reload().await;
            }
        };
        Ok((stop, reloads))
    }
}

#[cfg(not(unix))]
mod elsewhere {
    use std::io;

    /// There is no hangup here: `POST /-/reload` is the way to reload.
    pub(crate) fn listen<R: Future<Output = ()> + Send>(
        _reload: impl Fn() -> R + Send + 'static,
    ) -> io::Result<(impl Future<Output = ()> + Send, impl Future<Output = ()> + Send)> {
        let stop = async {
            // Without a handler the process ends the hard way, which it survives.
            let _ = tokio::signal::ctrl_c().await;
        };
        Ok((stop, std::future::pending()))
    }
}
