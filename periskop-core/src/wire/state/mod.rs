//! The persisted form of a [`State`](crate::State): its parts one by one, for whoever stores them
//! in a way of its own, and as lines of JSON, for whoever moves them.
//!
//! A store takes [`services`], [`sources`] and [`errors`] of a state or a delta apart, and puts
//! what it reads together again with a [`StateBuilder`]. Texts that a database may not take as
//! they are go through [`Text`]; occurrences, watermarks and labels are JSON documents, made and read
//! here alone.
//!
//! Every time is a number of microseconds since the epoch; every id is hexadecimal text. What
//! an older version of this program wrote is read for as long as [`VERSION`] says so: a test
//! reads a frozen file of each version.

mod alike;
mod builder;
mod document;
mod lines;
mod parts;
mod reading;
mod stack;
mod text;

pub use builder::{Slot, StateBuilder};
pub use document::{
    DocumentError, Documents, labels_document, parse_labels, parse_watermark, watermark_document,
};
pub use lines::{Line, LineError, LineReader, lines};
pub use parts::{ErrorParts, ServiceParts, Summary, errors, services, sources};
pub use reading::{KnownStacks, Reading};
pub use stack::{StackName, stack_document};
pub use text::{Text, escape, unescape};

/// The version of what is written. A program reads every version up to its own.
pub const VERSION: u32 = 1;
