//! The address under which people reach the server, where that is not the one it listens on.

use std::fmt;
use std::str::FromStr;

use url::Url;

/// An external URL, as Prometheus's `--web.external-url`: links lead there, and everything is below
/// its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExternalUrl(Url);

/// A text that is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("expected a URL such as https://tools.example.com/periskop, without query and credentials")]
pub struct BadExternalUrl;

impl ExternalUrl {
    /// The path below which everything is, without a slash at its end; empty at the root.
    pub fn path(&self) -> &str {
        self.0.path().trim_end_matches('/')
    }

    /// Host and, where it is not the scheme's, port: what `Host` says.
    pub fn authority(&self) -> String {
        let host = self.0.host_str().unwrap_or_default();
        match self.0.port() {
            Some(port) => format!("{host}:{port}"),
            None => host.to_owned(),
        }
    }
}

impl FromStr for ExternalUrl {
    type Err = BadExternalUrl;

    fn from_str(text: &str) -> Result<Self, BadExternalUrl> {
        let url = Url::parse(text).map_err(|_| BadExternalUrl)?;
        let is_plain = url.query().is_none() && url.fragment().is_none();
        let is_anonymous = url.username().is_empty() && url.password().is_none();
        // Patterns of routes are made of it.
        let is_path = !url.path().contains(['{', '}', '*', ':', '%']) && !url.path().contains("//");
        let is_http = matches!(url.scheme(), "http" | "https") && url.has_host();
        if is_plain && is_anonymous && is_path && is_http {
            Ok(Self(url))
        } else {
            Err(BadExternalUrl)
        }
    }
}

impl fmt::Display for ExternalUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_the_path_and_the_host() {
        for (text, path, authority) in [
            ("https://tools.example.com/periskop/", "/periskop", "tools.example.com"),
            ("http://localhost:7777", "", "localhost:7777"),
            ("http://[::1]:80/a/b", "/a/b", "[::1]"),
        ] {
            let url: ExternalUrl = text.parse().unwrap();
            assert_eq!((url.path(), url.authority().as_str()), (path, authority));
        }
    }

    #[test]
    fn what_no_link_can_begin_with_is_refused() {
        for text in [
            "/periskop",
            "tools.example.com/periskop",
            "ftp://tools.example.com",
            "https://ada:secret@tools.example.com",
            "https://tools.example.com/?a=b",
            "https://tools.example.com/#a",
            "https://tools.example.com/{a}",
            "https://tools.example.com//a",
        ] {
            assert_eq!(text.parse::<ExternalUrl>(), Err(BadExternalUrl), "{text}");
        }
    }
}
