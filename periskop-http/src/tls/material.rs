//! Certificates and keys as they are now, and the TLS that they make.

use std::sync::Arc;

use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoClientAuth, WebPkiClientVerifier};
use rustls::{CipherSuite, ProtocolVersion, RootCertStore, ServerConfig};

use super::TlsError;
use super::client::{AcceptAny, WithNames};
use crate::config::{ClientAuth, Source, TlsSettings};
use crate::file;

/// What the settings name. Two that are equal make the same TLS; comparing contents instead of file
/// times misses no change, however fast.
#[derive(PartialEq, Eq)]
pub(super) struct Material {
    cert: Vec<u8>,
    key: Vec<u8>,
    client_ca: Option<Vec<u8>>,
}

impl Material {
    /// Blocks.
    pub(super) fn read(settings: &TlsSettings) -> Result<Self, TlsError> {
        Ok(Self {
            cert: pem(&settings.cert)?,
            key: pem(&settings.key)?,
            client_ca: settings.client_ca.as_ref().map(pem).transpose()?,
        })
    }

    pub(super) fn build(
        &self,
        settings: &TlsSettings,
        http2: bool,
    ) -> Result<ServerConfig, TlsError> {
        let provider = Arc::new(provider(settings));
        let verifier = self.verifier(settings, &provider)?;
        let chain = certificates("cert", &self.cert)?;
        // The parser's own message is not passed on: it may quote the key.
        let key = PrivateKeyDer::from_pem_slice(&self.key)
            .map_err(|_| invalid("key", "holds no PEM private key"))?;
        let mut config = ServerConfig::builder_with_provider(provider)
            .with_protocol_versions(&settings.versions)
            .map_err(|_| invalid("cipher_suites", "none of them fits the versions of TLS"))?
            .with_client_cert_verifier(verifier)
            .with_single_cert(chain, key)
            .map_err(|error| invalid("cert", error.to_string()))?;
        config.ignore_client_order = settings.own_order;
        let protocols: &[&[u8]] = if http2 { &[b"h2", b"http/1.1"] } else { &[b"http/1.1"] };
        config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
        Ok(config)
    }

    fn verifier(
        &self,
        settings: &TlsSettings,
        provider: &Arc<CryptoProvider>,
    ) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
        let verifier: Arc<dyn ClientCertVerifier> = match settings.client_auth {
            ClientAuth::NoCert => return Ok(Arc::new(NoClientAuth)),
            ClientAuth::Request => Arc::new(AcceptAny::new(Arc::clone(provider), false)),
            ClientAuth::RequireAny => Arc::new(AcceptAny::new(Arc::clone(provider), true)),
            ClientAuth::VerifyIfGiven | ClientAuth::RequireAndVerify => {
                let mut roots = RootCertStore::empty();
                let authorities =
                    certificates("client_ca", self.client_ca.as_deref().unwrap_or_default())?;
                roots.add_parsable_certificates(authorities);
                let builder = WebPkiClientVerifier::builder_with_provider(
                    Arc::new(roots),
                    Arc::clone(provider),
                );
                let builder = match settings.client_auth {
                    ClientAuth::VerifyIfGiven => builder.allow_unauthenticated(),
                    _ => builder,
                };
                builder.build().map_err(|error| invalid("client_ca", error.to_string()))?
            }
        };
        Ok(match settings.client_allowed_sans.as_slice() {
            [] => verifier,
            sans => Arc::new(WithNames::new(verifier, sans.to_vec())),
        })
    }
}

fn provider(settings: &TlsSettings) -> CryptoProvider {
    let mut provider = ring::default_provider();
    if let Some(suites) = &settings.suites {
        let is_tls13 = |suite: &rustls::SupportedCipherSuite| {
            suite.version().version == ProtocolVersion::TLSv1_3
        };
        let named: Vec<CipherSuite> = suites.iter().map(|suite| suite.suite()).collect();
        provider.cipher_suites.retain(is_tls13);
        let tls12 = ring::ALL_CIPHER_SUITES.iter().filter(|s| named.contains(&s.suite()));
        let mut tls12: Vec<_> = tls12.copied().collect();
        tls12.sort_by_key(|suite| named.iter().position(|name| *name == suite.suite()));
        provider.cipher_suites.extend(tls12);
    }
    if let Some(groups) = &settings.groups {
        provider.kx_groups.clone_from(groups);
    }
    provider
}

fn pem(source: &Source) -> Result<Vec<u8>, TlsError> {
    match source {
        Source::Inline(text) => Ok(text.expose().as_bytes().to_vec()),
        Source::File(path) => file::read(path)
            .map_err(|error| TlsError::File { path: path.clone(), reason: error.to_string() }),
    }
}

fn certificates(field: &'static str, pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates: Vec<_> = CertificateDer::pem_slice_iter(pem)
        .collect::<Result<_, _>>()
        .map_err(|_| invalid(field, "cannot be read as PEM"))?;
    if certificates.is_empty() {
        return Err(invalid(field, "holds no PEM certificate"));
    }
    Ok(certificates)
}

fn invalid(field: &'static str, reason: impl Into<String>) -> TlsError {
    TlsError::Setting { field, reason: reason.into() }
}
