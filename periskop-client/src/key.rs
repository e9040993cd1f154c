//! The default aggregation key.
//!
//! `class@hash`, as the other published clients have it. The hash is of the classes of the causes
//! and of the top frames, never of a message: messages have numbers in them, and every number would
//! be an error of its own. It is the same in every process that runs the same code:
//!
//! - Where only the place of the report is known, that is the frame: file and line, the file
//!   without what differs between machines (registry, version, directory of the build).
//! - Of a stack trace that was handed over, the innermost [`TOP`] functions of the application
//!   count, by name. Functions of the standard library and of well-known runtimes and frameworks
//!   are left out, as are lines, files, addresses, hashes of symbols and crates, generic arguments
//!   and closures (which belong to the function that they are written in). A function that was
//!   inlined counts like any other: a build with line tables names it, inlined or not. (How much of
//!   a path the compiler gives a function depends on the kind of debug information; a build with
//!   another kind may begin a new key.)

use periskop_core::{ContentHash, Exception};

use crate::recycle;

/// How many functions decide.
const TOP: usize = 5;

/// Crates whose frames say how a function came to be called, not what it was about.
const RUNTIMES: &[&str] = &[
    "alloc",
    "anyhow",
    "async_std",
    "axum",
    "axum_core",
    "backtrace",
    "core",
    "crossbeam",
    "eyre",
    "futures",
    "futures_core",
    "futures_executor",
    "futures_util",
    "h2",
    "hyper",
    "hyper_util",
    "periskop_client",
    "proc_macro",
    "rayon",
    "rayon_core",
    "smol",
    "std",
    "test",
    "tokio",
    "tokio_util",
    "tower",
    "tower_http",
    "tracing",
    "tracing_core",
    "tracing_subscriber",
];

/// What systems call the functions around a program.
const SYSTEMS: &[&str] = &[
    "_start",
    "main",
    "start_thread",
    "clone",
    "clone3",
    "rust_begin_unwind",
    "rust_panic",
    "thread_start",
    "_pthread_start",
    "BaseThreadInitThunk",
    "RtlUserThreadStart",
];

/// The key of what these exceptions, outermost first, and the outermost one's stack trace tell.
pub(crate) fn default_key(exceptions: &[Exception]) -> String {
    let frames = exceptions.first().map_or(&[][..], |outermost| &outermost.stacktrace);
    of_frames(exceptions, frames)
}

/// The key of these exceptions with `frames` for the outermost one's stack trace.
pub(crate) fn of_frames(exceptions: &[Exception], frames: &[String]) -> String {
    let mut identity = recycle::text();
    for exception in exceptions {
        identity.push_str(exception.class.as_deref().unwrap_or("?"));
        identity.push('\n');
    }
    write_top(frames, &mut identity);
    let class = exceptions.first().and_then(|e| e.class.as_deref()).unwrap_or("error");
    let mut key = recycle::copy(class);
    key.push('@');
    for byte in &ContentHash::of(identity.as_bytes()).0[..4] {
        for digit in [byte >> 4, byte & 0xf] {
            key.push(char::from(b"0123456789abcdef"[usize::from(digit)]));
        }
    }
    recycle::give(identity);
    key
}

fn write_top(frames: &[String], identity: &mut String) {
    let of_application = write_functions(frames, identity, |frame, function| {
        !is_runtime(function) && !is_in_runtime(frame)
    });
    if !of_application {
        write_functions(frames, identity, |_, _| true);
    }
}

/// Writes the first frames that `count`, each once in a row. Whether there was any.
fn write_functions(
    frames: &[String],
    identity: &mut String,
    count: impl Fn(&str, &str) -> bool,
) -> bool {
    let mut written = 0;
    let mut last = recycle::text();
    let mut line = recycle::text();
    for frame in frames {
        if written == TOP {
            break;
        }
        line.clear();
        write_frame(frame, &mut line);
        if !line.is_empty() && line != last && count(frame, &line) {
            identity.push_str(&line);
            identity.push('\n');
            std::mem::swap(&mut last, &mut line);
            written += 1;
        }
    }
    recycle::give(last);
    recycle::give(line);
    written > 0
}

fn is_runtime(function: &str) -> bool {
    let of = function.split("::").next().unwrap_or(function);
    (RUNTIMES.contains(&of) && of.len() < function.len())
        || SYSTEMS.contains(&function)
        || function.starts_with("__")
        || function == "<unknown>"
}

/// Whether the place of a function is in the standard library or a runtime: line tables alone may
/// name a function without its path.
fn is_in_runtime(frame: &str) -> bool {
    let Some((_, place)) = frame.rsplit_once(" (") else { return false };
    if place.starts_with("/rustc/") {
        return true;
    }
    let Some((_, beyond)) = place.rsplit_once("/registry/src/") else { return false };
    let krate = beyond.split('/').nth(1).unwrap_or_default();
    let krate = without_version(krate);
    RUNTIMES.iter().any(|name| {
        name.len() == krate.len()
            && name.bytes().zip(krate.bytes()).all(|(a, b)| a == b || (a == b'_' && b == b'-'))
    })
}

/// What of a frame is the same wherever it is printed.
fn write_frame(frame: &str, to: &mut String) {
    let frame = frame.trim();
    if let Some((file, line)) = place(frame) {
        write_file(file, to);
        to.push(':');
        to.push_str(line);
        return;
    }
    let frame = without_number(frame);
    write_function(without_place(frame), to);
}

/// File and line of a frame that is only a place: `file:line` or `file:line:column`.
fn place(frame: &str) -> Option<(&str, &str)> {
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let (rest, last) = frame.rsplit_once(':').filter(|(_, last)| is_number(last))?;
    let (file, line) = match rest.rsplit_once(':') {
        Some((file, line)) if is_number(line) => (file, line),
        _ => (rest, last),
    };
    let is_file = !file.contains(' ') && !file.contains("::") && file.contains('.');
    is_file.then_some((file, line))
}

/// `file` without the directories that differ between machines, builds and releases.
fn write_file(file: &str, to: &mut String) {
    let forward;
    let file = if file.contains('\\') {
        forward = file.replace('\\', "/");
        &*forward
    } else {
        file
    };
    let is_absolute = file.starts_with('/') || file.as_bytes().get(1) == Some(&b':');
    if !is_absolute {
        to.push_str(file.strip_prefix("./").unwrap_or(file));
        return;
    }
    if let Some((_, beyond)) = file.rsplit_once("/registry/src/")
        && let Some((_, inside)) = beyond.split_once('/')
        && let Some((krate, path)) = inside.split_once('/')
    {
        to.push_str(without_version(krate));
        to.push('/');
        to.push_str(path);
        return;
    }
    if let Some((_, beyond)) = file.rsplit_once("/git/checkouts/") {
        // The repository with a hash, the commit, the path.
        let mut parts = beyond.splitn(3, '/');
        let (repository, _, path) = (parts.next(), parts.next(), parts.next());
        to.push_str(repository.and_then(|r| r.rsplit_once('-')).map_or("", |(name, _)| name));
        to.push('/');
        to.push_str(path.unwrap_or_default());
        return;
    }
    const ROOTS: [&str; 5] = ["/library/", "/src/", "/tests/", "/examples/", "/benches/"];
    let root = ROOTS.iter().find_map(|root| file.rfind(root)).or_else(|| file.rfind('/'));
    to.push_str(&file[root.map_or(0, |at| at + 1)..]);
}

/// `name` of `name-1.2.3`.
fn without_version(krate: &str) -> &str {
    let mut ends = krate.match_indices('-').map(|(at, _)| at);
    let is_version = |at: &usize| krate[at + 1..].starts_with(|c: char| c.is_ascii_digit());
    ends.find(is_version).map_or(krate, |at| &krate[..at])
}

/// A frame without its index and its address.
fn without_number(frame: &str) -> &str {
    let mut rest = frame;
    if let Some((number, behind)) = rest.split_once(": ")
        && number.trim().bytes().all(|b| b.is_ascii_digit())
    {
        rest = behind.trim_start();
    }
    if let Some((address, behind)) = rest.split_once(" - ")
        && address.trim().starts_with("0x")
    {
        rest = behind.trim_start();
    }
    rest
}

/// `function` of `function (file:line:column)`, `function at file:line` and `function+0x12`.
fn without_place(frame: &str) -> &str {
    let mut function = frame;
    if let Some((before, place)) = function.rsplit_once(" (")
        && place.ends_with(')')
        && place.contains(':')
    {
        function = before;
    }
    if let Some((before, place)) = function.rsplit_once(" at ")
        && place.contains(['/', '\\', ':'])
    {
        function = before;
    }
    function.rsplit_once("+0x").map_or(function, |(before, _)| before).trim()
}

/// A path of Rust without what the compiler adds to it; of any other text, all but what looks
/// like an address or an id.
fn write_function(function: &str, to: &mut String) {
    let from = to.len();
    let mut depth = 0_usize;
    let mut words = function;
    // `<T as Trait>::method` and `<T>::method` belong to `T`.
    if let Some(implemented) = function.strip_prefix('<') {
        words = implemented;
        let mut inner = 1;
        let end = implemented.char_indices().find(|(_, c)| {
            match c {
                '<' => inner += 1,
                '>' => inner -= 1,
                _ => {}
            }
            inner == 0
        });
        if let Some((end, _)) = end {
            let of = &implemented[..end];
            let of = of.split_once(" as ").map_or(of, |(of, _)| of);
            write_function(of.trim_start_matches(['&', '*']), to);
            words = &implemented[end + 1..];
        }
    }
    let mut word = from.max(to.len());
    for c in words.chars() {
        match c {
            '<' | '{' | '[' => depth += 1,
            '>' | '}' | ']' => depth = depth.saturating_sub(1),
            c if depth == 0 => {
                if !c.is_alphanumeric() {
                    hide_id(to, word);
                    to.push(c);
                    word = to.len();
                } else {
                    to.push(c);
                }
            }
            _ => {}
        }
    }
    hide_id(to, word);
    while to.len() > from && (to.ends_with("::") || ends_with_symbol_hash(&to[from..])) {
        let kept = to.rfind("::").map_or(from, |at| at.max(from));
        to.truncate(kept);
    }
    // What was between two segments that are gone: `a::{{closure}}::b`.
    while let Some(gap) = to[from..].find("::::") {
        to.replace_range(from + gap..from + gap + 2, "");
    }
}

/// Replaces the word from `at` on if it is an address, a hash or a number of many digits.
fn hide_id(text: &mut String, at: usize) {
    let word = &text[at..];
    let digits = word.bytes().filter(u8::is_ascii_digit).count();
    let hex = word.strip_prefix("0x").unwrap_or(word);
    let is_hex = !hex.is_empty() && hex.bytes().all(|b| b.is_ascii_hexdigit());
    let is_address = is_hex && word.starts_with("0x");
    let is_number = digits == word.len() && digits >= 4;
    if is_address || is_number || (is_hex && digits > 0 && hex.len() >= 8) {
        text.truncate(at);
        text.push('#');
    }
}

/// `::h` and 16 hexadecimal digits: what rustc's older mangling appends.
fn ends_with_symbol_hash(function: &str) -> bool {
    function
        .rsplit_once("::h")
        .is_some_and(|(_, hash)| hash.len() == 16 && hash.bytes().all(|b| b.is_ascii_hexdigit()))
}

#[cfg(test)]
mod tests;
