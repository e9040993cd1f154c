//! Addresses of pages.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

/// What stays as it is in an address: RFC 3986's unreserved characters.
const ENCODED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'_').remove(b'.').remove(b'~');

/// A name within a path or query, percent-encoded.
pub fn encode(name: &str) -> String {
    utf8_percent_encode(name, ENCODED).to_string()
}

/// The address of an error below the base path: `/errors/{service}/{key}`.
///
/// Names that no path can hold (an empty segment, or one that browsers resolve away) are given in
/// the query of `/error` instead.
pub fn error(service: &str, key: &str) -> String {
    if has_path(service) && has_path(key) {
        format!("/errors/{}/{}", encode(service), encode(key))
    } else {
        format!("/error?service={}&key={}", encode(service), encode(key))
    }
}

/// Whether a name survives as a segment of a path. `%2e` is a dot to browsers, too.
pub fn has_path(name: &str) -> bool {
    !matches!(name, "" | "." | "..")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_has_an_address_that_reaches_it() {
        for (service, key, expected) in [
            ("web", "ValueError@1f", "/errors/web/ValueError%401f"),
            ("a/b", "x/y?z#%", "/errors/a%2Fb/x%2Fy%3Fz%23%25"),
            ("web", "a b+\"'<>\n", "/errors/web/a%20b%2B%22%27%3C%3E%0A"),
            ("web", "ü", "/errors/web/%C3%BC"),
            ("web", "..", "/error?service=web&key=.."),
            ("web", "", "/error?service=web&key="),
        ] {
            assert_eq!(error(service, key), expected);
        }
    }
}
