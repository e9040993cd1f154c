//! What an occurrence that gives way was made of, for the next one.
//!
//! In an error storm every report pushes an older occurrence out. Its texts become those of the
//! next report of that thread: a storm does not turn into a storm on the allocator, whose lock the
//! host's own threads need. At most [`TEXTS`] texts of [`ROOM`] bytes are kept per thread.

use std::cell::RefCell;

use periskop_core::{Exception, Occurrence};

/// Texts kept by a thread.
const TEXTS: usize = 16;
/// The most room that a text may have to be kept, in bytes.
const ROOM: usize = 512;
/// Lists kept by a thread, of each kind.
const LISTS: usize = 4;
/// The most room that a list may have to be kept, in entries.
const ENTRIES: usize = 64;

#[derive(Default)]
struct Spare {
    texts: Vec<String>,
    chains: Vec<Vec<Exception>>,
    stacks: Vec<Vec<String>>,
}

thread_local! {
    static SPARE: RefCell<Spare> = RefCell::default();
}

/// An empty text.
pub(crate) fn text() -> String {
    take(|spare| spare.texts.pop())
}

/// An empty chain of exceptions.
pub(crate) fn chain() -> Vec<Exception> {
    take(|spare| spare.chains.pop())
}

/// An empty stack trace.
pub(crate) fn stack() -> Vec<String> {
    take(|spare| spare.stacks.pop())
}

/// A copy of `original`.
pub(crate) fn copy(original: &str) -> String {
    let mut copy = text();
    copy.push_str(original);
    copy
}

/// Takes an occurrence apart.
pub(crate) fn occurrence(occurrence: Occurrence) {
    let Occurrence { name, mut exceptions, .. } = occurrence;
    with(|spare| {
        spare.keep(name);
        for Exception { class, message, mut stacktrace } in exceptions.drain(..) {
            class.into_iter().chain(message).for_each(|text| spare.keep(text));
            stacktrace.drain(..).for_each(|frame| spare.keep(frame));
            if spare.stacks.len() < LISTS && (1..=ENTRIES).contains(&stacktrace.capacity()) {
                spare.stacks.push(stacktrace);
            }
        }
        if spare.chains.len() < LISTS && exceptions.capacity() <= ENTRIES {
            spare.chains.push(exceptions);
        }
    });
}

/// Gives a text back.
pub(crate) fn give(text: String) {
    with(|spare| spare.keep(text));
}

impl Spare {
    fn keep(&mut self, mut text: String) {
        if self.texts.len() < TEXTS && (1..=ROOM).contains(&text.capacity()) {
            text.clear();
            self.texts.push(text);
        }
    }
}

fn take<T: Default>(from: impl FnOnce(&mut Spare) -> Option<T>) -> T {
    with(from).flatten().unwrap_or_default()
}

/// `None` while the thread ends: then there is nothing to save any more.
fn with<T>(run: impl FnOnce(&mut Spare) -> T) -> Option<T> {
    SPARE.try_with(|spare| spare.try_borrow_mut().ok().map(|mut spare| run(&mut spare))).ok()?
}

#[cfg(test)]
mod tests {
    use periskop_core::{ContentHash, Severity};

    use super::*;

    fn of_texts(text: &str, frames: usize) -> Occurrence {
        let stacktrace = vec![text.to_owned(); frames];
        Occurrence {
            name: text.to_owned(),
            content: ContentHash([0; 16]),
            time: None,
            severity: Severity::Error,
            exceptions: vec![Exception { class: None, message: Some(text.to_owned()), stacktrace }],
            http: None,
        }
    }

    #[test]
    fn what_was_one_occurrence_becomes_the_next_and_nothing_of_it_is_seen() {
        std::thread::spawn(|| {
            occurrence(of_texts("secret", 1));
            for _ in 0..3 {
                let text = text();
                assert!(text.is_empty() && text.capacity() > 0);
                std::mem::forget(text);
            }
            assert_eq!(text().capacity(), 0, "each is given once");
            assert!(chain().is_empty() && stack().is_empty());
        })
        .join()
        .unwrap();
    }

    #[test]
    fn a_thread_does_not_hoard() {
        std::thread::spawn(|| {
            for _ in 0..100 {
                occurrence(of_texts("short", 10));
                occurrence(of_texts(&"long".repeat(1000), 10));
            }
            let hoard: usize = SPARE.with_borrow(|spare| {
                assert!(spare.chains.len() <= LISTS && spare.stacks.len() <= LISTS);
                spare.texts.iter().map(String::capacity).sum()
            });
            assert!(hoard <= TEXTS * ROOM, "{hoard}");
        })
        .join()
        .unwrap();
    }
}
