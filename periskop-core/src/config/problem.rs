//! What is wrong with a configuration, and where.

use std::fmt;

/// One mistake in a configuration, with its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// Which setting, such as `services[0].dns_sd_configs[1].port`; empty for the whole file.
    pub path: String,
    /// The line, from 1; 0 where there is no text to point at (configuration given as JSON).
    pub line: usize,
    /// The column in characters, from 1; 0 where there is none.
    pub column: usize,
    /// What is wrong, for people. Never holds a secret.
    pub message: String,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.line > 0 {
            write!(f, "line {}, column {}: ", self.line, self.column)?;
        }
        if !self.path.is_empty() {
            write!(f, "{}: ", self.path)?;
        }
        f.write_str(&self.message)
    }
}

impl std::error::Error for Problem {}

/// All mistakes of a configuration, in the order of the file. Prints one a line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Problems {
    noted: Vec<Problem>,
    left_out: usize,
}

impl Problems {
    /// More mistakes than this are counted only: nobody reads them, and a hostile file could
    /// have a million.
    pub const LIMIT: usize = 100;

    /// No problem yet.
    pub fn new() -> Self {
        Self::default()
    }

    /// Notes a mistake.
    pub fn push(&mut self, problem: Problem) {
        if self.noted.len() >= Self::LIMIT {
            self.left_out += 1;
            return;
        }
        let place = (problem.line, problem.column);
        let after = self.noted.partition_point(|p| (p.line, p.column) <= place);
        self.noted.insert(after, problem);
    }

    /// Whether nothing is wrong.
    pub fn is_empty(&self) -> bool {
        self.noted.is_empty()
    }

    /// How many mistakes there are, those beyond [`Problems::LIMIT`] included.
    pub fn len(&self) -> usize {
        self.noted.len() + self.left_out
    }

    /// The mistakes, by line and column.
    pub fn iter(&self) -> impl Iterator<Item = &Problem> {
        self.noted.iter()
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, problem) in self.noted.iter().enumerate() {
            if i > 0 {
                f.write_str("\n")?;
            }
            problem.fmt(f)?;
        }
        if self.left_out > 0 {
            write!(f, "\nand {} more", self.left_out)?;
        }
        Ok(())
    }
}

impl std::error::Error for Problems {}

impl From<Problem> for Problems {
    fn from(problem: Problem) -> Self {
        Self { noted: vec![problem], left_out: 0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at_line(line: usize) -> Problem {
        Problem { path: String::new(), line, column: 1, message: "wrong".into() }
    }

    #[test]
    fn problems_are_told_in_the_order_of_the_file() {
        let mut problems = Problems::new();
        for line in [3, 1, 2] {
            problems.push(at_line(line));
        }
        assert_eq!(problems.iter().map(|p| p.line).collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn problems_beyond_the_limit_are_counted_only() {
        let mut problems = Problems::new();
        for line in 1..=Problems::LIMIT + 7 {
            problems.push(at_line(line));
        }
        assert_eq!(problems.iter().count(), Problems::LIMIT);
        assert_eq!(problems.len(), Problems::LIMIT + 7);
        assert!(problems.to_string().ends_with("and 7 more"));
    }
}
