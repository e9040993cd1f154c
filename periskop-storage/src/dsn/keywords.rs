//! libpq's keywords and values: `host=db user=me password='it\'s me'`.

use std::iter::Peekable;
use std::str::Chars;

use crate::dsn::DsnError;

/// Reads settings in their order.
///
/// Blanks may stand around `=`, and a value with blanks in it is quoted. A backslash escapes a
/// quote, a backslash and a blank; before anything else it stands for itself, as in pgx, where
/// the files of the reference come from (libpq leaves it out). Two quotes within quotes are one
/// as well: libpq refuses them, so nothing else can be meant. As in libpq, `password= user=me` is
/// the password `user=me`; an empty value is written `''`.
pub(super) fn parse(text: &str) -> Result<Vec<(String, String)>, DsnError> {
    let mut text = Reader { rest: text.chars().peekable(), position: 1 };
    let mut settings = Vec::new();
    loop {
        text.skip_blanks();
        if text.rest.peek().is_none() {
            return Ok(settings);
        }
        let mut name = String::new();
        while let Some(c) = text.next_if(|c| !is_blank(c) && c != '=') {
            name.push(c);
        }
        if name.is_empty() {
            return Err(text.expected("a keyword"));
        }
        text.skip_blanks();
        if text.next_if(|c| c == '=').is_none() {
            return Err(text.expected("`=` after a keyword, or quotes around a value with blanks"));
        }
        text.skip_blanks();
        settings.push((name, text.value()?));
    }
}

struct Reader<'t> {
    rest: Peekable<Chars<'t>>,
    position: usize,
}

impl Reader<'_> {
    fn value(&mut self) -> Result<String, DsnError> {
        let quoted = self.next_if(|c| c == '\'').is_some();
        let mut value = String::new();
        loop {
            match self.next_if(|c| quoted || !is_blank(c)) {
                Some('\'') if quoted => match self.next_if(|c| c == '\'') {
                    Some(quote) => value.push(quote),
                    None => return Ok(value),
                },
                Some('\\') => match self.next_if(|c| c == '\\' || c == '\'' || is_blank(c)) {
                    Some(escaped) => value.push(escaped),
                    None if self.rest.peek().is_none() => {
                        return Err(self.expected("something after a backslash"));
                    }
                    None => value.push('\\'),
                },
                Some(c) => value.push(c),
                None if quoted => return Err(self.expected("a closing quote")),
                None => return Ok(value),
            }
        }
    }

    fn skip_blanks(&mut self) {
        while self.next_if(is_blank).is_some() {}
    }

    fn next_if(&mut self, wanted: impl Fn(char) -> bool) -> Option<char> {
        let next = self.rest.next_if(|c| wanted(*c))?;
        self.position += 1;
        Some(next)
    }

    fn expected(&self, expected: &'static str) -> DsnError {
        DsnError::Syntax { position: self.position, expected }
    }
}

/// What C calls white space.
fn is_blank(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\n' | '\x0b' | '\x0c' | '\r')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn values_may_be_quoted_and_escaped() {
        for (text, value) in [
            ("k=v", "v"),
            ("  k = v\n", "v"),
            ("k=", ""),
            ("k=''", ""),
            ("k='a b'", "a b"),
            (r"k='it\'s'", "it's"),
            ("k='it''s'", "it's"),
            (r"k=it\'s", "it's"),
            ("k=it's", "it's"),
            (r"k=a\ b", "a b"),
            (r"k=a\\b", r"a\b"),
            (r"k=a\b", r"a\b"),
            (r"k='a\b'", r"a\b"),
            ("k=a=b", "a=b"),
            ("k= l=m", "l=m"),
        ] {
            assert_eq!(parse(text), Ok(vec![("k".to_owned(), value.to_owned())]), "{text}");
        }
    }

    #[test]
    fn settings_keep_their_order() {
        let settings = parse("host=db user='me'password=x\tuser=you").unwrap();
        let names: Vec<_> = settings.iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["host", "user", "password", "user"]);
    }

    #[test]
    fn a_mistake_has_a_place() {
        for (text, place, expected) in [
            ("host", 5, "`=` after a keyword"),
            ("password=my secret", 19, "`=` after a keyword"),
            ("a=b =c", 5, "a keyword"),
            ("a='b", 5, "a closing quote"),
            (r"a=b\", 5, "something after a backslash"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(
                error.starts_with(&format!("character {place}: expected {expected}")),
                "{error}"
            );
            assert!(!error.contains("secret"));
        }
    }

    proptest! {
        #[test]
        fn reading_is_total(text in any::<String>(), close in r"[a =\\']{0,20}") {
            let _ = parse(&text);
            let _ = parse(&close);
        }

        #[test]
        fn what_is_quoted_reads_back(name in "[a-z_]{1,9}", value in any::<String>()) {
            let quoted = value.replace('\\', r"\\").replace('\'', r"\'");
            let settings = parse(&format!("{name}='{quoted}' other=x")).unwrap();
            prop_assert_eq!(&settings[0], &(name, value));
            prop_assert_eq!(settings.len(), 2);
        }
    }
}
