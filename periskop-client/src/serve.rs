//! The export over HTTP: a tower service, and a route of an axum application.

use std::convert::Infallible;
use std::future::{Ready, ready};
use std::task::{Context, Poll};

use bytes::Bytes;
use http::header::{AUTHORIZATION, CACHE_CONTROL, CONTENT_TYPE, WWW_AUTHENTICATE};
use http::{HeaderValue, Request, Response, StatusCode};
use http_body_util::Full;
use tower_service::Service;

use crate::export::{Answer, Exporter};

/// Answers every request, whatever its method and path, with the export: to be put below a route.
impl<B> Service<Request<B>> for Exporter {
    type Response = Response<Full<Bytes>>;
    type Error = Infallible;
    type Future = Ready<Result<Self::Response, Infallible>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let authorization = request.headers().get(AUTHORIZATION).map(HeaderValue::as_bytes);
        ready(Ok(response(self.answer(authorization))))
    }
}

fn response(answer: Answer) -> Response<Full<Bytes>> {
    let Answer { status, content_type, www_authenticate, body } = answer;
    let mut response = Response::new(Full::from(body));
    *response.status_mut() =
        StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    headers.insert(CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    if let Some(scheme) = www_authenticate {
        headers.insert(WWW_AUTHENTICATE, HeaderValue::from_static(scheme));
    }
    response
}

#[cfg(feature = "axum")]
impl Exporter {
    /// A router that answers `GET path` with the export, to be merged into an application.
    ///
    /// # Panics
    ///
    /// As [`Router::route`](axum::Router::route) does, if `path` is no path: when the application
    /// is put together, not when it runs.
    pub fn router<S: Clone + Send + Sync + 'static>(self, path: &str) -> axum::Router<S> {
        axum::Router::new().route(path, axum::routing::get_service(self))
    }
}

#[cfg(feature = "axum")]
impl crate::Collector {
    /// A router that answers `GET path` with the export, to be merged into an application.
    ///
    /// ```
    /// use periskop_client::{Collector, DEFAULT_PATH};
    ///
    /// let collector = Collector::new();
    /// let app: axum::Router = axum::Router::new().merge(collector.router(DEFAULT_PATH));
    /// ```
    ///
    /// [`Exporter::router`] is the same for those who know a token.
    ///
    /// # Panics
    ///
    /// As [`Router::route`](axum::Router::route) does, if `path` is no path: when the application
    /// is put together, not when it runs.
    pub fn router<S: Clone + Send + Sync + 'static>(&self, path: &str) -> axum::Router<S> {
        Exporter::new(self).router(path)
    }
}

#[cfg(all(test, feature = "axum"))]
mod tests {
    use axum::Router;
    use axum::body::{self, Body};
    use tower::ServiceExt;

    use super::*;
    use crate::{Capture, Collector};

    #[tokio::test]
    async fn a_scrape_of_the_path_gets_the_export() {
        let collector = Collector::new();
        let app: Router = collector.router("/-/exceptions");
        collector.record(Capture::message("after the router was made"));
        let request = Request::get("/-/exceptions").body(Body::empty()).unwrap();
        let answer = app.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::OK);
        assert_eq!(answer.headers()[CONTENT_TYPE], "application/json");
        let body = body::to_bytes(answer.into_body(), 1 << 20).await.unwrap();
        assert_eq!(body, collector.export());
    }

    #[tokio::test]
    async fn nothing_but_reading_is_allowed() {
        let app: Router = Collector::new().router("/-/exceptions");
        let request = Request::post("/-/exceptions").body(Body::empty()).unwrap();
        let answer = app.oneshot(request).await.unwrap();
        assert_eq!(answer.status(), StatusCode::METHOD_NOT_ALLOWED);
    }

    #[tokio::test]
    async fn who_does_not_know_the_token_is_told_that_there_is_one() {
        let exporter = Exporter::new(&Collector::new()).bearer_token("s3cr3t");
        let app: Router = exporter.router("/-/exceptions");
        let ask = async |authorization: &str| {
            let request = Request::get("/-/exceptions").header(AUTHORIZATION, authorization);
            app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
        };
        assert_eq!(ask("Bearer s3cr3t").await.status(), StatusCode::OK);
        let refused = ask("Bearer other").await;
        assert_eq!(refused.status(), StatusCode::UNAUTHORIZED);
        assert_eq!(refused.headers()[WWW_AUTHENTICATE], "Bearer");
    }
}
