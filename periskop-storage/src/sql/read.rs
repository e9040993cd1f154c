//! From rows to a state: all of them, or those that other processes have written since.
//!
//! Invariant: everything is read as it is at one moment. An error bears the mark of who touched it
//! last, what belongs to it that of who touched that last, and the cursor says whose commits are
//! known: at different moments these would not fit, and something would be skipped for good.

use async_trait::async_trait;
use periskop_core::aggregate::{
    Act, Action, ActionId, Age, Bucket, Incarnation, Known, Since, Tally, Width,
};
use periskop_core::storage::{Cursor, Stored};
use periskop_core::target::LastState;
use periskop_core::wire::state::{StateBuilder, Summary, parse_labels, parse_watermark, unescape};
use periskop_core::{
    AggregateId, ContentHash, ReplicaId, ServiceName, Severity, SourceId, Timestamp,
};

use super::assemble::{Assembly, Chunk, Id, OccurrenceRow, StackRow, Texts};
use super::dialect::{Dialect, Kind, Row, Statement};
use super::{Transaction, Trouble, Work, WorkKind};
use crate::progress::Progress;

use Kind::{Bytes, Int, Json, Text};

/// Of so many errors what belongs to them is read at once: ten megabytes or so.
const ERRORS_AT_ONCE: usize = 512;

/// Reads everything.
pub(super) struct Load;

/// Finds out whether other processes have committed something.
pub(super) struct News<'a> {
    pub(super) cursor: &'a Cursor,
    pub(super) me: Option<ReplicaId>,
}

/// Reads what has changed since then.
pub(super) struct Changes<'a> {
    pub(super) cursor: &'a Cursor,
}

#[async_trait]
impl<D: Dialect> Work<D> for Load {
    type Done = Stored;
    const KIND: WorkKind = WorkKind::Reads;

    async fn work(&self, transaction: &mut Transaction<'_, D>) -> Result<Stored, Trouble> {
        let cursor = commits(transaction).await?.into_iter().collect();
        let state = Reader { transaction, only: String::new(), builder: StateBuilder::new() };
        Ok(Stored { state: state.read().await?, cursor })
    }
}

#[async_trait]
impl<D: Dialect> Work<D> for News<'_> {
    type Done = bool;
    const KIND: WorkKind = WorkKind::Asks;

    async fn work(&self, transaction: &mut Transaction<'_, D>) -> Result<Self::Done, Trouble> {
        let mut commits = commits(transaction).await?.into_iter();
        Ok(commits.any(|(process, commits)| {
            Some(process) != self.me && commits > self.cursor.of(process)
        }))
    }
}

#[async_trait]
impl<D: Dialect> Work<D> for Changes<'_> {
    type Done = Stored;
    const KIND: WorkKind = WorkKind::Reads;

    async fn work(&self, transaction: &mut Transaction<'_, D>) -> Result<Stored, Trouble> {
        let commits = commits(transaction).await?;
        // What this process has written is read as well: a row that another one changed and this
        // one changed after it, without knowing that, bears the mark of this one and holds what
        // the other one wrote.
        let changed: Vec<_> = commits
            .iter()
            .filter(|(process, commits)| *commits > self.cursor.of(*process))
            .map(|(process, _)| {
                let id = process.as_u64().cast_signed();
                format!("(writer = {id} AND commit_number > {})", self.cursor.of(*process))
            })
            .collect();
        let only = match changed.is_empty() {
            true => "(1 = 0)".to_owned(),
            false => format!("({})", changed.join(" OR ")),
        };
        let cursor = commits.into_iter().collect();
        let state = Reader { transaction, only, builder: StateBuilder::new() };
        Ok(Stored { state: state.read().await?, cursor })
    }
}

/// How many commits each process has made.
async fn commits<D: Dialect>(
    transaction: &mut Transaction<'_, D>,
) -> Result<Vec<(ReplicaId, u64)>, Trouble> {
    const KINDS: &[Kind] = &[Int, Int];
    let all = Statement::new(D::SYNTAX, "SELECT id, commits FROM periskop_observers");
    let rows = transaction.rows(&all, KINDS).await?;
    let read =
        |mut row: Row| Ok((ReplicaId::from_u64(row.int()?.cast_unsigned()), count(&mut row)?));
    rows.into_iter().map(read).collect()
}

struct Reader<'a, 'c, D: Dialect> {
    transaction: &'a mut Transaction<'c, D>,
    /// What rows must be, as a condition; empty: all of them.
    only: String,
    builder: StateBuilder,
}

impl<D: Dialect> Reader<'_, '_, D> {
    async fn read(mut self) -> Result<periskop_core::State, Trouble> {
        let mut progress = Progress::new();
        self.services().await?;
        self.sources().await?;
        let errors = self.errors().await?;
        let assembly = Assembly::new(std::mem::take(&mut self.builder));
        for (n, some) in errors.chunks(ERRORS_AT_ONCE).enumerate() {
            let mut chunk = Chunk::default();
            self.counts(some, &mut chunk.counts).await?;
            self.forgotten(some, &mut chunk.forgotten).await?;
            self.stacks(some, &mut chunk.stacks).await?;
            self.occurrences(some, &mut chunk.occurrences).await?;
            self.actions(some, &mut chunk.actions).await?;
            self.buckets(some, &mut chunk.buckets).await?;
            if !assembly.put(chunk).await {
                break;
            }
            let read = n * ERRORS_AT_ONCE + some.len();
            progress.is_at(read, read * 100 / errors.len());
        }
        assembly.finish().await
    }

    /// A query for whole tables.
    fn query(&self, select: &str, marked: &str) -> Statement {
        let mut statement = Statement::new(D::SYNTAX, select);
        if !self.only.is_empty() {
            let only = self.only.replace("writer", &format!("{marked}.writer"));
            let only = only.replace("commit_number", &format!("{marked}.commit_number"));
            statement = statement.sql(" WHERE ").sql(&only);
        }
        statement
    }

    /// A query for what belongs to some errors.
    fn of(&self, select: &str, errors: &[Vec<u8>]) -> Statement {
        let statement = Statement::new(D::SYNTAX, select).sql(" WHERE error").one_of(errors);
        match self.only.is_empty() {
            true => statement,
            false => statement.sql(" AND ").sql(&self.only),
        }
    }

    async fn services(&mut self) -> Result<(), Trouble> {
        let all = self.query("SELECT s.name FROM periskop_services s", "s");
        let builder = &mut self.builder;
        let mut each = |mut row: Row| {
            builder.service(&service(&row.text()?), []);
            Ok(())
        };
        self.transaction.fetch(&all, &[Text], &mut each).await?;
        let observers = self.query(
            "SELECT s.name, o.observer FROM periskop_service_observers o \
             JOIN periskop_services s ON s.id = o.service",
            "o",
        );
        let builder = &mut self.builder;
        let mut each = |mut row: Row| {
            let name = service(&row.text()?);
            builder.service(&name, [ReplicaId::from_u64(row.int()?.cast_unsigned())]);
            Ok(())
        };
        self.transaction.fetch(&observers, &[Text, Int], &mut each).await?;
        let targets = self.query(
            "SELECT s.name, t.url, t.reason, t.is_down, t.since FROM periskop_targets t \
             JOIN periskop_services s ON s.id = t.service",
            "t",
        );
        let builder = &mut self.builder;
        let mut each = |mut row: Row| {
            let name = service(&row.text()?);
            let (url, reason) = (row.text()?, row.text()?);
            let (is_down, since) = (row.int()?, Timestamp::from_micros(row.int()?));
            let last = match is_down {
                0 => LastState::up(since),
                _ => LastState::down(since, &unescape(&reason)),
            };
            builder.target(&name, &unescape(&url), last);
            Ok(())
        };
        self.transaction.fetch(&targets, &[Text, Text, Text, Int, Int], &mut each).await
    }

    async fn sources(&mut self) -> Result<(), Trouble> {
        let labels = D::SYNTAX.from_json.replace("{}", "s.labels");
        let select = format!("SELECT s.id, s.name, {labels}, s.labels_at FROM periskop_sources s");
        let all = self.query(&select, "s");
        let builder = &mut self.builder;
        let mut each = |mut row: Row| {
            let id = SourceId::from_bytes(row.id()?);
            let (name, labels, at) = (row.text()?, row.maybe_text()?, row.maybe_int()?);
            let labels = match (labels, at) {
                (Some(labels), Some(at)) => {
                    Some((Timestamp::from_micros(at), parse_labels(&labels)?))
                }
                _ => None,
            };
            builder.source(id, &unescape(&name), labels);
            Ok(())
        };
        self.transaction.fetch(&all, &[Bytes, Text, Json, Int], &mut each).await
    }

    /// Reads what is known of errors as a whole; the ids of them.
    async fn errors(&mut self) -> Result<Vec<Vec<u8>>, Trouble> {
        let all = self.query(
            "SELECT e.id, s.name, e.aggregation_key, e.first_seen, e.last_seen, e.severity, \
             e.severity_at, e.forgotten_through FROM periskop_errors e \
             JOIN periskop_services s ON s.id = e.service",
            "e",
        );
        let builder = &mut self.builder;
        let mut ids = Vec::new();
        let mut each = |mut row: Row| {
            let id: [u8; 16] = row.id()?;
            let service = service(&row.text()?);
            let key = unescape(&row.text()?).as_ref().into();
            let aggregate = AggregateId { service, key };
            let digest = aggregate.digest();
            if *digest.as_bytes() != id {
                return Err(Trouble::Damaged(format!(
                    "error `{}` of service `{}` has another id than its names give",
                    aggregate.key, aggregate.service
                )));
            }
            let (first_seen, last_seen) = (maybe_time(&mut row)?, maybe_time(&mut row)?);
            let severity = (row.maybe_int()?, maybe_time(&mut row)?);
            let severity = match severity {
                (Some(severity), Some(at)) => Some((at, self::severity(severity)?)),
                _ => None,
            };
            let forgotten_through = maybe_time(&mut row)?;
            let summary = Summary { first_seen, last_seen, severity, forgotten_through };
            builder.error_of(digest, aggregate, summary);
            ids.push(id.to_vec());
            Ok(())
        };
        let kinds = &[Bytes, Text, Text, Int, Int, Int, Int, Int];
        self.transaction.fetch(&all, kinds, &mut each).await?;
        // So that what belongs to those that are read together lies side by side.
        if D::SYNTAX.is_clustered {
            ids.sort_unstable();
        }
        Ok(ids)
    }

    async fn counts(
        &mut self,
        errors: &[Vec<u8>],
        counts: &mut Vec<(Id, Known)>,
    ) -> Result<(), Trouble> {
        let select = "SELECT error, source, numbered_by, is_numbered, life, total, newest, risen, \
                      age FROM periskop_counts";
        let all = self.of(select, errors);
        let mut each = |mut row: Row| {
            let error = row.id()?;
            let incarnation = incarnation(&mut row)?;
            let total = count(&mut row)?;
            let (newest, risen) = (maybe_time(&mut row)?, maybe_time(&mut row)?);
            let age = Age::from_i64(row.int()?);
            let tally = Tally::new(total, newest, risen);
            counts.push((error, Known { incarnation, tally, age }));
            Ok(())
        };
        let kinds = &[Bytes, Bytes, Int, Int, Int, Int, Int, Int, Int];
        self.transaction.fetch(&all, kinds, &mut each).await
    }

    async fn forgotten(
        &mut self,
        errors: &[Vec<u8>],
        forgotten: &mut Vec<(Id, Incarnation, u64)>,
    ) -> Result<(), Trouble> {
        let select = "SELECT error, source, numbered_by, is_numbered, life, total \
                      FROM periskop_forgotten";
        let all = self.of(select, errors);
        let mut each = |mut row: Row| {
            forgotten.push((row.id()?, incarnation(&mut row)?, count(&mut row)?));
            Ok(())
        };
        self.transaction.fetch(&all, &[Bytes, Bytes, Int, Int, Int, Int], &mut each).await
    }

    async fn stacks(
        &mut self,
        errors: &[Vec<u8>],
        stacks: &mut Vec<StackRow>,
    ) -> Result<(), Trouble> {
        let frames = D::SYNTAX.from_json.replace("{}", "frames");
        let from = "FROM periskop_stacks WHERE error";
        // The stack of a new occurrence may be an old one.
        let of = |select: String| Statement::new(D::SYNTAX, select).one_of(errors);
        let Some(all) = D::SYNTAX.join_texts(&format!("{{hex:id}} || ' ' || {frames}")) else {
            let rows = of(format!("SELECT error, id, {frames} {from}"));
            let mut each = |mut row: Row| {
                let (error, id) = (row.id()?, row.id()?);
                stacks.push(StackRow { error, of: Texts::One(id, row.text()?) });
                Ok(())
            };
            return self.transaction.fetch(&rows, &[Bytes, Bytes, Json], &mut each).await;
        };
        let rows = of(format!("SELECT error, {all} {from}")).sql(" GROUP BY error");
        let mut each = |mut row: Row| {
            stacks.push(StackRow { error: row.id()?, of: Texts::All(row.text()?) });
            Ok(())
        };
        self.transaction.fetch(&rows, &[Bytes, Text], &mut each).await
    }

    async fn occurrences(
        &mut self,
        errors: &[Vec<u8>],
        occurrences: &mut Vec<OccurrenceRow>,
    ) -> Result<(), Trouble> {
        let document = D::SYNTAX.from_json.replace("{}", "occurrence");
        let from = "FROM periskop_occurrences";
        let one =
            format!("CAST(ordered_at AS TEXT) || ' ' || {{hex:content}} || ' ' || {document}");
        let Some(all) = D::SYNTAX.join_texts(&one) else {
            let select = format!("SELECT error, {document}, content, ordered_at {from}");
            let rows = self.of(&select, errors);
            let mut each = |mut row: Row| {
                let (error, document) = (row.id()?, row.text()?);
                let (content, time) = (ContentHash(row.id()?), Timestamp::from_micros(row.int()?));
                occurrences
                    .push(OccurrenceRow { error, of: Texts::One((time, content), document) });
                Ok(())
            };
            return self.transaction.fetch(&rows, &[Bytes, Json, Bytes, Int], &mut each).await;
        };
        // A row costs as much as reading what is in it.
        let rows = self.of(&format!("SELECT error, {all} {from}"), errors).sql(" GROUP BY error");
        let mut each = |mut row: Row| {
            occurrences.push(OccurrenceRow { error: row.id()?, of: Texts::All(row.text()?) });
            Ok(())
        };
        self.transaction.fetch(&rows, &[Bytes, Text], &mut each).await
    }

    async fn actions(
        &mut self,
        errors: &[Vec<u8>],
        actions: &mut Vec<(Id, Action)>,
    ) -> Result<(), Trouble> {
        let watermark = D::SYNTAX.from_json.replace("{}", "watermark");
        let select = format!(
            "SELECT error, done_at, id, act, mute_until, mute_further, done_by, why, {watermark} \
             FROM periskop_actions"
        );
        let all = self.of(&select, errors);
        let mut each = |mut row: Row| {
            let error = row.id()?;
            let at = Timestamp::from_micros(row.int()?);
            let id = ActionId(u128::from_be_bytes(row.id()?));
            let word = row.text()?;
            let (until, further) = (maybe_time(&mut row)?, row.maybe_int()?);
            let act = Act::of_parts(&word, until, further.map(i64::cast_unsigned))
                .ok_or_else(|| Trouble::Damaged(format!("`{word}` is no act")))?;
            let (by, why) = (row.text()?, row.text()?);
            let watermark = row.maybe_text()?.map(|w| parse_watermark(&w)).transpose()?;
            let action = Action::stored(id, at, act, &unescape(&by), &unescape(&why), watermark);
            actions.push((error, action));
            Ok(())
        };
        let kinds = &[Bytes, Int, Bytes, Text, Int, Int, Text, Text, Json];
        self.transaction.fetch(&all, kinds, &mut each).await
    }

    async fn buckets(
        &mut self,
        errors: &[Vec<u8>],
        buckets: &mut Vec<(Id, Bucket)>,
    ) -> Result<(), Trouble> {
        let select = "SELECT error, observer, seconds, number, total FROM periskop_buckets";
        let all = self.of(select, errors);
        let mut each = |mut row: Row| {
            let error = row.id()?;
            let observer = ReplicaId::from_u64(row.int()?.cast_unsigned());
            let seconds = row.int()?;
            let width = Width::of_secs(seconds)
                .ok_or_else(|| Trouble::Damaged(format!("a bucket has {seconds} s")))?;
            let (number, count) = (row.int()?, row.int()?);
            let small =
                |n: i64| u32::try_from(n).map_err(|_| Trouble::Damaged(format!("{n} in a bucket")));
            let (number, count) = (small(number)?, small(count)?);
            buckets.push((error, Bucket { observer, width, number, count }));
            Ok(())
        };
        self.transaction.fetch(&all, &[Bytes, Int, Int, Int, Int], &mut each).await
    }
}

fn service(stored: &str) -> ServiceName {
    unescape(stored).as_ref().into()
}

fn maybe_time(row: &mut Row) -> Result<Option<Timestamp>, Trouble> {
    Ok(row.maybe_int()?.map(Timestamp::from_micros))
}

fn count(row: &mut Row) -> Result<u64, Trouble> {
    let n = row.int()?;
    u64::try_from(n).map_err(|_| Trouble::Damaged(format!("a count is {n}")))
}

fn severity(n: i64) -> Result<Severity, Trouble> {
    match n {
        1 => Ok(Severity::Info),
        2 => Ok(Severity::Warning),
        3 => Ok(Severity::Error),
        n => Err(Trouble::Damaged(format!("a severity is {n}"))),
    }
}

fn incarnation(row: &mut Row) -> Result<Incarnation, Trouble> {
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
