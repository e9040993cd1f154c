//! Measures a server with a fleet; see `bench --help` and `scripts/bench`.

use std::process::ExitCode;

use clap::Parser as _;
use periskop_tests::bench::args::Args;
use periskop_tests::bench::run;

#[tokio::main]
async fn main() -> ExitCode {
    match run(&Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench: {error}");
            ExitCode::FAILURE
        }
    }
}
