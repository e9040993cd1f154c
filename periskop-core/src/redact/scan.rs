//! Finding one's way in JSON that may be cut off or broken.

pub(super) fn find(bytes: &[u8], from: usize, byte: u8) -> Option<usize> {
    bytes.get(from..)?.iter().position(|b| *b == byte).map(|i| from + i)
}

pub(super) fn skip_space(bytes: &[u8], from: usize) -> usize {
    let space = bytes[from..].iter().take_while(|b| b.is_ascii_whitespace()).count();
    from + space
}

/// Behind the closing quote of the string that `open` opens, or the end.
pub(super) fn string_end(bytes: &[u8], open: usize) -> usize {
    let mut at = open + 1;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => return at + 1,
            b'\\' => at += 2,
            _ => at += 1,
        }
    }
    bytes.len()
}

pub(super) fn inside(bytes: &[u8], open: usize, end: usize) -> &[u8] {
    let text = &bytes[open + 1..end];
    text.strip_suffix(b"\"").unwrap_or(text)
}

/// Behind the value at `from`, whatever it is; the end if it is open there.
pub(super) fn value_end(bytes: &[u8], from: usize) -> usize {
    let mut depth = 0_usize;
    let mut at = from;
    while let Some(byte) = bytes.get(at) {
        match byte {
            b'"' => {
                at = string_end(bytes, at);
                if depth == 0 {
                    return at;
                }
                continue;
            }
            b'{' | b'[' => depth += 1,
            b'}' | b']' if depth <= 1 => return at + depth,
            b'}' | b']' => depth -= 1,
            b',' if depth == 0 => return at,
            _ => {}
        }
        at += 1;
    }
    bytes.len()
}

/// Behind the first empty line after `from`, which ends the headers of a part. One pass, so that a
/// body of nothing but parts is not read once for each.
pub(super) fn behind_blank_line(text: &str, from: usize) -> Option<usize> {
    let mut lines = text[from..].match_indices('\n').map(|(i, _)| from + i + 1);
    lines.find_map(|line| match &text.as_bytes()[line..] {
        [b'\n', ..] => Some(line + 1),
        [b'\r', b'\n', ..] => Some(line + 2),
        _ => None,
    })
}
