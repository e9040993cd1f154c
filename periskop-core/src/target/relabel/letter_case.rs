//! Case mapping as Go's `strings.ToLower` and `strings.ToUpper`: one character to one character.
//!
//! Rust maps to several characters where Unicode's full mapping says so (`ß` to `SS`); Go uses
//! the simple mapping, which leaves such characters alone or has another single one for them.

pub(super) fn to_lower(text: &str) -> String {
    text.chars().map(lower).collect()
}

pub(super) fn to_upper(text: &str) -> String {
    text.chars().map(upper).collect()
}

fn lower(c: char) -> char {
    match c {
        // The only character with a full mapping to several in this direction.
        'İ' => 'i',
        _ => single(c.to_lowercase()).unwrap_or(c),
    }
}

fn upper(c: char) -> char {
    single(c.to_uppercase()).unwrap_or(match c {
        // Greek with a small iota below: the simple mapping is the capital with an iota beside.
        'ᾀ'..='ᾇ' | 'ᾐ'..='ᾗ' | 'ᾠ'..='ᾧ' => {
            char::from_u32(u32::from(c) + 8).unwrap_or(c)
        }
        'ᾳ' => 'ᾼ',
        'ῃ' => 'ῌ',
        'ῳ' => 'ῼ',
        _ => c,
    })
}

fn single(mut mapped: impl Iterator<Item = char>) -> Option<char> {
    let first = mapped.next();
    if mapped.next().is_some() { None } else { first }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn characters_are_mapped_one_by_one() {
        for (text, lower, upper) in [
            ("Straße", "straße", "STRAßE"),
            ("ﬁle", "ﬁle", "ﬁLE"),
            ("İi", "ii", "İI"),
            ("ΑΣ", "ασ", "ΑΣ"),
            ("ᾳᾀ", "ᾳᾀ", "ᾼᾈ"),
            ("ǅ", "ǆ", "Ǆ"),
            ("ſ", "ſ", "S"),
            ("ⓐ", "ⓐ", "Ⓐ"),
        ] {
            assert_eq!((to_lower(text).as_str(), to_upper(text).as_str()), (lower, upper));
        }
    }
}
