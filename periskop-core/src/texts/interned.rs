//! The texts that repeat, each held once, for one state.

use std::hash::{BuildHasher, Hash, Hasher};
use std::sync::Arc;

use hashbrown::{DefaultHashBuilder, Equivalent, HashSet};

use super::pieces::{Packing, SLOT, SLOT_BYTE};
use super::resembling::Resembling;
use super::shape::{ExceptionShape, HttpShape, Like, List, Shape, Text};
use super::{Kept, OwnPieces, Packed};
use crate::occurrence::Occurrence;
use crate::own_words::own_words;
use crate::time::Timestamp;

/// The texts that repeat, each held once, for one state.
#[derive(Default)]
pub(crate) struct Texts {
    /// Whether it is only passed through: what is adopted is shared with whoever had it.
    passing: bool,
    strings: HashSet<ByText>,
    stacks: HashSet<Arc<[Text]>>,
    values: HashSet<Arc<[Like]>>,
    shapes: HashSet<Arc<Shape>>,
    /// The stacks that were asked for last: the occurrences of one error have mostly the same ones,
    /// and comparing is cheaper than hashing.
    recent: [Option<List<Text>>; 4],
    next_recent: usize,
    resembling: Resembling,
    glimpsed: Glimpsed,
    packing: Packing,
    template: String,
    /// Sweep when there are as many entries as this.
    sweep_at: usize,
}

/// Stacks that are held by some texts, outermost first.
#[derive(Clone)]
pub(crate) struct Stacks(pub(super) Arc<[List<Text>]>);

impl Stacks {
    /// How many.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }
}

/// A text with own words in it beyond this many, or longer than this, is all its own.
pub(crate) const MOST_SLOTS: usize = 64;
pub(crate) const LONGEST_TEMPLATE: usize = 1024;

impl Texts {
    /// Those of a state that is on its way from one to another: whoever it comes from holds the
    /// texts already, and nothing need be packed anew.
    pub(crate) fn passing() -> Self {
        Self { passing: true, ..Self::default() }
    }

    /// Packs an occurrence that is going to be kept.
    pub(crate) fn pack(&mut self, o: &Occurrence, time: Timestamp, usable: bool) -> Kept {
        self.pack_with(o, None, time, usable)
    }

    /// The same, of an occurrence whose stacks are not its own but these.
    pub(crate) fn pack_with(
        &mut self,
        o: &Occurrence,
        stacks: Option<&Stacks>,
        time: Timestamp,
        usable: bool,
    ) -> Kept {
        let mut packing = std::mem::take(&mut self.packing);
        let shape = match self.resembling.find(o, stacks, &mut packing) {
            Some(shape) => shape.clone(),
            None => self.shape(o, stacks, &mut packing),
        };
        let own = OwnPieces::of(&mut packing, o.time, time);
        self.packing = packing;
        Kept(Arc::new(Packed::new(own, o.content, shape, o.severity, usable)))
    }

    /// Finds out what an occurrence is like, and puts its name and its pieces into `packing`.
    fn shape(
        &mut self,
        o: &Occurrence,
        stacks: Option<&Stacks>,
        packing: &mut Packing,
    ) -> Arc<Shape> {
        packing.begin(&o.name);
        let messages: Vec<_> = o
            .exceptions
            .iter()
            .map(|e| e.message.as_deref().map(|text| self.like(text, packing)))
            .collect();
        let exceptions = o.exceptions.iter().zip(messages).enumerate();
        let exceptions = exceptions.map(|(at, (e, message))| ExceptionShape {
            class: e.class.as_deref().map(|class| self.string(class)),
            message,
            stacktrace: match stacks.and_then(|stacks| stacks.0.get(at)) {
                Some(stack) => stack.clone(),
                None => self.stack(e.stacktrace.iter().map(String::as_str)),
            },
        });
        let exceptions = exceptions.collect();
        let http = o.http.as_ref().map(|h| {
            let url = h.url.as_deref().map(|url| self.like(url, packing));
            let values = h.headers.iter().map(|(_, value)| self.like(value, packing));
            let header_values: Vec<_> = values.collect();
            HttpShape {
                method: h.method.as_deref().map(|method| self.string(method)),
                url,
                header_names: self.stack(h.headers.iter().map(|(name, _)| name.as_str())),
                header_values: self.values(&header_values),
                body: h.body.as_deref().map(|body| self.like(body, packing)),
            }
        });
        let shape = self.shapes.get_or_insert(Arc::new(Shape { exceptions, http })).clone();
        self.sweep_if_grown();
        self.resembling.note(&shape);
        shape
    }

    /// What another state keeps, with its repeating texts shared with this state's.
    pub(crate) fn adopt(&mut self, kept: &Kept) -> Kept {
        let theirs = &kept.0.shape;
        if self.passing || self.shapes.get(theirs).is_some_and(|ours| Arc::ptr_eq(ours, theirs)) {
            return kept.clone();
        }
        self.pack(&kept.view().to_occurrence(), kept.0.time, kept.0.mark().is_usable())
    }

    /// What a text is like, with its own words put into `packing`; all of it, if it is like no
    /// other yet.
    fn like(&mut self, text: &str, packing: &mut Packing) -> Like {
        let mut template = std::mem::take(&mut self.template);
        let like = match taken_apart(text, &mut template) {
            // Without own words it may still be somebody's name: it is held once it comes again.
            Some(0) if !self.strings.contains(&AsText(text)) && self.glimpsed.is_new(text) => None,
            Some(_) => Some(self.string(&template)),
            None => None,
        };
        match &like {
            Some(_) => own_words(text.as_bytes()).for_each(|place| packing.push(&text[place])),
            None => packing.push(text),
        }
        self.template = template;
        like
    }

    fn string(&mut self, text: &str) -> Text {
        let make = |asked: &AsText<'_>| ByText(Text(Arc::new(asked.0.into())));
        self.strings.get_or_insert_with(&AsText(text), make).0.clone()
    }

    /// The stacks of an exception and its causes, which several occurrences have.
    pub(crate) fn stacks(&mut self, frames: &[Vec<String>]) -> Stacks {
        let stacks = frames.iter().map(|frames| self.stack(frames.iter().map(String::as_str)));
        Stacks(stacks.collect())
    }

    fn stack<'a>(&mut self, texts: impl ExactSizeIterator<Item = &'a str> + Clone) -> List<Text> {
        let same = |list: &&List<Text>| {
            list.len() == texts.len() && list.iter().map(Text::as_str).eq(texts.clone())
        };
        if let Some(list) = self.recent.iter().flatten().find(same) {
            return list.clone();
        }
        let list: Vec<_> = texts.map(|text| self.string(text)).collect();
        let list = List(self.stacks.get_or_insert_with(&list[..], |list| list.into()).clone());
        self.recent[self.next_recent] = Some(list.clone());
        self.next_recent = (self.next_recent + 1) % self.recent.len();
        list
    }

    fn values(&mut self, values: &[Like]) -> List<Like> {
        List(self.values.get_or_insert_with(values, |list| list.into()).clone())
    }

    /// Lets go of what nobody holds any more.
    pub(crate) fn sweep(&mut self) {
        self.recent = Default::default();
        self.resembling.clear();
        // From the outside in: a shape holds lists and strings, a list holds strings.
        self.shapes.retain(|shape| Arc::strong_count(shape) > 1);
        self.stacks.retain(|list| Arc::strong_count(list) > 1);
        self.values.retain(|list| Arc::strong_count(list) > 1);
        self.strings.retain(|string| Arc::strong_count(&string.0.0) > 1);
        self.sweep_at = 2 * self.len();
    }

    /// The same now and then, so that it costs next to nothing.
    fn sweep_if_grown(&mut self) {
        if self.len() >= self.sweep_at.max(1024) {
            self.sweep();
        }
    }

    fn len(&self) -> usize {
        self.strings.len() + self.stacks.len() + self.values.len() + self.shapes.len()
    }
}

/// Puts what is around the own words of `text` into `template`, and tells how many there are.
/// `None` if it is not to be taken apart.
fn taken_apart(text: &str, template: &mut String) -> Option<usize> {
    template.clear();
    if text.len() > LONGEST_TEMPLATE || memchr::memchr(SLOT_BYTE, text.as_bytes()).is_some() {
        return None;
    }
    let (mut from, mut slots) = (0, 0);
    for place in own_words(text.as_bytes()) {
        template.push_str(&text[from..place.start]);
        template.push(SLOT);
        from = place.end;
        slots += 1;
    }
    template.push_str(&text[from..]);
    (slots <= MOST_SLOTS).then_some(slots)
}

/// Which texts were seen lately, as far as a small table remembers.
#[derive(Default)]
struct Glimpsed {
    hashes: Box<[u64]>,
    hasher: DefaultHashBuilder,
}

impl Glimpsed {
    const REMEMBERED: usize = 1024;

    fn is_new(&mut self, text: &str) -> bool {
        if self.hashes.is_empty() {
            self.hashes = vec![0; Self::REMEMBERED].into();
        }
        let hash = self.hasher.hash_one(text);
        let at = hash.to_le_bytes();
        let at = usize::from(u16::from_le_bytes([at[0], at[1]])) % Self::REMEMBERED;
        std::mem::replace(&mut self.hashes[at], hash) != hash
    }
}

/// A held text, found by what it says.
struct ByText(Text);

impl PartialEq for ByText {
    fn eq(&self, other: &Self) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for ByText {}

impl Hash for ByText {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.as_str().hash(state);
    }
}

/// What is looked for among them.
struct AsText<'a>(&'a str);

impl Hash for AsText<'_> {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.0.hash(state);
    }
}

impl Equivalent<ByText> for AsText<'_> {
    fn equivalent(&self, key: &ByText) -> bool {
        self.0 == key.0.as_str()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::occurrence::{ContentHash, Exception, HttpContext, Severity};

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

    /// Texts that have met all of an occurrence but its first message.
    fn acquainted() -> Texts {
        let mut texts = Texts::default();
        for _ in 0..2 {
            texts.pack(&occurrence("known"), Timestamp::EPOCH, false);
        }
        texts
    }

    fn saying(name: &str, message: &str) -> Occurrence {
        let mut o = occurrence(name);
        o.exceptions[0].message = Some(message.into());
        o
    }

    proptest! {
        #[test]
        fn what_is_packed_comes_out_as_it_went_in(
            texts in prop::collection::vec("[ab1 \\x00ü/-]{0,12}", 4..8),
            parts in any::<u8>(),
            reported in prop::option::of(-9_i64..9),
        ) {
            let mut packed = Texts::default();
            // Twice, so that texts without own words are known the second time.
            for _ in 0..2 {
                let has = |bit: u8, text: &str| (parts >> bit & 1 == 1).then(|| text.to_owned());
                let mut o = occurrence(&texts[0]);
                o.time = reported.map(Timestamp::from_micros);
                o.exceptions[0].message = has(0, &texts[1]);
                o.exceptions[1].message = has(1, &texts[2]);
                o.exceptions[2].class = has(2, &texts[1]);
                let http = o.http.as_mut().expect("there is one");
                http.url = has(3, &texts[3]);
                http.body = has(4, &texts[1]);
                http.headers = texts.iter().map(|text| (text.clone(), text.clone())).collect();
                if parts >> 5 & 1 == 1 {
                    o.http = None;
                }
                let kept = packed.pack(&o, Timestamp::from_micros(7), true);
                prop_assert_eq!(kept.view().to_occurrence(), o.clone());
                prop_assert_eq!(kept.view().reported_time(), o.time);
                let again = Texts::default().pack(&o, Timestamp::from_micros(7), true);
                prop_assert!(kept == again, "however it is packed");
                prop_assert_eq!(kept.rank(&again), std::cmp::Ordering::Equal);
            }
        }
    }

    #[test]
    fn occurrences_that_differ_in_their_own_words_have_one_shape() {
        let mut texts = acquainted();
        let a = texts.pack(&saying("a", "order 4711 of user 3"), Timestamp::EPOCH, false);
        let b = texts.pack(&saying("b", "order 4712 of user 17"), Timestamp::EPOCH, false);
        assert!(Arc::ptr_eq(&a.0.shape, &b.0.shape));
        assert_ne!(a, b);
    }

    proptest! {
        #[test]
        fn what_resembles_another_is_packed_as_if_nothing_had_been_packed_before(
            texts in prop::collection::vec("[ab1-]{0,2}([ /ü\\x00][ab1-]{0,2}){0,2}", 2..12),
        ) {
            // With an own word: whether one without is held depends on what came before it.
            let mut texts: Vec<_> =
                texts.iter().map(|text| saying("a", &format!("{text} 1"))).collect();
            let (mut resembling, mut alone) = (Texts::default(), Texts::default());
            for o in texts.iter().chain(&texts) {
                resembling.pack(o, Timestamp::EPOCH, false);
                alone.pack(o, Timestamp::EPOCH, false);
            }
            texts.reverse();
            for o in &texts {
                alone.resembling.clear();
                let expected = alone.pack(o, Timestamp::EPOCH, false);
                let packed = resembling.pack(o, Timestamp::EPOCH, false);
                prop_assert_eq!(packed.view().to_occurrence(), o.clone());
                prop_assert_eq!(&packed.0.own, &expected.0.own);
            }
        }
    }

    #[test]
    fn a_text_without_own_words_is_held_when_it_comes_again() {
        let mut texts = acquainted();
        let kept: Vec<_> = ["alice", "bob", "carol", "carol", "carol"]
            .map(|user| texts.pack(&saying(user, user), Timestamp::EPOCH, false))
            .into();
        assert!(Arc::ptr_eq(&kept[0].0.shape, &kept[2].0.shape), "no names in it");
        assert!(Arc::ptr_eq(&kept[3].0.shape, &kept[4].0.shape), "with the name in it");
        assert!(!Arc::ptr_eq(&kept[2].0.shape, &kept[3].0.shape));
    }

    #[test]
    fn what_nobody_holds_is_let_go() {
        let mut texts = Texts::default();
        for i in 0..2000 {
            let mut o = occurrence("x");
            o.exceptions[0].class = Some(format!("C{i}"));
            texts.pack(&o, Timestamp::EPOCH, false);
        }
        assert!(texts.shapes.len() < 1024, "{}", texts.shapes.len());
    }

    #[test]
    fn adopting_shares_the_repeating_texts_of_the_adopter() {
        let (mut here, mut there) = (acquainted(), acquainted());
        let mine = here.pack(&saying("a", "7 of 9"), Timestamp::EPOCH, false);
        let theirs = there.pack(&saying("a", "7 of 9"), Timestamp::EPOCH, false);
        let adopted = here.adopt(&theirs);
        assert!(Arc::ptr_eq(&mine.0.shape, &adopted.0.shape));
        assert_eq!(mine, adopted);
        let passed = Texts::passing().adopt(&theirs);
        assert!(Arc::ptr_eq(&passed.0, &theirs.0));
    }
}
