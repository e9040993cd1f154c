//! Taking a mapping apart, key by key, with every problem noted.

use std::collections::{BTreeMap, HashMap};
use std::fmt::Display;
use std::ops::RangeInclusive;
use std::time::Duration;

use crate::config::node::{Entry, Node, Value};
use crate::config::problem::{Problem, Problems};
use crate::config::scalar::Kind;
use crate::config::units::{Secret, parse_bytes, parse_duration, parse_go_duration};
use crate::target::Labels;

/// Decodes a whole tree, or answers with everything that is wrong with it.
///
/// # Errors
///
/// All [`Problems`] that the decoder noted.
pub fn decode<T>(
    root: &Node,
    decoder: impl FnOnce(&At<'_>, &mut Problems) -> Option<T>,
) -> Result<T, Problems> {
    let mut problems = Problems::new();
    let at = At::root(root);
    let value = decoder(&at, &mut problems);
    match value {
        Some(value) if problems.is_empty() => Ok(value),
        _ => {
            if problems.is_empty() {
                at.problem(&mut problems, "not valid"); // a decoder that did not say why
            }
            Err(problems)
        }
    }
}

/// A node, and which setting it is.
#[derive(Clone, Debug)]
pub struct At<'n> {
    /// The value.
    pub node: &'n Node,
    path: String,
}

impl<'n> At<'n> {
    /// The top of a configuration; its path is empty.
    pub fn root(node: &'n Node) -> Self {
        Self { node, path: String::new() }
    }

    /// Which setting this is, such as `services[0].name`.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Notes that something is wrong with this value.
    pub fn problem(&self, problems: &mut Problems, message: impl Display) {
        problems.push(Problem {
            path: self.path.clone(),
            line: self.node.line,
            column: self.node.column,
            message: message.to_string(),
        });
    }

    /// The text of a scalar of any kind; of null the empty text.
    pub fn string(&self, problems: &mut Problems) -> Option<String> {
        match &self.node.value {
            Value::Null => Some(String::new()),
            Value::Scalar(scalar) if scalar.kind() == Kind::NotUtf8 => {
                self.problem(problems, format!("\"{}\" is not valid UTF-8", scalar.text()));
                None
            }
            Value::Scalar(scalar) => Some(scalar.text().to_owned()),
            _ => self.mismatch(problems, "a string"),
        }
    }

    /// The items of a list, each with its path. Null is an empty list.
    pub fn items(&self, problems: &mut Problems) -> Option<Vec<At<'n>>> {
        match &self.node.value {
            Value::Null => Some(Vec::new()),
            Value::Sequence(items) => {
                let item = |(i, node)| At { node, path: format!("{}[{i}]", self.path) };
                Some(items.iter().enumerate().map(item).collect())
            }
            _ => self.mismatch(problems, "a list"),
        }
    }

    /// The values of a mapping by key, each with its path. Null is an empty mapping; a key that
    /// is there twice is a problem.
    pub fn entries(&self, problems: &mut Problems) -> Option<Vec<(&'n Entry, At<'n>)>> {
        match &self.node.value {
            Value::Null => Some(Vec::new()),
            Value::Mapping(entries) => {
                let mut lines = HashMap::new();
                let mut answer = Vec::with_capacity(entries.len());
                for entry in entries {
                    let name = entry.key.text();
                    if let Some(first) = lines.insert(name, entry.line) {
                        let message = match first {
                            0 => format!("field {name:?} is set twice"),
                            first => format!("field {name:?} is set twice, first in line {first}"),
                        };
                        problems.push(self.at_key(entry, message));
                        lines.insert(name, first);
                    } else {
                        answer.push((entry, At { node: &entry.value, path: self.join(name) }));
                    }
                }
                Some(answer)
            }
            _ => self.mismatch(problems, "a mapping"),
        }
    }

    /// A mapping of names to texts.
    pub fn string_map(&self, problems: &mut Problems) -> Option<BTreeMap<String, String>> {
        let entries = self.entries(problems)?;
        let texts = entries
            .iter()
            .filter_map(|(entry, at)| Some((entry.key.text().to_owned(), at.string(problems)?)));
        Some(texts.collect())
    }

    /// Labels: names that are not empty, values that are texts.
    pub fn labels(&self, problems: &mut Problems) -> Option<Labels> {
        let mut labels = Labels::new();
        for (entry, at) in self.entries(problems)? {
            let name = entry.key.text();
            if name.is_empty() || entry.key.kind() == Kind::NotUtf8 {
                problems.push(self.at_key(entry, format!("\"{name}\" is not a valid label name")));
                continue;
            }
            match &at.node.value {
                Value::Scalar(scalar) if scalar.kind() == Kind::NotUtf8 => {
                    at.problem(
                        problems,
                        format!("\"{}\" is not a valid label value", scalar.text()),
                    );
                }
                _ => labels.insert(name, at.string(problems).unwrap_or_default()),
            }
        }
        Some(labels)
    }

    /// Notes that this is not what is wanted, without quoting it: it could be a secret.
    pub fn mismatch<T>(&self, problems: &mut Problems, wanted: &str) -> Option<T> {
        self.problem(problems, format!("expected {wanted}, found {}", self.node.describe()));
        None
    }

    fn at_key(&self, entry: &Entry, message: String) -> Problem {
        Problem { path: self.path.clone(), line: entry.line, column: entry.column, message }
    }

    fn join(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// A mapping being decoded: each key is taken once, by its type, and [`Fields::finish`] reports
/// the keys that nobody asked for.
///
/// Takers answer `None` for a key that is absent, null or wrong; wrong ones are noted.
#[must_use = "`finish` reports unknown keys"]
pub struct Fields<'n, 'p> {
    at: At<'n>,
    entries: Vec<(&'n Entry, At<'n>)>,
    asked: Vec<&'static str>,
    problems: &'p mut Problems,
}

impl<'n, 'p> Fields<'n, 'p> {
    /// Begins with a mapping; null is one without keys. Answers `None`, with the problem noted,
    /// where the node is something else.
    pub fn new(at: &At<'n>, problems: &'p mut Problems) -> Option<Self> {
        let entries = at.entries(problems)?;
        Some(Self { at: at.clone(), entries, asked: Vec::new(), problems })
    }

    /// Reports what was not asked for, with the key that was probably meant.
    pub fn finish(self) {
        for (entry, _) in &self.entries {
            let name = entry.key.text();
            if self.asked.contains(&name) {
                continue;
            }
            let message = match closest(name, &self.asked) {
                Some(meant) => format!("unknown field {name:?}, did you mean {meant:?}?"),
                None => format!("unknown field {name:?}"),
            };
            self.problems.push(self.at.at_key(entry, message));
        }
    }

    /// Where the mapping is.
    pub fn at(&self) -> &At<'n> {
        &self.at
    }

    /// For decoders that note problems on their own.
    pub fn problems(&mut self) -> &mut Problems {
        self.problems
    }

    /// The value of a key, null included; `None` when the key is absent.
    pub fn node(&mut self, name: &'static str) -> Option<At<'n>> {
        if !self.asked.contains(&name) {
            self.asked.push(name);
        }
        self.entries.iter().find(|(entry, _)| entry.key.text() == name).map(|(_, at)| at.clone())
    }

    /// Whether the key is there, be it null. Counts as asked for.
    pub fn has(&mut self, name: &'static str) -> bool {
        self.node(name).is_some()
    }

    /// Keys that were not asked for so far, with their values: for names that are made of a
    /// pattern, such as `*_sd_configs`. They count as asked for when `wanted` says so.
    pub fn matching(&mut self, wanted: impl Fn(&str) -> bool) -> Vec<(&'n str, At<'n>)> {
        let (taken, left) = std::mem::take(&mut self.entries)
            .into_iter()
            .partition(|(e, _)| !self.asked.contains(&e.key.text()) && wanted(e.key.text()));
        self.entries = left;
        let taken: Vec<(&'n Entry, At<'n>)> = taken;
        taken.into_iter().map(|(entry, at)| (entry.key.text(), at)).collect()
    }

    /// Notes that something is wrong with a key's value, or with the whole where it is absent.
    pub fn problem(&mut self, name: &str, message: impl Display) {
        let found = self.entries.iter().find(|(entry, _)| entry.key.text() == name);
        let (path, line, column) = match found {
            Some((entry, at)) => (at.path.clone(), entry.line, entry.column),
            None => (self.at.path.clone(), self.at.node.line, self.at.node.column),
        };
        self.problems.push(Problem { path, line, column, message: message.to_string() });
    }

    /// A text: any scalar's.
    pub fn string(&mut self, name: &'static str) -> Option<String> {
        let at = self.not_null(name)?;
        at.string(self.problems)
    }

    /// A text; the empty text where the key is there but null, as Go decodes it.
    pub fn string_or_null(&mut self, name: &'static str) -> Option<String> {
        let at = self.node(name)?;
        at.string(self.problems)
    }

    /// A text that is never shown.
    pub fn secret(&mut self, name: &'static str) -> Option<Secret> {
        let at = self.not_null(name)?;
        match &at.node.value {
            Value::Scalar(scalar) if scalar.kind() != Kind::NotUtf8 => {
                Some(Secret::new(scalar.text()))
            }
            _ => at.mismatch(self.problems, "a string"),
        }
    }

    /// A boolean: `true`, `yes`, `on` and their opposites, unquoted.
    pub fn bool(&mut self, name: &'static str) -> Option<bool> {
        self.scalar(name, "true or false", |scalar| scalar.as_bool())
    }

    /// A whole number.
    pub fn int(&mut self, name: &'static str) -> Option<i64> {
        self.scalar(name, "an integer", |scalar| scalar.as_int()?.try_into().ok())
    }

    /// A whole number that is not negative.
    pub fn uint(&mut self, name: &'static str) -> Option<u64> {
        self.scalar(name, "an integer of at least 0", |scalar| scalar.as_int()?.try_into().ok())
    }

    /// A whole number within bounds.
    pub fn uint_within<T: TryFrom<u64> + PartialOrd + Display>(
        &mut self,
        name: &'static str,
        bounds: RangeInclusive<T>,
    ) -> Option<T> {
        let given = self.uint(name)?;
        let value = T::try_from(given).ok().filter(|value| bounds.contains(value));
        if value.is_none() {
            self.problem(name, format!("must be {} to {}", bounds.start(), bounds.end()));
        }
        value
    }

    /// A TCP or UDP port.
    pub fn port(&mut self, name: &'static str) -> Option<u16> {
        self.scalar(name, "a port (0 to 65535)", |scalar| scalar.as_int()?.try_into().ok())
    }

    /// A number.
    pub fn float(&mut self, name: &'static str) -> Option<f64> {
        self.scalar(name, "a number", |scalar| scalar.as_float())
    }

    /// A duration in Prometheus's form, see [`parse_duration`].
    pub fn duration(&mut self, name: &'static str) -> Option<Duration> {
        self.parsed(name, parse_duration)
    }

    /// A duration in Go's form or Prometheus's, see [`parse_go_duration`].
    pub fn go_duration(&mut self, name: &'static str) -> Option<Duration> {
        self.parsed(name, parse_go_duration)
    }

    /// A size in bytes, see [`parse_bytes`].
    pub fn bytes(&mut self, name: &'static str) -> Option<u64> {
        self.parsed(name, parse_bytes)
    }

    /// A text that `parse` makes something of; its error becomes the problem.
    pub fn parsed<T, E: Display>(
        &mut self,
        name: &'static str,
        parse: impl FnOnce(&str) -> Result<T, E>,
    ) -> Option<T> {
        let at = self.not_null(name)?;
        let text = at.string(self.problems)?;
        parse(&text).map_err(|e| at.problem(self.problems, e)).ok()
    }

    /// A nested section: `decoder` is called unless the key is absent or null.
    pub fn section<T>(
        &mut self,
        name: &'static str,
        decoder: impl FnOnce(&At<'n>, &mut Problems) -> Option<T>,
    ) -> Option<T> {
        let at = self.not_null(name)?;
        decoder(&at, self.problems)
    }

    /// A list of sections; a null item is refused in Prometheus's words. Absent and null are the
    /// empty list; items that cannot be decoded are left out, with their problems noted.
    pub fn list<T>(
        &mut self,
        name: &'static str,
        decoder: impl FnMut(&At<'n>, &mut Problems) -> Option<T>,
    ) -> Vec<T> {
        self.list_with(name, &format!("empty or null section in {name}"), decoder)
    }

    /// As [`Fields::list`], with words of its own for a null item.
    pub fn list_with<T>(
        &mut self,
        name: &'static str,
        null_item: &str,
        mut decoder: impl FnMut(&At<'n>, &mut Problems) -> Option<T>,
    ) -> Vec<T> {
        let Some(at) = self.not_null(name) else { return Vec::new() };
        let items = at.items(self.problems).unwrap_or_default();
        let mut decode = |item: &At<'n>| {
            if item.node.is_null() {
                item.problem(self.problems, null_item);
                return None;
            }
            decoder(item, self.problems)
        };
        items.iter().filter_map(&mut decode).collect()
    }

    /// A list of texts; null items are empty texts, as in Go. `None` when absent or null.
    pub fn string_list(&mut self, name: &'static str) -> Option<Vec<String>> {
        let at = self.not_null(name)?;
        let items = at.items(self.problems)?;
        Some(items.iter().filter_map(|item| item.string(self.problems)).collect())
    }

    /// A mapping of names to texts.
    pub fn string_map(&mut self, name: &'static str) -> Option<BTreeMap<String, String>> {
        let at = self.not_null(name)?;
        at.string_map(self.problems)
    }

    /// Labels, see [`At::labels`].
    pub fn labels(&mut self, name: &'static str) -> Option<Labels> {
        let at = self.not_null(name)?;
        at.labels(self.problems)
    }

    fn scalar<T>(
        &mut self,
        name: &'static str,
        wanted: &str,
        read: impl FnOnce(&crate::config::Scalar) -> Option<T>,
    ) -> Option<T> {
        let at = self.not_null(name)?;
        let value = match &at.node.value {
            Value::Scalar(scalar) => read(scalar),
            _ => None,
        };
        value.or_else(|| at.mismatch(self.problems, wanted))
    }

    fn not_null(&mut self, name: &'static str) -> Option<At<'n>> {
        self.node(name).filter(|at| !at.node.is_null())
    }
}

/// The key that was probably meant: at most a third of its letters differ.
fn closest(name: &str, known: &[&'static str]) -> Option<&'static str> {
    if name.len() > 100 {
        return None; // no key of ours, and the comparison is quadratic
    }
    let distance = |key: &str| strsim::osa_distance(&name.to_lowercase(), key);
    known
        .iter()
        .map(|key| (distance(key), *key))
        .filter(|(distance, key)| *distance <= key.len() / 3)
        .min()
        .map(|(_, key)| key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::parse;

    fn check<T>(
        text: &str,
        take: impl FnOnce(&mut Fields<'_, '_>) -> T,
    ) -> (Option<T>, Vec<String>) {
        let root = parse(text).unwrap();
        let mut problems = Problems::new();
        let value = Fields::new(&At::root(&root), &mut problems).map(|mut fields| {
            let value = take(&mut fields);
            fields.finish();
            value
        });
        (value, problems.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn absent_and_null_are_not_set() {
        let (values, problems) = check("a:\nb: ~\n", |f| (f.string("a"), f.uint("b"), f.bool("c")));
        assert_eq!(values, Some((None, None, None)));
        assert!(problems.is_empty());
    }

    #[test]
    fn any_scalar_is_a_string_but_a_quoted_boolean_is_no_boolean() {
        let (values, problems) = check("a: 1.50\nb: yes\nc: off\nd: \"no\"\n", |f| {
            (f.string("a"), f.string("b"), f.bool("c"), f.bool("d"))
        });
        assert_eq!(values, Some((Some("1.50".into()), Some("yes".into()), Some(false), None)));
        assert_eq!(problems, ["line 4, column 4: d: expected true or false, found a string"]);
    }

    #[test]
    fn every_problem_is_told_and_an_unknown_key_with_the_one_meant() {
        let text = "scrape_intervall: 5s\ntimeout: 1x\nport: 70000\nfoo: 1\n";
        let (_, problems) = check(text, |f| {
            f.duration("scrape_interval");
            f.duration("timeout");
            f.port("port");
        });
        assert_eq!(
            problems,
            [
                "line 1, column 1: unknown field \"scrape_intervall\", did you mean \"scrape_interval\"?",
                "line 2, column 10: timeout: unknown unit \"x\" in duration \"1x\"",
                "line 3, column 7: port: expected a port (0 to 65535), found an integer",
                "line 4, column 1: unknown field \"foo\"",
            ]
        );
    }

    #[test]
    fn a_key_that_is_set_twice_is_refused() {
        let (value, problems) = check("a: 1\na: 2\n", |f| f.int("a"));
        assert_eq!(value, Some(Some(1)));
        assert_eq!(problems, ["line 2, column 1: field \"a\" is set twice, first in line 1"]);
    }

    #[test]
    fn items_of_lists_have_their_own_path_and_may_not_be_null() {
        let (_, problems) = check("l: [{a: x}, null, {b: 1}]\n", |f| {
            f.list("l", |at, problems| {
                let mut item = Fields::new(at, problems)?;
                item.int("a");
                item.finish();
                Some(())
            })
        });
        assert_eq!(
            problems,
            [
                "line 1, column 9: l[0].a: expected an integer, found a string",
                "line 1, column 13: l[1]: empty or null section in l",
                "line 1, column 20: l[2]: unknown field \"b\"",
            ]
        );
    }

    #[test]
    fn a_wrong_secret_is_not_quoted() {
        let (_, problems) = check("password: [hunter2]\n", |f| f.secret("password"));
        assert_eq!(problems, ["line 1, column 11: password: expected a string, found a list"]);
    }

    #[test]
    fn labels_have_names_and_text_values() {
        let text = "l: {a: 1, \"\": x, b: !!binary /w==, c: null}\n";
        let (labels, problems) = check(text, |f| f.labels("l"));
        assert_eq!(labels, Some(Some(Labels::from([("a", "1"), ("c", "")]))));
        assert_eq!(
            problems,
            [
                "line 1, column 11: l: \"\" is not a valid label name",
                "line 1, column 21: l.b: \"\\xff\" is not a valid label value",
            ]
        );
    }

    #[test]
    fn names_made_of_a_pattern_are_taken_together() {
        let (names, problems) = check("name: x\ndns_sd_configs: []\nother: 1\n", |f| {
            f.string("name");
            let taken = f.matching(|name| name.ends_with("_sd_configs"));
            taken.iter().map(|(name, _)| (*name).to_owned()).collect::<Vec<_>>()
        });
        assert_eq!(names, Some(vec!["dns_sd_configs".to_owned()]));
        assert_eq!(problems, ["line 3, column 1: unknown field \"other\""]);
    }
}
