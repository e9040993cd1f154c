//! A pull reader for JSON that somebody hostile may have written.
//!
//! What general parsers do not give together: no recursion, whatever the nesting; bytes that are
//! not UTF-8 and lone surrogates cost a character and not the document; what nobody asks for is
//! checked and skipped without an allocation; every value knows its place. The grammar itself is
//! RFC 8259 and nothing more lenient.

use std::ops::Range;

use super::text::{Text, find_special, hex4};

/// Why a document is not JSON, and where.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SyntaxError {
    pub(super) offset: usize,
    pub(super) reason: &'static str,
}

/// What the next value is, told by its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Object,
    Array,
    Null,
    Other,
}

/// One value; what is nested in it is checked and stays unread.
#[derive(Clone, Debug)]
pub(super) enum Value<'a> {
    Null,
    Bool(Text<'a>),
    Number(Text<'a>),
    String(Text<'a>),
    Nested,
}

impl<'a> Value<'a> {
    /// The text where text is expected: a number or boolean becomes its JSON text.
    pub(super) fn text(self) -> Option<Text<'a>> {
        match self {
            Self::Bool(text) | Self::Number(text) | Self::String(text) => Some(text),
            Self::Null | Self::Nested => None,
        }
    }
}

/// Reads one document from the front to the back.
pub(super) struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// Reads a document; a byte order mark before it is skipped.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 } }
    }

    /// Where the next byte is read.
    pub(super) fn offset(&self) -> usize {
        self.at
    }

    /// Where the next value begins.
    pub(super) fn value_start(&mut self) -> usize {
        self.skip_space();
        self.at
    }

    /// Steps over a value that is known to be one, and to have that length.
    pub(super) fn step_over(&mut self, length: usize) {
        self.at += length;
    }

    /// What the next value is. An error where no value begins.
    pub(super) fn kind(&mut self) -> Result<Kind, SyntaxError> {
        self.skip_space();
        match self.bytes.get(self.at) {
            Some(b'{') => Ok(Kind::Object),
            Some(b'[') => Ok(Kind::Array),
            Some(b'n') => Ok(Kind::Null),
            Some(b'"' | b'-' | b'0'..=b'9' | b't' | b'f') => Ok(Kind::Other),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("unexpected end")),
        }
    }

    /// Steps over the bracket that [`Reader::kind`] has found.
    pub(super) fn enter(&mut self) {
        self.at += 1;
    }

    /// The name of an object's next member, with the reader at its value; `None` steps out of the
    /// object. `first` is true before the first member.
    pub(super) fn next_member(
        &mut self,
        first: &mut bool,
    ) -> Result<Option<Text<'a>>, SyntaxError> {
        if !self.next(b'}', first)? {
            return Ok(None);
        }
        self.name().map(Some)
    }

    /// Whether an array has a next element, with the reader at it; `false` steps out of the array.
    pub(super) fn next_element(&mut self, first: &mut bool) -> Result<bool, SyntaxError> {
        self.next(b']', first)
    }

    /// Reads one value.
    pub(super) fn value(&mut self) -> Result<Value<'a>, SyntaxError> {
        self.skip_space();
        match self.bytes.get(self.at) {
            Some(b'"') => self.string().map(Value::String),
            Some(b'{' | b'[') => self.ignore().map(|()| Value::Nested),
            Some(b'-' | b'0'..=b'9') => self.number().map(Value::Number),
            Some(b't') => self.literal(b"true").map(Value::Bool),
            Some(b'f') => self.literal(b"false").map(Value::Bool),
            Some(b'n') => self.literal(b"null").map(|_| Value::Null),
            Some(_) => Err(self.error("expected a value")),
            None => Err(self.error("unexpected end")),
        }
    }

    /// Checks and steps over one value.
    pub(super) fn ignore(&mut self) -> Result<(), SyntaxError> {
        self.walk(&mut ())
    }

    /// Checks and steps over one value, and tells its place.
    pub(super) fn skip(&mut self) -> Result<Range<usize>, SyntaxError> {
        self.skip_space();
        let start = self.at;
        self.ignore()?;
        Ok(start..self.at)
    }

    /// Hands one value to `sink` piece by piece.
    pub(super) fn walk(&mut self, sink: &mut impl Sink) -> Result<(), SyntaxError> {
        let mut nesting = Nesting::default();
        loop {
            self.skip_space();
            match self.bytes.get(self.at) {
                Some(b'"') => sink.string(self.string()?),
                Some(&open @ (b'{' | b'[')) => {
                    self.at += 1;
                    sink.punctuation(open);
                    let is_object = open == b'{';
                    nesting.push(is_object);
                    self.skip_space();
                    let close = closing(is_object);
                    if self.bytes.get(self.at) != Some(&close) {
                        if is_object {
                            sink.string(self.name()?);
                            sink.punctuation(b':');
                        }
                        continue;
                    }
                }
                Some(b'-' | b'0'..=b'9') => sink.bare(self.number()?.raw()),
                Some(b't') => sink.bare(self.literal(b"true")?.raw()),
                Some(b'f') => sink.bare(self.literal(b"false")?.raw()),
                Some(b'n') => sink.bare(self.literal(b"null")?.raw()),
                Some(_) => return Err(self.error("expected a value")),
                None => return Err(self.error("unexpected end")),
            }
            loop {
                let Some(in_object) = nesting.top() else { return Ok(()) };
                self.skip_space();
                match self.bytes.get(self.at) {
                    Some(b',') => {
                        self.at += 1;
                        sink.punctuation(b',');
                        if in_object {
                            sink.string(self.name()?);
                            sink.punctuation(b':');
                        }
                        break;
                    }
                    Some(&close) if close == closing(in_object) => {
                        self.at += 1;
                        sink.punctuation(close);
                        nesting.pop();
                    }
                    Some(_) => return Err(self.error(expected_after(in_object))),
                    None => return Err(self.error("unexpected end")),
                }
            }
        }
    }

    /// Checks that nothing but white space follows.
    pub(super) fn end(&mut self) -> Result<(), SyntaxError> {
        self.skip_space();
        if self.at == self.bytes.len() { Ok(()) } else { Err(self.error("text after the end")) }
    }

    fn next(&mut self, close: u8, first: &mut bool) -> Result<bool, SyntaxError> {
        self.skip_space();
        let is_first = std::mem::replace(first, false);
        match self.bytes.get(self.at) {
            Some(byte) if *byte == close => {
                self.at += 1;
                Ok(false)
            }
            Some(b',') if !is_first => {
                self.at += 1;
                Ok(true)
            }
            Some(_) if is_first => Ok(true),
            Some(_) => Err(self.error(expected_after(close == b'}'))),
            None => Err(self.error("unexpected end")),
        }
    }

    fn name(&mut self) -> Result<Text<'a>, SyntaxError> {
        self.skip_space();
        match self.bytes.get(self.at) {
            Some(b'"') => {}
            Some(_) => return Err(self.error("expected a name in double quotes")),
            None => return Err(self.error("unexpected end")),
        }
        let name = self.string()?;
        self.skip_space();
        match self.bytes.get(self.at) {
            Some(b':') => {
                self.at += 1;
                Ok(name)
            }
            Some(_) => Err(self.error("expected `:`")),
            None => Err(self.error("unexpected end")),
        }
    }

    fn string(&mut self) -> Result<Text<'a>, SyntaxError> {
        let start = self.at + 1;
        let mut escaped = false;
        self.at = start;
        loop {
            self.at = find_special(self.bytes, self.at);
            match self.bytes.get(self.at) {
                Some(b'"') => {
                    let raw = &self.bytes[start..self.at];
                    self.at += 1;
                    return Ok(Text::new(raw, escaped));
                }
                Some(b'\\') => {
                    escaped = true;
                    self.at += match self.bytes.get(self.at + 1) {
                        Some(b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't') => 2,
                        Some(b'u') if hex4(&self.bytes[self.at + 2..]).is_some() => 6,
                        Some(_) => return Err(self.error("invalid escape in a string")),
                        None => return Err(self.error("unexpected end in a string")),
                    };
                }
                Some(_) => return Err(self.error("control character in a string")),
                None => return Err(self.error("unexpected end in a string")),
            }
        }
    }

    fn number(&mut self) -> Result<Text<'a>, SyntaxError> {
        let start = self.at;
        self.at += usize::from(self.bytes.get(self.at) == Some(&b'-'));
        if self.bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if self.bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = self.bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(self.bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Ok(Text::new(&self.bytes[start..self.at], false))
    }

    fn digits(&mut self) -> Result<(), SyntaxError> {
        let start = self.at;
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        if self.at == start { Err(self.error("expected a digit")) } else { Ok(()) }
    }

    fn literal(&mut self, name: &'static [u8]) -> Result<Text<'a>, SyntaxError> {
        if !self.bytes[self.at..].starts_with(name) {
            return Err(self.error("expected a value"));
        }
        self.at += name.len();
        Ok(Text::new(name, false))
    }

    fn skip_space(&mut self) {
        while let Some(b' ' | b'\n' | b'\t' | b'\r') = self.bytes.get(self.at) {
            self.at += 1;
        }
    }

    fn error(&self, reason: &'static str) -> SyntaxError {
        SyntaxError { offset: self.at, reason }
    }
}

/// Receives the pieces of a value; white space is no piece.
pub(super) trait Sink {
    /// A bracket, comma or colon.
    fn punctuation(&mut self, byte: u8);
    /// A member's name or a string.
    fn string(&mut self, text: Text<'_>);
    /// A number, boolean or null as it is written.
    fn bare(&mut self, text: &[u8]);
}

impl Sink for () {
    fn punctuation(&mut self, _: u8) {}
    fn string(&mut self, _: Text<'_>) {}
    fn bare(&mut self, _: &[u8]) {}
}

/// Whether an object or array is open, for each level: one bit, so that a document of nothing but
/// opening brackets costs an eighth of itself.
#[derive(Default)]
struct Nesting {
    depth: usize,
    innermost: u64,
    outer: Vec<u64>,
}

impl Nesting {
    fn push(&mut self, is_object: bool) {
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.outer.push(self.innermost);
        }
        self.innermost = self.innermost << 1 | u64::from(is_object);
        self.depth += 1;
    }

    fn pop(&mut self) {
        self.depth -= 1;
        self.innermost >>= 1;
        if self.depth > 0 && self.depth.is_multiple_of(64) {
            self.innermost = self.outer.pop().unwrap_or_default();
        }
    }

    fn top(&self) -> Option<bool> {
        (self.depth > 0).then_some(self.innermost & 1 == 1)
    }
}

fn closing(is_object: bool) -> u8 {
    if is_object { b'}' } else { b']' }
}

fn expected_after(in_object: bool) -> &'static str {
    if in_object { "expected `,` or `}`" } else { "expected `,` or `]`" }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn skip_whole(text: impl AsRef<[u8]>) -> Result<(), SyntaxError> {
        let mut reader = Reader::new(text.as_ref());
        reader.skip()?;
        reader.end()
    }

    #[test]
    fn what_rfc_8259_allows_is_json_and_nothing_else() {
        for good in [
            "0",
            " -0.5e+10 ",
            "[]",
            "{}",
            "[[],{},\"\"]",
            r#"{"a":[1,{"b":null}],"c":"\u00e4\n"}"#,
            "\u{feff}true",
        ] {
            assert_eq!(skip_whole(good), Ok(()), "{good}");
        }
        for bad in [
            "",
            " ",
            "01",
            "1.",
            "-",
            "1e",
            "+1",
            ".5",
            "NaN",
            "nul",
            "tru",
            "[1,]",
            "[,1]",
            "[1 2]",
            "{\"a\"}",
            "{\"a\":}",
            "{a:1}",
            "{'a':1}",
            "{\"a\":1,}",
            "[}",
            "{]",
            "[1}",
            "\"",
            "\"\\x\"",
            "\"\\u12g4\"",
            "\"\n\"",
            "\"\\",
            "1 1",
            "[",
            "{\"a\":1",
        ] {
            assert!(skip_whole(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn an_error_names_the_byte_where_it_stopped_being_json() {
        let at = |text| skip_whole(text).unwrap_err().offset;
        assert_eq!(at("[1, x]"), 4);
        assert_eq!(at("[1, 2"), 5);
        assert_eq!(at("{\"a\": \"b\u{1}\"}"), 8);
        assert_eq!(at("[] []"), 3);
    }

    #[test]
    fn a_million_levels_are_skipped() {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let deep = format!("{}1{}", open.repeat(1_000_000), close.repeat(1_000_000));
            assert_eq!(skip_whole(deep), Ok(()));
            assert!(skip_whole(open.repeat(1_000_000)).is_err());
        }
        let mixed = format!("{}1{}", "[{\"a\":".repeat(1000), "}]".repeat(1000));
        assert_eq!(skip_whole(&mixed), Ok(()));
        assert!(skip_whole(mixed.replace("1}", "1]")).is_err());
    }
}
