//! One request to a gateway: connections, TLS and credentials as they are now.

use std::fmt;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::prelude::BASE64_STANDARD as STANDARD;
use ureq::Agent;
use ureq::http::Uri;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, parse_pem};

use super::error::PushError;

/// Text that is given, or in a file that is read at each push: credentials are exchanged without a
/// restart.
#[derive(Clone)]
pub(super) enum Source {
    Inline(Vec<u8>),
    File(PathBuf),
}

/// How the pusher says who it is.
#[derive(Clone)]
pub(super) enum Credentials {
    Basic { user: String, password: Source },
    Bearer(Source),
}

/// Certificates, as settings.
#[derive(Clone, Default)]
pub(super) struct Tls {
    pub(super) ca: Option<Source>,
    pub(super) client: Option<(Source, Source)>,
}

/// Where to, and how.
pub(super) struct Transport {
    pub(super) url: Uri,
    pub(super) credentials: Option<Credentials>,
    pub(super) tls: Tls,
    pub(super) proxy_from_environment: bool,
    pub(super) current: ArcSwapOption<Current>,
}

/// Connections of one process with one set of certificates.
pub(super) struct Current {
    pid: u32,
    material: Material,
    agent: Agent,
}

/// The certificates as they are now: two that are equal make the same TLS.
#[derive(Clone, Default, PartialEq, Eq)]
struct Material {
    ca: Option<Vec<u8>>,
    client: Option<(Vec<u8>, Vec<u8>)>,
}

/// How much of what a gateway says about a failure is kept, in bytes.
const SAID: usize = 300;

impl Transport {
    /// Posts a payload, in so much time at most.
    pub(super) fn post(
        &self,
        body: &[u8],
        encoding: Option<&str>,
        within: Duration,
    ) -> Result<(), PushError> {
        let agent = self.agent()?;
        let mut request = agent
            .post(&self.url)
            .config()
            .timeout_global(Some(within))
            .build()
            .header("content-type", "application/json");
        if let Some(encoding) = encoding {
            request = request.header("content-encoding", encoding);
        }
        if let Some(credentials) = &self.credentials {
            request = request.header("authorization", credentials.header()?);
        }
        let mut response = request.send(body).map_err(|error| failure(error, within))?;
        let status = response.status();
        if status.is_success() {
            return Ok(());
        }
        let header = |name: &str| response.headers().get(name).and_then(|v| v.to_str().ok());
        if status.is_redirection() {
            let to = header("location").map_or_else(|| "an unnamed place".into(), without_secrets);
            return Err(PushError::Redirected { status: status.as_u16(), to });
        }
        // A date instead of seconds, which is allowed too, is left to our own pauses.
        let retry_after = header("retry-after").and_then(|wait| wait.trim().parse().ok());
        let retry_after = retry_after.map(Duration::from_secs);
        let mut said = Vec::new();
        // What cannot be read of an explanation is not worth another error.
        let _ = response.body_mut().as_reader().take(SAID as u64).read_to_end(&mut said);
        let said: String = String::from_utf8_lossy(&said)
            .chars()
            .map(|c| if c.is_control() { ' ' } else { c })
            .collect();
        let said = said.trim().to_owned();
        Err(PushError::Answered { status: status.as_u16(), said, retry_after })
    }

    /// The connections, new ones where certificates have changed, or in a child: a lock of the
    /// parent's may be held there for ever.
    fn agent(&self) -> Result<Agent, PushError> {
        let pid = std::process::id();
        let material = Material::read(&self.tls)?;
        if let Some(current) = self.current.load().as_ref()
            && current.pid == pid
            && current.material == material
        {
            return Ok(current.agent.clone());
        }
        // The system's authorities are many; without TLS they need not be read.
        let is_plain = self.url.scheme_str() == Some("http") && !self.proxy_from_environment;
        let tls = if is_plain { TlsConfig::default() } else { material.build()? };
        let proxy = if self.proxy_from_environment { ureq::Proxy::try_from_env() } else { None };
        let config = Agent::config_builder()
            .tls_config(tls)
            .proxy(proxy)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .user_agent(concat!("periskop-client/", env!("CARGO_PKG_VERSION")))
            .build();
        let agent = Agent::new_with_config(config);
        let current = Current { pid, material, agent: agent.clone() };
        // In a child the parent's connections are left alone: closing them would say goodbye in the
        // parent's name.
        if let Some(before) = self.current.swap(Some(Arc::new(current)))
            && before.pid != pid
        {
            std::mem::forget(before);
        }
        Ok(agent)
    }
}

impl Source {
    pub(super) fn read(&self) -> Result<Vec<u8>, PushError> {
        match self {
            Self::Inline(text) => Ok(text.clone()),
            Self::File(path) => std::fs::read(path)
                .map_err(|source| PushError::File { path: path.clone(), source: Arc::new(source) }),
        }
    }

    /// A secret: a line feed at the end of a file is none of it.
    fn secret(&self, setting: &'static str) -> Result<String, PushError> {
        let text = String::from_utf8(self.read()?)
            .map_err(|_| PushError::Setting { setting, reason: "it is no UTF-8".into() })?;
        Ok(match self {
            Self::Inline(_) => text,
            Self::File(_) => text.trim_end_matches(['\r', '\n']).to_owned(),
        })
    }
}

impl From<&Path> for Source {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl Credentials {
    fn header(&self) -> Result<ureq::http::HeaderValue, PushError> {
        let (setting, text) = match self {
            Self::Basic { user, password } => {
                let password = password.secret("the password")?;
                let encoded = STANDARD.encode(format!("{user}:{password}"));
                ("the password", format!("Basic {encoded}"))
            }
            Self::Bearer(token) => {
                ("the bearer token", format!("Bearer {}", token.secret("the bearer token")?))
            }
        };
        let mut value =
            ureq::http::HeaderValue::try_from(text).map_err(|_| PushError::Setting {
                setting,
                reason: "it has characters that no header may have".into(),
            })?;
        value.set_sensitive(true);
        Ok(value)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic",
            Self::Bearer(_) => "Bearer",
        })
    }
}

impl Material {
    fn read(tls: &Tls) -> Result<Self, PushError> {
        let ca = tls.ca.as_ref().map(Source::read).transpose()?;
        let client = match &tls.client {
            Some((certificate, key)) => Some((certificate.read()?, key.read()?)),
            None => None,
        };
        Ok(Self { ca, client })
    }

    fn build(&self) -> Result<TlsConfig, PushError> {
        let roots = match &self.ca {
            Some(ca) => certificates("the certificate authority", ca)?,
            // The system's rather than a copy of Mozilla's list: an authority of one's own,
            // installed on the host, works, and so do SSL_CERT_FILE and SSL_CERT_DIR.
            None => {
                let found = rustls_native_certs::load_native_certs().certs;
                found
                    .iter()
                    .map(|certificate| Certificate::from_der(certificate).to_owned())
                    .collect()
            }
        };
        let mut client = None;
        if let Some((certificate, key)) = &self.client {
            let chain = certificates("the client certificate", certificate)?;
            // The parser's own message is not passed on: it may quote the key.
            let key = PrivateKey::from_pem(key).map_err(|_| PushError::Setting {
                setting: "the client's key",
                reason: "it holds no PEM private key".into(),
            })?;
            client = Some(ClientCert::new_with_certs(&chain, key));
        }
        Ok(TlsConfig::builder()
            .root_certs(RootCerts::new_with_certs(&roots))
            .client_cert(client)
            .build())
    }
}

fn certificates(setting: &'static str, pem: &[u8]) -> Result<Vec<Certificate<'static>>, PushError> {
    let items = parse_pem(pem).filter_map(|item| match item {
        Ok(PemItem::Certificate(certificate)) => Some(Ok(certificate)),
        Ok(_) => None,
        Err(error) => Some(Err(error)),
    });
    let found: Vec<_> = items
        .collect::<Result<_, _>>()
        .map_err(|error| PushError::Setting { setting, reason: error.to_string() })?;
    if found.is_empty() {
        return Err(PushError::Setting { setting, reason: "it holds no PEM certificate".into() });
    }
    Ok(found)
}

fn failure(error: ureq::Error, within: Duration) -> PushError {
    match error {
        ureq::Error::Timeout(_) => PushError::TimedOut { after: within },
        other => PushError::Unreachable { reason: other.to_string() },
    }
}

/// A place without userinfo and parameters.
fn without_secrets(place: &str) -> String {
    let place = place.split(['?', '#']).next().unwrap_or_default();
    match place.split_once("//") {
        Some((scheme, rest)) => {
            let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
            let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
            format!("{scheme}//{host}/{path}")
        }
        None => place.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_told_without_its_secrets() {
        let check = |place: &str, expected: &str| assert_eq!(without_secrets(place), expected);
        check("https://me:pw@gw.example/errors?token=x#y", "https://gw.example/errors");
        check("https://gw.example", "https://gw.example/");
        check("/errors?token=x", "/errors");
    }
}
