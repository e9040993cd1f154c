//! What discovery told beside what it should have told.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use periskop_core::target::{Labels, TargetGroup};
use serde::Deserialize;

type Map = BTreeMap<String, String>;

/// A target group as the fixtures write it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
pub struct ExpectedGroup {
    source: String,
    #[serde(default)]
    labels: Map,
    #[serde(default)]
    targets: Vec<Map>,
}

impl ExpectedGroup {
    pub(super) fn has_targets(&self) -> bool {
        !self.targets.is_empty()
    }
}

impl From<&TargetGroup> for ExpectedGroup {
    fn from(group: &TargetGroup) -> Self {
        let map = |labels: &Labels| {
            labels.iter().map(|(name, value)| (name.to_owned(), value.to_owned())).collect()
        };
        Self {
            source: group.source.clone(),
            labels: map(&group.labels),
            targets: group.targets.iter().map(map).collect(),
        }
    }
}

/// The groups by source, as a consumer of [`Discovery`](periskop_core::discovery::Discovery)
/// keeps them. A group without targets is absent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct State(BTreeMap<String, ExpectedGroup>);

impl State {
    /// Takes in an update.
    pub fn update(&mut self, groups: impl IntoIterator<Item = ExpectedGroup>) {
        for group in groups {
            if group.targets.is_empty() {
                self.0.remove(&group.source);
            } else {
                self.0.insert(group.source.clone(), group);
            }
        }
    }

    /// The sources that have targets.
    pub fn sources(&self) -> Vec<&str> {
        self.0.keys().map(String::as_str).collect()
    }

    /// Whether both hold the same.
    ///
    /// # Errors
    ///
    /// The difference, label by label.
    pub fn compare(&self, wanted: &Self, order: Order) -> Result<(), String> {
        compare_groups(self.0.values(), wanted.0.values(), order)
    }
}

/// Whether targets must come in the order that is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// They must.
    Exact,
    /// Groups hold sets of targets.
    Any,
}

impl Order {
    pub(super) fn from_name(name: Option<&str>) -> Self {
        if name == Some("any") { Self::Any } else { Self::Exact }
    }
}

/// Whether one update is as written, groups without targets included.
///
/// # Errors
///
/// The difference, label by label.
pub(super) fn compare_groups<'a>(
    found: impl IntoIterator<Item = &'a ExpectedGroup>,
    wanted: impl IntoIterator<Item = &'a ExpectedGroup>,
    order: Order,
) -> Result<(), String> {
    let (found, wanted) = (lines(found, order), lines(wanted, order));
    if found == wanted {
        return Ok(());
    }
    let mut difference = String::new();
    for line in wanted.iter().filter(|line| !found.contains(line)) {
        let _ = writeln!(difference, "- {line}");
    }
    for line in found.iter().filter(|line| !wanted.contains(line)) {
        let _ = writeln!(difference, "+ {line}");
    }
    if difference.is_empty() {
        difference.push_str("the same targets in another order, or another number of times");
    }
    Err(difference)
}

/// One line per group and target, so that a difference is short.
fn lines<'a>(groups: impl IntoIterator<Item = &'a ExpectedGroup>, order: Order) -> Vec<String> {
    let mut groups: Vec<_> = groups.into_iter().collect();
    groups.sort_by(|a, b| a.source.cmp(&b.source));
    let mut lines = Vec::new();
    for group in groups {
        lines.push(format!("group {:?} {}", group.source, show(&group.labels)));
        let target = |target| format!("target of {:?} {}", group.source, show(target));
        let mut targets: Vec<_> = group.targets.iter().map(target).collect();
        if order == Order::Any {
            targets.sort();
        }
        lines.extend(targets);
    }
    lines
}

fn show(labels: &Map) -> String {
    let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value:?}")).collect();
    format!("{{{}}}", labels.join(", "))
}

/// Whether every subset of labels is found in some target.
pub(super) fn contains_partial(
    groups: &[ExpectedGroup],
    partial: &[BTreeMap<String, String>],
) -> Result<(), String> {
    let targets: Vec<&Map> = groups.iter().flat_map(|group| &group.targets).collect();
    for subset in partial {
        let has =
            |target: &&&Map| subset.iter().all(|(name, value)| target.get(name) == Some(value));
        if !targets.iter().any(|target| has(&target)) {
            return Err(format!("no target has {}", show(subset)));
        }
    }
    Ok(())
}
