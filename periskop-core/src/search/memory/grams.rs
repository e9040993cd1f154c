//! Which errors may have a text, by the short pieces it consists of.

use crate::search::{ErrorNumber, ErrorSet};

/// A bit for each error and each number that a piece of one, two or three bytes may hash to:
/// whether the error has a text with such a piece. Errors are taken by 64, so that one
/// number is looked up for 64 errors at once, and an error's column lies in few pages.
///
/// The hash has no secret: who makes pieces collide only makes own errors be looked at for nothing.
#[derive(Default)]
pub(super) struct Grams {
    blocks: Vec<Box<[u64]>>,
}

/// How many numbers there are: 512 bytes an error. Ten occurrences with ten identifiers each
/// take up an eighth of it.
const ROWS: usize = 1 << ROW_BITS;
const ROW_BITS: u32 = 12;

/// Pieces of a longer text are left out beyond this many: they tell no more.
const MOST_ASKED: usize = 48;

/// The pieces of the texts of one error.
pub(super) struct Signature([u64; ROWS / 64]);

impl Signature {
    /// The signature of these texts.
    pub(super) fn of<'a>(texts: impl IntoIterator<Item = &'a [u8]>) -> Self {
        let mut signature = Self([0; ROWS / 64]);
        for text in texts {
            for length in 1..=3 {
                text.windows(length).for_each(|piece| {
                    let row = row(piece);
                    signature.0[row / 64] |= 1 << (row % 64);
                });
            }
        }
        signature
    }
}

impl Grams {
    /// Takes what an error consists of in place of what it did.
    pub(super) fn set(&mut self, error: ErrorNumber, signature: &Signature) {
        let (block, column) = (error.index() / 64, error.index() % 64);
        while self.blocks.len() <= block {
            self.blocks.push(vec![0; ROWS].into());
        }
        let mask = !(1 << column);
        for (rows, bits) in self.blocks[block].chunks_exact_mut(64).zip(signature.0) {
            for (at, row) in rows.iter_mut().enumerate() {
                *row = (*row & mask) | (((bits >> at) & 1) << column);
            }
        }
    }

    /// Takes out the errors that cannot have `text`, of at least one byte, in their texts.
    pub(super) fn narrow(&self, text: &[u8], errors: &mut ErrorSet) {
        let pieces: Vec<_> = text.windows(text.len().min(3)).map(row).collect();
        let every = pieces.len().div_ceil(MOST_ASKED).max(1);
        let rows: Vec<_> = pieces.into_iter().step_by(every).collect();
        for (at, errors) in errors.words_mut().iter_mut().enumerate() {
            for row in &rows {
                if *errors == 0 {
                    break;
                }
                *errors &= self.blocks.get(at).map_or(0, |block| block[*row]);
            }
        }
    }

    /// What it takes in memory, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.blocks.len() * ROWS * size_of::<u64>()
            + self.blocks.capacity() * size_of::<Box<[u64]>>()
    }
}

/// The row of a piece of at most three bytes.
fn row(piece: &[u8]) -> usize {
    // The length is part of it.
    let number = piece.iter().fold(1_u32, |number, byte| (number << 8) | u32::from(*byte));
    (number.wrapping_mul(0x9e37_79b1) >> (u32::BITS - ROW_BITS)) as usize
}

#[cfg(test)]
mod tests {
    use super::*;

    fn signature(texts: &[&str]) -> Signature {
        Signature::of(texts.iter().map(|text| text.as_bytes()))
    }

    #[test]
    fn what_has_a_text_stays_and_most_others_go() {
        let mut grams = Grams::default();
        for error in 0..1000_u32 {
            grams.set(ErrorNumber(error), &signature(&[&format!("order {:08}", error * 7919)]));
        }
        let all: ErrorSet = (0..1000).map(ErrorNumber).collect();
        for error in 0..1000_u32 {
            let text = format!("order {:08}", error * 7919);
            for part in [&text[..], &text[5..], &text[4..7], &text[6..8], &text[..1]] {
                let mut left = all.clone();
                grams.narrow(part.as_bytes(), &mut left);
                assert!(left.contains(ErrorNumber(error)), "{part}");
                assert!(part.len() < 8 || left.len() < 100, "{part} leaves {}", left.len());
            }
        }
    }

    #[test]
    fn an_error_has_what_was_said_of_it_last() {
        let mut grams = Grams::default();
        grams.set(ErrorNumber(70), &signature(&["before"]));
        grams.set(ErrorNumber(71), &signature(&["before"]));
        grams.set(ErrorNumber(70), &signature(&["later"]));
        let mut left: ErrorSet =
            [ErrorNumber(70), ErrorNumber(71), ErrorNumber(7)].into_iter().collect();
        grams.narrow(b"before", &mut left);
        assert_eq!(left.iter().collect::<Vec<_>>(), [ErrorNumber(71)]);
    }
}
