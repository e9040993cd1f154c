//! What is an occurrence's own, end to end in one piece of memory.

use std::borrow::Cow;

/// What stands for an own word in the text around it. A text that has it itself is kept as it is.
pub(super) const SLOT: char = '\0';
pub(crate) const SLOT_BYTE: u8 = 0;

/// The pieces in the making: their lengths, and they themselves.
#[derive(Default)]
pub(crate) struct Packing {
    lengths: String,
    text: String,
}

/// How many bits of a length a character holds, and what marks that there are more: all of them
/// ASCII, so that lengths and pieces are one text.
const BITS: u32 = 6;
const MORE: u8 = 1 << BITS;

impl Packing {
    pub(crate) fn push(&mut self, piece: &str) {
        let mut length = piece.len();
        loop {
            let low = length.to_le_bytes()[0] & (MORE - 1);
            length >>= BITS;
            self.lengths.push(char::from(if length > 0 { low | MORE } else { low }));
            if length == 0 {
                break;
            }
        }
        self.text.push_str(piece);
    }

    /// Both as one text, and where the pieces begin.
    pub(super) fn finish(&self) -> (Box<str>, u32) {
        let mut both = String::with_capacity(self.lengths.len() + self.text.len());
        both.push_str(&self.lengths);
        both.push_str(&self.text);
        let start = u32::try_from(self.lengths.len()).expect("a payload is smaller than that");
        (both.into(), start)
    }

    /// To be used again.
    pub(crate) fn clear(&mut self) {
        self.lengths.clear();
        self.text.clear();
    }
}

/// The pieces, in order.
#[derive(Clone, Copy)]
pub(crate) struct Pieces<'a> {
    lengths: &'a [u8],
    text: &'a str,
}

impl<'a> Pieces<'a> {
    /// Those of a text that [`Packing::finish`] made.
    pub(super) fn of(both: &'a str, start: u32) -> Self {
        let (lengths, text) = both.split_at(start as usize);
        Self { lengths: lengths.as_bytes(), text }
    }

    /// How many are left.
    pub(super) fn how_many(self) -> usize {
        self.lengths.iter().filter(|byte| **byte & MORE == 0).count()
    }

    /// The next text: as it is, or as `like` with the next pieces in its slots.
    pub(super) fn text(&mut self, like: Option<&'a str>) -> Cow<'a, str> {
        let Some(like) = like else { return self.next().unwrap_or_default().into() };
        let mut around = like.split(SLOT);
        let first = around.next().unwrap_or_default();
        if first.len() == like.len() {
            return like.into();
        }
        let mut text = String::with_capacity(like.len() + 32);
        text.push_str(first);
        for part in around {
            text.push_str(self.next().unwrap_or_default());
            text.push_str(part);
        }
        text.into()
    }

    /// Steps over what [`Self::text`] would take.
    pub(super) fn step_over(&mut self, like: Option<&str>) {
        let count = like.map_or(1, |like| memchr::memchr_iter(SLOT_BYTE, like.as_bytes()).count());
        if let Some(last) = count.checked_sub(1) {
            self.nth(last);
        }
    }
}

impl<'a> Iterator for Pieces<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        let mut length = 0_usize;
        let mut shift = 0;
        loop {
            let (byte, rest) = self.lengths.split_first()?;
            self.lengths = rest;
            length |= usize::from(byte & (MORE - 1)) << shift;
            shift += BITS;
            if byte & MORE == 0 {
                break;
            }
        }
        let (piece, rest) = self.text.split_at(length);
        self.text = rest;
        Some(piece)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_come_out_as_they_went_in_whatever_their_length() {
        let mut packing = Packing::default();
        let pieces = [0, 1, 63, 64, 4095, 4096, 300_000].map(|length| "ü".repeat(length));
        for _ in 0..2 {
            packing.clear();
            pieces.iter().for_each(|piece| packing.push(piece));
            let (both, start) = packing.finish();
            assert!(Pieces::of(&both, start).eq(pieces.iter().map(String::as_str)));
        }
    }

    #[test]
    fn pieces_stand_in_the_slots_of_what_is_around_them() {
        let mut packing = Packing::default();
        ["whole", "1", "2"].iter().for_each(|piece| packing.push(piece));
        let (both, start) = packing.finish();
        let mut pieces = Pieces::of(&both, start);
        assert_eq!(pieces.text(None), "whole");
        assert_eq!(pieces.text(Some("nothing in it")), "nothing in it");
        let mut skipping = pieces;
        assert_eq!(pieces.text(Some("a \0, b \0")), "a 1, b 2");
        skipping.step_over(Some("a \0"));
        assert_eq!(skipping.text(Some("\0")), "2");
    }
}
