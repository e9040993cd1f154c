//! Relabelling, exactly as Prometheus does it.
//!
//! The rules, their defaults and their validation are those of Prometheus 3.14
//! (`model/relabel`); the corpus `sd-fixtures/relabel` was recorded from it. Go's regular
//! expressions, templates and case mapping are reproduced in the submodules, because Rust's
//! differ in small ways that would silently choose other targets.
//!
//! Invariant: relabelling cannot fail and cannot panic. Whatever a rule could get wrong is
//! refused when it is decoded, and what rules make out of labels is bounded ([`MAX_VALUE`],
//! [`MAX_LABELS`]).

mod letter_case;
mod pattern;
mod template;

use std::fmt;
use std::str::FromStr;
use std::sync::LazyLock;

use md5::{Digest, Md5};
use regex::Regex;

pub use pattern::{Pattern, PatternError};
pub use template::Template;

use crate::config::{At, Fields, Kind, Node, Problems, Value};
use crate::target::Labels;

/// A rule does not make a name or a value longer than this, in bytes: `$0$0` in a list of rules
/// would double a value with each of them. What would be longer is not set.
pub const MAX_VALUE: usize = 1 << 20;

/// `labelmap` adds no label beyond this number: it could double them with each rule.
pub const MAX_LABELS: usize = 10_000;

/// Applies the rules in order. `None` says that a rule dropped the target.
///
/// A label with an empty value is the same as an absent one, before and after.
///
/// ```
/// use periskop_core::config;
/// use periskop_core::target::{Labels, NameScheme, RelabelConfig, relabel};
///
/// let node = config::parse("{source_labels: [pod], regex: (.*)-.*, target_label: app}").unwrap();
/// let rule = config::decode(&node, |at, problems| {
///     RelabelConfig::decode(at, NameScheme::Utf8, problems)
/// }).unwrap();
/// let labels = relabel(&[rule], Labels::from([("pod", "web-7d9f")])).unwrap();
/// assert_eq!(labels.get("app"), "web");
/// ```
pub fn relabel(rules: &[RelabelConfig], mut labels: Labels) -> Option<Labels> {
    labels.retain(|_, value| !value.is_empty());
    rules.iter().all(|rule| rule.apply(&mut labels)).then_some(labels)
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelConfig {
    /// `None` where the rule does not name any; an empty list is different for validation.
    source_labels: Option<Vec<String>>,
    separator: String,
    /// `None` stands for `(.*)` by default, which validation tells from `(.*)` as written.
    regex: Option<Pattern>,
    modulus: u64,
    target_label: Template,
    replacement: Template,
    action: Action,
    scheme: NameScheme,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Action {
    /// Sets a label to the replacement when the regular expression matches.
    #[default]
    Replace,
    /// Drops targets that do not match.
    Keep,
    /// Drops targets that match.
    Drop,
    /// Drops targets whose source labels differ from the target label.
    KeepEqual,
    /// Drops targets whose source labels equal the target label.
    DropEqual,
    /// Sets a label to a hash of the source labels modulo a number.
    HashMod,
    /// Copies labels whose names match to new names.
    LabelMap,
    /// Removes labels whose names match.
    LabelDrop,
    /// Removes labels whose names do not match.
    LabelKeep,
    /// Sets a label to the source labels in lower case.
    Lowercase,
    /// Sets a label to the source labels in upper case.
    Uppercase,
}

/// Which names a label may have (Prometheus's `metric_name_validation_scheme`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum NameScheme {
    /// Any text that is not empty: the default since Prometheus 3.0.
    #[default]
    Utf8,
    /// `[a-zA-Z_][a-zA-Z0-9_]*`.
    Legacy,
}

impl RelabelConfig {
    /// Reads a rule: absent fields have Prometheus's defaults.
    ///
    /// Problems are noted in Prometheus's words, of a rule's own rules the first that is broken.
    pub fn decode(at: &At<'_>, scheme: NameScheme, problems: &mut Problems) -> Option<Self> {
        let before = problems.len();
        let mut fields = Fields::new(at, problems)?;
        let regex = fields.string_or_null("regex").map(|text| Pattern::new(&text));
        let regex = regex.and_then(|r| r.map_err(|e| fields.problem("regex", e)).ok());
        let action = match fields.node("action") {
            None => Some(Action::default()),
            Some(at) if at.node.is_null() => {
                fields.problem("action", "relabel action cannot be empty");
                None
            }
            Some(_) => fields.parsed("action", str::parse),
        };
        let rule = Self {
            source_labels: source_labels(&mut fields),
            separator: fields.string_or_null("separator").unwrap_or_else(|| ";".into()),
            regex,
            modulus: modulus(&mut fields).unwrap_or(0),
            target_label: Template::new(fields.string("target_label").unwrap_or_default()),
            replacement: Template::new(
                fields.string_or_null("replacement").unwrap_or_else(|| DEFAULT_REPLACEMENT.into()),
            ),
            action: action.unwrap_or_default(),
            scheme,
        };
        fields.finish();
        if problems.len() > before {
            return None; // the rules below would judge values that are made up
        }
        if let Err(message) = rule.validate() {
            at.problem(problems, message);
            return None;
        }
        Some(rule)
    }

    /// Reads a list of rules under a key of a section, `relabel_configs` usually.
    pub fn decode_list(
        fields: &mut Fields<'_, '_>,
        name: &'static str,
        scheme: NameScheme,
    ) -> Vec<Self> {
        let null_item = "empty or null target relabeling rule in scrape config";
        fields.list_with(name, null_item, |at, problems| Self::decode(at, scheme, problems))
    }

    /// What the rule does.
    pub fn action(&self) -> Action {
        self.action
    }

    /// Writes the rule with its defaults filled in, as Prometheus prints it again.
    pub fn to_node(&self) -> Node {
        let mut entries: Vec<(&str, Node)> = Vec::new();
        if let Some(names) = self.source_labels.as_ref().filter(|names| !names.is_empty()) {
            entries.push(("source_labels", Node::sequence(names)));
        }
        entries.push(("separator", self.separator.as_str().into()));
        if let Some(regex) = &self.regex {
            entries.push(("regex", regex.as_str().into()));
        }
        if self.modulus != 0 {
            entries.push(("modulus", self.modulus.into()));
        }
        if !self.target_label.as_str().is_empty() {
            entries.push(("target_label", self.target_label.as_str().into()));
        }
        entries.push(("replacement", self.replacement.as_str().into()));
        entries.push(("action", self.action.as_str().into()));
        Node::mapping(entries)
    }

    /// Applies the rule; `false` says that the target is dropped.
    fn apply(&self, labels: &mut Labels) -> bool {
        let joined = || {
            let names = self.source_labels.as_deref().unwrap_or_default();
            let values: Vec<&str> = names.iter().map(|name| labels.get(name)).collect();
            values.join(&self.separator)
        };
        match self.action {
            Action::Keep => return self.regex().is_match(&joined()),
            Action::Drop => return !self.regex().is_match(&joined()),
            Action::KeepEqual => return labels.get(self.target_label.as_str()) == joined(),
            Action::DropEqual => return labels.get(self.target_label.as_str()) != joined(),
            Action::Replace => self.replace(&joined(), labels),
            Action::HashMod => {
                let value = hash(&joined()).checked_rem(self.modulus).unwrap_or(0);
                set(labels, self.target_label.as_str(), value.to_string());
            }
            Action::Lowercase => {
                set(labels, self.target_label.as_str(), letter_case::to_lower(&joined()));
            }
            Action::Uppercase => {
                set(labels, self.target_label.as_str(), letter_case::to_upper(&joined()));
            }
            Action::LabelMap => self.map(labels),
            Action::LabelDrop => labels.retain(|name, _| !self.regex().is_match(name)),
            Action::LabelKeep => labels.retain(|name, _| self.regex().is_match(name)),
        }
        true
    }

    fn replace(&self, value: &str, labels: &mut Labels) {
        let Some(captures) = self.regex().captures(value) else { return };
        let Some(name) = self.target_label.expand(&captures, MAX_VALUE) else { return };
        let Some(value) = self.replacement.expand(&captures, MAX_VALUE) else { return };
        if self.scheme.allows(&name) {
            set(labels, &name, value);
        }
    }

    fn map(&self, labels: &mut Labels) {
        let mapped: Vec<(String, String)> = labels
            .iter()
            .filter(|(name, _)| self.regex().is_match(name))
            .filter_map(|(name, value)| {
                let new = self.regex().replace_all(name, &self.replacement, MAX_VALUE)?;
                Some((new, value.to_owned()))
            })
            .collect();
        for (name, value) in mapped {
            if !name.is_empty() && (labels.len() < MAX_LABELS || labels.contains(&name)) {
                set(labels, &name, value);
            }
        }
    }

    fn regex(&self) -> &Pattern {
        static DEFAULT: LazyLock<Pattern> =
            LazyLock::new(|| Pattern::new("(.*)").expect("a constant that a test compiles"));
        self.regex.as_ref().unwrap_or(&DEFAULT)
    }

    /// The rules and words of Prometheus's `Config.Validate`, in its order.
    fn validate(&self) -> Result<(), String> {
        use Action::{DropEqual, HashMod, KeepEqual, LabelDrop, LabelKeep, LabelMap};
        use Action::{Lowercase, Replace, Uppercase};
        let action = self.action;
        let target = self.target_label.as_str();
        let bad_target = || format!("{target:?} is invalid 'target_label' for {action} action");
        let one_of = |actions: &[Action]| actions.contains(&action);

        if action == HashMod && self.modulus == 0 {
            return Err("relabel configuration for hashmod requires non-zero modulus".into());
        }
        let needs_target = [Replace, KeepEqual, DropEqual, HashMod, Lowercase, Uppercase];
        if one_of(&needs_target) && target.is_empty() {
            return Err(format!(
                "relabel configuration for {action} action requires 'target_label' value"
            ));
        }
        let has_variable = target.contains('$');
        if action == Replace && has_variable && !self.scheme.allows_template(target) {
            return Err(bad_target());
        }
        if action == Replace && !has_variable && !self.scheme.allows(target) {
            return Err(bad_target());
        }
        if one_of(&[Lowercase, Uppercase, KeepEqual, DropEqual]) {
            if !self.scheme.allows(target) {
                return Err(bad_target());
            }
            if !self.has_default_replacement() {
                return Err(format!("'replacement' can not be set for {action} action"));
            }
        }
        if action == LabelMap && !self.scheme.allows_template(self.replacement.as_str()) {
            let replacement = self.replacement.as_str();
            return Err(format!("{replacement:?} is invalid 'replacement' for {action} action"));
        }
        if action == HashMod && !self.scheme.allows(target) {
            return Err(bad_target());
        }
        let others_set = self.modulus != 0 || self.separator != ";";
        if one_of(&[KeepEqual, DropEqual]) && (self.regex.is_some() || others_set) {
            return Err(format!(
                "{action} action requires only 'source_labels' and `target_label`, and no other fields"
            ));
        }
        if one_of(&[LabelDrop, LabelKeep])
            && (self.source_labels.is_some()
                || !target.is_empty()
                || others_set
                || !self.has_default_replacement())
        {
            return Err(format!("{action} action requires only 'regex', and no other fields"));
        }
        Ok(())
    }

    fn has_default_replacement(&self) -> bool {
        self.replacement.as_str() == DEFAULT_REPLACEMENT
    }
}

const DEFAULT_REPLACEMENT: &str = "$1";

impl fmt::Display for RelabelConfig {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.to_node().fmt(f)
    }
}

impl Action {
    const ALL: [Self; 11] = [
        Self::Replace,
        Self::Keep,
        Self::Drop,
        Self::KeepEqual,
        Self::DropEqual,
        Self::HashMod,
        Self::LabelMap,
        Self::LabelDrop,
        Self::LabelKeep,
        Self::Lowercase,
        Self::Uppercase,
    ];

    /// As configurations name it, in lower case.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Replace => "replace",
            Self::Keep => "keep",
            Self::Drop => "drop",
            Self::KeepEqual => "keepequal",
            Self::DropEqual => "dropequal",
            Self::HashMod => "hashmod",
            Self::LabelMap => "labelmap",
            Self::LabelDrop => "labeldrop",
            Self::LabelKeep => "labelkeep",
            Self::Lowercase => "lowercase",
            Self::Uppercase => "uppercase",
        }
    }
}

impl fmt::Display for Action {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl FromStr for Action {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let lower = text.to_lowercase();
        let found = Self::ALL.into_iter().find(|action| action.as_str() == lower);
        found.ok_or_else(|| format!("unknown relabel action {text:?}"))
    }
}

impl NameScheme {
    /// Whether a label may have this name.
    pub fn allows(self, name: &str) -> bool {
        match self {
            Self::Utf8 => !name.is_empty(),
            Self::Legacy => {
                !name.starts_with(|c: char| c.is_ascii_digit())
                    && !name.is_empty()
                    && name.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'_')
            }
        }
    }

    /// Whether this may be a name once its variables (`$1`, `${name}`) are replaced.
    pub fn allows_template(self, template: &str) -> bool {
        // Prometheus's own expression, which its legacy scheme is defined by.
        static LEGACY: LazyLock<Regex> = LazyLock::new(|| {
            let word = "[0-9A-Za-z_]";
            let variable = format!(r"\$(?:\{{{word}+\}}|{word}+)");
            Regex::new(&format!("^(?:(?:[a-zA-Z_]|{variable})+{word}*)+$"))
                .expect("a constant that a test compiles")
        });
        match self {
            Self::Utf8 => self.allows(template),
            Self::Legacy => LEGACY.is_match(template),
        }
    }
}

fn modulus(fields: &mut Fields<'_, '_>) -> Option<u64> {
    const TWO_TO_THE_64: f64 = 18_446_744_073_709_551_616.0;
    let at = fields.node("modulus")?;
    let Value::Scalar(scalar) = &at.node.value else { return fields.uint("modulus") };
    // One too large for Prometheus's type is taken there, for what a conversion makes of it on
    // amd64; a file that has it must mean the same here.
    if scalar.kind() == Kind::Float && scalar.as_float() == Some(TWO_TO_THE_64) {
        return Some(1 << 63);
    }
    fields.uint("modulus")
}

fn source_labels(fields: &mut Fields<'_, '_>) -> Option<Vec<String>> {
    let at = fields.node("source_labels").filter(|at| !at.node.is_null())?;
    let mut names = Vec::new();
    for item in at.items(fields.problems())? {
        let Some(name) = item.string(fields.problems()) else { continue };
        if name.is_empty() && !item.node.is_null() {
            item.problem(fields.problems(), "\"\" is not a valid label name");
        }
        names.push(name);
    }
    Some(names)
}

/// Setting a label to nothing removes it.
fn set(labels: &mut Labels, name: &str, value: String) {
    if value.is_empty() {
        labels.remove(name);
    } else if value.len() <= MAX_VALUE {
        labels.insert(name, value);
    }
}

/// The last eight bytes of the MD5, big-endian.
fn hash(value: &str) -> u64 {
    let digest: [u8; 16] = Md5::digest(value.as_bytes()).into();
    digest[8..].iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}
