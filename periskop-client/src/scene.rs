//! The request that a thread is at work on, for whatever is reported meanwhile.

use std::cell::RefCell;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use http::request::Parts;
use periskop_core::{HttpContext, Severity};

/// A request being answered, and whether its failure has been reported yet.
pub(crate) struct Scene {
    parts: Parts,
    /// The collector that the request's failure is reported to.
    collector: usize,
    /// The route, where the router tells it.
    matched: Option<Matched>,
    is_reported: AtomicBool,
    has_panicked: AtomicBool,
}

impl Scene {
    /// Of a request's head. Its text is made only if something is reported.
    pub(crate) fn new(parts: &mut Parts, collector: usize) -> Self {
        // The extensions are none of a report's business, and need not be copied.
        let extensions = std::mem::take(&mut parts.extensions);
        let own = parts.clone();
        parts.extensions = extensions;
        Self {
            parts: own,
            collector,
            matched: matched(parts),
            is_reported: AtomicBool::new(false),
            has_panicked: AtomicBool::new(false),
        }
    }

    /// Whether an error was reported to its collector while this was the thread's scene.
    pub(crate) fn is_reported(&self) -> bool {
        self.is_reported.load(Ordering::Relaxed)
    }

    /// Whether a panic was, by the hook.
    pub(crate) fn has_panicked(&self) -> bool {
        self.has_panicked.load(Ordering::Relaxed)
    }

    /// Runs with this as the thread's scene.
    pub(crate) fn enter<T>(self: &Arc<Self>, run: impl FnOnce() -> T) -> T {
        let _entered = Entered { before: replace(Some(self.clone())) };
        run()
    }

    pub(crate) fn http(&self) -> HttpContext {
        let headers = self.parts.headers.iter();
        let mut headers: Vec<_> = headers
            .take(crate::capture::ENTRIES)
            .map(|(name, value)| {
                let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
                (name.as_str().to_owned(), value)
            })
            .collect();
        headers.sort();
        HttpContext {
            method: Some(self.parts.method.to_string()),
            url: Some(self.url()),
            headers,
            body: None,
        }
    }

    /// Method and route. Where the router does not tell the route, it is the path with `*` for the
    /// segments that look like ids: those with a digit, and long ones.
    pub(crate) fn route(&self) -> String {
        let method = &self.parts.method;
        if let Some(route) = &self.matched {
            return format!("{method} {route}");
        }
        let mut route = format!("{method} ");
        for segment in self.parts.uri.path().split('/').skip(1).take(8) {
            let is_id = segment.len() > 32 || segment.contains(|c: char| c.is_ascii_digit());
            route.push('/');
            route.push_str(if is_id { "*" } else { segment });
        }
        route
    }

    /// As the client wrote it, as far as that is known: HTTP/1.1 has the host in a header.
    fn url(&self) -> String {
        let uri = &self.parts.uri;
        let host = self.parts.headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        match (uri.host(), host) {
            (None, Some(host)) => format!("//{host}{uri}"),
            _ => uri.to_string(),
        }
    }
}

/// The thread's scene; notes that an occurrence so bad is reported to `collector` meanwhile.
pub(crate) fn reported(collector: usize, severity: Severity) -> Option<Arc<Scene>> {
    let scene = current()?;
    if severity == Severity::Error && scene.collector == collector {
        scene.is_reported.store(true, Ordering::Relaxed);
    }
    Some(scene)
}

/// Notes that a panic of the thread's scene is reported to `collector`.
pub(crate) fn panicked(collector: usize) {
    if let Some(scene) = current().filter(|scene| scene.collector == collector) {
        scene.has_panicked.store(true, Ordering::Relaxed);
    }
}

fn current() -> Option<Arc<Scene>> {
    SCENE.try_with(|scene| scene.try_borrow().ok()?.clone()).ok()?
}

#[cfg(feature = "axum")]
struct Matched(axum::extract::MatchedPath);

#[cfg(not(feature = "axum"))]
enum Matched {}

impl std::fmt::Display for Matched {
    #[cfg(feature = "axum")]
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.as_str())
    }

    #[cfg(not(feature = "axum"))]
    fn fmt(&self, _: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match *self {}
    }
}

#[cfg(feature = "axum")]
fn matched(parts: &Parts) -> Option<Matched> {
    parts.extensions.get().cloned().map(Matched)
}

#[cfg(not(feature = "axum"))]
fn matched(_: &Parts) -> Option<Matched> {
    None
}

thread_local! {
    static SCENE: RefCell<Option<Arc<Scene>>> = const { RefCell::new(None) };
}

fn replace(scene: Option<Arc<Scene>>) -> Option<Arc<Scene>> {
    let replaced = SCENE.try_with(|current| {
        let mut current = current.try_borrow_mut().ok()?;
        std::mem::replace(&mut *current, scene)
    });
    replaced.ok()?
}

struct Entered {
    before: Option<Arc<Scene>>,
}

impl Drop for Entered {
    fn drop(&mut self) {
        replace(self.before.take());
    }
}
