//! The web configuration: Prometheus's file format, and roles beyond it.
//!
//! `web:` of the server's configuration and the whole of the gateway's `--web.config` file are
//! this. Nothing is read from the files that it names but where that is asked for.

mod credentials;
mod headers;
mod listener;
mod tls;

use std::collections::BTreeMap;
use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use axum::http::{HeaderName, HeaderValue};
use periskop_core::config::{self, At, Fields, Problem, Problems, Secret};

pub use self::credentials::{Anonymous, Credentials, Token, TokenSecret, User};
pub use self::tls::{ClientAuth, TlsSettings};
use crate::limits::Limits;
use crate::tls::Tls;

/// Who may reach a server or gateway, and how. The default is that of an empty section: plain HTTP,
/// open to everybody.
#[derive(Clone, Debug)]
pub struct WebConfig {
    /// Users, tokens, and what others may do.
    pub credentials: Credentials,
    /// `tls_server_config`; `None` is plain HTTP.
    pub tls: Option<TlsSettings>,
    /// Whether HTTP/2 is spoken; only ever with TLS, as in Prometheus.
    pub http2: bool,
    /// Headers of every answer, in place of our own of the same name.
    pub headers: Vec<(HeaderName, HeaderValue)>,
    /// `rate_limit`: of all requests together.
    pub rate_limit: Option<RateLimit>,
    /// `limits`: how much of the machine clients may take up.
    pub limits: Limits,
}

/// A bucket of tokens, as in Prometheus: `burst` requests at once, then one each `interval`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RateLimit {
    /// Time after which one more request is let through; not zero.
    pub interval: Duration,
    /// Requests that may come at once; at least one.
    pub burst: u32,
}

/// A value that stands in the configuration, or in a file of its own, which is read again when it
/// changes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Source {
    /// The value itself.
    Inline(Secret),
    /// The file that holds it.
    File(PathBuf),
}

/// Why a web configuration cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebConfigError {
    /// The file cannot be read.
    #[error("cannot read {}: {source}", file.display())]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file, or one that it names, can be read and is wrong; the problems stand one a line.
    #[error("{}:\n{problems}", file.display())]
    Wrong {
        /// The file.
        file: PathBuf,
        /// Everything that is wrong with it.
        problems: Problems,
    },
}

impl Default for WebConfig {
    fn default() -> Self {
        Self {
            credentials: Credentials::default(),
            tls: None,
            http2: true,
            headers: Vec::new(),
            rate_limit: None,
            limits: Limits::default(),
        }
    }
}

impl WebConfig {
    /// Reads a file that holds nothing else, and those that it names. Blocks.
    ///
    /// # Errors
    ///
    /// It cannot be read, or anything in it is wrong.
    pub fn load(file: &Path) -> Result<Self, WebConfigError> {
        let text = std::fs::read_to_string(file)
            .map_err(|source| WebConfigError::Unreadable { file: file.into(), source })?;
        let wrong = |problems| WebConfigError::Wrong { file: file.into(), problems };
        let dir = file.parent().unwrap_or(Path::new(""));
        let web = Self::parse(&text, dir).map_err(wrong)?;
        web.check_files("").map_err(wrong)?;
        Ok(web)
    }

    /// Reads the text of a file in the directory `dir`, and no other file.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with it.
    pub fn parse(text: &str, dir: &Path) -> Result<Self, Problems> {
        let root = config::parse(text)?;
        config::decode(&root, |at, problems| Self::decode(at, problems, dir))
    }

    /// Takes a section apart; names of files in it are relative to `dir`.
    pub fn decode(at: &At<'_>, problems: &mut Problems, dir: &Path) -> Option<Self> {
        let mut fields = Fields::new(at, problems)?;
        let credentials = Credentials::decode(&mut fields, dir);
        let tls = fields.section("tls_server_config", |at, p| tls::decode(at, p, dir)).flatten();
        let http = fields.section("http_server_config", headers::decode).unwrap_or_default();
        let rate_limit = fields.section("rate_limit", listener::rate_limit).flatten();
        let limits = fields.section("limits", listener::limits).unwrap_or_default();
        fields.finish();
        let (http2, headers) = (http.http2, http.headers);
        Some(Self { credentials, tls, http2, headers, rate_limit, limits })
    }

    /// Looks into the files that are named: certificates, keys, tokens. `section` is where this
    /// configuration stands in its file, such as `web.`. Blocks.
    ///
    /// # Errors
    ///
    /// Everything that is wrong with them.
    pub fn check_files(&self, section: &str) -> Result<(), Problems> {
        let mut problems = Problems::new();
        let mut note = |path: String, message: String| {
            problems.push(Problem {
                path: format!("{section}{path}"),
                line: 0,
                column: 0,
                message,
            });
        };
        for token in &self.credentials.tokens {
            if let TokenSecret::File(file) = &token.secret
                && let Err(reason) = credentials::read_token(file)
            {
                note(format!("tokens[{}]", token.name), format!("{}: {reason}", file.display()));
            }
        }
        if let Some(Err(error)) = self.tls.as_ref().map(|tls| Tls::new(tls, self.http2)) {
            note("tls_server_config".to_owned(), error.to_string());
        }
        if problems.is_empty() { Ok(()) } else { Err(problems) }
    }

    /// What changes from this to `other` and cannot be taken over while the listener runs, in words.
    pub fn needs_restart(&self, other: &Self) -> Vec<&'static str> {
        [
            ("tls_server_config on or off", self.tls.is_some() != other.tls.is_some()),
            ("http_server_config.http2", self.http2 != other.http2),
            ("limits", self.limits != other.limits),
        ]
        .into_iter()
        .filter_map(|(what, changed)| changed.then_some(what))
        .collect()
    }

    /// Who may do what, in a line for people: at the start, on the status page.
    pub fn in_words(&self) -> String {
        self.credentials.in_words()
    }
}

pub(crate) use self::credentials::read_token;

/// Names and roles of users.
pub(crate) type Users = BTreeMap<String, User>;

#[cfg(test)]
mod tests;
