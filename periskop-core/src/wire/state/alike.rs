//! Documents that are like one that was read a moment ago, as most of an error's are: they are
//! compared with it, and only what is their own is read.
//!
//! A million occurrences are a gigabyte of documents, nine tenths of which say once more what the
//! document before has said. What may differ is what [`own_words`] tells, the name and the time;
//! everything else has to be the same byte for byte, whatever spaces or order of members a database
//! gives its documents.

use std::ops::Range;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::value::RawValue;

use super::text::MARK;
use crate::ids::bounded;
use crate::occurrence::Occurrence;
use crate::own_words::{is_part, own_words};
use crate::texts::{LONGEST_TEMPLATE, MOST_SLOTS, OwnPieces, Packing, Piece};
use crate::time::Timestamp;

/// A document, and where in it stands what others may have otherwise.
pub(super) struct Pattern {
    document: String,
    /// In the order of the document.
    holes: Vec<Hole>,
    /// How many of them are pieces.
    pieces: usize,
}

struct Hole {
    at: Range<usize>,
    kind: Kind,
}

/// What stands in a hole. Pieces are numbered in the order in which they are packed.
#[derive(Clone, Copy)]
enum Kind {
    Name,
    Time,
    /// A text too long to be taken apart.
    Text {
        piece: usize,
    },
    /// A word with a digit in it; the first one of its text knows how long what is around all of
    /// them is.
    Word {
        piece: usize,
        around: Option<usize>,
    },
}

/// More pieces than this are not told apart.
const MOST_PIECES: usize = 128;

/// Where a text stands that may be an occurrence's own.
#[derive(Deserialize)]
struct Places<'a> {
    #[serde(borrow)]
    uuid: &'a RawValue,
    #[serde(borrow)]
    timestamp: &'a RawValue,
    #[serde(borrow)]
    exceptions: Vec<OfException<'a>>,
    #[serde(borrow)]
    http: Option<OfHttp<'a>>,
}

#[derive(Deserialize)]
struct OfException<'a> {
    #[serde(borrow)]
    message: Option<&'a RawValue>,
}

#[derive(Deserialize)]
struct OfHttp<'a> {
    #[serde(borrow)]
    url: Option<&'a RawValue>,
    #[serde(borrow)]
    headers: Vec<(IgnoredAny, &'a RawValue)>,
    #[serde(borrow)]
    body: Option<&'a RawValue>,
}

impl Pattern {
    /// What others like this document are compared with. `None` if it cannot be read, or has
    /// something in it that is not in memory what it is in JSON.
    pub(super) fn of(document: &str) -> Option<Self> {
        if document.contains(MARK) || document.contains("\\u") {
            return None;
        }
        let places: Places<'_> = serde_json::from_str(document).ok()?;
        let mut digging = Digging { document, holes: Vec::new(), pieces: 1 };
        digging.hole(digging.inside(places.uuid)?, Kind::Name);
        for message in places.exceptions.iter().filter_map(|of| of.message) {
            digging.text(message)?;
        }
        if let Some(http) = places.http {
            let values = http.headers.into_iter().map(|(_, value)| value);
            for text in http.url.into_iter().chain(values).chain(http.body) {
                digging.text(text)?;
            }
        }
        if places.timestamp.get() != "null" {
            digging.hole(digging.place(places.timestamp), Kind::Time);
        }
        let Digging { mut holes, pieces, .. } = digging;
        holes.sort_unstable_by_key(|hole| hole.at.start);
        (pieces <= MOST_PIECES).then(|| Self { document: document.to_owned(), holes, pieces })
    }

    /// Reads a document if it is like this one: puts its name and its pieces into `packing`, and
    /// tells its time. That it is may be missed, never mistaken.
    pub(super) fn read(&self, document: &str, packing: &mut Packing) -> Option<Option<Timestamp>> {
        let mut pieces = [""; MOST_PIECES];
        let (mut rest, mut from, mut time, mut length) = (document, 0, None, 0);
        for Hole { at, kind } in &self.holes {
            rest = rest.strip_prefix(&self.document[from..at.start])?;
            from = at.end;
            let end = match kind {
                Kind::Word { .. } => rest.bytes().position(|byte| !is_part(byte))?,
                Kind::Time => rest.bytes().position(|byte| !matches!(byte, b'-' | b'0'..=b'9'))?,
                Kind::Name | Kind::Text { .. } => memchr::memchr2(b'"', b'\\', rest.as_bytes())?,
            };
            let own;
            (own, rest) = rest.split_at(end);
            match *kind {
                Kind::Word { piece, around } => {
                    // JSON is never shorter than what it says.
                    length = around.unwrap_or(length) + own.len();
                    if length > LONGEST_TEMPLATE || !own.bytes().any(|byte| byte.is_ascii_digit()) {
                        return None;
                    }
                    pieces[piece] = own;
                }
                Kind::Name if is_plain(own) => pieces[0] = own,
                Kind::Text { piece } if is_plain(own) && own.len() > LONGEST_TEMPLATE => {
                    pieces[piece] = own;
                }
                Kind::Time => time = Some(number(own)?),
                Kind::Name | Kind::Text { .. } => return None,
            }
        }
        if rest != &self.document[from..] {
            return None;
        }
        packing.begin(&bounded(pieces[0]));
        pieces[1..self.pieces].iter().for_each(|piece| packing.push(piece));
        Some(time)
    }
}

/// Finds what a document has of its own.
struct Digging<'a> {
    document: &'a str,
    holes: Vec<Hole>,
    /// How many of them are pieces; the name is the first.
    pieces: usize,
}

impl Digging<'_> {
    fn hole(&mut self, at: Range<usize>, kind: Kind) {
        self.holes.push(Hole { at, kind });
    }

    fn text(&mut self, text: &RawValue) -> Option<()> {
        let at = self.inside(text)?;
        let inside = &self.document[at.clone()];
        if inside.len() > LONGEST_TEMPLATE {
            if inside.contains('\\') {
                // It may be shorter than that once it is read.
                return None;
            }
            self.hole(at, Kind::Text { piece: self.pieces });
            self.pieces += 1;
            return Some(());
        }
        let words = words(inside);
        let mut around = Some(inside.len() - words.iter().map(Range::len).sum::<usize>());
        for word in &words {
            let word = at.start + word.start..at.start + word.end;
            self.hole(word, Kind::Word { piece: self.pieces, around: around.take() });
            self.pieces += 1;
        }
        (words.len() <= MOST_SLOTS).then_some(())
    }

    /// Where a value stands, which was read from this document.
    fn place(&self, value: &RawValue) -> Range<usize> {
        let start = value.get().as_ptr().addr() - self.document.as_ptr().addr();
        start..start + value.get().len()
    }

    /// Where what a string says stands.
    fn inside(&self, string: &RawValue) -> Option<Range<usize>> {
        let at = self.place(string);
        self.document[at.clone()].starts_with('"').then(|| at.start + 1..at.end - 1)
    }
}

/// The words with a digit in what stands between the quotes of a string. Escapes stand between
/// words: those of letters, digits, `-` and `_` begin with `\\u`, and are not asked for.
fn words(inside: &str) -> Vec<Range<usize>> {
    let bytes = inside.as_bytes();
    let (mut words, mut from) = (Vec::new(), 0);
    while from < bytes.len() {
        let end = memchr::memchr(b'\\', &bytes[from..]).map_or(bytes.len(), |at| from + at);
        words.extend(own_words(&bytes[from..end]).map(|at| from + at.start..from + at.end));
        from = end + 2;
    }
    words
}

/// Whether what stands in a string without escapes is what it says.
fn is_plain(inside: &str) -> bool {
    !inside.contains(MARK) && !inside.bytes().any(|byte| byte < b' ')
}

/// A number as JSON has it.
fn number(text: &str) -> Option<Timestamp> {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let is_json = !digits.starts_with('0') || text == "0";
    text.parse().ok().filter(|_| is_json).map(Timestamp::from_micros)
}

/// The occurrence whose pieces these are, where `like` is one that its document is like.
pub(super) fn restored(like: &Occurrence, own: &OwnPieces) -> Occurrence {
    let mut occurrence = like.clone();
    let mut pieces = own.pieces();
    let mut next = || pieces.next().map(Piece::text).unwrap_or_default();
    occurrence.name = next().into_owned();
    let http = occurrence.http.iter_mut().flat_map(|http| {
        let values = http.headers.iter_mut().map(|(_, value)| value);
        http.url.iter_mut().chain(values).chain(&mut http.body)
    });
    for text in occurrence.exceptions.iter_mut().filter_map(|e| e.message.as_mut()).chain(http) {
        if text.len() > LONGEST_TEMPLATE {
            *text = next().into_owned();
            continue;
        }
        let (mut said, mut from) = (String::with_capacity(text.len()), 0);
        for word in own_words(text.as_bytes()) {
            said.push_str(&text[from..word.start]);
            said.push_str(&next());
            from = word.end;
        }
        said.push_str(&text[from..]);
        *text = said;
    }
    occurrence.time = own.reported_time();
    occurrence
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::occurrence::{ContentHash, Exception, HttpContext, Severity};
    use crate::testing::jvm::Payloads;
    use crate::texts::Texts;
    use crate::wire::state::Documents;

    const NOW: Timestamp = Timestamp::from_micros(1_790_000_000_000_000);

    fn document(occurrence: &Occurrence) -> String {
        let kept = Texts::default().pack(occurrence, NOW, true);
        Documents::new().occurrence(kept.view()).0
    }

    /// What is read of `document` by comparing it with that of `like`.
    fn read(pattern: &Pattern, like: &Occurrence, document: &str) -> Option<Occurrence> {
        let mut packing = Packing::default();
        let reported = pattern.read(document, &mut packing)?;
        Some(restored(like, &OwnPieces::of(&mut packing, reported, NOW)))
    }

    /// The same document as a database may give it back: with spaces, its members in another order.
    fn in_another_form(document: &str) -> String {
        let value: serde_json::Value = serde_json::from_str(document).unwrap();
        serde_json::to_string_pretty(&value).unwrap()
    }

    #[test]
    fn occurrences_of_one_error_are_like_the_first() {
        for error in Payloads::new().report(0, NOW).errors {
            let (first, rest) = error.occurrences.split_first().unwrap();
            for form in [str::to_owned, in_another_form] {
                let pattern = Pattern::of(&form(&document(first))).unwrap();
                for occurrence in rest {
                    let read = read(&pattern, first, &form(&document(occurrence))).unwrap();
                    assert_eq!((read.name, read.time), (occurrence.name.clone(), occurrence.time));
                    assert_eq!(read.http, occurrence.http);
                    for (read, exception) in read.exceptions.iter().zip(&occurrence.exceptions) {
                        assert_eq!(read.message, exception.message);
                    }
                }
            }
        }
    }

    fn text() -> impl Strategy<Value = String> {
        let long = LONGEST_TEMPLATE - 3..LONGEST_TEMPLATE + 3;
        prop_oneof![
            8 => r#"[ab12 "\\/n]{0,2}([ "\\\nü-]?[a1]{1,2}){0,2}"#,
            1 => "[a1]{0,2}[\0\u{1}\u{2400}0]{0,2}",
            1 => (long, "[a1]").prop_map(|(length, of)| of.repeat(length)),
        ]
    }

    fn occurrence() -> impl Strategy<Value = Occurrence> {
        let time = prop::option::of(-9..9_i64);
        let parts = (prop::option::of(text()), prop::option::of(text()), text());
        (text(), time, prop::option::of(text()), parts).prop_map(
            |(name, time, message, (url, body, value))| Occurrence {
                content: ContentHash([0; 16]),
                name: bounded(&name).into_owned(),
                time: time.map(Timestamp::from_micros),
                severity: Severity::Error,
                exceptions: vec![Exception { class: None, message, stacktrace: vec![] }],
                http: url.map(|url| HttpContext {
                    method: None,
                    url: Some(url),
                    headers: vec![("N".into(), value)],
                    body,
                }),
            },
        )
    }

    proptest! {
        #[test]
        fn what_is_read_by_comparing_is_what_was_written(
            all in prop::collection::vec(occurrence(), 2..6),
        ) {
            for form in [str::to_owned, in_another_form] {
                for first in &all {
                    let Some(pattern) = Pattern::of(&form(&document(first))) else { continue };
                    for occurrence in &all {
                        if let Some(read) = read(&pattern, first, &form(&document(occurrence))) {
                            prop_assert_eq!(&read, occurrence);
                        }
                    }
                }
            }
        }

        #[test]
        fn a_document_that_was_meddled_with_is_not_taken_for_another(
            from in 0..400_usize, with in r#"["\\,:{}0-9a\x01-]{0,3}"#, to in 0..3_usize,
        ) {
            let error = &Payloads::new().report(0, NOW).errors[0];
            let pattern = Pattern::of(&document(&error.occurrences[0])).unwrap();
            let mut meddled = document(&error.occurrences[1]);
            meddled.replace_range(from..from + to, &with);
            let mut packing = Packing::default();
            if pattern.read(&meddled, &mut packing).is_some() {
                let other: Result<serde_json::Value, _> = serde_json::from_str(&meddled);
                prop_assert!(other.is_ok(), "{}", meddled);
            }
        }
    }
}
