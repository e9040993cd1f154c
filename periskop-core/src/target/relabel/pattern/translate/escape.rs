//! The small parts of Go's syntax: escapes of one character, flags, counts.

use std::fmt;

use super::PatternError;
use super::syntax;

/// Reads an escape that stands for one character, and answers its code: perhaps a surrogate's.
pub(super) fn escape(rest: &mut &str) -> Result<u32, PatternError> {
    let start = *rest;
    let mut chars = start[1..].chars();
    let invalid = |chars: &std::str::Chars<'_>| {
        let part = &start[..start.len() - chars.as_str().len()];
        syntax("invalid escape sequence", part)
    };
    let Some(c) = chars.next() else {
        return Err(syntax("trailing backslash at end of expression", ""));
    };
    let code = match c {
        'a' => 7,
        'f' => 0xc,
        'n' => 0xa,
        'r' => 0xd,
        't' => 9,
        'v' => 0xb,
        'x' => match hexadecimal(&mut chars) {
            Some(code) => code,
            None => return Err(invalid(&chars)),
        },
        // `\1` alone would be a back-reference.
        '0'..='7' if c == '0' || chars.clone().next().is_some_and(|next| next.is_digit(8)) => {
            let mut code = c.to_digit(8).unwrap_or_default();
            for _ in 0..2 {
                let Some(digit) = chars.clone().next().and_then(|next| next.to_digit(8)) else {
                    break;
                };
                chars.next();
                code = code * 8 + digit;
            }
            code
        }
        c if c.is_ascii() && !c.is_ascii_alphanumeric() => u32::from(c),
        _ => return Err(invalid(&chars)),
    };
    *rest = chars.as_str();
    Ok(code)
}

/// Two digits, or any number in braces up to the last character there is.
fn hexadecimal(chars: &mut std::str::Chars<'_>) -> Option<u32> {
    let first = chars.next()?;
    if first != '{' {
        return Some(first.to_digit(16)? * 16 + chars.next()?.to_digit(16)?);
    }
    let mut code = chars.next()?.to_digit(16)?;
    loop {
        match chars.next()? {
            '}' => return Some(code),
            digit => code = code * 16 + digit.to_digit(16)?,
        }
        if code > u32::from(char::MAX) {
            return None;
        }
    }
}

/// Flags as they are written behind `(?`.
#[derive(Default)]
pub(super) struct Flags {
    on: String,
    off: String,
    /// Whether they open a group of their own: `(?i:` and not `(?i)`.
    pub(super) opens_group: bool,
}

impl Flags {
    pub(super) fn is_empty(&self) -> bool {
        self.on.is_empty() && self.off.is_empty()
    }
}

impl fmt::Display for Flags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.on)?;
        if self.off.is_empty() { Ok(()) } else { write!(f, "-{}", self.off) }
    }
}

/// Reads `(?flags)` or `(?flags:`. A flag may come twice; a later `-` wins.
pub(super) fn flags(rest: &mut &str) -> Result<Flags, PatternError> {
    let start = *rest;
    let mut chars = start[2..].chars();
    let mut flags = Flags::default();
    let mut negative = false;
    let mut seen = false;
    let invalid = |chars: &std::str::Chars<'_>| {
        let part = &start[..start.len() - chars.as_str().len()];
        syntax("invalid or unsupported Perl syntax", part)
    };
    loop {
        let Some(c) = chars.next() else { return Err(syntax("missing closing )", start)) };
        match c {
            'i' | 'm' | 's' | 'U' => {
                seen = true;
                flags.on.retain(|other| other != c);
                let side = if negative { &mut flags.off } else { &mut flags.on };
                if !side.contains(c) {
                    side.push(c);
                }
            }
            '-' if !negative => {
                negative = true;
                seen = false;
            }
            ':' | ')' if !negative || seen => {
                flags.opens_group = c == ':';
                *rest = chars.as_str();
                return Ok(flags);
            }
            _ => return Err(invalid(&chars)),
        }
    }
}

/// Reads `{n}`, `{n,}` or `{n,m}`: the least and the most, and how many bytes they take.
pub(super) fn counts(text: &str) -> Option<(u32, Option<u32>, usize)> {
    let (min, rest) = count(text.strip_prefix('{')?)?;
    let (max, rest) = match rest.strip_prefix(',') {
        None => (Some(min), rest),
        Some(rest) if rest.starts_with('}') => (None, rest),
        Some(rest) => {
            let (max, rest) = count(rest)?;
            (Some(max), rest)
        }
    };
    let rest = rest.strip_prefix('}')?;
    Some((min, max, text.len() - rest.len()))
}

/// A number without leading zeros; too large ones are the largest.
fn count(text: &str) -> Option<(u32, &str)> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, rest) = text.split_at(end);
    if digits.is_empty() || (digits.len() > 1 && digits.starts_with('0')) {
        return None;
    }
    Some((digits.parse().unwrap_or(u32::MAX), rest))
}
