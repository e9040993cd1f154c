//! Logs: `tracing` to standard error, for people or as JSON.

use std::io::IsTerminal;

use tracing_subscriber::EnvFilter;

use crate::cli::LogFormat;

/// Begins to write logs. `RUST_LOG` chooses what is written; without it everything of ours from
/// `info` on, and warnings of the libraries. Does nothing where a subscriber is there already.
pub(crate) fn init(format: LogFormat) {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| {
        EnvFilter::new(
            "warn,periskop_server=info,periskop_discovery=info,periskop_http=info,\
             periskop_storage=info",
        )
    });
    let logs = tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        // Where standard error is closed it would say so there, and panic.
        .log_internal_errors(false)
        .with_ansi(std::io::stderr().is_terminal());
    // The error says that somebody else has set a subscriber; theirs it is, then.
    let _ = match format {
        LogFormat::Text => logs.with_target(false).try_init(),
        LogFormat::Json => logs.json().flatten_event(true).try_init(),
    };
}
