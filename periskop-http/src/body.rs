//! Bodies of requests: how large they may be, and how long they may take.

use std::time::Duration;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::request::Parts;
use axum::http::{StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt as _;

use crate::problem::Problem;

/// What is read of a body that is refused, so that its sender gets to read why, and for how long.
const DRAINED: usize = 1 << 20;
const DRAIN_FOR: Duration = Duration::from_secs(2);

/// A limit for bodies that are read as a whole before a route sees them.
#[derive(Clone, Copy, Debug)]
pub struct BodyLimit {
    /// Bytes; more is answered with 413.
    pub bytes: usize,
    /// From the headers to the last byte; longer is answered with 408.
    pub patience: Duration,
}

impl BodyLimit {
    /// Stands before all routes of an application.
    pub fn around(self, router: Router) -> Router {
        router.layer(from_fn_with_state(self, limit))
    }

    async fn collect(self, parts: &Parts, mut body: Body) -> Result<Bytes, Problem> {
        let too_large = || {
            let problem = format!("the body is longer than {} bytes", self.bytes);
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, problem)
        };
        let announced = parts.headers.get(header::CONTENT_LENGTH);
        let announced = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
        let read = async {
            if announced.is_some_and(|length| length > self.bytes as u64) {
                return Err(too_large());
            }
            // It grows with what arrives: what is announced may never come.
            let mut whole = Vec::new();
            while let Some(frame) = body.frame().await {
                let frame = frame.map_err(|_| Problem::bad_request("the body is incomplete"))?;
                let Ok(data) = frame.into_data() else { continue };
                if whole.len() + data.len() > self.bytes {
                    return Err(too_large());
                }
                whole.extend_from_slice(&data);
            }
            Ok(Bytes::from(whole))
        };
        let Ok(read) = tokio::time::timeout(self.patience, read).await else {
            let problem = format!("the body took longer than {} s", self.patience.as_secs());
            return Err(Problem::new(StatusCode::REQUEST_TIMEOUT, problem));
        };
        if read.is_err() {
            drain(parts, body).await;
        }
        read
    }
}

async fn limit(State(limit): State<BodyLimit>, request: Request, next: Next) -> Response {
    let (parts, body) = request.into_parts();
    match limit.collect(&parts, body).await {
        Ok(body) => next.run(Request::from_parts(parts, body.into())).await,
        Err(problem) => problem.into_response(),
    }
}

/// Reads a little of a body that is refused: who is still writing does not read the answer, and
/// would only see the connection end. Not of those who wait to be told to go on.
pub(crate) async fn drain(parts: &Parts, mut body: Body) {
    if parts.headers.contains_key(header::EXPECT) {
        return;
    }
    let rest = async {
        let mut left = DRAINED;
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            if length > left {
                return;
            }
            left -= length;
        }
    };
    // However it ends, the answer is the same.
    let _ = tokio::time::timeout(DRAIN_FOR, rest).await;
}
