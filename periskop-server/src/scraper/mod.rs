//! Scrapes: one request, its answer read within limits, parsed as far as it is new.
//!
//! Every scrape is a task of its own, so that no target waits for another; what they share is the
//! [`Budget`] of bodies. Absent on purpose: schedules, state and retries. When to scrape is the
//! engine's business, and the next scrape is the retry.

mod body;
mod budget;
mod buffers;
mod failure;
#[cfg(test)]
mod tests;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};
use std::time::{Duration, Instant};

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use periskop_core::engine::ScrapeRequest;
use periskop_core::redact::{Redaction, Redactor};
use periskop_core::target::TargetId;
use periskop_core::wire::exporter::{self, Memo, Options};
use periskop_core::{Report, ServiceName, Timestamp};
use periskop_discovery::http_client::{HttpClient, HttpError};
use tokio::sync::Semaphore;
use tokio::time::timeout_at;
use url::Url;

use self::body::{Body, BodyError};
use self::budget::{Budget, NoRoom, Ticket};
use self::buffers::Buffers;
pub(crate) use self::failure::Failure;
use crate::config::{ScraperConfig, ServiceConfig};

/// How we introduce ourselves.
const USER_AGENT: &str = concat!("Periskop/", env!("CARGO_PKG_VERSION"));

/// What is asked for, best first: gzip, because every server has it.
const ACCEPT_ENCODING: HeaderValue = HeaderValue::from_static("gzip, zstd, deflate, br");
const IDENTITY: HeaderValue = HeaderValue::from_static("identity");
const CLOSE: HeaderValue = HeaderValue::from_static("close");
const ACCEPT: HeaderValue = HeaderValue::from_static("application/json");
/// Prometheus's header: an exporter that knows how long it has can answer less.
const TIMEOUT_HEADER: HeaderName = HeaderName::from_static("x-prometheus-scrape-timeout-seconds");

/// Bodies longer than this are parsed on a thread of their own, two at a time: below it parsing
/// takes less than a millisecond or two, above it a hostile body can take a good part of a second.
const LONG: usize = 1 << 20;
const LONG_PARSES: usize = 2;

/// After a body longer than this the connection is not kept for the next one, where that is as far
/// away as this at least; a scrape's timeout is no longer than its interval. The HTTP client keeps with
/// a connection the buffer that it has read into, half a megabyte for each of some thousand targets. A
/// new connection costs a third of reading 1.4 MB, which matters to those that are scraped often.
/// The first of a target is not kept either: nobody knows how much it will answer.
/// That of TLS costs more, and there the buffer is of records, so such connections stay.
const KEPT_ALIVE: usize = 128 << 10;
const SELDOM: Duration = Duration::from_secs(5);

/// Compressed frames that unpack at the same time: one may become the whole limit at once.
const UNPACKING: usize = 4;

/// Scrapes targets. Shared by the tasks of all scrapes.
pub(crate) struct Scraper {
    services: RwLock<HashMap<ServiceName, Arc<Service>>>,
    memos: Mutex<HashMap<TargetId, Slot>>,
    budget: Budget,
    unpacking: Semaphore,
    long_parses: Arc<Semaphore>,
    buffers: Buffers,
}

/// What the targets of one service have in common.
struct Service {
    config: ScraperConfig,
    http: Result<HttpClient, HttpError>,
    redaction: Redaction,
    options: Arc<Options>,
    share: Arc<Semaphore>,
}

/// What a target has told, and when that is to be forgotten.
struct Slot {
    epoch: u64,
    service: Arc<Service>,
    memo: Memo,
    /// How long its last body was.
    length: usize,
}

/// A scrape and how it went.
#[derive(Debug)]
pub(crate) struct Scrape {
    /// From the request to the last byte of the answer.
    pub(crate) duration: Duration,
    /// How long the decoded body is.
    pub(crate) body_length: usize,
    /// What it said.
    pub(crate) outcome: Result<Report, Failure>,
}

impl Scrape {
    /// A scrape that gave nothing.
    pub(crate) fn failed(failure: Failure) -> Self {
        Self { duration: Duration::ZERO, body_length: 0, outcome: Err(failure) }
    }
}

impl Scraper {
    /// A scraper that knows no service yet.
    pub(crate) fn new() -> Self {
        Self {
            services: RwLock::default(),
            memos: Mutex::default(),
            budget: Budget::new(),
            unpacking: Semaphore::new(UNPACKING),
            long_parses: Arc::new(Semaphore::new(LONG_PARSES)),
            buffers: Buffers::default(),
        }
    }

    /// Takes over a configuration. Services that did not change keep their connections and what
    /// is remembered of their targets.
    pub(crate) fn configure(&self, services: &[ServiceConfig], redaction: &Redaction) {
        let mut known = self.services.write().unwrap_or_else(PoisonError::into_inner);
        let redactor = Redactor::new(redaction);
        let next = services.iter().map(|service| {
            let limits = service.scraper.limits.clone();
            let options = Options { limits, redactor: redactor.clone() };
            let unchanged = known
                .get(&service.name)
                .filter(|known| known.config == service.scraper && known.redaction == *redaction);
            let service_state = match unchanged {
                Some(known) => Arc::clone(known),
                None => Arc::new(Service {
                    http: HttpClient::new(&service.scraper.http, USER_AGENT),
                    share: self.budget.share(service.scraper.limits.payload_length),
                    config: service.scraper.clone(),
                    redaction: redaction.clone(),
                    options: Arc::new(options),
                }),
            };
            (service.name.clone(), service_state)
        });
        let next = next.collect();
        *known = next;
    }

    /// Forgets what targets told that `is_active` says are gone.
    pub(crate) fn retain(&self, mut is_active: impl FnMut(&TargetId) -> bool) {
        let mut memos = self.memos.lock().unwrap_or_else(PoisonError::into_inner);
        memos.retain(|target, _| is_active(target));
    }

    /// Scrapes a target. `now` is asked when the answer is there: what it says is judged by the
    /// time at which it was said.
    pub(crate) async fn scrape(
        &self,
        request: &ScrapeRequest,
        now: impl Fn() -> Timestamp,
    ) -> Scrape {
        let service = {
            let services = self.services.read().unwrap_or_else(PoisonError::into_inner);
            services.get(&request.service).cloned()
        };
        let Some(service) = service else {
            let failure = "the service is no longer configured";
            return Scrape::failed(Failure::Request(failure.into()));
        };
        // No target is slow because we are: time counts from the request on.
        let ticket = self.budget.enter(&service.share).await;
        let begun = Instant::now();
        let answer = match self.exchange(&service, request, ticket).await {
            Ok(answer) => answer,
            Err(failure) => {
                return Scrape { duration: begun.elapsed(), ..Scrape::failed(failure) };
            }
        };
        let duration = begun.elapsed();
        let body_length = answer.body.len();
        let outcome = self.parse(&service, request, answer, now()).await;
        Scrape { duration, body_length, outcome }
    }

    /// From the request to the whole body, in time.
    async fn exchange(
        &self,
        service: &Service,
        request: &ScrapeRequest,
        ticket: Ticket,
    ) -> Result<Answer, Failure> {
        let timeout = request.timeout;
        let exchange = tokio::time::timeout(timeout, self.request(service, request, ticket));
        exchange.await.unwrap_or(Err(Failure::Timeout(timeout)))
    }

    async fn request(
        &self,
        service: &Service,
        request: &ScrapeRequest,
        mut ticket: Ticket,
    ) -> Result<Answer, Failure> {
        let timeout = request.timeout;
        let http_failure = |error: HttpError| Failure::http(&error, timeout);
        let http = service.http.as_ref().map_err(|e| http_failure(e.clone()))?;
        let url = request.url.parse::<Url>();
        let url = url.map_err(|e| Failure::Request(format!("invalid URL: {e}")))?;
        let encodings = if service.config.compression { ACCEPT_ENCODING } else { IDENTITY };
        let is_plain = url.scheme() == "http";
        let seconds = HeaderValue::try_from(timeout.as_secs_f64().to_string());
        let mut sent = http
            .get(url)
            .header(header::ACCEPT, ACCEPT)
            .header(header::ACCEPT_ENCODING, encodings)
            .timeout(timeout);
        if let Ok(seconds) = seconds {
            sent = sent.header(TIMEOUT_HEADER, seconds);
        }
        if is_plain && timeout >= SELDOM && self.may_be_large(request) {
            sent = sent.header(header::CONNECTION, CLOSE);
        }
        let answered = in_time(&mut ticket, 0, sent.send()).await?;
        let mut response = answered.map_err(http_failure)?;
        if response.status() != StatusCode::OK {
            return Err(Failure::Status(response.status()));
        }
        let encoding = response.headers().get(header::CONTENT_ENCODING);
        let encoding = encoding.map(|name| String::from_utf8_lossy(name.as_bytes()).into_owned());
        let limit = service.config.limits.payload_length;
        if response.content_length().is_some_and(|length| length > limit as u64) {
            // Nothing of it is read: it would be given up anyway.
            return Err(BodyError::TooLarge { limit, decoded: false }.into());
        }
        ticket.enter().await;
        let mut body = Body::new(encoding.as_deref(), limit, self.buffers.take())?;
        loop {
            let next = in_time(&mut ticket, body.len(), response.chunk()).await?;
            let Some(frame) = next.map_err(|e| http_failure(e.into()))? else { break };
            ticket.came(frame.len());
            let unpacking = match body.is_compressed() {
                true => self.unpacking.acquire().await.ok(),
                false => None,
            };
            body.push(&frame)?;
            ticket.hold(body.len()).await.map_err(|NoRoom| Failure::NoRoom)?;
            drop(unpacking);
        }
        Ok(Answer { body: body.finish()?, _ticket: ticket })
    }

    /// Reads what this target has not told before.
    async fn parse(
        &self,
        service: &Arc<Service>,
        request: &ScrapeRequest,
        answer: Answer,
        at: Timestamp,
    ) -> Result<Report, Failure> {
        let is_long = answer.body.len() > LONG;
        let mut memo = self.take_memo(service, request);
        let options = Arc::clone(&service.options);
        let parse = move || {
            let parsed = exporter::parse_changed(&answer.body, at, &options, &mut memo);
            let parsed = parsed.map_err(|error| {
                let (line, column) = exporter::line_and_column(&answer.body, error.offset());
                Failure::Payload { error, line, column }
            });
            (parsed, memo, answer)
        };
        let (parsed, memo, answer) = if is_long {
            let _turn = self.long_parses.acquire().await.ok();
            tokio::task::spawn_blocking(parse).await.map_err(|_| Failure::Internal)?
        } else {
            parse()
        };
        let length = answer.body.len();
        self.buffers.give_back(answer.body);
        self.keep_memo(service, request, memo, length);
        parsed
    }

    /// Whether the last body of a target was too long for its connection to be kept; of one that was
    /// never scraped nobody knows.
    fn may_be_large(&self, request: &ScrapeRequest) -> bool {
        let memos = self.memos.lock().unwrap_or_else(PoisonError::into_inner);
        memos.get(&request.target).is_none_or(|slot| slot.length > KEPT_ALIVE)
    }

    fn take_memo(&self, service: &Arc<Service>, request: &ScrapeRequest) -> Memo {
        let mut memos = self.memos.lock().unwrap_or_else(PoisonError::into_inner);
        let known = memos
            .remove(&request.target)
            .filter(|slot| slot.epoch == request.memo_epoch && Arc::ptr_eq(&slot.service, service));
        known.map_or_else(|| Memo::new(rand::random()), |slot| slot.memo)
    }

    fn keep_memo(
        &self,
        service: &Arc<Service>,
        request: &ScrapeRequest,
        memo: Memo,
        length: usize,
    ) {
        let slot = Slot { epoch: request.memo_epoch, service: Arc::clone(service), memo, length };
        let mut memos = self.memos.lock().unwrap_or_else(PoisonError::into_inner);
        memos.insert(request.target, slot);
    }
}

/// Waits for what comes next: in the lane if that is soon, else outside, with so many bytes of the
/// body.
async fn in_time<T>(
    ticket: &mut Ticket,
    held: usize,
    next: impl Future<Output = T>,
) -> Result<T, Failure> {
    let mut next = std::pin::pin!(next);
    if let Some(at) = ticket.leave_at() {
        if let Ok(next) = timeout_at(at, next.as_mut()).await {
            return Ok(next);
        }
        ticket.leave(held).await.map_err(|NoRoom| Failure::NoRoom)?;
    }
    Ok(next.await)
}

/// A whole body, and the right to hold it.
struct Answer {
    body: Vec<u8>,
    _ticket: Ticket,
}
