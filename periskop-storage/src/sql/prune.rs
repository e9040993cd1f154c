//! What the state has forgotten goes, unless something has been heard of it since.

use async_trait::async_trait;
use periskop_core::observer::Pruned;

use super::dialect::{Dialect, Kind, Statement, filled};
use super::schema::OF_ERRORS;
use super::write::{NAMED_AT_ONCE, incarnation, service_id, target_id};
use super::{Transaction, Trouble, Work, WorkKind};

/// As many errors are looked at in one statement.
const ERRORS_AT_ONCE: usize = 512;

/// Removes what was pruned.
pub(super) struct Prune<'a> {
    pub(super) pruned: &'a Pruned,
}

#[async_trait]
impl<D: Dialect> Work<D> for Prune<'_> {
    type Done = ();
    const KIND: WorkKind = WorkKind::Writes;

    async fn work(&self, transaction: &mut Transaction<'_, D>) -> Result<(), Trouble> {
        self.targets(transaction).await?;
        let mut errors: Vec<_> =
            self.pruned.incarnations.keys().map(|id| id.digest().as_bytes().to_vec()).collect();
        errors.sort_unstable();
        for some in errors.chunks(ERRORS_AT_ONCE) {
            // Whoever writes to them now is waited for; whoever comes later finds them pruned.
            let wait = Statement::new(D::SYNTAX, "SELECT id FROM periskop_errors WHERE id");
            let wait = wait.one_of(some).sql(" ORDER BY id").sql(D::SYNTAX.for_update);
            transaction.rows(&wait, &[Kind::Bytes]).await?;
        }
        self.counts(transaction).await?;
        for some in errors.chunks(ERRORS_AT_ONCE) {
            whole_errors(transaction, some).await?;
        }
        self.sources(transaction).await
    }
}

impl Prune<'_> {
    async fn targets<D: Dialect>(
        &self,
        transaction: &mut Transaction<'_, D>,
    ) -> Result<(), Trouble> {
        for (service, url, last) in &self.pruned.targets {
            let gone = Statement::new(D::SYNTAX, "DELETE FROM periskop_targets WHERE service = ")
                .value(service_id(service))
                .sql(" AND id = ")
                .value(target_id(url))
                .sql(" AND since <= ")
                .value(last.since().as_micros());
            transaction.execute(&gone).await?;
        }
        Ok(())
    }

    async fn counts<D: Dialect>(
        &self,
        transaction: &mut Transaction<'_, D>,
    ) -> Result<(), Trouble> {
        let mut gone = Vec::new();
        for (id, incarnations) in &self.pruned.incarnations {
            let error = id.digest().as_bytes().to_vec();
            for (pruned, age) in incarnations {
                let [source, observer, is_numbered, life] = incarnation(pruned);
                gone.push(([error.clone().into(), source, observer, is_numbered, life], *age));
            }
        }
        let names = ["error", "source", "numbered_by", "is_numbered", "life"];
        for some in gone.chunks(NAMED_AT_ONCE) {
            let mut statement = Statement::new(D::SYNTAX, "DELETE FROM periskop_counts WHERE ");
            for i in 0..filled(some.len()) {
                let (values, age) = &some[i.min(some.len() - 1)];
                statement = statement.sql(if i > 0 { " OR (" } else { "(" });
                for (name, value) in names.iter().zip(values) {
                    statement = statement.sql(name).sql(" = ").value(value.clone()).sql(" AND ");
                }
                statement = statement.sql("age <= ").value(age.as_i64()).sql(")");
            }
            transaction.execute(&statement).await?;
        }
        Ok(())
    }

    /// Sources are remembered while something refers to them.
    async fn sources<D: Dialect>(
        &self,
        transaction: &mut Transaction<'_, D>,
    ) -> Result<(), Trouble> {
        let all = self.pruned.incarnations.values().flatten();
        let mut sources: Vec<_> = all.map(|(i, _)| i.source.as_bytes().to_vec()).collect();
        sources.sort_unstable();
        sources.dedup();
        for some in sources.chunks(ERRORS_AT_ONCE) {
            let unused = Statement::new(D::SYNTAX, "DELETE FROM periskop_sources WHERE id");
            let unused = unused.one_of(some).sql(
                " AND NOT EXISTS (SELECT 1 FROM periskop_counts c \
                 WHERE c.source = periskop_sources.id)",
            );
            transaction.execute(&unused).await?;
        }
        Ok(())
    }
}

/// An error goes with its last incarnation; what people had forgotten of it stays forgotten.
async fn whole_errors<D: Dialect>(
    transaction: &mut Transaction<'_, D>,
    errors: &[Vec<u8>],
) -> Result<(), Trouble> {
    const KINDS: &[Kind] = &[Kind::Bytes, Kind::Int];
    let empty = Statement::new(
        D::SYNTAX,
        format!(
            "SELECT e.id, {} FROM periskop_errors e WHERE e.id",
            D::SYNTAX.one_if(
                "e.forgotten_through IS NOT NULL OR EXISTS \
                 (SELECT 1 FROM periskop_forgotten f WHERE f.error = e.id)"
            )
        ),
    );
    let empty = empty
        .one_of(errors)
        .sql(" AND NOT EXISTS (SELECT 1 FROM periskop_counts c WHERE c.error = e.id)")
        .sql(D::SYNTAX.for_update);
    let (mut gone, mut emptied) = (Vec::new(), Vec::new());
    for mut row in transaction.rows(&empty, KINDS).await? {
        let id = row.bytes()?;
        emptied.push(id.clone());
        if row.int()? == 0 {
            gone.push(id);
        }
    }
    if emptied.is_empty() {
        return Ok(());
    }
    for table in OF_ERRORS {
        // What is forgotten outlives the rest.
        let whose = if table.name == "periskop_forgotten" { &gone } else { &emptied };
        if !whose.is_empty() {
            let sql = format!("DELETE FROM {} WHERE error", table.name);
            transaction.execute(&Statement::new(D::SYNTAX, sql).one_of(whose)).await?;
        }
    }
    if !gone.is_empty() {
        let sql = "DELETE FROM periskop_errors WHERE id";
        transaction.execute(&Statement::new(D::SYNTAX, sql).one_of(&gone)).await?;
    }
    emptied.retain(|id| !gone.contains(id));
    if !emptied.is_empty() {
        let sql = "UPDATE periskop_errors SET first_seen = NULL, last_seen = NULL, \
                   severity = NULL, severity_at = NULL WHERE id";
        transaction.execute(&Statement::new(D::SYNTAX, sql).one_of(&emptied)).await?;
    }
    Ok(())
}
