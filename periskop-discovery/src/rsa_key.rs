//! RSA keys as clouds hand them out, and what is signed with them.
//!
//! The key is never shown, nor is anything of a text that should hold one. Keys have 2048 to
//! 4096 bits: `ring` signs with no others.

use base64::Engine as _;
#[cfg(feature = "oci")]
use base64::engine::general_purpose::STANDARD;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use periskop_core::config::Secret;
use ring::rand::SystemRandom;
use ring::signature::{
    RSA_PKCS1_SHA256, RSA_PKCS1_SHA384, RSA_PKCS1_SHA512, RsaEncoding, RsaKeyPair,
};
use rustls::pki_types::PrivateKeyDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};

/// A private key for signatures by RSASSA-PKCS1-v1_5 (RFC 8017, section 8.2).
pub(crate) struct RsaKey(RsaKeyPair);

/// What is signed: the digest of a message.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Digest {
    Sha256,
    Sha384,
    Sha512,
}

/// A key that cannot be used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(crate) enum KeyError {
    #[error("holds no PEM private key")]
    None,
    #[error("the private key is encrypted, which cannot be read here: store it decrypted")]
    Encrypted,
    #[cfg(feature = "oci")]
    #[error("the private key cannot be decrypted with the passphrase")]
    Passphrase,
    #[error("the private key is no RSA key of 2048 to 4096 bits")]
    Unfit,
}

impl RsaKey {
    /// The first key of a PEM text: PKCS#8 or PKCS#1.
    pub(crate) fn from_pem(pem: &[u8]) -> Result<Self, KeyError> {
        let text = String::from_utf8_lossy(pem);
        if text.contains("BEGIN ENCRYPTED PRIVATE KEY") || text.contains("Proc-Type: 4,ENCRYPTED") {
            return Err(KeyError::Encrypted);
        }
        let pair = match PrivateKeyDer::from_pem_slice(pem).map_err(|_| KeyError::None)? {
            PrivateKeyDer::Pkcs8(der) => RsaKeyPair::from_pkcs8(der.secret_pkcs8_der()),
            PrivateKeyDer::Pkcs1(der) => RsaKeyPair::from_der(der.secret_pkcs1_der()),
            _ => return Err(KeyError::Unfit),
        };
        pair.map(Self).map_err(|_| KeyError::Unfit)
    }

    /// As [`RsaKey::from_pem`], of a key that may be encrypted: PKCS#8 (RFC 5958, section 3) with
    /// PBES2 (RFC 8018), which is what OpenSSL 3 writes. Blocks for as long as that takes.
    #[cfg(feature = "oci")]
    pub(crate) fn from_encrypted_pem(pem: &[u8], passphrase: &Secret) -> Result<Self, KeyError> {
        const BEGIN: &str = "-----BEGIN ENCRYPTED PRIVATE KEY-----";
        let text = String::from_utf8_lossy(pem);
        let body = text.split_once(BEGIN).and_then(|(_, rest)| rest.split_once("-----END "));
        let Some((body, _)) = body.filter(|_| !passphrase.is_empty()) else {
            return Self::from_pem(pem);
        };
        let body: String = body.split_whitespace().collect();
        let der = STANDARD.decode(body).map_err(|_| KeyError::None)?;
        let key = pkcs8::EncryptedPrivateKeyInfoRef::try_from(der.as_slice())
            .map_err(|_| KeyError::Encrypted)?
            .decrypt(passphrase.expose())
            .map_err(|_| KeyError::Passphrase)?;
        RsaKeyPair::from_pkcs8(key.as_bytes()).map(Self).map_err(|_| KeyError::Unfit)
    }

    /// The signature of a message.
    pub(crate) fn sign(&self, digest: Digest, message: &[u8]) -> Result<Vec<u8>, KeyError> {
        let encoding: &dyn RsaEncoding = match digest {
            Digest::Sha256 => &RSA_PKCS1_SHA256,
            Digest::Sha384 => &RSA_PKCS1_SHA384,
            Digest::Sha512 => &RSA_PKCS1_SHA512,
        };
        let mut signature = vec![0; self.0.public().modulus_len()];
        self.0
            .sign(encoding, &SystemRandom::new(), message, &mut signature)
            .map_err(|_| KeyError::Unfit)?;
        Ok(signature)
    }

    /// The public half as `SubjectPublicKeyInfo` (RFC 5280, section 4.1.2.7), DER.
    #[cfg(feature = "oci")]
    pub(crate) fn public_key_info(&self) -> Vec<u8> {
        /// `rsaEncryption` with its empty parameters.
        const ALGORITHM: [u8; 15] = [
            0x30, 0x0d, 0x06, 0x09, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01, 0x05,
            0x00,
        ];
        let key = self.0.public().as_ref();
        let bits = [&tag(0x03, key.len() + 1)[..], &[0], key].concat();
        let inner = [&ALGORITHM[..], &bits].concat();
        [&tag(0x30, inner.len())[..], &inner].concat()
    }

    /// A signed JSON Web Token, RFC 7519; `key_id` is left out where it is empty.
    pub(crate) fn jwt(
        &self,
        digest: Digest,
        key_id: &str,
        claims: &Value,
    ) -> Result<Secret, KeyError> {
        let algorithm = match digest {
            Digest::Sha256 => "RS256",
            Digest::Sha384 => "RS384",
            Digest::Sha512 => "RS512",
        };
        let mut header = json!({"alg": algorithm, "typ": "JWT"});
        if !key_id.is_empty() {
            header["kid"] = key_id.into();
        }
        let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
        let signed = format!("{}.{}", encode(&header), encode(claims));
        let signature = URL_SAFE_NO_PAD.encode(self.sign(digest, signed.as_bytes())?);
        Ok(Secret::new(format!("{signed}.{signature}")))
    }
}

/// The beginning of an element of DER: what it is, and how long.
#[cfg(feature = "oci")]
fn tag(kind: u8, length: usize) -> Vec<u8> {
    let bytes = length.to_be_bytes();
    let bytes: Vec<u8> = bytes.into_iter().skip_while(|byte| *byte == 0).collect();
    match (bytes.as_slice(), u8::try_from(bytes.len())) {
        ([short], _) if *short < 0x80 => vec![kind, *short],
        (long, Ok(count)) => [&[kind, 0x80 | count], long].concat(),
        (_, Err(_)) => vec![kind], // a length has eight bytes at most
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use ring::signature::{KeyPair as _, UnparsedPublicKey, VerificationAlgorithm};
    use ring::signature::{RSA_PKCS1_2048_8192_SHA256, RSA_PKCS1_2048_8192_SHA512};

    /// The key of the conformance tests. It signs nothing but requests of tests.
    pub(crate) const PEM: &str = include_str!("../../tests/src/sd/rsa_key.pem");

    #[test]
    fn a_token_has_a_header_claims_and_a_signature_that_holds() {
        let key = RsaKey::from_pem(PEM.as_bytes()).unwrap();
        let algorithms: [(Digest, &str, &'static dyn VerificationAlgorithm); 2] = [
            (Digest::Sha256, "RS256", &RSA_PKCS1_2048_8192_SHA256),
            (Digest::Sha512, "RS512", &RSA_PKCS1_2048_8192_SHA512),
        ];
        for (digest, name, algorithm) in algorithms {
            let token = key.jwt(digest, "k1", &json!({"iss": "me"})).unwrap();
            let (signed, signature) = token.expose().rsplit_once('.').unwrap();
            let (header, claims) = signed.split_once('.').unwrap();
            let decode = |part| URL_SAFE_NO_PAD.decode(part).unwrap();
            let header: Value = serde_json::from_slice(&decode(header)).unwrap();
            assert_eq!(header, json!({"alg": name, "typ": "JWT", "kid": "k1"}));
            assert_eq!(decode(claims), br#"{"iss":"me"}"#);
            UnparsedPublicKey::new(algorithm, key.0.public_key())
                .verify(signed.as_bytes(), &decode(signature))
                .unwrap();
        }
    }

    #[cfg(feature = "oci")]
    #[test]
    fn a_key_is_decrypted_with_its_passphrase() {
        let encrypted = include_bytes!("oci_sd/encrypted_key.pem");
        let decrypt = |passphrase| RsaKey::from_encrypted_pem(encrypted, &Secret::new(passphrase));
        let plain = RsaKey::from_pem(PEM.as_bytes()).unwrap();
        let sign = |key: &RsaKey| key.sign(Digest::Sha256, b"text").unwrap();
        assert_eq!(sign(&decrypt("open sesame").unwrap()), sign(&plain));
        assert_eq!(decrypt("hunter2").err(), Some(KeyError::Passphrase));
        assert_eq!(decrypt("").err(), Some(KeyError::Encrypted));
        // One that is not encrypted needs none.
        assert!(RsaKey::from_encrypted_pem(PEM.as_bytes(), &Secret::new("x")).is_ok());
    }

    #[cfg(feature = "oci")]
    #[test]
    fn the_public_half_is_wrapped_as_others_read_it() {
        let info = RsaKey::from_pem(PEM.as_bytes()).unwrap().public_key_info();
        // SEQUENCE, 290 bytes; within it the algorithm, and a BIT STRING of 271 bytes.
        assert_eq!(info.len(), 294);
        assert_eq!(info[..6], [0x30, 0x82, 0x01, 0x22, 0x30, 0x0d]);
        assert_eq!(info[19..24], [0x03, 0x82, 0x01, 0x0f, 0x00]);
    }

    #[test]
    fn what_is_no_usable_key_is_refused_without_quoting_it() {
        let error = |pem: &str| RsaKey::from_pem(pem.as_bytes()).err();
        assert_eq!(error("hunter2"), Some(KeyError::None));
        assert_eq!(error(&PEM.replace("RSA PRIVATE", "PRIVATE")), Some(KeyError::Unfit));
        let legacy =
            PEM.replacen('\n', "\nProc-Type: 4,ENCRYPTED\nDEK-Info: AES-128-CBC,00\n\n", 1);
        assert_eq!(error(&legacy), Some(KeyError::Encrypted));
        let begin =
            "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----";
        assert_eq!(error(begin), Some(KeyError::Encrypted));
    }
}
