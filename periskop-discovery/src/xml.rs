//! XML as a tree of elements: what a backend answers is small and looked at once.
//!
//! Names are told without their namespace's prefix, so are those of attributes, and nothing is
//! fetched or expanded but the five entities and character references that XML itself has.

use std::ops::Range;

use quick_xml::XmlVersion;
use quick_xml::events::{BytesStart, Event};
use quick_xml::reader::Reader;

/// Deeper than any backend nests its answers.
const DEPTH_LIMIT: usize = 64;

/// A document.
#[derive(Debug)]
pub(crate) struct Document {
    text: String,
    root: Element,
}

/// One element.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Element {
    /// Its name without a prefix.
    pub(crate) name: String,
    /// The elements in it, in order.
    pub(crate) children: Vec<Element>,
    attributes: Vec<(String, String)>,
    text: String,
    inner: Range<usize>,
}

impl Document {
    /// Reads a document.
    pub(crate) fn parse(body: &[u8]) -> Result<Self, String> {
        let text = std::str::from_utf8(body).map_err(|_| "XML that is not UTF-8".to_owned())?;
        let root = read(text)?;
        Ok(Self { text: text.to_owned(), root })
    }

    /// The outermost element.
    pub(crate) fn root(&self) -> &Element {
        &self.root
    }

    /// What is written between the tags of an element, as it is written.
    pub(crate) fn inner(&self, element: &Element) -> &str {
        self.text.get(element.inner.clone()).unwrap_or_default()
    }
}

impl Element {
    /// The first child of this name.
    pub(crate) fn child(&self, name: &str) -> Option<&Self> {
        self.children.iter().find(|child| child.name == name)
    }

    /// The element at the end of this path of first children.
    pub(crate) fn at(&self, path: &[&str]) -> Option<&Self> {
        path.iter().try_fold(self, |element, name| element.child(name))
    }

    /// The value of an attribute; `""` where there is none.
    pub(crate) fn attribute(&self, name: &str) -> &str {
        let found = self.attributes.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value)
    }

    /// The text directly in it, entities resolved.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// The text of the element at the end of this path; `""` where there is none.
    pub(crate) fn text_at(&self, path: &[&str]) -> &str {
        self.at(path).map_or("", Self::text)
    }

    /// The children of this name in the element at the end of this path.
    pub(crate) fn all<'a>(
        &'a self,
        path: &[&str],
        name: &'a str,
    ) -> impl Iterator<Item = &'a Self> {
        let children = self.at(path).map_or(&[][..], |element| &element.children);
        children.iter().filter(move |child| child.name == name)
    }
}

fn read(text: &str) -> Result<Element, String> {
    let mut reader = Reader::from_str(text);
    let mut open: Vec<Element> = Vec::new();
    let mut root = None;
    loop {
        let before = position(&reader);
        let event = reader.read_event().map_err(|e| e.to_string())?;
        let after = position(&reader);
        match event {
            Event::Start(tag) => {
                if root.is_some() {
                    return Err("more than one root element".into());
                }
                if open.len() >= DEPTH_LIMIT {
                    return Err(format!("elements nested deeper than {DEPTH_LIMIT}"));
                }
                open.push(Element {
                    name: tag.local_name().as_ref().to_owned(),
                    inner: after..after,
                    attributes: attributes(&tag)?,
                    ..Element::default()
                });
            }
            Event::Empty(tag) => {
                let name = tag.local_name().as_ref().to_owned();
                let attributes = attributes(&tag)?;
                close(Element { name, attributes, ..Element::default() }, &mut open, &mut root)?;
            }
            Event::End(_) => {
                let mut element = open.pop().ok_or("an end without a beginning")?;
                element.inner.end = before;
                close(element, &mut open, &mut root)?;
            }
            Event::Text(part) => push(&mut open, &part.xml10_content())?,
            Event::CData(part) => push(&mut open, &part.xml10_content())?,
            Event::GeneralRef(reference) => {
                let character = reference.resolve_char_ref().map_err(|e| e.to_string())?;
                let resolved = match character {
                    Some(character) => character.to_string(),
                    None => quick_xml::escape::resolve_predefined_entity(&reference)
                        .ok_or_else(|| format!("the entity {:?} is not known", &*reference))?
                        .to_owned(),
                };
                push(&mut open, &resolved)?;
            }
            Event::Decl(_) | Event::PI(_) | Event::Comment(_) | Event::DocType(_) => {}
            Event::Eof => break,
        }
    }
    if !open.is_empty() {
        return Err("the document ends within an element".into());
    }
    root.ok_or_else(|| "no element".into())
}

fn attributes(tag: &BytesStart<'_>) -> Result<Vec<(String, String)>, String> {
    tag.attributes()
        .map(|attribute| {
            let attribute = attribute.map_err(|e| e.to_string())?;
            let name = attribute.key.local_name().as_ref().to_owned();
            let value = attribute.normalized_value(XmlVersion::Implicit1_0);
            Ok((name, value.map_err(|e| e.to_string())?.into_owned()))
        })
        .collect()
}

fn position(reader: &Reader<&[u8]>) -> usize {
    usize::try_from(reader.buffer_position()).unwrap_or(usize::MAX)
}

fn close(element: Element, open: &mut [Element], root: &mut Option<Element>) -> Result<(), String> {
    match open.last_mut() {
        Some(parent) => parent.children.push(element),
        None if root.is_some() => return Err("more than one root element".into()),
        None => *root = Some(element),
    }
    Ok(())
}

fn push(open: &mut [Element], text: &str) -> Result<(), String> {
    match open.last_mut() {
        Some(element) => element.text.push_str(text),
        None if text.trim().is_empty() => {}
        None => return Err("text outside of the root element".into()),
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_are_found_by_their_path() {
        let xml = r#"<?xml version="1.0"?>
            <r xmlns="http://x/"><set><item><id>i-1</id></item><item><id>i-2</id></item></set>
            <n:note xmlns:n="y">a &amp; b&#33;<![CDATA[<c>]]></n:note><none/></r>"#;
        let document = Document::parse(xml.as_bytes()).unwrap();
        let root = document.root();
        let ids: Vec<_> = root.all(&["set"], "item").map(|item| item.text_at(&["id"])).collect();
        assert_eq!(ids, ["i-1", "i-2"]);
        assert_eq!(root.text_at(&["note"]), "a & b!<c>");
        assert_eq!(
            root.child("none"),
            Some(&Element { name: "none".into(), ..Element::default() })
        );
        assert_eq!(root.text_at(&["absent", "id"]), "");
    }

    #[test]
    fn attributes_are_found_by_name() {
        let document = Document::parse(b"<a x='1' n:y='&lt;'><b z=\"2\"/></a>").unwrap();
        let root = document.root();
        assert_eq!((root.attribute("x"), root.attribute("y")), ("1", "<"));
        assert_eq!(root.child("b").unwrap().attribute("z"), "2");
        assert_eq!(root.attribute("z"), "");
    }

    #[test]
    fn what_is_between_tags_is_kept_as_it_is_written() {
        let document = Document::parse(b"<a><b>x &lt; <c>1</c> </b></a>").unwrap();
        let b = document.root().child("b").unwrap();
        assert_eq!(document.inner(b), "x &lt; <c>1</c> ");
    }

    #[test]
    fn what_is_no_document_is_refused() {
        let deep = "<a>".repeat(DEPTH_LIMIT + 1) + &"</a>".repeat(DEPTH_LIMIT + 1);
        for xml in ["", "text", "<a>", "<a></b>", "<a/><b/>", "<a>&other;</a>", "<a/>x", &deep] {
            assert!(Document::parse(xml.as_bytes()).is_err(), "{xml:.20}");
        }
    }
}
