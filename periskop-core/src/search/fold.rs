//! Text without regard to case.

use std::borrow::Cow;

/// `text` as it is searched: character by character in Unicode's lower case, and final sigmas as
/// other sigmas.
///
/// Character by character, so that what is part of a text is part of it in this form as well:
/// `str::to_lowercase` looks at a sigma's neighbours, by which a query would not be found in a
/// longer word.
///
/// ```
/// use periskop_core::search::fold;
///
/// assert_eq!(fold("Große ÄPFEL"), "große äpfel");
/// assert_eq!(fold("ΟΔΟΣ"), fold("οδος"));
/// ```
pub fn fold(text: &str) -> Cow<'_, str> {
    if text.is_ascii() {
        return match text.bytes().any(|byte| byte.is_ascii_uppercase()) {
            true => Cow::Owned(text.to_ascii_lowercase()),
            false => Cow::Borrowed(text),
        };
    }
    let lower = text.chars().flat_map(char::to_lowercase);
    Cow::Owned(lower.map(|c| if c == 'ς' { 'σ' } else { c }).collect())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn folding_parts_is_folding_the_whole(a in "\\PC*", b in "[ΣσςİIßſKk\\PC]*") {
            let whole = fold(&(a.clone() + &b)).into_owned();
            prop_assert_eq!(whole, fold(&a).into_owned() + &fold(&b));
        }

        #[test]
        fn folding_twice_is_folding_once(text in "[ΣσςİIßſKk\\PC]*") {
            let once = fold(&text).into_owned();
            prop_assert_eq!(fold(&once), once.as_str());
        }
    }
}
