//! What a request says about who sends it.

use std::fmt;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};
use periskop_core::config::Secret;

/// The longest `Authorization` that is read, in bytes.
const LONGEST: usize = 4096;

/// Padding may be left out: some clients do.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// A credential as it was sent, right or wrong. Its `Debug` tells only the kind.
#[derive(Clone, PartialEq, Eq)]
pub enum Credential {
    /// RFC 7617.
    Basic {
        /// The name before the first colon; may be a password that was put in the wrong place.
        user: Secret,
        /// What follows it.
        password: Secret,
    },
    /// RFC 6750.
    Bearer(Secret),
}

/// An `Authorization` that says nothing that can be checked: an unknown scheme, several headers,
/// no base64, no UTF-8. Which of them is not told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Authorization header cannot be understood")]
pub struct Malformed;

impl Credential {
    /// Reads the values of all `Authorization` headers of a request; `None` where there is none.
    /// Several are refused: a proxy may have looked at another one than we do.
    ///
    /// # Errors
    ///
    /// [`Malformed`].
    pub fn parse<'v>(
        values: impl IntoIterator<Item = &'v [u8]>,
    ) -> Result<Option<Self>, Malformed> {
        let mut values = values.into_iter();
        let Some(value) = values.next() else { return Ok(None) };
        if values.next().is_some() || value.len() > LONGEST {
            return Err(Malformed);
        }
        let text = std::str::from_utf8(value).map_err(|_| Malformed)?;
        let (scheme, rest) = text.trim_matches([' ', '\t']).split_once(' ').ok_or(Malformed)?;
        let rest = rest.trim_start_matches(' ');
        if scheme.eq_ignore_ascii_case("basic") {
            basic(rest).map(Some)
        } else if scheme.eq_ignore_ascii_case("bearer") && is_token(rest) {
            Ok(Some(Self::Bearer(Secret::new(rest))))
        } else {
            Err(Malformed)
        }
    }
}

fn basic(encoded: &str) -> Result<Credential, Malformed> {
    let bytes = BASE64.decode(encoded).map_err(|_| Malformed)?;
    let text = String::from_utf8(bytes).map_err(|_| Malformed)?;
    // RFC 7617: neither part holds control characters.
    if text.chars().any(char::is_control) {
        return Err(Malformed);
    }
    let (user, password) = text.split_once(':').ok_or(Malformed)?;
    Ok(Credential::Basic { user: Secret::new(user), password: Secret::new(password) })
}

/// Whether a text can be sent as a bearer token. Wider than RFC 6750, which people's tokens are too.
pub(crate) fn is_token(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_graphic())
}

impl fmt::Debug for Credential {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Basic { .. } => "Basic <secret>",
            Self::Bearer(_) => "Bearer <secret>",
        })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn parse(value: &str) -> Result<Option<Credential>, Malformed> {
        Credential::parse([value.as_bytes()])
    }

    fn basic(user: &str, password: &str) -> Result<Option<Credential>, Malformed> {
        let (user, password) = (Secret::new(user), Secret::new(password));
        Ok(Some(Credential::Basic { user, password }))
    }

    #[test]
    fn both_schemes_are_understood_however_they_are_written() {
        assert_eq!(parse("Basic YTpi"), basic("a", "b"));
        assert_eq!(parse("bASIC   YTpiOmM="), basic("a", "b:c"), "a password may hold colons");
        assert_eq!(parse("Basic YTpiOmM"), basic("a", "b:c"), "without padding");
        assert_eq!(parse("Basic Og=="), basic("", ""));
        let bearer = Ok(Some(Credential::Bearer(Secret::new("a.b-c_d~e+f/g=="))));
        assert_eq!(parse("bearer a.b-c_d~e+f/g=="), bearer);
        assert_eq!(Credential::parse([]), Ok(None));
    }

    #[test]
    fn what_is_none_of_them_is_refused() {
        let long = format!("Bearer {}", "x".repeat(LONGEST));
        for wrong in [
            "",
            "Basic",
            "Basic ",
            "Basic !",
            "Basic YQ==",
            "Basic gICA",
            "Basic YQo6Yg==",
            "Bearer",
            "Bearer ",
            "Bearer a b",
            "Digest username=x",
            "YTpi",
            &long,
        ] {
            assert_eq!(parse(wrong), Err(Malformed), "{wrong}");
        }
        assert_eq!(Credential::parse([b"Basic YTpi".as_slice(); 2]), Err(Malformed), "twice");
        assert_eq!(Credential::parse([b"Bearer \xff\xfe".as_slice()]), Err(Malformed));
    }

    #[test]
    fn a_credential_is_not_shown() {
        for value in ["Basic YTpi", "Bearer secret"] {
            let shown = format!("{:?}", parse(value).unwrap());
            assert!(shown.contains("<secret>") && !shown.contains("secret\""), "{shown}");
        }
    }

    proptest! {
        #[test]
        fn what_a_client_sends_is_what_is_read(user in "[^:\\pC]{0,30}", password in "\\PC{0,60}") {
            prop_assume!(!user.chars().chain(password.chars()).any(char::is_control));
            let sent = format!("Basic {}", BASE64.encode(format!("{user}:{password}")));
            prop_assert_eq!(parse(&sent), basic(&user, &password));
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let _ = Credential::parse([bytes.as_slice()]);
            let _ = Credential::parse([[b"Basic ", bytes.as_slice()].concat().as_slice()]);
        }
    }
}
