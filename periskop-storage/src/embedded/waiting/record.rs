//! One commit as it waits: how many occurrences of an error are kept (a byte), then entries. Each
//! is the length of its key (two bytes, big-endian), of its value (four), the key and the value.
//!
//! They are those of the tables, as `mod.rs` there has them, less what only the tables need: who
//! counts where, and parts, since a value is whole however long it is. A stack lies under its kind
//! and its name alone, once in a file, before whatever names it. An error comes before what belongs
//! to it, and a service before its observers and targets.

use std::collections::HashSet;

use periskop_core::Delta;
use periskop_core::wire::state::{self, Documents, ErrorParts, StackName, stack_document};

use super::super::key::{self, Key, Short};
use super::super::series;
use super::super::value::{self, Head, Label};

/// The lengths of a key and a value.
pub(super) const ENTRY_HEAD: usize = 6;

/// What is appended for a commit.
pub(super) struct Record {
    pub(super) bytes: Vec<u8>,
    /// The stacks that are new in the file.
    pub(super) stacks: HashSet<Short>,
}

/// A delta as a record of a file that has stacks already; nothing if it is longer than `longest`.
pub(super) fn write(
    delta: &Delta,
    documents: &mut Documents,
    known: &HashSet<Short>,
    longest: usize,
) -> Option<Record> {
    documents.begin();
    let bytes = vec![delta.occurrences_kept()];
    let mut writing = Writing { record: Record { bytes, stacks: HashSet::new() }, known };
    let state = delta.state();
    for service in state::services(state) {
        let name = service.name();
        writing.put(&Key::of_service(key::SERVICE, name), name.as_str().as_bytes());
        for observer in service.observers() {
            writing.put(&Key::of_service(key::OBSERVER, name).observer(observer), &[]);
        }
        for (url, last) in service.targets() {
            let key = Key::of_service(key::TARGET, name).bytes(&key::short(url));
            writing.put(&key, &value::write_target(url, last));
        }
    }
    for (id, source) in state::sources(state) {
        let value = value::write_source(source.name(), source);
        writing.put(&Key::of_source(key::SOURCE, id), &value);
    }
    for error in state::errors(state) {
        writing.error(documents, error);
        if writing.record.bytes.len() > longest {
            return None;
        }
    }
    (writing.record.bytes.len() <= longest).then_some(writing.record)
}

struct Writing<'a> {
    record: Record,
    known: &'a HashSet<Short>,
}

impl Writing<'_> {
    fn error(&mut self, documents: &mut Documents, error: ErrorParts<'_>) {
        let digest = error.digest();
        let key = |kind| Key::of_error(kind, &digest);
        self.put(&key(key::ERROR), &Head::write(error, error.summary()));
        for known in error.counts() {
            self.put(&key(key::COUNT).incarnation(&known.incarnation), &value::write_count(known));
        }
        for action in error.actions() {
            self.put(&value::action_key(&digest, action), &value::write_action(action));
        }
        for (observer, hours) in series::hours(error) {
            for (number, hour) in hours {
                self.put(&key(key::HOUR).observer(observer).number(number), &hour.write());
            }
        }
        for told in error.occurrences() {
            let (document, StackName(stack)) = documents.occurrence(told);
            if !self.known.contains(&stack) && self.record.stacks.insert(stack) {
                self.put(&Key::new(key::STACK).bytes(&stack), stack_document(told).as_bytes());
            }
            let label = Label { content: told.content(), stack };
            let key = key(key::OCCURRENCE).time(told.ordering_time());
            self.put(&key.bytes(told.name().as_bytes()), &label.write(&document));
        }
    }

    fn put(&mut self, key: &Key, value: &[u8]) {
        let key = key.as_ref();
        let bytes = &mut self.record.bytes;
        // A key has 1,054 bytes at most. A value that does not fit is longer than any record.
        let lengths = [key.len() as u64, value.len() as u64].map(u64::to_be_bytes);
        bytes.extend_from_slice(&lengths[0][6..]);
        bytes.extend_from_slice(&lengths[1][4..]);
        bytes.extend_from_slice(key);
        bytes.extend_from_slice(value);
    }
}
