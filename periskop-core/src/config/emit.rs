//! A tree of nodes back to YAML text.

use std::fmt::{self, Write as _};

use crate::config::node::{Node, Value};
use crate::config::scalar::{Kind, Scalar, plain_kind};

/// Prints the node as YAML in block style, laid out as Go's `yaml.v2` does: lists are not
/// indented under their key. Reading it again gives an equal node (keys that are not text read
/// back as such).
impl fmt::Display for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.value {
            Value::Sequence(items) if !items.is_empty() => sequence(f, items, 0),
            Value::Mapping(entries) if !entries.is_empty() => mapping(f, self, 0, false),
            _ => {
                inline(f, self)?;
                f.write_char('\n')
            }
        }
    }
}

/// Writes a mapping's lines. The first one is not indented where it stands behind `- `.
fn mapping(f: &mut fmt::Formatter<'_>, node: &Node, indent: usize, started: bool) -> fmt::Result {
    let Value::Mapping(entries) = &node.value else { return Ok(()) };
    for (i, entry) in entries.iter().enumerate() {
        if i > 0 || !started {
            write!(f, "{:indent$}", "")?;
        }
        scalar(f, &entry.key)?;
        f.write_char(':')?;
        match &entry.value.value {
            Value::Sequence(items) if !items.is_empty() => {
                f.write_char('\n')?;
                sequence(f, items, indent)?;
            }
            Value::Mapping(inner) if !inner.is_empty() => {
                f.write_char('\n')?;
                mapping(f, &entry.value, indent + 2, false)?;
            }
            _ => {
                f.write_char(' ')?;
                inline(f, &entry.value)?;
                f.write_char('\n')?;
            }
        }
    }
    Ok(())
}

fn sequence(f: &mut fmt::Formatter<'_>, items: &[Node], indent: usize) -> fmt::Result {
    for item in items {
        write!(f, "{:indent$}-", "")?;
        match &item.value {
            Value::Sequence(inner) if !inner.is_empty() => {
                f.write_char('\n')?;
                sequence(f, inner, indent + 2)?;
            }
            Value::Mapping(inner) if !inner.is_empty() => {
                f.write_char(' ')?;
                mapping(f, item, indent + 2, true)?;
            }
            _ => {
                f.write_char(' ')?;
                inline(f, item)?;
                f.write_char('\n')?;
            }
        }
    }
    Ok(())
}

fn inline(f: &mut fmt::Formatter<'_>, node: &Node) -> fmt::Result {
    match &node.value {
        Value::Null => f.write_str("null"),
        Value::Scalar(value) => scalar(f, value),
        Value::Sequence(_) => f.write_str("[]"),
        Value::Mapping(_) => f.write_str("{}"),
    }
}

fn scalar(f: &mut fmt::Formatter<'_>, scalar: &Scalar) -> fmt::Result {
    let text = scalar.text();
    if scalar.kind() != Kind::Text || is_safe_plain(text) {
        f.write_str(text)
    } else if plain_kind(text) != Some(Kind::Text) || text.chars().any(needs_escape) {
        double_quoted(f, text)
    } else {
        write!(f, "'{}'", text.replace('\'', "''"))
    }
}

/// Whether the text reads back as itself without quotes. Stricter than YAML where that is simpler.
fn is_safe_plain(text: &str) -> bool {
    let opens = |c: char| {
        matches!(
            c,
            '-' | '?'
                | ':'
                | ','
                | '['
                | ']'
                | '{'
                | '}'
                | '#'
                | '&'
                | '*'
                | '!'
                | '|'
                | '>'
                | '\''
                | '"'
                | '%'
                | '@'
                | '`'
                | '='
                | '~'
                | ' '
        )
    };
    plain_kind(text) == Some(Kind::Text)
        && !looks_like_a_date(text)
        && text != "<<"
        && !text.starts_with(opens)
        && !text.starts_with("...")
        && !text.ends_with([' ', ':'])
        && !text.contains(": ")
        && !text.contains(" #")
        && !text.chars().any(needs_escape)
}

/// Other readers of YAML take `2020-01-01` for a date.
fn looks_like_a_date(text: &str) -> bool {
    text.len() >= 8
        && text.as_bytes()[..4].iter().all(u8::is_ascii_digit)
        && text.as_bytes()[4] == b'-'
}

/// Control characters, line ends, and what is not printed: byte-order mark, surrogate-like gaps.
fn needs_escape(c: char) -> bool {
    c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{feff}' | '\u{fffe}' | '\u{ffff}')
}

fn double_quoted(f: &mut fmt::Formatter<'_>, text: &str) -> fmt::Result {
    f.write_char('"')?;
    for c in text.chars() {
        match c {
            '"' => f.write_str("\\\"")?,
            '\\' => f.write_str("\\\\")?,
            '\n' => f.write_str("\\n")?,
            '\t' => f.write_str("\\t")?,
            '\r' => f.write_str("\\r")?,
            c if needs_escape(c) => match u32::from(c) {
                code @ 0..=0xff => write!(f, "\\x{code:02x}")?,
                code => write!(f, "\\u{code:04x}")?,
            },
            c => f.write_char(c)?,
        }
    }
    f.write_char('"')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::config::{Node, parse};

    #[test]
    fn a_tree_is_laid_out_as_go_does() {
        let text = "url: http://x\nbasic_auth:\n  username: \"123\"\n  password: <secret>\n\
                    names:\n- a\n- '[ab].json'\nfilters:\n- name: a\n  values: []\nport: 80\n";
        assert_eq!(parse(text).unwrap().to_string(), text);
    }

    fn node() -> impl Strategy<Value = Node> {
        let text = prop_oneof![any::<String>(), "[-a:#'\" \n,<~0-9\\[{]{0,4}"];
        let leaf = prop_oneof![
            Just(Node::null()),
            any::<bool>().prop_map(Node::from),
            any::<i64>().prop_map(Node::from),
            text.prop_map(Node::from),
        ];
        leaf.prop_recursive(4, 24, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Node::from),
                prop::collection::btree_map("[ a-c:\n0~]{1,3}|<<", inner, 0..4)
                    .prop_map(Node::mapping),
            ]
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn what_is_printed_reads_back_equal(node in node()) {
            let text = node.to_string();
            let again = parse(&text).map_err(|e| TestCaseError::fail(format!("{e}\n{text}")))?;
            prop_assert_eq!(again, node, "{}", text);
        }

        #[test]
        fn reading_is_total(text in any::<String>()) {
            let _ = parse(&text);
        }

        #[test]
        fn reading_is_total_on_what_looks_like_yaml(text in "[-a:#'\"&*!|>%<~{}\\[\\], \n\t?]{0,40}") {
            let _ = parse(&text);
        }
    }
}
