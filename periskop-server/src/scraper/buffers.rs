//! Memory of bodies that were read, for the next ones.

use std::sync::{Mutex, PoisonError};

/// Buffers that are kept, and how large one may be to be kept. Parsing takes turns with reading, so
/// that more are hardly ever wanted at once.
const KEPT: usize = 4;
const CAPACITY: usize = 4 << 20;

/// A few buffers to read into.
#[derive(Debug, Default)]
pub(super) struct Buffers(Mutex<Vec<Vec<u8>>>);

impl Buffers {
    /// One that was used before, or a new one.
    pub(super) fn take(&self) -> Vec<u8> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).pop().unwrap_or_default()
    }

    /// Gives one back.
    pub(super) fn give_back(&self, buffer: Vec<u8>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if kept.len() < KEPT && buffer.capacity() <= CAPACITY {
            kept.push(buffer);
        }
    }
}
