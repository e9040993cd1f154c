//! Rows of which the database has made one text, since each costs as much as what is in it.

use super::Trouble;
use super::dialect::{Row, Statement};

/// Stands between rows. No column that is joined has it in it: ids and numbers have not, and JSON
/// does not allow it.
pub(crate) const DIVIDER: u8 = 0x1e;

/// Rows that are read together.
#[derive(Clone, Copy)]
pub(super) enum Span<'e> {
    /// What belongs to these errors.
    Errors(&'e [Vec<u8>]),
    /// The same, where these are all there are from the first to the last.
    Through(&'e [Vec<u8>]),
    /// What lies after one place, up to another one.
    Places { place: &'static str, after: i64, through: i64 },
}

impl Span<'_> {
    /// A query for these of the rows that `statement` is for.
    pub(super) fn of(self, statement: Statement) -> Statement {
        match self {
            Self::Through([first, .., last]) => statement
                .sql(" WHERE error BETWEEN ")
                .value(first.clone())
                .sql(" AND ")
                .value(last.clone()),
            Self::Errors(errors) | Self::Through(errors) => {
                statement.sql(" WHERE error").one_of(errors)
            }
            Self::Places { place, after, through } => statement
                .sql(&format!(" WHERE {place} > "))
                .value(after)
                .sql(&format!(" AND {place} <= "))
                .value(through),
        }
    }

    /// Two that have the same rows together; none of what cannot be divided.
    pub(super) fn halves(self) -> Option<[Self; 2]> {
        match self {
            Self::Errors(errors) if errors.len() > 1 => {
                let (some, others) = errors.split_at(errors.len() / 2);
                Some([Self::Errors(some), Self::Errors(others)])
            }
            Self::Through(errors) if errors.len() > 1 => {
                let (some, others) = errors.split_at(errors.len() / 2);
                Some([Self::Through(some), Self::Through(others)])
            }
            Self::Places { place, after, through } if through.abs_diff(after) > 1 => {
                let middle = after.midpoint(through);
                Some([
                    Self::Places { place, after, through: middle },
                    Self::Places { place, after: middle, through },
                ])
            }
            _ => None,
        }
    }
}

/// The cells of a row that come one after the other, however it was read.
pub(super) trait Cells {
    fn id(&mut self) -> Result<[u8; 16], Trouble>;
    fn int(&mut self) -> Result<i64, Trouble>;
    fn maybe_int(&mut self) -> Result<Option<i64>, Trouble>;
}

impl Cells for Row {
    fn id(&mut self) -> Result<[u8; 16], Trouble> {
        Row::id(self)
    }

    fn int(&mut self) -> Result<i64, Trouble> {
        Row::int(self)
    }

    fn maybe_int(&mut self) -> Result<Option<i64>, Trouble> {
        Row::maybe_int(self)
    }
}

/// A row of a text: cells with a blank between them, the last of which may have some in it.
pub(super) struct Part<'t>(&'t str);

/// The rows of a text. These texts are gigabytes together, through which `str::split` goes in much
/// smaller steps.
pub(super) fn parts(all: &str) -> impl Iterator<Item = Part<'_>> {
    let mut rest = Some(all);
    std::iter::from_fn(move || {
        let part = rest?;
        let end = memchr::memchr(DIVIDER, part.as_bytes());
        rest = end.map(|end| &part[end + 1..]);
        Some(Part(&part[..end.unwrap_or(part.len())]))
    })
}

impl<'t> Part<'t> {
    /// The last cell.
    pub(super) fn rest(self) -> &'t str {
        self.0
    }

    /// A text of which the bytes are written in hexadecimal digits.
    pub(super) fn text(&mut self) -> Result<String, Trouble> {
        let digits = self.cell().as_bytes();
        let value = |digit: u8| char::from(digit).to_digit(16).and_then(|n| u8::try_from(n).ok());
        let byte = |pair: &[u8]| match *pair {
            [high, low] => Some((value(high)? << 4) | value(low)?),
            _ => None,
        };
        let bytes = digits.chunks(2).map(byte).collect::<Option<Vec<_>>>();
        let text = bytes.and_then(|bytes| String::from_utf8(bytes).ok());
        text.ok_or_else(|| Trouble::Damaged("a text is none".to_owned()))
    }

    fn cell(&mut self) -> &'t str {
        let (cell, rest) = self.0.split_once(' ').unwrap_or((self.0, ""));
        self.0 = rest;
        cell
    }
}

impl Cells for Part<'_> {
    fn id(&mut self) -> Result<[u8; 16], Trouble> {
        let cell = self.cell();
        match u128::from_str_radix(cell, 16) {
            Ok(id) if cell.len() == 32 => Ok(id.to_be_bytes()),
            _ => Err(Trouble::Damaged(format!("an id has {} digits, not 32", cell.len()))),
        }
    }

    fn int(&mut self) -> Result<i64, Trouble> {
        let cell = self.cell();
        cell.parse().map_err(|_| Trouble::Damaged("a number is missing".to_owned()))
    }

    fn maybe_int(&mut self) -> Result<Option<i64>, Trouble> {
        match self.0.strip_prefix('-') {
            Some(rest) if rest.is_empty() || rest.starts_with(' ') => {
                self.cell();
                Ok(None)
            }
            _ => self.int().map(Some),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_come_out_as_the_database_wrote_them() {
        let text = format!("{:032X} -7 - {{\"a b\": 1}}\u{1e}{:032x} 7 -9 4BC3BC1E20 ", 10, 11);
        let mut rows = parts(&text);
        let mut row = rows.next().unwrap();
        assert_eq!(row.id().unwrap(), 10_u128.to_be_bytes());
        assert_eq!((row.int().unwrap(), row.maybe_int().unwrap()), (-7, None));
        assert_eq!(row.rest(), "{\"a b\": 1}");
        let mut row = rows.next().unwrap();
        assert_eq!(row.id().unwrap(), 11_u128.to_be_bytes());
        assert_eq!((row.int().unwrap(), row.maybe_int().unwrap()), (7, Some(-9)));
        assert_eq!(row.text().unwrap(), "Kü\u{1e} ");
        assert_eq!((row.rest(), rows.next().is_none()), ("", true));
    }

    #[test]
    fn a_text_that_is_not_of_that_form_is_damage() {
        for wrong in ["", " ", "x", "ab", "zz00000000000000000000000000000z"] {
            assert!(matches!(Part(wrong).id(), Err(Trouble::Damaged(_))), "{wrong}");
            assert!(matches!(Part(wrong).int(), Err(Trouble::Damaged(_))), "{wrong}");
            assert!(matches!(Part(wrong).maybe_int(), Err(Trouble::Damaged(_))), "{wrong}");
            let text = Part(wrong).text();
            assert!(wrong.trim().is_empty() || text.is_err(), "{wrong}");
        }
    }
}
