//! Who may do what: every route with every method, as anybody who might ask.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::ConnectInfo;
use axum::http::{Request, StatusCode};
use http_body_util::BodyExt;
use periskop_core::AggregateId;
use periskop_server::{Handle, Periskop};
use tower::ServiceExt;

use crate::support::{PATIENCE, instance, payload};

/// Every pattern of the sources, and an address of it.
const ROUTES: [(&str, &str); 32] = [
    ("/", "/"),
    ("/errors/{service}", "/errors/s"),
    ("/errors/{service}/{key}", "/errors/s/k"),
    ("/error", "/error?service=s&key=k"),
    ("/status", "/status"),
    ("/help", "/help"),
    ("/assets/{name}", "/assets/app.js"),
    ("/targets", "/targets"),
    ("/targets/", "/targets/"),
    ("/metrics", "/metrics"),
    ("/errors", "/errors"),
    ("/-/health", "/-/health"),
    ("/-/healthy", "/-/healthy"),
    ("/-/ready", "/-/ready/"),
    ("/-/reload", "/-/reload"),
    ("/api/v1/errors", "/api/v1/errors"),
    ("/api/v1/errors/{service}/{key}", "/api/v1/errors/s/k"),
    ("/api/v1/errors/{service}/{key}/series", "/api/v1/errors/s/k/series"),
    ("/api/v1/errors/{service}/{key}/counts", "/api/v1/errors/s/k/counts?by=instance"),
    ("/api/v1/errors/{service}/{key}/{action}", "/api/v1/errors/s/k/resolve"),
    ("/api/v1/errors/{action}", "/api/v1/errors/resolve"),
    ("/api/v1/events", "/api/v1/events"),
    ("/api/v1/openapi.json", "/api/v1/openapi.json"),
    ("/api/v1/services", "/api/v1/services"),
    ("/api/v1/services/{service}/series", "/api/v1/services/s/series"),
    ("/api/v1/services/{service}/counts", "/api/v1/services/s/counts?by=instance"),
    ("/api/v1/targets", "/api/v1/targets"),
    ("/api/v1/status/config", "/api/v1/status/config"),
    ("/api/v1/status/buildinfo", "/api/v1/status/buildinfo"),
    ("/api/v1/status/runtimeinfo", "/api/v1/status/runtimeinfo"),
    // What no pattern says: the reference's paths, taken apart by hand, and what is not there.
    ("fallback", "/services/s/errors/k/"),
    ("fallback", "/api/v1/nothing"),
];

const FURTHER: [&str; 10] = [
    "/services",
    "/services/",
    "//services/s/errors/k/",
    "/services/s/errors/",
    "/-/reload/",
    "//-/reload",
    "/nothing",
    "/api/v1/errors/s/k/resolve/",
    "/api/v1/errors/s/k/forget",
    "/api/v1/errors/forget",
];

const METHODS: [&str; 9] =
    ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"];

const READ: &str = "Bearer token-that-reads";
const TRIAGE: &str = "Bearer token-that-triages";
const PUSH: &str = "Bearer token-that-pushes";
const ADMIN: &str = "Bearer token-of-the-admin";

const TOKENS: &str = "  - {name: reader, role: read, token: token-that-reads}
  - {name: robot, role: triage, token: token-that-triages}
  - {name: batch, role: push, token: token-that-pushes}
  - {name: boss, role: admin, token: token-of-the-admin}
";

/// A server that knows the error `k` of the service `s`, without a listener: every request comes from
/// an address of its own, so that none waits for the failures of another.
struct Guarded {
    app: Router,
    periskop: Periskop,
    folder: tempfile::TempDir,
    target: SocketAddr,
}

impl Guarded {
    async fn start(web: &str) -> Self {
        Self::start_below("", web).await
    }

    async fn start_below(base_path: &str, web: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let target = instance(payload(&["k"])).await;
        write(folder.path(), target, web);
        let file = folder.path().join("periskop.yaml");
        let builder = Periskop::builder().config_file(file).unwrap();
        let periskop = builder.base_path(base_path).build();
        let this = Self { app: periskop.router(), periskop, folder, target };
        let begun = tokio::time::Instant::now();
        while this.handle().read(|engine| engine.state().error(&id()).is_none()) {
            assert!(begun.elapsed() < PATIENCE, "the target is never scraped");
            tokio::time::sleep(std::time::Duration::from_millis(20)).await;
        }
        this
    }

    fn handle(&self) -> &Handle {
        self.periskop.handle()
    }

    fn reconfigure(&self, web: &str) {
        write(self.folder.path(), self.target, web);
    }

    async fn send(&self, method: &str, path: &str, credential: &str, body: &str) -> Answer {
        self.send_with(method, path, &[("authorization", credential)], body).await
    }

    async fn send_with(
        &self,
        method: &str,
        path: &str,
        headers: &[(&str, &str)],
        body: &str,
    ) -> Answer {
        static CLIENTS: AtomicU32 = AtomicU32::new(0x0a00_0000);
        let client = IpAddr::from(CLIENTS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let mut request = Request::builder().method(method).uri(path);
        for (name, value) in headers.iter().filter(|(_, value)| !value.is_empty()) {
            request = request.header(*name, *value);
        }
        request = request.extension(ConnectInfo(SocketAddr::new(client, 1)));
        let request = request.body(Body::from(body.to_owned())).unwrap();
        let response = self.app.clone().oneshot(request).await.unwrap();
        let (parts, body) = response.into_parts();
        // A stream of events has no end.
        let is_stream = parts.headers.get("content-type").is_some_and(|t| t == "text/event-stream");
        let body = if is_stream { Bytes::new() } else { body.collect().await.unwrap().to_bytes() };
        Answer { status: parts.status, headers: parts.headers, body: text(&body) }
    }

    /// All that a request could have changed.
    fn state(&self) -> String {
        let handle = self.handle();
        let error = handle.read(|engine| {
            let error = engine.state().error(&id()).unwrap();
            let history: Vec<_> = error.history().map(|a| format!("{a:?}")).collect();
            (format!("{:?}", error.status(handle.now())), error.total(), history)
        });
        format!("{error:?} {}", handle.config().to_yaml())
    }

    async fn reloads(&self) -> bool {
        let metrics = self.send("GET", "/metrics", ADMIN, "").await;
        assert_eq!(metrics.status, 200);
        metrics.body.contains("periskop_config_last_reload_successful")
    }

    fn history(&self) -> Vec<String> {
        self.handle().read(|engine| {
            let error = engine.state().error(&id()).unwrap();
            error.history().map(|action| action.by.to_string()).collect()
        })
    }
}

struct Answer {
    status: StatusCode,
    headers: axum::http::HeaderMap,
    body: String,
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn id() -> AggregateId {
    AggregateId { service: "s".into(), key: "k".into() }
}

fn write(folder: &Path, target: SocketAddr, web: &str) {
    let services = format!(
        "services: [{{name: s, static_configs: [{{targets: ['{target}']}}], scraper: {{refresh_interval: 200ms}}}}]"
    );
    std::fs::write(folder.join("periskop.yaml"), format!("{services}\nweb:\n{web}")).unwrap();
}

fn addresses() -> impl Iterator<Item = &'static str> {
    ROUTES.iter().map(|(_, address)| *address).chain(FURTHER)
}

#[test]
fn every_route_of_the_sources_is_walked() {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = BTreeSet::new();
    for (file, below) in [("api/mod.rs", ""), ("api/v1/mod.rs", "/api/v1"), ("ui/routes.rs", "")] {
        let source = std::fs::read_to_string(sources.join(file)).unwrap();
        let source = source.split("#[cfg(test)]").next().unwrap().replace(['\n', ' '], "");
        for start in [".route(\"", "both(\"", "route_service(\"", "nest_service(\""] {
            let patterns = source.split(start).skip(1).filter_map(|rest| rest.split('"').next());
            found.extend(patterns.map(|pattern| format!("{below}{pattern}")));
        }
    }
    let walked: BTreeSet<_> = ROUTES.iter().map(|(pattern, _)| (*pattern).to_owned()).collect();
    let missing: Vec<_> = found.difference(&walked).collect();
    assert!(missing.is_empty(), "not walked: {missing:?}");
    assert!(found.len() > 20, "the sources are read: {found:?}");
    // Routes stand in these three files.
    for file in ["api/reference.rs", "api/v1/list.rs", "pages.rs", "server.rs"] {
        let source = std::fs::read_to_string(sources.join(file)).unwrap();
        assert!(!source.contains(".route(\""), "{file}");
    }
}

#[tokio::test]
async fn without_the_right_credential_every_route_refuses_and_nothing_changes() {
    let server = Guarded::start(&format!("  tokens:\n{TOKENS}")).await;
    let before = server.state();
    for path in addresses() {
        for method in METHODS {
            let asked = |credential| server.send(method, path, credential, "act=resolve");
            for wrong in ["", "Bearer token-of-nobody", "Basic YTpi", "nonsense"] {
                let answer = asked(wrong).await;
                assert_eq!(answer.status, 401, "{method} {path} as {wrong:?}");
                assert_eq!(answer.headers["www-authenticate"], "Bearer realm=\"periskop\"");
                assert_eq!(answer.headers["x-content-type-options"], "nosniff");
            }
            assert_eq!(asked(PUSH).await.status, 403, "{method} {path} as a pusher");
            if !matches!(method, "GET" | "HEAD" | "OPTIONS") {
                assert_eq!(asked(READ).await.status, 403, "{method} {path} as a reader");
            }
            if method == "POST" && path.contains("reload") {
                assert_eq!(asked(TRIAGE).await.status, 403, "{method} {path} as the triage");
            }
        }
    }
    assert_eq!(server.state(), before);
    assert!(!server.reloads().await);
}

#[tokio::test]
async fn with_the_right_credential_every_route_answers() {
    let server = Guarded::start(&format!("  tokens:\n{TOKENS}")).await;
    for path in addresses() {
        for method in ["GET", "HEAD", "OPTIONS"] {
            let status = server.send(method, path, READ, "").await.status;
            assert!(!matches!(status.as_u16(), 401 | 403), "{method} {path}: {status}");
        }
    }
    let resolve = "/api/v1/errors/s/k/resolve";
    assert_eq!(server.send("POST", resolve, TRIAGE, "").await.status, 200);
    assert_eq!(server.send("POST", "/-/reload", ADMIN, "").await.status, 200);
    assert!(server.reloads().await);
    let metrics = server.send("GET", "/metrics", READ, "").await.body;
    assert!(
        metrics.contains("periskop_http_requests_refused_total{reason=\"role\"} 0"),
        "{metrics}"
    );
}

#[tokio::test]
async fn by_in_the_history_is_the_name_that_authenticated() {
    let server = Guarded::start(&format!("  tokens:\n{TOKENS}")).await;
    let claims = r#"{"by": "mallory", "why": "because"}"#;
    let path = "/api/v1/errors/s/k";
    assert_eq!(server.send("POST", &format!("{path}/resolve"), TRIAGE, claims).await.status, 200);
    assert_eq!(server.send("POST", &format!("{path}/reopen"), ADMIN, claims).await.status, 200);
    assert_eq!(server.send("DELETE", "/services/s/errors/k/", TRIAGE, "").await.status, 204);
    assert_eq!(server.send("POST", "/errors/s/k", ADMIN, "act=reopen").await.status, 303);
    let query = "/error?service=s&key=k";
    assert_eq!(server.send("POST", query, TRIAGE, "act=resolve").await.status, 303);
    assert_eq!(server.history(), ["robot", "boss", "robot", "boss", "robot"]);
}

#[tokio::test]
async fn below_a_base_path_the_same_holds() {
    let server = Guarded::start_below("/ops", &format!("  tokens:\n{TOKENS}")).await;
    for path in addresses() {
        let path = format!("/ops{path}");
        for method in METHODS {
            assert_eq!(server.send(method, &path, "", "").await.status, 401, "{method} {path}");
            let pushes = server.send(method, &path, PUSH, "").await.status;
            assert_eq!(pushes, 403, "{method} {path}");
        }
    }
    assert_eq!(server.send("GET", "/ops", "", "").await.status, 401);
    assert_eq!(server.send("POST", "/ops/errors/s/k", TRIAGE, "act=resolve").await.status, 303);
    assert_eq!(server.send("DELETE", "/ops/services/s/errors/k", TRIAGE, "").await.status, 204);
    assert_eq!(server.send("POST", "/ops/-/reload", TRIAGE, "").await.status, 403);
    assert_eq!(server.history(), ["robot", "robot"]);
}

#[tokio::test]
async fn where_nobody_is_known_by_is_what_the_request_says() {
    let server = Guarded::start("").await;
    let path = "/api/v1/errors/s/k/resolve";
    assert_eq!(server.send("POST", path, "Bearer whatever", r#"{"by": "ann"}"#).await.status, 200);
    assert_eq!(server.history(), ["ann"]);
}

#[tokio::test]
async fn anonymous_readers_see_what_the_backstage_plugin_needs_and_change_nothing() {
    let server = Guarded::start(&format!("  anonymous: read\n  tokens:\n{TOKENS}")).await;
    for path in ["/services/", "/services/s/errors/", "/targets/", "/metrics", "/", "/errors/s/k"] {
        let status = server.send("GET", path, "", "").await.status;
        assert!(status.is_success() || status.is_redirection(), "{path}: {status}");
    }
    let before = server.state();
    for path in addresses() {
        for method in ["POST", "PUT", "PATCH", "DELETE"] {
            assert_eq!(server.send(method, path, "", "act=resolve").await.status, 401, "{path}");
        }
    }
    assert_eq!(server.state(), before);
}

#[tokio::test]
async fn a_browser_is_asked_for_a_password_and_told_why_it_is_refused() {
    let hash = periskop_http_hash();
    let web = format!("  basic_auth_users: {{ada: '{hash}'}}\n  basic_auth_roles: {{ada: read}}\n");
    let server = Guarded::start(&web).await;
    let html = ("accept", "text/html");
    let asked = server.send_with("GET", "/errors/s/k", &[html], "").await;
    assert_eq!(asked.status, 401);
    let basic = "Basic realm=\"periskop\", charset=\"UTF-8\"";
    assert_eq!(asked.headers["www-authenticate"], basic);
    assert!(asked.headers["content-type"].to_str().unwrap().starts_with("text/html"));
    assert!(!asked.body.contains("about k"), "{}", asked.body);

    let ada = ("authorization", "Basic YWRhOnJpZ2h0"); // ada:right
    assert_eq!(server.send_with("GET", "/errors/s/k", &[html, ada], "").await.status, 200);
    let htmx = [("hx-request", "true"), ada];
    let refused = server.send_with("POST", "/errors/s/k", &htmx, "act=resolve").await;
    assert_eq!(refused.status, 403);
    assert!(refused.body.contains("id=\"main\""), "htmx shows it: {}", refused.body);
    assert!(refused.body.contains("this needs the role"), "{}", refused.body);
    let plain = server.send("GET", "/services/s/errors/", "", "").await;
    assert_eq!((plain.status.as_u16(), plain.body.as_str()), (401, "this needs a credential\n"));
    let api = server.send("GET", "/api/v1/errors", "", "").await;
    assert_eq!(api.headers["content-type"], "application/problem+json");
}

fn periskop_http_hash() -> String {
    let password = periskop_core::config::Secret::new("right");
    periskop_http::hash_password(&password).unwrap()
}

#[tokio::test]
async fn a_reload_takes_over_tokens_and_a_broken_file_leaves_them() {
    let server = Guarded::start(&format!("  tokens:\n{TOKENS}")).await;
    server.reconfigure("  tokens: [{name: boss, role: admin, token: short}]\n");
    let refused = server.send("POST", "/-/reload", ADMIN, "").await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("fewer than 16 characters"), "{}", refused.body);
    assert!(!refused.body.contains("short\""), "{}", refused.body);
    server.reconfigure("  tokens: [{name: boss, role: admin, token_file: not-there}]\n");
    let refused = server.send("POST", "/-/reload", ADMIN, "").await;
    assert_eq!(refused.status, 422);
    assert!(refused.body.contains("web.tokens[boss]"), "{}", refused.body);
    assert_eq!(server.send("GET", "/targets/", READ, "").await.status, 200, "the old ones stay");

    server.reconfigure("  tokens: [{name: new, role: admin, token: token-of-the-new-admin}]\n");
    assert_eq!(server.send("POST", "/-/reload", ADMIN, "").await.status, 200);
    for old in [READ, TRIAGE, ADMIN] {
        assert_eq!(server.send("GET", "/targets/", old, "").await.status, 401, "{old}");
    }
    let new = "Bearer token-of-the-new-admin";
    assert_eq!(server.send("GET", "/targets/", new, "").await.status, 200);
    let shown = server.send("GET", "/api/v1/status/config", new, "").await.body;
    assert!(shown.contains("<secret>") && !shown.contains("token-of-the"), "{shown}");
    let page = server.send_with("GET", "/status", &[("authorization", new)], "").await.body;
    assert!(page.contains("1 token; nobody else may do anything"), "{page}");
    assert!(!page.contains("token-of-the"), "{page}");
}
