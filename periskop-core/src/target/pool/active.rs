//! The targets that groups hold.

use std::collections::BTreeMap;
use std::mem;

use hashbrown::HashMap;
use hashbrown::hash_map::Entry;

use crate::target::pool::PoolChange;
use crate::target::{Labels, Target, TargetId};

/// The targets that groups hold, each as often as they do.
#[derive(Debug, Default)]
pub(super) struct Active(HashMap<TargetId, Held>);

#[derive(Debug)]
struct Held {
    target: Target,
    /// What the other holders know it as, and how many of them: nothing that comes before what
    /// `target` was discovered as. Nearly always empty.
    others: BTreeMap<Labels, usize>,
}

impl Active {
    pub(super) fn get(&self, id: TargetId) -> Option<&Target> {
        self.0.get(&id).map(|held| &held.target)
    }

    pub(super) fn targets(&self) -> impl Iterator<Item = &Target> {
        self.0.values().map(|held| &held.target)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    /// One holder more.
    pub(super) fn hold(&mut self, target: Target, touched: &mut Touched) {
        match self.0.entry(target.id()) {
            Entry::Vacant(vacant) => {
                touched.enters(target.id());
                vacant.insert(Held { target, others: BTreeMap::new() });
            }
            Entry::Occupied(held) => {
                let held = held.into_mut();
                let mut discovered = target.into_discovered();
                if discovered < *held.target.discovered() {
                    discovered = held.target.replace_discovered(discovered);
                }
                *held.others.entry(discovered).or_default() += 1;
            }
        }
    }

    /// One holder less, that knew it as `discovered`.
    pub(super) fn release(
        &mut self,
        id: TargetId,
        discovered: impl FnOnce() -> Labels,
        touched: &mut Touched,
    ) {
        let Entry::Occupied(mut entry) = self.0.entry(id) else { return };
        let held = entry.get_mut();
        let Some(mut next) = held.others.first_entry() else {
            touched.leaves(entry.remove().target);
            return;
        };
        let discovered = discovered();
        if discovered == *held.target.discovered() {
            held.target.replace_discovered(next.key().clone());
            *next.get_mut() -= 1;
            if *next.get() == 0 {
                next.remove();
            }
        } else if let Some(others) = held.others.get_mut(&discovered) {
            *others -= 1;
            if *others == 0 {
                held.others.remove(&discovered);
            }
        }
    }

    /// No holder is left of any.
    pub(super) fn release_all(&mut self, touched: &mut Touched) {
        for held in mem::take(&mut self.0).into_values() {
            touched.leaves(held.target);
        }
    }
}

/// Targets that entered or left during the present change, and whether they were there before.
#[derive(Default)]
pub(super) struct Touched(HashMap<TargetId, Before>);

enum Before {
    Absent,
    /// As it was when it last left.
    There(Target),
}

impl Touched {
    fn enters(&mut self, id: TargetId) {
        self.0.entry(id).or_insert(Before::Absent);
    }

    fn leaves(&mut self, target: Target) {
        match self.0.entry(target.id()) {
            Entry::Vacant(vacant) => {
                vacant.insert(Before::There(target));
            }
            Entry::Occupied(mut before) => {
                if let Before::There(as_it_was) = before.get_mut() {
                    *as_it_was = target;
                }
            }
        }
    }

    /// What came of it in the end.
    pub(super) fn change(self, active: &Active) -> PoolChange {
        let mut change = PoolChange::default();
        for (id, before) in self.0 {
            match (before, active.get(id)) {
                (Before::Absent, Some(_)) => change.added.push(id),
                (Before::There(target), None) => change.removed.push(target),
                (Before::Absent, None) | (Before::There(_), Some(_)) => {}
            }
        }
        change
    }
}
