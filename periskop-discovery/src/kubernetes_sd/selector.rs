//! The syntax of label and field selectors, told wrong before the API server does.
//!
//! What is accepted, and in which words the rest is refused, is client-go's. Selectors are sent
//! as they were written.

use std::fmt::Write as _;

/// `DNS_LABEL`s and values are not longer, RFC 1123.
const NAME_LIMIT: usize = 63;
const SUBDOMAIN_LIMIT: usize = 253;

const NAME_RULE: &str = "must consist of alphanumeric characters, '-', '_' or '.', and must start \
                         and end with an alphanumeric character (e.g. 'MyName',  or 'my.name',  \
                         or '123-abc', regex used for validation is \
                         '([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9]')";
const VALUE_RULE: &str = "a valid label must be an empty string or consist of alphanumeric \
                          characters, '-', '_' or '.', and must start and end with an \
                          alphanumeric character (e.g. 'MyValue',  or 'my_value',  or '12345', \
                          regex used for validation is \
                          '(([A-Za-z0-9][-A-Za-z0-9_.]*)?[A-Za-z0-9])?')";
const SUBDOMAIN_RULE: &str = "a lowercase RFC 1123 subdomain must consist of lower case \
                              alphanumeric characters, '-' or '.', and must start and end with \
                              an alphanumeric character (e.g. 'example.com', regex used for \
                              validation is '[a-z0-9]([-a-z0-9]*[a-z0-9])?(\\.[a-z0-9]([-a-z0-9]\
                              *[a-z0-9])?)*')";

/// Checks a field selector: terms like `a=b`, `a==b`, `a!=b` with commas between them. In values
/// a backslash comes before `\`, `,` and `=`.
pub(super) fn check_fields(selector: &str) -> Result<(), String> {
    for term in split_unescaped(selector) {
        if term.is_empty() {
            continue;
        }
        let Some(value) = value_of(term) else {
            return Err(format!("invalid selector: '{selector}'; can't understand '{term}'"));
        };
        check_escapes(value)?;
    }
    Ok(())
}

/// The terms between commas that no backslash is before.
fn split_unescaped(selector: &str) -> Vec<&str> {
    let mut escaped = false;
    let is_end = |c: char| {
        let end = c == ',' && !escaped;
        escaped = c == '\\' && !escaped;
        end
    };
    selector.split(is_end).collect()
}

/// What stands behind the first operator.
fn value_of(term: &str) -> Option<&str> {
    let mut escaped = false;
    for (at, c) in term.char_indices() {
        if !escaped {
            let rest = &term[at..];
            if let Some(value) = ["!=", "==", "="].iter().find_map(|op| rest.strip_prefix(op)) {
                return Some(value);
            }
        }
        escaped = c == '\\' && !escaped;
    }
    None
}

fn check_escapes(value: &str) -> Result<(), String> {
    let invalid = |sequence: String| {
        Err(format!("invalid field selector: invalid escape sequence: {sequence}"))
    };
    let mut characters = value.chars();
    while let Some(c) = characters.next() {
        match c {
            '\\' => match characters.next() {
                Some('\\' | ',' | '=') => {}
                other => {
                    return invalid(format!("\\{}", other.map(String::from).unwrap_or_default()));
                }
            },
            ',' | '=' => {
                let code = u32::from(c);
                return Err(format!(
                    "invalid field selector: unescaped character in value: {code}"
                ));
            }
            _ => {}
        }
    }
    Ok(())
}

/// Checks a label selector: requirements like `a`, `!a`, `a=b`, `a in (b,c)`, `a>1` with commas
/// between them.
pub(super) fn check_labels(selector: &str) -> Result<(), String> {
    Parser { tokens: tokens(selector), at: 0 }.selector()
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Kind {
    Word,
    Symbol,
    End,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Token {
    kind: Kind,
    text: String,
}

fn tokens(selector: &str) -> Vec<Token> {
    const SYMBOLS: &str = "=!(),<>";
    let mut tokens = Vec::new();
    let mut rest = selector;
    loop {
        rest = rest.trim_start_matches([' ', '\t', '\r', '\n']);
        let is_symbol = |c: char| SYMBOLS.contains(c);
        let Some(first) = rest.chars().next().filter(|c| *c != '\0') else { break };
        let (kind, length) = if is_symbol(first) {
            // The longest that means something: `!=` and `==`, else one character.
            let length = if rest.starts_with("!=") || rest.starts_with("==") { 2 } else { 1 };
            (Kind::Symbol, length)
        } else {
            let ends = |c: char| is_symbol(c) || " \t\r\n\0".contains(c);
            (Kind::Word, rest.find(ends).unwrap_or(rest.len()))
        };
        let (text, behind) = rest.split_at(length);
        tokens.push(Token { kind, text: text.to_owned() });
        rest = behind;
    }
    tokens.push(Token { kind: Kind::End, text: String::new() });
    tokens
}

struct Parser {
    tokens: Vec<Token>,
    at: usize,
}

impl Parser {
    fn peek(&self) -> Token {
        let end = || Token { kind: Kind::End, text: String::new() };
        self.tokens.get(self.at).cloned().unwrap_or_else(end)
    }

    fn next(&mut self) -> Token {
        let token = self.peek();
        self.at += 1;
        token
    }

    fn selector(&mut self) -> Result<(), String> {
        loop {
            let token = self.peek();
            match token.kind {
                Kind::End => return Ok(()),
                Kind::Word => {}
                Kind::Symbol if token.text == "!" => {}
                _ => {
                    let expected = "!, identifier, or 'end of string'";
                    return Err(format!("found '{}', expected: {expected}", token.text));
                }
            }
            self.requirement()
                .map_err(|reason| format!("unable to parse requirement: {reason}"))?;
            let token = self.next();
            match token.text.as_str() {
                "" => return Ok(()),
                "," => {
                    let next = self.peek();
                    if next.kind != Kind::Word && next.text != "!" {
                        let found = next.text;
                        return Err(format!("found '{found}', expected: identifier after ','"));
                    }
                }
                other => {
                    return Err(format!("found '{other}', expected: ',' or 'end of string'"));
                }
            }
        }
    }

    fn requirement(&mut self) -> Result<(), String> {
        let mut key = self.next();
        let denied = key.text == "!";
        if denied {
            key = self.next();
        }
        if key.kind != Kind::Word {
            return Err(format!("found '{}', expected: identifier", key.text));
        }
        check_key(&key.text)?;
        let next = self.peek();
        if denied || next.kind == Kind::End || next.text == "," {
            return Ok(());
        }
        let operator = self.next();
        let values = match operator.text.as_str() {
            "in" | "notin" => self.values()?,
            "=" | "==" | "!=" | ">" | "<" => vec![self.exact_value()?],
            other => {
                let expected = "in, notin, =, ==, !=, gt, lt";
                return Err(format!("found '{other}', expected: {expected}"));
            }
        };
        check_values(&key.text, &operator.text, &values)
    }

    /// `(a,b)`; between commas there may be nothing.
    fn values(&mut self) -> Result<Vec<String>, String> {
        let open = self.next();
        if open.text != "(" {
            return Err(format!("found '{}' expected: '('", open.text));
        }
        let mut values = Vec::new();
        loop {
            let token = self.peek();
            match (token.kind, token.text.as_str()) {
                (Kind::Word, _) => {
                    self.at += 1;
                    values.push(token.text);
                    let after = self.peek();
                    match after.text.as_str() {
                        ")" => {}
                        "," => self.at += 1,
                        other => return Err(format!("found '{other}', expected: ',' or ')'")),
                    }
                }
                (_, ",") => {
                    self.at += 1;
                    values.push(String::new());
                }
                (_, ")") => {
                    self.at += 1;
                    return Ok(values);
                }
                (_, other) if values.is_empty() => {
                    return Err(format!("found '{other}', expected: ',', ')' or identifier"));
                }
                (_, other) => return Err(format!("found '{other}', expected: ',', or identifier")),
            }
        }
    }

    fn exact_value(&mut self) -> Result<String, String> {
        let token = self.peek();
        if token.kind == Kind::End || token.text == "," {
            return Ok(String::new());
        }
        self.at += 1;
        match token.kind {
            Kind::Word => Ok(token.text),
            _ => Err(format!("found '{}', expected: identifier", token.text)),
        }
    }
}

fn check_key(key: &str) -> Result<(), String> {
    let mut reasons = Vec::new();
    let name = match key.split('/').collect::<Vec<_>>()[..] {
        [name] => name,
        [prefix, name] => {
            if prefix.is_empty() {
                reasons.push("prefix part must be non-empty".to_owned());
            } else if prefix.len() > SUBDOMAIN_LIMIT {
                reasons.push("prefix part must be no more than 253 characters".to_owned());
            } else if !is_subdomain(prefix) {
                reasons.push(format!("prefix part {SUBDOMAIN_RULE}"));
            }
            name
        }
        _ => {
            let rule = format!(
                "a qualified name {NAME_RULE} with an optional DNS subdomain prefix and '/' \
                 (e.g. 'example.com/MyName')"
            );
            return Err(format!("<nil>: Invalid value: {key:?}: {rule}"));
        }
    };
    if name.is_empty() {
        reasons.push("name part must be non-empty".to_owned());
    } else if name.len() > NAME_LIMIT {
        reasons.push("name part must be no more than 63 characters".to_owned());
    }
    if !is_name(name) {
        reasons.push(format!("name part {NAME_RULE}"));
    }
    if reasons.is_empty() {
        return Ok(());
    }
    Err(format!("<nil>: Invalid value: {key:?}: {}", reasons.join("; ")))
}

fn check_values(key: &str, operator: &str, values: &[String]) -> Result<(), String> {
    let mut told = String::new();
    for (i, value) in values.iter().enumerate() {
        let mut tell = |path: String, rule: &str| {
            let separator = if told.is_empty() { "" } else { ", " };
            let _ = write!(told, "{separator}{path}: Invalid value: {value:?}: {rule}");
        };
        if matches!(operator, ">" | "<") && value.parse::<i64>().is_err() {
            let rule = "for 'Gt', 'Lt' operators, the value must be an integer";
            tell(format!("values[{i}]"), rule);
        }
        if value.len() > NAME_LIMIT {
            tell(format!("values[{i}][{key}]"), "must be no more than 63 bytes");
        } else if !value.is_empty() && !is_name(value) {
            tell(format!("values[{i}][{key}]"), VALUE_RULE);
        }
    }
    if told.is_empty() { Ok(()) } else { Err(told) }
}

/// Letters and digits at both ends, `-_.` as well between them.
fn is_name(text: &str) -> bool {
    let bytes = text.as_bytes();
    let fits = |b: &u8| b.is_ascii_alphanumeric() || b"-_.".contains(b);
    bytes.iter().all(fits)
        && bytes.first().is_some_and(u8::is_ascii_alphanumeric)
        && bytes.last().is_some_and(u8::is_ascii_alphanumeric)
}

fn is_subdomain(text: &str) -> bool {
    text.split('.').all(|label| {
        is_name(label)
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn label_selectors_of_every_form_are_accepted() {
        for selector in [
            "",
            " ",
            "a",
            "!a",
            "a=b,c==d,e!=f",
            "a=",
            "a==,b",
            "a in (b,c), d notin (e)",
            "a in ()",
            "a in (,b,,)",
            "in in (in, notin)",
            "a>1,b<2",
            "app.kubernetes.io/name=x",
        ] {
            assert_eq!(check_labels(selector), Ok(()), "{selector}");
        }
    }

    #[test]
    fn label_selectors_that_are_none_are_refused_in_the_words_of_client_go() {
        for (selector, wanted) in [
            ("a in (b", "unable to parse requirement: found '', expected: ',' or ')'"),
            ("a in b", "unable to parse requirement: found 'b' expected: '('"),
            (
                "a b",
                "unable to parse requirement: found 'b', expected: in, notin, =, ==, !=, gt, lt",
            ),
            ("a=b c", "found 'c', expected: ',' or 'end of string'"),
            ("a,", "found '', expected: identifier after ','"),
            (",a", "found ',', expected: !, identifier, or 'end of string'"),
            ("a=(", "unable to parse requirement: found '(', expected: identifier"),
            ("a/b/c", "unable to parse requirement: <nil>: Invalid value: \"a/b/c\": a qualified"),
            ("-a", "unable to parse requirement: <nil>: Invalid value: \"-a\": name part must"),
            ("/a", "prefix part must be non-empty"),
            ("A/a", "prefix part a lowercase RFC 1123 subdomain"),
            ("a=b/c", "values[0][a]: Invalid value: \"b/c\": a valid label must be"),
            ("a>-1", "values[0][a]: Invalid value: \"-1\": a valid label must be"),
            ("a>b", "the value must be an integer"),
        ] {
            let reason = check_labels(selector).unwrap_err();
            assert!(reason.contains(wanted), "{selector}: {reason}");
        }
    }

    #[test]
    fn field_selectors_are_terms_with_an_operator() {
        for selector in ["", "a=b", "a==b,c!=d", ",a=b,", r"a=b\,c\=d\\", "=", "a="] {
            assert_eq!(check_fields(selector), Ok(()), "{selector}");
        }
        for (selector, wanted) in [
            ("a", "invalid selector: 'a'; can't understand 'a'"),
            ("a=b,c", "invalid selector: 'a=b,c'; can't understand 'c'"),
            ("a=b=c", "unescaped character in value: 61"),
            (r"a=\b", r"invalid escape sequence: \b"),
            (r"a=b\", r"invalid escape sequence: \"),
        ] {
            let reason = check_fields(selector).unwrap_err();
            assert!(reason.contains(wanted), "{selector}: {reason}");
        }
    }
}
