//! Patterns of file names, by the rules of Go's `filepath.Glob`.

use std::fmt;
use std::path::{Component, Path, PathBuf};
use std::sync::LazyLock;

use regex::Regex;

/// A file name, or a pattern of them. `*` may stand in the last part only; `?` and `[a-z]`
/// anywhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    written: String,
    path: PathBuf,
}

/// A name that is not one of a file with targets.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("path name {0:?} is not valid for file discovery")]
pub struct InvalidPattern(String);

impl Pattern {
    /// Checks a name by Prometheus's rule: JSON or YAML by its ending, one directory.
    ///
    /// # Errors
    ///
    /// [`InvalidPattern`] with Prometheus's words.
    pub fn parse(name: &str) -> Result<Self, InvalidPattern> {
        static VALID: LazyLock<Regex> = LazyLock::new(|| {
            Regex::new(r"^[^*]*(\*[^/]*)?\.(json|yml|yaml|JSON|YML|YAML)$")
                .expect("the pattern is constant and tested")
        });
        if !VALID.is_match(name) {
            return Err(InvalidPattern(name.to_owned()));
        }
        Ok(Self { written: name.to_owned(), path: name.into() })
    }

    /// As configured.
    pub fn as_str(&self) -> &str {
        &self.written
    }

    pub(super) fn resolve(&mut self, dir: &Path) {
        self.path = dir.join(&self.path);
    }

    /// The directories in which a file may appear. Blocks.
    pub(super) fn directories(&self) -> Vec<PathBuf> {
        match self.path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => vec![".".into()],
            Some(parent) => expand(parent),
            None => Vec::new(),
        }
    }

    /// The files that are there, sorted. Blocks; directories that cannot be read have none.
    pub(super) fn paths(&self) -> Vec<PathBuf> {
        expand(&self.path)
    }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.written)
    }
}

fn expand(path: &Path) -> Vec<PathBuf> {
    let mut found = vec![PathBuf::new()];
    for component in path.components() {
        let Component::Normal(name) = component else {
            found.iter_mut().for_each(|prefix| prefix.push(component));
            continue;
        };
        match name.to_str().filter(|name| name.contains(['*', '?', '[', '\\'])) {
            None => found.iter_mut().for_each(|prefix| prefix.push(name)),
            Some(pattern) => {
                // A malformed pattern matches nothing, as in Go.
                let Some(regex) = component_regex(pattern) else { return Vec::new() };
                found = found.iter().flat_map(|prefix| matching(prefix, &regex)).collect();
            }
        }
    }
    found.retain(|path| path.exists());
    found.sort();
    found
}

fn matching(dir: &Path, regex: &Regex) -> Vec<PathBuf> {
    let here = if dir.as_os_str().is_empty() { Path::new(".") } else { dir };
    let Ok(entries) = std::fs::read_dir(here) else { return Vec::new() };
    entries
        .filter_map(Result::ok)
        .filter(|entry| entry.file_name().to_str().is_some_and(|name| regex.is_match(name)))
        .map(|entry| dir.join(entry.file_name()))
        .collect()
}

/// One part of a path: `*` and `?` match any characters but the separator, which is not in here,
/// a class may be negated by `^`, and a backslash takes the next character as it is.
fn component_regex(pattern: &str) -> Option<Regex> {
    let mut regex = String::from("^(?s:");
    let mut chars = pattern.chars().peekable();
    let literal = |c: char| regex::escape(c.encode_utf8(&mut [0; 4]));
    while let Some(c) = chars.next() {
        match c {
            '*' => regex.push_str(".*"),
            '?' => regex.push('.'),
            '\\' => regex.push_str(&literal(chars.next()?)),
            '[' => {
                regex.push('[');
                if chars.next_if_eq(&'^').is_some() {
                    regex.push('^');
                }
                let mut is_empty = true;
                loop {
                    match chars.next()? {
                        ']' if !is_empty => break,
                        '-' if !is_empty => regex.push('-'),
                        ']' | '-' => return None,
                        '\\' => regex.push_str(&class_literal(chars.next()?)),
                        c => regex.push_str(&class_literal(c)),
                    }
                    is_empty = false;
                }
                regex.push(']');
            }
            c => regex.push_str(&literal(c)),
        }
    }
    regex.push_str(")$");
    Regex::new(&regex).ok()
}

fn class_literal(c: char) -> String {
    if c.is_alphanumeric() { c.to_string() } else { format!("\\x{{{:x}}}", u32::from(c)) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn matches(pattern: &str, name: &str) -> bool {
        component_regex(pattern).is_some_and(|regex| regex.is_match(name))
    }

    #[test]
    fn stars_question_marks_and_classes_match_as_in_go() {
        for (pattern, name, does) in [
            ("*.json", "a.json", true),
            ("*.json", ".json", true),
            ("*.json", "a.jsonx", false),
            ("foo*.slow.json", "foo-1.slow.json", true),
            ("?.yml", "é.yml", true),
            ("?.yml", "ab.yml", false),
            ("[ab].json", "b.json", true),
            ("[a-c]x.json", "bx.json", true),
            ("[^a-c].json", "b.json", false),
            ("[^a-c].json", "d.json", true),
            (r"\*.json", "*.json", true),
            (r"\*.json", "a.json", false),
            (r"[\]].json", "].json", true),
            ("[.json", "[.json", false),
            ("a+b.json", "a+b.json", true),
        ] {
            assert_eq!(matches(pattern, name), does, "{pattern} on {name}");
        }
    }

    #[test]
    fn a_pattern_finds_the_files_that_are_there() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b.json", "a.json", "c.yml"] {
            std::fs::write(dir.path().join(name), "[]").unwrap();
        }
        let mut pattern = Pattern::parse("*.json").unwrap();
        pattern.resolve(dir.path());
        assert_eq!(pattern.paths(), [dir.path().join("a.json"), dir.path().join("b.json")]);
        assert_eq!(pattern.directories(), [dir.path()]);
        let mut missing = Pattern::parse("missing.yml").unwrap();
        missing.resolve(dir.path());
        assert!(missing.paths().is_empty());
    }
}
