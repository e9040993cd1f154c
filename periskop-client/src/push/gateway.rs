//! A gateway, and how to push to it.

use std::fmt;
use std::future::Future;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Poll, Waker};
use std::time::Duration;

use percent_encoding::percent_decode_str;
use ureq::http::Uri;

use super::error::PushError;
use super::pusher::{Pusher, PusherBuilder};
use super::transport::{Credentials, Source, Tls, Transport};
use crate::Collector;

/// Where to push, and with which credentials. Cheap to clone.
#[derive(Clone)]
pub struct Gateway {
    inner: Arc<Inner>,
}

struct Inner {
    transport: Transport,
    timeout: Duration,
    gzip_from: Option<usize>,
}

impl Gateway {
    /// A gateway at this URL, such as `http://gateway.internal:7878/errors`; without a path,
    /// `/errors` is taken. A user and password in it are credentials, and are not told on.
    pub fn builder(url: impl Into<String>) -> GatewayBuilder {
        GatewayBuilder {
            url: url.into(),
            credentials: None,
            tls: Tls::default(),
            proxy_from_environment: false,
            timeout: Duration::from_secs(10),
            gzip_from: None,
        }
    }

    /// Pushes what the collector has counted, waiting for the answer, at most as long as the
    /// [timeout](GatewayBuilder::timeout).
    ///
    /// # Errors
    ///
    /// It did not get there, or was not taken. Pushing the same again later does no harm.
    pub fn push_once(&self, collector: &Collector) -> Result<(), PushError> {
        self.push_within(collector, self.inner.timeout)
    }

    /// As [`push_once`](Self::push_once), for asynchronous callers of any runtime: a thread waits
    /// instead of the caller. The push goes on if the future is dropped.
    ///
    /// # Errors
    ///
    /// It did not get there, or was not taken.
    pub fn push_once_async(
        &self,
        collector: &Collector,
    ) -> impl Future<Output = Result<(), PushError>> + Send + use<> {
        let (gateway, collector) = (self.clone(), collector.clone());
        elsewhere(move || gateway.push_once(&collector))
    }

    /// Has a thread push what the collector counts, as it comes.
    ///
    /// # Errors
    ///
    /// There is no thread to be had.
    pub fn spawn(&self, collector: &Collector) -> Result<Pusher, PushError> {
        Pusher::builder(self).spawn(collector)
    }

    /// [`spawn`](Self::spawn) at another pace.
    pub fn pusher(&self) -> PusherBuilder {
        Pusher::builder(self)
    }

    pub(super) fn push_within(
        &self,
        collector: &Collector,
        within: Duration,
    ) -> Result<(), PushError> {
        let payload = collector.export();
        match self.inner.gzip_from {
            #[cfg(feature = "gzip")]
            Some(from) if payload.len() >= from => {
                self.inner.transport.post(&gzip(&payload), Some("gzip"), within)
            }
            _ => self.inner.transport.post(&payload, None, within),
        }
    }

    pub(super) fn timeout(&self) -> Duration {
        self.inner.timeout
    }
}

impl fmt::Debug for Gateway {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Gateway")
            .field("url", &self.inner.transport.url)
            .field("credentials", &self.inner.transport.credentials)
            .finish_non_exhaustive()
    }
}

#[cfg(feature = "gzip")]
fn gzip(payload: &[u8]) -> Vec<u8> {
    use std::io::Write;
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    // Memory takes everything.
    let _ = encoder.write_all(payload);
    encoder.finish().unwrap_or_default()
}

/// What a [`Gateway`] is made with.
#[must_use = "a builder builds nothing by itself"]
pub struct GatewayBuilder {
    url: String,
    credentials: Option<Credentials>,
    tls: Tls,
    proxy_from_environment: bool,
    timeout: Duration,
    gzip_from: Option<usize>,
}

impl GatewayBuilder {
    /// Authenticates as this user (RFC 7617).
    pub fn basic_auth(mut self, user: impl Into<String>, password: impl Into<String>) -> Self {
        let password = Source::Inline(password.into().into_bytes());
        self.credentials = Some(Credentials::Basic { user: user.into(), password });
        self
    }

    /// Authenticates as this user, with the password that is in the file at each push.
    pub fn basic_auth_file(mut self, user: impl Into<String>, file: impl AsRef<Path>) -> Self {
        let password = Source::from(file.as_ref());
        self.credentials = Some(Credentials::Basic { user: user.into(), password });
        self
    }

    /// Authenticates by this token (RFC 6750).
    pub fn bearer_token(mut self, token: impl Into<String>) -> Self {
        self.credentials = Some(Credentials::Bearer(Source::Inline(token.into().into_bytes())));
        self
    }

    /// Authenticates by the token that is in the file at each push.
    pub fn bearer_token_file(mut self, file: impl AsRef<Path>) -> Self {
        self.credentials = Some(Credentials::Bearer(file.as_ref().into()));
        self
    }

    /// Trusts the PEM certificates in this file and no others, instead of the system's
    /// authorities. It is read again at each push, as are those of
    /// [`client_certificate_files`](Self::client_certificate_files).
    pub fn ca_file(mut self, file: impl AsRef<Path>) -> Self {
        self.tls.ca = Some(file.as_ref().into());
        self
    }

    /// Trusts these PEM certificates and no others.
    pub fn ca_pem(mut self, pem: impl Into<Vec<u8>>) -> Self {
        self.tls.ca = Some(Source::Inline(pem.into()));
        self
    }

    /// Shows the gateway this certificate, with its chain, whose key is in the other file. PEM.
    pub fn client_certificate_files(
        mut self,
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Self {
        self.tls.client = Some((certificate.as_ref().into(), key.as_ref().into()));
        self
    }

    /// Shows the gateway this certificate, with its chain. PEM.
    pub fn client_certificate_pem(
        mut self,
        certificate: impl Into<Vec<u8>>,
        key: impl Into<Vec<u8>>,
    ) -> Self {
        self.tls.client = Some((Source::Inline(certificate.into()), Source::Inline(key.into())));
        self
    }

    /// Goes through the proxy that `HTTPS_PROXY`, `HTTP_PROXY` and `ALL_PROXY` name, unless
    /// `NO_PROXY` names the gateway. Off unless told: a gateway is mostly near.
    pub fn proxy_from_environment(mut self) -> Self {
        self.proxy_from_environment = true;
        self
    }

    /// How long a push may take, from the look-up of the name to the answer; 10 seconds unless
    /// told.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Compresses pushes of so many bytes and more with gzip. Periskop's own gateway reads them;
    /// the original one does not.
    #[cfg(feature = "gzip")]
    pub fn gzip_from(mut self, bytes: usize) -> Self {
        self.gzip_from = Some(bytes);
        self
    }

    /// The gateway. Nothing is connected yet, nor any file read.
    ///
    /// # Errors
    ///
    /// The URL is none, or of another scheme than `http` and `https`.
    pub fn build(self) -> Result<Gateway, PushError> {
        let (url, of_url) = parsed(&self.url)?;
        let transport = Transport {
            url,
            credentials: self.credentials.or(of_url),
            tls: self.tls,
            proxy_from_environment: self.proxy_from_environment,
            current: Default::default(),
        };
        let inner = Inner { transport, timeout: self.timeout, gzip_from: self.gzip_from };
        Ok(Gateway { inner: Arc::new(inner) })
    }
}

impl fmt::Debug for GatewayBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("GatewayBuilder")
            .field("credentials", &self.credentials)
            .field("timeout", &self.timeout)
            .finish_non_exhaustive()
    }
}

/// A URL without its userinfo, and the credentials that those were.
fn parsed(url: &str) -> Result<(Uri, Option<Credentials>), PushError> {
    let wrong = |reason: &str| PushError::Setting { setting: "the URL", reason: reason.to_owned() };
    // The parser's messages quote nothing of the URL; it may have a password in it.
    let uri: Uri = url.trim().parse().map_err(|_| wrong("it cannot be read"))?;
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err(wrong("it does not begin with http:// or https://"));
    }
    let Some(authority) = uri.authority() else { return Err(wrong("it has no host")) };
    let (userinfo, host) = match authority.as_str().rsplit_once('@') {
        Some((userinfo, host)) => (Some(userinfo), host),
        None => (None, authority.as_str()),
    };
    let credentials = userinfo.map(|userinfo| {
        let (user, password) = userinfo.split_once(':').unwrap_or((userinfo, ""));
        let plain = |text: &str| percent_decode_str(text).decode_utf8_lossy().into_owned();
        let password = Source::Inline(plain(password).into_bytes());
        Credentials::Basic { user: plain(user), password }
    });
    let path = match uri.path_and_query().map(|path| path.as_str()) {
        None | Some("" | "/") => "/errors",
        Some(path) => path,
    };
    let scheme = uri.scheme_str().unwrap_or_default();
    let clean = format!("{scheme}://{host}{path}").parse();
    Ok((clean.map_err(|_| wrong("it cannot be read"))?, credentials))
}

/// Runs `work` in a thread of its own, and waits for it without a thread.
pub(super) fn elsewhere(
    work: impl FnOnce() -> Result<(), PushError> + Send + 'static,
) -> impl Future<Output = Result<(), PushError>> + Send {
    let mut outcome = None;
    let mut work = Some(work);
    std::future::poll_fn(move |cx| {
        if let Some(work) = work.take() {
            let awaited = Arc::new(Mutex::new(Awaited::default()));
            let answering = Answering(awaited.clone());
            let thread = std::thread::Builder::new().name(crate::PUSHER.into());
            if let Err(error) = thread.spawn(move || answering.answer(work())) {
                return Poll::Ready(Err(PushError::NoThread(Arc::new(error))));
            }
            outcome = Some(awaited);
        }
        let Some(awaited) = &outcome else { return Poll::Ready(Err(PushError::CutOff)) };
        let mut awaited = awaited.lock().unwrap_or_else(PoisonError::into_inner);
        match awaited.outcome.take() {
            Some(outcome) => Poll::Ready(outcome),
            None => {
                awaited.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    })
}

#[derive(Default)]
struct Awaited {
    outcome: Option<Result<(), PushError>>,
    waker: Option<Waker>,
}

/// Answers when it is dropped, whatever became of the thread that had it.
struct Answering(Arc<Mutex<Awaited>>);

impl Answering {
    fn answer(self, outcome: Result<(), PushError>) {
        self.lock().outcome = Some(outcome);
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Awaited> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let mut awaited = self.lock();
        awaited.outcome.get_or_insert(Err(PushError::CutOff));
        let waker = awaited.waker.take();
        drop(awaited);
        if let Some(waker) = waker {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_is_where_to_push_and_its_userinfo_is_not_told_on() {
        let check = |url: &str, expected: &str| {
            let gateway = Gateway::builder(url).build().unwrap();
            assert_eq!(gateway.inner.transport.url.to_string(), expected, "{url}");
            assert!(!format!("{gateway:?}").contains("s3cr3t"), "{gateway:?}");
        };
        check("http://gw:7878/errors", "http://gw:7878/errors");
        check("http://gw:7878", "http://gw:7878/errors");
        check("https://gw/a/b?c=d", "https://gw/a/b?c=d");
        check("http://me:s3cr3t@gw/errors", "http://gw/errors");
        check("http://[::1]:7878/", "http://[::1]:7878/errors");
    }

    #[test]
    fn what_is_no_url_is_refused_without_being_quoted() {
        for url in ["", "gateway:7878/errors", "ftp://me:s3cr3t@gw/", "http://me:s3 cr3t@gw/", "/x"]
        {
            let error = Gateway::builder(url).build().unwrap_err();
            assert!(matches!(error, PushError::Setting { setting: "the URL", .. }), "{url}");
            assert!(!format!("{error} {error:?}").contains("cr3t"), "{error:?}");
        }
    }

    #[test]
    fn credentials_are_in_no_debug_text() {
        let builder = Gateway::builder("http://gw").bearer_token("s3cr3t");
        assert!(!format!("{builder:?}").contains("s3cr3t"));
        let gateway = Gateway::builder("http://gw").basic_auth("me", "s3cr3t").build().unwrap();
        assert!(!format!("{gateway:?}").contains("s3cr3t"));
    }
}
