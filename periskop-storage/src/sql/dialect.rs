//! What three databases have in common: statements, their arguments, and the cells of rows.
//!
//! Everything that is written or read goes through [`Dialect`], which has one implementation for
//! each typed driver. What differs between them in SQL is in [`Syntax`]; nothing here is a
//! feature of one server alone.

use super::Trouble;
use super::touched::Stamp;

/// A database, and how it is spoken to.
pub(crate) trait Dialect: Send + Sync + 'static {
    /// One connection.
    type Connection: Send;

    /// Its SQL.
    const SYNTAX: &'static Syntax;

    /// Which database this is, without credentials.
    fn name(&self) -> &str;

    /// What the database looks like from outside. While that is the same nobody has written to it,
    /// and it need not be asked. `None`: only asking helps.
    fn stamp(&self) -> Option<Stamp> {
        None
    }

    /// Connects.
    fn connect(&self) -> impl Future<Output = Result<Self::Connection, sqlx::Error>> + Send;

    /// Runs a statement; how many rows it changed.
    fn execute(
        connection: &mut Self::Connection,
        statement: &Statement,
    ) -> impl Future<Output = Result<u64, sqlx::Error>> + Send;

    /// Runs a query and hands out its rows, which have cells of these kinds.
    fn fetch(
        connection: &mut Self::Connection,
        statement: &Statement,
        kinds: &'static [Kind],
        each: &mut (dyn FnMut(Row) -> Result<(), Trouble> + Send),
    ) -> impl Future<Output = Result<(), Trouble>> + Send;

    /// Ends a connection properly.
    fn disconnect(connection: Self::Connection) -> impl Future<Output = ()> + Send;

    /// Whether the same transaction may succeed when it is tried again at once: another one was
    /// in its way.
    fn is_conflict(error: &sqlx::Error) -> bool;

    /// Whether a query failed because a text that was joined got too long.
    fn is_too_long(_error: &sqlx::Error) -> bool {
        false
    }
}

/// What differs in SQL.
#[derive(Debug)]
pub(crate) struct Syntax {
    /// How arguments are passed.
    pub(crate) style: Style,
    /// As many arguments as a statement may have.
    pub(crate) most_arguments: usize,
    /// Begins a transaction that writes.
    pub(crate) begin: &'static [&'static str],
    /// Begins a transaction that only reads, and reads everything as it is at one moment.
    pub(crate) begin_reading: &'static [&'static str],
    /// The time of the database, in microseconds since the epoch.
    pub(crate) now: &'static str,
    /// Of two values that are not null the greater one.
    pub(crate) greatest: &'static str,
    /// Of two values that are not null the smaller one.
    pub(crate) least: &'static str,
    /// Has rows that are selected wait for whoever is changing them.
    pub(crate) for_update: &'static str,
    /// Whether a transaction that writes reads what others have committed before it got a lock,
    /// rather than what there was at its beginning.
    pub(crate) reads_latest: bool,
    /// One if `{}` is true, else zero.
    pub(crate) one_if: &'static str,
    /// Turns a text into a document, around `{}`.
    pub(crate) to_json: &'static str,
    /// Turns a document into a text, around `{}`.
    pub(crate) from_json: &'static str,
    /// Makes one text of the texts `{}` of a group of rows, with [`DIVIDER`](super::joined::DIVIDER)
    /// between them; `None` where it may not get as long as an error may be.
    pub(crate) join_texts: Option<&'static str>,
    /// Which rows are a group: all, or those of each error, where a query that fails takes its
    /// transaction with it.
    pub(crate) joined_by: &'static str,
    /// Bytes as hexadecimal digits; where rows have a place, those of a text as well.
    pub(crate) to_hex: &'static str,
    /// Whether rows lie in the order of their primary keys, rather than in that in which they came.
    pub(crate) is_clustered: bool,
    /// What tells where a row lies, as a whole number, where rows lie in the order in which they came.
    pub(crate) place: Option<&'static str>,
    /// Removes surplus occurrences of errors; see `write.rs`.
    pub(crate) trim_occurrences: &'static str,
    /// What makes the tables, by version, the first one first.
    pub(crate) migrations: &'static [&'static str],
}

impl Syntax {
    /// One if `condition` is true, else zero.
    pub(crate) fn one_if(&self, condition: &str) -> String {
        self.one_if.replace("{}", condition)
    }

    /// A query for texts in which rows of a table are joined, each of them these cells with a blank
    /// between them; `None` if rows are read one by one.
    pub(crate) fn join_texts(&self, cells: &[Cell], table: &str) -> Option<String> {
        let cell = |cell: &Cell| match *cell {
            Cell::Id(column) | Cell::Text(column) => self.to_hex.replace("{}", column),
            Cell::Int(column) => format!("CAST({column} AS TEXT)"),
            Cell::MaybeInt(column) => format!("COALESCE(CAST({column} AS TEXT), '-')"),
            Cell::Json(column) => self.from_json.replace("{}", column),
        };
        let cells: Vec<_> = cells.iter().map(cell).collect();
        let joined = self.join_texts?.replace("{}", &cells.join(" || ' ' || "));
        Some(format!("SELECT {joined} FROM {table}"))
    }
}

/// A column whose cells are joined into a text.
#[derive(Clone, Copy)]
pub(crate) enum Cell {
    /// 16 bytes, as hexadecimal digits.
    Id(&'static str),
    /// A text, the bytes of which are written in the same way: it may have anything in it.
    Text(&'static str),
    Int(&'static str),
    /// `-` where there is none.
    MaybeInt(&'static str),
    /// At the end.
    Json(&'static str),
}

/// Removes surplus occurrences where a table may be read that is being changed.
pub(super) const TRIM_OCCURRENCES: &str = "DELETE FROM periskop_occurrences \
     WHERE (error, name) IN (SELECT o.error, o.name FROM (\
       SELECT error, name, ordered_at, ROW_NUMBER() OVER \
         (PARTITION BY error ORDER BY ordered_at DESC, name DESC) AS place \
       FROM periskop_occurrences WHERE error{errors}) AS o \
     JOIN periskop_errors AS e ON e.id = o.error \
     WHERE o.place > {keep} OR o.ordered_at <= e.forgotten_through)";

/// How many rows get into one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Style {
    /// `$1` is a whole column, as an array.
    Arrays,
    /// `?` is one value.
    Values,
    /// The same, with MySQL's form of an upsert.
    ValuesOfMySql,
}

/// What a column holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A whole number; a time in microseconds since the epoch.
    Int,
    /// Bytes: a digest, an id, a name that must not be compared as a text.
    Bytes,
    /// A text for people, without NUL.
    Text,
    /// A JSON document.
    Json,
}

/// A value, as an argument or as a cell of a row.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Value {
    Int(Option<i64>),
    Bytes(Option<Vec<u8>>),
    Text(Option<String>),
}

/// What is bound to a placeholder: a value, or a column of them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Argument {
    One(Value),
    Ints(Vec<Option<i64>>),
    Bytes(Vec<Option<Vec<u8>>>),
    Texts(Vec<Option<String>>),
}

/// A statement and its arguments.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Statement {
    pub(crate) sql: String,
    pub(crate) arguments: Vec<Argument>,
    style: Style,
}

impl Statement {
    /// A statement that begins so.
    pub(crate) fn new(syntax: &Syntax, sql: impl Into<String>) -> Self {
        Self { sql: sql.into(), arguments: Vec::new(), style: syntax.style }
    }

    /// Appends SQL.
    pub(crate) fn sql(mut self, sql: &str) -> Self {
        self.sql.push_str(sql);
        self
    }

    /// Appends a value.
    pub(crate) fn value(mut self, value: impl Into<Value>) -> Self {
        self.push(Argument::One(value.into()));
        self
    }

    /// Appends ` IN (…)`, or what is as good; not for an empty list.
    pub(crate) fn one_of(mut self, values: &[Vec<u8>]) -> Self {
        match self.style {
            Style::Arrays => {
                self.sql.push_str(" = ANY(");
                self.push(Argument::Bytes(values.iter().cloned().map(Some).collect()));
                self.sql.push(')');
            }
            Style::Values | Style::ValuesOfMySql => {
                self.sql.push_str(" IN (");
                for i in 0..filled(values.len()) {
                    if i > 0 {
                        self.sql.push(',');
                    }
                    let value = &values[i.min(values.len() - 1)];
                    self.push(Argument::One(value.clone().into()));
                }
                self.sql.push(')');
            }
        }
        self
    }

    /// Appends a placeholder for an argument.
    pub(crate) fn push(&mut self, argument: Argument) {
        use std::fmt::Write as _;
        self.arguments.push(argument);
        match self.style {
            // Writing to a text cannot fail.
            Style::Arrays => drop(write!(self.sql, "${}", self.arguments.len())),
            Style::Values | Style::ValuesOfMySql => self.sql.push('?'),
        }
    }
}

impl From<i64> for Value {
    fn from(value: i64) -> Self {
        Self::Int(Some(value))
    }
}

impl From<Option<i64>> for Value {
    fn from(value: Option<i64>) -> Self {
        Self::Int(value)
    }
}

impl From<Vec<u8>> for Value {
    fn from(value: Vec<u8>) -> Self {
        Self::Bytes(Some(value))
    }
}

impl From<String> for Value {
    fn from(value: String) -> Self {
        Self::Text(Some(value))
    }
}

/// The cells of a row, taken one after the other.
pub(crate) struct Row(std::vec::IntoIter<Value>);

impl Row {
    pub(crate) fn new(cells: Vec<Value>) -> Self {
        Self(cells.into_iter())
    }

    pub(crate) fn maybe_int(&mut self) -> Result<Option<i64>, Trouble> {
        match self.0.next() {
            Some(Value::Int(value)) => Ok(value),
            _ => Err(Trouble::Damaged("a number is missing".to_owned())),
        }
    }

    pub(crate) fn int(&mut self) -> Result<i64, Trouble> {
        self.maybe_int()?.ok_or_else(|| Trouble::Damaged("a number is null".to_owned()))
    }

    pub(crate) fn bytes(&mut self) -> Result<Vec<u8>, Trouble> {
        match self.0.next() {
            Some(Value::Bytes(Some(value))) => Ok(value),
            _ => Err(Trouble::Damaged("an id is missing".to_owned())),
        }
    }

    /// An id of exactly so many bytes.
    pub(crate) fn id<const N: usize>(&mut self) -> Result<[u8; N], Trouble> {
        let bytes = self.bytes()?;
        <[u8; N]>::try_from(&bytes[..])
            .map_err(|_| Trouble::Damaged(format!("an id has {} bytes, not {N}", bytes.len())))
    }

    pub(crate) fn maybe_text(&mut self) -> Result<Option<String>, Trouble> {
        match self.0.next() {
            Some(Value::Text(value)) => Ok(value),
            _ => Err(Trouble::Damaged("a text is missing".to_owned())),
        }
    }

    pub(crate) fn text(&mut self) -> Result<String, Trouble> {
        self.maybe_text()?.ok_or_else(|| Trouble::Damaged("a text is null".to_owned()))
    }
}

/// The typed part of a [`Dialect`], which is the same text for each driver.
macro_rules! driver {
    ($database:ty, $connection:ty) => {
        async fn execute(
            connection: &mut $connection,
            statement: &Statement,
        ) -> Result<u64, sqlx::Error> {
            let done = bound(statement).execute(connection).await?;
            Ok(done.rows_affected())
        }

        async fn fetch(
            connection: &mut $connection,
            statement: &Statement,
            kinds: &'static [Kind],
            each: &mut (dyn FnMut(Row) -> Result<(), Trouble> + Send),
        ) -> Result<(), Trouble> {
            let mut rows = bound(statement).fetch(connection);
            while let Some(row) = rows.try_next().await? {
                let cell = |(i, kind): (usize, &Kind)| -> Result<Value, sqlx::Error> {
                    Ok(match kind {
                        Kind::Int => Value::Int(row.try_get(i)?),
                        Kind::Bytes => Value::Bytes(row.try_get(i)?),
                        Kind::Text | Kind::Json => Value::Text(row.try_get(i)?),
                    })
                };
                let cells = kinds.iter().enumerate().map(cell).collect::<Result<Vec<_>, _>>();
                each(Row::new(cells?))?;
            }
            Ok(())
        }

        async fn disconnect(connection: $connection) {
            // It is gone either way.
            let _ = connection.close().await;
        }
    };
}

/// How many statements a connection remembers: each table's, of each size. One that is forgotten
/// costs MySQL's protocol a pause of 40 ms, since nothing answers to that.
pub(super) const REMEMBERED: usize = 512;

/// Statements are as long as a few sizes allow, so that they are the same again and can be
/// remembered: the smallest that holds `n`. What is missing is filled up by repeating the last
/// row or name; every statement here may say a thing twice.
pub(super) fn filled(n: usize) -> usize {
    let power = n.next_power_of_two();
    if power >= 4 && n <= power / 4 * 3 { power / 4 * 3 } else { power }
}

macro_rules! bound {
    ($database:ty, $($argument:pat => $bind:expr),*) => {
        fn bound(
            statement: &Statement,
        ) -> sqlx::query::Query<'_, $database, <$database as sqlx::Database>::Arguments> {
            let mut query = sqlx::query(sqlx::AssertSqlSafe(statement.sql.as_str()));
            for argument in &statement.arguments {
                query = match argument {
                    Argument::One(Value::Int(value)) => query.bind(*value),
                    Argument::One(Value::Bytes(value)) => query.bind(value.as_deref()),
                    Argument::One(Value::Text(value)) => query.bind(value.as_deref()),
                    $($argument => $bind(query),)*
                };
            }
            query
        }
    };
}

pub(super) use {bound, driver};
