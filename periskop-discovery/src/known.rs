//! What has been told, and what a new look at things changes about it.

use std::collections::{BTreeMap, BTreeSet};

use periskop_core::target::TargetGroup;

use crate::polling::Found;

/// The groups that the caller knows, by source.
#[derive(Default)]
pub(crate) struct Known {
    groups: BTreeMap<String, TargetGroup>,
    told_once: bool,
}

impl Known {
    /// Takes in what was found. `None`: nothing that the caller does not know. The first look is
    /// always told, be it empty. A source that is found no more is told as a group without
    /// targets, unless looking for it has failed.
    pub(crate) fn update(&mut self, found: &mut Found) -> Option<Vec<TargetGroup>> {
        let kept: BTreeSet<String> = found.kept.drain(..).collect();
        let mut seen = BTreeSet::new();
        let mut changed = Vec::new();
        for group in found.groups.drain(..) {
            seen.insert(group.source.clone());
            if self.groups.get(&group.source) != Some(&group) {
                self.groups.insert(group.source.clone(), group.clone());
                changed.push(group);
            }
        }
        let is_gone = |source: &String| !seen.contains(source) && !kept.contains(source);
        let gone: Vec<String> = self.groups.keys().filter(|s| is_gone(s)).cloned().collect();
        for source in gone {
            self.groups.remove(&source);
            changed.push(TargetGroup { source, ..TargetGroup::default() });
        }
        let first = !std::mem::replace(&mut self.told_once, true);
        (first || !changed.is_empty()).then_some(changed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use periskop_core::target::Labels;

    fn group(source: &str, address: &str) -> TargetGroup {
        let targets = vec![Labels::from([("__address__", address)])];
        TargetGroup { source: source.into(), targets, labels: Labels::new() }
    }

    #[test]
    fn only_what_changed_is_told_and_what_vanished_is_emptied() {
        let mut known = Known::default();
        let first = vec![group("a", "1"), group("b", "2"), group("c", "3")];
        assert_eq!(known.update(&mut first.clone().into()), Some(first));
        let second = vec![group("a", "1"), group("b", "9")];
        let gone = TargetGroup { source: "c".into(), ..TargetGroup::default() };
        assert_eq!(known.update(&mut second.clone().into()), Some(vec![group("b", "9"), gone]));
        assert_eq!(known.update(&mut second.into()), None, "nothing new");
    }

    #[test]
    fn a_first_look_that_finds_nothing_is_told() {
        let mut known = Known::default();
        assert_eq!(known.update(&mut Found::default()), Some(Vec::new()));
        assert_eq!(known.update(&mut Found::default()), None);
    }

    #[test]
    fn a_source_that_could_not_be_looked_for_stays() {
        let mut known = Known::default();
        known.update(&mut vec![group("a", "1")].into());
        let mut failed = Found { kept: vec!["a".into()], ..Found::default() };
        assert_eq!(known.update(&mut failed), None);
        assert_eq!(known.update(&mut vec![group("a", "1")].into()), None, "and is still known");
    }
}
