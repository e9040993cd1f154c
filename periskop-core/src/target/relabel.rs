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

mod action;
mod letter_case;
mod names;
mod pattern;
mod template;

use std::collections::HashMap;
use std::fmt;
use std::sync::LazyLock;

use md5::{Digest, Md5};

pub use action::Action;
pub use names::NameScheme;
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
pub fn relabel(rules: &[RelabelConfig], labels: Labels) -> Option<Labels> {
    relabel_or_rule(rules, labels).ok()
}

/// Does what [`relabel`] does, and tells of a target that is dropped which rule did it.
///
/// # Errors
///
/// The rule that dropped the target.
pub fn relabel_or_rule(rules: &[RelabelConfig], mut labels: Labels) -> Result<Labels, DroppedBy> {
    labels.retain(|_, value| !value.is_empty());
    let mut builder = Builder { labels, set: HashMap::new(), next: 0 };
    match rules.iter().position(|rule| !rule.apply(&mut builder)) {
        None => Ok(builder.labels),
        Some(rule) => Err(DroppedBy { rule, labels: builder.labels }),
    }
}

/// The rule that dropped a target.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DroppedBy {
    /// Its place in the list, from 0.
    pub rule: usize,
    /// The labels that it looked at: as the rules before it had left them.
    pub labels: Labels,
}

/// One rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RelabelConfig {
    /// `None` where the rule does not name any. An empty list is different for validation only.
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
        let source_labels = rule.source_labels.filter(|names| !names.is_empty());
        Some(Self { source_labels, ..rule })
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

    /// The labels whose values it looks at.
    pub fn source_labels(&self) -> &[String] {
        self.source_labels.as_deref().unwrap_or_default()
    }

    /// What it looks at in `labels`: the values of its source labels, joined.
    pub fn value(&self, labels: &Labels) -> String {
        let values: Vec<&str> = self.source_labels().iter().map(|name| labels.get(name)).collect();
        values.join(&self.separator)
    }

    /// Its expression, as written or by default.
    pub fn regex_text(&self) -> &str {
        self.regex().as_str()
    }

    /// The label that it sets or, with `keepequal` and `dropequal`, compares with; empty where it
    /// has none.
    pub fn target_label(&self) -> &str {
        self.target_label.as_str()
    }

    /// Writes the rule with its defaults filled in, as Prometheus prints it again.
    pub fn to_node(&self) -> Node {
        let mut entries: Vec<(&str, Node)> = Vec::new();
        if let Some(names) = &self.source_labels {
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
    fn apply(&self, builder: &mut Builder) -> bool {
        let target = self.target_label.as_str();
        let labels = &builder.labels;
        let joined = || self.value(labels);
        match self.action {
            Action::Keep => return self.regex().is_match(&joined()),
            Action::Drop => return !self.regex().is_match(&joined()),
            Action::KeepEqual => return labels.get(target) == joined(),
            Action::DropEqual => return labels.get(target) != joined(),
            Action::Replace => {
                if let Some((name, value)) = self.replace(&joined()) {
                    builder.set(&name, value);
                }
            }
            Action::HashMod => {
                let value = hash(&joined()).checked_rem(self.modulus).unwrap_or(0).to_string();
                builder.set(target, value);
            }
            Action::Lowercase => {
                let value = letter_case::to_lower(&joined());
                builder.set(target, value);
            }
            Action::Uppercase => {
                let value = letter_case::to_upper(&joined());
                builder.set(target, value);
            }
            Action::LabelMap => {
                for (name, value) in self.map(builder) {
                    builder.add(&name, value);
                }
            }
            Action::LabelDrop => builder.retain(|name| !self.regex().is_match(name)),
            Action::LabelKeep => builder.retain(|name| self.regex().is_match(name)),
        }
        true
    }

    /// The label to set, where the expression matches.
    fn replace(&self, value: &str) -> Option<(String, String)> {
        let captures = self.regex().captures(value)?;
        let name = self.target_label.expand(&captures, MAX_VALUE)?;
        let value = self.replacement.expand(&captures, MAX_VALUE)?;
        self.scheme.allows(&name).then_some((name, value))
    }

    /// The labels to add, in the order in which they are: where two get the same name, the last
    /// one stays.
    fn map(&self, builder: &Builder) -> Vec<(String, String)> {
        let matching = builder.in_order().into_iter().filter(|(n, _)| self.regex().is_match(n));
        let new = |(name, value): (&str, &str)| {
            let name = self.regex().replace_all(name, &self.replacement, MAX_VALUE)?;
            (!name.is_empty()).then(|| (name, value.to_owned()))
        };
        matching.filter_map(new).collect()
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

/// The labels while rules work on them.
struct Builder {
    labels: Labels,
    /// Which labels rules have set, and when first: in Prometheus those come after the others,
    /// which decides what `labelmap` leaves where several labels get one name.
    set: HashMap<String, usize>,
    next: usize,
}

impl Builder {
    /// Sets a label; setting it to nothing removes it.
    fn set(&mut self, name: &str, value: String) {
        if value.is_empty() {
            self.labels.remove(name);
            self.set.remove(name);
        } else if value.len() <= MAX_VALUE {
            self.labels.insert(name, value);
            self.set.entry(name.to_owned()).or_insert(self.next);
            self.next += 1;
        }
    }

    /// Sets a label as long as there are not too many.
    fn add(&mut self, name: &str, value: String) {
        if self.labels.len() < MAX_LABELS || self.labels.contains(name) {
            self.set(name, value);
        }
    }

    fn retain(&mut self, keep: impl Fn(&str) -> bool) {
        self.labels.retain(|name, _| keep(name));
        self.set.retain(|name, _| self.labels.contains(name));
    }

    fn in_order(&self) -> Vec<(&str, &str)> {
        let mut all: Vec<_> = self.labels.iter().collect();
        all.sort_by_key(|(name, _)| self.set.get(*name)); // stable: the others stay by name
        all
    }
}

/// The last eight bytes of the MD5, big-endian.
fn hash(value: &str) -> u64 {
    let digest: [u8; 16] = Md5::digest(value.as_bytes()).into();
    digest[8..].iter().fold(0, |hash, byte| hash << 8 | u64::from(*byte))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;
    use crate::config;

    fn rules(yaml: &str) -> Vec<RelabelConfig> {
        try_rules(&config::parse(yaml).unwrap()).unwrap()
    }

    fn try_rules(list: &Node) -> Result<Vec<RelabelConfig>, Problems> {
        config::decode(list, |at, problems| {
            let items = at.items(problems)?;
            let decode = |at: &At<'_>| RelabelConfig::decode(at, NameScheme::Utf8, problems);
            Some(items.iter().filter_map(decode).collect())
        })
    }

    #[test]
    fn a_rule_s_problems_are_told_with_their_place() {
        let list = config::parse(
            "- target_label: a\n  regex: (\n  actoin: keep\n- action: hashmod\n  target_label: b\n",
        );
        assert_eq!(
            try_rules(&list.unwrap()).unwrap_err().to_string(),
            "line 2, column 3: [0].regex: error parsing regexp: missing closing ): `^(?s:()$`\n\
             line 3, column 3: [0]: unknown field \"actoin\", did you mean \"action\"?\n\
             line 4, column 3: [1]: relabel configuration for hashmod requires non-zero modulus",
        );
    }

    #[test]
    fn a_rule_that_drops_a_target_is_told_with_what_it_looked_at() {
        let rules = rules(
            "- {source_labels: [a], regex: x, replacement: y, target_label: b}\n\
             - {source_labels: [b, c], regex: y;1, action: drop}\n\
             - {source_labels: [b], target_label: c, action: keepequal}\n\
             - {source_labels: [d], regex: z, action: keep}\n",
        );
        let check = |labels: &[(&str, &str)], by: Option<(usize, &str)>| {
            let told = relabel_or_rule(&rules, labels.iter().copied().collect());
            let dropped = told.err();
            let looked = |by: &DroppedBy| (by.rule, rules[by.rule].value(&by.labels));
            let found = dropped.as_ref().map(looked);
            assert_eq!(found, by.map(|(rule, value)| (rule, value.to_owned())), "{labels:?}");
        };
        check(&[("a", "x"), ("c", "1")], Some((1, "y;1")));
        check(&[("a", "x"), ("c", "2")], Some((2, "y")));
        check(&[("b", "2"), ("c", "2"), ("d", "w")], Some((3, "w")));
        check(&[("b", "2"), ("c", "2"), ("d", "z")], None);
    }

    #[test]
    fn rules_that_double_a_value_stop_at_the_limit() {
        let doubling = "- {source_labels: [a], target_label: a, regex: (.*), replacement: $1$1}\n";
        let labels = relabel(&rules(&doubling.repeat(64)), Labels::from([("a", "x")])).unwrap();
        assert_eq!(labels.get("a").len(), MAX_VALUE);
    }

    #[test]
    fn rules_that_double_the_labels_stop_at_the_limit() {
        let doubling: String = (0..20)
            .map(|i| format!("- {{action: labelmap, replacement: '${{1}}_{i}'}}\n"))
            .collect();
        let labels = relabel(&rules(&doubling), Labels::from([("a", "x")])).unwrap();
        assert_eq!(labels.len(), MAX_LABELS);
    }

    #[test]
    fn of_labels_mapped_to_one_name_the_last_set_by_a_rule_stays() {
        let rules = rules(
            "- {target_label: b, replacement: new}\n- {action: labelmap, regex: ., replacement: x}\n",
        );
        let labels = relabel(&rules, Labels::from([("b", "old"), ("c", "1")])).unwrap();
        assert_eq!(labels.get("x"), "new");
    }

    /// Words that rules and labels have in common, so that rules do something.
    fn word() -> impl Strategy<Value = String> {
        prop_oneof!["[ab_]{0,3}", "[ab_é$İß]{0,6}", any::<String>()]
    }

    fn regex() -> impl Strategy<Value = String> {
        prop_oneof![
            2 => "[ab.()*+?|\\[\\]^$-]{0,8}",
            2 => r"(\(\?[imsU-]{0,3}[:)]|\\[dDwWsSbBQEpPxAz018n{]|[a-z]|[-.*+?|)(\[\]^{},:&~é]|\{[0-9]{0,2},?\}){0,10}",
            1 => "\\(a\\)\\.\\*|\\(\\.\\*\\)",
            1 => any::<String>(),
        ]
    }

    fn rule() -> impl Strategy<Value = serde_json::Value> {
        let template = prop_oneof![word(), "[$ab{}01_é]{0,8}"];
        let fields = (
            prop::option::of(prop::collection::vec(word(), 0..3)),
            prop::option::of(regex()),
            prop::option::of(template.clone()),
            prop::option::of(template),
            prop::sample::select(&Action::ALL[..]),
            prop::option::of(0..10u64),
            prop::option::of(word()),
        );
        fields.prop_map(|(source, regex, target, replacement, action, modulus, separator)| {
            let mut rule = json!({"action": action.as_str()});
            let fields = [
                ("source_labels", source.map(Into::into)),
                ("regex", regex.map(Into::into)),
                ("target_label", target.map(Into::into)),
                ("replacement", replacement.map(Into::into)),
                ("modulus", modulus.map(Into::into)),
                ("separator", separator.map(serde_json::Value::String)),
            ];
            for (name, value) in fields {
                if let Some(value) = value {
                    rule[name] = value;
                }
            }
            rule
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(10_000))]

        #[test]
        fn relabelling_is_total(
            list in prop::collection::vec(rule(), 1..3),
            labels in prop::collection::btree_map("[ab_]{1,3}|\\PC{1,4}", word(), 0..5),
        ) {
            // Rules that are refused are left out, so that every list has some that are applied.
            let taken: Vec<RelabelConfig> = list
                .iter()
                .filter_map(|rule| try_rules(&Node::from_json(&json!([rule]))).ok())
                .flatten()
                .collect();
            if let Some(result) = relabel(&taken, labels.into_iter().collect()) {
                prop_assert!(result.iter().all(|(name, value)| !name.is_empty() && !value.is_empty()));
                prop_assert!(result.len() <= MAX_LABELS);
            }
            for rule in taken {
                let again = try_rules(&Node::sequence([rule.to_node()]));
                prop_assert_eq!(again.ok(), Some(vec![rule]), "a rule reads back as written");
            }
        }
    }
}
