//! URLs as Go's `net/url` prints them.
//!
//! Addresses and paths come from labels as they are, not as somebody's URL: `%41` in a path is
//! those three characters. A URL crate would read them as an escape, and refuse hosts that
//! Prometheus takes; what is printed here is part of a target's identity, so it follows Prometheus.

use std::collections::BTreeMap;
use std::fmt::Write;

/// Query parameters: each name with its values in order. Names are sorted.
pub type Params = BTreeMap<String, Vec<String>>;

/// `scheme://address/path?params`; each part is escaped for its place. An absent scheme leaves
/// `//address/path`, which nothing can fetch, but which says what is missing.
pub(super) fn print(scheme: &str, address: &str, path: &str, params: &Params) -> String {
    let mut url = String::new();
    if !scheme.is_empty() {
        url.push_str(scheme);
        url.push(':');
    }
    url.push_str("//");
    escape(&mut url, address, |c| is_unreserved(c) || HOST.contains(&c));
    if !path.is_empty() && !path.starts_with('/') {
        url.push('/');
    }
    if path == "*" {
        url.push('*');
    } else {
        escape(&mut url, path, |c| is_unreserved(c) || PATH.contains(&c));
    }
    let pairs = params.iter().flat_map(|(name, values)| values.iter().map(move |v| (name, v)));
    for (i, (name, value)) in pairs.enumerate() {
        url.push(if i == 0 { '?' } else { '&' });
        escape_query(&mut url, name);
        url.push('=');
        escape_query(&mut url, value);
    }
    url
}

const HOST: &[u8] = b"!$&'()*+,;=:[]<>\"";
const PATH: &[u8] = b"$&+,/:;=@";

fn is_unreserved(c: u8) -> bool {
    c.is_ascii_alphanumeric() || b"-_.~".contains(&c)
}

fn escape(out: &mut String, text: &str, plain: impl Fn(u8) -> bool) {
    for byte in text.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to a string cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

fn escape_query(out: &mut String, text: &str) {
    for (i, part) in text.split(' ').enumerate() {
        if i > 0 {
            out.push('+');
        }
        escape(out, part, is_unreserved);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_part_is_escaped_for_its_place() {
        let params = Params::from([
            ("b".to_owned(), vec!["é".to_owned(), "x y".to_owned()]),
            ("a[]".to_owned(), vec!["1&2".to_owned()]),
        ]);
        assert_eq!(
            print("http", "user@[::1]:80", "p q?#%41*", &params),
            "http://user%40[::1]:80/p%20q%3F%23%2541%2A?a%5B%5D=1%262&b=%C3%A9&b=x+y"
        );
        assert_eq!(print("", "h", "", &Params::new()), "//h");
        assert_eq!(print("http", "h", "*", &Params::new()), "http://h/*");
    }
}
