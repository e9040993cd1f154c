//! Making what the configuration wants: the hash of a password, a new token.

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use periskop_core::config::Secret;
use sha2::{Digest, Sha256};

/// 2^12 rounds: a few tenths of a second for whoever guesses, paid once by whoever knows.
const COST: u32 = 12;

/// bcrypt looks at no more bytes than these.
const BCRYPT_READS: usize = 72;

/// Why a password cannot be hashed.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PasswordError {
    /// There is nothing to guess.
    #[error("the password is empty")]
    Empty,
    /// The rest would not be looked at.
    #[error("the password is longer than the {BCRYPT_READS} bytes that bcrypt looks at")]
    TooLong,
    /// It could not be sent (RFC 7617).
    #[error("the password holds a control character")]
    Control,
    /// The system has no random numbers.
    #[error("cannot hash: {0}")]
    Failed(String),
}

/// The bcrypt hash of a password, for `basic_auth_users`. Takes some tenths of a second.
///
/// # Errors
///
/// See [`PasswordError`].
pub fn hash_password(password: &Secret) -> Result<String, PasswordError> {
    hash_at(password, COST)
}

fn hash_at(password: &Secret, cost: u32) -> Result<String, PasswordError> {
    let text = password.expose();
    match text {
        "" => return Err(PasswordError::Empty),
        _ if text.len() > BCRYPT_READS => return Err(PasswordError::TooLong),
        _ if text.chars().any(char::is_control) => return Err(PasswordError::Control),
        _ => {}
    }
    let failed = |error: bcrypt::BcryptError| PasswordError::Failed(error.to_string());
    let hash = bcrypt::hash_with_result(text, cost).map_err(failed)?;
    // The form that htpasswd writes, and Prometheus's examples have.
    Ok(hash.format_for_version(bcrypt::Version::TwoY))
}

/// A token that nobody has had before, and what the configuration needs of it.
#[derive(Clone, Debug)]
pub struct NewToken {
    /// For whoever uses it.
    pub token: Secret,
    /// For `token_sha256`, in hexadecimal.
    pub sha256: String,
}

impl NewToken {
    /// A token out of 32 random bytes.
    pub fn of(random: [u8; 32]) -> Self {
        let token = URL_SAFE_NO_PAD.encode(random);
        Self { sha256: hex(&Sha256::digest(&token)), token: Secret::new(token) }
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hash_is_verified_by_the_password_it_is_of() {
        let hash = hash_at(&Secret::new("correct horse"), 4).unwrap();
        assert!(hash.starts_with("$2y$04$"), "{hash}");
        assert_eq!(bcrypt::verify("correct horse", &hash).ok(), Some(true));
        assert_eq!(bcrypt::verify("correct hors", &hash).ok(), Some(false));
    }

    #[test]
    fn what_could_not_be_checked_as_a_whole_is_refused() {
        for (password, error) in [
            ("", PasswordError::Empty),
            ("a\n", PasswordError::Control),
            (&"é".repeat(37), PasswordError::TooLong),
        ] {
            assert_eq!(hash_at(&Secret::new(password), 4), Err(error));
        }
        assert!(hash_at(&Secret::new("é".repeat(36)), 4).is_ok());
    }

    #[test]
    fn a_token_comes_with_its_digest() {
        let new = NewToken::of([7; 32]);
        assert_eq!(new.token.expose().len(), 43);
        assert_eq!(new.sha256, hex(&Sha256::digest(new.token.expose())));
        assert_ne!(NewToken::of([8; 32]).sha256, new.sha256);
        assert!(!format!("{new:?}").contains(new.token.expose()));
    }
}
