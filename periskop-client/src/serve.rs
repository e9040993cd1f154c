//! The export over HTTP, for programs that have an axum application anyway.

use axum::Router;
use axum::http::header::{CACHE_CONTROL, CONTENT_TYPE};
use axum::routing::get;

use crate::Collector;

impl Collector {
    /// A router that answers `GET path` with the export, to be merged into an application.
    ///
    /// ```
    /// use periskop_client::{Collector, DEFAULT_PATH};
    ///
    /// let collector = Collector::new();
    /// let app: axum::Router = axum::Router::new().merge(collector.router(DEFAULT_PATH));
    /// ```
    ///
    /// # Panics
    ///
    /// As [`Router::route`] does, if `path` is no path: when the application is put together, not
    /// when it runs.
    pub fn router<S: Clone + Send + Sync + 'static>(&self, path: &str) -> Router<S> {
        let collector = self.clone();
        let answer = async move || {
            let headers = [(CONTENT_TYPE, "application/json"), (CACHE_CONTROL, "no-store")];
            (headers, collector.export())
        };
        Router::new().route(path, get(answer))
    }
}

#[cfg(test)]
mod tests {
    use axum::body::{self, Body};
    use axum::http::{Request, StatusCode};
    use tower::ServiceExt;

    use super::*;
    use crate::Capture;

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
}
