//! The gateway's command line; see `periskop-pushgw --help`.

use std::process::ExitCode;

use clap::Parser;
use periskop_pushgw::cli::Cli;

/// What parses and merges allocates much and in pieces of all sizes, on several threads; see
/// `docs/footprint.md` for what the choice is worth. Libraries leave it to their application.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    periskop_pushgw::run(&Cli::parse())
}
