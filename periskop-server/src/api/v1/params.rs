//! Query parameters: known ones only, each with its type.

use std::fmt::Display;
use std::str::FromStr;

use super::Problem;

/// The parameters of a request, in order.
pub(super) struct Params(Vec<(String, String)>);

impl Params {
    /// Reads a query string.
    ///
    /// # Errors
    ///
    /// It has a parameter that is not in `known`: a filter that is misspelt must not be taken for
    /// none.
    pub(super) fn parse(query: Option<&str>, known: &[&str]) -> Result<Self, Problem> {
        let query = query.unwrap_or_default();
        let params: Vec<(String, String)> =
            url::form_urlencoded::parse(query.as_bytes()).into_owned().collect();
        match params.iter().find(|(name, _)| !known.contains(&name.as_str())) {
            Some((name, _)) => {
                let known = known.join(", ");
                Err(Problem::bad_request(format!("unknown parameter `{name}`"))
                    .with_suggestion(format!("known parameters: {known}")))
            }
            None => Ok(Self(params)),
        }
    }

    /// Every text of a parameter; empty ones are none.
    pub(super) fn texts<'p>(&'p self, name: &str) -> impl Iterator<Item = &'p str> {
        self.values(name).filter(|value| !value.is_empty())
    }

    /// The last text of a parameter; an empty one is none.
    pub(super) fn text(&self, name: &str) -> Option<&str> {
        self.texts(name).last()
    }

    fn values<'p>(&'p self, name: &str) -> impl Iterator<Item = &'p str> {
        let values = self.0.iter().filter(move |(n, _)| n == name);
        values.map(|(_, value)| value.as_str())
    }

    /// Its values, separated by commas or given several times, each read by `read`.
    pub(super) fn words<T>(
        &self,
        name: &str,
        read: impl Fn(&str) -> Option<T>,
        wanted: &str,
    ) -> Result<Vec<T>, Problem> {
        let words = self.values(name).flat_map(|value| value.split(','));
        let read = |word: &str| read(word).ok_or_else(|| wrong(name, word, wanted));
        words.map(read).collect()
    }

    /// Its value, read by `read`.
    pub(super) fn read<T, E: Display>(
        &self,
        name: &str,
        read: impl FnOnce(&str) -> Result<T, E>,
    ) -> Result<Option<T>, Problem> {
        let value = self.values(name).last();
        let read = value.map(|value| read(value).map_err(|e| wrong(name, value, &e.to_string())));
        read.transpose()
    }

    /// A whole number within bounds.
    pub(super) fn number<T: FromStr + PartialOrd + Display + Copy>(
        &self,
        name: &str,
        least: T,
        most: T,
    ) -> Result<Option<T>, Problem> {
        self.read(name, |text| match text.parse::<T>() {
            Ok(n) if n >= least && n <= most => Ok(n),
            _ => Err(format!("expected a number from {least} to {most}")),
        })
    }
}

fn wrong(name: &str, value: &str, why: &str) -> Problem {
    let value: String = value.chars().take(100).collect();
    Problem::bad_request(format!("parameter `{name}`: `{value}`: {why}"))
}
