//! Through a store.

use std::fmt;
use std::io::{self, Write};

use periskop_core::State;
use periskop_core::wire::state::{errors, services, sources};

use super::StorageCliError;
use super::progress::Progress;
use crate::stores::NamedStore;

/// Reads everything that `store` holds, and says on standard output how much that is.
pub(super) async fn check(
    store: &mut NamedStore,
    progress: &mut Progress,
) -> Result<(), StorageCliError> {
    progress.say(&format!("reading {}", store.name));
    let state = store.storage.load().await?.state;
    store.close().await;
    let counts = Counts::of(&state);
    let mut out = io::stdout().lock();
    writeln!(out, "{}: fine\n{counts}", store.name).and_then(|()| out.flush()).map_err(|source| {
        let file = "standard output".to_owned();
        StorageCliError::Io { file, source }
    })
}

/// How much of each kind there is.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Counts([(&'static str, usize); 8]);

impl Counts {
    pub(super) fn of(state: &State) -> Self {
        let (mut counts, mut occurrences, mut actions, mut buckets) = (0, 0, 0, 0);
        for error in errors(state) {
            counts += error.counts().len();
            occurrences += error.occurrences().len();
            actions += error.actions().count();
            buckets += error.buckets().count();
        }
        Self([
            ("services", services(state).count()),
            ("targets", services(state).map(|service| service.targets().len()).sum()),
            ("sources", sources(state).count()),
            ("errors", errors(state).count()),
            ("counts", counts),
            ("occurrences", occurrences),
            ("actions", actions),
            ("buckets", buckets),
        ])
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let lines = self.0.map(|(kind, count)| format!("{count:>12} {kind}"));
        f.write_str(&lines.join("\n"))
    }
}
