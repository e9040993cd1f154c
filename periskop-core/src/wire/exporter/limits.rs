//! How much of a payload is kept, and what a text looks like that had to be cut.

use std::borrow::Cow;

use super::reader::{Reader, Sink, SyntaxError};
use super::text::Text;

/// What one payload may cost. Lengths are bytes of decoded UTF-8.
///
/// Texts, stacks and chains of causes beyond a limit are cut, which they show with a visible mark;
/// an occurrence, header or incarnation too many is left out with a warning; a payload beyond one
/// of its own limits is refused. Cutting twice changes nothing more, so that what goes from server
/// to server with the same limits stays the same. A text's limit below 64 is taken as 64, so that
/// the mark has room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The whole payload, decompressed. 64 MiB: the largest that fleets of the Go client are known
    /// to answer is 4 MB; a server or gateway that exports everything has room for 1,000 errors.
    pub payload_length: usize,
    /// What the parsed report may take in memory, roughly. 128 MiB, about twice what text of that
    /// size needs: without it a payload of nothing but `{}` costs a hundred times its length.
    pub memory: usize,
    /// Errors in one payload. 100,000, what a whole server is designed for.
    pub errors: usize,
    /// Occurrences per error; the first ones count. 100: no server keeps more, clients keep 10.
    pub occurrences: usize,
    /// Lifetimes of exporters per error. 100,000, what a server keeps.
    pub incarnations: usize,
    /// Frames per stack. 1,000: the JVM stops at 1,024 itself, and a stack overflow repeats itself.
    pub frames: usize,
    /// One frame, and the class of an exception. 8 KiB: generated names are long, but not longer.
    pub frame_length: usize,
    /// Exceptions in a chain: the one that was caught and its causes. 100; never less than 64.
    pub causes: usize,
    /// A message. 64 KiB: some libraries put a whole response into it.
    pub message_length: usize,
    /// Headers per request. 200: web servers stop at 100.
    pub headers: usize,
    /// One header's value, the URL and the method. 16 KiB: web servers stop at 8 or 16 KiB.
    pub header_length: usize,
    /// A request's body. 64 KiB: enough to see what was sent, not enough to be an archive of it.
    pub body_length: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            payload_length: 64 << 20,
            memory: 128 << 20,
            errors: 100_000,
            occurrences: 100,
            incarnations: 100_000,
            frames: 1_000,
            frame_length: 8 << 10,
            causes: 100,
            message_length: 64 << 10,
            headers: 200,
            header_length: 16 << 10,
            body_length: 64 << 10,
        }
    }
}

impl Limits {
    /// No limit at all, for payloads that are known to be harmless.
    pub fn none() -> Self {
        Self {
            payload_length: usize::MAX,
            memory: usize::MAX,
            errors: usize::MAX,
            occurrences: usize::MAX,
            incarnations: usize::MAX,
            frames: usize::MAX,
            // Room for the arithmetic of cutting.
            frame_length: usize::MAX / 2,
            causes: usize::MAX,
            message_length: usize::MAX / 2,
            headers: usize::MAX,
            header_length: usize::MAX / 2,
            body_length: usize::MAX / 2,
        }
    }

    /// The limit on exceptions that holds.
    pub(super) fn depth(&self) -> usize {
        self.causes.max(64)
    }
}

/// The longest name of a header; a longer one is none.
pub(super) const HEADER_NAME_LENGTH: usize = 256;

/// The mark of something cut.
pub(super) fn mark(left_out: usize, of_what: &str) -> String {
    format!("… (truncated, {left_out} {of_what})")
}

/// What [`mark`] needs at most.
const MARK_ROOM: usize = 48;
const SHORTEST_LIMIT: usize = 64;

/// The first part of a text whose length is not known to be bounded.
pub(super) struct Excerpt<'a> {
    text: Cow<'a, str>,
    left_out: usize,
}

impl<'a> Excerpt<'a> {
    pub(super) fn of(text: Text<'a>, limit: usize) -> Self {
        let limit = limit.max(SHORTEST_LIMIT);
        let decoded = text.decode_about(limit);
        if decoded.len() <= limit {
            return Self { text: decoded, left_out: 0 };
        }
        Self::cut(decoded, limit, text.raw().len())
    }

    /// The compact JSON text of the next value.
    pub(super) fn of_compact_json(
        reader: &mut Reader<'a>,
        limit: usize,
    ) -> Result<Self, SyntaxError> {
        let limit = limit.max(SHORTEST_LIMIT);
        let mut compact = CompactJson { text: String::new(), length: 0, limit };
        reader.walk(&mut compact)?;
        if compact.text.len() <= limit {
            return Ok(Self { text: Cow::Owned(compact.text), left_out: 0 });
        }
        Ok(Self::cut(Cow::Owned(compact.text), limit, compact.length))
    }

    /// The text as it is kept: masked, and marked if it was cut. A mask may make it longer, so it
    /// may have to be cut once more.
    pub(super) fn masked(self, limit: usize, mask: impl Fn(&str) -> Cow<'_, str>) -> String {
        let masked = match mask(&self.text) {
            // The mask itself is borrowed too.
            Cow::Borrowed(text) if *text == *self.text => None,
            masked => Some(masked.into_owned()),
        };
        let text = masked.unwrap_or_else(|| self.text.into_owned());
        let limit = limit.max(SHORTEST_LIMIT);
        let mut cut = Self { text: Cow::Owned(text), left_out: self.left_out };
        let room = if cut.left_out > 0 { limit - MARK_ROOM } else { limit };
        if cut.text.len() > room {
            let length = cut.text.len() + cut.left_out;
            cut = Self::cut(cut.text, limit, length);
        }
        let mut text = cut.text.into_owned();
        if cut.left_out > 0 {
            text.push_str(&mark(cut.left_out, "bytes"));
        }
        text
    }

    /// The text as it is kept where nothing in it is masked.
    pub(super) fn plain(self) -> String {
        let mut text = self.text.into_owned();
        if self.left_out > 0 {
            text.push_str(&mark(self.left_out, "bytes"));
        }
        text
    }

    /// Keeps what leaves room for the mark. What was left out is told in bytes of the source.
    fn cut(text: Cow<'a, str>, limit: usize, length: usize) -> Self {
        let longest = limit - MARK_ROOM;
        let end = (0..=longest).rev().find(|i| text.is_char_boundary(*i)).unwrap_or(0);
        let text = match text {
            Cow::Borrowed(text) => Cow::Borrowed(&text[..end]),
            Cow::Owned(mut text) => {
                text.truncate(end);
                Cow::Owned(text)
            }
        };
        Self { text, left_out: length.saturating_sub(end).max(1) }
    }
}

/// Collects a value as JSON without white space, up to somewhat more than a limit.
struct CompactJson {
    text: String,
    length: usize,
    limit: usize,
}

impl CompactJson {
    fn push(&mut self, piece: &str) {
        self.length += piece.len();
        if self.text.len() <= self.limit {
            self.text.push_str(piece);
        }
    }
}

impl Sink for CompactJson {
    fn punctuation(&mut self, byte: u8) {
        self.push(char::from(byte).encode_utf8(&mut [0; 4]));
    }

    fn string(&mut self, text: Text<'_>) {
        if self.text.len() > self.limit {
            self.length += text.raw().len() + 2;
            return;
        }
        let decoded = text.decode_about(self.limit);
        // Serialising a str into memory cannot fail.
        self.push(&serde_json::to_string(&decoded).unwrap_or_default());
    }

    fn bare(&mut self, text: &[u8]) {
        if self.text.len() > self.limit {
            self.length += text.len();
            return;
        }
        self.push(&String::from_utf8_lossy(&text[..text.len().min(self.limit + 4)]));
    }
}
