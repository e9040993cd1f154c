//! XML-RPC, as much of it as Uyuni needs: <http://xmlrpc.com/spec.md>.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use crate::xml::{Document, Element};

/// A call, its parameters added in order.
pub(super) struct MethodCall(String);

impl MethodCall {
    pub(super) fn new(method: &str) -> Self {
        let mut call = Self(r#"<?xml version="1.0" encoding="UTF-8"?><methodCall>"#.to_owned());
        call.element("methodName", method);
        call.0.push_str("<params>");
        call
    }

    /// Adds a text.
    pub(super) fn text(self, text: &str) -> Self {
        self.param(|call| call.element("string", text))
    }

    /// Adds a number.
    pub(super) fn int(self, number: i64) -> Self {
        self.param(|call| call.element("int", &number.to_string()))
    }

    /// Adds a list of numbers.
    pub(super) fn ints(self, numbers: impl IntoIterator<Item = i64>) -> Self {
        self.param(|call| {
            call.0.push_str("<array><data>");
            for number in numbers {
                call.0.push_str("<value>");
                call.element("int", &number.to_string());
                call.0.push_str("</value>");
            }
            call.0.push_str("</data></array>");
        })
    }

    /// The call as it is sent.
    pub(super) fn finish(mut self) -> String {
        self.0.push_str("</params></methodCall>");
        self.0
    }

    fn param(mut self, value: impl FnOnce(&mut Self)) -> Self {
        self.0.push_str("<param><value>");
        value(&mut self);
        self.0.push_str("</value></param>");
        self
    }

    fn element(&mut self, name: &str, text: &str) {
        let _ = write!(self.0, "<{name}>"); // to a string: cannot fail
        for c in text.chars() {
            match c {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                // A parser would make a line feed of it.
                '\r' => self.0.push_str("&#xD;"),
                '\t' | '\n' => self.0.push(c),
                // XML has no way to write these.
                '\0'..='\x1f' | '\u{fffe}' | '\u{ffff}' => self.0.push('\u{fffd}'),
                c => self.0.push(c),
            }
        }
        let _ = write!(self.0, "</{name}>");
    }
}

/// What a call answered, or a part of it.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Value {
    Text(String),
    Int(i64),
    Bool(bool),
    List(Vec<Self>),
    Struct(BTreeMap<String, Self>),
    /// A type that Uyuni's answers have where nobody looks.
    Other,
}

impl Value {
    /// The value of an answer; of a fault an error.
    pub(super) fn of_response(document: &Document) -> Result<Self, String> {
        let root = document.root();
        if let Some(value) = root.at(&["fault", "value"]) {
            let fault = Self::read(value)?;
            let (code, text) = (fault.int("faultCode")?, fault.text("faultString")?);
            return Err(format!("Fault({code}): {text}"));
        }
        let value =
            root.at(&["params", "param", "value"]).filter(|_| root.name == "methodResponse");
        Self::read(value.ok_or("no XML-RPC answer")?)
    }

    fn read(value: &Element) -> Result<Self, String> {
        // What has no type is a text.
        let Some(typed) = value.children.first() else {
            return Ok(Self::Text(value.text().trim().to_owned()));
        };
        let text = typed.text();
        let invalid = || format!("{text:?} is no {}", typed.name);
        Ok(match typed.name.as_str() {
            "int" | "i4" | "i8" if text.is_empty() => Self::Int(0),
            "int" | "i4" | "i8" => Self::Int(text.parse().map_err(|_| invalid())?),
            "boolean" => Self::Bool(match text {
                "1" | "true" => true,
                "" | "0" | "false" => false,
                _ => return Err(invalid()),
            }),
            "string" => Self::Text(text.to_owned()),
            "array" => {
                let items = typed.all(&["data"], "value").map(Self::read);
                Self::List(items.collect::<Result<_, _>>()?)
            }
            "struct" => {
                let mut members = BTreeMap::new();
                for member in typed.all(&[], "member") {
                    let Some(value) = member.child("value") else { continue };
                    members.insert(member.text_at(&["name"]).to_owned(), Self::read(value)?);
                }
                Self::Struct(members)
            }
            _ => Self::Other,
        })
    }

    /// The items of a list.
    pub(super) fn items(&self) -> Result<&[Self], String> {
        match self {
            Self::List(items) => Ok(items),
            _ => Err("no list where one is expected".into()),
        }
    }

    /// A member that is a list; none where it is absent.
    pub(super) fn list(&self, name: &str) -> Result<&[Self], String> {
        self.member(name)?.map_or(Ok(&[]), Self::items)
    }

    /// A member that is a text; `""` where it is absent.
    pub(super) fn text(&self, name: &str) -> Result<&str, String> {
        match self.member(name)? {
            None => Ok(""),
            Some(Self::Text(text)) => Ok(text),
            Some(_) => Err(format!("{name} is no text")),
        }
    }

    /// A member that is a number; 0 where it is absent.
    pub(super) fn int(&self, name: &str) -> Result<i64, String> {
        match self.member(name)? {
            None => Ok(0),
            Some(Self::Int(number)) => Ok(*number),
            Some(_) => Err(format!("{name} is no number")),
        }
    }

    /// A member that is true or false; false where it is absent.
    pub(super) fn bool(&self, name: &str) -> Result<bool, String> {
        match self.member(name)? {
            None => Ok(false),
            Some(Self::Bool(value)) => Ok(*value),
            Some(_) => Err(format!("{name} is neither true nor false")),
        }
    }

    fn member(&self, name: &str) -> Result<Option<&Self>, String> {
        match self {
            Self::Struct(members) => Ok(members.get(name)),
            _ => Err("no struct where one is expected".into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(xml: &str) -> Result<Value, String> {
        Value::of_response(&Document::parse(xml.as_bytes()).unwrap())
    }

    fn answer(value: &str) -> Result<Value, String> {
        read(&format!("<methodResponse><params><param>{value}</param></params></methodResponse>"))
    }

    #[test]
    fn a_call_reads_back_as_it_was_meant() {
        let password = "a<b>&\"'\r\n]]>é\u{1}";
        let call = MethodCall::new("auth.login").text(password).int(-600).ints([1, 2]).finish();
        let document = Document::parse(call.as_bytes()).unwrap();
        let root = document.root();
        assert_eq!(root.text_at(&["methodName"]), "auth.login");
        let values = root
            .all(&["params"], "param")
            .map(|param| Value::read(param.child("value").unwrap()).unwrap());
        let wanted = [
            Value::Text(password.replace('\u{1}', "\u{fffd}")),
            Value::Int(-600),
            Value::List(vec![Value::Int(1), Value::Int(2)]),
        ];
        assert_eq!(values.collect::<Vec<_>>(), wanted);
    }

    #[test]
    fn values_without_a_type_are_texts_without_white_space() {
        assert_eq!(answer("<value>\n a token\t</value>"), Ok(Value::Text("a token".into())));
        assert_eq!(answer("<value><string> x </string></value>"), Ok(Value::Text(" x ".into())));
        assert_eq!(answer("<value><int/></value>"), Ok(Value::Int(0)));
        assert_eq!(answer("<value><double>1.5</double></value>"), Ok(Value::Other));
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let fault = "<methodResponse><fault><value><struct>\
            <member><name>faultCode</name><value><int>-20</int></value></member>\
            <member><name>faultString</name><value><string>expired</string></value></member>\
            </struct></value></fault></methodResponse>";
        assert_eq!(read(fault), Err("Fault(-20): expired".into()));
        assert!(read("<html><params><param><value>x</value></param></params></html>").is_err());
        assert!(read("<methodResponse/>").is_err());
        assert!(answer("<value><int>many</int></value>").is_err());
        assert!(answer("<value><boolean>2</boolean></value>").is_err());
        assert!(answer("<value>x</value>").unwrap().int("id").is_err());
    }
}
