//! Environment variables, as something that can be handed in.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

/// Where environment variables come from.
#[derive(Clone, Default)]
pub enum Environment {
    /// The process's own, read anew each time.
    #[default]
    Process,
    /// These and no others: for tests, and for embedding where the process's are not ours.
    Fixed(Arc<BTreeMap<String, String>>),
}

impl Environment {
    /// These variables and no others.
    pub fn fixed<K: Into<String>, V: Into<String>>(
        variables: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let variables = variables.into_iter().map(|(name, value)| (name.into(), value.into()));
        Self::Fixed(Arc::new(variables.collect()))
    }

    /// A variable's value; one that is empty, or no UTF-8, counts as not set.
    pub fn get(&self, name: &str) -> Option<String> {
        let value = match self {
            Self::Process => std::env::var(name).ok(),
            Self::Fixed(variables) => variables.get(name).cloned(),
        };
        value.filter(|value| !value.is_empty())
    }
}

/// Values may be secrets.
impl fmt::Debug for Environment {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Process => f.write_str("Process"),
            Self::Fixed(variables) => f.debug_set().entries(variables.keys()).finish(),
        }
    }
}
