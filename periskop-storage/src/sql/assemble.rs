//! What belongs to errors becomes part of a state, on threads of their own, while the next rows
//! come: reading documents takes longer than reading rows.
//!
//! A few chunks are under way at a time, so that a load takes no more memory than they do beside
//! the state.

use std::iter;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use periskop_core::aggregate::{Action, Bucket, Incarnation, Known};
use periskop_core::ids::ErrorDigest;
use periskop_core::wire::state::{Reading, Slot, StackName, StateBuilder};
use periskop_core::{ContentHash, State, Timestamp};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Trouble;

/// More threads than this wait for the database.
const MOST_THREADS: usize = 4;

/// The id of an error in a table.
pub(super) type Id = [u8; 16];

/// What belongs to some errors, of each row whose it is.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) counts: Vec<(Id, Known)>,
    pub(super) forgotten: Vec<(Id, Incarnation, u64)>,
    pub(super) stacks: Vec<StackRow>,
    pub(super) occurrences: Vec<OccurrenceRow>,
    pub(super) actions: Vec<(Id, Action)>,
    pub(super) buckets: Vec<(Id, Bucket)>,
}

/// Stacks as they are stored.
pub(super) struct StackRow {
    pub(super) error: Id,
    pub(super) of: Texts<[u8; 16]>,
}

/// Occurrences as they are stored.
pub(super) struct OccurrenceRow {
    pub(super) error: Id,
    pub(super) of: Texts<(Timestamp, ContentHash)>,
}

/// A document and what stands beside it, or all those of an error, made one text by the database.
pub(super) enum Texts<T> {
    One(T, String),
    All(String),
}

/// Stands between the parts of what the database makes one text. No document has it in it: JSON
/// does not allow that.
pub(super) const DIVIDER: u8 = 0x1e;

/// A state that is being put together.
pub(super) struct Assembly {
    chunks: mpsc::Sender<Chunk>,
    workers: JoinSet<Result<(), Trouble>>,
    builder: Arc<Mutex<StateBuilder>>,
}

impl Assembly {
    /// Of a state of which the errors are known by now.
    pub(super) fn new(builder: StateBuilder) -> Self {
        let builder = Arc::new(Mutex::new(builder));
        let (chunks, next) = mpsc::channel(1);
        let next = Arc::new(Mutex::new(next));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut workers = JoinSet::new();
        for _ in 0..threads.min(MOST_THREADS) {
            let worker = Worker { builder: builder.clone(), next: next.clone() };
            workers.spawn_blocking(move || worker.run());
        }
        Self { chunks, workers, builder }
    }

    /// Adds a chunk, once there is room. Whether it is of use: not if one before it was not.
    pub(super) async fn put(&self, chunk: Chunk) -> bool {
        self.chunks.send(chunk).await.is_ok()
    }

    /// All of it.
    pub(super) async fn finish(mut self) -> Result<State, Trouble> {
        drop(self.chunks);
        while let Some(ended) = self.workers.join_next().await {
            match ended {
                Ok(done) => done?,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return Err(Trouble::Interrupted),
            }
        }
        Ok(std::mem::take(&mut *lock(&self.builder)).finish())
    }
}

/// One of those who take chunks.
struct Worker {
    builder: Arc<Mutex<StateBuilder>>,
    next: Arc<Mutex<mpsc::Receiver<Chunk>>>,
}

impl Worker {
    fn run(self) -> Result<(), Trouble> {
        let mut reading = Reading::new();
        loop {
            // Whoever has the lock waits for the next chunk, the others wait for the lock.
            let Some(chunk) = lock(&self.next).blocking_recv() else { return Ok(()) };
            if let Err(trouble) = self.take(chunk, &mut reading) {
                lock(&self.next).close();
                return Err(trouble);
            }
        }
    }

    fn take(&self, mut chunk: Chunk, reading: &mut Reading) -> Result<(), Trouble> {
        {
            let builder = &mut *lock(&self.builder);
            for (error, known) in chunk.counts {
                builder.count(slot_of(builder, error)?, known);
            }
            for (error, incarnation, count) in chunk.forgotten {
                builder.forgotten(slot_of(builder, error)?, incarnation, count);
            }
            for (error, action) in chunk.actions {
                builder.action(slot_of(builder, error)?, action);
            }
            for (error, bucket) in chunk.buckets {
                builder.bucket(slot_of(builder, error)?, bucket);
            }
        }
        chunk.stacks.sort_unstable_by_key(|row| row.error);
        chunk.occurrences.sort_unstable_by_key(|row| row.error);
        let mut stacks = chunk.stacks.iter().peekable();
        for of_error in chunk.occurrences.chunk_by(|a, b| a.error == b.error) {
            let error = of_error[0].error;
            reading.clear();
            while let Some(row) = stacks.next_if(|row| row.error <= error) {
                if row.error == error {
                    row.read(reading)?;
                }
            }
            for row in of_error {
                row.read(reading)?;
            }
            let mut builder = lock(&self.builder);
            let slot = slot_of(&builder, error)?;
            builder.occurrences(slot, reading);
        }
        Ok(())
    }
}

impl StackRow {
    fn read(&self, reading: &mut Reading) -> Result<(), Trouble> {
        match &self.of {
            Texts::One(id, frames) => reading.stack(&StackName(*id).as_hex(), frames)?,
            Texts::All(all) => {
                for stack in parts(all) {
                    let (id, frames) = stack.split_once(' ').unwrap_or_default();
                    reading.stack(&StackName(unhex(id)?).as_hex(), frames)?;
                }
            }
        }
        Ok(())
    }
}

impl OccurrenceRow {
    fn read(&self, reading: &mut Reading) -> Result<(), Trouble> {
        match &self.of {
            Texts::One((time, content), document) => {
                reading.occurrence(*time, *content, document)?;
            }
            Texts::All(all) => {
                for occurrence in parts(all) {
                    let (time, rest) = occurrence.split_once(' ').unwrap_or_default();
                    let (content, document) = rest.split_once(' ').unwrap_or_default();
                    let time = time.parse().map(Timestamp::from_micros);
                    let time =
                        time.map_err(|_| Trouble::Damaged("an occurrence has no time".to_owned()))?;
                    reading.occurrence(time, ContentHash(unhex(content)?), document)?;
                }
            }
        }
        Ok(())
    }
}

/// What a [`DIVIDER`] stands between. These texts are gigabytes together, through which `str::split`
/// goes in much smaller steps.
fn parts(all: &str) -> impl Iterator<Item = &str> {
    let mut rest = Some(all);
    iter::from_fn(move || {
        let part = rest?;
        let end = memchr::memchr(DIVIDER, part.as_bytes());
        rest = end.map(|end| &part[end + 1..]);
        Some(&part[..end.unwrap_or(part.len())])
    })
}

fn slot_of(builder: &StateBuilder, error: Id) -> Result<Slot, Trouble> {
    let digest = ErrorDigest::from_bytes(error);
    builder.slot(&digest).ok_or_else(|| Trouble::Damaged(format!("error {digest:?} is missing")))
}

/// Who panics while it has the lock ends the whole load.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

fn unhex(text: &str) -> Result<[u8; 16], Trouble> {
    match u128::from_str_radix(text, 16) {
        Ok(id) if text.len() == 32 => Ok(id.to_be_bytes()),
        _ => Err(Trouble::Damaged(format!("an id has {} digits, not 32", text.len()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OCCURRENCE: &str = r#"{"uuid":"u","timestamp":null,"usable":false,"severity":"error","exceptions":[{"class":null,"message":null}],"http":null,"stack":"0000000000000000000000000000000a"}"#;

    fn read(all: &str) -> Result<Reading, Trouble> {
        let mut reading = Reading::new();
        let stack = "0000000000000000000000000000000A [[\"frame\"]]".to_owned();
        StackRow { error: [0; 16], of: Texts::All(stack) }.read(&mut reading)?;
        let of = Texts::All(all.to_owned());
        OccurrenceRow { error: [0; 16], of }.read(&mut reading)?;
        Ok(reading)
    }

    #[test]
    fn all_of_an_error_in_one_text_are_read() {
        let one = format!("-7 {:032X} {OCCURRENCE}", 1);
        assert!(!read(&one).unwrap().is_empty());
        let another = OCCURRENCE.replace(r#""uuid":"u""#, r#""uuid":" two words ""#);
        assert!(!read(&format!("{one}\u{1e}7 {:032x} {another}", 2)).unwrap().is_empty());
    }

    #[test]
    fn a_text_that_is_not_of_that_form_is_damage() {
        for wrong in ["", " ", "x y z", "7 ab {}", "7 zz00000000000000000000000000000z {}"] {
            assert!(matches!(read(wrong), Err(Trouble::Damaged(_))), "{wrong}");
        }
    }
}
