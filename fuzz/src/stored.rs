//! States as lines of JSON, as an import reads them.

use periskop_core::State;
use periskop_core::wire::state::{Line, LineReader, lines};

/// Lines that can be read make a state that is written as lines that read as the same; a line that
/// cannot be read changes nothing, whatever it is.
///
/// # Panics
///
/// If a promise is broken.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let mut good = Vec::new();
    let mut reader = LineReader::new();
    for line in text.lines() {
        match reader.line(line) {
            Ok(Line::Header | Line::End) | Err(_) => {}
            Ok(_) => good.push(line),
        }
    }
    let state = read(&good);
    let again: Vec<_> = lines(&state).map(|(_, line)| line).collect();
    let middle: Vec<_> = again[1..again.len() - 1].iter().map(String::as_str).collect();
    assert!(read(&middle) == state, "what was read is not what is written");
}

/// The state that good lines make.
fn read(good: &[&str]) -> State {
    let header = "{\"periskop_state\":{\"version\":1}}";
    let end = format!("{{\"end\":{{\"lines\":{}}}}}", good.len());
    let mut reader = LineReader::new();
    for line in [header].iter().chain(good).copied().chain([end.as_str()]) {
        reader.line(line).expect("it has been read before");
    }
    reader.finish().expect("it is whole")
}
