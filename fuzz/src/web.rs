//! Web configurations.

use std::path::Path;

use periskop_http::{Anonymous, Roles, WebConfig};

/// Whatever is taken lets in nobody whom it does not name: whoever configures a user or a token has
/// closed the door, and each of them is good for something. Whatever is refused is told in words.
///
/// # Panics
///
/// If a promise is broken.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let web = match WebConfig::parse(&text, Path::new("")) {
        Ok(web) => web,
        Err(problems) => {
            assert!(problems.iter().next().is_some());
            assert!(problems.iter().all(|problem| !problem.message.is_empty()));
            return;
        }
    };
    let known = &web.credentials;
    assert_eq!(known.is_open(), known.anonymous == Anonymous::Everything);
    assert!(!known.is_open() || known.is_empty(), "{text}");
    assert!(known.tokens.iter().all(|token| token.roles != Roles::NONE), "{text}");
    assert!(known.users.values().all(|user| user.roles != Roles::NONE), "{text}");
    assert!(web.limits.connections > 0 && !web.limits.write_timeout.is_zero());
    assert!(web.rate_limit.is_none_or(|limit| limit.burst > 0 && !limit.interval.is_zero()));
    assert!(!web.in_words().is_empty() && web.needs_restart(&web).is_empty());
}
