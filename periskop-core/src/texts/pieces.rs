//! What is an occurrence's own, end to end in one piece of memory.
//!
//! Each piece has a head, which says how it is written and how long it is as a text. Identifiers are
//! written in half of their length: most of what occurrences have of their own are numbers, UUIDs and
//! the hexadecimal digits of a trace.

use std::borrow::Cow;
use std::cmp::Ordering;

/// What stands for an own word in the text around it. A text that has it itself is kept as it is.
pub(super) const SLOT: char = '\0';
pub(crate) const SLOT_BYTE: u8 = 0;

/// The pieces in the making: their heads, and they themselves.
#[derive(Default)]
pub(crate) struct Packing {
    heads: Vec<u8>,
    bytes: Vec<u8>,
}

/// How a piece is written.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
enum Form {
    /// As it is.
    #[default]
    Plain,
    /// Hexadecimal digits in lower case, two in a byte; decimal ones are among them.
    Lower,
    /// The same in upper case.
    Upper,
    /// A UUID in lower case, without its dashes.
    Uuid,
}

/// Shorter pieces are not worth it.
const SHORTEST: usize = 3;

const UUID: usize = 36;
const DASHES: [usize; 4] = [8, 13, 18, 23];

/// The first byte of a head: the form in its two highest bits, then whether more bytes of the length
/// follow, then the low bits of it. Of the others the highest bit says whether there are more.
const FORM: u32 = 6;
const FIRST_MORE: u8 = 1 << 5;
const FIRST_BITS: u32 = 5;
const MORE: u8 = 1 << 7;
const BITS: u32 = 7;

impl Form {
    fn of(piece: &str) -> Self {
        let bytes = piece.as_bytes();
        if bytes.len() < SHORTEST {
            return Self::Plain;
        }
        if bytes.len() == UUID && DASHES.iter().all(|at| bytes[*at] == b'-') {
            let is_uuid = bytes.iter().enumerate().all(|(at, byte)| {
                CASES[usize::from(*byte)] & LOWER != 0 || (*byte == b'-' && DASHES.contains(&at))
            });
            return if is_uuid { Self::Uuid } else { Self::Plain };
        }
        let mut cases = LOWER | UPPER;
        for byte in bytes {
            cases &= CASES[usize::from(*byte)];
            if cases == 0 {
                return Self::Plain;
            }
        }
        if cases & LOWER != 0 { Self::Lower } else { Self::Upper }
    }

    /// As how many bytes a text of this length is written.
    fn bytes(self, length: usize) -> usize {
        match self {
            Self::Plain => length,
            Self::Lower | Self::Upper => length.div_ceil(2),
            Self::Uuid => (UUID - DASHES.len()) / 2,
        }
    }

    fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Lower => 1,
            Self::Upper => 2,
            Self::Uuid => 3,
        }
    }

    fn of_code(code: u8) -> Self {
        match code {
            0 => Self::Plain,
            1 => Self::Lower,
            2 => Self::Upper,
            _ => Self::Uuid,
        }
    }
}

/// In which case a byte is a hexadecimal digit.
const CASES: [u8; 256] = {
    let mut cases = [0; 256];
    let mut byte = 0_u8;
    while byte < 128 {
        cases[byte as usize] = match byte {
            b'0'..=b'9' => LOWER | UPPER,
            b'a'..=b'f' => LOWER,
            b'A'..=b'F' => UPPER,
            _ => 0,
        };
        byte += 1;
    }
    cases
};
const LOWER: u8 = 1;
const UPPER: u8 = 2;

impl Packing {
    /// Forgets what was before, and begins with this one.
    pub(crate) fn begin(&mut self, first: &str) {
        self.heads.clear();
        self.bytes.clear();
        self.push(first);
    }

    pub(crate) fn push(&mut self, piece: &str) {
        let form = Form::of(piece);
        self.head(form, piece.len());
        match form {
            Form::Plain => self.bytes.extend_from_slice(piece.as_bytes()),
            Form::Lower | Form::Upper => self.digits(piece.bytes()),
            Form::Uuid => self.digits(piece.bytes().filter(|byte| *byte != b'-')),
        }
    }

    fn head(&mut self, form: Form, length: usize) {
        let low = |length: usize, bits: u32| length.to_le_bytes()[0] & ((1 << bits) - 1);
        let mut rest = length >> FIRST_BITS;
        let more = if rest > 0 { FIRST_MORE } else { 0 };
        self.heads.push((form.code() << FORM) | more | low(length, FIRST_BITS));
        while rest > 0 {
            let byte = low(rest, BITS);
            rest >>= BITS;
            self.heads.push(if rest > 0 { byte | MORE } else { byte });
        }
    }

    fn digits(&mut self, mut digits: impl Iterator<Item = u8>) {
        let value = |digit: u8| match digit {
            b'0'..=b'9' => digit - b'0',
            _ => (digit | 0x20) - b'a' + 10,
        };
        while let Some(high) = digits.next() {
            let low = digits.next().map_or(0, value);
            self.bytes.push((value(high) << 4) | low);
        }
    }

    /// All of it behind `mark`, in one piece of memory.
    pub(super) fn finish(&self, mark: u8) -> Box<[u8]> {
        // How long the heads are is told as a head tells a length.
        let mut length = Self::default();
        length.head(Form::Plain, self.heads.len());
        let mut all =
            Vec::with_capacity(1 + length.heads.len() + self.heads.len() + self.bytes.len());
        all.push(mark);
        all.extend_from_slice(&length.heads);
        all.extend_from_slice(&self.heads);
        all.extend_from_slice(&self.bytes);
        all.into()
    }
}

/// The pieces, in order.
#[derive(Clone, Copy)]
pub(crate) struct Pieces<'a> {
    heads: &'a [u8],
    bytes: &'a [u8],
}

/// A piece as it is held. In order they are as the texts are that they were.
#[derive(Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Piece<'a> {
    form: Form,
    /// Of the text, in bytes.
    length: usize,
    bytes: &'a [u8],
}

impl<'a> Pieces<'a> {
    /// Those that [`Packing::finish`] made.
    pub(super) fn of(all: &'a [u8]) -> Self {
        let mut rest = all.get(1..).unwrap_or_default();
        let length = next_head(&mut rest).map_or(0, |(_, length)| length);
        let (heads, bytes) = rest.split_at(length);
        Self { heads, bytes }
    }

    /// How many are left.
    pub(super) fn how_many(mut self) -> usize {
        let mut many = 0;
        while next_head(&mut self.heads).is_some() {
            many += 1;
        }
        many
    }

    /// The next text: as it is, or as `like` with the next pieces in its slots.
    pub(super) fn text(&mut self, like: Option<&'a str>) -> Cow<'a, str> {
        let Some(like) = like else { return self.next().map(Piece::text).unwrap_or_default() };
        let mut around = like.split(SLOT);
        let first = around.next().unwrap_or_default();
        if first.len() == like.len() {
            return like.into();
        }
        let mut text = String::with_capacity(like.len() + 32);
        text.push_str(first);
        for part in around {
            if let Some(piece) = self.next() {
                piece.push_to(&mut text);
            }
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
    type Item = Piece<'a>;

    fn next(&mut self) -> Option<Piece<'a>> {
        let (form, length) = next_head(&mut self.heads)?;
        let (bytes, rest) = self.bytes.split_at(form.bytes(length));
        self.bytes = rest;
        Some(Piece { form, length, bytes })
    }
}

fn next_head(heads: &mut &[u8]) -> Option<(Form, usize)> {
    let (first, mut rest) = heads.split_first()?;
    let mut length = usize::from(first & (FIRST_MORE - 1));
    let (mut more, mut shift) = (first & FIRST_MORE != 0, FIRST_BITS);
    while more {
        let byte;
        (byte, rest) = rest.split_first()?;
        length |= usize::from(byte & (MORE - 1)) << shift;
        shift += BITS;
        more = byte & MORE != 0;
    }
    *heads = rest;
    Some((Form::of_code(first >> FORM), length))
}

impl<'a> Piece<'a> {
    /// As the text that it was.
    pub(crate) fn text(self) -> Cow<'a, str> {
        match self.form {
            Form::Plain => self.plain().into(),
            _ => self.written().map(char::from).collect::<String>().into(),
        }
    }

    /// Appends it to a text.
    fn push_to(self, text: &mut String) {
        match self.form {
            Form::Plain => text.push_str(self.plain()),
            _ => text.extend(self.written().map(char::from)),
        }
    }

    /// Appends its bytes.
    pub(crate) fn extend(self, bytes: &mut Vec<u8>) {
        match self.form {
            Form::Plain => bytes.extend_from_slice(self.bytes),
            _ => bytes.extend(self.written()),
        }
    }

    /// Whether it was this text.
    pub(crate) fn is(self, text: &str) -> bool {
        self.length == text.len() && self.cmp_text(text).is_eq()
    }

    /// Compares it with a text.
    pub(crate) fn cmp_text(self, text: &str) -> Ordering {
        self.written().cmp(text.bytes())
    }

    fn plain(self) -> &'a str {
        std::str::from_utf8(self.bytes).expect("it was written from a text")
    }

    /// The bytes of the text.
    fn written(self) -> impl Iterator<Item = u8> + 'a {
        (0..self.length).map(move |at| match self.form {
            Form::Plain => self.bytes[at],
            Form::Lower => self.digit(b"0123456789abcdef", at),
            Form::Upper => self.digit(b"0123456789ABCDEF", at),
            Form::Uuid if DASHES.contains(&at) => b'-',
            Form::Uuid => {
                let dashes = DASHES.iter().filter(|dash| **dash < at).count();
                self.digit(b"0123456789abcdef", at - dashes)
            }
        })
    }

    fn digit(self, digits: &[u8; 16], at: usize) -> u8 {
        let both = self.bytes[at / 2];
        digits[usize::from(if at.is_multiple_of(2) { both >> 4 } else { both & 0xf })]
    }
}

impl Ord for Piece<'_> {
    fn cmp(&self, other: &Self) -> Ordering {
        match (self.form, other.form) {
            (Form::Plain, Form::Plain) | (Form::Uuid, Form::Uuid) => self.bytes.cmp(other.bytes),
            _ => self.written().cmp(other.written()),
        }
    }
}

impl PartialOrd for Piece<'_> {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn packed(pieces: &[String]) -> Box<[u8]> {
        let mut packing = Packing::default();
        packing.begin("before");
        packing.begin(&pieces[0]);
        pieces[1..].iter().for_each(|piece| packing.push(piece));
        packing.finish(7)
    }

    fn read(all: &[u8]) -> Vec<String> {
        Pieces::of(all).map(|piece| piece.text().into_owned()).collect()
    }

    #[test]
    fn pieces_come_out_as_they_went_in_whatever_their_length() {
        for of in ["ü", "0", "f", "F"] {
            let pieces = [0, 1, 31, 32, 36, 4095, 4096, 300_000].map(|length| of.repeat(length));
            let all = packed(&pieces);
            assert_eq!((all[0], Pieces::of(&all).how_many()), (7, pieces.len()));
            assert_eq!(read(&all), pieces);
        }
    }

    proptest! {
        #[test]
        fn pieces_come_out_as_they_went_in_whatever_they_look_like(
            pieces in prop::collection::vec(
                prop_oneof![
                    "[0-9]{0,9}", "[0-9a-f]{0,9}", "[0-9A-F]{0,9}", "[0-9a-fA-F]{0,9}", "\\PC{0,9}",
                    "[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", "[0-9A-F]{8}(-[0-9A-F]{4}){3}-[0-9A-F]{12}",
                    "[0-9a-f]{8}-[0-9a-f-]{14}-[0-9a-f]{12}", "[0-9a-fg-]{36}",
                ],
                1..9,
            ),
        ) {
            let all = packed(&pieces);
            prop_assert_eq!(&read(&all), &pieces);
            for (piece, text) in Pieces::of(&all).zip(&pieces) {
                let mut bytes = b"before".to_vec();
                piece.extend(&mut bytes);
                prop_assert_eq!(&bytes[6..], text.as_bytes());
                for (other, text_of_other) in Pieces::of(&all).zip(&pieces) {
                    prop_assert_eq!(piece.cmp(&other), text.cmp(text_of_other));
                    prop_assert_eq!(piece == other, text == text_of_other);
                    prop_assert_eq!(piece.is(text_of_other), text == text_of_other);
                }
            }
        }
    }

    #[test]
    fn identifiers_take_half_of_their_length() {
        let length = |piece: &str| packed(&[String::new(), piece.to_owned()]).len();
        let of_none = length("");
        for (piece, bytes) in [
            ("12", 2),
            ("123", 2),
            ("4711", 2),
            ("47110", 3),
            ("00000000000000000000000007377079", 16),
            ("00BEEF", 3),
            ("00Beef", 6),
            ("332941f7-cd78-471b-a237-3985e3e9b76d", 16),
            ("2026-11-28", 10),
        ] {
            let more = usize::from(piece.len() >> FIRST_BITS > 0);
            assert_eq!(length(piece) - of_none, bytes + more, "{piece}");
        }
    }

    #[test]
    fn pieces_stand_in_the_slots_of_what_is_around_them() {
        let all = packed(&["whole", "1", "2222"].map(str::to_owned));
        let mut pieces = Pieces::of(&all);
        assert_eq!(pieces.text(None), "whole");
        assert_eq!(pieces.text(Some("nothing in it")), "nothing in it");
        let mut skipping = pieces;
        assert_eq!(pieces.text(Some("a \0, b \0")), "a 1, b 2222");
        skipping.step_over(Some("a \0"));
        assert_eq!(skipping.text(Some("\0")), "2222");
    }
}
