//! Addresses and answers.
//!
//! Two paths are shared with programs: `/errors` is also the server's own exceptions in the
//! exporter format, `/targets` also the reference's list. Whoever asks for HTML, or is htmx, gets
//! the page; everybody else what they always got.

mod act;
mod bulk;

use std::sync::Arc;

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Extension, Path, RawQuery, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::middleware::{Next, from_fn_with_state};
use axum::response::{IntoResponse, Redirect, Response};
use axum::routing::{get, post};
use periskop_core::AggregateId;
use periskop_core::aggregate::Act;
use periskop_core::query::Query;
use periskop_http::{Principal, Problem};
use url::form_urlencoded;

use self::act::Deed;
use self::bulk::{Bulk, Whom};
use super::asked::Asked;
use super::backend::{Backend, Refused};
use super::build::{self, Knowledge};
use super::filter::ErrorFilter;
use super::page::Site;
use super::target_filter::TargetFilter;
use super::text::Text;
use super::view::{DoneToSome, ProblemPage};
use super::{assets, link};

/// What a page may load and do: files of ours, and nothing that is written into it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; \
     connect-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// Below these, a browser gets the same answers as a program, `404` included.
const FOR_PROGRAMS: [&str; 6] = ["/api/", "/services", "//", "/-/", "/metrics", "/assets/"];

type Server = Arc<dyn Backend>;

/// Adds the pages to the routes of the API, below the base path that is stripped already.
///
/// `api` may have routes of its own for `/errors` and `/targets`: they answer programs.
pub fn mount(backend: impl Backend, api: Router) -> Router {
    let server: Server = Arc::new(backend);
    let pages = Router::new()
        .route("/", get(overview))
        .route("/errors", post(act_on_some))
        .route("/errors/{service}", get(errors_of))
        .route("/errors/{service}/{key}", get(error).post(act))
        .route("/error", get(error_by_query).post(act_by_query))
        .route("/status", get(status))
        .route("/help", get(help))
        .route("/assets/{name}", get(asset))
        .with_state(Arc::clone(&server));
    api.merge(pages).layer(from_fn_with_state(server, for_browsers))
}

/// Answers a browser with pages where programs get something else, or nothing.
async fn for_browsers(State(server): State<Server>, request: Request, next: Next) -> Response {
    let browser = is_browser(request.method(), request.headers());
    let path = request.uri().path();
    let shared = matches!(path.strip_suffix('/').unwrap_or(path), "/errors" | "/targets");
    let is_for_people = !FOR_PROGRAMS.iter().any(|start| path.starts_with(start));
    if !browser || !shared {
        let mut response = next.run(request).await;
        if shared {
            vary(&mut response);
        } else if browser && is_for_people && is_not_found(&response) {
            return not_found(&server, "There is nothing at this address.");
        }
        return response;
    }
    let query = request.uri().query().unwrap_or_default().to_owned();
    let mut response = if path.starts_with("/errors") {
        errors(&server, &query).await
    } else {
        let page = server.targets(TargetFilter::parse(&query));
        html(StatusCode::OK, site(&server).targets(&page))
    };
    vary(&mut response);
    response
}

/// A page that says why a request was refused before it reached a route; `None` for programs. It
/// tells nothing of the server: who reads it may be anybody.
pub fn refusal(backend: &impl Backend, parts: &Parts, problem: &Problem) -> Option<Response> {
    let path = parts.uri.path();
    if !is_for_people(&parts.headers) || FOR_PROGRAMS.iter().any(|start| path.starts_with(start)) {
        return None;
    }
    let base = backend.base_path().to_owned();
    let site = Site { base, now: backend.now(), notice: None };
    let (status, detail) = (problem.status(), Text::clip(problem.detail(), 2_000));
    let title = status.canonical_reason().unwrap_or("Refused");
    let page = ProblemPage { status: status.as_u16(), title, detail };
    Some(html(status, site.problem(&page)))
}

fn is_browser(method: &Method, headers: &HeaderMap) -> bool {
    matches!(*method, Method::GET | Method::HEAD) && is_for_people(headers)
}

/// Whether somebody wants to look at the answer. htmx asks for anything, and says who it is.
fn is_for_people(headers: &HeaderMap) -> bool {
    let says = |name: &str, word: &str| {
        let values = headers.get_all(name);
        values.iter().any(|v| v.to_str().is_ok_and(|v| v.to_ascii_lowercase().contains(word)))
    };
    says("accept", "text/html") || says("hx-request", "true")
}

fn vary(response: &mut Response) {
    response.headers_mut().append(header::VARY, HeaderValue::from_static("Accept, HX-Request"));
}

/// A 404 that is no page yet.
fn is_not_found(response: &Response) -> bool {
    let kind = response.headers().get(header::CONTENT_TYPE).map(HeaderValue::as_bytes);
    response.status() == StatusCode::NOT_FOUND && !kind.is_some_and(|k| k.starts_with(b"text/html"))
}

async fn overview(State(server): State<Server>) -> Response {
    let site = site(&server);
    let make = || (StatusCode::OK, site.overview(&look(&server, build::overview)).into());
    let (status, page) = server.page(named_page("overview", &site, ""), &make).await;
    html(status, page)
}

async fn errors(server: &Server, query: &str) -> Response {
    let filter = ErrorFilter::parse(query);
    if let Err(refused) = searchable(server, &filter).await {
        return refused_page(server, None, refused);
    }
    let site = site(server);
    let make = || rendered(server, &site, &filter, None);
    // As it is understood: what only looks different is the same page.
    let (status, page) = server.page(named_page("errors", &site, &filter.to_query()), &make).await;
    html(status, page)
}

/// Every error that `filter` matches; none if its search cannot be read.
async fn matching(
    server: &Server,
    filter: &ErrorFilter,
) -> Result<Option<Vec<AggregateId>>, Refused> {
    searchable(server, filter).await?;
    Ok(look(server, |known| build::matching(known, filter)))
}

/// Waits until what the search of `filter` asks for can be found. What cannot be read need not wait.
async fn searchable(server: &Server, filter: &ErrorFilter) -> Result<(), Refused> {
    match Query::parse(&filter.q) {
        Ok(query) => server.searchable(&query).await,
        Err(_) => Ok(()),
    }
}

/// What a page depends on, but for what is known and the time.
fn named_page(page: &str, site: &Site, query: &str) -> String {
    let notice = site.notice.as_ref().map_or("", Text::as_str);
    format!("{page} {query} {notice}")
}

fn list(server: &Server, filter: &ErrorFilter, done: Option<DoneToSome>) -> Response {
    let (status, page) = rendered(server, &site(server), filter, done);
    html(status, page)
}

fn rendered(
    server: &Server,
    site: &Site,
    filter: &ErrorFilter,
    done: Option<DoneToSome>,
) -> (StatusCode, Bytes) {
    let mut page = look(server, |knowledge| build::errors(knowledge, filter.clone()));
    page.done = done;
    let status = if page.problem.is_some() { StatusCode::BAD_REQUEST } else { StatusCode::OK };
    (status, site.errors(&page).into())
}

/// Does what the list's form says to some errors, and shows the list again. Not by a redirect: what
/// was done, and to which errors, would not fit into an address.
async fn act_on_some(
    State(server): State<Server>,
    principal: Option<Extension<Principal>>,
    RawQuery(query): RawQuery,
    form: Bytes,
) -> Response {
    let filter = ErrorFilter::parse(query.as_deref().unwrap_or_default());
    let Bulk { deed: Deed { act, why }, whom } = match Bulk::parse(&form, server.now()) {
        Ok(bulk) => bulk,
        Err(reason) => {
            return problem(&server, StatusCode::BAD_REQUEST, "Not understood", &reason);
        }
    };
    let (ids, undo) = match whom {
        Whom::Selected(ids) => (ids, undo_of(act)),
        Whom::Matching => match matching(&server, &filter).await {
            Ok(Some(ids)) => (ids, None),
            // The list says what is wrong with its search.
            Ok(None) => return list(&server, &filter, None),
            Err(refused) => return refused_page(&server, None, refused),
        },
    };
    let by = principal.as_deref().and_then(Principal::name).unwrap_or_default();
    match server.act_on(&ids, act, by, &why).await {
        Ok(count) => {
            let errors = if undo.is_some() { ids } else { Vec::new() };
            // What is done shows, however long it takes.
            let _ = searchable(&server, &filter).await;
            list(&server, &filter, Some(DoneToSome { act, count, errors, undo }))
        }
        Err(refused) => refused_page(&server, None, refused),
    }
}

/// The act that takes another one back without having to know what was before.
fn undo_of(act: Act) -> Option<&'static str> {
    match act {
        Act::Resolve => Some("reopen"),
        Act::Reopen => Some("resolve"),
        Act::Mute(_) => Some("unmute"),
        Act::Unmute | Act::Forget => None,
    }
}

async fn errors_of(State(server): State<Server>, Path(service): Path<String>) -> Redirect {
    Redirect::to(&format!("{}/errors?service={}", server.base_path(), link::encode(&service)))
}

async fn error(
    State(server): State<Server>,
    Path((service, key)): Path<(String, String)>,
    RawQuery(query): RawQuery,
) -> Response {
    let asked = Asked::parse(query.as_deref().unwrap_or_default());
    show(&server, &AggregateId { service: service.into(), key: key.into() }, &asked)
}

/// An error whose names no path can hold; any other is sent to its own address.
async fn error_by_query(State(server): State<Server>, RawQuery(query): RawQuery) -> Response {
    let query = query.unwrap_or_default();
    let id = named(&query);
    let asked = Asked::parse(&query);
    if link::has_path(id.service.as_str()) && link::has_path(id.key.as_str()) {
        let path = link::with_query(link::error(&id), &asked.to_query());
        return Redirect::to(&format!("{}{path}", server.base_path())).into_response();
    }
    show(&server, &id, &asked)
}

/// The error that a query names.
fn named(query: &str) -> AggregateId {
    let find = |wanted: &str| {
        let mut pairs = form_urlencoded::parse(query.as_bytes());
        pairs.find(|(name, _)| name == wanted).map(|(_, value)| value.into_owned())
    };
    AggregateId {
        service: find("service").unwrap_or_default().into(),
        key: find("key").unwrap_or_default().into(),
    }
}

fn show(server: &Server, id: &AggregateId, asked: &Asked) -> Response {
    match look(server, |knowledge| build::error(knowledge, id, asked)) {
        Some(page) => html(StatusCode::OK, site(server).error(&page)),
        None => not_found(server, &unknown(id)),
    }
}

async fn act(
    State(server): State<Server>,
    principal: Option<Extension<Principal>>,
    Path((service, key)): Path<(String, String)>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let id = AggregateId { service: service.into(), key: key.into() };
    let asked = Asked::parse(query.as_deref().unwrap_or_default());
    perform(&server, principal.as_deref(), &id, &asked, &body).await
}

async fn act_by_query(
    State(server): State<Server>,
    principal: Option<Extension<Principal>>,
    RawQuery(query): RawQuery,
    body: Bytes,
) -> Response {
    let query = query.unwrap_or_default();
    perform(&server, principal.as_deref(), &named(&query), &Asked::parse(&query), &body).await
}

/// Does what the form says and shows the error again, as it was looked at. That the request comes
/// from one of our own pages is checked before it gets here, as for the API.
async fn perform(
    server: &Server,
    principal: Option<&Principal>,
    id: &AggregateId,
    asked: &Asked,
    form: &[u8],
) -> Response {
    let Deed { act, why } = match Deed::parse(form, server.now()) {
        Ok(deed) => deed,
        Err(reason) => {
            return problem(server, StatusCode::BAD_REQUEST, "Not understood", &reason);
        }
    };
    let by = principal.and_then(Principal::name).unwrap_or_default();
    match server.act(id, act, by, &why).await {
        Ok(()) if act == Act::Forget => {
            let detail = format!(
                "What was known of “{}” of “{}” is gone, and so is its count. It shows again, \
                 with what is new only, when it happens again.",
                id.key, id.service
            );
            problem(server, StatusCode::OK, "Forgotten", &detail)
        }
        Ok(()) => {
            let query = [asked.to_query(), format!("done={}", act.as_str())];
            let query = query.join("&");
            let path = link::with_query(link::error(id), query.trim_start_matches('&'));
            Redirect::to(&format!("{}{path}", server.base_path())).into_response()
        }
        Err(refused) => refused_page(server, Some(id), refused),
    }
}

fn refused_page(server: &Server, id: Option<&AggregateId>, refused: Refused) -> Response {
    let (title, detail) = match refused {
        Refused::Unknown => {
            let detail = id.map_or_else(|| "None of these errors is known.".to_owned(), unknown);
            return not_found(server, &detail);
        }
        Refused::NotStored => (
            "Not stored yet",
            "It is done, and kept in memory until the store answers: it is lost if this process \
             ends before.",
        ),
        Refused::StillIndexing => (
            "Not searched",
            "The texts of many errors are not indexed yet, as after a start. Try again soon. Lists, \
             filters and fields that are no texts do not wait for it.",
        ),
        Refused::Unavailable => {
            ("Not done", "The server is stopping, or has not loaded what is stored yet. Try again.")
        }
    };
    problem(server, StatusCode::SERVICE_UNAVAILABLE, title, detail)
}

async fn status(State(server): State<Server>) -> Response {
    let page = server.status();
    html(StatusCode::OK, site(&server).status(&page))
}

async fn help(State(server): State<Server>) -> Response {
    html(StatusCode::OK, site(&server).help())
}

async fn asset(
    State(server): State<Server>,
    Path(name): Path<String>,
    RawQuery(query): RawQuery,
    asked: HeaderMap,
) -> Response {
    let Some(asset) = assets::find(&name) else {
        return not_found(&server, "There is no such file.");
    };
    let named = query.as_deref().and_then(|query| query.strip_prefix("v="));
    let kept = if named == Some(assets::version()) {
        "public, max-age=31536000, immutable"
    } else {
        "no-cache"
    };
    let says = |name, wanted: &str| {
        let values = asked.get_all(name).iter().filter_map(|value| value.to_str().ok());
        values.flat_map(|value| value.split(',')).any(|value| value.trim() == wanted)
    };
    // Weak: the same content, whatever it is encoded in.
    let tag = format!("W/\"{}\"", assets::version());
    // Whoever refuses it by a quality of 0 says so in another word.
    let gzipped = asset.gzipped().filter(|_| says(header::ACCEPT_ENCODING, "gzip"));
    let is_known = says(header::IF_NONE_MATCH, &tag);
    let headers = [
        (header::CONTENT_TYPE, asset.content_type),
        (header::CACHE_CONTROL, kept),
        (header::VARY, "Accept-Encoding"),
        (header::ETAG, &tag),
    ];
    match (is_known, gzipped) {
        (true, _) => (StatusCode::NOT_MODIFIED, headers).into_response(),
        (_, None) => (headers, asset.bytes).into_response(),
        (_, Some(bytes)) => (headers, [(header::CONTENT_ENCODING, "gzip")], bytes).into_response(),
    }
}

fn look<R>(server: &Server, build: impl Fn(Knowledge<'_>) -> R) -> R {
    let (now, started) = (server.now(), server.started());
    let mut built = None;
    server.read(&mut |state, catalogue, fleet| {
        built = Some(build(Knowledge { state, catalogue, fleet, now, started }));
    });
    built.expect("read calls what it is given")
}

fn site(server: &Server) -> Site {
    let notice = server.notice().map(|notice| Text::clip(&notice, 2_000));
    Site { base: server.base_path().to_owned(), now: server.now(), notice }
}

fn unknown(id: &AggregateId) -> String {
    format!(
        "No error “{}” is known of “{}”. It may have been forgotten: errors go when no instance \
         has exported them for the retention time.",
        id.key, id.service
    )
}

fn not_found(server: &Server, detail: &str) -> Response {
    problem(server, StatusCode::NOT_FOUND, "Not found", detail)
}

fn problem(server: &Server, status: StatusCode, title: &'static str, detail: &str) -> Response {
    let page = ProblemPage { status: status.as_u16(), title, detail: Text::clip(detail, 2_000) };
    html(status, site(server).problem(&page))
}

fn html(status: StatusCode, page: impl Into<Body>) -> Response {
    let headers = [
        (header::CONTENT_TYPE, "text/html; charset=utf-8"),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        // What a page says is true now, and may be nobody else's business.
        (header::CACHE_CONTROL, "no-store"),
        (header::REFERRER_POLICY, "same-origin"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    (status, headers, page.into()).into_response()
}

#[cfg(test)]
mod tests;
