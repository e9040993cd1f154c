//! From the engine's deltas to the store.
//!
//! A seam so far: the state lives as long as the process, which is what `repository: {type:
//! memory}` says. A store that survives takes the deltas here, and what it knows is joined before
//! the server is ready.

use periskop_core::Delta;
use periskop_core::observer::Pruned;

/// Where what changed goes.
#[derive(Debug, Default)]
pub(crate) struct Store {}

impl Store {
    /// The state grew by this.
    pub(crate) fn changed(&mut self, delta: Delta) {
        drop(delta);
    }

    /// The state forgot this.
    pub(crate) fn pruned(&mut self, pruned: Pruned) {
        drop(pruned);
    }
}
