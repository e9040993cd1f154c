//! `Authorization` headers.

use periskop_http::Credential;

/// Whatever is understood is one credential out of one header, holds nothing that the header did
/// not, and does not show in `Debug`. Lines are the values of several headers.
///
/// # Panics
///
/// If a promise is broken.
pub fn run(input: &[u8]) {
    let values: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    let Ok(Some(credential)) = Credential::parse(values.iter().copied()) else { return };
    assert_eq!(values.len(), 1, "several headers are refused");
    let shown = format!("{credential:?}");
    match &credential {
        Credential::Basic { user, password } => {
            assert!(!user.expose().contains(':'));
            let both = [user.expose(), password.expose()].concat();
            assert!(both.len() < input.len() && !both.chars().any(char::is_control));
            assert_eq!(shown, "Basic <secret>");
        }
        Credential::Bearer(token) => {
            let token = token.expose().as_bytes();
            assert!(!token.is_empty() && input.windows(token.len()).any(|part| part == token));
            assert_eq!(shown, "Bearer <secret>");
        }
    }
}
