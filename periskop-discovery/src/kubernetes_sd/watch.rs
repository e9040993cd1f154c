//! One kind of object in one namespace: listed once, then watched, for ever.
//!
//! Whatever goes wrong is told once, waited after and begun again, and nothing that is known is
//! forgotten for it: only a whole new list removes what it does not have. Everything that comes
//! is bounded: pages, lines, and how long nothing may come.

use std::collections::hash_map::RandomState;
use std::hash::BuildHasher as _;
use std::marker::PhantomData;
use std::time::Duration;

use futures_util::stream::{self, BoxStream, StreamExt as _};
use http::header::ACCEPT;
use http::{Request, Response, StatusCode};
use http_body_util::BodyExt as _;
use kube::Client;
use kube::client::Body;
use periskop_core::discovery::DiscoveryError;
use serde::Deserialize;
use serde_json::value::RawValue;
use tokio::time::{Instant, sleep, timeout, timeout_at};
use url::form_urlencoded;

use super::client::{Server, reason};
use super::lines::{Lines, NextLine};
use super::objects::Resource;
use super::store::{Change, Key};
use crate::api::PAGES_LIMIT;
use crate::go_json;

/// How many objects are asked for at once, as other clients do. A page that is longer than
/// [`PAGE_LIMIT`] is asked for in smaller ones.
const PAGE: usize = 500;
const SMALLEST_PAGE: usize = 20;
const PAGE_LIMIT: usize = 128 << 20;
/// An object has 1.5 MiB at most, the limit of etcd; as JSON it may take more.
const LINE_LIMIT: usize = 16 << 20;
const STATUS_LIMIT: usize = 64 << 10;
/// How long the beginning of an answer may take, and how long a page may pause.
const PATIENCE: Duration = Duration::from_secs(60);
/// How long a whole page may take.
const PAGE_PATIENCE: Duration = Duration::from_secs(300);
/// How long the server is asked to let us watch: long enough to be cheap, and short enough to
/// find out that nobody is there any more.
const WATCH: Duration = Duration::from_secs(290);
const GRACE: Duration = Duration::from_secs(20);
/// A watch that ends sooner, with nothing said, is a failure. As in client-go.
const SHORT: Duration = Duration::from_secs(1);
/// What was wrong before is over when a watch has lasted so long.
const STABLE: Duration = Duration::from_secs(10);
/// client-go's: less than a second at first, half a minute at most.
const FIRST_PAUSE: Duration = Duration::from_millis(800);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// How much of a server's words is told.
const EXCERPT: usize = 240;

/// What to look at.
#[derive(Clone, Debug, Default)]
pub(super) struct Scope {
    /// `None`: all of them, or what has none.
    pub(super) namespace: Option<String>,
    pub(super) label: String,
    pub(super) field: String,
}

/// What the watch of this number tells, for ever. Nothing happens unless it is polled.
pub(super) fn watch<T: Resource>(
    server: &Server,
    number: usize,
    scope: &Scope,
) -> BoxStream<'static, Result<Change<T>, DiscoveryError>> {
    let path = match &scope.namespace {
        None => format!("/{}/{}", T::API, T::PLURAL),
        Some(namespace) => format!("/{}/namespaces/{namespace}/{}", T::API, T::PLURAL),
    };
    let asking = Asking {
        client: server.client(number),
        endpoint: format!("{}{path}", server.shown),
        path,
        label: scope.label.clone(),
        field: scope.field.clone(),
        kind: PhantomData,
    };
    let watcher =
        Watcher::<T> { asking, page: PAGE, state: State::Unknown, failures: 0, failing: false };
    let next = |mut watcher: Watcher<T>| async {
        let told = watcher.next().await;
        Some((told, watcher))
    };
    stream::unfold(watcher, next).boxed()
}

struct Watcher<T> {
    asking: Asking<T>,
    /// How many objects are asked for at once.
    page: usize,
    state: State,
    /// How often it went wrong in a row.
    failures: u32,
    /// Whether the last that was told is an error.
    failing: bool,
}

enum State {
    /// Nothing is known, or what is known is too old to go on from.
    Unknown,
    /// Everything is known up to this version.
    Known(String),
    Watching(Watching),
}

struct Watching {
    version: String,
    lines: Lines,
    began: Instant,
    heard: bool,
}

/// Why there is no answer that is of use.
enum Failure {
    /// What is asked for is too old: begin anew.
    Expired,
    TooLong,
    Told(DiscoveryError),
}

#[derive(Deserialize)]
#[serde(bound = "T: Deserialize<'de>")]
struct List<T> {
    #[serde(default)]
    metadata: ListMeta,
    #[serde(default)]
    items: Vec<T>,
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct ListMeta {
    resource_version: String,
    r#continue: String,
}

/// One line of a watch.
#[derive(Deserialize)]
struct Event<'l> {
    #[serde(rename = "type")]
    kind: String,
    #[serde(borrow)]
    object: &'l RawValue,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Versioned {
    metadata: ListMeta,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Status {
    code: i64,
    reason: String,
    message: String,
}

/// What a line of a watch says.
enum Heard<T> {
    Change(Change<T>, String),
    Bookmark(String),
    Expired,
}

impl<T: Resource> Watcher<T> {
    async fn next(&mut self) -> Result<Change<T>, DiscoveryError> {
        loop {
            match &mut self.state {
                State::Unknown => {
                    pause(self.failures).await;
                    match self.list().await {
                        Ok((objects, version)) => {
                            self.state = State::Known(version);
                            self.failing = false;
                            return Ok(Change::All(objects));
                        }
                        Err(error) => return Err(self.failed(error)),
                    }
                }
                State::Known(version) => {
                    let version = version.clone();
                    pause(self.failures).await;
                    match self.asking.begin(&version).await {
                        Ok(lines) => {
                            let (began, heard) = (Instant::now(), false);
                            let watching = Watching { version, lines, began, heard };
                            self.state = State::Watching(watching);
                        }
                        Err(Failure::Expired | Failure::TooLong) => self.begin_anew(),
                        Err(Failure::Told(error)) => return Err(self.failed(error)),
                    }
                }
                State::Watching(watching) => {
                    let deadline = watching.began + WATCH + GRACE;
                    let line = timeout_at(deadline, watching.lines.next()).await;
                    if let Some(told) = self.heard(line.unwrap_or(NextLine::End)) {
                        return told;
                    }
                }
            }
        }
    }

    fn failed(&mut self, error: DiscoveryError) -> DiscoveryError {
        self.failing = true;
        self.failures = self.failures.saturating_add(1);
        error
    }

    /// What is known is too old. That happens to the best, and is told to nobody.
    fn begin_anew(&mut self) {
        self.failures = self.failures.saturating_add(1);
        self.state = State::Unknown;
    }

    /// Takes in what a watch says next; `None` where that is nothing to be told.
    fn heard(&mut self, line: NextLine) -> Option<Result<Change<T>, DiscoveryError>> {
        let State::Watching(watching) = &mut self.state else { return None };
        if watching.began.elapsed() >= STABLE {
            self.failures = 0;
        }
        let invalid = |reason: String| self.asking.invalid(format!("while watching: {reason}"));
        let why = match line {
            NextLine::Line(line) if line.iter().all(u8::is_ascii_whitespace) => return None,
            NextLine::Line(line) => match read_event::<T>(&line) {
                Ok(Heard::Change(change, version)) => {
                    watching.heard = true;
                    watching.version = version;
                    self.failing = false;
                    return Some(Ok(change));
                }
                Ok(Heard::Bookmark(version)) => {
                    watching.heard = true;
                    watching.version = version;
                    return std::mem::take(&mut self.failing).then_some(Ok(Change::Nothing));
                }
                Ok(Heard::Expired) => {
                    self.begin_anew();
                    return None;
                }
                // What was meant is not known, so everything has to be asked for.
                Err(reason) => {
                    let error = invalid(reason);
                    self.state = State::Unknown;
                    return Some(Err(self.failed(error)));
                }
            },
            NextLine::TooLong => {
                let error = invalid(format!("an event is longer than {LINE_LIMIT} bytes"));
                self.state = State::Unknown;
                return Some(Err(self.failed(error)));
            }
            NextLine::End => "it ended at once".to_owned(),
            NextLine::Cut(reason) => reason,
        };
        // Watches end, and connections break off; one goes on where one was.
        let short = watching.began.elapsed() < SHORT;
        let told = short && !watching.heard;
        if short && !told {
            // Nothing to be told, but nothing to hurry for.
            self.failures = self.failures.max(1);
        }
        let version = std::mem::take(&mut watching.version);
        self.state = State::Known(version);
        told.then(|| {
            let error = self.asking.unreachable(format!("while watching: {why}"));
            Err(self.failed(error))
        })
    }

    /// All objects, and the version that they are of.
    async fn list(&mut self) -> Result<(Vec<T>, String), DiscoveryError> {
        let asking = &self.asking;
        loop {
            match asking.list(self.page).await {
                Ok(all) => return Ok(all),
                Err(Failure::TooLong) if self.page > SMALLEST_PAGE => {
                    self.page = (self.page / 5).max(SMALLEST_PAGE);
                }
                Err(Failure::TooLong) => {
                    return Err(asking.invalid(format!("longer than {PAGE_LIMIT} bytes")));
                }
                Err(Failure::Expired) => {
                    return Err(asking.invalid("the list expired before its end".to_owned()));
                }
                Err(Failure::Told(error)) => return Err(error),
            }
        }
    }
}

/// After a failure, before the next try: longer each time, and not together with others.
async fn pause(failures: u32) {
    let Some(doublings) = failures.checked_sub(1) else { return };
    let pause = FIRST_PAUSE.saturating_mul(1 << doublings.min(10)).min(LONGEST_PAUSE);
    let chance = RandomState::new().hash_one(failures) % 1000;
    let chance = u32::try_from(chance).unwrap_or_default();
    sleep(pause + pause * chance / 1000).await;
}

/// How objects of one kind are asked for.
struct Asking<T> {
    client: Client,
    path: String,
    /// As errors name it.
    endpoint: String,
    label: String,
    field: String,
    kind: PhantomData<fn() -> T>,
}

impl<T: Resource> Asking<T> {
    /// All objects, page by page, and the version that they are of.
    async fn list(&self, page: usize) -> Result<(Vec<T>, String), Failure> {
        let page = page.to_string();
        let (mut objects, mut token) = (Vec::new(), String::new());
        for _ in 0..PAGES_LIMIT {
            let mut query = vec![("limit", page.as_str())];
            if !token.is_empty() {
                query.push(("continue", token.as_str()));
            }
            let response = self.get(&query, "PartialObjectMetadataList").await?;
            let body = self.collect(response.into_body()).await?;
            let list: List<T> = go_json::from_slice(&body)
                .map_err(|error| Failure::Told(self.invalid(error.to_string())))?;
            // Without one it is no list, though it may look like an empty one.
            let ListMeta { resource_version: version, r#continue: next } = list.metadata;
            if version.is_empty() {
                let reason = "a list without a resourceVersion".to_owned();
                return Err(Failure::Told(self.invalid(reason)));
            }
            objects.extend(list.items);
            if next.is_empty() {
                return Ok((objects, version));
            }
            if next == token {
                let reason = "a page of a list says that it is the next one".to_owned();
                return Err(Failure::Told(self.invalid(reason)));
            }
            token = next;
        }
        Err(Failure::Told(self.invalid(format!("more than {PAGES_LIMIT} pages"))))
    }

    async fn begin(&self, version: &str) -> Result<Lines, Failure> {
        let seconds = WATCH.as_secs().to_string();
        let query = [
            ("watch", "true"),
            ("allowWatchBookmarks", "true"),
            ("timeoutSeconds", seconds.as_str()),
            ("resourceVersion", version),
        ];
        let response = self.get(&query, "PartialObjectMetadata").await?;
        Ok(Lines::new(response.into_body(), LINE_LIMIT))
    }

    /// Asks, and waits for the head of an answer that is of use.
    async fn get(&self, query: &[(&str, &str)], partial: &str) -> Result<Response<Body>, Failure> {
        let accept = match T::METADATA_ONLY {
            // A server that cannot sends the whole.
            true => format!("application/json;as={partial};g=meta.k8s.io;v=v1,application/json"),
            false => "application/json".to_owned(),
        };
        let request = Request::get(format!("{}?{}", self.path, self.query(query)))
            .header(ACCEPT, accept)
            .body(Body::empty())
            .map_err(|error| Failure::Told(self.unreachable(error.to_string())))?;
        let response = match timeout(PATIENCE, self.client.send(request)).await {
            Err(_) => return Err(Failure::Told(self.unreachable("timed out".into()))),
            Ok(Err(error)) => return Err(Failure::Told(self.unreachable(reason(error)))),
            Ok(Ok(response)) => response,
        };
        match response.status() {
            StatusCode::OK => Ok(response),
            StatusCode::GONE => Err(Failure::Expired),
            status => Err(Failure::Told(self.bad_status(status, response.into_body()).await)),
        }
    }

    fn query(&self, query: &[(&str, &str)]) -> String {
        let mut pairs = form_urlencoded::Serializer::new(String::new());
        pairs.extend_pairs(query);
        for (name, selector) in [("labelSelector", &self.label), ("fieldSelector", &self.field)] {
            if !selector.is_empty() {
                pairs.append_pair(name, selector);
            }
        }
        pairs.finish()
    }

    async fn bad_status(&self, status: StatusCode, body: Body) -> DiscoveryError {
        let said = timeout(PATIENCE, collect(body, STATUS_LIMIT)).await;
        let said = said.ok().and_then(Result::ok).unwrap_or_default();
        let message = match go_json::from_slice::<Status>(&said) {
            Ok(status) => status.message,
            Err(_) => String::new(),
        };
        let told = excerpt(&message);
        let separator = if told.is_empty() { "" } else { ": " };
        self.invalid(format!("server returned HTTP status {status}{separator}{told}"))
    }

    async fn collect(&self, body: Body) -> Result<Vec<u8>, Failure> {
        match timeout(PAGE_PATIENCE, collect(body, PAGE_LIMIT)).await {
            Ok(Ok(whole)) => Ok(whole),
            Ok(Err(Some(reason))) => Err(Failure::Told(self.unreachable(reason))),
            Ok(Err(None)) => Err(Failure::TooLong),
            Err(_) => Err(Failure::Told(self.unreachable("timed out".to_owned()))),
        }
    }

    fn unreachable(&self, reason: String) -> DiscoveryError {
        DiscoveryError::Unreachable { endpoint: self.endpoint.clone(), reason }
    }

    fn invalid(&self, reason: String) -> DiscoveryError {
        DiscoveryError::Invalid { endpoint: self.endpoint.clone(), reason }
    }
}

/// The whole of a body; the error is why there is none, or `None` where it is too long.
async fn collect(mut body: Body, limit: usize) -> Result<Vec<u8>, Option<String>> {
    let mut whole = Vec::new();
    loop {
        match timeout(PATIENCE, body.frame()).await {
            Err(_) => return Err(Some("timed out".to_owned())),
            Ok(None) => return Ok(whole),
            Ok(Some(Err(error))) => return Err(Some(reason(error))),
            Ok(Some(Ok(frame))) => {
                let Ok(bytes) = frame.into_data() else { continue };
                if whole.len() + bytes.len() > limit {
                    return Err(None);
                }
                whole.extend_from_slice(&bytes);
            }
        }
    }
}

fn read_event<T: Resource>(line: &[u8]) -> Result<Heard<T>, String> {
    let event: Event<'_> = serde_json::from_slice(line).map_err(|error| error.to_string())?;
    let object = event.object.get().as_bytes();
    let unfit = |error: serde_json::Error| error.to_string();
    let version = || -> Result<String, String> {
        let versioned: Versioned = go_json::from_slice(object).map_err(unfit)?;
        match versioned.metadata.resource_version {
            version if version.is_empty() => Err("an event without a resourceVersion".to_owned()),
            version => Ok(version),
        }
    };
    let read = || go_json::from_slice::<T>(object).map_err(unfit);
    match event.kind.as_str() {
        "ADDED" | "MODIFIED" => Ok(Heard::Change(Change::Is(read()?), version()?)),
        "DELETED" => Ok(Heard::Change(Change::Gone(Key::of(&read()?)), version()?)),
        "BOOKMARK" => Ok(Heard::Bookmark(version()?)),
        "ERROR" => {
            let status: Status = go_json::from_slice(object).map_err(unfit)?;
            if status.code == 410 || matches!(status.reason.as_str(), "Gone" | "Expired") {
                return Ok(Heard::Expired);
            }
            let message = excerpt(&status.message);
            Err(format!("the server says {} {}: {message}", status.code, excerpt(&status.reason)))
        }
        other => Err(format!("unknown event {:?}", excerpt(other))),
    }
}

/// The beginning of a text in one line.
fn excerpt(text: &str) -> String {
    let words: Vec<_> = text.split(|c: char| c.is_whitespace() || c.is_control()).collect();
    words.join(" ").trim().chars().take(EXCERPT).collect()
}
