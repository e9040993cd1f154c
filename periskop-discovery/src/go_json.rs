//! JSON read as Go's `encoding/json` reads it, which is how Prometheus reads its backends.
//!
//! Three things differ from what serde does by itself, and backends make use of all of them:
//!
//! - names of fields are compared without regard to case,
//! - `null` is the zero value of whatever is expected: `0`, `""`, `false`, an empty list, an
//!   empty map, a struct without anything in it,
//! - fields that nobody expects are skipped (so does serde).
//!
//! A field that is not there is the zero value too: structs say `#[serde(default)]`. A number
//! where a text is expected is an error in both.
//!
//! Depth is bounded by `serde_json` (128).

use std::fmt;

use serde::de::{
    self, DeserializeOwned, DeserializeSeed, Deserializer, EnumAccess, MapAccess, SeqAccess,
    Visitor,
    value::{MapDeserializer, SeqDeserializer},
};

/// Reads the whole of a body.
pub(crate) fn from_slice<T: DeserializeOwned>(body: &[u8]) -> Result<T, serde_json::Error> {
    let mut json = serde_json::Deserializer::from_slice(body);
    let value = T::deserialize(Go(&mut json))?;
    json.end()?;
    Ok(value)
}

/// Reads a part that was kept as a tree.
pub(crate) fn from_value<T: DeserializeOwned>(
    value: serde_json::Value,
) -> Result<T, serde_json::Error> {
    T::deserialize(Go(value))
}

/// A deserializer with Go's rules.
struct Go<D>(D);

/// What is expected where `null` may stand.
#[derive(Clone, Copy)]
enum Zero {
    Bool,
    Number,
    Float,
    Text,
    List,
    Map,
    Struct(&'static [&'static str]),
    /// Nothing that Go would have a zero value for.
    None,
}

macro_rules! expecting {
    ($($method:ident: $zero:expr,)*) => {
        $(
            fn $method<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
                self.0.deserialize_any(Tolerant { visitor, zero: $zero })
            }
        )*
    };
}

impl<'de, D: Deserializer<'de>> Deserializer<'de> for Go<D> {
    type Error = D::Error;

    expecting! {
        deserialize_any: Zero::None,
        deserialize_bool: Zero::Bool,
        deserialize_i8: Zero::Number,
        deserialize_i16: Zero::Number,
        deserialize_i32: Zero::Number,
        deserialize_i64: Zero::Number,
        deserialize_i128: Zero::Number,
        deserialize_u8: Zero::Number,
        deserialize_u16: Zero::Number,
        deserialize_u32: Zero::Number,
        deserialize_u64: Zero::Number,
        deserialize_u128: Zero::Number,
        deserialize_f32: Zero::Float,
        deserialize_f64: Zero::Float,
        deserialize_char: Zero::Text,
        deserialize_str: Zero::Text,
        deserialize_string: Zero::Text,
        deserialize_bytes: Zero::Text,
        deserialize_byte_buf: Zero::Text,
        deserialize_unit: Zero::None,
        deserialize_seq: Zero::List,
        deserialize_map: Zero::Map,
        deserialize_identifier: Zero::None,
    }

    fn deserialize_option<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_option(Tolerant { visitor, zero: Zero::None })
    }

    fn deserialize_newtype_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        visitor.visit_newtype_struct(self)
    }

    fn deserialize_unit_struct<V: Visitor<'de>>(
        self,
        name: &'static str,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_unit_struct(name, visitor)
    }

    fn deserialize_tuple<V: Visitor<'de>>(
        self,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_tuple_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _len: usize,
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.deserialize_seq(visitor)
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _name: &'static str,
        fields: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_any(Tolerant { visitor, zero: Zero::Struct(fields) })
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        name: &'static str,
        variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, D::Error> {
        self.0.deserialize_enum(name, variants, visitor)
    }

    fn deserialize_ignored_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, D::Error> {
        self.0.deserialize_ignored_any(visitor)
    }
}

/// A visitor that is shown a zero value instead of `null`, and what is inside by Go's rules.
struct Tolerant<V> {
    visitor: V,
    zero: Zero,
}

macro_rules! passing_on {
    ($($method:ident: $type:ty,)*) => {
        $(
            fn $method<E: de::Error>(self, value: $type) -> Result<V::Value, E> {
                self.visitor.$method(value)
            }
        )*
    };
}

impl<'de, V: Visitor<'de>> Visitor<'de> for Tolerant<V> {
    type Value = V::Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.visitor.expecting(f)
    }

    passing_on! {
        visit_bool: bool,
        visit_i64: i64,
        visit_i128: i128,
        visit_u64: u64,
        visit_u128: u128,
        visit_f64: f64,
        visit_str: &str,
        visit_borrowed_str: &'de str,
        visit_string: String,
    }

    fn visit_none<E: de::Error>(self) -> Result<V::Value, E> {
        self.visitor.visit_none()
    }

    fn visit_some<D: Deserializer<'de>>(self, inner: D) -> Result<V::Value, D::Error> {
        self.visitor.visit_some(Go(inner))
    }

    fn visit_unit<E: de::Error>(self) -> Result<V::Value, E> {
        let nothing: [(String, String); 0] = [];
        match self.zero {
            Zero::Bool => self.visitor.visit_bool(false),
            Zero::Number => self.visitor.visit_u64(0),
            Zero::Float => self.visitor.visit_f64(0.0),
            Zero::Text => self.visitor.visit_str(""),
            Zero::List => self.visitor.visit_seq(SeqDeserializer::<_, E>::new(0..0_u8)),
            Zero::Map | Zero::Struct(_) => {
                self.visitor.visit_map(MapDeserializer::<_, E>::new(nothing.into_iter()))
            }
            Zero::None => self.visitor.visit_unit(),
        }
    }

    fn visit_seq<A: SeqAccess<'de>>(self, items: A) -> Result<V::Value, A::Error> {
        // A struct is no list, though serde would take its fields by position.
        if let Zero::Struct(_) = self.zero {
            return Err(de::Error::invalid_type(de::Unexpected::Seq, &self.visitor));
        }
        self.visitor.visit_seq(Inside { access: items, fields: None })
    }

    fn visit_map<A: MapAccess<'de>>(self, entries: A) -> Result<V::Value, A::Error> {
        let fields = match self.zero {
            Zero::Struct(fields) => Some(fields),
            _ => None,
        };
        self.visitor.visit_map(Inside { access: entries, fields })
    }

    fn visit_enum<A: EnumAccess<'de>>(self, data: A) -> Result<V::Value, A::Error> {
        self.visitor.visit_enum(data)
    }
}

/// The inside of a list or an object; of a struct's object the fields' names are known.
struct Inside<A> {
    access: A,
    fields: Option<&'static [&'static str]>,
}

impl<'de, A: SeqAccess<'de>> SeqAccess<'de> for Inside<A> {
    type Error = A::Error;

    fn next_element_seed<T: DeserializeSeed<'de>>(
        &mut self,
        seed: T,
    ) -> Result<Option<T::Value>, A::Error> {
        self.access.next_element_seed(Seed(seed))
    }

    fn size_hint(&self) -> Option<usize> {
        self.access.size_hint()
    }
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Inside<A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(
        &mut self,
        seed: K,
    ) -> Result<Option<K::Value>, A::Error> {
        let Some(fields) = self.fields else { return self.access.next_key_seed(seed) };
        let Some(written) = self.access.next_key::<String>()? else { return Ok(None) };
        let meant = fields.iter().find(|field| **field == written);
        let meant = meant.or_else(|| fields.iter().find(|f| f.eq_ignore_ascii_case(&written)));
        let name = meant.copied().unwrap_or(&written);
        seed.deserialize(de::value::StrDeserializer::new(name)).map(Some)
    }

    fn next_value_seed<T: DeserializeSeed<'de>>(&mut self, seed: T) -> Result<T::Value, A::Error> {
        self.access.next_value_seed(Seed(seed))
    }
}

struct Seed<T>(T);

impl<'de, T: DeserializeSeed<'de>> DeserializeSeed<'de> for Seed<T> {
    type Value = T::Value;

    fn deserialize<D: Deserializer<'de>>(self, inner: D) -> Result<T::Value, D::Error> {
        self.0.deserialize(Go(inner))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde::Deserialize;
    use std::collections::BTreeMap;

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Machine {
        id: u64,
        #[serde(rename = "displayName")]
        name: String,
        up: bool,
        load: f64,
        tags: Vec<String>,
        labels: BTreeMap<String, String>,
        inner: Inner,
        maybe: Option<Inner>,
        list: Vec<Inner>,
    }

    #[derive(Debug, Default, PartialEq, Deserialize)]
    #[serde(default)]
    struct Inner {
        port: u16,
    }

    fn read(json: &str) -> Result<Machine, String> {
        from_slice(json.as_bytes()).map_err(|e| e.to_string())
    }

    #[test]
    fn null_is_the_zero_value_of_anything() {
        let nulls = r#"{"id":null,"displayName":null,"up":null,"load":null,"tags":null,
            "labels":null,"inner":null,"maybe":null,"list":null}"#;
        assert_eq!(read(nulls), Ok(Machine::default()));
        assert_eq!(read("null"), Ok(Machine::default()));
        assert_eq!(read("{}"), Ok(Machine::default()));
        let inside = read(r#"{"tags":[null,"a"],"labels":{"k":null},"list":[null,{"PORT":7}]}"#);
        let wanted = Machine {
            tags: vec![String::new(), "a".into()],
            labels: BTreeMap::from([("k".into(), String::new())]),
            list: vec![Inner::default(), Inner { port: 7 }],
            ..Machine::default()
        };
        assert_eq!(inside, Ok(wanted));
    }

    #[test]
    fn names_of_fields_have_no_case_and_keys_of_maps_have() {
        let json = r#"{"DISPLAYNAME":"a","Labels":{"Key":"v","key":"w"},"Maybe":{"Port":1}}"#;
        let machine = read(json).unwrap();
        assert_eq!(machine.name, "a");
        assert_eq!(machine.labels.len(), 2);
        assert_eq!(machine.maybe, Some(Inner { port: 1 }));
    }

    #[test]
    fn what_has_another_type_is_refused() {
        for json in [
            r#"{"displayName":1}"#,
            r#"{"id":"1"}"#,
            r#"{"id":1.5}"#,
            r#"{"id":-1}"#,
            r#"{"up":"true"}"#,
            r#"{"tags":{}}"#,
            r#"{"inner":[1]}"#,
            r#"{"labels":[]}"#,
            r#"[]"#,
            r#"{} x"#,
            r#"{"inner":{"port":70000}}"#,
        ] {
            assert!(read(json).is_err(), "{json}");
        }
    }

    #[test]
    fn what_nobody_expects_is_skipped() {
        let json = r#"{"other":{"deep":[1,{"x":null}]},"id":3}"#;
        assert_eq!(read(json).unwrap().id, 3);
    }

    #[test]
    fn a_part_that_was_kept_is_read_by_the_same_rules() {
        let value = serde_json::json!({"ID": 3, "tags": null});
        assert_eq!(from_value::<Machine>(value).unwrap().id, 3);
    }
}
