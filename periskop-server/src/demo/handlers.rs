//! What the demo's services answer: mostly that something went wrong, with the error behind it.

use std::collections::HashMap;
use std::error::Error;
use std::io::{self, ErrorKind};

use axum::body::to_bytes;
use axum::extract::{Query, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post, put};
use axum::{Extension, Router};
use percent_encoding::percent_decode_str;
use periskop_client::{Capture, Collector, HttpContext, Reported, Severity};

use super::mishaps::dice;

/// Of all services: each is asked only for its own.
pub(super) fn routes() -> Router<Collector> {
    Router::new()
        .route("/items/{number}", get(item))
        .route("/checkout", post(checkout))
        .route("/basket", put(basket))
        .route("/v2/search", get(search))
        .route("/invoices/{month}", get(invoice))
}

/// An order that could not be placed.
#[derive(Debug, thiserror::Error)]
#[error("order {order} could not be placed")]
struct CheckoutError {
    order: u32,
    source: PaymentError,
}

/// A payment that was not made.
#[derive(Debug, thiserror::Error)]
#[error("the payment provider refused: {code}")]
struct PaymentError {
    code: &'static str,
    source: io::Error,
}

/// A search that was given up.
#[derive(Debug, thiserror::Error)]
#[error("shard {shard} did not answer")]
struct ShardError {
    shard: u32,
    source: io::Error,
}

/// An answer to which the middleware finds the error.
#[track_caller]
fn failed(status: StatusCode, error: &impl Error) -> Response {
    (status, Extension(Reported::new(error))).into_response()
}

async fn item(Query(parameters): Query<HashMap<String, String>>) -> Response {
    let price = parameters.get("price").map_or("", String::as_str);
    match price.parse::<u32>() {
        Ok(price) => price.to_string().into_response(),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}

/// Reports by itself, to tell of the body, which the middleware leaves to the handler.
async fn checkout(State(collector): State<Collector>, request: Request) -> StatusCode {
    let kind = [ErrorKind::ConnectionReset, ErrorKind::TimedOut][dice(2) as usize];
    let source = PaymentError {
        code: ["card_declined", "insufficient_funds"][dice(2) as usize],
        source: io::Error::new(kind, "while reading the provider's answer"),
    };
    let error = CheckoutError { order: 10_000 + dice(9_000), source };
    let (head, body) = request.into_parts();
    let body = to_bytes(body, 64 * 1024).await.unwrap_or_default();
    let headers = head.headers.iter().map(|(name, value)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    });
    collector.record(Capture::of(&error).http(HttpContext {
        method: Some(head.method.to_string()),
        url: Some(head.uri.to_string()),
        headers: headers.collect(),
        body: Some(String::from_utf8_lossy(&body).into_owned()),
    }));
    StatusCode::BAD_GATEWAY
}

async fn basket(body: String) -> Response {
    match serde_json::from_str::<serde_json::Value>(&body) {
        Ok(basket) => basket.to_string().into_response(),
        Err(error) => failed(StatusCode::BAD_REQUEST, &error),
    }
}

async fn search(request: Request) -> Response {
    let query = request.uri().query().unwrap_or_default();
    let words = query.strip_prefix("q=").unwrap_or_default().split('&').next().unwrap_or_default();
    let words: Vec<u8> = percent_decode_str(words).collect();
    if let Err(error) = String::from_utf8(words) {
        return failed(StatusCode::BAD_REQUEST, &error);
    }
    let source = io::Error::new(ErrorKind::TimedOut, "no answer within 250 ms");
    let capture = Capture::of(&ShardError { shard: dice(8), source }).severity(Severity::Warning);
    (StatusCode::GATEWAY_TIMEOUT, Extension(Reported::from(capture))).into_response()
}

async fn invoice() -> Response {
    match "1,234.50".parse::<f64>() {
        Ok(amount) => amount.to_string().into_response(),
        Err(error) => failed(StatusCode::INTERNAL_SERVER_ERROR, &error),
    }
}
