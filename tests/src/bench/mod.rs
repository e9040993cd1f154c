//! The figures of the whole: a real server, a real fleet, and a yardstick in the same run.
//!
//! What a figure is and which goal it has is told by its [`Row`](table::Row). CPU time counts, not
//! wall time, wherever work is measured: it is read from the kernel's accounts of the server's
//! process. The fleet plays on a thread of this process, and what the server would do if it did
//! nothing with what it reads is measured by [`bare`], a process with the same HTTP client.

pub mod args;
pub mod bare;
mod curves;
mod plot;
mod process;
mod rows;
mod server;
mod session;
pub mod table;

use std::error::Error;
use std::time::Duration;

use self::args::{Args, Command};
use self::table::Table;

/// What a measurement may end with.
pub type Outcome<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Does what is asked for. The calling runtime has nothing else to do.
///
/// # Errors
///
/// Something could not be measured.
pub async fn run(args: &Args) -> Outcome<()> {
    match &args.command {
        Some(Command::Bare { targets, interval_ms }) => {
            bare::run(targets, Duration::from_millis(*interval_ms)).await
        }
        Some(Command::Curves { into }) => curves::run(args, into).await,
        Some(Command::Draw { data, into }) => plot::draw(data, into),
        None => rows(args).await,
    }
}

async fn rows(args: &Args) -> Outcome<()> {
    let mut table = Table::default();
    for (name, measure) in rows::ALL {
        if !args.rows.is_empty() && !args.rows.iter().any(|row| row == name) {
            continue;
        }
        say(&format!("-- {name}"));
        match measure(args).await {
            Ok(rows) => {
                for row in rows {
                    say(&format!("   {row}"));
                    table.rows.push(row);
                }
            }
            Err(error) => {
                say(&format!("   not measured: {error}"));
                table.failed.push(format!("{name}: {error}"));
            }
        }
    }
    table.print()?;
    if let Some(file) = &args.json {
        std::fs::write(file, serde_json::to_vec_pretty(&table)?)?;
    }
    match table.failed.is_empty() {
        true => Ok(()),
        false => Err(format!("not measured: {}", table.failed.join("; ")).into()),
    }
}

/// Tells whoever watches.
fn say(line: &str) {
    use std::io::Write as _;
    // If nobody listens, nobody misses it.
    let _ = std::io::stderr().write_all(format!("{line}\n").as_bytes());
}
