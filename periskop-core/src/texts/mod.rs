//! What kept occurrences cost in memory is decided here and nowhere else.
//!
//! An occurrence is packed into what repeats and what does not. Class names, frames, stacks,
//! methods and header names repeat over thousands of occurrences, and so do messages, URLs and
//! header values but for the numbers and identifiers in them: all of that is a shape, which is
//! held once, as is every text and stack in it. What is left, the own words, lies end to end in one
//! text per occurrence. The rest of the crate sees [`Kept`], a handle as cheap to clone as a pointer,
//! and borrowed views, which put words and shape together again.

mod interned;
mod own;
mod pieces;
mod resembling;
mod shape;

use std::borrow::Cow;
use std::cmp::Ordering;
use std::sync::Arc;

use memchr::memchr_iter;

pub(crate) use self::interned::{LONGEST_TEMPLATE, MOST_SLOTS, Stacks, Texts};
use self::own::Mark;
pub(crate) use self::own::OwnPieces;
use self::pieces::Pieces;
pub(crate) use self::pieces::{Packing, Piece, SLOT_BYTE};
use self::shape::{HttpShape, Like, Shape, Text};
use crate::occurrence::{ContentHash, Occurrence, Severity};
use crate::time::Timestamp;
use crate::wire::state::Documents;

/// An occurrence that is kept: immutable, cheap to clone.
#[derive(Clone)]
pub struct Kept(Arc<Packed>);

struct Packed {
    /// Orders occurrences: their usable time, else what stands in for it.
    time: Timestamp,
    content: ContentHash,
    shape: Arc<Shape>,
    /// The [`Mark`], the name, then what is its own of messages, URL, header values and body, in that
    /// order.
    own: Box<[u8]>,
}

impl Packed {
    fn new(
        own: OwnPieces,
        content: ContentHash,
        shape: Arc<Shape>,
        severity: Severity,
        usable: bool,
    ) -> Self {
        let OwnPieces { time, mut own } = own;
        Mark::complete(&mut own, severity, usable);
        Self { time, content, shape, own }
    }

    fn mark(&self) -> Mark {
        Mark::of(&self.own)
    }
}

impl Kept {
    /// Orders occurrences of one error: the usable time, else `created_at`, else the epoch.
    pub(crate) fn time(&self) -> Timestamp {
        self.0.time
    }

    pub(crate) fn name(&self) -> Piece<'_> {
        self.view().pieces().next().unwrap_or_default()
    }

    pub(crate) fn content(&self) -> ContentHash {
        self.0.content
    }

    /// One that is the same but for what is its own, and of this content. `Err` if this one has
    /// something of its own that is shared meanwhile.
    pub(crate) fn with_own(&self, own: OwnPieces, content: ContentHash) -> Result<Self, OwnPieces> {
        let (shape, mark) = (&self.0.shape, self.0.mark());
        if mark.reported().texts(self.view().pieces()) != own.texts() {
            return Err(own);
        }
        let (severity, is_usable) = (mark.severity(), mark.is_usable());
        Ok(Self(Arc::new(Packed::new(own, content, shape.clone(), severity, is_usable))))
    }

    /// To look at it.
    pub fn view(&self) -> OccurrenceView<'_> {
        OccurrenceView(&self.0)
    }

    /// Decides between two occurrences of the same name: the greater time, then the greater
    /// content hash; then, where two observers redact the same bytes differently, the greater
    /// document, which a store can compare as well.
    pub(crate) fn rank(&self, other: &Self) -> Ordering {
        let (a, b) = (&*self.0, &*other.0);
        (a.time, a.content).cmp(&(b.time, b.content)).then_with(|| {
            if self == other {
                return Ordering::Equal;
            }
            let document = |kept: &Self| Documents::new().occurrence(kept.view()).0;
            document(self).cmp(&document(other))
        })
    }
}

impl PartialEq for Kept {
    fn eq(&self, other: &Self) -> bool {
        let (a, b) = (&*self.0, &*other.0);
        Arc::ptr_eq(&self.0, &other.0)
            || ((a.time, a.content) == (b.time, b.content)
                && a.mark() == b.mark()
                && match Arc::ptr_eq(&a.shape, &b.shape) {
                    true => a.own == b.own,
                    // The same may have been packed in two ways.
                    false => self.view().to_occurrence() == other.view().to_occurrence(),
                })
    }
}

impl Eq for Kept {}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kept").field(&self.view().name()).field(&self.0.time).finish()
    }
}

/// One occurrence, borrowed.
#[derive(Clone, Copy)]
pub struct OccurrenceView<'a>(&'a Packed);

impl<'a> OccurrenceView<'a> {
    /// The uuid, or `hash:` and a hash of the content.
    pub fn name(self) -> Cow<'a, str> {
        self.pieces().next().map(Piece::text).unwrap_or_default()
    }

    /// When it happened; `None` if no usable time is known.
    pub fn time(self) -> Option<Timestamp> {
        self.0.mark().is_usable().then_some(self.0.time)
    }

    /// The time as it came, usable or not.
    pub fn reported_time(self) -> Option<Timestamp> {
        self.0.mark().reported().time(self.0.time, self.pieces())
    }

    /// Its own severity, else that of its aggregate.
    pub fn severity(self) -> Severity {
        self.0.mark().severity()
    }

    /// What it is ordered by among others of its error: the usable time, else what stands in for
    /// it.
    pub fn ordering_time(self) -> Timestamp {
        self.0.time
    }

    /// Tells skeletons apart: one that is alive is at the same place exactly if it is the same.
    /// Two that are not the same may still have the same stacks.
    pub(crate) fn skeleton_address(self) -> usize {
        Arc::as_ptr(&self.0.shape).addr()
    }

    /// Decides between two occurrences of the same name and time.
    pub fn content(self) -> ContentHash {
        self.0.content
    }

    /// The exception, then its causes, outermost first.
    pub fn exceptions(self) -> impl Iterator<Item = ExceptionView<'a>> {
        let mut pieces = self.behind_name();
        self.0.shape.exceptions.iter().map(move |shape| ExceptionView {
            class: shape.class.as_ref().map(Text::as_str),
            message: shape.message.as_ref().map(|like| {
                let own = pieces;
                pieces.step_over(text_of(like));
                Own { like: text_of(like), pieces: own }
            }),
            stacktrace: &shape.stacktrace,
        })
    }

    /// The request during which it happened.
    pub fn http(self) -> Option<HttpView<'a>> {
        let shape = self.0.shape.http.as_ref()?;
        let mut pieces = self.behind_name();
        self.messages().for_each(|like| pieces.step_over(text_of(like)));
        Some(HttpView { shape, pieces })
    }

    /// Every text of it that a person might search for: class, message, frames and causes, then
    /// method, URL, headers and body.
    pub fn texts(self) -> impl Iterator<Item = Cow<'a, str>> {
        self.own_texts().chain(self.repeating_texts().map(Cow::Borrowed))
    }

    /// Of these the messages, the URL, the header values and the body: what is likely to be its
    /// own.
    pub(crate) fn own_texts(self) -> impl Iterator<Item = Cow<'a, str>> {
        let mut pieces = self.behind_name();
        self.own_likes().map(move |like| pieces.text(text_of(like)))
    }

    /// The same, as they are held.
    pub(crate) fn own_texts_apart(self) -> impl Iterator<Item = OwnText<'a>> {
        let mut pieces = self.behind_name();
        self.own_likes().map(move |like| {
            let own = OwnText(Own { like: text_of(like), pieces });
            pieces.step_over(text_of(like));
            own
        })
    }

    /// The others: the same for all occurrences of one skeleton.
    pub(crate) fn repeating_texts(self) -> impl Iterator<Item = &'a str> {
        let shape = &*self.0.shape;
        let of_exceptions =
            shape.exceptions.iter().flat_map(|e| e.class.iter().chain(&*e.stacktrace));
        let of_http = shape.http.iter().flat_map(|h| h.method.iter().chain(&*h.header_names));
        of_exceptions.chain(of_http).map(Text::as_str)
    }

    /// The whole of it, owned.
    pub fn to_occurrence(self) -> Occurrence {
        Occurrence {
            name: self.name().into_owned(),
            content: self.0.content,
            time: self.reported_time(),
            severity: self.severity(),
            exceptions: self.exceptions().map(ExceptionView::to_exception).collect(),
            http: self.http().map(HttpView::to_context),
        }
    }

    fn pieces(self) -> Pieces<'a> {
        Pieces::of(&self.0.own)
    }

    fn behind_name(self) -> Pieces<'a> {
        let mut pieces = self.pieces();
        pieces.next();
        pieces
    }

    /// What each of its own texts is like.
    fn own_likes(self) -> impl Iterator<Item = &'a Like> {
        let http = self.0.shape.http.iter().flat_map(|http| {
            http.url.iter().chain(http.header_values.iter()).chain(http.body.iter())
        });
        self.messages().chain(http)
    }

    /// What each message is like.
    fn messages(self) -> impl Iterator<Item = &'a Like> {
        self.0.shape.exceptions.iter().filter_map(|e| e.message.as_ref())
    }
}

fn text_of(like: &Like) -> Option<&str> {
    like.as_ref().map(Text::as_str)
}

/// A text that is put together when it is asked for.
#[derive(Clone, Copy)]
struct Own<'a> {
    like: Option<&'a str>,
    pieces: Pieces<'a>,
}

impl<'a> Own<'a> {
    fn text(mut self) -> Cow<'a, str> {
        self.pieces.text(self.like)
    }
}

/// A text that is likely to be an occurrence's own, as it is held.
#[derive(Clone, Copy)]
pub(crate) struct OwnText<'a>(Own<'a>);

impl<'a> OwnText<'a> {
    /// What is around its own words, with [`SLOT_BYTE`] for each of them: the same for all texts
    /// where it lies at the same place. `None` if it is not held so.
    pub(crate) fn around(self) -> Option<&'a str> {
        self.0.like
    }

    /// The words that stand in the slots.
    pub(crate) fn words(self) -> impl Iterator<Item = Piece<'a>> {
        let slots = self.0.like.map_or(0, |like| memchr_iter(SLOT_BYTE, like.as_bytes()).count());
        self.0.pieces.take(slots)
    }

    /// All of it.
    pub(crate) fn whole(self) -> Cow<'a, str> {
        self.0.text()
    }
}

/// One exception of a chain of causes, borrowed.
#[derive(Clone, Copy)]
pub struct ExceptionView<'a> {
    class: Option<&'a str>,
    message: Option<Own<'a>>,
    stacktrace: &'a [Text],
}

impl<'a> ExceptionView<'a> {
    /// The class or type name.
    pub fn class(self) -> Option<&'a str> {
        self.class
    }

    /// The message.
    pub fn message(self) -> Option<Cow<'a, str>> {
        self.message.map(Own::text)
    }

    /// The frames, as the client formats them.
    pub fn frames(self) -> impl ExactSizeIterator<Item = &'a str> {
        self.stacktrace.iter().map(Text::as_str)
    }

    fn to_exception(self) -> crate::occurrence::Exception {
        crate::occurrence::Exception {
            class: self.class.map(str::to_owned),
            message: self.message().map(Cow::into_owned),
            stacktrace: self.frames().map(str::to_owned).collect(),
        }
    }
}

/// An HTTP request, borrowed.
#[derive(Clone, Copy)]
pub struct HttpView<'a> {
    shape: &'a HttpShape,
    /// From the URL on.
    pieces: Pieces<'a>,
}

impl<'a> HttpView<'a> {
    /// The method.
    pub fn method(self) -> Option<&'a str> {
        self.shape.method.as_ref().map(Text::as_str)
    }

    /// The URL.
    pub fn url(self) -> Option<Cow<'a, str>> {
        let mut pieces = self.pieces;
        self.shape.url.as_ref().map(|like| pieces.text(text_of(like)))
    }

    /// Header names and values, sorted by name.
    pub fn headers(self) -> impl Iterator<Item = (&'a str, Cow<'a, str>)> {
        let mut pieces = self.behind_url();
        let values = self.shape.header_values.iter().map(move |like| pieces.text(text_of(like)));
        self.shape.header_names.iter().map(Text::as_str).zip(values)
    }

    /// The body.
    pub fn body(self) -> Option<Cow<'a, str>> {
        let like = self.shape.body.as_ref()?;
        let mut pieces = self.behind_url();
        self.shape.header_values.iter().for_each(|value| pieces.step_over(text_of(value)));
        Some(pieces.text(text_of(like)))
    }

    fn behind_url(self) -> Pieces<'a> {
        let mut pieces = self.pieces;
        self.shape.url.iter().for_each(|like| pieces.step_over(text_of(like)));
        pieces
    }

    fn to_context(self) -> crate::occurrence::HttpContext {
        crate::occurrence::HttpContext {
            method: self.method().map(str::to_owned),
            url: self.url().map(Cow::into_owned),
            headers: self.headers().map(|(n, v)| (n.to_owned(), v.into_owned())).collect(),
            body: self.body().map(Cow::into_owned),
        }
    }
}
