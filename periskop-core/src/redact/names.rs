//! Names of what carries secrets, and when two names are the same.

use std::borrow::Cow;

use hashbrown::HashSet;

/// Headers that carry credentials: those of HTTP itself (RFC 9110, 6265), and what the widely used
/// gateways, clouds and frameworks put a credential or session into.
pub(super) const HEADERS: &[&str] = &[
    "authorization",
    "proxy-authorization",
    "cookie",
    "cookie2",
    "set-cookie",
    "set-cookie2",
    "authentication-info",
    "proxy-authentication-info",
    "x-authorization",
    "x-original-authorization",
    "x-forwarded-authorization",
    "x-api-key",
    "api-key",
    "apikey",
    "x-api-token",
    "x-auth",
    "x-auth-key",
    "x-auth-token",
    "x-access-token",
    "x-refresh-token",
    "x-session-token",
    "x-session-id",
    "x-csrf-token",
    "x-csrftoken",
    "x-xsrf-token",
    "csrf-token",
    "x-token",
    "x-secret",
    "x-secret-key",
    "x-client-secret",
    "x-amz-security-token",
    "x-amzn-oidc-accesstoken",
    "x-amzn-oidc-data",
    "x-goog-api-key",
    "x-goog-iap-jwt-assertion",
    "cf-access-jwt-assertion",
    "cf-access-client-secret",
    "ocp-apim-subscription-key",
    "x-functions-key",
    "x-ms-token-aad-access-token",
    "x-ms-token-aad-id-token",
    "x-vault-token",
    "x-consul-token",
    "x-gitlab-token",
    "private-token",
    "job-token",
    "x-hub-signature",
    "x-hub-signature-256",
    "x-slack-signature",
    "stripe-signature",
    "x-forwarded-client-cert",
    "x-forwarded-access-token",
    "x-jwt-assertion",
    "dpop",
    "token",
];

/// Query parameters that carry credentials: OAuth 2 and OpenID Connect, signed URLs of the object
/// stores, and the usual home-made names.
pub(super) const URL_PARAMS: &[&str] = &[
    "access_token",
    "refresh_token",
    "id_token",
    "id_token_hint",
    "auth_token",
    "session_token",
    "csrf_token",
    "token",
    "jwt",
    "auth",
    "authorization",
    "api_key",
    "api_token",
    "key",
    "secret",
    "secret_key",
    "client_secret",
    "client_assertion",
    "code",
    "code_verifier",
    "assertion",
    "saml_response",
    "password",
    "passwd",
    "passphrase",
    "pwd",
    "pass",
    "credential",
    "credentials",
    "session",
    "sessionid",
    "session_id",
    "phpsessid",
    "jsessionid",
    "sid",
    "sig",
    "signature",
    "x-amz-signature",
    "x-amz-credential",
    "x-amz-security-token",
    "x-goog-signature",
    "x-goog-credential",
];

/// Fields of bodies that are a password by their name, or a credential that one exchanges for
/// another. Shorter than the list for URLs on purpose: a `key` or `code` in a body is mostly data.
pub(super) const BODY_FIELDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "passcode",
    "pwd",
    "pass",
    "old_password",
    "new_password",
    "current_password",
    "confirm_password",
    "password_confirmation",
    "user_password",
    "secret",
    "secret_key",
    "client_secret",
    "client_assertion",
    "private_key",
    "api_key",
    "api_token",
    "token",
    "access_token",
    "refresh_token",
    "id_token",
    "auth_token",
    "session_token",
    "csrf_token",
    "authenticity_token",
    "csrfmiddlewaretoken",
    "authorization",
    "credit_card_number",
    "card_number",
    "cvv",
    "cvc",
];

/// `password` of `user[password]`, `user.password` and `password[]`.
pub(super) fn last_segment(name: &str) -> &str {
    name.rsplit(['[', ']']).find(|segment| !segment.is_empty()).unwrap_or(name)
}

/// A name as it is compared. Long names are no names of secrets.
pub(super) fn normal(name: &str) -> String {
    name.chars()
        .filter(|c| !matches!(c, '-' | '_' | '.' | ' '))
        .take(128)
        .map(|c| c.to_ascii_lowercase())
        .collect()
}

/// Whether one of these names, which are as [`normal`] gives them, is this one.
pub(super) fn among(names: &HashSet<String>, name: &str) -> bool {
    with_normal(name, |name| names.contains(name))
}

/// Looks at a name as it is compared. Each header, parameter and field has one, so that the usual
/// short ones are put nowhere but on the stack.
pub(super) fn with_normal<R>(name: &str, look: impl FnOnce(&str) -> R) -> R {
    let mut short = [0; 64];
    let mut length = 0;
    for byte in name.bytes() {
        match (byte, short.get_mut(length)) {
            (b'-' | b'_' | b'.' | b' ', _) => {}
            (b'\0'..=b'\x7f', Some(next)) => {
                *next = byte.to_ascii_lowercase();
                length += 1;
            }
            _ => return look(&normal(name)),
        }
    }
    match std::str::from_utf8(&short[..length]) {
        Ok(name) => look(name),
        Err(_) => look(&normal(name)),
    }
}

/// What percent signs and pluses stand for, as far as that is ASCII; enough to compare names.
pub(super) fn percent_decode(name: &str) -> Cow<'_, str> {
    if !name.contains(['%', '+']) {
        return name.into();
    }
    let mut decoded = String::with_capacity(name.len());
    let mut rest = name;
    while let Some(i) = rest.find(['%', '+']) {
        decoded.push_str(&rest[..i]);
        let code = rest.get(i + 1..i + 3).and_then(|hex| u8::from_str_radix(hex, 16).ok());
        match (rest.as_bytes()[i], code) {
            (b'%', Some(code)) if code.is_ascii() => {
                decoded.push(char::from(code));
                rest = &rest[i + 3..];
            }
            (byte, _) => {
                decoded.push(if byte == b'+' { ' ' } else { '%' });
                rest = &rest[i + 1..];
            }
        }
    }
    decoded.push_str(rest);
    decoded.into()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn a_name_is_the_same_on_the_stack(name in r"([-_. A-Za-z0-9\[\]]|é|K){0,140}") {
            let short = with_normal(&name, str::to_owned);
            prop_assert_eq!(short, normal(&name));
        }
    }
}
