//! Files as people write them.

use std::path::Path;
use std::time::Duration;

use super::*;
use crate::role::{Role, Roles};

const HASH: &str = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";

fn parse(text: &str) -> WebConfig {
    WebConfig::parse(text, Path::new("/etc/periskop")).unwrap_or_else(|p| panic!("{p}"))
}

/// What is wrong with a file, one a line.
fn problems(text: &str) -> String {
    let wrong = WebConfig::parse(text, Path::new("")).err();
    wrong.map(|problems| problems.to_string()).unwrap_or_default()
}

#[test]
fn a_file_of_prometheus_means_the_same() {
    let web = parse(&format!(
        "\
tls_server_config:
  cert_file: server.crt
  key_file: /keys/server.key
  client_auth_type: RequireAndVerifyClientCert
  client_ca_file: ca.crt
  client_allowed_sans: [scraper.example, 10.0.0.1]
  min_version: TLS12
  max_version: TLS13
  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, TLS_AES_128_GCM_SHA256]
  prefer_server_cipher_suites: true
  curve_preferences: [CurveP256, X25519]
http_server_config:
  http2: false
  headers:
    Content-Security-Policy: default-src 'self'
    X-Frame-Options: deny
    X-Content-Type-Options: nosniff
    X-XSS-Protection: ''
    Strict-Transport-Security: max-age=1
basic_auth_users:
  alice: {HASH}
rate_limit: {{interval: 1s, burst: 20}}
"
    ));
    let tls = web.tls.unwrap();
    assert_eq!(tls.cert, Source::File("/etc/periskop/server.crt".into()));
    assert_eq!(tls.key, Source::File("/keys/server.key".into()));
    assert_eq!(tls.client_auth, ClientAuth::RequireAndVerify);
    assert_eq!(tls.client_allowed_sans, ["scraper.example", "10.0.0.1"]);
    assert_eq!((tls.versions.len(), tls.suites.unwrap().len()), (2, 1));
    assert!(!web.http2 && web.headers.len() == 4, "a blank header is none");
    assert_eq!(web.credentials.users["alice"].roles, Role::Admin.into());
    assert_eq!(web.credentials.anonymous, Anonymous::Nothing);
    let limit = RateLimit { interval: Duration::from_secs(1), burst: 20 };
    assert_eq!(web.rate_limit, Some(limit));
}

#[test]
fn an_empty_file_is_plain_http_for_everybody() {
    for text in ["", "tls_server_config: {}\n", "basic_auth_users: {}\ntokens: []\n", "limits:\n"] {
        let web = parse(text);
        assert!(web.tls.is_none() && web.credentials.is_open() && web.http2, "{text}");
        assert_eq!(web.limits, Limits::default());
        assert_eq!(web.in_words(), "open: everybody may do everything");
    }
}

#[test]
fn tokens_are_known_in_three_ways() {
    let digest = "ab".repeat(32);
    let web = parse(&format!(
        "\
tokens:
- {{name: backstage, role: read, token: 0123456789abcdef}}
- {{name: ci, roles: [push, read], token_sha256: {digest}}}
- {{name: ops, role: admin, token_file: secrets/ops}}
basic_auth_users: {{tim: {HASH}}}
basic_auth_roles: {{tim: [triage]}}
anonymous: read
"
    ));
    let [backstage, ci, ops] = web.credentials.tokens.as_slice() else { panic!("three tokens") };
    assert!(matches!(backstage.secret, TokenSecret::Inline(_)));
    assert_eq!(ci.secret, TokenSecret::Sha256([0xab; 32]));
    assert_eq!(ci.roles, Roles::from_iter([Role::Push, Role::Read]));
    assert_eq!(ops.secret, TokenSecret::File("/etc/periskop/secrets/ops".into()));
    assert_eq!(web.credentials.users["tim"].roles, Role::Triage.into());
    assert_eq!(web.in_words(), "1 user, 3 tokens; everybody may read");
    assert!(!format!("{web:?}").contains("0123456789abcdef"));
}

#[test]
fn every_mistake_is_told_at_once_and_none_quotes_a_secret() {
    let found = problems(&format!(
        "\
tls_server_config:
  cert_file: a
  client_ca_file: b
  client_allowed_sans: [x]
  min_version: TLS10
  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]
  curve_preferences: [CurveP521]
http_server_config: {{headers: {{X-Frame-Options: DENY, X-Powered-By: me}}}}
basic_auth_users: {{a: hunter2, 'b:c': {HASH}, d: $2a$31$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG}}
basic_auth_roles: {{a: root, x: read}}
tokens:
- {{name: a, role: read, token: hunter2}}
- {{role: read, roles: [push], token_file: t}}
- {{name: c, role: admin}}
- {{name: d2, role: read, token: 0123456789abcdef, token_sha256: hunter2}}
- {{name: e, role: read, tokenfile: t}}
anonymous: admin
rate_limit: {{interval: 1s}}
limits: {{connections: 0, write_timeout: 1ms, conections: 1}}
basic_auth_user: {{}}
"
    ));
    for (line, message) in [
        (2, "missing one of key or key_file"),
        (3, "a client CA has no effect without client_auth_type"),
        (4, "needs client_auth_type RequireAnyClientCert or RequireAndVerifyClientCert"),
        (5, "TLS 1.0 and 1.1 are broken"),
        (6, "\"TLS_RSA_WITH_RC4_128_SHA\" is not spoken here"),
        (7, "\"CurveP521\" is not spoken here"),
        (8, "expected deny or sameorigin, not \"DENY\""),
        (8, "unknown field \"X-Powered-By\""),
        (9, "expected a bcrypt hash"),
        (9, "a user's name holds no colon"),
        (9, "a cost of 31 is not one from 4 to 15"),
        (10, "unknown role \"root\""),
        (10, "there is no user \"x\" in basic_auth_users"),
        (12, "a token of fewer than 16 characters can be guessed"),
        (12, "there are two users or tokens `a`"),
        (13, "a user or token needs a name"),
        (13, "a token needs either `role` or `roles`"),
        (14, "a token needs one of `token`, `token_sha256` and `token_file`"),
        (15, "a token needs one of `token`, `token_sha256` and `token_file`"),
        (15, "expected the 64 hexadecimal digits of a SHA-256"),
        (16, "unknown field \"tokenfile\", did you mean \"token_file\"?"),
        (17, "\"admin\" is not one of none, read, triage"),
        (18, "must be above 0"),
        (19, "must be 1 to 1000000"),
        (19, "must be 1s to 1h"),
        (19, "did you mean \"connections\"?"),
        (20, "did you mean \"basic_auth_users\"?"),
    ] {
        let place = format!("line {line}, ");
        let is_told = found.lines().any(|p| p.starts_with(&place) && p.contains(message));
        assert!(is_told, "line {line}: {message}:\n{found}");
    }
    assert!(!found.contains("hunter2") && !found.contains("X0h1g"), "{found}");
}

#[test]
fn what_would_let_nobody_in_or_everybody_by_mistake_is_refused() {
    for (text, message) in [
        ("anonymous: none", "nobody could do anything"),
        (
            "tls_server_config: {cert: a, key: b, client_auth_type: VerifyClientCertIfGiven}",
            "can only be verified with client_ca or client_ca_file",
        ),
        (
            "tls_server_config: {cert: a, key: b, client_auth_type: RequireAnyClientCert, client_allowed_sans: []}",
            "an empty list would let nobody in",
        ),
        ("tls_server_config: {cert: a, cert_file: b, key: c}", "only one of them can be meant"),
        (
            "tls_server_config: {cert: a, key: b, min_version: TLS13, max_version: TLS12}",
            "is below min_version",
        ),
        ("tls_server_config: {client_auth_type: Any}", "\"Any\" is not one of NoClientCert"),
    ] {
        let found = problems(text);
        assert!(found.contains(message), "{text}: {found}");
    }
}

#[test]
fn what_needs_a_restart_is_named() {
    let tls = parse("tls_server_config: {cert: a, key: b}\nlimits: {connections: 9}");
    let plain = parse("anonymous: read");
    assert_eq!(plain.needs_restart(&tls), ["tls_server_config on or off", "limits"]);
    assert!(plain.needs_restart(&parse("")).is_empty());
}
