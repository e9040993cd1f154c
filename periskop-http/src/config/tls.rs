//! `tls_server_config`, as in Prometheus, as far as rustls has it.

use std::path::Path;

use periskop_core::config::{At, Fields, Problems};
use rustls::crypto::SupportedKxGroup;
use rustls::crypto::ring::{cipher_suite, kx_group};
use rustls::{SupportedCipherSuite, SupportedProtocolVersion};

use super::Source;

/// How TLS is spoken.
#[derive(Clone, Debug)]
pub struct TlsSettings {
    /// The chain of certificates, PEM.
    pub cert: Source,
    /// The private key, PEM.
    pub key: Source,
    /// Whom client certificates must be signed by, PEM.
    pub client_ca: Option<Source>,
    /// Whether clients are asked for a certificate.
    pub client_auth: ClientAuth,
    /// Names of which a client's certificate must have one; empty: any name will do.
    pub client_allowed_sans: Vec<String>,
    /// The versions that are spoken.
    pub(crate) versions: Vec<&'static SupportedProtocolVersion>,
    /// Suites of TLS 1.2; those of TLS 1.3 cannot be chosen, as in Go.
    pub(crate) suites: Option<Vec<SupportedCipherSuite>>,
    /// Groups, in the order of preference.
    pub(crate) groups: Option<Vec<&'static dyn SupportedKxGroup>>,
    /// Whether our order of suites counts, and not the client's.
    pub(crate) own_order: bool,
}

/// Whether clients are asked for a certificate (Go's `tls.ClientAuthType`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ClientAuth {
    /// They are not.
    #[default]
    NoCert,
    /// They are, and nothing follows from it.
    Request,
    /// Any certificate will do.
    RequireAny,
    /// One that is shown must be good.
    VerifyIfGiven,
    /// A good one must be shown.
    RequireAndVerify,
}

impl ClientAuth {
    /// Whether a certificate that was shown has been verified.
    pub fn verifies(self) -> bool {
        matches!(self, Self::VerifyIfGiven | Self::RequireAndVerify)
    }

    fn requires(self) -> bool {
        matches!(self, Self::RequireAny | Self::RequireAndVerify)
    }

    fn parse(text: &str) -> Result<Self, String> {
        Ok(match text {
            "" | "NoClientCert" => Self::NoCert,
            "RequestClientCert" => Self::Request,
            // The second for files of older versions, as in Prometheus.
            "RequireAnyClientCert" | "RequireClientCert" => Self::RequireAny,
            "VerifyClientCertIfGiven" => Self::VerifyIfGiven,
            "RequireAndVerifyClientCert" => Self::RequireAndVerify,
            _ => {
                return Err(format!(
                    "{text:?} is not one of NoClientCert, RequestClientCert, RequireAnyClientCert, \
                     VerifyClientCertIfGiven, RequireAndVerifyClientCert"
                ));
            }
        })
    }
}

/// `None` for a section that sets nothing about certificates: TLS is off, as in Prometheus.
pub(super) fn decode(
    at: &At<'_>,
    problems: &mut Problems,
    dir: &Path,
) -> Option<Option<TlsSettings>> {
    let mut fields = Fields::new(at, problems)?;
    let cert = source(&mut fields, "cert", "cert_file", dir);
    let key = source(&mut fields, "key", "key_file", dir);
    let client_ca = source(&mut fields, "client_ca", "client_ca_file", dir);
    let asked = fields.parsed("client_auth_type", ClientAuth::parse);
    let client_auth = asked.unwrap_or_default();
    let sans = fields.string_list("client_allowed_sans");
    let versions = versions(&mut fields);
    let suites = named(&mut fields, "cipher_suites", suite);
    let groups = named(&mut fields, "curve_preferences", group);
    let own_order = fields.bool("prefer_server_cipher_suites").unwrap_or(true);

    let is_on = cert.is_some() || key.is_some() || client_ca.is_some() || asked.is_some();
    for (given, name, or) in [(&cert, "cert", "cert_file"), (&key, "key", "key_file")] {
        if is_on && given.is_none() {
            fields.problem(name, format!("missing one of {name} or {or}"));
        }
    }
    if client_ca.is_some() && client_auth == ClientAuth::NoCert {
        let problem = "a client CA has no effect without client_auth_type";
        let name = if fields.has("client_ca") { "client_ca" } else { "client_ca_file" };
        fields.problem(name, problem);
    }
    if client_ca.is_none() && client_auth.verifies() {
        let problem = "certificates can only be verified with client_ca or client_ca_file";
        fields.problem("client_auth_type", problem);
    }
    if sans.is_some() && !client_auth.requires() {
        // Whoever shows no certificate has no name to compare.
        let problem = "needs client_auth_type RequireAnyClientCert or RequireAndVerifyClientCert";
        fields.problem("client_allowed_sans", problem);
    }
    if sans.as_ref().is_some_and(Vec::is_empty) {
        fields.problem("client_allowed_sans", "an empty list would let nobody in; leave it out");
    }
    fields.finish();
    let (Some(cert), Some(key)) = (cert, key) else { return Some(None) };
    let client_allowed_sans = sans.unwrap_or_default();
    Some(Some(TlsSettings {
        cert,
        key,
        client_ca,
        client_auth,
        client_allowed_sans,
        versions,
        suites,
        groups,
        own_order,
    }))
}

fn source(
    fields: &mut Fields<'_, '_>,
    inline: &'static str,
    file: &'static str,
    dir: &Path,
) -> Option<Source> {
    let text = fields.secret(inline).filter(|text| !text.is_empty());
    let path = fields.string(file).filter(|path| !path.is_empty());
    if text.is_some() && path.is_some() {
        fields.problem(file, format!("{inline} is set as well; only one of them can be meant"));
    }
    text.map(Source::Inline).or_else(|| path.map(|path| Source::File(dir.join(path))))
}

fn versions(fields: &mut Fields<'_, '_>) -> Vec<&'static SupportedProtocolVersion> {
    let read = |text: &str| match text {
        "TLS12" => Ok(12),
        "TLS13" => Ok(13),
        "TLS10" | "TLS11" => Err("TLS 1.0 and 1.1 are broken (RFC 8996) and not spoken here"),
        _ => Err("expected TLS12 or TLS13"),
    };
    let least = fields.parsed("min_version", read).unwrap_or(12);
    let most = fields.parsed("max_version", read).unwrap_or(13);
    if least > most {
        fields.problem("max_version", "is below min_version");
    }
    [(12, &rustls::version::TLS12), (13, &rustls::version::TLS13)]
        .into_iter()
        .filter_map(|(n, version)| (least..=most).contains(&n).then_some(version))
        .collect()
}

/// A list of names, each of them known; `None` where none is given, which means the default.
fn named<T>(
    fields: &mut Fields<'_, '_>,
    name: &'static str,
    find: impl Fn(&str) -> Result<Option<T>, String>,
) -> Option<Vec<T>> {
    let names = fields.string_list(name)?;
    let mut found = Vec::new();
    for text in &names {
        match find(text) {
            Ok(known) => found.extend(known),
            Err(wrong) => fields.problem(name, wrong),
        }
    }
    (!names.is_empty()).then_some(found)
}

/// Go's names. Those of TLS 1.3 are accepted and choose nothing, as in Go.
fn suite(name: &str) -> Result<Option<SupportedCipherSuite>, String> {
    use cipher_suite::{
        TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256, TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
    };
    Ok(Some(match name {
        "TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256" => TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384" => TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256" => TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256,
        "TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384" => TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384,
        "TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256" => {
            TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256
        }
        "TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256" => {
            TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256
        }
        "TLS_AES_128_GCM_SHA256" | "TLS_AES_256_GCM_SHA384" | "TLS_CHACHA20_POLY1305_SHA256" => {
            return Ok(None);
        }
        _ => {
            return Err(format!(
                "{name:?} is not spoken here; the suites are TLS_ECDHE_(RSA or ECDSA)_WITH_ \
                 AES_128_GCM_SHA256, AES_256_GCM_SHA384 or CHACHA20_POLY1305_SHA256"
            ));
        }
    }))
}

fn group(name: &str) -> Result<Option<&'static dyn SupportedKxGroup>, String> {
    Ok(Some(match name {
        "X25519" => kx_group::X25519,
        "CurveP256" => kx_group::SECP256R1,
        "CurveP384" => kx_group::SECP384R1,
        _ => {
            return Err(format!(
                "{name:?} is not spoken here; the curves are X25519, CurveP256 and CurveP384"
            ));
        }
    }))
}
