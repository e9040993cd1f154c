//! From rows to a state: all of them, or those that other processes have written since.
//!
//! Invariant: everything is read as it is at one moment. An error bears the mark of who touched it
//! last, what belongs to it that of who touched that last, and the cursor says whose commits are
//! known: at different moments these would not fit, and something would be skipped for good.

use async_trait::async_trait;
use periskop_core::aggregate::{Act, Action, ActionId, Incarnation};
use periskop_core::storage::{Cursor, Stored};
use periskop_core::target::LastState;
use periskop_core::wire::state::{StateBuilder, parse_labels, parse_watermark, unescape};
use periskop_core::{ContentHash, ReplicaId, ServiceName, SourceId, Timestamp};

use super::assemble::{
    Assembly, Chunk, Id, OccurrenceRow, Services, StackRow, aggregate, bucket, count, incarnation,
    known, maybe_time, summary,
};
use super::dialect::{Cell, Dialect, Kind, Row, Statement};
use super::joined::Span;
use super::{Transaction, Trouble, Work, WorkKind};
use crate::progress::Progress;

use Kind::{Bytes, Int, Json, Text};

/// Of so many errors what belongs to them is read at once: ten megabytes or so.
pub(super) const ERRORS_AT_ONCE: usize = 512;

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

pub(super) struct Reader<'a, 'c, D: Dialect> {
    pub(super) transaction: &'a mut Transaction<'c, D>,
    /// What rows must be, as a condition; empty: all of them.
    only: String,
    pub(super) builder: StateBuilder,
}

impl<D: Dialect> Reader<'_, '_, D> {
    async fn read(mut self) -> Result<periskop_core::State, Trouble> {
        self.services().await?;
        self.sources().await?;
        if let Some(place) = D::SYNTAX.place.filter(|_| self.only.is_empty()) {
            return self.sweep(place).await;
        }
        let errors = self.errors().await?;
        let mut progress = Progress::new();
        let assembly = Assembly::new(std::mem::take(&mut self.builder));
        for (n, some) in errors.chunks(ERRORS_AT_ONCE).enumerate() {
            let mut chunk = Chunk::default();
            let of = Span::Errors(some);
            self.counts(of, &mut chunk).await?;
            self.forgotten(of, &mut chunk.forgotten).await?;
            self.stacks(of, &mut chunk).await?;
            self.occurrences(of, &mut chunk).await?;
            self.actions(of, &mut chunk.actions).await?;
            self.buckets(of, &mut chunk).await?;
            if !assembly.put(chunk).await {
                break;
            }
            let read = n * ERRORS_AT_ONCE + some.len();
            progress.is_at(read, read * 100 / errors.len());
        }
        Ok(assembly.finish().await?.finish())
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

    /// A query for some rows.
    fn of(&self, select: &str, span: Span<'_>) -> Statement {
        let statement = span.of(Statement::new(D::SYNTAX, select));
        match self.only.is_empty() {
            true => statement,
            false => statement.sql(" AND ").sql(&self.only),
        }
    }

    /// Reads rows, joined. If they are too long for one text, they are read in two.
    async fn joined(
        &mut self,
        span: Span<'_>,
        query: impl Fn(&Self, Span<'_>) -> Statement,
        texts: &mut Vec<String>,
    ) -> Result<(), Trouble> {
        let mut left = vec![span];
        while let Some(some) = left.pop() {
            let had = texts.len();
            let mut each = |mut row: Row| {
                texts.extend(row.maybe_text()?);
                Ok(())
            };
            let query = query(self, some).sql(D::SYNTAX.joined_by);
            let read = self.transaction.fetch(&query, &[Text], &mut each).await;
            let is_too_long = match &read {
                Err(Trouble::Database(error)) => D::is_too_long(error),
                Err(_) => false,
                #[cfg(any(test, feature = "testing"))]
                Ok(()) => crate::testing::is_too_long(&texts[had..]),
                #[cfg(not(any(test, feature = "testing")))]
                Ok(()) => false,
            };
            if let Some(halves) = some.halves().filter(|_| is_too_long) {
                texts.truncate(had);
                left.extend(halves);
                continue;
            }
            read?;
        }
        Ok(())
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
            let id: Id = row.id()?;
            let (service, key) = (service(&row.text()?), row.text()?);
            let (digest, aggregate) = aggregate(id, service, &key)?;
            builder.error_of(digest, aggregate, summary(&mut row)?);
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

    /// What services are called.
    pub(super) async fn names(&mut self) -> Result<Services, Trouble> {
        let all = Statement::new(D::SYNTAX, "SELECT id, name FROM periskop_services");
        let mut names = Services::new();
        let mut each = |mut row: Row| {
            names.insert(row.id()?, service(&row.text()?));
            Ok(())
        };
        self.transaction.fetch(&all, &[Bytes, Text], &mut each).await?;
        Ok(names)
    }

    /// Reads what is known of errors as a whole, where a database joins rows.
    pub(super) async fn joined_errors(
        &mut self,
        span: Span<'_>,
        chunk: &mut Chunk,
    ) -> Result<(), Trouble> {
        let cells = [
            Cell::Id("id"),
            Cell::Id("service"),
            Cell::MaybeInt("first_seen"),
            Cell::MaybeInt("last_seen"),
            Cell::MaybeInt("severity"),
            Cell::MaybeInt("severity_at"),
            Cell::MaybeInt("forgotten_through"),
            Cell::Text("aggregation_key"),
        ];
        let all = D::SYNTAX.join_texts(&cells, "periskop_errors").unwrap_or_default();
        let query = |this: &Self, some: Span<'_>| this.of(&all, some);
        self.joined(span, query, &mut chunk.joined.errors).await
    }

    pub(super) async fn counts(
        &mut self,
        span: Span<'_>,
        chunk: &mut Chunk,
    ) -> Result<(), Trouble> {
        let cells = [
            Cell::Id("error"),
            Cell::Id("source"),
            Cell::Int("numbered_by"),
            Cell::Int("is_numbered"),
            Cell::Int("life"),
            Cell::Int("total"),
            Cell::MaybeInt("newest"),
            Cell::MaybeInt("risen"),
            Cell::Int("age"),
        ];
        if let Some(all) = D::SYNTAX.join_texts(&cells, "periskop_counts") {
            let query = |this: &Self, some: Span<'_>| this.of(&all, some);
            return self.joined(span, query, &mut chunk.joined.counts).await;
        }
        let select = "SELECT error, source, numbered_by, is_numbered, life, total, newest, risen, \
                      age FROM periskop_counts";
        let all = self.of(select, span);
        let mut each = |mut row: Row| {
            chunk.counts.push(known(&mut row)?);
            Ok(())
        };
        let kinds = &[Bytes, Bytes, Int, Int, Int, Int, Int, Int, Int];
        self.transaction.fetch(&all, kinds, &mut each).await
    }

    pub(super) async fn forgotten(
        &mut self,
        span: Span<'_>,
        forgotten: &mut Vec<(Id, Incarnation, u64)>,
    ) -> Result<(), Trouble> {
        let select = "SELECT error, source, numbered_by, is_numbered, life, total \
                      FROM periskop_forgotten";
        let all = self.of(select, span);
        let mut each = |mut row: Row| {
            forgotten.push((row.id()?, incarnation(&mut row)?, count(&mut row)?));
            Ok(())
        };
        self.transaction.fetch(&all, &[Bytes, Bytes, Int, Int, Int, Int], &mut each).await
    }

    pub(super) async fn stacks(
        &mut self,
        span: Span<'_>,
        chunk: &mut Chunk,
    ) -> Result<(), Trouble> {
        let cells = [Cell::Id("error"), Cell::Id("id"), Cell::Json("frames")];
        // The stack of a new occurrence may be an old one.
        let query = |select: &str, some: Span<'_>| some.of(Statement::new(D::SYNTAX, select));
        if let Some(all) = D::SYNTAX.join_texts(&cells, "periskop_stacks") {
            let query = |_: &Self, some: Span<'_>| query(&all, some);
            return self.joined(span, query, &mut chunk.joined.stacks).await;
        }
        let frames = D::SYNTAX.from_json.replace("{}", "frames");
        let all = query(&format!("SELECT error, id, {frames} FROM periskop_stacks"), span);
        let mut each = |mut row: Row| {
            let (error, id, frames) = (row.id()?, row.id()?, row.text()?);
            chunk.stacks.push(StackRow { error, id, frames });
            Ok(())
        };
        self.transaction.fetch(&all, &[Bytes, Bytes, Json], &mut each).await
    }

    pub(super) async fn occurrences(
        &mut self,
        span: Span<'_>,
        chunk: &mut Chunk,
    ) -> Result<(), Trouble> {
        let cells = [
            Cell::Id("error"),
            Cell::Int("ordered_at"),
            Cell::Id("content"),
            Cell::Json("occurrence"),
        ];
        if let Some(all) = D::SYNTAX.join_texts(&cells, "periskop_occurrences") {
            let query = |this: &Self, some: Span<'_>| this.of(&all, some);
            return self.joined(span, query, &mut chunk.joined.occurrences).await;
        }
        let document = D::SYNTAX.from_json.replace("{}", "occurrence");
        let select =
            format!("SELECT error, ordered_at, content, {document} FROM periskop_occurrences");
        let all = self.of(&select, span);
        let mut each = |mut row: Row| {
            let (error, time) = (row.id()?, Timestamp::from_micros(row.int()?));
            let (content, document) = (ContentHash(row.id()?), row.text()?);
            chunk.occurrences.push(OccurrenceRow { error, time, content, document });
            Ok(())
        };
        self.transaction.fetch(&all, &[Bytes, Int, Bytes, Json], &mut each).await
    }

    pub(super) async fn actions(
        &mut self,
        span: Span<'_>,
        actions: &mut Vec<(Id, Action)>,
    ) -> Result<(), Trouble> {
        let watermark = D::SYNTAX.from_json.replace("{}", "watermark");
        let select = format!(
            "SELECT error, done_at, id, act, mute_until, mute_further, done_by, why, {watermark} \
             FROM periskop_actions"
        );
        let all = self.of(&select, span);
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

    pub(super) async fn buckets(
        &mut self,
        span: Span<'_>,
        chunk: &mut Chunk,
    ) -> Result<(), Trouble> {
        let cells = [
            Cell::Id("error"),
            Cell::Int("observer"),
            Cell::Int("seconds"),
            Cell::Int("number"),
            Cell::Int("total"),
        ];
        if let Some(all) = D::SYNTAX.join_texts(&cells, "periskop_buckets") {
            let query = |this: &Self, some: Span<'_>| this.of(&all, some);
            return self.joined(span, query, &mut chunk.joined.buckets).await;
        }
        let select = "SELECT error, observer, seconds, number, total FROM periskop_buckets";
        let all = self.of(select, span);
        let mut each = |mut row: Row| {
            chunk.buckets.push(bucket(&mut row)?);
            Ok(())
        };
        self.transaction.fetch(&all, &[Bytes, Int, Int, Int, Int], &mut each).await
    }
}

fn service(stored: &str) -> ServiceName {
    unescape(stored).as_ref().into()
}
