//! Addresses of pages.

use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, percent_decode_str, utf8_percent_encode};
use periskop_core::AggregateId;

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
pub fn error(id: &AggregateId) -> String {
    let (service, key) = (id.service.as_str(), id.key.as_str());
    if has_path(service) && has_path(key) {
        format!("/errors/{}/{}", encode(service), encode(key))
    } else {
        format!("/error?service={}&key={}", encode(service), encode(key))
    }
}

/// An error as the value of a form's field, which [`of_value`] reads back.
pub fn value(id: &AggregateId) -> String {
    format!("{}/{}", encode(id.service.as_str()), encode(id.key.as_str()))
}

/// The error that [`value`] wrote.
pub fn of_value(value: &str) -> Option<AggregateId> {
    let decode = |name: &str| percent_decode_str(name).decode_utf8().ok().map(String::from);
    let (service, key) = value.split_once('/')?;
    Some(AggregateId { service: decode(service)?.into(), key: decode(key)?.into() })
}

/// A path with a query behind it, which may have one already.
pub fn with_query(path: String, query: &str) -> String {
    match query {
        "" => path,
        _ if path.contains('?') => format!("{path}&{query}"),
        _ => format!("{path}?{query}"),
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
            let id = AggregateId { service: service.into(), key: key.into() };
            assert_eq!(error(&id), expected);
            assert_eq!(of_value(&value(&id)), Some(id));
        }
    }

    #[test]
    fn a_query_is_appended_to_another() {
        assert_eq!(with_query("/a".to_owned(), ""), "/a");
        assert_eq!(with_query("/a".to_owned(), "b=1"), "/a?b=1");
        assert_eq!(with_query("/a?b=1".to_owned(), "c=2"), "/a?b=1&c=2");
    }
}
