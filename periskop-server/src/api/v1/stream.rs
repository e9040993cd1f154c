//! `GET /api/v1/events`: what happens to errors, as server-sent events.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use periskop_core::ServiceName;
use periskop_core::aggregate::Status;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::super::json::Json;
use super::super::view::time;
use super::params::Params;
use super::schema;
use crate::events::{EventId, Happened, Listener, Told, Woken};
use crate::handle::Handle;
use periskop_http::Problem;

/// A sign of life when nothing happens: oftener than anybody between here and there gives up, and than
/// the listener takes a client for one that does not read.
const HEARTBEAT: Duration = Duration::from_secs(10);

/// Between two events that only say that something changed.
const CHANGES: Duration = Duration::from_secs(1);

/// What happens to errors, as server-sent events.
///
/// Events are named `new`, `regressed`, `resolved`, `reopened`, `muted`, `unmuted` and `gone`, and have
/// ids; who comes back with the last one as `Last-Event-ID` (or `last_event_id`) is told what they
/// missed, or `reset` where that is not known any more. `changed` says that something changed of
/// some error, once a second at most. `service` narrows to some services.
#[utoipa::path(
    get, path = "/api/v1/events", operation_id = "events", tag = "events",
    params(schema::EventParams),
    responses(
        (status = 200, description = "Events, without end", content_type = "text/event-stream"),
        (status = 400, description = "What is wrong with the request", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "As many listen as may", body = schema::ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn events(
    State(handle): State<Handle>,
    headers: HeaderMap,
    uri: Uri,
) -> Result<Response, Problem> {
    let params = Params::parse(uri.query(), &["service", "last_event_id"])?;
    let services = params.texts("service").map(ServiceName::from).collect();
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok());
    let last = last.or(params.text("last_event_id")).filter(|id| !id.is_empty());
    let last = last.map(|id| {
        let problem = || Problem::bad_request("not the id of an event that was told here");
        EventId::parse(id).ok_or_else(problem)
    });
    let Ok(permit) = Arc::clone(handle.events().streams()).try_acquire_owned() else {
        let problem = "as many listen as may";
        return Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, problem));
    };
    let listener = handle.events().listen(last.transpose()?);
    let stream = Stream {
        handle,
        listener,
        services,
        next_change: Instant::now(),
        begun: false,
        _permit: permit,
    };
    let told = stream::unfold(stream, |mut stream| async move {
        let event = stream.next().await?;
        Some((Ok::<_, Infallible>(event), stream))
    });
    let mut response =
        Sse::new(told).keep_alive(KeepAlive::new().interval(HEARTBEAT)).into_response();
    // Proxies that collect answers before they pass them on (nginx) are asked not to.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    Ok(response)
}

/// One listener's connection.
struct Stream {
    handle: Handle,
    listener: Listener,
    /// Only of these, if there are any.
    services: Vec<ServiceName>,
    /// Not before this is told again that something changed.
    next_change: Instant,
    begun: bool,
    _permit: OwnedSemaphorePermit,
}

impl Stream {
    /// What is told next; `None` at the end.
    async fn next(&mut self) -> Option<Event> {
        if !self.begun {
            self.begun = true;
            // So that the connection is seen to stand before anything happens.
            return Some(Event::default().comment("listening").retry(Duration::from_secs(2)));
        }
        loop {
            while let Some(told) = self.listener.poll(self.handle.events()) {
                match told {
                    Told::Reset(id) => {
                        return Some(Event::default().event("reset").id(id.to_string()).data("{}"));
                    }
                    Told::Happened(id, happened) if self.wants(&happened) => {
                        return Some(event(id, &happened));
                    }
                    Told::Happened(..) => {}
                }
            }
            match self.listener.wait(self.next_change).await {
                Woken::Told => {}
                Woken::Changed => {
                    self.next_change = Instant::now() + CHANGES;
                    return Some(Event::default().event("changed").data("{}"));
                }
                Woken::Closed => return None,
            }
        }
    }

    fn wants(&self, happened: &Happened) -> bool {
        self.services.is_empty() || self.services.contains(&happened.error.service)
    }
}

fn event(id: EventId, happened: &Happened) -> Event {
    let mut json = Json::default();
    json.open(b'{')
        .member("service", happened.error.service.as_str())
        .member("aggregation_key", happened.error.key.as_str())
        .member("state", happened.to.map(Status::as_str))
        .member("from", happened.from.map(Status::as_str))
        .member("severity", happened.severity.map(|severity| severity.as_str()))
        .member("at", time(happened.at))
        .close(b'}');
    let data = String::from_utf8_lossy(&json.finish()).into_owned();
    Event::default().event(happened.what.as_str()).id(id.to_string()).data(data)
}
