//! YAML text to a tree of nodes.

use std::collections::{HashMap, HashSet};

use base64::Engine as _;
use saphyr_parser::{Event, Marker, Parser, ScalarStyle, Span, Tag};

use crate::config::node::{Entry, Node, Value};
use crate::config::problem::Problem;
use crate::config::scalar::{Kind, Scalar};

/// Deeper nesting than this is refused; real files have some ten levels.
pub const MAX_DEPTH: usize = 100;

/// More nodes than this, expanded aliases included, are refused.
pub const MAX_NODES: usize = 2_000_000;

/// More text than this out of aliases is refused: a long text that is repeated by many aliases
/// would cost memory out of proportion to the file.
const MAX_ALIASED_TEXT: usize = 16 << 20;

/// Reads the first document of a YAML text; further ones are not looked at, as in Prometheus.
/// A text without any document is null.
///
/// Anchors and aliases are expanded. Merge keys (`<<`) are resolved as in Go's `yaml.v2`: of
/// several merged mappings the first wins, and between a mapping's own keys and a `<<` whichever
/// is written later.
///
/// # Errors
///
/// A [`Problem`] with its line where the text is not YAML, nests deeper than [`MAX_DEPTH`],
/// expands to more than [`MAX_NODES`] nodes, has a key that is a list or a mapping, an alias of
/// something that is not finished yet, or `!!binary` data that is not base64.
pub fn parse(text: &str) -> Result<Node, Problem> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    let mut events = Parser::new_from_str(text);
    while let Some(event) = events.next_event() {
        let (event, span) = event.map_err(|e| problem(*e.marker(), e.info()))?;
        if let Some(root) = builder.take(event, span)? {
            return Ok(root);
        }
    }
    Ok(Node { value: Value::Null, line: 1, column: 1 })
}

fn too_deep(at: Marker) -> Problem {
    problem(at, format!("nested deeper than {MAX_DEPTH} levels"))
}

fn problem(at: Marker, message: impl Into<String>) -> Problem {
    Problem { path: String::new(), line: at.line(), column: at.col() + 1, message: message.into() }
}

/// Puts events together; what is open is on a stack of its own, not on the thread's.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    anchors: HashMap<usize, Anchored>,
    nodes: usize,
    aliased_text: usize,
}

/// A list or mapping whose end has not come yet.
struct Open {
    anchor: usize,
    start: Marker,
    content: Content,
}

enum Content {
    Sequence(Vec<Node>),
    Mapping { items: Vec<Item>, key: Option<(Key, Marker)> },
}

enum Key {
    Name(Scalar),
    /// `<<`, unquoted.
    Merge,
}

/// What a mapping holds, in file order.
enum Item {
    Own(Entry),
    /// The mappings that stand at `<<`.
    Merged(Vec<Node>),
}

struct Anchored {
    node: Node,
    size: Size,
}

#[derive(Clone, Copy, Default)]
struct Size {
    nodes: usize,
    text: usize,
    depth: usize,
}

impl Size {
    const ONE: Self = Self { nodes: 1, text: 0, depth: 0 };
}

impl Builder {
    /// Takes one event; answers the root when the document is whole.
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<Option<Node>, Problem> {
        let start = span.start;
        let mut is_merge_key = false;
        let node = match event {
            Event::Scalar(text, style, anchor, tag) => {
                is_merge_key = text == "<<" && style == ScalarStyle::Plain && tag.is_none();
                let value = scalar(&text, style, tag.as_deref()).map_err(|m| problem(start, m))?;
                self.count(start, Size::ONE)?;
                self.finished(anchor, value, start)?
            }
            Event::SequenceStart(anchor, _) => {
                self.begin(anchor, start, Content::Sequence(Vec::new()))?;
                return Ok(None);
            }
            Event::MappingStart(anchor, _) => {
                let content = Content::Mapping { items: Vec::new(), key: None };
                self.begin(anchor, start, content)?;
                return Ok(None);
            }
            Event::SequenceEnd | Event::MappingEnd => {
                let Some(open) = self.open.pop() else { return Ok(None) };
                let value = match open.content {
                    Content::Sequence(items) => Value::Sequence(items),
                    Content::Mapping { items, .. } => Value::Mapping(merge(items)),
                };
                self.finished(open.anchor, value, open.start)?
            }
            Event::Alias(anchor) => {
                let Some(anchored) = self.anchors.get(&anchor) else {
                    return Err(problem(start, "an alias of something that contains it"));
                };
                let size = anchored.size;
                if self.open.len() + size.depth > MAX_DEPTH {
                    return Err(too_deep(start));
                }
                // Counted before it is cloned, so that an expansion never costs more than allowed.
                self.count(start, size)?;
                self.anchors[&anchor].node.clone()
            }
            Event::DocumentEnd | Event::StreamEnd => {
                return Ok(Some(Node { value: Value::Null, line: 1, column: 1 }));
            }
            Event::Nothing | Event::StreamStart | Event::DocumentStart(_) => return Ok(None),
        };
        self.place(node, start, is_merge_key)
    }

    fn begin(&mut self, anchor: usize, start: Marker, content: Content) -> Result<(), Problem> {
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(start));
        }
        if let Some(Open { content: Content::Mapping { key: None, .. }, .. }) = self.open.last() {
            return Err(problem(start, "a key must be a scalar, not a list or a mapping"));
        }
        self.count(start, Size::ONE)?;
        self.open.push(Open { anchor, start, content });
        Ok(())
    }

    fn count(&mut self, at: Marker, size: Size) -> Result<(), Problem> {
        self.nodes = self.nodes.saturating_add(size.nodes);
        self.aliased_text = self.aliased_text.saturating_add(size.text);
        if self.nodes > MAX_NODES || self.aliased_text > MAX_ALIASED_TEXT {
            return Err(problem(at, "too large, aliases expanded"));
        }
        Ok(())
    }

    fn finished(&mut self, anchor: usize, value: Value, start: Marker) -> Result<Node, Problem> {
        let node = Node { value, line: start.line(), column: start.col() + 1 };
        if anchor > 0 {
            let size = size_of(&node);
            self.count(start, size)?; // the copy kept for aliases costs memory as well
            self.anchors.insert(anchor, Anchored { node: node.clone(), size });
        }
        Ok(node)
    }

    /// Puts a finished node where it belongs; answers it when it is the root.
    fn place(
        &mut self,
        node: Node,
        at: Marker,
        is_merge_key: bool,
    ) -> Result<Option<Node>, Problem> {
        let Some(open) = self.open.last_mut() else { return Ok(Some(node)) };
        match &mut open.content {
            Content::Sequence(items) => items.push(node),
            Content::Mapping { key: slot @ None, .. } => {
                let key = match node.value {
                    _ if is_merge_key => Key::Merge,
                    Value::Scalar(key) => Key::Name(key),
                    Value::Null => Key::Name(Scalar::string("")),
                    _ => {
                        return Err(problem(at, "a key must be a scalar, not a list or a mapping"));
                    }
                };
                *slot = Some((key, at));
            }
            Content::Mapping { items, key } => {
                let Some((key, place)) = key.take() else { return Ok(None) };
                let (line, column) = (place.line(), place.col() + 1);
                items.push(match key {
                    Key::Name(key) => Item::Own(Entry { key, line, column, value: node }),
                    Key::Merge => Item::Merged(mappings(node).map_err(|m| problem(place, m))?),
                });
            }
        }
        Ok(None)
    }
}

fn scalar(text: &str, style: ScalarStyle, tag: Option<&Tag>) -> Result<Value, String> {
    let core = tag.filter(|tag| tag.is_yaml_core_schema()).map(|tag| tag.suffix.as_str());
    let scalar = match core {
        Some("binary") => binary(text)?,
        Some("null") => return Ok(Value::Null),
        Some("str") => Scalar::string(text),
        // A tag says how to read the text whatever its quotes; one that does not fit is refused.
        Some(core @ ("bool" | "int" | "float")) => {
            let scalar = Scalar::plain(text);
            let fits = scalar.as_ref().is_some_and(|s| match core {
                "bool" => s.kind() == Kind::Bool,
                "int" => s.kind() == Kind::Int,
                _ => matches!(s.kind(), Kind::Int | Kind::Float),
            });
            match scalar {
                Some(scalar) if fits => scalar,
                _ => return Err(format!("not a value of type !!{core}")),
            }
        }
        _ if tag.is_some() || style != ScalarStyle::Plain => Scalar::string(text),
        _ => match Scalar::plain(text) {
            Some(scalar) => scalar,
            None => return Ok(Value::Null),
        },
    };
    Ok(Value::Scalar(scalar))
}

fn binary(text: &str) -> Result<Scalar, String> {
    let compact: String = text.split_ascii_whitespace().collect();
    let bytes = base64::engine::general_purpose::STANDARD
        .decode(compact)
        .map_err(|_| "!!binary value contains invalid base64 data".to_owned())?;
    Ok(match String::from_utf8(bytes) {
        Ok(text) => Scalar::string(text),
        Err(e) => {
            let escaped: String = e.as_bytes().iter().map(|b| format!("\\x{b:02x}")).collect();
            Scalar::new(escaped, Kind::NotUtf8)
        }
    })
}

/// What stands at `<<`: a mapping or a list of mappings.
fn mappings(node: Node) -> Result<Vec<Node>, String> {
    match node.value {
        Value::Mapping(_) => Ok(vec![node]),
        Value::Sequence(items) if items.iter().all(|n| matches!(n.value, Value::Mapping(_))) => {
            Ok(items)
        }
        _ => Err("map merge requires map or sequence of maps as the value".into()),
    }
}

/// Puts in what is merged. As in Go's `yaml.v2` the later wins, of own keys and merged ones; own
/// keys that are there twice stay, for decoding to report.
fn merge(items: Vec<Item>) -> Vec<Entry> {
    if items.iter().all(|item| matches!(item, Item::Own(_))) {
        let own = |item| if let Item::Own(entry) = item { Some(entry) } else { None };
        return items.into_iter().filter_map(own).collect();
    }
    let mut entries = Vec::new();
    let (mut own, mut merged) = (HashSet::new(), HashSet::new());
    for item in items.into_iter().rev() {
        match item {
            Item::Own(entry) => {
                if !merged.contains(entry.key.text()) {
                    own.insert(entry.key.text().to_owned());
                    entries.push(entry);
                }
            }
            Item::Merged(mappings) => {
                for node in mappings {
                    let Value::Mapping(more) = node.value else { continue };
                    entries.extend(more.into_iter().filter(|entry| {
                        let name = entry.key.text();
                        !own.contains(name) && merged.insert(name.to_owned())
                    }));
                }
            }
        }
    }
    entries.reverse();
    entries
}

/// The recursion is bounded: no tree here is deeper than [`MAX_DEPTH`].
fn size_of(node: &Node) -> Size {
    let mut size = Size::ONE;
    let mut add = |part: Size| {
        size.nodes += part.nodes;
        size.text += part.text;
        size.depth = size.depth.max(part.depth + 1);
    };
    match &node.value {
        Value::Null => {}
        Value::Scalar(scalar) => size.text = scalar.text().len(),
        Value::Sequence(items) => items.iter().for_each(|item| add(size_of(item))),
        Value::Mapping(entries) => entries.iter().for_each(|entry| {
            let mut part = size_of(&entry.value);
            part.text += entry.key.text().len();
            add(part);
        }),
    }
    size
}

#[cfg(test)]
mod tests {
    use super::*;

    fn json(text: &str) -> Node {
        Node::from_json(&serde_json::from_str(text).unwrap())
    }

    #[test]
    fn nodes_know_their_line_and_column() {
        let root = parse("a: 1\nb:\n  - c: x\n").unwrap();
        let c = match &root.get("b").unwrap().value {
            Value::Sequence(items) => items[0].get("c").unwrap(),
            other => panic!("{other:?}"),
        };
        assert_eq!((c.line, c.column), (3, 8));
    }

    #[test]
    fn a_text_without_a_document_is_null() {
        for text in ["", "# only a comment\n", "---\n", "\u{feff}"] {
            assert!(parse(text).unwrap().is_null(), "{text:?}");
        }
    }

    #[test]
    fn only_the_first_document_is_read() {
        assert_eq!(parse("a: b\n---\n[\n").unwrap(), json(r#"{"a": "b"}"#));
    }

    #[test]
    fn aliases_are_expanded_and_merge_keys_resolved() {
        let text = "base: &b {x: 1, y: 2}\nuse: {<<: *b, y: 3}\nboth: {<<: [{z: 4}, *b]}\n\
                    before: {y: 3, <<: *b}\n\
                    quoted: {'<<': 5}\n";
        let root = parse(text).unwrap();
        assert_eq!(root.get("use"), Some(&json(r#"{"y": 3, "x": 1}"#)));
        assert_eq!(root.get("both"), Some(&json(r#"{"z": 4, "x": 1, "y": 2}"#)));
        assert_eq!(root.get("before"), Some(&json(r#"{"x": 1, "y": 2}"#)));
        assert_eq!(root.get("quoted"), Some(&json(r#"{"<<": 5}"#)));
    }

    #[test]
    fn quotes_and_tags_decide_what_a_scalar_is() {
        let root =
            parse("[!!str 5, '5', 5, !!int '5', !!binary aGVsbG8=, !x 5, null, '']").unwrap();
        assert_eq!(root, json(r#"["5", "5", 5, 5, "hello", "5", null, ""]"#));
    }

    #[test]
    fn invalid_texts_are_refused_with_their_line() {
        for (text, line, message) in [
            ("a: b\nc: !!binary '#'\n", 2, "!!binary value contains invalid base64 data"),
            ("a: 1\n[b]: c\n", 2, "a key must be a scalar, not a list or a mapping"),
            ("a: &a [*a]\n", 1, "an alias of something that contains it"),
            ("a:\n  <<: b\n", 2, "map merge requires map or sequence of maps as the value"),
            ("a: !!int x\n", 1, "not a value of type !!int"),
        ] {
            let problem = parse(text).unwrap_err();
            assert_eq!((problem.line, problem.message.as_str()), (line, message), "{text:?}");
        }
        assert_eq!(parse("a: b\n  c: d\n").unwrap_err().line, 2);
    }

    #[test]
    fn deep_nesting_is_refused() {
        for text in ["[".repeat(100_000), "- ".repeat(100_000), "a: &a [x]\n".to_owned() + &chain()]
        {
            assert!(parse(&text).is_err());
        }
    }

    /// Each level contains an alias of the one before.
    fn chain() -> String {
        (1..200)
            .map(|i| {
                format!(
                    "a{i}: &a{i} [*a{}]\n",
                    if i == 1 { String::new() } else { (i - 1).to_string() }
                )
            })
            .collect()
    }

    #[test]
    fn a_billion_laughs_are_refused() {
        let mut text = "a0: &a0 [lol, lol, lol, lol, lol, lol, lol, lol, lol]\n".to_owned();
        for i in 1..30 {
            let aliases = vec![format!("*a{}", i - 1); 9].join(", ");
            text += &format!("a{i}: &a{i} [{aliases}]\n");
        }
        assert_eq!(parse(&text).unwrap_err().message, "too large, aliases expanded");
    }

    #[test]
    fn a_long_text_repeated_by_aliases_is_refused() {
        let text = format!("a: &a {}\nb: [{}]\n", "x".repeat(1 << 20), vec!["*a"; 100].join(", "));
        assert_eq!(parse(&text).unwrap_err().message, "too large, aliases expanded");
    }
}
