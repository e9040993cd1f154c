//! Tokens by the JWT bearer grant, RFC 7523, section 2.1: who asks signs what it asks for.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use periskop_core::config::{Fields, Kind, Node, Secret, Value as Yaml};
use serde_json::{Map, Value};

use super::effective::{Entries, push_source};
use super::{HttpError, Source};
use crate::rsa_key::{Digest, RsaKey};

/// The grant's name.
pub(super) const GRANT: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
/// How long an assertion may be used, as by Go's client.
const LIFETIME: Duration = Duration::from_secs(3600);

/// What is signed, and with which key.
#[derive(Clone, Debug, PartialEq)]
pub struct JwtBearer {
    /// `client_certificate_key` or `client_certificate_key_file`: an RSA key, PEM.
    pub key: Option<Source<Secret>>,
    /// `client_certificate_key_id`, told in the token's header; `""`: not at all.
    pub key_id: String,
    /// `signature_algorithm`: RS256, RS384 or RS512. Default RS256.
    pub algorithm: Algorithm,
    /// `iss`: who asks; `""`: the client id.
    pub issuer: String,
    /// `audience`: whom the token is for; `""`: the token URL.
    pub audience: String,
    /// `claims`: what else is claimed.
    pub claims: Node,
}

impl Eq for JwtBearer {}

/// RSASSA-PKCS1-v1_5 with one of three digests, RFC 7518, section 3.3.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Algorithm {
    /// With SHA-256.
    #[default]
    Rs256,
    /// With SHA-384.
    Rs384,
    /// With SHA-512.
    Rs512,
}

impl Algorithm {
    fn parse(name: &str) -> Result<Self, &'static str> {
        match name {
            "" | "RS256" => Ok(Self::Rs256),
            "RS384" => Ok(Self::Rs384),
            "RS512" => Ok(Self::Rs512),
            _ => Err("valid signature algorithms are RS256, RS384 and RS512"),
        }
    }

    fn digest(self) -> Digest {
        match self {
            Self::Rs256 => Digest::Sha256,
            Self::Rs384 => Digest::Sha384,
            Self::Rs512 => Digest::Sha512,
        }
    }
}

impl JwtBearer {
    /// Takes the settings out of those of `oauth2`; `None` where another grant is chosen. They
    /// are taken all the same then, as Prometheus takes and does not use them.
    pub(super) fn take(fields: &mut Fields<'_, '_>) -> Option<Self> {
        let key = fields.secret("client_certificate_key").filter(|key| !key.is_empty());
        let file = fields.string("client_certificate_key_file").filter(|file| !file.is_empty());
        let chosen = match fields.string("grant_type").as_deref() {
            None | Some("" | "client_credentials") => false,
            Some(GRANT) => true,
            Some(other) => {
                fields.problem(
                    "grant_type",
                    format!("{other:?} is neither client_credentials nor {GRANT}"),
                );
                false
            }
        };
        if chosen && key.is_some() && file.is_some() {
            let message = format!(
                "at most one of oauth2 client_certificate_key, client_certificate_key_file & \
                 client_certificate_key_ref must be configured using grant-type={GRANT}"
            );
            fields.problem("client_certificate_key_file", message);
        }
        let taken = Self {
            key: key.map(Source::Inline).or(file.map(|file| Source::File(file.into()))),
            key_id: fields.string("client_certificate_key_id").unwrap_or_default(),
            algorithm: fields.parsed("signature_algorithm", Algorithm::parse).unwrap_or_default(),
            issuer: fields.string("iss").unwrap_or_default(),
            audience: fields.string("audience").unwrap_or_default(),
            claims: fields.node("claims").map_or_else(Node::null, |at| at.node.clone()),
        };
        if !matches!(taken.claims.value, Yaml::Null | Yaml::Mapping(_)) {
            fields.problem("claims", "expected a mapping");
        }
        chosen.then_some(taken)
    }

    pub(super) fn resolve_paths(&mut self, dir: &Path) {
        self.key.iter_mut().for_each(|source| source.resolve_path(dir));
    }

    pub(super) fn push_effective(&self, entries: &mut Entries) {
        let mut push = |name, value: &str| {
            if !value.is_empty() {
                entries.push((name, value.into()));
            }
        };
        push("grant_type", GRANT);
        push("client_certificate_key_id", &self.key_id);
        push("iss", &self.issuer);
        push("audience", &self.audience);
        if self.algorithm != Algorithm::default() {
            let name = if self.algorithm == Algorithm::Rs384 { "RS384" } else { "RS512" };
            push("signature_algorithm", name);
        }
        let names = ["client_certificate_key", "client_certificate_key_file"];
        push_source(entries, names, self.key.as_ref());
        if !self.claims.is_null() {
            entries.push(("claims", self.claims.clone()));
        }
    }

    /// What is handed in for a token, signed with `key`, the text of [`Self::key`].
    pub(super) fn assertion(
        &self,
        key: &Secret,
        client_id: &str,
        token_url: &str,
        scopes: &[String],
    ) -> Result<Secret, HttpError> {
        let unfit = |error: crate::rsa_key::KeyError| HttpError::Setting {
            field: "oauth2.client_certificate_key",
            reason: error.to_string(),
        };
        let or = |text: &str, default: &str| -> Value {
            if text.is_empty() { default.into() } else { text.into() }
        };
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let mut claims = match json(&self.claims) {
            Value::Object(claims) => claims,
            _ => Map::new(),
        };
        claims.insert("iss".into(), or(&self.issuer, client_id));
        claims.insert("sub".into(), client_id.into());
        claims.insert("aud".into(), or(&self.audience, token_url));
        if !scopes.is_empty() {
            claims.insert("scope".into(), scopes.join(" ").into());
        }
        claims.insert("iat".into(), now.as_secs().into());
        claims.insert("exp".into(), (now + LIFETIME).as_secs().into());
        let key = RsaKey::from_pem(key.expose().as_bytes()).map_err(unfit)?;
        key.jwt(self.algorithm.digest(), &self.key_id, &Value::Object(claims)).map_err(unfit)
    }
}

/// What was written as YAML, as JSON: what is no number that JSON has is a text.
fn json(node: &Node) -> Value {
    match &node.value {
        Yaml::Null => Value::Null,
        Yaml::Sequence(items) => items.iter().map(json).collect(),
        Yaml::Mapping(entries) => {
            let pair = |entry: &periskop_core::config::Entry| {
                (entry.key.text().to_owned(), json(&entry.value))
            };
            Value::Object(entries.iter().map(pair).collect())
        }
        Yaml::Scalar(scalar) => {
            let number = match scalar.kind() {
                Kind::Bool => scalar.as_bool().map(Value::Bool),
                Kind::Int => {
                    let whole = scalar.as_int();
                    let small = whole.and_then(|n| i64::try_from(n).ok()).map(Value::from);
                    small.or_else(|| whole.and_then(|n| u64::try_from(n).ok()).map(Value::from))
                }
                Kind::Float => {
                    scalar.as_float().and_then(serde_json::Number::from_f64).map(Value::Number)
                }
                Kind::Text | Kind::NotUtf8 => None,
            };
            number.unwrap_or_else(|| scalar.text().into())
        }
    }
}
