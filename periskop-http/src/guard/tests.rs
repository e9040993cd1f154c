//! What passes, and what every answer says.

use std::path::Path;
use std::sync::Mutex;

use axum::routing::any;
use http_body_util::BodyExt as _;
use tower::ServiceExt;

use super::*;
use crate::access::Principal;
use crate::config::WebConfig;

fn access(web: &str) -> Access {
    Access::new(&WebConfig::parse(web, Path::new("")).unwrap_or_else(|p| panic!("{p}")))
}

fn need(method: &Method, _: &Uri) -> Role {
    if changes(method) { Role::Triage } else { Role::Read }
}

fn app(guard: Guard) -> Router {
    let name = async |request: Request| {
        assert!(!request.headers().contains_key(header::AUTHORIZATION));
        let principal = request.extensions().get::<Principal>().cloned();
        principal.and_then(|p| p.name().map(str::to_owned)).unwrap_or_default()
    };
    guard.around(Router::new().route("/", any(name)))
}

async fn send(app: &Router, method: &str, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = axum::http::Request::builder().method(method).uri(path);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    app.clone().oneshot(request.body(Body::empty()).unwrap()).await.unwrap()
}

async fn text(response: Response) -> String {
    let bytes = response.into_body().collect().await.unwrap().to_bytes();
    String::from_utf8(bytes.to_vec()).unwrap()
}

async fn status(on_loopback: bool, method: &str, headers: &[(&str, &str)]) -> StatusCode {
    let guard = Guard::new(access(""), need).on_loopback(on_loopback);
    send(&app(guard), method, "/", headers).await.status()
}

#[tokio::test]
async fn a_change_needs_to_come_from_here_or_from_a_script() {
    for (headers, passes) in [
        (&[][..], true),
        (&[("host", "p:1"), ("origin", "http://p:1")], true),
        (&[("host", "p"), ("origin", "https://p:443")], true),
        (&[("host", "P.example"), ("origin", "https://p.example")], true),
        (&[("host", "p:1"), ("sec-fetch-site", "same-origin"), ("origin", "http://x")], true),
        (&[("host", "p:1"), ("sec-fetch-site", "none")], true),
        (&[("host", "p:1"), ("origin", "http://p:2")], false),
        (&[("host", "p:1"), ("origin", "http://evil.example")], false),
        (&[("host", "p:1"), ("origin", "null")], false),
        (&[("host", "p:1"), ("origin", "file://p:1")], false),
        (&[("host", "p:1"), ("sec-fetch-site", "cross-site")], false),
        (&[("host", "p:1"), ("sec-fetch-site", "same-site"), ("origin", "http://p:1")], false),
    ] {
        for method in ["POST", "DELETE", "PUT", "PATCH", "BREW"] {
            let found = status(false, method, headers).await;
            assert_eq!(found.is_success(), passes, "{method} {headers:?}: {found}");
        }
        assert!(status(false, "GET", headers).await.is_success());
    }
}

#[tokio::test]
async fn on_loopback_only_loopbacks_names_are_answered() {
    for (host, passes) in [
        ("localhost", true),
        ("LOCALHOST:7777", true),
        ("127.0.0.1:7777", true),
        ("127.8.9.1", true),
        ("[::1]:7777", true),
        ("[::ffff:127.0.0.1]", true),
        ("app.localhost:1", true),
        ("evil.example", false),
        ("localhost.evil.example", false),
        ("127.0.0.1.evil.example:7777", false),
        ("10.0.0.1", false),
        ("[::1]evil", false),
        ("", false),
    ] {
        for method in ["GET", "DELETE"] {
            let found = status(true, method, &[("host", host)]).await;
            assert_eq!(found.is_success(), passes, "{method} {host}");
        }
        assert!(status(false, "GET", &[("host", host)]).await.is_success());
    }
}

const TOKEN: &str = "tokens: [{name: robot, role: read, token: 0123456789abcdef}]";
const BEARER: (&str, &str) = ("authorization", "Bearer 0123456789abcdef");

#[tokio::test]
async fn the_name_that_authenticated_reaches_the_route_and_the_credential_does_not() {
    let app = app(Guard::new(access(TOKEN), need));
    assert_eq!(text(send(&app, "GET", "/", &[BEARER]).await).await, "robot");
}

#[tokio::test]
async fn what_is_unknown_is_refused_like_what_is_known() {
    let app = app(Guard::new(access(TOKEN), need));
    for path in ["/", "/nothing", "/?token=0123456789abcdef", "/?access_token=0123456789abcdef"] {
        for method in ["GET", "HEAD", "OPTIONS", "POST", "DELETE", "TRACE"] {
            let answer = send(&app, method, path, &[]).await;
            assert_eq!(answer.status(), 401, "{method} {path}");
            assert_eq!(answer.headers()[header::WWW_AUTHENTICATE], "Bearer realm=\"periskop\"");
            let kind = &answer.headers()[header::CONTENT_TYPE];
            assert_eq!(kind, "application/problem+json", "{method} {path}");
        }
    }
    assert_eq!(send(&app, "GET", "/nothing", &[BEARER]).await.status(), 404);
    assert_eq!(send(&app, "POST", "/", &[BEARER]).await.status(), 403);
}

#[tokio::test]
async fn a_wrong_credential_is_not_told_from_one_that_cannot_be_read() {
    let app = app(Guard::new(access(TOKEN), need));
    let wrong = text(send(&app, "GET", "/", &[("authorization", "Bearer wrong")]).await).await;
    let unread = text(send(&app, "GET", "/", &[("authorization", "Basic !")]).await).await;
    assert_eq!(wrong, unread);
    assert!(!wrong.contains("Bearer"), "{wrong}");
}

#[tokio::test(start_paused = true)]
async fn refusals_are_counted_by_reason_and_put_into_the_words_of_the_binary() {
    let counted = Arc::new(Mutex::new(Vec::new()));
    let counts = Arc::clone(&counted);
    let guard = Guard::new(access(TOKEN), need)
        .on_loopback(true)
        .in_words(|parts, problem| match parts.uri.path() {
            "/plain" => problem.into_text(),
            _ => problem.into_response(),
        })
        .counting(move |refusal| counts.lock().unwrap().push(refusal.as_str()));
    let app = app(guard);
    let plain = send(&app, "GET", "/plain", &[]).await;
    assert_eq!(plain.headers()[header::CONTENT_TYPE], "text/plain; charset=utf-8");
    assert_eq!(text(plain).await, "this needs a credential\n");
    send(&app, "GET", "/", &[("host", "evil.example")]).await;
    send(&app, "POST", "/", &[("origin", "http://evil.example")]).await;
    send(&app, "POST", "/", &[BEARER]).await;
    send(&app, "GET", "/", &[("authorization", "x")]).await;
    let expected = ["no_credential", "host", "origin", "role", "wrong_credential"];
    assert_eq!(*counted.lock().unwrap(), expected);
}

#[tokio::test(start_paused = true)]
async fn who_comes_too_often_is_told_when_to_come_again() {
    let app = app(Guard::new(access("rate_limit: {interval: 1m, burst: 1}"), need));
    assert_eq!(send(&app, "GET", "/", &[]).await.status(), 200);
    let refused = send(&app, "GET", "/", &[]).await;
    assert_eq!(
        (refused.status().as_u16(), &refused.headers()["retry-after"]),
        (429, &"60".parse().unwrap())
    );
}

#[tokio::test]
async fn every_answer_has_security_headers_and_configured_ones_win() {
    let web = "http_server_config: {headers: {X-Frame-Options: sameorigin, \
               Strict-Transport-Security: max-age=60}}";
    let app = app(Guard::new(access(web), need));
    for path in ["/", "/nothing"] {
        let answer = send(&app, "GET", path, &[]).await;
        let headers = answer.headers();
        assert_eq!(headers["x-frame-options"], "sameorigin", "{path}");
        assert_eq!(headers["strict-transport-security"], "max-age=60");
        assert_eq!(headers["x-content-type-options"], "nosniff");
        assert_eq!(headers["cache-control"], "no-store");
        assert!(!headers.contains_key("access-control-allow-origin"));
    }
}
