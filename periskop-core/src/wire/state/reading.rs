//! Occurrences read from their documents, apart from the state that is to keep them: so several
//! threads can read at once, and only what follows needs the state.

use std::sync::Arc;

use hashbrown::HashMap;
use serde_json::from_str;

use super::alike::{Pattern, restored};
use super::document::{DocumentError, OccurrenceDocument};
use super::text::Text;
use crate::ids::bounded;
use crate::occurrence::{ContentHash, Occurrence, Severity};
use crate::texts::{Kept, OwnPieces, Packing, Stacks, Texts};
use crate::time::Timestamp;

/// The occurrences of one error at a time, with their stacks.
///
/// It is meant to be used again for the next error: a million occurrences have tens of millions of
/// texts, which are read into what is there already.
#[derive(Default)]
pub struct Reading {
    /// Of which `stacks_read` count.
    stacks: Vec<ReadStack>,
    stacks_read: usize,
    /// Of which `occurrences_read` count.
    occurrences: Vec<Read>,
    occurrences_read: usize,
    /// What documents of this error are like, by the occurrences that were read from them.
    patterns: Vec<(usize, Pattern)>,
    /// The last document that was like none of these: a pattern once another one follows it.
    unlike: Option<(usize, String)>,
    packing: Packing,
    known: Arc<KnownStacks>,
}

/// Stacks that were read before the occurrences that name them, of whatever errors: their names say
/// what is in them. They are part of the state that is being put together, and of no other.
#[derive(Default)]
pub struct KnownStacks(HashMap<String, Stacks>);

#[derive(Default)]
struct ReadStack {
    name: String,
    /// For each exception, outermost first, its frames.
    frames: Vec<Vec<String>>,
    /// The same, where it is known by its name.
    known: Option<Stacks>,
}

/// An occurrence without its frames.
struct Read {
    /// What it is ordered by.
    time: Timestamp,
    /// Whether that is a time that can be right.
    is_usable: bool,
    /// Which of the stacks is its own.
    stack: usize,
    content: ContentHash,
    /// If it is like one that was read before: like which one, and what it has of its own.
    like: Option<(usize, OwnPieces)>,
    /// If not: all of it but its frames and its content.
    occurrence: Occurrence,
}

/// Documents of an error are compared with so many.
const MOST_PATTERNS: usize = 4;

impl Reading {
    /// Nothing read yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing read yet, with stacks that need not be read any more.
    pub fn knowing(known: Arc<KnownStacks>) -> Self {
        Self { known, ..Self::default() }
    }

    /// Begins with another error.
    pub fn clear(&mut self) {
        (self.stacks_read, self.occurrences_read) = (0, 0);
        self.patterns.clear();
        self.unlike = None;
    }

    /// Whether no occurrence was read.
    pub fn is_empty(&self) -> bool {
        self.occurrences_read == 0
    }

    /// Whether a stack of this name has been read.
    pub fn has_stack(&self, name: &str) -> bool {
        self.stack_named(name).is_some()
    }

    /// Reads a stack, before the occurrences that name it.
    ///
    /// # Errors
    ///
    /// It is no such document.
    pub fn stack(&mut self, name: &str, document: &str) -> Result<(), DocumentError> {
        let read: Vec<Vec<Text<'_>>> = from_str(document)?;
        let at = self.stack_named(name).unwrap_or_else(|| self.new_stack(name, None));
        refill_all(&mut self.stacks[at].frames, read, |frames, read| {
            refill_all(frames, read, |frame, read| refill(frame, &read.0));
        });
        Ok(())
    }

    /// Reads an occurrence. `time` is what it is ordered by.
    ///
    /// # Errors
    ///
    /// It is no such document, or its stack has not been read or is one of another occurrence.
    pub fn occurrence(
        &mut self,
        time: Timestamp,
        content: ContentHash,
        document: &str,
    ) -> Result<(), DocumentError> {
        if self.alike(time, content, document) {
            return Ok(());
        }
        let read: OccurrenceDocument<'_> = from_str(document)?;
        let Some(stack) = self.stack_named(&read.stack.0).or_else(|| self.recall(&read.stack.0))
        else {
            return Err(DocumentError::NoStack(read.stack.into_string()));
        };
        let exceptions = self.stacks[stack].exceptions();
        if exceptions != read.exceptions.len() || exceptions == 0 {
            return Err(DocumentError::OtherStack(read.stack.into_string()));
        }
        if self.patterns.len() < MOST_PATTERNS {
            self.unlike = Some((self.occurrences_read, document.to_owned()));
        }
        let into = next(&mut self.occurrences, self.occurrences_read, Read::default);
        self.occurrences_read += 1;
        (into.time, into.is_usable, into.stack) = (time, read.usable, stack);
        (into.content, into.like) = (content, None);
        let occurrence = &mut into.occurrence;
        refill(&mut occurrence.name, &bounded(&read.uuid.0));
        occurrence.time = read.timestamp.map(Timestamp::from_micros);
        occurrence.severity = Severity::parse(&read.severity.0).unwrap_or_default();
        refill_all(&mut occurrence.exceptions, read.exceptions, |exception, read| {
            refill_maybe(&mut exception.class, read.class);
            refill_maybe(&mut exception.message, read.message);
        });
        match read.http {
            None => occurrence.http = None,
            Some(read) => {
                let http = occurrence.http.get_or_insert_default();
                refill_maybe(&mut http.method, read.method);
                refill_maybe(&mut http.url, read.url);
                refill_all(&mut http.headers, read.headers, |(name, value), (n, v)| {
                    refill(name, &n.0);
                    refill(value, &v.0);
                });
                refill_maybe(&mut http.body, read.body);
            }
        }
        Ok(())
    }

    /// Whether a document is like one of this error that was read before; it is read then.
    fn alike(&mut self, time: Timestamp, content: ContentHash, document: &str) -> bool {
        if let Some((at, unlike)) = self.unlike.take() {
            self.patterns.extend(Pattern::of(&unlike).map(|pattern| (at, pattern)));
        }
        let packing = &mut self.packing;
        let mut patterns = self.patterns.iter();
        let Some((like, reported)) =
            patterns.find_map(|(at, pattern)| Some((*at, pattern.read(document, packing)?)))
        else {
            return false;
        };
        let own = OwnPieces::of(packing, reported, time);
        let Read { is_usable, stack, .. } = self.occurrences[like];
        let into = next(&mut self.occurrences, self.occurrences_read, Read::default);
        self.occurrences_read += 1;
        (into.time, into.is_usable, into.stack) = (time, is_usable, stack);
        (into.content, into.like) = (content, Some((like, own)));
        true
    }

    /// Packs each occurrence that was read. Those that are like another are no longer there then.
    pub(super) fn pack(&mut self, texts: &mut Texts, mut put: impl FnMut(Kept)) {
        let stacks = self.stacks[..self.stacks_read].iter();
        let stacks: Vec<_> = stacks.map(|stack| stack.held_by(texts)).collect();
        // What others are like, by where it was read.
        let mut models: Vec<(usize, Kept)> = Vec::new();
        for at in 0..self.occurrences_read {
            let (before, from) = self.occurrences.split_at_mut(at);
            let Some(read) = from.first_mut() else { return };
            let mut pack = |occurrence: &mut Occurrence| {
                occurrence.content = read.content;
                texts.pack_with(occurrence, stacks.get(read.stack), read.time, read.is_usable)
            };
            let model = read.like.take().and_then(|(like, own)| {
                let model = models.iter_mut().find(|(at, _)| *at == like)?;
                Some((model, own, &before[like].occurrence))
            });
            let kept = match model {
                None => {
                    let kept = pack(&mut read.occurrence);
                    models.push((at, kept.clone()));
                    kept
                }
                Some(((_, model), own, like)) => {
                    model.with_own(own, read.content).unwrap_or_else(|own| {
                        // What is shared by now is so for those that follow as well.
                        *model = pack(&mut restored(like, &own));
                        model.clone()
                    })
                }
            };
            put(kept);
        }
        self.clear();
    }

    /// Has the stacks that were read be known. Those that are not named by an occurrence are let go of
    /// with `known`.
    pub(super) fn keep_stacks(&mut self, texts: &mut Texts, known: &mut KnownStacks) {
        for stack in &self.stacks[..self.stacks_read] {
            known.0.insert(stack.name.clone(), stack.held_by(texts));
        }
        self.clear();
    }

    /// A stack that is known by its name: where it is then.
    fn recall(&mut self, name: &str) -> Option<usize> {
        let known = self.known.0.get(name)?.clone();
        Some(self.new_stack(name, Some(known)))
    }

    fn new_stack(&mut self, name: &str, known: Option<Stacks>) -> usize {
        let new = next(&mut self.stacks, self.stacks_read, ReadStack::default);
        refill(&mut new.name, name);
        new.known = known;
        self.stacks_read += 1;
        self.stacks_read - 1
    }

    fn stack_named(&self, name: &str) -> Option<usize> {
        self.stacks[..self.stacks_read].iter().position(|stack| stack.name == name)
    }
}

impl ReadStack {
    fn exceptions(&self) -> usize {
        self.known.as_ref().map_or(self.frames.len(), Stacks::len)
    }

    fn held_by(&self, texts: &mut Texts) -> Stacks {
        self.known.clone().unwrap_or_else(|| texts.stacks(&self.frames))
    }
}

impl Default for Read {
    fn default() -> Self {
        let occurrence = Occurrence {
            name: String::new(),
            content: ContentHash([0; 16]),
            time: None,
            severity: Severity::default(),
            exceptions: Vec::new(),
            http: None,
        };
        Self {
            time: Timestamp::EPOCH,
            is_usable: false,
            stack: 0,
            content: ContentHash([0; 16]),
            like: None,
            occurrence,
        }
    }
}

/// The next place, used before or new.
fn next<T>(places: &mut Vec<T>, used: usize, new: impl FnOnce() -> T) -> &mut T {
    if used == places.len() {
        places.push(new());
    }
    &mut places[used]
}

fn refill(text: &mut String, with: &str) {
    text.clear();
    text.push_str(with);
}

fn refill_maybe(text: &mut Option<String>, with: Option<Text<'_>>) {
    match (text, with) {
        (Some(text), Some(with)) => refill(text, &with.0),
        (text, with) => *text = with.map(Text::into_string),
    }
}

/// As many as there are to be read, each read into one that was there, where there was one.
fn refill_all<T: Default, R>(all: &mut Vec<T>, read: Vec<R>, mut refill: impl FnMut(&mut T, R)) {
    all.resize_with(read.len(), T::default);
    all.iter_mut().zip(read).for_each(|(one, read)| refill(one, read));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::jvm::Payloads;
    use crate::wire::state::{Documents, stack_document};

    fn read(reading: &mut Reading) -> Vec<Occurrence> {
        let mut all = Vec::new();
        reading.pack(&mut Texts::default(), |kept| all.push(kept.view().to_occurrence()));
        all
    }

    #[test]
    fn what_is_read_does_not_depend_on_what_was_read_before() {
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        let mut errors = Payloads::new().report(0, now).errors;
        // Texts of which some have more parts, and some have none.
        let bare = &mut errors[3].occurrences[4];
        bare.http = None;
        bare.exceptions.truncate(1);
        bare.exceptions[0].message = None;
        let mut texts = Texts::default();
        let mut again = Reading::new();
        for error in &errors {
            let mut fresh = Reading::new();
            again.clear();
            assert!(again.is_empty());
            let mut documents = Documents::new();
            for occurrence in &error.occurrences {
                let kept = texts.pack(occurrence, now, true);
                let (document, stack) = documents.occurrence(kept.view());
                for reading in [&mut fresh, &mut again] {
                    reading.stack(&stack.as_hex(), &stack_document(kept.view())).unwrap();
                    reading.occurrence(now, occurrence.content, &document).unwrap();
                }
            }
            assert_eq!(read(&mut fresh), error.occurrences);
            assert_eq!(read(&mut again), error.occurrences);
        }
    }

    #[test]
    fn stacks_that_were_read_before_are_those_of_occurrences_that_are_read_apart() {
        let now = Timestamp::from_micros(1_790_000_000_000_000);
        let mut texts = Texts::default();
        let (mut stacks, mut known) = (Reading::new(), KnownStacks::default());
        let (mut documents, mut all) = (Vec::new(), Vec::new());
        let mut named = Documents::new();
        for occurrence in
            Payloads::new().report(0, now).errors.into_iter().flat_map(|e| e.occurrences)
        {
            let kept = Texts::default().pack(&occurrence, now, true);
            let (document, stack) = named.occurrence(kept.view());
            stacks.stack(&stack.as_hex(), &stack_document(kept.view())).unwrap();
            stacks.keep_stacks(&mut texts, &mut known);
            documents.push((occurrence.content, document));
            all.push(occurrence);
        }
        // Not in the order in which they were written.
        documents.reverse();
        let mut reading = Reading::knowing(Arc::new(known));
        let mut read = Vec::new();
        for some in documents.chunks(7) {
            for (content, document) in some {
                reading.occurrence(now, *content, document).unwrap();
            }
            reading.pack(&mut texts, |kept| read.push(kept.view().to_occurrence()));
        }
        read.reverse();
        assert_eq!(read, all);
    }

    #[test]
    fn the_stack_of_another_error_is_not_known_any_more() {
        let mut reading = Reading::new();
        reading.stack("ab", r#"[["frame"]]"#).unwrap();
        let document = r#"{"uuid":"u","timestamp":null,"usable":false,"severity":"error","exceptions":[{"class":null,"message":null}],"http":null,"stack":"ab"}"#;
        let mut occurrence =
            || reading.occurrence(Timestamp::EPOCH, ContentHash([0; 16]), document);
        occurrence().unwrap();
        reading.clear();
        let error = reading.occurrence(Timestamp::EPOCH, ContentHash([0; 16]), document);
        assert!(matches!(error, Err(DocumentError::NoStack(name)) if name == "ab"));
        reading.stack("ab", "[]").unwrap();
        let error = reading.occurrence(Timestamp::EPOCH, ContentHash([0; 16]), document);
        assert!(matches!(error, Err(DocumentError::OtherStack(_))));
        assert!(reading.is_empty());
    }
}
