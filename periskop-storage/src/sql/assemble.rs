//! What belongs to errors becomes part of a state, on threads of their own, while the next rows
//! come: reading documents takes longer than reading rows.
//!
//! A few chunks are under way at a time, so that a load takes no more memory than they do beside
//! the state.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use periskop_core::aggregate::{Action, Age, Bucket, Incarnation, Known, Since, Tally, Width};
use periskop_core::ids::ErrorDigest;
use periskop_core::wire::state::{Reading, Slot, StackName, StateBuilder, Summary, unescape};
use periskop_core::{
    AggregateId, ContentHash, ReplicaId, ServiceName, Severity, SourceId, Timestamp,
};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::Trouble;
use super::joined::{Cells, Part, parts};

/// More threads than this wait for the database.
const MOST_THREADS: usize = 4;

/// The id of an error in a table.
pub(super) type Id = [u8; 16];

/// What belongs to some errors, of each row whose it is; and the same of rows that were joined.
#[derive(Default)]
pub(super) struct Chunk {
    pub(super) counts: Vec<(Id, Known)>,
    pub(super) forgotten: Vec<(Id, Incarnation, u64)>,
    pub(super) stacks: Vec<StackRow<String>>,
    pub(super) occurrences: Vec<OccurrenceRow<String>>,
    pub(super) actions: Vec<(Id, Action)>,
    pub(super) buckets: Vec<(Id, Bucket)>,
    pub(super) joined: Joined,
    /// Whether the stacks are those of occurrences that come later.
    pub(super) are_stacks_apart: bool,
}

/// Rows that the database has joined.
#[derive(Default)]
pub(super) struct Joined {
    /// Errors as a whole, with the ids of their services.
    pub(super) errors: Vec<String>,
    pub(super) counts: Vec<String>,
    pub(super) stacks: Vec<String>,
    pub(super) occurrences: Vec<String>,
    pub(super) buckets: Vec<String>,
}

/// A stack as it is stored.
pub(super) struct StackRow<T> {
    pub(super) error: Id,
    pub(super) id: [u8; 16],
    pub(super) frames: T,
}

/// An occurrence as it is stored.
pub(super) struct OccurrenceRow<T> {
    pub(super) error: Id,
    pub(super) time: Timestamp,
    pub(super) content: ContentHash,
    pub(super) document: T,
}

/// What services are called, by their ids.
pub(super) type Services = HashMap<Id, ServiceName>;

/// A state that is being put together.
pub(super) struct Assembly {
    chunks: mpsc::Sender<Chunk>,
    workers: JoinSet<Result<(), Trouble>>,
    builder: Arc<Mutex<StateBuilder>>,
}

impl Assembly {
    /// Of a state of which the errors are known by now, and the stacks that are apart from their
    /// occurrences.
    pub(super) fn new(builder: StateBuilder) -> Self {
        Self::of_errors(builder, Services::new())
    }

    /// Of a state of which no more than services are known: errors come first then.
    pub(super) fn of_errors(mut builder: StateBuilder, services: Services) -> Self {
        let services = Arc::new(services);
        let stacks = Arc::new(builder.take_stacks());
        let builder = Arc::new(Mutex::new(builder));
        let (chunks, next) = mpsc::channel(1);
        let next = Arc::new(Mutex::new(next));
        let threads = std::thread::available_parallelism().map_or(1, usize::from);
        let mut workers = JoinSet::new();
        for _ in 0..threads.min(MOST_THREADS) {
            let (builder, next) = (builder.clone(), next.clone());
            let worker = Worker { builder, next, services: services.clone() };
            let reading = Reading::knowing(stacks.clone());
            workers.spawn_blocking(move || worker.run(reading));
        }
        Self { chunks, workers, builder }
    }

    /// Adds a chunk, once there is room. Whether it is of use: not if one before it was not.
    pub(super) async fn put(&self, chunk: Chunk) -> bool {
        self.chunks.send(chunk).await.is_ok()
    }

    /// All of it, as it is put together by now.
    pub(super) async fn finish(mut self) -> Result<StateBuilder, Trouble> {
        drop(self.chunks);
        while let Some(ended) = self.workers.join_next().await {
            match ended {
                Ok(done) => done?,
                Err(error) if error.is_panic() => std::panic::resume_unwind(error.into_panic()),
                Err(_) => return Err(Trouble::Interrupted),
            }
        }
        Ok(std::mem::take(&mut *lock(&self.builder)))
    }
}

/// One of those who take chunks.
struct Worker {
    builder: Arc<Mutex<StateBuilder>>,
    next: Arc<Mutex<mpsc::Receiver<Chunk>>>,
    services: Arc<Services>,
}

impl Worker {
    fn run(self, mut reading: Reading) -> Result<(), Trouble> {
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
        let joined = &chunk.joined;
        let errors = rows(&joined.errors).map(|row| self.error(row));
        for (digest, aggregate, summary) in errors.collect::<Result<Vec<_>, _>>()? {
            lock(&self.builder).error_of(digest, aggregate, summary);
        }
        for mut row in rows(&joined.counts) {
            chunk.counts.push(known(&mut row)?);
        }
        for mut row in rows(&joined.buckets) {
            chunk.buckets.push(bucket(&mut row)?);
        }
        {
            let builder = &mut *lock(&self.builder);
            for (error, known) in chunk.counts {
                let Some(slot) = slot_of(builder, error) else { continue };
                builder.count(slot, known);
            }
            for (error, incarnation, count) in chunk.forgotten {
                let Some(slot) = slot_of(builder, error) else { continue };
                builder.forgotten(slot, incarnation, count);
            }
            for (error, action) in chunk.actions {
                let Some(slot) = slot_of(builder, error) else { continue };
                builder.action(slot, action);
            }
            for (error, bucket) in chunk.buckets {
                let Some(slot) = slot_of(builder, error) else { continue };
                builder.bucket(slot, bucket);
            }
        }
        let mut stacks: Vec<_> = chunk.stacks.iter().map(StackRow::borrowed).collect();
        for row in rows(&joined.stacks) {
            stacks.push(StackRow::of(row)?);
        }
        if chunk.are_stacks_apart {
            for row in stacks {
                reading.clear();
                reading.stack(&StackName(row.id).as_hex(), row.frames)?;
                lock(&self.builder).stacks(reading);
            }
            return Ok(());
        }
        let mut occurrences: Vec<_> =
            chunk.occurrences.iter().map(OccurrenceRow::borrowed).collect();
        for row in rows(&joined.occurrences) {
            occurrences.push(OccurrenceRow::of(row)?);
        }
        stacks.sort_unstable_by_key(|row| row.error);
        occurrences.sort_unstable_by_key(|row| row.error);
        let mut stacks = stacks.into_iter().peekable();
        for of_error in occurrences.chunk_by(|a, b| a.error == b.error) {
            let error = of_error[0].error;
            reading.clear();
            while let Some(row) = stacks.next_if(|row| row.error <= error) {
                if row.error == error {
                    reading.stack(&StackName(row.id).as_hex(), row.frames)?;
                }
            }
            for row in of_error {
                reading.occurrence(row.time, row.content, row.document)?;
            }
            let mut builder = lock(&self.builder);
            let Some(slot) = slot_of(&builder, error) else { continue };
            builder.occurrences(slot, reading);
        }
        Ok(())
    }

    fn error(&self, mut row: Part<'_>) -> Result<(ErrorDigest, AggregateId, Summary), Trouble> {
        let (id, service) = (row.id()?, row.id()?);
        let summary = summary(&mut row)?;
        let key = row.text()?;
        let service = self.services.get(&service).ok_or_else(|| {
            Trouble::Damaged(format!("error `{key}` is of a service that is not there"))
        })?;
        let (digest, aggregate) = aggregate(id, service.clone(), &key)?;
        Ok((digest, aggregate, summary))
    }
}

fn rows(texts: &[String]) -> impl Iterator<Item = Part<'_>> {
    texts.iter().flat_map(|text| parts(text))
}

impl StackRow<String> {
    fn borrowed(&self) -> StackRow<&str> {
        StackRow { error: self.error, id: self.id, frames: &self.frames }
    }
}

impl<'t> StackRow<&'t str> {
    fn of(mut row: Part<'t>) -> Result<Self, Trouble> {
        Ok(Self { error: row.id()?, id: row.id()?, frames: row.rest() })
    }
}

impl OccurrenceRow<String> {
    fn borrowed(&self) -> OccurrenceRow<&str> {
        let Self { error, time, content, document } = self;
        OccurrenceRow { error: *error, time: *time, content: *content, document }
    }
}

impl<'t> OccurrenceRow<&'t str> {
    fn of(mut row: Part<'t>) -> Result<Self, Trouble> {
        let error = row.id()?;
        let time = Timestamp::from_micros(row.int()?);
        let content = ContentHash(row.id()?);
        Ok(Self { error, time, content, document: row.rest() })
    }
}

/// The error that has these names, in the form in which they are stored.
pub(super) fn aggregate(
    id: Id,
    service: ServiceName,
    key: &str,
) -> Result<(ErrorDigest, AggregateId), Trouble> {
    let aggregate = AggregateId { service, key: unescape(key).as_ref().into() };
    let digest = aggregate.digest();
    if *digest.as_bytes() != id {
        return Err(Trouble::Damaged(format!(
            "error `{}` of service `{}` has another id than its names give",
            aggregate.key, aggregate.service
        )));
    }
    Ok((digest, aggregate))
}

/// What is known of an error as a whole.
pub(super) fn summary(row: &mut impl Cells) -> Result<Summary, Trouble> {
    let (first_seen, last_seen) = (maybe_time(row)?, maybe_time(row)?);
    let severity = match (row.maybe_int()?, maybe_time(row)?) {
        (Some(severity), Some(at)) => Some((at, self::severity(severity)?)),
        _ => None,
    };
    let forgotten_through = maybe_time(row)?;
    Ok(Summary { first_seen, last_seen, severity, forgotten_through })
}

fn severity(n: i64) -> Result<Severity, Trouble> {
    match n {
        1 => Ok(Severity::Info),
        2 => Ok(Severity::Warning),
        3 => Ok(Severity::Error),
        n => Err(Trouble::Damaged(format!("a severity is {n}"))),
    }
}

/// What one incarnation counted.
pub(super) fn known(row: &mut impl Cells) -> Result<(Id, Known), Trouble> {
    let error = row.id()?;
    let incarnation = incarnation(row)?;
    let total = count(row)?;
    let (newest, risen) = (maybe_time(row)?, maybe_time(row)?);
    let age = Age::from_i64(row.int()?);
    let tally = Tally::new(total, newest, risen);
    Ok((error, Known { incarnation, tally, age }))
}

/// What an observer saw within some time.
pub(super) fn bucket(row: &mut impl Cells) -> Result<(Id, Bucket), Trouble> {
    let error = row.id()?;
    let observer = ReplicaId::from_u64(row.int()?.cast_unsigned());
    let seconds = row.int()?;
    let width = Width::of_secs(seconds)
        .ok_or_else(|| Trouble::Damaged(format!("a bucket has {seconds} s")))?;
    let (number, count) = (row.int()?, row.int()?);
    let small = |n: i64| u32::try_from(n).map_err(|_| Trouble::Damaged(format!("{n} in a bucket")));
    let (number, count) = (small(number)?, small(count)?);
    Ok((error, Bucket { observer, width, number, count }))
}

pub(super) fn maybe_time(row: &mut impl Cells) -> Result<Option<Timestamp>, Trouble> {
    Ok(row.maybe_int()?.map(Timestamp::from_micros))
}

pub(super) fn count(row: &mut impl Cells) -> Result<u64, Trouble> {
    let n = row.int()?;
    u64::try_from(n).map_err(|_| Trouble::Damaged(format!("a count is {n}")))
}

pub(super) fn incarnation(row: &mut impl Cells) -> Result<Incarnation, Trouble> {
    let source = SourceId::from_bytes(row.id()?);
    let observer = ReplicaId::from_u64(row.int()?.cast_unsigned());
    let (is_numbered, life) = (row.int()?, row.int()?);
    let since = match is_numbered {
        0 => Since::CreatedAt(Timestamp::from_micros(life)),
        _ => {
            let n = u32::try_from(life);
            Since::Reset { observer, n: n.map_err(|_| Trouble::Damaged(format!("life {life}")))? }
        }
    };
    Ok(Incarnation { source, since })
}

/// None where there is no such error. What belongs to it then is of no use to anybody, and no harm.
fn slot_of(builder: &StateBuilder, error: Id) -> Option<Slot> {
    builder.slot(&ErrorDigest::from_bytes(error))
}

/// Who panics while it has the lock ends the whole load.
fn lock<T>(shared: &Mutex<T>) -> MutexGuard<'_, T> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}
