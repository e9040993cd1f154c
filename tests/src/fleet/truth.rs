//! What the totals must be.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

/// The total of each error, by service and aggregation key.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Truth(BTreeMap<String, BTreeMap<String, u64>>);

impl Truth {
    /// An error happened so many times more.
    pub fn add(&mut self, service: &str, key: String, count: u64) {
        match self.0.get_mut(service) {
            Some(errors) => *errors.entry(key).or_default() += count,
            None => {
                self.0.insert(service.to_owned(), BTreeMap::from([(key, count)]));
            }
        }
    }

    /// The services that have errors.
    pub fn services(&self) -> impl Iterator<Item = &str> {
        self.0.keys().map(String::as_str)
    }

    /// How many errors there are.
    pub fn errors(&self) -> usize {
        self.0.values().map(BTreeMap::len).sum()
    }

    /// How many occurrences there were.
    pub fn occurrences(&self) -> u64 {
        self.0.values().flat_map(BTreeMap::values).sum()
    }

    /// Everything, by service and key.
    pub fn totals(&self) -> impl Iterator<Item = (&str, &str, u64)> {
        self.0.iter().flat_map(|(service, errors)| {
            errors.iter().map(|(key, total)| (service.as_str(), key.as_str(), *total))
        })
    }

    /// Where `shown` says something else. Services of which this knows nothing do not matter.
    pub fn differences(&self, shown: &Self) -> Vec<Difference> {
        let mut differences = Vec::new();
        for (service, expected) in &self.0 {
            let nothing = BTreeMap::new();
            let shown = shown.0.get(service).unwrap_or(&nothing);
            let keys = expected.keys().chain(shown.keys().filter(|k| !expected.contains_key(*k)));
            for key in keys {
                let (expected, shown) = (expected.get(key).copied(), shown.get(key).copied());
                if expected != shown {
                    let (service, key) = (service.clone(), key.clone());
                    differences.push(Difference { service, key, expected, shown });
                }
            }
        }
        differences
    }
}

/// An error whose total is not what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// Its service.
    pub service: String,
    /// Its key.
    pub key: String,
    /// What must be shown; `None` if the error should not be there.
    pub expected: Option<u64>,
    /// What is shown; `None` if the error is not there.
    pub shown: Option<u64>,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = |n: Option<u64>| n.map_or("nothing".to_owned(), |n| n.to_string());
        let Self { service, key, .. } = self;
        write!(f, "{service} {key}: {} expected, ", text(self.expected))?;
        write!(f, "{} shown", text(self.shown))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_wrong_or_too_much_is_a_difference() {
        let (mut truth, mut shown) = (Truth::default(), Truth::default());
        for (key, expected, shows) in [("a", 1, 1), ("b", 2, 3), ("c", 4, 0), ("d", 0, 5)] {
            for (truth, count) in [(&mut truth, expected), (&mut shown, shows)] {
                if count > 0 {
                    truth.add("s", key.into(), count);
                }
            }
        }
        shown.add("another service", "x".into(), 7);
        let found: Vec<_> =
            truth.differences(&shown).into_iter().map(|d| (d.key, d.expected, d.shown)).collect();
        assert_eq!(
            found,
            [
                ("b".to_owned(), Some(2), Some(3)),
                ("c".to_owned(), Some(4), None),
                ("d".to_owned(), None, Some(5)),
            ]
        );
        assert_eq!((truth.errors(), truth.occurrences()), (3, 7));
    }
}
