//! An axum service whose failures are counted with request, causes and spans, and exported.
//!
//! ```sh
//! cargo run -p periskop-client --features axum,tracing --example axum_service
//! curl http://127.0.0.1:8080/orders/twelve
//! curl http://127.0.0.1:8080/-/exceptions
//! ```
//!
//! With `--once` it asks itself, and ends. With `PERISKOP_TOKEN` in the environment, only scrapes
//! that send it as a bearer token are answered.

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::error::Error;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::Path;
use axum::http::{Request, StatusCode};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use periskop_client::{
    Collector, DEFAULT_PATH, Exporter, ReportLayer, Reported, install_panic_hook, trace,
};
use tower::ServiceExt;
use tracing_registry::layer::SubscriberExt; // as tracing_subscriber::layer::SubscriberExt

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let collector = Collector::new();
    // What is logged as an error or a warning, beside whatever layers there are.
    let logged = tracing_registry::registry().with(trace::ReportLayer::new(&collector));
    tracing::subscriber::set_global_default(logged)?;
    // Panics, with the place where they were.
    install_panic_hook(&collector);

    let mut exporter = Exporter::new(&collector);
    if let Ok(token) = std::env::var("PERISKOP_TOKEN") {
        exporter = exporter.bearer_token(token);
    }
    let app = Router::new()
        .route("/orders/{number}", get(order))
        .route("/stock", get(stock))
        .route("/panic", get(panic))
        // Answers of 5xx and panics, with method, URL and masked headers.
        .layer(ReportLayer::new(&collector))
        .merge(exporter.router(DEFAULT_PATH));

    if std::env::args().any(|arg| arg == "--once") {
        for path in ["/orders/twelve", "/stock", "/panic"] {
            println!("{path}: {}", ask(&app, path).await?.status());
        }
        let body = to_bytes(ask(&app, DEFAULT_PATH).await?.into_body(), usize::MAX).await?;
        println!("{}", String::from_utf8_lossy(&body));
        return Ok(());
    }
    let listener = tokio::net::TcpListener::bind("127.0.0.1:8080").await?;
    println!("errors are at http://{}{DEFAULT_PATH}", listener.local_addr()?);
    Ok(axum::serve(listener, app).await?)
}

/// A handler's own error goes along with its answer.
#[derive(Debug)]
struct NoSuchOrder(std::num::ParseIntError);

impl std::fmt::Display for NoSuchOrder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("the order cannot be looked up")
    }
}

impl Error for NoSuchOrder {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        Some(&self.0)
    }
}

impl IntoResponse for NoSuchOrder {
    fn into_response(self) -> Response {
        (StatusCode::INTERNAL_SERVER_ERROR, axum::Extension(Reported::new(&self))).into_response()
    }
}

async fn order(Path(number): Path<String>) -> Result<String, NoSuchOrder> {
    let number: u32 = number.parse().map_err(NoSuchOrder)?;
    Ok(format!("order {number} is on its way\n"))
}

async fn stock() -> &'static str {
    tracing::warn!(warehouse = "north", "the stock is an hour old");
    "some\n"
}

async fn panic() -> &'static str {
    panic!("the printer is on fire")
}

async fn ask(app: &Router, path: &str) -> Result<Response, Box<dyn Error>> {
    let token = std::env::var("PERISKOP_TOKEN").unwrap_or_default();
    let request = Request::get(path).header("authorization", format!("Bearer {token}"));
    Ok(app.clone().oneshot(request.body(Body::empty())?).await?)
}
