//! Times as clients write them.

use periskop_core::Timestamp;

/// Whatever parses as a time prints as a text that parses as the same time.
///
/// # Panics
///
/// If it does not.
pub fn run(input: &[u8]) {
    let Ok(text) = std::str::from_utf8(input) else { return };
    if let Some(time) = Timestamp::parse(text) {
        let printed = time.to_string();
        // The offset may move the first and last hours of the calendar out of four-digit years,
        // which RFC 3339 cannot write.
        let year_zero = Timestamp::from_micros(-62_167_219_200_000_000);
        let year_10000 = Timestamp::from_micros(253_402_300_800_000_000);
        if (year_zero..year_10000).contains(&time) {
            assert_eq!(Timestamp::parse(&printed), Some(time), "{text:?} is {printed}");
        }
    }
}
