//! JSON written as it is found out, without a tree in between.
//!
//! A chain of causes is as deep as a target makes it, and whoever builds or walks a tree of it
//! recurses; here depth is only a counter.

use serde::Serialize;

/// A JSON text being written. Commas are its business, balance is the caller's.
#[derive(Debug, Default)]
pub(super) struct Json {
    text: Vec<u8>,
    /// Whether something stands before the next value in the same list or object.
    follows: bool,
}

impl Json {
    /// Begins an object or list: `{` or `[`.
    pub(super) fn open(&mut self, bracket: u8) -> &mut Self {
        self.comma();
        self.text.push(bracket);
        self.follows = false;
        self
    }

    /// Ends it: `}` or `]`.
    pub(super) fn close(&mut self, bracket: u8) -> &mut Self {
        self.text.push(bracket);
        self.follows = true;
        self
    }

    /// The name of the next value in an object.
    pub(super) fn name(&mut self, name: &str) -> &mut Self {
        self.value(name);
        self.text.push(b':');
        self.follows = false;
        self
    }

    /// A value. What cannot be written as JSON is null; nothing here is such a value.
    pub(super) fn value(&mut self, value: impl Serialize) -> &mut Self {
        self.comma();
        let before = self.text.len();
        if serde_json::to_writer(&mut self.text, &value).is_err() {
            self.text.truncate(before);
            self.text.extend_from_slice(b"null");
        }
        self.follows = true;
        self
    }

    /// A name with its value.
    pub(super) fn member(&mut self, name: &str, value: impl Serialize) -> &mut Self {
        self.name(name).value(value)
    }

    /// A list of values.
    pub(super) fn list<T: Serialize>(&mut self, items: impl IntoIterator<Item = T>) -> &mut Self {
        self.open(b'[');
        for item in items {
            self.value(item);
        }
        self.close(b']')
    }

    /// The text.
    pub(super) fn finish(self) -> Vec<u8> {
        self.text
    }

    /// The text with a value a line, indented by its depth, for people.
    pub(super) fn indented(self) -> String {
        const STEP: usize = 2;
        // A chain of causes is as deep as a target makes it.
        const DEEPEST: usize = 24;
        let text = String::from_utf8_lossy(&self.text);
        let mut out = String::with_capacity(text.len() * 3 / 2);
        let (mut depth, mut within, mut escaped) = (0_usize, false, false);
        let mut chars = text.chars().peekable();
        let line = |out: &mut String, depth: usize| {
            out.push('\n');
            out.extend(std::iter::repeat_n(' ', depth.min(DEEPEST) * STEP));
        };
        while let Some(c) = chars.next() {
            if within {
                out.push(c);
                within = escaped || c != '"';
                escaped = !escaped && c == '\\';
                continue;
            }
            match c {
                '{' | '[' => {
                    out.push(c);
                    match chars.next_if(|next| matches!(next, '}' | ']')) {
                        Some(end) => out.push(end),
                        None => {
                            depth += 1;
                            line(&mut out, depth);
                        }
                    }
                }
                '}' | ']' => {
                    depth = depth.saturating_sub(1);
                    line(&mut out, depth);
                    out.push(c);
                }
                ',' => {
                    out.push(c);
                    line(&mut out, depth);
                }
                ':' => out.push_str(": "),
                _ => {
                    within = c == '"';
                    out.push(c);
                }
            }
        }
        out
    }

    fn comma(&mut self) {
        if self.follows {
            self.text.push(b',');
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commas_stand_where_they_belong() {
        let mut json = Json::default();
        json.open(b'{').member("a", 1).name("b").list(["x", "\"y"]).name("c").open(b'[');
        json.open(b'{').close(b'}').list([0_u8; 0]).value(None::<u8>).close(b']').close(b'}');
        let text = String::from_utf8(json.finish()).unwrap();
        assert_eq!(text, r#"{"a":1,"b":["x","\"y"],"c":[{},[],null]}"#);
    }

    #[test]
    fn what_is_indented_reads_back_as_what_was_written() {
        let mut json = Json::default();
        json.open(b'{').member("a\"{,", "x\\\"y: [1]").name("b").list([1, 2]);
        json.name("c").list([0_u8; 0]).name("d").open(b'{').close(b'}').close(b'}');
        let compact = String::from_utf8(json.text.clone()).unwrap();
        let indented = json.indented();
        let read = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
        assert_eq!(read(&indented), read(&compact));
        assert!(indented.contains("\n  \"b\": [\n    1,\n    2\n  ],\n  \"c\": [],"), "{indented}");
    }
}
