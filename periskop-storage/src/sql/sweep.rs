//! Everything is read in the order in which it lies, where a database keeps rows in that in which they
//! came: read by error, indexes are gone through in another order, and fetch each page several
//! times.
//!
//! What belongs to an error comes in several pieces then. Stacks come first, since occurrences name
//! theirs.

use periskop_core::State;

use super::Trouble;
use super::assemble::{Assembly, Chunk};
use super::dialect::{Dialect, Kind, Row, Statement};
use super::joined::Span;
use super::read::{ERRORS_AT_ONCE, Reader};
use crate::progress::Progress;

/// As many as ten of each of the errors that are read at once.
const OCCURRENCES_AT_ONCE: usize = 10 * ERRORS_AT_ONCE;

/// How much of a load is over once stacks are read, in hundredths.
const STACKS_TAKE: usize = 30;

/// A table, and how much of it has been read.
struct Table {
    name: &'static str,
    /// What tells where a row lies.
    place: &'static str,
    at_once: usize,
    first: i64,
    last: i64,
    /// Up to this one rows have been read.
    through: i64,
}

impl Table {
    fn percent(&self) -> usize {
        let share = |n: i64| i128::from(n) - i128::from(self.first) + 1;
        let percent = share(self.through) * 100 / share(self.last).max(1);
        usize::try_from(percent).unwrap_or(0)
    }
}

impl<D: Dialect> Reader<'_, '_, D> {
    /// Reads all errors and what belongs to them.
    pub(super) async fn sweep(mut self, place: &'static str) -> Result<State, Trouble> {
        let services = self.names().await?;
        let assembly = Assembly::of_errors(std::mem::take(&mut self.builder), services);
        let mut table = self.table("periskop_errors", place, ERRORS_AT_ONCE).await?;
        while let Some(span) = self.next(&mut table).await? {
            let mut chunk = Chunk::default();
            self.joined_errors(span, &mut chunk).await?;
            if !assembly.put(chunk).await {
                break;
            }
        }
        let builder = assembly.finish().await?;

        let mut errors: Vec<_> = builder.digests().map(|id| id.as_bytes().to_vec()).collect();
        errors.sort_unstable();
        let mut progress = Progress::new();
        let mut is_at = |percent| progress.is_at(errors.len() * percent / 100, percent);
        let assembly = Assembly::new(builder);
        for some in errors.chunks(ERRORS_AT_ONCE) {
            let mut chunk = Chunk::default();
            let of = Span::Through(some);
            self.counts(of, &mut chunk).await?;
            self.forgotten(of, &mut chunk.forgotten).await?;
            self.actions(of, &mut chunk.actions).await?;
            self.buckets(of, &mut chunk).await?;
            if !assembly.put(chunk).await {
                break;
            }
        }

        let mut stacks = self.table("periskop_stacks", place, ERRORS_AT_ONCE).await?;
        while let Some(span) = self.next(&mut stacks).await? {
            let mut chunk = Chunk { are_stacks_apart: true, ..Chunk::default() };
            self.stacks(span, &mut chunk).await?;
            if !assembly.put(chunk).await {
                break;
            }
            is_at(STACKS_TAKE * stacks.percent() / 100);
        }
        // Each is known before the first occurrence is read.
        let assembly = Assembly::new(assembly.finish().await?);

        let mut occurrences =
            self.table("periskop_occurrences", place, OCCURRENCES_AT_ONCE).await?;
        while let Some(span) = self.next(&mut occurrences).await? {
            let mut chunk = Chunk::default();
            self.occurrences(span, &mut chunk).await?;
            if !assembly.put(chunk).await {
                break;
            }
            is_at(STACKS_TAKE + (100 - STACKS_TAKE) * occurrences.percent() / 100);
        }
        Ok(assembly.finish().await?.finish())
    }

    /// A table of which nothing has been read.
    async fn table(
        &mut self,
        name: &'static str,
        place: &'static str,
        at_once: usize,
    ) -> Result<Table, Trouble> {
        let ends = format!("SELECT MIN({place}), MAX({place}) FROM {name}");
        let rows = self
            .transaction
            .rows(&Statement::new(D::SYNTAX, ends), &[Kind::Int, Kind::Int])
            .await?;
        let mut ends = (None, None);
        for mut row in rows {
            ends = (row.maybe_int()?, row.maybe_int()?);
        }
        // There is none after the last one of a table without rows.
        let (first, last) = ends.0.zip(ends.1).unwrap_or((1, 0));
        Ok(Table { name, place, at_once, first, last, through: first.saturating_sub(1) })
    }

    /// The rows that are to be read next, which count as read then.
    async fn next(&mut self, table: &mut Table) -> Result<Option<Span<'static>>, Trouble> {
        let Table { name, place, at_once, last, through, .. } = *table;
        if through >= last {
            return Ok(None);
        }
        // There may be any distance from one row to the next.
        let end = Statement::new(D::SYNTAX, format!("SELECT {place} FROM {name} WHERE {place} > "))
            .value(through)
            .sql(&format!(" ORDER BY {place} LIMIT 1 OFFSET {}", at_once - 1));
        let mut ends = self.transaction.rows(&end, &[Kind::Int]).await?;
        table.through = ends.first_mut().map_or(Ok(last), Row::int)?;
        Ok(Some(Span::Places { place, after: through, through: table.through }))
    }
}
