//! Plays a fleet of instances; see `fleet --help`.

use std::process::ExitCode;

use clap::Parser as _;
use periskop_tests::fleet::args::Args;
use periskop_tests::fleet::run::run;

fn main() -> ExitCode {
    run(&Args::parse()).unwrap_or_else(|error| {
        eprintln!("fleet: {error}");
        ExitCode::FAILURE
    })
}
