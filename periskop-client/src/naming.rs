//! Names for what has none: the class of a Rust error, and the key to group it by.

use std::error::Error;
use std::panic::Location;

use periskop_core::{AggregationKey, Exception, ids};

/// The class of a value whose type the compiler knows: the type's path. None of a trait object,
/// whose type has been forgotten.
pub(crate) fn class_of<E: ?Sized>() -> Option<String> {
    let name = std::any::type_name::<E>();
    (!name.starts_with("dyn ")).then(|| name.to_owned())
}

/// The class of a cause, which is always a trait object: known only of the standard library's
/// errors, which are what most chains end with.
pub(crate) fn class_of_cause(error: &(dyn Error + 'static)) -> Option<String> {
    fn is<E: Error + 'static>(error: &(dyn Error + 'static)) -> Option<String> {
        error.is::<E>().then(|| std::any::type_name::<E>().to_owned())
    }
    is::<std::io::Error>(error)
        .or_else(|| is::<std::fmt::Error>(error))
        .or_else(|| is::<std::num::ParseIntError>(error))
        .or_else(|| is::<std::num::ParseFloatError>(error))
        .or_else(|| is::<std::num::TryFromIntError>(error))
        .or_else(|| is::<std::str::ParseBoolError>(error))
        .or_else(|| is::<std::str::Utf8Error>(error))
        .or_else(|| is::<std::string::FromUtf8Error>(error))
        .or_else(|| is::<std::char::ParseCharError>(error))
        .or_else(|| is::<std::net::AddrParseError>(error))
        .or_else(|| is::<std::env::VarError>(error))
        .or_else(|| is::<std::sync::mpsc::RecvError>(error))
        .or_else(|| is::<std::time::SystemTimeError>(error))
}

/// `class@hash`, as the other published clients have it. The hash is of the outermost stack trace
/// and of the classes of the causes, never of a message: messages have numbers in them, and every
/// number would be an error of its own. It is the same in every process that runs the same code.
pub(crate) fn default_key(exceptions: &[Exception]) -> AggregationKey {
    let mut identity = String::new();
    for exception in exceptions {
        identity.push_str(exception.class.as_deref().unwrap_or("?"));
        identity.push('\n');
    }
    for frame in exceptions.first().map_or(&[][..], |outermost| &outermost.stacktrace) {
        identity.push_str(frame);
        identity.push('\n');
    }
    let class = exceptions.first().and_then(|e| e.class.as_deref()).unwrap_or("error");
    let hash = ids::sha256_hex(identity.as_bytes());
    AggregationKey::from(format!("{class}@{}", &hash[..8]))
}

/// The one frame that is known without a backtrace: where the error was reported.
pub(crate) fn frame(site: &Location<'_>) -> String {
    format!("{}:{}:{}", site.file(), site.line(), site.column())
}

/// The frames of a printed backtrace, `function (file:line:column)`, innermost first.
///
/// `Backtrace` offers no other way to them than its text, in which a frame's first line begins with
/// its number and a colon, and the line after it with `at`.
pub(crate) fn frames(printed: &str, at_most: usize) -> Vec<String> {
    let mut frames: Vec<String> = Vec::new();
    for line in printed.lines().map(str::trim) {
        if let Some(place) = line.strip_prefix("at ")
            && let Some(function) = frames.last_mut()
            && !function.ends_with(')')
        {
            function.push_str(" (");
            function.push_str(place);
            function.push(')');
        } else if let Some((number, function)) = line.split_once(": ")
            && !number.is_empty()
            && number.bytes().all(|b| b.is_ascii_digit())
        {
            if frames.len() == at_most {
                break;
            }
            frames.push(function.to_owned());
        }
    }
    frames
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trait_object_has_no_class() {
        assert_eq!(class_of::<std::fmt::Error>().as_deref(), Some("core::fmt::Error"));
        assert_eq!(class_of::<dyn Error>(), None);
        assert_eq!(class_of::<dyn Error + Send + Sync>(), None);
    }

    #[test]
    fn the_key_depends_on_class_causes_and_frames_and_not_on_messages() {
        let one = |message: &str, frame: &str, cause: &str| {
            let outer = Exception {
                class: Some("shop::Unpaid".into()),
                message: Some(message.into()),
                stacktrace: vec![frame.into()],
            };
            let inner = Exception { class: Some(cause.into()), ..Exception::default() };
            default_key(&[outer, inner])
        };
        let key = one("order 1", "src/main.rs:1:1", "io");
        assert_eq!(one("order 2", "src/main.rs:1:1", "io"), key);
        assert_ne!(one("order 1", "src/main.rs:2:1", "io"), key);
        assert_ne!(one("order 1", "src/main.rs:1:1", "fmt"), key);
        assert_eq!(key.as_str(), "shop::Unpaid@32fd9118", "the same in every process and release");
    }

    #[test]
    fn a_printed_backtrace_becomes_one_line_a_frame() {
        let printed = "   0: std::backtrace::Backtrace::create\n   1: shop::pay\n             at ./src/pay.rs:12:5\n   2: main\n             at ./src/main.rs:3:1\n";
        assert_eq!(
            frames(printed, 10),
            [
                "std::backtrace::Backtrace::create",
                "shop::pay (./src/pay.rs:12:5)",
                "main (./src/main.rs:3:1)"
            ]
        );
        assert_eq!(frames(printed, 1).len(), 1);
        assert!(frames("disabled backtrace", 10).is_empty());
    }
}
