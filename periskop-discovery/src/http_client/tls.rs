//! TLS as configured, built anew when one of its files changes.

use std::sync::{Arc, OnceLock};

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

use super::secret::Text;
use super::settings::{TlsConfig, TlsVersion};
use super::{HttpError, Source};

/// The certificates and keys of a [`TlsConfig`] as they are now. Two that are equal make the same
/// TLS; comparing contents instead of file times misses no change, however fast.
#[derive(Clone, Default, PartialEq, Eq)]
pub(super) struct TlsMaterial {
    ca: Option<Vec<u8>>,
    cert: Option<Vec<u8>>,
    key: Option<Vec<u8>>,
}

impl TlsMaterial {
    /// Reads what the settings name. Blocks.
    pub(super) fn read(tls: &TlsConfig) -> Result<Self, HttpError> {
        let mut material = Self::default();
        if let Some(ca) = &tls.ca {
            material.ca = Some(pem(ca)?);
        }
        if let Some(client) = &tls.client_cert {
            material.cert = Some(pem(&client.cert)?);
            material.key = Some(pem(&client.key)?);
        }
        Ok(material)
    }

    /// Whether anything could change while we run.
    pub(super) fn is_on_disk(tls: &TlsConfig) -> bool {
        fn file<T>(source: &Source<T>) -> bool {
            matches!(source, Source::File(_))
        }
        tls.ca.as_ref().is_some_and(file)
            || tls.client_cert.as_ref().is_some_and(|c| file(&c.cert) || file(&c.key))
    }

    /// The TLS that these make, for any protocol within.
    pub(super) fn build(&self, tls: &TlsConfig) -> Result<ClientConfig, HttpError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(provider.clone())
            .with_protocol_versions(&versions(tls))
            .map_err(|_| invalid("min_version", "no version of TLS up to max_version is spoken"))?
            .dangerous()
            .with_custom_certificate_verifier(self.verifier(tls, provider)?);
        match (&self.cert, &self.key) {
            (Some(cert), Some(key)) => builder
                .with_client_auth_cert(certificates("cert", cert)?, private_key(key)?)
                .map_err(|e| invalid("cert", e.to_string())),
            _ => Ok(builder.with_no_client_auth()),
        }
    }

    fn verifier(
        &self,
        tls: &TlsConfig,
        provider: Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ServerCertVerifier>, HttpError> {
        if tls.insecure_skip_verify {
            return Ok(Arc::new(AcceptAny(provider)));
        }
        let (roots, pinned) = match &self.ca {
            Some(ca) => {
                let certificates = certificates("ca", ca)?;
                let mut roots = RootCertStore::empty();
                roots.add_parsable_certificates(certificates.iter().cloned());
                if roots.is_empty() {
                    return Err(invalid("ca", "holds no usable certificate"));
                }
                (Arc::new(roots), certificates)
            }
            None => (system_roots(), Vec::new()),
        };
        // Without a single authority nothing can be verified; that must not keep plain HTTP from
        // working (a container built from scratch has none).
        if roots.is_empty() {
            return Ok(Arc::new(TrustNone(provider)));
        }
        let inner = WebPkiServerVerifier::builder_with_provider(roots, provider)
            .build()
            .map_err(|e| invalid("ca", e.to_string()))?;
        let expected = match &tls.server_name {
            Some(name) => Some(
                ServerName::try_from(name.clone())
                    .map_err(|_| invalid("server_name", "neither a DNS name nor an IP address"))?,
            ),
            None => None,
        };
        Ok(Arc::new(Verify { inner, expected, pinned }))
    }
}

/// The system's authorities, read once. They are the system's rather than a copy of Mozilla's list
/// compiled in: an authority of one's own, installed on the host, works as it does with Go, and so
/// do `SSL_CERT_FILE` and `SSL_CERT_DIR`.
fn system_roots() -> Arc<RootCertStore> {
    static ROOTS: OnceLock<Arc<RootCertStore>> = OnceLock::new();
    ROOTS
        .get_or_init(|| {
            let found = rustls_native_certs::load_native_certs();
            for error in &found.errors {
                tracing::warn!(%error, "cannot read some of the system's certificates");
            }
            let mut roots = RootCertStore::empty();
            roots.add_parsable_certificates(found.certs);
            Arc::new(roots)
        })
        .clone()
}

fn versions(tls: &TlsConfig) -> Vec<&'static rustls::SupportedProtocolVersion> {
    [(TlsVersion::Tls12, &rustls::version::TLS12), (TlsVersion::Tls13, &rustls::version::TLS13)]
        .into_iter()
        .filter(|(version, _)| tls.min_version.is_none_or(|min| min <= *version))
        .filter(|(version, _)| tls.max_version.is_none_or(|max| *version <= max))
        .map(|(_, spoken)| spoken)
        .collect()
}

fn pem<T: Text>(source: &Source<T>) -> Result<Vec<u8>, HttpError> {
    match source {
        Source::Inline(text) => Ok(text.text().as_bytes().to_vec()),
        Source::File(path) => super::secret::read_bytes(path),
    }
}

fn certificates(
    field: &'static str,
    pem: &[u8],
) -> Result<Vec<CertificateDer<'static>>, HttpError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|e| invalid(field, e.to_string()))?;
    if certificates.is_empty() {
        return Err(invalid(field, "holds no PEM certificate"));
    }
    Ok(certificates)
}

/// The parser's own message is not passed on: it may quote the key.
fn private_key(pem: &[u8]) -> Result<PrivateKeyDer<'static>, HttpError> {
    PrivateKeyDer::from_pem_slice(pem).map_err(|_| invalid("key", "holds no PEM private key"))
}

fn invalid(field: &'static str, reason: impl Into<String>) -> HttpError {
    HttpError::Setting { field, reason: reason.into() }
}

/// The web's rules, with two things Go does and webpki does not: another name than the URL's may
/// be expected, and a certificate may be trusted by being in the list itself.
#[derive(Debug)]
struct Verify {
    inner: Arc<WebPkiServerVerifier>,
    expected: Option<ServerName<'static>>,
    /// Certificates of `ca`. A self-signed certificate marked as an authority, what
    /// `openssl req -x509` makes, is refused by webpki as a server's; named in `ca` it is meant.
    pinned: Vec<CertificateDer<'static>>,
}

impl ServerCertVerifier for Verify {
    fn verify_server_cert(
        &self,
        end_entity: &CertificateDer<'_>,
        intermediates: &[CertificateDer<'_>],
        server_name: &ServerName<'_>,
        ocsp_response: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let name = self.expected.as_ref().unwrap_or(server_name);
        let verified =
            self.inner.verify_server_cert(end_entity, intermediates, name, ocsp_response, now);
        match verified {
            Err(error) if is_ca_as_end_entity(&error) && self.pinned.contains(end_entity) => {
                let parsed = rustls::server::ParsedCertificate::try_from(end_entity)?;
                rustls::client::verify_server_name(&parsed, name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls12_signature(message, cert, dss)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.inner.verify_tls13_signature(message, cert, dss)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.inner.supported_verify_schemes()
    }
}

/// rustls passes on webpki's words for this one without a variant of its own. The dates of the
/// certificate have been checked by then.
fn is_ca_as_end_entity(error: &rustls::Error) -> bool {
    matches!(
        error,
        rustls::Error::InvalidCertificate(rustls::CertificateError::Other(other))
            if other.to_string().contains("CaUsedAsEndEntity")
    )
}

/// `insecure_skip_verify`: whoever answers has at least the key of what it shows.
#[derive(Debug)]
struct AcceptAny(Arc<CryptoProvider>);

impl ServerCertVerifier for AcceptAny {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls12_signature(message, cert, dss, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        cert: &CertificateDer<'_>,
        dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        rustls::crypto::verify_tls13_signature(message, cert, dss, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// What is left where no authority is known.
#[derive(Debug)]
struct TrustNone(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustNone {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &ServerName<'_>,
        _ocsp_response: &[u8],
        _now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        let reason = "this system has no certificate authorities: set tls_config.ca_file";
        Err(rustls::Error::General(reason.into()))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("no certificate authorities".into()))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _cert: &CertificateDer<'_>,
        _dss: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::General("no certificate authorities".into()))
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
