//! What was measured, beside what it may be.

use std::fmt;
use std::io::{self, Write as _};

use serde::Serialize;

/// All rows of a run.
#[derive(Debug, Default, Serialize)]
pub struct Table {
    /// What was measured.
    pub rows: Vec<Row>,
    /// What could not be, and why.
    pub failed: Vec<String>,
}

/// A figure, its yardstick and its goal.
#[derive(Clone, Debug, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// What it may be.
    pub goal: Goal,
    /// What it is.
    pub measured: Quantity,
    /// What it is measured by, from the same run.
    pub yardstick: Option<Yardstick>,
}

/// What a figure may be.
#[derive(Clone, Copy, Debug, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Goal {
    /// The yardstick so many times.
    Times(f64),
    /// So much, in the unit of the figure.
    AtMost(f64),
    /// No less than so much.
    AtLeast(f64),
    /// It is only told.
    Told,
}

/// A number and what is counted.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Quantity {
    /// How many.
    pub value: f64,
    /// Of what.
    pub unit: &'static str,
}

/// What a figure is measured by.
#[derive(Clone, Debug, Serialize)]
pub struct Yardstick {
    /// What was done.
    pub what: &'static str,
    /// What that cost.
    pub measured: Quantity,
}

impl Row {
    /// A figure that is only told.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        let measured = Quantity { value, unit };
        Self { what: what.into(), goal: Goal::Told, measured, yardstick: None }
    }

    /// With this goal.
    #[must_use]
    pub fn goal(self, goal: Goal) -> Self {
        Self { goal, ..self }
    }

    /// Measured by this, in the same unit.
    #[must_use]
    pub fn by(self, what: &'static str, value: f64) -> Self {
        let measured = Quantity { value, unit: self.measured.unit };
        Self { yardstick: Some(Yardstick { what, measured }), ..self }
    }

    /// How many times the yardstick it is.
    pub fn ratio(&self) -> Option<f64> {
        let by = self.yardstick.as_ref()?.measured.value;
        (by > 0.0).then(|| self.measured.value / by)
    }

    /// Whether it is what it may be; `None` if it is only told.
    pub fn is_met(&self) -> Option<bool> {
        let value = self.measured.value;
        match self.goal {
            Goal::Times(times) => Some(self.ratio()? <= times),
            Goal::AtMost(most) => Some(value <= most),
            Goal::AtLeast(least) => Some(value >= least),
            Goal::Told => None,
        }
    }

    fn cells(&self) -> [String; 6] {
        let unit = self.measured.unit;
        [
            self.what.clone(),
            match self.goal {
                Goal::Times(times) => format!("<= {times} x"),
                Goal::AtMost(value) => format!("<= {}", Quantity { value, unit }),
                Goal::AtLeast(value) => format!(">= {}", Quantity { value, unit }),
                Goal::Told => "-".to_owned(),
            },
            self.measured.to_string(),
            match &self.yardstick {
                Some(Yardstick { what, measured }) => format!("{measured} ({what})"),
                None => "-".to_owned(),
            },
            self.ratio().map_or("-".to_owned(), |ratio| format!("{ratio:.2} x")),
            match self.is_met() {
                Some(true) => "yes".to_owned(),
                Some(false) => "**no**".to_owned(),
                None => "-".to_owned(),
            },
        ]
    }
}

impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [what, goal, measured, yardstick, ratio, met] = self.cells();
        write!(f, "{what}: {measured}; by {yardstick}, {ratio}; goal {goal}: {met}")
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { value, unit } = self;
        match value.abs() {
            0.0 => write!(f, "0")?,
            v if v >= 100.0 => write!(f, "{}", thousands(*value))?,
            v if v >= 10.0 => write!(f, "{value:.1}")?,
            _ => write!(f, "{value:.2}")?,
        }
        if unit.is_empty() { Ok(()) } else { write!(f, " {unit}") }
    }
}

/// A whole number, its digits by threes.
fn thousands(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = if value < 0.0 { "-".to_owned() } else { String::new() };
    for (n, digit) in digits.chars().enumerate() {
        if n > 0 && (digits.len() - n).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

impl Table {
    /// Prints it as Markdown.
    ///
    /// # Errors
    ///
    /// Standard output is closed.
    pub fn print(&self) -> io::Result<()> {
        io::stdout().lock().write_all(self.to_string().as_bytes())
    }
}

impl fmt::Display for Table {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "| what | goal | measured | yardstick in the same run | ratio | met |")?;
        writeln!(f, "| --- | --- | --- | --- | --- | --- |")?;
        for row in &self.rows {
            writeln!(f, "| {} |", row.cells().join(" | "))?;
        }
        for failed in &self.failed {
            writeln!(f, "\nnot measured: {failed}")?;
        }
        Ok(())
    }
}

/// The one in the middle; 0 of none.
pub fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    values.get(values.len() / 2).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_says_whether_its_goal_is_met() {
        let row = Row::new("x", 30.0, "us").by("y", 20.0);
        assert_eq!(row.is_met(), None);
        assert_eq!(row.clone().goal(Goal::Times(1.5)).is_met(), Some(true));
        assert_eq!(row.clone().goal(Goal::Times(1.4)).is_met(), Some(false));
        assert_eq!(row.clone().goal(Goal::AtMost(30.0)).is_met(), Some(true));
        assert_eq!(row.goal(Goal::AtLeast(31.0)).is_met(), Some(false));
        let nothing = Row::new("x", 1.0, "").by("y", 0.0).goal(Goal::Times(2.0));
        assert_eq!(nothing.is_met(), None, "nothing can be said by a yardstick of 0");
    }

    #[test]
    fn it_is_printed_as_markdown() {
        let row = Row::new("merge", 1234.5, "us").by("itself", 617.25).goal(Goal::Times(2.2));
        let table = Table { rows: vec![row], failed: vec!["list: gone".into()] };
        assert_eq!(
            table.to_string().lines().skip(2).collect::<Vec<_>>(),
            [
                "| merge | <= 2.2 x | 1,234 us | 617 us (itself) | 2.00 x | yes |",
                "",
                "not measured: list: gone"
            ]
        );
    }

    #[test]
    fn the_median_is_the_one_in_the_middle() {
        assert_eq!(median(&mut [5.0, 1.0, 3.0]), 3.0);
        assert_eq!(median(&mut []), 0.0);
    }
}
