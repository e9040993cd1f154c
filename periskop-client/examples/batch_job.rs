//! A job that ends too soon to be scraped, and pushes what went wrong.
//!
//! ```sh
//! periskop-pushgw --port 7878 &
//! cargo run -p periskop-client --features push --example batch_job -- http://127.0.0.1:7878/errors
//! ```
//!
//! A token for the gateway is read from the file that `PERISKOP_TOKEN_FILE` names.

#![expect(clippy::print_stdout, reason = "an example speaks to whoever runs it")]

use std::process::ExitCode;
use std::time::Duration;

use periskop_client::push::{Gateway, PushError};
use periskop_client::{Capture, Collector, Severity};

fn main() -> ExitCode {
    let Some(url) = std::env::args().skip(1).find(|arg| !arg.starts_with("--")) else {
        println!("usage: batch_job URL-OF-THE-GATEWAY");
        return ExitCode::FAILURE;
    };
    let collector = Collector::new();
    let failed = import(&collector, &["12", "seven", "3", "", "99999999999"]);

    // That the errors could not be delivered is no reason to fail: the job has done its work.
    match push(&collector, &url) {
        Ok(()) => println!("{failed} rows failed, and the gateway knows"),
        Err(error) => println!("{failed} rows failed, and the gateway does not know: {error}"),
    }
    ExitCode::SUCCESS
}

fn import(collector: &Collector, rows: &[&str]) -> usize {
    let mut failed = 0;
    for (number, row) in rows.iter().enumerate() {
        if let Err(error) = row.parse::<u32>() {
            failed += 1;
            let severity = if row.is_empty() { Severity::Warning } else { Severity::Error };
            let capture = Capture::of(&error).severity(severity);
            collector
                .record(capture.stacktrace([format!("row {number} of prices.csv")]).key("row"));
        }
    }
    failed
}

fn push(collector: &Collector, url: &str) -> Result<(), PushError> {
    let mut gateway = Gateway::builder(url).timeout(Duration::from_secs(5));
    if let Some(file) = std::env::var_os("PERISKOP_TOKEN_FILE") {
        gateway = gateway.bearer_token_file(file);
    }
    // A job that runs for long has `gateway.build()?.spawn(collector)?` push as it goes.
    gateway.build()?.push_once(collector)
}
