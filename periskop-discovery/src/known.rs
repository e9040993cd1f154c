//! What has been told, and what a new look at things changes about it.

use std::collections::HashMap;
use std::hash::{BuildHasher as _, RandomState};

use periskop_core::target::TargetGroup;

use crate::polling::Found;

/// The groups that the caller knows, by source.
///
/// Of each only a hash is kept, keyed by chance: there may be a hundred thousand targets, which the
/// caller keeps, and another copy of them costs more than all else that is done about a look. That
/// a change is missed is as likely as to guess 64 bits.
#[derive(Default)]
pub(crate) struct Known {
    hashes: HashMap<String, Hash>,
    hasher: RandomState,
    /// How many looks there were.
    looks: u64,
    /// Whether an error was told after the last answer.
    failing: bool,
}

struct Hash {
    of_group: u64,
    /// The look at which it was last found, or not looked for.
    seen: u64,
}

impl Known {
    /// Takes note that the caller is told of an error instead.
    pub(crate) fn failed(&mut self) {
        self.failing = true;
    }

    /// Takes in what was found. `None`: nothing that the caller does not know. The first look is
    /// always told, be it empty, and so is the first good one after an error: it is over. A source that is found no more is told as a group without
    /// targets, unless looking for it has failed.
    pub(crate) fn update(&mut self, found: &mut Found) -> Option<Vec<TargetGroup>> {
        self.looks += 1;
        let look = self.looks;
        for source in found.kept.drain(..) {
            if let Some(known) = self.hashes.get_mut(&source) {
                known.seen = look;
            }
        }
        let mut changed = Vec::new();
        for group in found.groups.drain(..) {
            let of_group = self.hasher.hash_one((&group.targets, &group.labels));
            match self.hashes.get_mut(&group.source) {
                Some(known) => {
                    known.seen = look;
                    if known.of_group != of_group {
                        known.of_group = of_group;
                        changed.push(group);
                    }
                }
                None => {
                    self.hashes.insert(group.source.clone(), Hash { of_group, seen: look });
                    changed.push(group);
                }
            }
        }
        let gone = self.hashes.extract_if(|_, known| known.seen < look);
        let mut gone: Vec<String> = gone.map(|(source, _)| source).collect();
        gone.sort_unstable();
        let empty = |source| TargetGroup { source, ..TargetGroup::default() };
        changed.extend(gone.into_iter().map(empty));
        let recovered = std::mem::replace(&mut self.failing, !found.errors.is_empty());
        let recovered = recovered && !self.failing;
        (look == 1 || recovered || !changed.is_empty()).then_some(changed)
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
