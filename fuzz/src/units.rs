//! Durations and sizes.

use periskop_core::config;

/// Whatever reads as a duration prints as a text that reads as the same; nothing overflows.
///
/// # Panics
///
/// If a promise is broken.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Ok(duration) = config::parse_duration(text) {
        let printed = config::format_duration(duration);
        assert_eq!(config::parse_duration(&printed), Ok(duration), "{text:?} is {printed}");
    }
    let _ = config::parse_go_duration(text);
    let _ = config::parse_bytes(text);
}
