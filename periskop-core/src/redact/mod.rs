//! Secrets masked before anything is kept.
//!
//! Clients send the request during which an error happened as it came, credentials included. What
//! is known to carry them is masked while a payload is parsed: values of headers, userinfo and
//! query parameters of the URL, fields of JSON and form bodies.
//!
//! Messages, stack traces and everything else are left alone: nothing tells a secret there from
//! what somebody needs to find the mistake.

mod names;
mod scan;

use std::borrow::Cow;

use hashbrown::HashSet;

use names::{
    BODY_FIELDS, HEADERS, URL_PARAMS, among, last_segment, normal, percent_decode, with_normal,
};
use scan::{behind_blank_line, find, inside, skip_space, string_end, value_end};

/// What stands for a secret.
pub const MASK: &str = "<redacted>";

/// What is masked, beyond the defaults.
///
/// Names are compared without regard to case and to `-`, `_`, `.` and spaces, so that `X-Api-Key`,
/// `x_api_key` and `xApiKey` are one name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redaction {
    /// Whether anything is masked at all. It is.
    pub enabled: bool,
    /// Names of request headers.
    pub headers: Vec<String>,
    /// Names of URL query parameters.
    pub url_params: Vec<String>,
    /// Names of fields in request bodies, at any depth.
    pub body_fields: Vec<String>,
}

impl Default for Redaction {
    fn default() -> Self {
        Self { enabled: true, headers: vec![], url_params: vec![], body_fields: vec![] }
    }
}

/// Masks secrets. Masking twice changes nothing more.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Redactor {
    enabled: bool,
    headers: HashSet<String>,
    url_params: HashSet<String>,
    body_fields: HashSet<String>,
}

impl Default for Redactor {
    fn default() -> Self {
        Self::new(&Redaction::default())
    }
}

impl Redactor {
    /// Masks the defaults and what is given in addition.
    pub fn new(redaction: &Redaction) -> Self {
        let names = |defaults: &[&str], more: &[String]| {
            let more = more.iter().map(String::as_str);
            defaults.iter().copied().chain(more).map(normal).collect()
        };
        Self {
            enabled: redaction.enabled,
            headers: names(HEADERS, &redaction.headers),
            url_params: names(URL_PARAMS, &redaction.url_params),
            body_fields: names(BODY_FIELDS, &redaction.body_fields),
        }
    }

    /// Masks nothing.
    pub fn off() -> Self {
        Self::new(&Redaction { enabled: false, ..Redaction::default() })
    }

    /// A header's value as it may be kept. CGI's names of headers (`HTTP_COOKIE`), which WSGI and
    /// Rack programs hand on, are known too.
    pub fn header<'v>(&self, name: &str, value: &'v str) -> Cow<'v, str> {
        if !self.enabled {
            return value.into();
        }
        let is_secret = |name: &str| self.headers.contains(name);
        with_normal(name, |name| {
            if is_secret(name) || name.strip_prefix("http").is_some_and(is_secret) {
                return masked(value);
            }
            // Where a request came from is a URL of the same site, with the same parameters.
            if matches!(name, "referer" | "referrer" | "httpreferer" | "location") {
                return self.url(value);
            }
            value.into()
        })
    }

    /// A URL as it may be kept: without userinfo and without the values of secret parameters, in
    /// its query and in its fragment, where OAuth 2 puts tokens as well.
    pub fn url<'u>(&self, url: &'u str) -> Cow<'u, str> {
        if !self.enabled {
            return url.into();
        }
        let mut masks = Masks::default();
        let parameters = url.find(['?', '#']).unwrap_or(url.len());
        if let Some(scheme) = url[..parameters].find("//") {
            let authority = scheme + 2;
            let end = url[authority..parameters].find('/').map_or(parameters, |i| authority + i);
            if let Some(at) = url[authority..end].rfind('@') {
                masks.add(url, authority, authority + at);
            }
        }
        let separators = ['?', '#', '&', ';'];
        mask_pairs(url, parameters, &separators, &self.url_params, &mut masks);
        masks.apply(url)
    }

    /// A request's body as it may be kept. JSON and forms are read as far as they are such: a body
    /// that was cut, or is broken, is masked to the end of the value that is open there.
    pub fn body<'b>(&self, body: &'b str) -> Cow<'b, str> {
        if !self.enabled {
            return body.into();
        }
        let mut masks = Masks::default();
        if body.trim_start().starts_with(['{', '[']) {
            self.mask_json(body, &mut masks);
        } else if body.contains("form-data") {
            self.mask_multipart(body, &mut masks);
        } else {
            mask_pairs(body, 0, &['&', ';', '\n', '\r'], &self.body_fields, &mut masks);
        }
        masks.apply(body)
    }

    /// One pass over the strings of a JSON text, without a notion of nesting: a string before a
    /// colon is a name, whatever is around it.
    fn mask_json(&self, body: &str, masks: &mut Masks) {
        let bytes = body.as_bytes();
        let mut at = 0;
        while let Some(open) = find(bytes, at, b'"') {
            let end = string_end(bytes, open);
            at = end;
            let colon = skip_space(bytes, end);
            if bytes.get(colon) != Some(&b':') {
                continue;
            }
            at = colon + 1;
            let name = crate::wire::exporter::decode_json_text(inside(bytes, open, end));
            if !among(&self.body_fields, &name) {
                continue;
            }
            let value = skip_space(bytes, at);
            at = value_end(bytes, value);
            match bytes.get(value) {
                None | Some(b'n') => {}
                Some(b'"') => {
                    let closed = at > value + 1 && bytes[at - 1] == b'"';
                    masks.add(body, value + 1, at - usize::from(closed));
                }
                Some(_) => masks.add_quoted(body, value, at),
            }
        }
    }

    /// The parts of `multipart/form-data` (RFC 7578) whose name is secret.
    fn mask_multipart(&self, body: &str, masks: &mut Masks) {
        let mut at = 0;
        while let Some(found) = body[at..].find("name=\"") {
            let name = at + found + "name=\"".len();
            let Some(length) = body[name..].find('"') else { return };
            at = name + length;
            if !among(&self.body_fields, last_segment(&body[name..at])) {
                continue;
            }
            let Some(value) = behind_blank_line(body, at) else { return };
            let end = body[value..].find("\n--").map_or(body.len(), |i| value + i);
            let end = if body[value..end].ends_with('\r') { end - 1 } else { end };
            masks.add(body, value, end);
            at = end;
        }
    }
}

/// Places of a text that are to be replaced, in order.
#[derive(Default)]
struct Masks(Vec<(usize, usize, &'static str)>);

impl Masks {
    fn add(&mut self, text: &str, from: usize, to: usize) {
        if from < to && !is_masked(&text[from..to]) {
            self.0.push((from, to, MASK));
        }
    }

    fn add_quoted(&mut self, text: &str, from: usize, to: usize) {
        if from < to && text.is_char_boundary(to) {
            self.0.push((from, to, "\"<redacted>\""));
        }
    }

    fn apply(self, text: &str) -> Cow<'_, str> {
        if self.0.is_empty() {
            return text.into();
        }
        let mut result = String::with_capacity(text.len() + self.0.len() * MASK.len());
        let mut at = 0;
        for (from, to, mask) in self.0 {
            result.push_str(&text[at..from]);
            result.push_str(mask);
            at = to;
        }
        result.push_str(&text[at..]);
        result.into()
    }
}

fn masked(value: &str) -> Cow<'_, str> {
    if value.is_empty() || is_masked(value) { value.into() } else { MASK.into() }
}

/// A mask, or one after which a text was cut.
fn is_masked(value: &str) -> bool {
    value.strip_prefix(MASK).is_some_and(|rest| rest.is_empty() || rest.starts_with("… (trunc"))
}

/// Masks `name=value` pairs. The names of a form may be nested (`user[password]`) and encoded.
fn mask_pairs(
    text: &str,
    from: usize,
    separators: &[char],
    names: &HashSet<String>,
    masks: &mut Masks,
) {
    let mut at = from;
    while at < text.len() {
        let end = text[at..].find(separators).map_or(text.len(), |i| at + i);
        if let Some(equals) = text[at..end].find('=') {
            let name = percent_decode(&text[at..at + equals]);
            if among(names, last_segment(name.trim())) {
                masks.add(text, at + equals + 1, end);
            }
        }
        at = end + 1;
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn headers_that_carry_credentials_are_masked_however_they_are_written() {
        let redactor = Redactor::default();
        for name in [
            "Authorization",
            "authorization",
            "COOKIE",
            "Set-Cookie",
            "Proxy-Authorization",
            "X-Api-Key",
            "x_api_key",
            "X-Auth-Token",
            "X-CSRF-Token",
            "HTTP_AUTHORIZATION",
            "HTTP_COOKIE",
        ] {
            assert_eq!(redactor.header(name, "Bearer s3cr3t"), MASK, "{name}");
        }
        for name in ["Accept", "User-Agent", "X-Request-Id", "Content-Type", "http"] {
            assert_eq!(redactor.header(name, "value"), "value", "{name}");
        }
        assert_eq!(redactor.header("Cookie", ""), "", "nothing is nothing to hide");
    }

    #[test]
    fn a_referer_is_a_url() {
        assert_eq!(
            Redactor::default().header("Referer", "https://x/reset?token=abc&a=b"),
            "https://x/reset?token=<redacted>&a=b"
        );
    }

    #[test]
    fn urls_lose_userinfo_and_secret_parameters() {
        let check = |url: &str, expected: &str| {
            assert_eq!(Redactor::default().url(url), expected, "{url}");
        };
        check("http://x/y?z=1", "http://x/y?z=1");
        check("http://me:pw@x/y", "http://<redacted>@x/y");
        check("http://me:p@w@x", "http://<redacted>@x");
        check("http://x/a@b?c=d@e", "http://x/a@b?c=d@e");
        check("//me@x/", "//<redacted>@x/");
        check("/y?token=a&b=c", "/y?token=<redacted>&b=c");
        check("/y?b=c&Access-Token=a;sig=x", "/y?b=c&Access-Token=<redacted>;sig=<redacted>");
        check("/y?user[password]=a", "/y?user[password]=<redacted>");
        check("/y?user%5Bp%61ssword%5D=a", "/y?user%5Bp%61ssword%5D=<redacted>");
        check("/cb#access_token=a&x=y", "/cb#access_token=<redacted>&x=y");
        check("/y?token=&a", "/y?token=&a");
        check("/y?token=é%", "/y?token=<redacted>");
        check("?=&==%=%zé", "?=&==%=%zé");
    }

    #[test]
    fn json_bodies_lose_password_like_fields_at_any_depth() {
        let check = |body: &str, expected: &str| {
            assert_eq!(Redactor::default().body(body), expected, "{body}");
        };
        check(r#"{"a":"password"}"#, r#"{"a":"password"}"#);
        check(
            r#"{"user":{"Password" : "p\"w"},"b":1}"#,
            r#"{"user":{"Password" : "<redacted>"},"b":1}"#,
        );
        check(r#"[{"pass\u0077ord":"x"}]"#, r#"[{"pass\u0077ord":"<redacted>"}]"#);
        check(r#"{"secret":12,"b":true}"#, r#"{"secret":"<redacted>","b":true}"#);
        check(r#"{"token":{"a":["}"]},"b":1}"#, r#"{"token":"<redacted>","b":1}"#);
        check(r#"{"token":["a","b"]}"#, r#"{"token":"<redacted>"}"#);
        check(r#"{"token":null}"#, r#"{"token":null}"#);
    }

    #[test]
    fn a_json_body_that_is_cut_or_broken_is_masked_to_its_end() {
        let check = |body: &str, expected: &str| {
            assert_eq!(Redactor::default().body(body), expected, "{body}");
        };
        check(r#"{"password":"abc"#, r#"{"password":"<redacted>"#);
        check(r#"{"password":"abc\"#, r#"{"password":"<redacted>"#);
        check(r#"{"password":{"a":"b"#, r#"{"password":"<redacted>""#);
        check(r#"{"password":"#, r#"{"password":"#);
        check(r#"{"password":12"#, r#"{"password":"<redacted>""#);
        check(r#"{]"password" : x y, "a": 1"#, r#"{]"password" : "<redacted>", "a": 1"#);
    }

    #[test]
    fn forms_lose_password_like_fields() {
        let check = |body: &str, expected: &str| {
            assert_eq!(Redactor::default().body(body), expected, "{body}");
        };
        check("user=me&password=a+b&x=1", "user=me&password=<redacted>&x=1");
        check("user%5Bpassword%5D=x", "user%5Bpassword%5D=<redacted>");
        check("any text, with = in it", "any text, with = in it");
        check(
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\nab\r\n--b\r\n\
             Content-Disposition: form-data; name=\"x\"\r\n\r\ny\r\n--b--",
            "--b\r\nContent-Disposition: form-data; name=\"password\"\r\n\r\n<redacted>\r\n--b\r\n\
             Content-Disposition: form-data; name=\"x\"\r\n\r\ny\r\n--b--",
        );
    }

    #[test]
    fn names_can_be_added_and_all_of_it_turned_off() {
        let mut redaction = Redaction {
            headers: vec!["X-Tenant".into()],
            url_params: vec!["iban".into()],
            body_fields: vec!["birthday".into()],
            ..Redaction::default()
        };
        let redactor = Redactor::new(&redaction);
        assert_eq!(redactor.header("x-tenant", "a"), MASK);
        assert_eq!(redactor.header("cookie", "a"), MASK);
        assert_eq!(redactor.url("/?IBAN=1"), "/?IBAN=<redacted>");
        assert_eq!(redactor.body(r#"{"birthday":"x"}"#), r#"{"birthday":"<redacted>"}"#);
        redaction.enabled = false;
        let redactor = Redactor::new(&redaction);
        assert_eq!(redactor.header("cookie", "a"), "a");
        assert_eq!(redactor.url("//u:p@x?token=1"), "//u:p@x?token=1");
        assert_eq!(redactor.body("password=a"), "password=a");
        assert_eq!(redactor, {
            let mut off = Redactor::off();
            off.headers = redactor.headers.clone();
            off.url_params = redactor.url_params.clone();
            off.body_fields = redactor.body_fields.clone();
            off
        });
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn masking_is_total_and_masking_twice_changes_nothing_more(
            text in r#"([{\["':=&?#@/\\ \n,}\]-]|password|token|//|"token":|name="pwd"|form-data|[a-zä€]){0,24}"#
        ) {
            let redactor = Redactor::default();
            for once in [redactor.url(&text), redactor.body(&text), redactor.header("Cookie", &text)] {
                prop_assert!(once.len() <= text.len() * 12 + 12);
            }
            let url = redactor.url(&text).into_owned();
            prop_assert_eq!(&redactor.url(&url), &url);
            let body = redactor.body(&text).into_owned();
            prop_assert_eq!(&redactor.body(&body), &body);
        }
    }
}
