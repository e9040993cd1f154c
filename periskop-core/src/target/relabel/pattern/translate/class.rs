//! Classes: `[…]`, `\d` and its like, `\p{…}`.

use super::PatternError;
use super::{escape, literal, syntax};

/// Reads a bracketed class and writes it without anything that Rust would take for an operator.
pub(super) fn class(rest: &mut &str) -> Result<String, PatternError> {
    let start = *rest;
    let mut text = &start[1..];
    let mut result = "[".to_owned();
    let negated = text.starts_with('^');
    if negated {
        text = &text[1..];
    }
    let mut items = String::new();
    let mut first = true;
    while first || !text.starts_with(']') {
        first = false;
        let item = match posix(&mut text)? {
            Some(item) => item,
            None => match escape(&mut text)? {
                Some(item) => item,
                None => range(&mut text, start)?,
            },
        };
        items.push_str(&item);
    }
    *rest = &text[1..];
    match (negated, items.is_empty()) {
        // Only surrogates, which are in no text.
        (false, true) => return Ok(r"[^\x{0}-\x{10ffff}]".into()),
        (true, true) => return Ok(r"[\x{0}-\x{10ffff}]".into()),
        (true, false) => result.push('^'),
        (false, false) => {}
    }
    result.push_str(&items);
    result.push(']');
    Ok(result)
}

/// A character or a range of them.
fn range(text: &mut &str, class: &str) -> Result<String, PatternError> {
    let start = *text;
    let low = character(text, class)?;
    let mut high = low;
    if text.starts_with('-') && text.len() >= 2 && !text.starts_with("-]") {
        *text = &text[1..];
        high = character(text, class)?;
    }
    if high < low {
        let part = &start[..start.len() - text.len()];
        return Err(syntax("invalid character class range", part));
    }
    // Surrogates are no characters; a range that ends at one ends before or after all of them.
    let is_surrogate = |code: u32| (0xd800..=0xdfff).contains(&code);
    let low = if is_surrogate(low) { 0xe000 } else { low };
    let high = if is_surrogate(high) { 0xd7ff } else { high };
    Ok(match low.cmp(&high) {
        std::cmp::Ordering::Less => format!("{}-{}", literal(low), literal(high)),
        std::cmp::Ordering::Equal => literal(low),
        std::cmp::Ordering::Greater => String::new(),
    })
}

fn character(text: &mut &str, class: &str) -> Result<u32, PatternError> {
    let Some(c) = text.chars().next() else { return Err(syntax("missing closing ]", class)) };
    if c == '\\' {
        return escape::escape(text);
    }
    *text = &text[c.len_utf8()..];
    Ok(u32::from(c))
}

/// `[:alpha:]` or `[:^alpha:]` within a class.
fn posix(text: &mut &str) -> Result<Option<String>, PatternError> {
    let Some(inner) = text.strip_prefix("[:") else { return Ok(None) };
    let Some((name, rest)) = inner.split_once(":]") else { return Ok(None) };
    let part = &text[..text.len() - rest.len()];
    let (negated, name) = match name.strip_prefix('^') {
        Some(name) => (true, name),
        None => (false, name),
    };
    let ranges = match name {
        "alnum" => "0-9A-Za-z",
        "alpha" => "A-Za-z",
        "ascii" => r"\x00-\x7f",
        "blank" => r"\x09\x20",
        "cntrl" => r"\x00-\x1f\x7f",
        "digit" => "0-9",
        "graph" => r"\x21-\x7e",
        "lower" => "a-z",
        "print" => r"\x20-\x7e",
        "punct" => r"\x21-\x2f\x3a-\x40\x5b-\x60\x7b-\x7e",
        "space" => r"\x09-\x0d\x20",
        "upper" => "A-Z",
        "word" => r"0-9A-Za-z\x5f",
        "xdigit" => "0-9A-Fa-f",
        _ => return Err(syntax("invalid character class range", part)),
    };
    *text = rest;
    Ok(Some(if negated { format!("[^{ranges}]") } else { ranges.into() }))
}

/// `\d`, `\S`, `\pN`, `\P{Greek}` and so on, in a form that can stand within a class.
pub(super) fn escape(rest: &mut &str) -> Result<Option<String>, PatternError> {
    let class = match rest.as_bytes() {
        [b'\\', b'p' | b'P', _, ..] => return unicode(rest).map(Some),
        [b'\\', b'd', ..] => "0-9",
        [b'\\', b'D', ..] => "[^0-9]",
        [b'\\', b's', ..] => r"\x09\x0a\x0c\x0d\x20",
        [b'\\', b'S', ..] => r"[^\x09\x0a\x0c\x0d\x20]",
        [b'\\', b'w', ..] => r"0-9A-Za-z\x5f",
        [b'\\', b'W', ..] => r"[^0-9A-Za-z\x5f]",
        _ => return Ok(None),
    };
    *rest = &rest[2..];
    Ok(Some(class.into()))
}

/// `\pN` or `\p{Name}`: a general category, a script, `Any`, `ASCII` or `Assigned`.
fn unicode(rest: &mut &str) -> Result<String, PatternError> {
    let start = *rest;
    let mut negated = start.starts_with(r"\P");
    let after = &start[2..];
    let (mut name, after) = if let Some(braced) = after.strip_prefix('{') {
        let Some(split) = braced.split_once('}') else {
            return Err(syntax("invalid character class range", start));
        };
        split
    } else {
        after.split_at(after.chars().next().map_or(0, char::len_utf8))
    };
    let part = &start[..start.len() - after.len()];
    if let Some(inner) = name.strip_prefix('^') {
        negated = !negated;
        name = inner;
    }
    let property = property(name).ok_or_else(|| syntax("invalid character class range", part))?;
    *rest = after;
    let p = if negated { 'P' } else { 'p' };
    Ok(format!(r"\{p}{{{property}}}"))
}

/// Rust knows more properties than Go, and more names for the same; only those of Go are taken.
fn property(name: &str) -> Option<String> {
    /// Scripts whose full name has four letters; other names of four letters are abbreviations.
    const SHORT_SCRIPTS: [&str; 6] = ["ahom", "cham", "kawi", "lisu", "modi", "thai"];
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b' ')) {
        return None;
    }
    let loose: String =
        name.chars().filter(char::is_ascii_alphanumeric).collect::<String>().to_lowercase();
    if matches!(loose.as_str(), "any" | "ascii" | "assigned") {
        return Some(loose);
    }
    if loose.starts_with("is") {
        return None;
    }
    let is_known = |property: &str| regex_syntax::parse(&format!(r"\p{{{property}}}")).is_ok();
    let category = format!("gc={loose}");
    if is_known(&category) {
        return Some(category);
    }
    let is_abbreviation = loose.len() == 4 && !SHORT_SCRIPTS.contains(&loose.as_str());
    let script = format!("sc={loose}");
    (!is_abbreviation && is_known(&script)).then_some(script)
}
