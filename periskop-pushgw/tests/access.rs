//! Who may do what with a gateway: every route with every method, as anybody who might ask.

use std::collections::BTreeSet;
use std::net::{IpAddr, SocketAddr};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::SystemTime;

use axum::Router;
use axum::body::{Body, to_bytes};
use axum::extract::ConnectInfo;
use axum::http::{HeaderMap, Request, StatusCode};
use periskop_core::{ReplicaId, Timestamp};
use periskop_http::{Access, WebConfig};
use periskop_pushgw::{Gateway, Settings};
use tower::ServiceExt;

/// Every pattern of the sources; those that also end with a slash are walked with it.
const ROUTES: [&str; 8] = [
    "/",
    "/-/style.css",
    "/errors",
    "/-/errors",
    "/metrics",
    "/-/health",
    "/-/healthy",
    "/-/ready",
];

const FURTHER: [&str; 4] = ["/nothing", "//errors", "/-/reload", "/errors/x"];

const METHODS: [&str; 9] =
    ["GET", "HEAD", "OPTIONS", "POST", "PUT", "PATCH", "DELETE", "TRACE", "BREW"];

const TOKENS: &str = "tokens:
- {name: reader, role: read, token: token-that-reads}
- {name: robot, role: triage, token: token-that-triages}
- {name: batch, role: push, token: token-that-pushes}
- {name: boss, role: admin, token: token-of-the-admin}
";

const NOBODY: &str = "";
const WRONG: &str = "Bearer token-of-somebody-else";
const READ: &str = "Bearer token-that-reads";
const TRIAGE: &str = "Bearer token-that-triages";
const PUSH: &str = "Bearer token-that-pushes";
const ADMIN: &str = "Bearer token-of-the-admin";

/// A gateway without a listener: every request comes from an address of its own, so that none waits
/// for the failures of another.
struct Guarded {
    app: Router,
    gateway: Gateway,
}

fn config(web: &str) -> WebConfig {
    WebConfig::parse(web, Path::new("")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn guarded(web: &str) -> Guarded {
    let gateway = Gateway::new(Settings::default(), ReplicaId::from_u64(1));
    Guarded { app: gateway.router(Access::new(&config(web))), gateway }
}

fn payload(count: u64) -> String {
    format!(r#"{{"aggregated_errors": [{{"aggregation_key": "k", "total_count": {count}}}]}}"#)
}

impl Guarded {
    async fn send(&self, method: &str, path: &str, credential: &str) -> (StatusCode, HeaderMap) {
        static CLIENTS: AtomicU32 = AtomicU32::new(0x0a00_0000);
        let client = IpAddr::from(CLIENTS.fetch_add(1, Ordering::Relaxed).to_be_bytes());
        let mut request = Request::builder().method(method).uri(path);
        if !credential.is_empty() {
            request = request.header("authorization", credential);
        }
        let request = request.extension(ConnectInfo(SocketAddr::new(client, 1)));
        let request = request.body(Body::from(payload(5))).expect("a request");
        let answer = self.app.clone().oneshot(request).await.expect("it always answers");
        let (parts, body) = answer.into_parts();
        let body = to_bytes(body, 1 << 20).await.expect("it ends");
        let body = String::from_utf8_lossy(&body);
        for secret in ["token-", "periskop.told"] {
            assert!(!body.contains(secret), "{method} {path}: {body}");
        }
        (parts.status, parts.headers)
    }

    /// All that a request could have changed.
    fn state(&self) -> Vec<u8> {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("a clock");
        self.gateway.export(Timestamp::EPOCH.plus(since))
    }
}

/// Every address with every method.
fn walk() -> impl Iterator<Item = (&'static str, String)> {
    let paths = ROUTES.iter().chain(&FURTHER).flat_map(|path| match path.ends_with('/') {
        true => vec![(*path).to_owned()],
        false => vec![(*path).to_owned(), format!("{path}/")],
    });
    paths.flat_map(|path| METHODS.map(|method| (method, path.clone())))
}

#[test]
fn the_walk_knows_every_route_of_the_sources() {
    let source =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/http/mod.rs"))
            .unwrap();
    let patterns: BTreeSet<&str> = [".route(\"", "both(\""]
        .iter()
        .flat_map(|begin| source.split(begin).skip(1))
        .filter_map(|rest| rest.split('"').next())
        .collect();
    assert_eq!(patterns, ROUTES.into_iter().collect());
}

#[tokio::test(start_paused = true)]
async fn without_the_right_credential_every_route_refuses_and_nothing_changes() {
    let guarded = guarded(TOKENS);
    let before = guarded.state();
    for (method, path) in walk() {
        for credential in [NOBODY, WRONG, "Basic cm9vdDpyb290", "Nonsense"] {
            let (status, headers) = guarded.send(method, &path, credential).await;
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{method} {path} {credential}");
            assert_eq!(headers["www-authenticate"], "Bearer realm=\"periskop\"");
        }
        let reads = matches!(method, "GET" | "HEAD" | "OPTIONS");
        let pushes = method == "POST" && matches!(path.as_str(), "/errors" | "/errors/");
        for (credential, may) in [(READ, reads), (TRIAGE, reads), (PUSH, pushes)] {
            if !may {
                let (status, _) = guarded.send(method, &path, credential).await;
                assert_eq!(status, StatusCode::FORBIDDEN, "{method} {path} {credential}");
            }
        }
    }
    assert_eq!(guarded.state(), before);
}

#[tokio::test(start_paused = true)]
async fn with_the_right_one_it_does_as_without_access_control() {
    let (guarded, open) = (guarded(TOKENS), guarded(""));
    for (method, path) in walk() {
        let (free, _) = open.send(method, &path, NOBODY).await;
        assert!(!matches!(free.as_u16(), 401 | 403), "{method} {path}: {free}");
        assert_eq!(guarded.send(method, &path, ADMIN).await.0, free, "{method} {path}");
        let own = match method {
            "GET" | "HEAD" | "OPTIONS" => READ,
            "POST"
                if path.starts_with("/errors") && path != "/errors/x" && path != "/errors/x/" =>
            {
                PUSH
            }
            _ => continue,
        };
        assert_eq!(guarded.send(method, &path, own).await.0, free, "{method} {path} {own}");
    }
    let pushed = String::from_utf8(guarded.state()).unwrap();
    assert!(pushed.contains("\"total_count\":5"), "{pushed}");
}

#[tokio::test(start_paused = true)]
async fn whoever_looks_needs_no_credential_where_that_is_said_and_pushing_still_does() {
    for anonymous in ["read", "triage"] {
        let guarded = guarded(&format!("{TOKENS}anonymous: {anonymous}\n"));
        let before = guarded.state();
        assert_eq!(guarded.send("GET", "/-/errors", NOBODY).await.0, StatusCode::OK);
        assert_eq!(guarded.send("POST", "/errors", NOBODY).await.0, StatusCode::UNAUTHORIZED);
        assert_eq!(guarded.state(), before);
        assert_eq!(guarded.send("POST", "/errors", PUSH).await.0, StatusCode::OK);
    }
}
