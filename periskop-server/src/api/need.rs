//! What a request needs.

use axum::http::{Method, Uri};
use periskop_http::Role;

/// Looking needs [`Role::Read`]; doing something to errors, [`Role::Triage`]. Whatever else may
/// change something needs [`Role::Admin`]: reloading, and every route that is not thought of here.
/// The path is that below the base path.
pub(super) fn need(method: &Method, uri: &Uri) -> Role {
    match *method {
        Method::GET | Method::HEAD | Method::OPTIONS => Role::Read,
        Method::POST if is_below(uri.path(), &["/api/v1/errors", "/errors", "/error"]) => {
            Role::Triage
        }
        // Whoever configures the address with a slash at its end asks for `//services`.
        Method::DELETE if is_below(single_slash(uri.path()), &["/services"]) => Role::Triage,
        _ => Role::Admin,
    }
}

fn is_below(path: &str, tops: &[&str]) -> bool {
    tops.iter().any(|top| {
        path.strip_prefix(top).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    })
}

fn single_slash(path: &str) -> &str {
    let more = path.bytes().take_while(|byte| *byte == b'/').count();
    &path[more.saturating_sub(1)..]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn looking_and_doing_are_told_apart_and_everything_else_is_the_admins() {
        for (method, path, role) in [
            ("GET", "/", Role::Read),
            ("HEAD", "/-/reload", Role::Read),
            ("OPTIONS", "/services/s/errors/k/", Role::Read),
            ("GET", "/nothing", Role::Read),
            ("DELETE", "/services/s/errors/k/", Role::Triage),
            ("DELETE", "///services/s/errors/k/", Role::Triage),
            ("POST", "/api/v1/errors/s/k/resolve", Role::Triage),
            ("POST", "/errors/s/k", Role::Triage),
            ("POST", "/error", Role::Triage),
            ("POST", "/-/reload", Role::Admin),
            ("POST", "/-/reload/", Role::Admin),
            ("POST", "//-/reload", Role::Admin),
            ("POST", "/errorsx", Role::Admin),
            ("POST", "/api/v1/nothing", Role::Admin),
            ("DELETE", "/servicesx", Role::Admin),
            ("PUT", "/errors/s/k", Role::Admin),
            ("TRACE", "/", Role::Admin),
            ("BREW", "/services/", Role::Admin),
        ] {
            let found = need(&method.parse().unwrap(), &path.parse().unwrap());
            assert_eq!(found, role, "{method} {path}");
        }
    }
}
