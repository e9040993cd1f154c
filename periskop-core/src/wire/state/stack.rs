//! Stacks: the frames of an exception and of its causes, as a document that is named by its
//! content.

use hashbrown::HashMap;
use sha2::{Digest, Sha256};
use xxhash_rust::xxh3::xxh3_128_with_seed;

use super::document::{hex, to_json};
use super::text::Text;
use crate::texts::OccurrenceView;

/// What a stack is called: the first half of the SHA-256 of its document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StackName(pub [u8; 16]);

impl StackName {
    /// Of this document.
    pub fn of(document: &str) -> Self {
        let mut name = [0; 16];
        name.copy_from_slice(&Sha256::digest(document)[..16]);
        Self(name)
    }

    /// As occurrences name it: 32 hexadecimal digits.
    pub fn as_hex(self) -> String {
        hex(&self.0)
    }
}

/// The document of an occurrence's stack: for each exception, outermost first, its frames.
///
/// # Panics
///
/// Never: what is written to memory cannot fail.
pub fn stack_document(view: OccurrenceView<'_>) -> String {
    let frames: Vec<Vec<Text<'_>>> =
        view.exceptions().map(|e| e.frames().map(Text::from).collect()).collect();
    to_json(&frames)
}

/// As many names as are remembered: those of the errors that go on happening, a megabyte and a
/// half.
const REMEMBERED: usize = 32 * 1024;

/// The names of stacks. Most occurrences have a stack that was named before, and hashing its
/// document costs more than all the rest of storing one.
#[derive(Debug, Default)]
pub(super) struct StackNames {
    last: Option<(usize, StackName)>,
    seed: Option<u64>,
    /// By a hash of the frames that nobody outside can foresee.
    remembered: HashMap<u128, StackName>,
    frames: Vec<u8>,
}

impl StackNames {
    /// Names that are remembered beyond the last one. `seed` is random.
    pub(super) fn remembered(seed: u64) -> Self {
        Self { seed: Some(seed), ..Self::default() }
    }

    /// Forgets which skeleton was last: another one may lie at its place by now.
    pub(super) fn forget_last(&mut self) {
        self.last = None;
    }

    pub(super) fn name(&mut self, view: OccurrenceView<'_>) -> StackName {
        let skeleton = view.skeleton_address();
        if let Some((known, name)) = self.last
            && known == skeleton
        {
            return name;
        }
        let name = match self.seed {
            None => StackName::of(&stack_document(view)),
            Some(seed) => self.remembered_name(view, seed),
        };
        self.last = Some((skeleton, name));
        name
    }

    fn remembered_name(&mut self, view: OccurrenceView<'_>, seed: u64) -> StackName {
        self.frames.clear();
        for exception in view.exceptions() {
            // Lengths first, so that nothing looks like something else.
            let frames = exception.frames();
            self.frames.extend_from_slice(&frames.len().to_le_bytes());
            for frame in frames {
                self.frames.extend_from_slice(&frame.len().to_le_bytes());
                self.frames.extend_from_slice(frame.as_bytes());
            }
        }
        let hash = xxh3_128_with_seed(&self.frames, seed);
        if let Some(name) = self.remembered.get(&hash) {
            return *name;
        }
        let name = StackName::of(&stack_document(view));
        if self.remembered.len() >= REMEMBERED {
            self.remembered.clear();
        }
        self.remembered.insert(hash, name);
        name
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::jvm::Payloads;
    use crate::texts::Texts;
    use crate::time::Timestamp;

    #[test]
    fn a_name_that_is_remembered_is_the_name() {
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        let mut report = Payloads::new().report(0, now);
        // Frames that are the same end to end, and are not.
        for (error, frames) in report.errors.iter_mut().zip([["ab", "c"], ["a", "bc"]]) {
            let stacktrace = frames.map(str::to_owned).to_vec();
            error.occurrences[0].exceptions[0].stacktrace = stacktrace;
        }
        let mut texts = Texts::default();
        let all = report.errors.iter().flat_map(|error| &error.occurrences);
        let kept: Vec<_> = all.map(|occurrence| texts.pack(occurrence, now, true)).collect();
        let mut names = StackNames::remembered(7);
        for _ in 0..2 {
            for kept in &kept {
                let document = stack_document(kept.view());
                assert_eq!(names.name(kept.view()), StackName::of(&document));
            }
        }
    }
}
