//! The gateway's command line; see `periskop-pushgw --help`.

use std::process::ExitCode;

use clap::Parser;
use periskop_pushgw::cli::Cli;

fn main() -> ExitCode {
    periskop_pushgw::run(&Cli::parse())
}
