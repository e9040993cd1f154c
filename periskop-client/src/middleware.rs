//! A tower middleware: answers that are failures, and panics, become occurrences with the request.

use std::error::Error;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use http::{Request, Response, StatusCode};
use tower_layer::Layer;
use tower_service::Service;

use crate::capture::Capture;
use crate::scene::Scene;
use crate::{Collector, hook};

/// Reports what goes wrong with requests, for axum and any other tower service.
///
/// - An answer of 5xx is an error: the one that the handler [attached](Reported), with its causes,
///   else `HTTP 500` and the like, grouped by method and route. If the handler has itself reported
///   an error to a collector meanwhile, the answer is not counted again.
/// - A panic is caught, counted (once, also where [`install_panic_hook`](crate::install_panic_hook)
///   has counted it) and answered with an empty 500.
/// - Whatever is reported on the same thread while the request is being worked on gets method, URL
///   and headers of the request, unless it has brought its own. The body is never read.
///
/// Credentials in headers and URL are masked ([`Builder::redaction`](crate::Builder::redaction)).
///
/// ```
/// use axum::Router;
/// use periskop_client::{Collector, DEFAULT_PATH, Exporter, ReportLayer};
///
/// let collector = Collector::new();
/// let app: Router = Router::new()
///     .route("/pay", axum::routing::post(async || "paid"))
///     .layer(ReportLayer::new(&collector))
///     .route_service(DEFAULT_PATH, Exporter::new(&collector));
/// ```
#[derive(Clone, Debug)]
pub struct ReportLayer {
    collector: Collector,
}

impl ReportLayer {
    /// Reports to this collector.
    pub fn new(collector: &Collector) -> Self {
        Self { collector: collector.clone() }
    }
}

impl<S> Layer<S> for ReportLayer {
    type Service = ReportService<S>;

    fn layer(&self, inner: S) -> Self::Service {
        ReportService { inner, collector: self.collector.clone() }
    }
}

/// The error behind a response, put into its extensions by the handler that made it:
///
/// ```
/// use axum::http::StatusCode;
/// use axum::response::{IntoResponse, Response};
/// use periskop_client::Reported;
///
/// struct Failure(std::io::Error);
///
/// impl IntoResponse for Failure {
///     fn into_response(self) -> Response {
///         (StatusCode::BAD_GATEWAY, axum::Extension(Reported::new(&self.0))).into_response()
///     }
/// }
/// ```
///
/// Whatever the status of the answer is, below 500 as well, it is reported. A [`Capture`] says more
/// than the error: severity, key, or the causes of a `Box<dyn Error>` (`Capture::of_dyn`).
#[derive(Clone, Debug)]
pub struct Reported(Arc<Capture>);

impl Reported {
    /// Of this error, from the place of this call.
    #[track_caller]
    pub fn new<E: Error + ?Sized>(error: &E) -> Self {
        Capture::of(error).into()
    }
}

impl From<Capture> for Reported {
    fn from(capture: Capture) -> Self {
        Self(Arc::new(capture))
    }
}

/// A service that a [`ReportLayer`] is around.
#[derive(Clone, Debug)]
pub struct ReportService<S> {
    inner: S,
    collector: Collector,
}

/// The answer of a [`ReportService`], to come.
pub struct ReportFuture<F> {
    /// `None` after it panicked.
    inner: Option<Pin<Box<F>>>,
    scene: Arc<Scene>,
    collector: Collector,
}

impl<S, B, R> Service<Request<B>> for ReportService<S>
where
    S: Service<Request<B>, Response = Response<R>>,
    R: Default,
{
    type Response = Response<R>;
    type Error = S::Error;
    type Future = ReportFuture<S::Future>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), S::Error>> {
        self.inner.poll_ready(cx)
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let (mut parts, body) = request.into_parts();
        let scene = Arc::new(Scene::new(&mut parts, self.collector.id()));
        let request = Request::from_parts(parts, body);
        // A service may well work, and panic, before it returns its future.
        let called = catch_unwind(AssertUnwindSafe(|| scene.enter(|| self.inner.call(request))));
        let future = ReportFuture { inner: None, scene, collector: self.collector.clone() };
        match called {
            Ok(inner) => ReportFuture { inner: Some(Box::pin(inner)), ..future },
            Err(panic) => {
                future.report_panic(&*panic);
                future
            }
        }
    }
}

impl<F, R, E> Future for ReportFuture<F>
where
    F: Future<Output = Result<Response<R>, E>>,
    R: Default,
{
    type Output = Result<Response<R>, E>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        let this = &mut *self;
        let Some(inner) = &mut this.inner else { return Poll::Ready(Ok(failed())) };
        let polled =
            catch_unwind(AssertUnwindSafe(|| this.scene.enter(|| inner.as_mut().poll(cx))));
        match polled {
            Ok(Poll::Ready(Ok(response))) => {
                this.report(&response);
                Poll::Ready(Ok(response))
            }
            Ok(polled) => polled,
            Err(panic) => {
                this.inner = None;
                this.report_panic(&*panic);
                Poll::Ready(Ok(failed()))
            }
        }
    }
}

impl<F> ReportFuture<F> {
    fn report<R>(&self, response: &Response<R>) {
        let status = response.status();
        let answered = || format!("answered {} to {}", status.as_u16(), self.scene.route());
        if let Some(Reported(capture)) = response.extensions().get() {
            let mut capture = Capture::clone(capture);
            capture.outermost().stacktrace.push(answered());
            self.record(capture);
        } else if status.is_server_error() && !self.scene.is_reported() {
            let reason = status.canonical_reason().unwrap_or("a failure");
            let message = format_args!("{} {reason}", status.as_u16());
            let capture = Capture::message(message).class(format!("HTTP {}", status.as_u16()));
            self.record(capture.stacktrace([answered()]).grouped_by(self.scene.route()));
        }
    }

    fn report_panic(&self, panic: &(dyn std::any::Any + Send)) {
        // The hook, which also sees where it was, comes first.
        if self.scene.has_panicked() {
            return;
        }
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        let capture = hook::of(text.unwrap_or("a panic whose payload is no text"));
        self.record(capture.grouped_by(self.scene.route()));
    }

    fn record(&self, mut capture: Capture) {
        // The stack of this moment is that of the runtime.
        capture.has_trace = true;
        let has_request = capture.http.is_some();
        self.collector.record(if has_request { capture } else { capture.http(self.scene.http()) });
    }
}

impl<F> fmt::Debug for ReportFuture<F> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ReportFuture").field("route", &self.scene.route()).finish_non_exhaustive()
    }
}

fn failed<R: Default>() -> Response<R> {
    let mut response = Response::new(R::default());
    *response.status_mut() = StatusCode::INTERNAL_SERVER_ERROR;
    response
}

#[cfg(all(test, feature = "axum"))]
mod tests;
