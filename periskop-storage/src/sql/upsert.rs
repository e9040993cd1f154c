//! Many rows at once, joined with what is there.

use super::dialect::{Argument, Dialect, Kind, Statement, Style, Syntax, Value, filled};
use super::schema::{Column, Rule, Table};
use super::{Transaction, Trouble};

/// As many bytes of arguments as go into one statement, unless one row has more: MariaDB takes
/// packets of 16 MiB unless it is told otherwise.
const MOST_BYTES: usize = 4 << 20;

/// As many rows as go into one statement.
const MOST_ROWS: usize = 5_000;

/// Rows of a table, to be joined with what is there. No two may have the same key.
#[derive(Debug)]
pub(super) struct Batch {
    table: &'static Table,
    rows: Vec<Vec<Value>>,
}

impl Batch {
    pub(super) fn new(table: &'static Table) -> Self {
        Self { table, rows: Vec::new() }
    }

    /// Adds a row: the values of all columns but the marks.
    pub(super) fn push<const N: usize>(&mut self, row: [Value; N]) {
        debug_assert_eq!(N + self.table.marks(), self.table.columns.len(), "{}", self.table.name);
        self.rows.push(row.into());
    }

    /// Writes it as part of a commit.
    pub(super) async fn write<D: Dialect>(
        self,
        transaction: &mut Transaction<'_, D>,
        writer: i64,
        commit: i64,
    ) -> Result<(), Trouble> {
        for statement in self.statements(D::SYNTAX, writer, commit) {
            transaction.execute(&statement).await?;
        }
        Ok(())
    }

    fn statements(self, syntax: &Syntax, writer: i64, commit: i64) -> Vec<Statement> {
        let marks = [Value::from(writer), Value::from(commit)];
        let marks = &marks[..self.table.marks()];
        let most_rows = match syntax.style {
            Style::Arrays => MOST_ROWS,
            // Filled up, it is half as long again at most.
            _ => MOST_ROWS.min(syntax.most_arguments / self.table.columns.len() * 2 / 3),
        };
        let mut statements = Vec::new();
        let mut rows = Vec::new();
        let mut bytes = 0;
        for row in self.rows {
            let length = row.iter().map(length).sum::<usize>();
            if rows.len() >= most_rows || (bytes + length > MOST_BYTES && !rows.is_empty()) {
                statements.push(statement(self.table, syntax, std::mem::take(&mut rows)));
                bytes = 0;
            }
            bytes += length;
            rows.push(row.into_iter().chain(marks.iter().cloned()).collect());
        }
        if !rows.is_empty() {
            statements.push(statement(self.table, syntax, rows));
        }
        statements
    }
}

impl Table {
    fn marks(&self) -> usize {
        self.columns.iter().filter(|column| column.rule == Rule::Mark).count()
    }
}

fn length(value: &Value) -> usize {
    match value {
        Value::Int(_) => 8,
        Value::Bytes(bytes) => bytes.as_ref().map_or(0, Vec::len),
        Value::Text(text) => text.as_ref().map_or(0, String::len),
    }
}

fn statement(table: &Table, syntax: &Syntax, rows: Vec<Vec<Value>>) -> Statement {
    let names = list(table.columns.iter().map(|column| column.name));
    let begin = format!("INSERT INTO {} ({names}) ", table.name);
    let mut statement = Statement::new(syntax, begin);
    match syntax.style {
        Style::Arrays => arrays(&mut statement, table, syntax, rows),
        Style::Values | Style::ValuesOfMySql => values(&mut statement, table, syntax, rows),
    }
    let updates: Vec<_> = table
        .columns
        .iter()
        .filter_map(|column| Some(format!("{} = {}", column.name, join(table, syntax, column)?)))
        .collect();
    let keys = list(table.keys());
    statement.sql(&match (syntax.style, updates.is_empty()) {
        (Style::ValuesOfMySql, false) => format!(" ON DUPLICATE KEY UPDATE {}", updates.join(", ")),
        // Nothing to join: that it is there is all there is to know.
        (Style::ValuesOfMySql, true) => {
            format!(" ON DUPLICATE KEY UPDATE {0} = {0}", table.columns[0].name)
        }
        (_, false) => format!(" ON CONFLICT ({keys}) DO UPDATE SET {}", updates.join(", ")),
        (_, true) => format!(" ON CONFLICT ({keys}) DO NOTHING"),
    })
}

/// One array for each column, so that the statement is the same for any number of rows.
fn arrays(statement: &mut Statement, table: &Table, syntax: &Syntax, rows: Vec<Vec<Value>>) {
    let selected = table.columns.iter().map(|column| match column.kind {
        Kind::Json => syntax.to_json.replace("{}", &format!("r.{}", column.name)),
        _ => format!("r.{}", column.name),
    });
    statement.sql.push_str(&format!("SELECT {} FROM UNNEST(", list(selected)));
    let mut columns: Vec<Vec<Value>> =
        table.columns.iter().map(|_| Vec::with_capacity(rows.len())).collect();
    for row in rows {
        for (column, value) in columns.iter_mut().zip(row) {
            column.push(value);
        }
    }
    for (i, (column, values)) in table.columns.iter().zip(columns).enumerate() {
        if i > 0 {
            statement.sql.push_str(", ");
        }
        let (argument, cast) = match column.kind {
            Kind::Int => (Argument::Ints(values.iter().map(int).collect()), "::BIGINT[]"),
            Kind::Bytes => (Argument::Bytes(values.into_iter().map(bytes).collect()), "::BYTEA[]"),
            Kind::Text | Kind::Json => {
                (Argument::Texts(values.into_iter().map(text).collect()), "::TEXT[]")
            }
        };
        statement.push(argument);
        statement.sql.push_str(cast);
    }
    let names = list(table.columns.iter().map(|column| column.name));
    statement.sql.push_str(&format!(") AS r({names})"));
}

fn values(statement: &mut Statement, table: &Table, syntax: &Syntax, mut rows: Vec<Vec<Value>>) {
    statement.sql.push_str("VALUES ");
    if let Some(last) = rows.last().cloned() {
        rows.resize(filled(rows.len()), last);
    }
    for (i, row) in rows.into_iter().enumerate() {
        statement.sql.push_str(if i > 0 { ",(" } else { "(" });
        for (j, (column, value)) in table.columns.iter().zip(row).enumerate() {
            if j > 0 {
                statement.sql.push(',');
            }
            let (before, after) = match column.kind {
                Kind::Json => syntax.to_json.split_once("{}").unwrap_or_default(),
                _ => ("", ""),
            };
            statement.sql.push_str(before);
            statement.push(Argument::One(value));
            statement.sql.push_str(after);
        }
        statement.sql.push(')');
    }
}

/// What a column becomes where the row is there already; `None`: what it was.
fn join(table: &Table, syntax: &Syntax, column: &Column) -> Option<String> {
    let name = column.name;
    let ours = |name: &str| format!("{}.{name}", table.name);
    let theirs = |name: &str| match syntax.style {
        Style::ValuesOfMySql => format!("VALUES({name})"),
        _ => format!("excluded.{name}"),
    };
    let (old, new) = (ours(name), theirs(name));
    match column.rule {
        Rule::Key | Rule::Fixed => None,
        Rule::Mark => Some(new),
        Rule::Max => Some(format!("COALESCE({}({old}, {new}), {old}, {new})", syntax.greatest)),
        Rule::Min => Some(format!("COALESCE({}({old}, {new}), {old}, {new})", syntax.least)),
        Rule::Follows(ranks) => {
            let greatest = ranks[0];
            let comparable = |name: &str, side: &dyn Fn(&str) -> String| {
                let is_json = table.columns.iter().any(|c| c.name == name && c.kind == Kind::Json);
                match is_json {
                    true => syntax.from_json.replace("{}", &side(name)),
                    false => side(name),
                }
            };
            // Written out, since not every server compares rows with what may be null.
            let mut greater = Vec::new();
            for (i, rank) in ranks.iter().enumerate() {
                let mut both: Vec<_> = ranks[..i]
                    .iter()
                    .map(|r| format!("{} = {}", comparable(r, &theirs), comparable(r, &ours)))
                    .collect();
                both.push(format!("{} > {}", comparable(rank, &theirs), comparable(rank, &ours)));
                greater.push(format!("({})", both.join(" AND ")));
            }
            Some(format!(
                "CASE WHEN {} IS NOT NULL AND ({} IS NULL OR {}) THEN {new} ELSE {old} END",
                theirs(greatest),
                ours(greatest),
                greater.join(" OR ")
            ))
        }
    }
}

fn list(names: impl Iterator<Item = impl AsRef<str>>) -> String {
    names.fold(String::new(), |mut list, name| {
        if !list.is_empty() {
            list.push_str(", ");
        }
        list.push_str(name.as_ref());
        list
    })
}

fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(value) => *value,
        _ => None,
    }
}

fn bytes(value: Value) -> Option<Vec<u8>> {
    match value {
        Value::Bytes(value) => value,
        _ => None,
    }
}

fn text(value: Value) -> Option<String> {
    match value {
        Value::Text(value) => value,
        _ => None,
    }
}
