//! Signature Version 4: how AWS, and clouds that speak its language, know who asks.
//!
//! Own code because the crate for it brings thirty more, for what is a hundred lines over the
//! hash functions of ring, which TLS uses anyway. Tested with the vectors that AWS publishes.

use std::fmt::Write as _;

use periskop_core::Timestamp;
use reqwest::header::{AUTHORIZATION, HeaderName};
use ring::{digest, hmac};
use url::Url;

use super::credentials::Credentials;

/// What is signed, and for whom.
pub(crate) struct Signing<'a> {
    /// The method of HTTP.
    pub(crate) method: &'a str,
    /// Where it goes.
    pub(crate) url: &'a Url,
    /// Headers that are sent and signed, beside the host: names in lower case.
    pub(crate) headers: &'a [(HeaderName, &'a str)],
    /// The body.
    pub(crate) body: &'a [u8],
    /// The region that the credentials are used in.
    pub(crate) region: &'a str,
    /// The name of the service in signatures, such as `ec2`.
    pub(crate) service: &'a str,
}

impl Signing<'_> {
    /// The headers that say who asks. All of them are credentials.
    pub(crate) fn headers(
        &self,
        credentials: &Credentials,
        at: Timestamp,
    ) -> Vec<(HeaderName, String)> {
        let time = basic_format(at);
        let date = time.get(..8).unwrap_or_default().to_owned();
        let mut added = vec![(HeaderName::from_static("x-amz-date"), time.clone())];
        if let Some(token) = &credentials.session_token {
            let name = HeaderName::from_static("x-amz-security-token");
            added.push((name, token.expose().to_owned()));
        }

        let scope = format!("{date}/{}/{}/aws4_request", self.region, self.service);
        let (canonical, signed) = self.canonical_request(&added);
        let to_sign =
            format!("AWS4-HMAC-SHA256\n{time}\n{scope}\n{}", sha256(canonical.as_bytes()));
        let mut key = format!("AWS4{}", credentials.secret_key.expose()).into_bytes();
        for part in [&date, self.region, self.service, "aws4_request"] {
            key = hmac_sha256(&key, part.as_bytes());
        }
        let signature = hex(&hmac_sha256(&key, to_sign.as_bytes()));
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential={}/{scope}, SignedHeaders={signed}, Signature={signature}",
            credentials.access_key
        );
        added.push((AUTHORIZATION, authorization));
        added
    }

    /// The request in the one form that both sides can make of it, and the names of its headers.
    fn canonical_request(&self, added: &[(HeaderName, String)]) -> (String, String) {
        let mut headers: Vec<(&str, String)> = vec![("host", host(self.url))];
        headers.extend(self.headers.iter().map(|(name, value)| (name.as_str(), trimmed(value))));
        headers.extend(added.iter().map(|(name, value)| (name.as_str(), trimmed(value))));
        headers.sort();
        let names: Vec<_> = headers.iter().map(|(name, _)| *name).collect();
        let signed = names.join(";");
        let lines: String =
            headers.iter().map(|(name, value)| format!("{name}:{value}\n")).collect();

        let mut query: Vec<_> = self
            .url
            .query_pairs()
            .map(|(name, value)| (encoded(&name, ""), encoded(&value, "")))
            .collect();
        query.sort();
        let query: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
        // What is encoded in the path is encoded once more: so do all services but S3.
        let path = encoded(self.url.path(), "/");
        let canonical = format!(
            "{}\n{path}\n{}\n{lines}\n{signed}\n{}",
            self.method,
            query.join("&"),
            sha256(self.body)
        );
        (canonical, signed)
    }
}

/// As it is sent: with the port, where it is not the one of the scheme.
fn host(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

fn trimmed(value: &str) -> String {
    value.split(' ').filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" ")
}

/// Percent-encoded but for RFC 3986's unreserved characters and those of `kept`.
pub(crate) fn encoded(text: &str, kept: &str) -> String {
    let mut encoded = String::with_capacity(text.len());
    for byte in text.bytes() {
        let c = char::from(byte);
        if byte.is_ascii_alphanumeric() || "-._~".contains(c) || kept.contains(c) {
            encoded.push(c);
        } else {
            let _ = write!(encoded, "%{byte:02X}"); // to a string: cannot fail
        }
    }
    encoded
}

/// `20150830T123600Z`
fn basic_format(at: Timestamp) -> String {
    let text = at.to_string();
    let whole = text.split('.').next().unwrap_or_default();
    let mut basic: String = whole.chars().filter(|c| !matches!(c, '-' | ':')).collect();
    basic.push('Z');
    basic
}

fn sha256(data: &[u8]) -> String {
    hex(digest::digest(&digest::SHA256, data).as_ref())
}

fn hmac_sha256(key: &[u8], data: &[u8]) -> Vec<u8> {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), data).as_ref().to_vec()
}

fn hex(bytes: &[u8]) -> String {
    let mut hex = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        let _ = write!(hex, "{byte:02x}"); // to a string: cannot fail
    }
    hex
}

#[cfg(test)]
mod tests {
    use super::*;
    use periskop_core::config::Secret;

    fn credentials(session_token: Option<&str>) -> Credentials {
        Credentials {
            access_key: "AKIDEXAMPLE".into(),
            secret_key: Secret::new("wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY"),
            session_token: session_token.map(Secret::new),
            expires: None,
        }
    }

    fn signed(signing: &Signing<'_>, credentials: &Credentials) -> String {
        let at = Timestamp::parse("2015-08-30T12:36:00Z").unwrap();
        signing.headers(credentials, at).pop().unwrap().1
    }

    /// Method, URL, further headers, body, session token; names of the signed headers, signature.
    type Vector = (
        &'static str,
        &'static str,
        &'static [(&'static str, &'static str)],
        &'static str,
        Option<&'static str>,
        &'static str,
        &'static str,
    );

    /// From the signing test suite of AWS (`aws-c-auth`): get-vanilla, get-vanilla-query-order-encoded,
    /// get-header-value-trim, post-x-www-form-urlencoded, post-sts-header-before.
    const VECTORS: [Vector; 5] = [
        (
            "GET",
            "https://example.amazonaws.com/",
            &[],
            "",
            None,
            "host;x-amz-date",
            "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31",
        ),
        (
            "GET",
            "https://example.amazonaws.com/?Param-3=Value3&Param=Value2&%E1%88%B4=Value1",
            &[],
            "",
            None,
            "host;x-amz-date",
            "371d3713e185cc334048618a97f809c9ffe339c62934c032af5a0e595648fcac",
        ),
        (
            "GET",
            "https://example.amazonaws.com/",
            &[("my-header1", " value1"), ("my-header2", "\"a   b   c\"")],
            "",
            None,
            "host;my-header1;my-header2;x-amz-date",
            "acc3ed3afb60bb290fc8d2dd0098b9911fcaa05412b367055dee359757a9c736",
        ),
        (
            "POST",
            "https://example.amazonaws.com/",
            &[
                ("content-length", "13"),
                ("content-type", "application/x-www-form-urlencoded"),
                (
                    "x-amz-content-sha256",
                    "9095672bbd1f56dfc5b65f3e153adc8731a4a654192329106275f4c7b24d0b6e",
                ),
            ],
            "Param1=value1",
            None,
            "content-length;content-type;host;x-amz-content-sha256;x-amz-date",
            "d3875051da38690788ef43de4db0d8f280229d82040bfac253562e56c3f20e0b",
        ),
        (
            "POST",
            "https://example.amazonaws.com/",
            &[],
            "",
            Some(
                "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwA\
                 eMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8p\
                 hUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT\
                 38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabI\
                 Qwj2ICCR/oLxBA==",
            ),
            "host;x-amz-date;x-amz-security-token",
            "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead",
        ),
    ];

    #[test]
    fn the_vectors_that_aws_publishes_are_signed_as_published() {
        for (method, url, headers, body, token, names, signature) in VECTORS {
            let headers: Vec<_> =
                headers.iter().map(|(n, v)| (HeaderName::from_static(n), *v)).collect();
            let signing = Signing {
                method,
                url: &Url::parse(url).unwrap(),
                headers: &headers,
                body: body.as_bytes(),
                region: "us-east-1",
                service: "service",
            };
            let wanted = format!(
                "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, \
                 SignedHeaders={names}, Signature={signature}"
            );
            assert_eq!(signed(&signing, &credentials(token)), wanted, "{method} {url}");
        }
    }

    #[test]
    fn a_path_that_is_encoded_is_encoded_again() {
        let url = Url::parse("http://h:81/v1/clusters/arn%3Aaws%2Fx/nodes").unwrap();
        let signing = Signing {
            method: "GET",
            url: &url,
            headers: &[],
            body: b"",
            region: "r",
            service: "kafka",
        };
        let (canonical, _) = signing.canonical_request(&[]);
        let wanted = "GET\n/v1/clusters/arn%253Aaws%252Fx/nodes\n\nhost:h:81\n\nhost\n";
        assert!(canonical.starts_with(wanted), "{canonical}");
    }
}
