//! The command line of `bench`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

use super::rows;

/// Measures a server with a fleet of instances, and prints what it costs beside what it may cost.
///
/// The server is the binary beside this one; `scripts/bench` builds both as they are released.
#[derive(Debug, Parser)]
#[command(name = "bench", args_conflicts_with_subcommands = true)]
pub struct Args {
    /// Another thing to do than to measure rows of the table.
    #[command(subcommand)]
    pub command: Option<Command>,
    /// A tenth of the size: some four minutes instead of twenty. What is said of 100,000 errors is
    /// then said of 10,000.
    #[arg(long, global = true)]
    pub quick: bool,
    /// Only these rows.
    #[arg(value_name = "ROW", value_parser = clap::builder::PossibleValuesParser::new(rows::names()))]
    pub rows: Vec<String>,
    /// Write the figures to this file, as JSON.
    #[arg(long, value_name = "FILE")]
    pub json: Option<PathBuf>,
    /// Measure this server instead of the one beside this program.
    #[arg(long, value_name = "FILE", global = true)]
    pub server: Option<PathBuf>,
}

/// Another thing to do than to measure rows of the table.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Measure how cost grows with targets, errors, changes and incarnations.
    Curves {
        /// Where `curves.json` and the pictures are put.
        #[arg(long, value_name = "DIRECTORY", default_value = "docs/performance")]
        into: PathBuf,
    },
    /// Draw the pictures of curves that were measured before.
    Draw {
        /// What `curves` has written.
        #[arg(long, value_name = "FILE", default_value = "docs/performance/curves.json")]
        data: PathBuf,
        /// Where the pictures are put.
        #[arg(long, value_name = "DIRECTORY", default_value = "docs/performance")]
        into: PathBuf,
    },
    /// Read bodies and drop them: the yardstick of scrapes.
    #[command(hide = true)]
    Bare {
        /// A file with a URL a line.
        targets: PathBuf,
        /// From one reading of a target to the next, in milliseconds.
        interval_ms: u64,
    },
}

impl Args {
    /// How many errors are many.
    pub fn errors(&self) -> usize {
        if self.quick { 10_000 } else { 100_000 }
    }

    /// How long a process is watched for one figure.
    pub fn window(&self) -> Duration {
        Duration::from_secs(if self.quick { 3 } else { 6 })
    }

    /// How often a figure is taken, of which the median is told.
    pub fn rounds(&self) -> usize {
        if self.quick { 3 } else { 5 }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_definition_is_sound() {
        Args::command().debug_assert();
    }

    #[test]
    fn rows_are_chosen_by_name() {
        let chosen = Args::try_parse_from(["bench", "--quick", "library", "idle"]).unwrap();
        assert_eq!(chosen.rows, ["library", "idle"]);
        assert!(Args::try_parse_from(["bench", "everything"]).is_err());
        let curves = Args::try_parse_from(["bench", "curves", "--quick"]).unwrap();
        assert!(curves.quick && matches!(curves.command, Some(Command::Curves { .. })));
    }
}
