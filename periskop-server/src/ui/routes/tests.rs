//! Requests as browsers, htmx and programs send them.

use std::io::Read as _;
use std::sync::Mutex;

use async_trait::async_trait;
use axum::routing::get;
use http_body_util::BodyExt;
use periskop_core::catalogue::Catalogue;
use periskop_core::{State as Known, Timestamp};
use tower::ServiceExt;

use super::super::backend::Made;
use super::super::build::Fleet;
use super::super::fixture::{self, HOSTILE};
use super::super::view::{StatusPage, TargetsPage};
use super::super::world::{World, shop};
use super::*;

struct Fake {
    world: Mutex<World>,
    base_path: &'static str,
    is_indexed: bool,
}

#[async_trait]
impl Backend for Fake {
    fn base_path(&self) -> &str {
        self.base_path
    }

    fn now(&self) -> Timestamp {
        self.world.lock().unwrap().now
    }

    fn started(&self) -> Timestamp {
        self.now()
    }

    fn notice(&self) -> Option<String> {
        None
    }

    fn read(&self, look: &mut dyn FnMut(&Known, &Catalogue, &dyn Fleet)) {
        let world = self.world.lock().unwrap();
        look(world.observer.state(), &world.catalogue(), &world.fleet);
    }

    async fn searchable(&self, query: &Query) -> Result<(), Refused> {
        let is_searchable = self.is_indexed || !query.asks_for_texts();
        if is_searchable { Ok(()) } else { Err(Refused::StillIndexing) }
    }

    async fn page(&self, _: String, make: &(dyn Fn() -> Made + Send + Sync)) -> Made {
        make()
    }

    fn targets(&self, filter: TargetFilter) -> TargetsPage {
        TargetsPage { filter, ..fixture::targets() }
    }

    fn status(&self) -> StatusPage {
        fixture::status()
    }

    async fn act(&self, id: &AggregateId, act: Act, by: &str, why: &str) -> Result<(), Refused> {
        self.world.lock().unwrap().try_act(id, act, by, why).map_err(|_| Refused::Unknown)
    }

    async fn act_on(
        &self,
        ids: &[AggregateId],
        act: Act,
        by: &str,
        why: &str,
    ) -> Result<usize, Refused> {
        let mut world = self.world.lock().unwrap();
        Ok(ids.iter().filter(|id| world.try_act(id, act, by, why).is_ok()).count())
    }
}

/// The shop, with an error for every key that is hard to address.
fn app_at(base_path: &'static str) -> Router {
    let mut world = shop();
    let odd = HARD_KEYS.map(|key| (key, 1, "error"));
    world.scrape("shop", "s1", &odd);
    world.scrape("a/b c", "s1", &[("Timeout", 1, "error")]);
    let api = Router::new()
        .route("/errors", get(|| async { "exporter format" }))
        .route("/targets/", get(|| async { "list" }))
        .fallback(|| async { (StatusCode::NOT_FOUND, "nothing there") });
    mount(Fake { world: Mutex::new(world), base_path, is_indexed: true }, api)
}

const HARD_KEYS: [&str; 9] =
    ["a/b", "..", ".", "", "50%25 ?#&+", "ünïcödé 日本", "new\nline", HOSTILE, "%2e%2e"];

struct Answer {
    status: StatusCode,
    headers: HeaderMap,
    body: String,
}

async fn send(
    app: &Router,
    method: &str,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Answer {
    let mut request = axum::http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.body(Body::from(body.to_owned())).unwrap();
    let response = app.clone().oneshot(request).await.unwrap();
    let (parts, body) = response.into_parts();
    let body = body.collect().await.unwrap().to_bytes();
    let body = String::from_utf8(body.to_vec()).unwrap();
    Answer { status: parts.status, headers: parts.headers, body }
}

async fn browse(app: &Router, path: &str) -> Answer {
    send(app, "GET", path, &[("accept", "text/html,application/xhtml+xml,*/*;q=0.8")], "").await
}

#[tokio::test]
async fn every_page_is_html_with_a_strict_policy() {
    let app = app_at("");
    let pages =
        ["/", "/errors", "/errors/", "/errors/shop/Timeout", "/targets", "/status", "/help"];
    for path in pages.into_iter().chain(["/nope"]) {
        let answer = browse(&app, path).await;
        assert_eq!(answer.status.is_success(), path != "/nope", "{path}");
        assert_eq!(answer.headers[header::CONTENT_TYPE], "text/html; charset=utf-8", "{path}");
        assert_eq!(answer.headers[header::CONTENT_SECURITY_POLICY], POLICY);
        assert!(!POLICY.contains("unsafe"));
        assert!(answer.body.starts_with("<!doctype html>"), "{path}");
    }
}

#[tokio::test]
async fn programs_get_what_they_always_got() {
    let app = app_at("");
    for accept in [&[][..], &[("accept", "*/*")], &[("accept", "application/json")]] {
        assert_eq!(send(&app, "GET", "/errors", accept, "").await.body, "exporter format");
        assert_eq!(send(&app, "GET", "/targets/", accept, "").await.body, "list");
    }
    let htmx =
        send(&app, "GET", "/errors?q=x", &[("hx-request", "true"), ("accept", "*/*")], "").await;
    assert!(htmx.body.starts_with("<!doctype html>"));
    for answer in [htmx, browse(&app, "/errors").await, send(&app, "GET", "/errors", &[], "").await]
    {
        assert_eq!(answer.headers[header::VARY], "Accept, HX-Request");
    }
}

#[tokio::test]
async fn while_texts_are_not_indexed_only_searches_for_them_are_refused() {
    let fake = Fake { world: Mutex::new(shop()), base_path: "", is_indexed: false };
    let app = mount(fake, Router::new().route("/errors", get(|| async { "exporter format" })));
    for query in ["", "?q=severity%3Aerror", "?q=%28"] {
        let answer = browse(&app, &format!("/errors{query}")).await;
        assert_ne!(answer.status, StatusCode::SERVICE_UNAVAILABLE, "{query}");
    }
    let answer = browse(&app, "/errors?q=timeout").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("not indexed yet"));
    let answer = send(&app, "POST", "/errors?q=timeout", &[], "act=resolve&all=1").await;
    assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
    assert!(answer.body.contains("not indexed yet"));
}

#[tokio::test]
async fn every_link_of_the_list_leads_to_its_error() {
    let app = app_at("");
    let list = browse(&app, "/errors?state=all").await.body;
    let links: Vec<String> = list
        .split("<div class=\"row\"")
        .skip(1)
        .map(|row| {
            let link = row.split("href=\"").nth(1).unwrap().split('"').next().unwrap();
            link.replace("&#38;", "&")
        })
        .collect();
    assert_eq!(links.len(), HARD_KEYS.len() + 4);
    for link in links {
        // A browser resolves these away before it asks.
        assert!(!link.split(['/', '?']).any(|s| s == "." || s == ".."), "{link}");
        let answer = browse(&app, &link).await;
        assert_eq!(answer.status, StatusCode::OK, "{link}");
        assert!(answer.body.contains("went WRONG"), "{link}");
    }
}

#[tokio::test]
async fn a_link_by_query_is_sent_to_the_errors_own_address() {
    let app = app_at("/p");
    let answer = browse(&app, "/error?service=a%2Fb+c&key=Timeout").await;
    assert_eq!(answer.status, StatusCode::SEE_OTHER);
    assert_eq!(answer.headers[header::LOCATION], "/p/errors/a%2Fb%20c/Timeout");
}

#[tokio::test]
async fn what_is_not_there_is_a_page_for_people_only() {
    let app = app_at("");
    assert!(browse(&app, "/nope").await.body.starts_with("<!doctype html>"));
    for path in ["/api/v1/nope", "/services/nope/errors/", "//services/", "/-/nope"] {
        assert_eq!(browse(&app, path).await.body, "nothing there");
    }
    assert_eq!(send(&app, "GET", "/nope", &[], "").await.body, "nothing there");
}

#[tokio::test]
async fn an_unknown_error_is_a_page_that_says_so() {
    let answer = browse(&app_at(""), "/errors/shop/%3Cb%3E").await;
    assert_eq!(answer.status, StatusCode::NOT_FOUND);
    assert!(answer.body.contains("No error “&#60;b&#62;” is known of “shop”"));
}

#[tokio::test]
async fn resolving_and_reopening_leads_back_to_the_error() {
    let app = app_at("");
    for path in ["/errors/shop/Timeout", "/error?service=shop&key=.."] {
        for (act, offered) in [("resolve", "reopen"), ("reopen", "resolve")] {
            let answer = send(&app, "POST", path, &[], &format!("act={act}")).await;
            assert_eq!(answer.status, StatusCode::SEE_OTHER);
            let location = answer.headers[header::LOCATION].to_str().unwrap();
            assert_eq!(location, link::with_query(path.to_owned(), &format!("done={act}")));
            let page = browse(&app, location).await.body;
            assert!(page.contains(&format!(r#"value="{offered}""#)), "{page}");
            assert!(page.contains("Undo"), "{page}");
        }
    }
}

#[tokio::test]
async fn what_is_done_leads_back_to_what_was_looked_at() {
    let app = app_at("/p");
    let path = "/errors/shop/Timeout?occurrence=x&range=7d&by=zone";
    let answer = send(&app, "POST", path, &[], "act=mute&until=1h&why=known").await;
    let location = answer.headers[header::LOCATION].to_str().unwrap();
    assert_eq!(location, format!("/p{path}&done=mute"));
    let page = browse(&app, location.strip_prefix("/p").unwrap()).await.body;
    assert!(page.contains("known") && page.contains("MUTED"), "{page}");
    assert!(page.contains(r#"value="unmute""#), "{page}");
    assert!(!page.contains("done=mute"), "no link says it again");
}

#[tokio::test]
async fn forgetting_is_told_and_leaves_nothing() {
    let app = app_at("");
    let answer = send(&app, "POST", "/errors/shop/Timeout", &[], "act=forget").await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.contains("Forgotten") && !answer.body.contains("went WRONG"));
    assert_eq!(browse(&app, "/errors/shop/Timeout").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn several_errors_are_resolved_at_once_and_reopened_by_undo() {
    let app = app_at("");
    let body = "act=resolve&error=shop%2FTimeout&error=shop%2FSlow&error=shop%2Fgone";
    let answer = send(&app, "POST", "/errors?service=shop", &[], body).await;
    assert_eq!(answer.status, StatusCode::OK);
    assert!(answer.body.contains("2 errors are resolved."), "{}", answer.body);
    assert!(answer.body.contains(r#"name="error" value="shop/Slow""#), "{}", answer.body);
    let list = browse(&app, "/errors?service=shop").await.body;
    assert!(!list.contains("TimeoutClass") && list.contains("NoteClass"));
    let undo = body.replace("resolve", "reopen");
    send(&app, "POST", "/errors?service=shop", &[], &undo).await;
    assert!(browse(&app, "/errors?service=shop").await.body.contains("TimeoutClass"));
}

#[tokio::test]
async fn everything_that_matches_is_muted_at_once() {
    let app = app_at("");
    let answer = send(&app, "POST", "/errors?severity=info", &[], "act=mute+1h&all=1").await;
    assert!(answer.body.contains("1 error is muted."), "{}", answer.body);
    let list = browse(&app, "/errors?service=shop").await.body;
    assert!(!list.contains("NoteClass") && list.contains("TimeoutClass"));
}

#[tokio::test]
async fn a_form_that_selects_nothing_changes_nothing() {
    let app = app_at("");
    let answer = send(&app, "POST", "/errors", &[], "act=resolve").await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST);
    assert!(answer.body.contains("No error is selected"));
    let programs = send(&app, "GET", "/errors", &[], "").await;
    assert_eq!(programs.body, "exporter format", "the same address still serves programs");
}

#[tokio::test]
async fn only_what_is_known_can_be_done_to_what_is_known() {
    let app = app_at("");
    for (path, form, status) in [
        ("/errors/shop/Nope", "act=resolve", StatusCode::NOT_FOUND),
        ("/errors/shop/Timeout", "act=explode", StatusCode::BAD_REQUEST),
        ("/errors/shop/Timeout", "", StatusCode::BAD_REQUEST),
        ("/errors/shop/Timeout", "\0\u{fffd}=%ff&act", StatusCode::BAD_REQUEST),
    ] {
        assert_eq!(send(&app, "POST", path, &[], form).await.status, status, "{form}");
    }
    for method in ["OPTIONS", "HEAD", "PUT", "DELETE"] {
        send(&app, method, "/errors/shop/Timeout", &[], "act=resolve").await;
    }
    assert!(browse(&app, "/errors/shop/Timeout").await.body.contains(r#"value="resolve""#));
}

#[tokio::test]
async fn assets_are_kept_for_ever_under_their_hash_only() {
    let app = app_at("");
    let style = format!("/assets/style.css?v={}", assets::version());
    let kept = browse(&app, &style).await;
    assert_eq!(kept.headers[header::CONTENT_TYPE], "text/css; charset=utf-8");
    assert!(kept.headers[header::CACHE_CONTROL].to_str().unwrap().contains("immutable"));
    let tag = kept.headers[header::ETAG].to_str().unwrap().to_owned();
    let known = send(&app, "GET", &style, &[("If-None-Match", &tag)], "").await;
    assert_eq!((known.status, known.body.len()), (StatusCode::NOT_MODIFIED, 0));
    let request = axum::http::Request::get(&style).header("Accept-Encoding", "br, gzip");
    let response = app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap();
    assert_eq!(response.headers()[header::CONTENT_ENCODING], "gzip");
    let gzipped = response.into_body().collect().await.unwrap().to_bytes();
    let mut unpacked = String::new();
    flate2::read::GzDecoder::new(&*gzipped).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, kept.body);
    assert!(gzipped.len() < unpacked.len() / 2);
    let old = browse(&app, "/assets/app.js?v=old").await;
    assert_eq!(old.headers[header::CACHE_CONTROL], "no-cache");
    assert_eq!(browse(&app, "/assets/..%2Fapp.rs").await.status, StatusCode::NOT_FOUND);
}
