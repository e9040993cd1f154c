//! What kept occurrences cost in memory is decided here and nowhere else.
//!
//! An occurrence is packed into what repeats and what does not. Class names, frames, stacks,
//! methods and header names repeat over thousands of occurrences: each distinct one is held once,
//! and the whole skeleton (a `Shape`) is held once too. Names, messages, URLs, header values and
//! bodies do not repeat: they lie end to end in one text per occurrence, which a search can walk
//! in order. The rest of the crate sees [`Kept`], a handle as cheap to clone as a pointer, and
//! borrowed views.

use std::cmp::Ordering;
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use hashbrown::HashSet;

use crate::occurrence::{ContentHash, Occurrence, Severity};
use crate::time::Timestamp;
use crate::wire::state::Documents;

/// An occurrence that is kept: immutable, cheap to clone.
#[derive(Clone)]
pub struct Kept(Arc<Packed>);

struct Packed {
    /// Orders occurrences: their usable time, else what stands in for it.
    time: Timestamp,
    reported: Option<Timestamp>,
    content: ContentHash,
    severity: Severity,
    usable: bool,
    shape: Arc<Shape>,
    /// Name, messages, URL, header values, body: end to end, in that order.
    text: Box<str>,
    /// How long each part of `text` is, the last one excepted: seven bits a byte, low ones first.
    lengths: Box<[u8]>,
}

/// Everything about an occurrence that others are likely to have as well.
#[derive(PartialEq, Eq, Hash)]
struct Shape {
    exceptions: Box<[ExceptionShape]>,
    http: Option<HttpShape>,
}

#[derive(PartialEq, Eq, Hash)]
struct ExceptionShape {
    class: Option<Held<str>>,
    has_message: bool,
    stacktrace: Held<[Held<str>]>,
}

#[derive(PartialEq, Eq, Hash)]
struct HttpShape {
    method: Option<Held<str>>,
    has_url: bool,
    has_body: bool,
    header_names: Held<[Held<str>]>,
}

/// Something that is held once, so that it is the same exactly if it lies at the same place.
struct Held<T: ?Sized>(Arc<T>);

impl<T: ?Sized> Clone for Held<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: ?Sized> std::ops::Deref for Held<T> {
    type Target = T;

    fn deref(&self) -> &T {
        &self.0
    }
}

impl<T: ?Sized> PartialEq for Held<T> {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl<T: ?Sized> Eq for Held<T> {}

impl<T: ?Sized> Hash for Held<T> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.0).addr().hash(state);
    }
}

impl Kept {
    /// Orders occurrences of one error: the usable time, else `created_at`, else the epoch.
    pub(crate) fn time(&self) -> Timestamp {
        self.0.time
    }

    pub(crate) fn name(&self) -> &str {
        self.view().name()
    }

    pub(crate) fn content(&self) -> ContentHash {
        self.0.content
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
                && (&a.text, &a.lengths) == (&b.text, &b.lengths)
                && (a.usable, a.severity, a.reported) == (b.usable, b.severity, b.reported)
                && (Arc::ptr_eq(&a.shape, &b.shape)
                    || self.view().skeleton().eq(other.view().skeleton())))
    }
}

impl Eq for Kept {}

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Kept").field(&self.name()).field(&self.0.time).finish()
    }
}

/// One occurrence, borrowed.
#[derive(Clone, Copy)]
pub struct OccurrenceView<'a>(&'a Packed);

impl<'a> OccurrenceView<'a> {
    /// The uuid, or `hash:` and a hash of the content.
    pub fn name(self) -> &'a str {
        self.parts().next().unwrap_or_default()
    }

    /// When it happened; `None` if no usable time is known.
    pub fn time(self) -> Option<Timestamp> {
        self.0.usable.then_some(self.0.time)
    }

    /// The time as it came, usable or not.
    pub fn reported_time(self) -> Option<Timestamp> {
        self.0.reported
    }

    /// Its own severity, else that of its aggregate.
    pub fn severity(self) -> Severity {
        self.0.severity
    }

    /// What it is ordered by among others of its error: the usable time, else what stands in for
    /// it.
    pub fn ordering_time(self) -> Timestamp {
        self.0.time
    }

    /// Tells skeletons apart: one that is alive is at the same place exactly if it is the same.
    pub(crate) fn skeleton_address(self) -> usize {
        Arc::as_ptr(&self.0.shape).addr()
    }

    /// Decides between two occurrences of the same name and time.
    pub fn content(self) -> ContentHash {
        self.0.content
    }

    /// The exception, then its causes, outermost first.
    pub fn exceptions(self) -> impl Iterator<Item = ExceptionView<'a>> {
        let mut texts = self.parts().skip(1);
        self.0.shape.exceptions.iter().map(move |shape| ExceptionView {
            class: shape.class.as_deref(),
            message: shape.has_message.then(|| texts.next().unwrap_or_default()),
            stacktrace: &shape.stacktrace,
        })
    }

    /// The request during which it happened.
    pub fn http(self) -> Option<HttpView<'a>> {
        let shape = self.0.shape.http.as_ref()?;
        let messages = self.0.shape.exceptions.iter().filter(|e| e.has_message).count();
        let mut texts = self.parts();
        // The name and the messages come first.
        texts.nth(messages);
        let url = if shape.has_url { texts.next() } else { None };
        Some(HttpView { shape, url, values: texts })
    }

    /// Every text of it that a person might search for: class, message, frames and causes, then
    /// method, URL, headers and body.
    pub fn texts(self) -> impl Iterator<Item = &'a str> {
        self.own_texts().chain(self.repeating_texts())
    }

    /// Of these the messages, the URL, the header values and the body: what is likely to be its
    /// own.
    pub(crate) fn own_texts(self) -> impl Iterator<Item = &'a str> {
        self.parts().skip(1)
    }

    /// The others: the same for all occurrences of one skeleton.
    pub(crate) fn repeating_texts(self) -> impl Iterator<Item = &'a str> {
        let shape = &*self.0.shape;
        let of_exceptions = shape.exceptions.iter().flat_map(|e| {
            e.class.iter().map(|c| &**c).chain(e.stacktrace.iter().map(|frame| &**frame))
        });
        let of_http = shape.http.iter().flat_map(|h| {
            h.method.iter().map(|m| &**m).chain(h.header_names.iter().map(|name| &**name))
        });
        of_exceptions.chain(of_http)
    }

    /// The whole of it, owned.
    pub fn to_occurrence(self) -> Occurrence {
        Occurrence {
            name: self.name().to_owned(),
            content: self.0.content,
            time: self.0.reported,
            severity: self.0.severity,
            exceptions: self.exceptions().map(ExceptionView::to_exception).collect(),
            http: self.http().map(HttpView::to_context),
        }
    }

    fn parts(self) -> Parts<'a> {
        Parts { text: &self.0.text, lengths: &self.0.lengths, done: false }
    }

    fn skeleton(self) -> impl Iterator<Item = Option<&'a str>> {
        let shape = &*self.0.shape;
        shape
            .exceptions
            .iter()
            .flat_map(|e| {
                std::iter::once(e.class.as_deref())
                    .chain(std::iter::once(e.has_message.then_some("")))
                    .chain(e.stacktrace.iter().map(|frame| Some(&**frame)))
                    .chain(std::iter::once(None))
            })
            .chain(shape.http.iter().flat_map(|h| {
                [h.method.as_deref(), h.has_url.then_some(""), h.has_body.then_some("")]
                    .into_iter()
                    .chain(h.header_names.iter().map(|name| Some(&**name)))
            }))
    }
}

/// One exception of a chain of causes, borrowed.
#[derive(Clone, Copy)]
pub struct ExceptionView<'a> {
    class: Option<&'a str>,
    message: Option<&'a str>,
    stacktrace: &'a [Held<str>],
}

impl<'a> ExceptionView<'a> {
    /// The class or type name.
    pub fn class(self) -> Option<&'a str> {
        self.class
    }

    /// The message.
    pub fn message(self) -> Option<&'a str> {
        self.message
    }

    /// The frames, as the client formats them.
    pub fn frames(self) -> impl ExactSizeIterator<Item = &'a str> {
        self.stacktrace.iter().map(|frame| &**frame)
    }

    fn to_exception(self) -> crate::occurrence::Exception {
        crate::occurrence::Exception {
            class: self.class.map(str::to_owned),
            message: self.message.map(str::to_owned),
            stacktrace: self.frames().map(str::to_owned).collect(),
        }
    }
}

/// An HTTP request, borrowed.
#[derive(Clone, Copy)]
pub struct HttpView<'a> {
    shape: &'a HttpShape,
    url: Option<&'a str>,
    values: Parts<'a>,
}

impl<'a> HttpView<'a> {
    /// The method.
    pub fn method(self) -> Option<&'a str> {
        self.shape.method.as_deref()
    }

    /// The URL.
    pub fn url(self) -> Option<&'a str> {
        self.url
    }

    /// Header names and values, sorted by name.
    pub fn headers(self) -> impl Iterator<Item = (&'a str, &'a str)> {
        self.shape.header_names.iter().map(|name| &**name).zip(self.values)
    }

    /// The body.
    pub fn body(self) -> Option<&'a str> {
        let mut values = self.values;
        if self.shape.has_body { values.nth(self.shape.header_names.len()) } else { None }
    }

    fn to_context(self) -> crate::occurrence::HttpContext {
        crate::occurrence::HttpContext {
            method: self.method().map(str::to_owned),
            url: self.url().map(str::to_owned),
            headers: self.headers().map(|(n, v)| (n.to_owned(), v.to_owned())).collect(),
            body: self.body().map(str::to_owned),
        }
    }
}

/// The parts of a packed text, in order.
#[derive(Clone, Copy)]
struct Parts<'a> {
    text: &'a str,
    lengths: &'a [u8],
    done: bool,
}

impl<'a> Iterator for Parts<'a> {
    type Item = &'a str;

    fn next(&mut self) -> Option<&'a str> {
        if self.done {
            return None;
        }
        if self.lengths.is_empty() {
            self.done = true;
            return Some(self.text);
        }
        let mut length = 0_usize;
        let mut shift = 0;
        while let Some((byte, rest)) = self.lengths.split_first() {
            self.lengths = rest;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte & 0x80 == 0 {
                break;
            }
        }
        let (part, rest) = self.text.split_at(length);
        self.text = rest;
        Some(part)
    }
}

/// The texts that repeat, each held once, for one state.
#[derive(Default)]
pub(crate) struct Texts {
    strings: HashSet<Arc<str>>,
    lists: HashSet<Arc<[Held<str>]>>,
    shapes: HashSet<Arc<Shape>>,
    /// The lists that were asked for last: the occurrences of one error have mostly the same stacks,
    /// and comparing is cheaper than hashing.
    recent: [Option<Held<[Held<str>]>>; 4],
    next_recent: usize,
    /// Sweep when there are as many entries as this.
    sweep_at: usize,
}

impl Texts {
    /// Packs an occurrence that is going to be kept.
    pub(crate) fn pack(&mut self, o: &Occurrence, time: Timestamp, usable: bool) -> Kept {
        let mut text = String::new();
        let mut lengths = Vec::new();
        let mut last = None;
        let mut push = |part: &str| {
            if let Some(length) = last.replace(part.len()) {
                put_length(&mut lengths, length);
            }
            text.push_str(part);
        };
        push(&o.name);
        o.exceptions.iter().filter_map(|e| e.message.as_deref()).for_each(&mut push);
        if let Some(http) = &o.http {
            http.url.as_deref().into_iter().for_each(&mut push);
            http.headers.iter().for_each(|(_, value)| push(value));
            http.body.as_deref().into_iter().for_each(&mut push);
        }
        let exceptions = o
            .exceptions
            .iter()
            .map(|e| ExceptionShape {
                class: e.class.as_deref().map(|c| self.string(c)),
                has_message: e.message.is_some(),
                stacktrace: self.list(e.stacktrace.iter().map(String::as_str)),
            })
            .collect();
        let http = o.http.as_ref().map(|h| HttpShape {
            method: h.method.as_deref().map(|m| self.string(m)),
            has_url: h.url.is_some(),
            has_body: h.body.is_some(),
            header_names: self.list(h.headers.iter().map(|(name, _)| name.as_str())),
        });
        let shape = self.shapes.get_or_insert(Arc::new(Shape { exceptions, http })).clone();
        self.sweep_if_grown();
        Kept(Arc::new(Packed {
            time,
            reported: o.time,
            content: o.content,
            severity: o.severity,
            usable,
            shape,
            text: text.into(),
            lengths: lengths.into(),
        }))
    }

    /// What another state keeps, with its repeating texts shared with this state's.
    pub(crate) fn adopt(&mut self, kept: &Kept) -> Kept {
        let theirs = &kept.0.shape;
        if self.shapes.get(theirs).is_some_and(|ours| Arc::ptr_eq(ours, theirs)) {
            return kept.clone();
        }
        self.pack(&kept.view().to_occurrence(), kept.0.time, kept.0.usable)
    }

    fn string(&mut self, text: &str) -> Held<str> {
        Held(self.strings.get_or_insert_with(text, |text| text.into()).clone())
    }

    fn list<'a>(
        &mut self,
        texts: impl ExactSizeIterator<Item = &'a str> + Clone,
    ) -> Held<[Held<str>]> {
        let same = |list: &&Held<[Held<str>]>| {
            list.len() == texts.len() && list.iter().map(|held| &**held).eq(texts.clone())
        };
        if let Some(list) = self.recent.iter().flatten().find(same) {
            return list.clone();
        }
        let list: Vec<_> = texts.map(|text| self.string(text)).collect();
        let list = Held(self.lists.get_or_insert_with(&list[..], |list| list.into()).clone());
        self.recent[self.next_recent] = Some(list.clone());
        self.next_recent = (self.next_recent + 1) % self.recent.len();
        list
    }

    /// Lets go of what nobody holds any more.
    pub(crate) fn sweep(&mut self) {
        self.recent = Default::default();
        // From the outside in: a shape holds lists and strings, a list holds strings.
        self.shapes.retain(|shape| Arc::strong_count(shape) > 1);
        self.lists.retain(|list| Arc::strong_count(list) > 1);
        self.strings.retain(|string| Arc::strong_count(string) > 1);
        self.sweep_at = 2 * self.len();
    }

    /// The same now and then, so that it costs next to nothing.
    fn sweep_if_grown(&mut self) {
        if self.len() >= self.sweep_at.max(1024) {
            self.sweep();
        }
    }

    fn len(&self) -> usize {
        self.strings.len() + self.lists.len() + self.shapes.len()
    }
}

fn put_length(lengths: &mut Vec<u8>, mut length: usize) {
    while length >= 0x80 {
        lengths.push(0x80 | (length & 0x7f).to_le_bytes()[0]);
        length >>= 7;
    }
    lengths.push(length.to_le_bytes()[0]);
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::occurrence::{Exception, HttpContext};

    fn occurrence(name: &str) -> Occurrence {
        Occurrence {
            name: name.into(),
            content: ContentHash::of(name.as_bytes()),
            time: Some(Timestamp::from_micros(7)),
            severity: Severity::Warning,
            exceptions: vec![
                Exception {
                    class: Some("Outer".into()),
                    message: Some("ö".repeat(200)),
                    stacktrace: vec!["a".into(), "b".into()],
                },
                Exception { class: None, message: None, stacktrace: vec![] },
                Exception {
                    class: Some("Inner".into()),
                    message: Some(String::new()),
                    stacktrace: vec!["a".into(), "b".into()],
                },
            ],
            http: Some(HttpContext {
                method: Some("GET".into()),
                url: None,
                headers: vec![("A".into(), "1".into()), ("B".into(), String::new())],
                body: Some("body".into()),
            }),
        }
    }

    #[test]
    fn what_is_packed_comes_out_as_it_went_in() {
        let mut texts = Texts::default();
        let mut bare = occurrence("bare");
        bare.http = None;
        bare.exceptions.truncate(1);
        bare.exceptions[0].message = None;
        for o in [occurrence("whole"), bare] {
            let kept = texts.pack(&o, Timestamp::from_micros(7), true);
            assert_eq!(kept.view().to_occurrence(), o);
        }
    }

    #[test]
    fn what_repeats_is_held_once_and_let_go_with_its_last_holder() {
        let mut texts = Texts::default();
        let a = texts.pack(&occurrence("a"), Timestamp::EPOCH, false);
        let b = texts.pack(&occurrence("b"), Timestamp::EPOCH, false);
        assert!(Arc::ptr_eq(&a.0.shape, &b.0.shape));
        drop((a, b));
        for i in 0..2000 {
            let mut o = occurrence("x");
            o.exceptions[0].class = Some(format!("C{i}"));
            texts.pack(&o, Timestamp::EPOCH, false);
        }
        assert!(texts.shapes.len() < 1024, "{}", texts.shapes.len());
    }

    #[test]
    fn adopting_shares_the_repeating_texts_of_the_adopter() {
        let (mut here, mut there) = (Texts::default(), Texts::default());
        let mine = here.pack(&occurrence("a"), Timestamp::EPOCH, false);
        let theirs = there.pack(&occurrence("a"), Timestamp::EPOCH, false);
        let adopted = here.adopt(&theirs);
        assert!(Arc::ptr_eq(&mine.0.shape, &adopted.0.shape));
        assert_eq!(mine, adopted);
    }
}
