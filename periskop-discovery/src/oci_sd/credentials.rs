//! Who we are to Oracle Cloud: a user's key, or the certificate of the instance that we run on.
//!
//! An instance trades its certificate for a token at the federation endpoint of its region and
//! signs with the token as the key's name. Oracle's clients make a key for each token; ours says
//! that the certificate's own key is used, since `ring` makes no RSA keys.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use periskop_core::config::Secret;
use periskop_core::discovery::DiscoveryError;
use reqwest::header::{AUTHORIZATION, DATE, HeaderName};
use ring::digest::{SHA256, digest};
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use serde::Deserialize;
use serde_json::json;
use tokio::sync::Mutex;
use tokio::time::Instant;
use url::Url;

use super::ApiKey;
use crate::backend::{Answer, Backend, shown};
use crate::build::{BuildError, BuildOptions};
use crate::http_client::{HttpClientConfig, read_text};
use crate::metadata::{LINK_LOCAL, MetadataServer};
use crate::rsa_key::{KeyError, RsaKey};
use crate::token::{ANSWER_LIMIT, expiry, remaining};

/// A token is renewed this long before it ends.
const EARLY: Duration = Duration::from_secs(60);
const CONTENT_SHA: HeaderName = HeaderName::from_static("x-content-sha256");
const JSON: &str = "application/json";

/// What signs requests.
#[derive(Clone)]
pub(super) struct Signer {
    pub(super) tenancy: String,
    /// What the key is known by; of an instance it holds a token.
    pub(super) key_id: Secret,
    pub(super) key: Arc<RsaKey>,
}

pub(super) enum Credentials {
    ApiKey(ApiKey),
    Instance(Box<Instance>),
}

pub(super) struct Instance {
    metadata: MetadataServer,
    /// Where under the server's address everything is.
    base: String,
    backend: Backend,
    options: BuildOptions,
    /// The signer of the current token, and when it is to be renewed.
    current: Mutex<Option<(Signer, Option<Instant>)>>,
}

impl Credentials {
    pub(super) fn api_key(key: &ApiKey) -> Self {
        Self::ApiKey(key.clone())
    }

    pub(super) fn instance(
        http: &HttpClientConfig,
        options: &BuildOptions,
    ) -> Result<Self, BuildError> {
        let base = match options.environment.get("OCI_METADATA_BASE_URL") {
            Some(base) => Url::parse(&base).map_err(|error| {
                BuildError::Missing(format!("OCI_METADATA_BASE_URL is no URL: {error}"))
            })?,
            None => {
                let mut base = options.origin(LINK_LOCAL)?;
                base.set_path("/opc/v2");
                base
            }
        };
        let path = base.path().trim_end_matches('/').to_owned();
        let http = HttpClientConfig { follow_redirects: false, auth: None, ..http.clone() };
        Ok(Self::Instance(Box::new(Instance {
            metadata: MetadataServer::new(options, base, (AUTHORIZATION, "Bearer Oracle"))?,
            base: path,
            backend: Backend::new(&http, options, Duration::ZERO)?,
            options: options.clone(),
            current: Mutex::default(),
        })))
    }

    /// What signs as of now: a key's file is read again, a token is renewed before it ends.
    pub(super) async fn signer(&self) -> Result<Signer, DiscoveryError> {
        match self {
            Self::ApiKey(key) => signer_of_file(key).await,
            Self::Instance(instance) => instance.signer().await,
        }
    }

    /// Forgets the token, if it is one, which was refused.
    pub(super) async fn forget(&self) {
        if let Self::Instance(instance) = self {
            *instance.current.lock().await = None;
        }
    }
}

async fn signer_of_file(key: &ApiKey) -> Result<Signer, DiscoveryError> {
    let unusable = |reason| DiscoveryError::Unreachable {
        endpoint: "Oracle Cloud credentials".into(),
        reason,
    };
    let pem = read_text(&key.key_file).await.map_err(|error| unusable(error.to_string()))?;
    let passphrase = match &key.key_passphrase_file {
        Some(file) => read_text(file).await.map_err(|error| unusable(error.to_string()))?,
        None => key.key_passphrase.clone(),
    };
    // Decrypting is made slow on purpose.
    let parsed = tokio::task::spawn_blocking(move || {
        RsaKey::from_encrypted_pem(pem.expose().as_bytes(), &passphrase)
    });
    let parsed = parsed.await.map_err(|_| unusable("reading the key was cut off".into()))?;
    let parsed = parsed.map_err(|error| {
        let hint = match error {
            KeyError::Encrypted => ", or as PKCS#8 with a key_passphrase",
            _ => "",
        };
        unusable(format!("{}: {error}{hint}", key.key_file.display()))
    })?;
    let key_id = format!("{}/{}/{}", key.tenancy, key.user, key.fingerprint);
    Ok(Signer { tenancy: key.tenancy.clone(), key_id: Secret::new(key_id), key: Arc::new(parsed) })
}

#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct RegionInfo {
    region_identifier: String,
    realm_domain_component: String,
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Federated {
    token: String,
}

impl Instance {
    async fn signer(&self) -> Result<Signer, DiscoveryError> {
        let mut current = self.current.lock().await;
        if let Some((signer, renew)) = &*current
            && renew.is_none_or(|renew| Instant::now() < renew)
        {
            return Ok(signer.clone());
        }
        let asked = Instant::now();
        let (signer, token) = self.federate().await?;
        let lifetime = expiry(token.expose()).map(remaining);
        let renew = lifetime.and_then(|life| asked.checked_add(life.saturating_sub(EARLY)));
        *current = Some((signer.clone(), renew));
        Ok(signer)
    }

    async fn federate(&self) -> Result<(Signer, Secret), DiscoveryError> {
        let region: RegionInfo = self.ask("/instance/regionInfo").await?.json()?;
        let certificate = self.ask("/identity/cert.pem").await?;
        let intermediate = self.ask("/identity/intermediate.pem").await?;
        let key = self.ask("/identity/key.pem").await?;
        let parsed = RsaKey::from_pem(&key.body).map_err(|error| key.invalid(error.to_string()))?;
        let leaf = der(&certificate)?;
        let tenancy = tenancy(&leaf)
            .ok_or_else(|| certificate.invalid("the certificate names no tenancy"))?;
        let (region, domain) = (region.region_identifier, region.realm_domain_component);
        let origin = format!("https://auth.{region}.{domain}");
        let mut url = self.options.origin(&origin).map_err(|error| DiscoveryError::Invalid {
            endpoint: origin,
            reason: error.to_string(),
        })?;
        url.set_path("/v1/x509");
        let key_id = Secret::new(format!("{tenancy}/fed-x509-sha256/{}", fingerprint(&leaf)));
        let mut signer = Signer { tenancy, key_id, key: Arc::new(parsed) };
        let body = json!({
            "certificate": STANDARD.encode(&leaf),
            "publicKey": STANDARD.encode(signer.key.public_key_info()),
            "intermediateCertificates": [STANDARD.encode(der(&intermediate)?)],
            "fingerprintAlgorithm": "SHA256",
        })
        .to_string();
        let token = self.trade(&signer, url, body).await?;
        signer.key_id = Secret::new(format!("ST${}", token.expose()));
        Ok((signer, token))
    }

    async fn trade(
        &self,
        signer: &Signer,
        url: Url,
        body: String,
    ) -> Result<Secret, DiscoveryError> {
        let date = httpdate::fmt_http_date(SystemTime::now());
        let (length, sha) =
            (body.len().to_string(), STANDARD.encode(digest(&SHA256, body.as_bytes())));
        let signed =
            [("content-length", &*length), ("content-type", JSON), ("x-content-sha256", &*sha)];
        let unusable = |error: KeyError| DiscoveryError::Unreachable {
            endpoint: shown(&url),
            reason: error.to_string(),
        };
        let signature = signer.sign("POST", &url, &date, &signed).map_err(unusable)?;
        let call = self.backend.post(url).header(DATE, &date).header(CONTENT_SHA, &sha);
        let call = call.credential(AUTHORIZATION, &signature).body(JSON, body);
        let answer = call.limit(ANSWER_LIMIT).send().await?.success()?;
        let federated: Result<Federated, _> = answer.json();
        match federated {
            Ok(federated) if !federated.token.is_empty() => Ok(Secret::new(federated.token)),
            // The parser's own message is not passed on: it may quote the token.
            _ => Err(answer.invalid("the answer holds no token")),
        }
    }

    async fn ask(&self, path: &str) -> Result<Answer, DiscoveryError> {
        let call = self.metadata.get(&format!("{}{path}", self.base), &[]);
        let answer = call.limit(ANSWER_LIMIT).send().await?;
        // Nothing of the body, which might be a key.
        if !answer.status.is_success() {
            return Err(answer.invalid(answer.status.to_string()));
        }
        Ok(answer)
    }
}

fn der(answer: &Answer) -> Result<CertificateDer<'static>, DiscoveryError> {
    CertificateDer::from_pem_slice(&answer.body).map_err(|_| answer.invalid("no PEM certificate"))
}

/// The tenancy, which the certificate's subject holds as `opc-tenant:OCID`: a string of ASN.1,
/// whose length in one byte stands before it.
fn tenancy(certificate: &[u8]) -> Option<String> {
    const MARK: &[u8] = b"opc-tenant:";
    let at = certificate.windows(MARK.len()).position(|window| window == MARK)?;
    let length = usize::from(*certificate.get(at.checked_sub(1)?)?);
    let text = certificate.get(at.checked_add(MARK.len())?..at.checked_add(length)?)?;
    String::from_utf8(text.to_vec()).ok().filter(|text| !text.is_empty())
}

/// `aa:bb:…` of the whole certificate.
fn fingerprint(certificate: &[u8]) -> String {
    let mut text = String::new();
    for (i, byte) in digest(&SHA256, certificate).as_ref().iter().enumerate() {
        let separator = if i == 0 { "" } else { ":" };
        let _ = write!(text, "{separator}{byte:02x}"); // to a string: cannot fail
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::environment::Environment;
    use crate::rsa_key::tests::PEM;
    use crate::testing_backend::Recorder;

    /// A certificate as far as it is looked at.
    fn certificate(subject: &str) -> String {
        let length = u8::try_from(subject.len()).expect("short");
        let der = [&[0x0c, length], subject.as_bytes(), b"rest"].concat();
        let body = STANDARD.encode(der);
        format!("-----BEGIN CERTIFICATE-----\n{body}\n-----END CERTIFICATE-----\n")
    }

    #[tokio::test]
    async fn an_instance_trades_its_certificate_for_a_token_and_keeps_it() {
        let recorder = Recorder::answering_by(|request| {
            let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
            let body = match path.as_str() {
                "/opc/v2/instance/regionInfo" => {
                    r#"{"regionIdentifier":"r-1","realmDomainComponent":"oracle.example"}"#.into()
                }
                "/opc/v2/identity/key.pem" => PEM.to_owned(),
                "/v1/x509" => r#"{"token":"tok"}"#.to_owned(),
                _ => certificate("opc-tenant:ocid1.tenancy.x"),
            };
            (200, body)
        })
        .await;
        let options = BuildOptions {
            environment: Environment::fixed([("", "")]),
            origins: [LINK_LOCAL, "https://auth.r-1.oracle.example"]
                .map(|origin| (origin.to_owned(), recorder.url()))
                .into(),
            ..BuildOptions::default()
        };
        let credentials = Credentials::instance(&HttpClientConfig::default(), &options).unwrap();
        let signer = credentials.signer().await.unwrap();
        assert_eq!(
            (signer.tenancy.as_str(), signer.key_id.expose()),
            ("ocid1.tenancy.x", "ST$tok")
        );
        credentials.signer().await.unwrap();
        let requests = recorder.requests();
        assert_eq!(requests.len(), 5);
        assert!(requests[4].starts_with("POST /v1/x509 {\"certificate\":"), "{requests:?}");
    }

    #[tokio::test]
    async fn a_key_that_cannot_be_used_is_told_by_its_file() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), include_bytes!("encrypted_key.pem")).unwrap();
        let key = ApiKey {
            tenancy: "t".into(),
            user: "u".into(),
            fingerprint: "f".into(),
            key_file: file.path().into(),
            key_passphrase: Secret::new("hunter2"),
            key_passphrase_file: None,
        };
        let error = Credentials::api_key(&key).signer().await.err().unwrap().to_string();
        assert!(error.contains(&file.path().display().to_string()), "{error}");
        assert!(error.ends_with("cannot be decrypted with the passphrase"), "{error}");
        assert!(!format!("{key:?}").contains("hunter2"));
    }
}
