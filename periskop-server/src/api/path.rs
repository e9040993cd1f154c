//! Paths of the reference's routes, taken apart as they came.
//!
//! Aggregation keys and service names hold slashes, spaces, percent signs and question marks, and
//! the reference's UI puts them into a path as they are. So a path has several readings, and which
//! one is meant is known only when one of them names something that exists. This module lists
//! them in the order in which they are tried; it never decides.

use std::borrow::Cow;

use percent_encoding::percent_decode_str;

/// How many times `/errors/` may be taken for the border between service and key. Names that hold
/// it more often than this have to be percent-encoded.
const SPLITS: usize = 8;

/// Whether this is the path of the list of services.
pub(super) fn is_services(path: &str) -> bool {
    matches!(below_services(path), Some("" | "/"))
}

/// The readings of the service in `/services/{service}/errors/`; `None` for another path.
pub(super) fn service(path: &str) -> Option<Vec<String>> {
    let rest = below_services(path)?.strip_prefix('/')?;
    let rest = rest.strip_suffix('/').unwrap_or(rest);
    let service = rest.strip_suffix("/errors").filter(|s| !s.is_empty())?;
    Some(readings(service))
}

/// The readings of service and key in `/services/{service}/errors/{key}/`; empty for another path.
///
/// A key is read as the decoded path, as the path stands, and with the query as part of it; all
/// of them with the last slash first, which may be the key's own.
pub(super) fn error(path: &str, query: Option<&str>) -> Vec<(String, String)> {
    let Some(rest) = below_services(path).and_then(|rest| rest.strip_prefix('/')) else {
        return Vec::new();
    };
    let borders = rest.match_indices("/errors/").take(SPLITS);
    let splits = borders.map(|(at, border)| (&rest[..at], &rest[at + border.len()..]));
    let mut found = Vec::new();
    for (service, key) in splits.filter(|(service, _)| !service.is_empty()) {
        let keys = key_readings(key, query);
        for service in readings(service) {
            found.extend(keys.iter().map(|key| (service.clone(), key.clone())));
        }
    }
    found
}

/// What follows `/services`. More than one slash before it is one: people end the address that
/// they configure with a slash.
fn below_services(path: &str) -> Option<&str> {
    path.strip_prefix('/')?.trim_start_matches('/').strip_prefix("services")
}

fn key_readings(raw: &str, query: Option<&str>) -> Vec<String> {
    let with_query = query.map(|query| format!("{raw}?{query}"));
    let whole: Vec<&str> = std::iter::once(raw).chain(with_query.as_deref()).collect();
    let cut = whole.iter().filter_map(|text| text.strip_suffix('/'));
    let mut keys = Vec::new();
    for text in whole.iter().copied().chain(cut).flat_map(readings) {
        if !keys.contains(&text) {
            keys.push(text);
        }
    }
    keys
}

/// Decoded, then as it stands.
fn readings(raw: &str) -> Vec<String> {
    match percent_decode_str(raw).decode_utf8() {
        Ok(decoded) if decoded != raw => vec![Cow::into_owned(decoded), raw.to_owned()],
        _ => vec![raw.to_owned()],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The first reading that exists, as the route finds it.
    fn reaches(existing: &[&str], path: &str) -> Option<String> {
        let (path, query) = match path.split_once('?') {
            Some((path, query)) => (path, Some(query)),
            None => (path, None),
        };
        let found = error(path, query).into_iter().find(|(service, key)| {
            (service == "s" || service == "a/b") && existing.contains(&key.as_str())
        });
        found.map(|(_, key)| key)
    }

    #[test]
    fn the_list_of_services_is_found_with_and_without_slashes() {
        for path in ["/services", "/services/", "//services/", "///services"] {
            assert!(is_services(path), "{path}");
        }
        assert!(!is_services("/services/x") && !is_services("/servicesx"));
    }

    #[test]
    fn a_service_is_read_decoded_and_as_it_stands() {
        assert_eq!(service("/services/a%2Fb/errors/").unwrap(), ["a/b", "a%2Fb"]);
        assert_eq!(service("//services/a/b/errors").unwrap(), ["a/b"]);
        assert_eq!(service("/services/100%/errors/").unwrap(), ["100%"]);
        assert_eq!(service("/services//errors/"), None);
        assert_eq!(service("/services/x/errors/key"), None);
    }

    #[test]
    fn every_key_is_reached_percent_encoded_and_as_the_reference_sends_it() {
        let everything = percent_encoding::NON_ALPHANUMERIC;
        for key in [
            "plain",
            "java.lang.Run/ timeException@123",
            "a/b/",
            "50%",
            "50%25",
            "what? ever",
            "trailing?/",
            "ümlaut ☃",
            "#anchor",
            "a/errors/b",
            "errors",
            "/",
        ] {
            for service in ["s", "a%2Fb", "a/b"] {
                let encoded = percent_encoding::utf8_percent_encode(key, everything);
                for end in ["", "/"] {
                    let path = format!("/services/{service}/errors/{encoded}{end}");
                    assert_eq!(reaches(&[key], &path).as_deref(), Some(key), "{path}");
                }
                if !key.contains('#') {
                    // What a browser makes of it: a blank cannot stay one, a percent sign does.
                    let raw = key.replace(' ', "%20");
                    let path = format!("/services/{service}/errors/{raw}/");
                    assert_eq!(reaches(&[key], &path).as_deref(), Some(key), "{path}");
                }
            }
        }
    }

    #[test]
    fn the_decoded_key_comes_before_the_raw_one_and_the_query_after_both() {
        let both = ["a b", "a%20b"];
        assert_eq!(reaches(&both, "/services/s/errors/a%20b/").unwrap(), "a b");
        assert_eq!(reaches(&both, "/services/s/errors/a%2520b/").unwrap(), "a%20b");
        let both = ["a", "a?b"];
        assert_eq!(reaches(&both, "/services/s/errors/a%3Fb/").unwrap(), "a?b");
        assert_eq!(reaches(&["a?b"], "/services/s/errors/a?b/").unwrap(), "a?b");
    }

    #[test]
    fn a_slash_that_may_be_the_keys_own_is_tried_first() {
        let both = ["a", "a/"];
        assert_eq!(reaches(&both, "/services/s/errors/a%2F/").unwrap(), "a/");
        assert_eq!(reaches(&both, "/services/s/errors/a/").unwrap(), "a/");
        assert_eq!(reaches(&both, "/services/s/errors/a").unwrap(), "a");
    }

    #[test]
    fn a_path_full_of_borders_costs_little() {
        let path = format!("/services/s{}", "/errors/x".repeat(7000));
        assert!(error(&path, Some("q")).len() <= SPLITS * 2 * 8);
    }
}
