//! Who pushed what and when: for people who look, and no part of what is counted.

use std::collections::HashMap;
use std::net::IpAddr;

use periskop_core::Timestamp;

/// So many pushers are shown; the ones that pushed last.
const REMEMBERED: usize = 1_000;

/// The pushers that pushed last.
#[derive(Debug, Default)]
pub(crate) struct Pushers(HashMap<String, Pusher>);

/// What is remembered of one pusher.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Pusher {
    /// Where its last push came from, if that is known.
    pub(crate) address: Option<IpAddr>,
    /// When it pushed last.
    pub(crate) at: Timestamp,
    /// How often it pushed.
    pub(crate) pushes: u64,
    /// The errors in its last push.
    pub(crate) errors: usize,
    /// The occurrences that these errors count.
    pub(crate) occurrences: u64,
    /// What was wrong with parts of its last push, first of all.
    pub(crate) warning: Option<String>,
}

impl Pushers {
    /// `name` pushed; `push.pushes` is how often at once.
    pub(crate) fn note(&mut self, name: &str, mut push: Pusher) {
        if let Some(known) = self.0.get_mut(name) {
            push.pushes = push.pushes.saturating_add(known.pushes);
            *known = push;
            return;
        }
        if self.0.len() >= REMEMBERED {
            let oldest = self.0.iter().min_by_key(|(_, pusher)| pusher.at);
            if let Some(oldest) = oldest.map(|(name, _)| name.clone()) {
                self.0.remove(&oldest);
            }
        }
        self.0.insert(name.to_owned(), push);
    }

    /// The last ones first.
    pub(crate) fn newest(&self, most: usize) -> Vec<(String, Pusher)> {
        let mut all: Vec<_> = self.0.iter().collect();
        all.sort_by_key(|(name, pusher)| (std::cmp::Reverse(pusher.at), *name));
        all.truncate(most);
        all.into_iter().map(|(name, pusher)| (name.clone(), pusher.clone())).collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn only_the_last_ones_are_remembered() {
        let mut pushers = Pushers::default();
        let push = |second| Pusher {
            address: None,
            at: Timestamp::EPOCH.plus(Duration::from_secs(second)),
            pushes: 1,
            errors: 1,
            occurrences: 1,
            warning: None,
        };
        for n in 0..1_500 {
            pushers.note(&n.to_string(), push(n));
        }
        pushers.note("1499", push(2_000));
        let shown = pushers.newest(usize::MAX);
        assert_eq!(shown.len(), REMEMBERED);
        assert_eq!((shown[0].0.as_str(), shown[0].1.pushes), ("1499", 2));
        assert_eq!(shown[999].0, "500");
    }
}
