//! The server's command line; see `periskop-server --help`.

use std::process::ExitCode;

use clap::Parser;
use periskop_server::cli::{Cli, accept_go_flags};

/// What parses and merges allocates much and in pieces of all sizes, on several threads; see
/// `docs/footprint.md` for what the choice is worth. Libraries leave it to their application.
#[global_allocator]
static ALLOCATOR: tikv_jemallocator::Jemalloc = tikv_jemallocator::Jemalloc;

fn main() -> ExitCode {
    periskop_server::run(&Cli::parse_from(accept_go_flags(std::env::args_os())))
}
