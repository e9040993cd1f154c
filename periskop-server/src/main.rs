//! The server's command line; see `periskop-server --help`.

use std::process::ExitCode;

use clap::Parser;
use periskop_server::cli::{Cli, accept_go_flags};

fn main() -> ExitCode {
    periskop_server::run(&Cli::parse_from(accept_go_flags(std::env::args_os())))
}
