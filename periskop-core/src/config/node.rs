//! The tree that a configuration is read into.

use crate::config::scalar::{Kind, Scalar};

/// A value of a configuration and where it stands.
///
/// Two nodes are equal when their values are; where they stand does not count.
#[derive(Clone, Debug)]
pub struct Node {
    /// What it is.
    pub value: Value,
    /// The line, from 1; 0 where there is no text.
    pub line: usize,
    /// The column in characters, from 1; 0 where there is no text.
    pub column: usize,
}

/// The kinds of value that YAML and JSON have. The order of a mapping's keys does not count when
/// two are compared.
#[derive(Clone, Debug)]
pub enum Value {
    /// `null`, `~`, or nothing at all.
    Null,
    /// A text, a number or a boolean.
    Scalar(Scalar),
    /// A list.
    Sequence(Vec<Node>),
    /// Keys with their values in file order, merge keys resolved. A key may be there twice:
    /// decoding reports it.
    Mapping(Vec<Entry>),
}

/// One key of a mapping with its value.
#[derive(Clone, Debug)]
pub struct Entry {
    /// The key. Keys that are not text are taken by their text, as in Go.
    pub key: Scalar,
    /// The key's line, from 1.
    pub line: usize,
    /// The key's column, from 1.
    pub column: usize,
    /// Its value.
    pub value: Node,
}

impl Node {
    /// A node that stands nowhere.
    pub fn new(value: Value) -> Self {
        Self { value, line: 0, column: 0 }
    }

    /// A null that stands nowhere.
    pub fn null() -> Self {
        Self::new(Value::Null)
    }

    /// A mapping of the given keys and values, in that order.
    pub fn mapping<K: Into<String>, V: Into<Node>>(
        entries: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let entry = |(key, value): (K, V)| Entry {
            key: Scalar::string(key),
            line: 0,
            column: 0,
            value: value.into(),
        };
        Self::new(Value::Mapping(entries.into_iter().map(entry).collect()))
    }

    /// A list of the given values.
    pub fn sequence<V: Into<Node>>(items: impl IntoIterator<Item = V>) -> Self {
        Self::new(Value::Sequence(items.into_iter().map(Into::into).collect()))
    }

    /// The same tree out of JSON. Its depth is bounded by serde_json's own limit.
    pub fn from_json(json: &serde_json::Value) -> Self {
        use serde_json::Value as Json;
        match json {
            Json::Null => Self::null(),
            Json::Bool(b) => (*b).into(),
            Json::Number(n) => {
                let kind = if n.is_f64() { Kind::Float } else { Kind::Int };
                Self::new(Value::Scalar(Scalar::new(n.to_string(), kind)))
            }
            Json::String(s) => s.as_str().into(),
            Json::Array(items) => Self::sequence(items.iter().map(Self::from_json)),
            Json::Object(entries) => {
                Self::mapping(entries.iter().map(|(k, v)| (k.as_str(), Self::from_json(v))))
            }
        }
    }

    /// The value of a key, where this is a mapping that has it.
    pub fn get(&self, key: &str) -> Option<&Node> {
        let Value::Mapping(entries) = &self.value else { return None };
        entries.iter().find(|e| e.key.text() == key).map(|e| &e.value)
    }

    /// The text, where this is a scalar.
    pub fn text(&self) -> Option<&str> {
        match &self.value {
            Value::Scalar(scalar) => Some(scalar.text()),
            _ => None,
        }
    }

    /// Whether this is null.
    pub fn is_null(&self) -> bool {
        self.value == Value::Null
    }

    /// What this is, with an article, for messages.
    pub(crate) fn describe(&self) -> &'static str {
        match &self.value {
            Value::Null => "null",
            Value::Sequence(_) => "a list",
            Value::Mapping(_) => "a mapping",
            Value::Scalar(scalar) => match scalar.kind() {
                Kind::Bool => "a boolean",
                Kind::Int => "an integer",
                Kind::Float => "a number",
                Kind::Text => "a string",
                Kind::NotUtf8 => "binary data",
            },
        }
    }
}

impl PartialEq for Node {
    fn eq(&self, other: &Self) -> bool {
        self.value == other.value
    }
}

impl PartialEq for Value {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Null, Self::Null) => true,
            (Self::Scalar(a), Self::Scalar(b)) => a == b,
            (Self::Sequence(a), Self::Sequence(b)) => a == b,
            (Self::Mapping(a), Self::Mapping(b)) => {
                a.len() == b.len()
                    && by_key(a)
                        .iter()
                        .zip(by_key(b))
                        .all(|(a, b)| a.key.text() == b.key.text() && a.value == b.value)
            }
            _ => false,
        }
    }
}

fn by_key(entries: &[Entry]) -> Vec<&Entry> {
    let mut sorted: Vec<&Entry> = entries.iter().collect();
    sorted.sort_by_key(|e| e.key.text());
    sorted
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::new(Value::Scalar(Scalar::string(text)))
    }
}

impl From<String> for Node {
    fn from(text: String) -> Self {
        Self::new(Value::Scalar(Scalar::string(text)))
    }
}

impl From<&String> for Node {
    fn from(text: &String) -> Self {
        text.as_str().into()
    }
}

impl From<bool> for Node {
    fn from(value: bool) -> Self {
        Self::new(Value::Scalar(Scalar::new(value.to_string(), Kind::Bool)))
    }
}

macro_rules! from_integer {
    ($($integer:ty)*) => {$(
        impl From<$integer> for Node {
            fn from(value: $integer) -> Self {
                Self::new(Value::Scalar(Scalar::new(value.to_string(), Kind::Int)))
            }
        }
    )*};
}

from_integer!(u16 u32 u64 usize i32 i64);

impl From<f64> for Node {
    fn from(value: f64) -> Self {
        Self::new(Value::Scalar(Scalar::new(value.to_string(), Kind::Float)))
    }
}

impl<T: Into<Node>> From<Vec<T>> for Node {
    fn from(items: Vec<T>) -> Self {
        Self::sequence(items)
    }
}

impl<T: Into<Node>> From<Option<T>> for Node {
    fn from(value: Option<T>) -> Self {
        value.map_or_else(Self::null, Into::into)
    }
}
