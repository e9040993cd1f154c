//! The class of a Rust error.

use std::any::type_name;
use std::error::Error;
use std::fmt::Debug;

use crate::printed::debugged;
use crate::recycle;

/// The class of an error whose type the compiler may know: the path of the type, without the boxes
/// and references around it. Of a trait object, whose type has been forgotten, the name with which
/// it prints for debugging.
pub(crate) fn of<E: Error + ?Sized>(error: &E) -> Option<String> {
    let name = unwrapped(type_name::<E>());
    if name.starts_with("dyn ") { as_debugged(&error) } else { Some(recycle::copy(name)) }
}

/// The class of a trait object: the path of the type where it is one of the standard library's,
/// with which most chains end, else the name with which it prints for debugging.
pub(crate) fn of_dyn(error: &(dyn Error + 'static)) -> Option<String> {
    let known = KNOWN.iter().find_map(|name| name(error));
    known.map(recycle::copy).or_else(|| as_debugged(&error))
}

type Name = fn(&(dyn Error + 'static)) -> Option<&'static str>;

const KNOWN: &[Name] = &[
    name_if::<std::io::Error>,
    name_if::<std::fmt::Error>,
    name_if::<std::num::ParseIntError>,
    name_if::<std::num::ParseFloatError>,
    name_if::<std::num::TryFromIntError>,
    name_if::<std::str::ParseBoolError>,
    name_if::<std::str::Utf8Error>,
    name_if::<std::string::FromUtf8Error>,
    name_if::<std::char::ParseCharError>,
    name_if::<std::net::AddrParseError>,
    name_if::<std::env::VarError>,
    name_if::<std::sync::mpsc::RecvError>,
    name_if::<std::time::SystemTimeError>,
];

fn name_if<E: Error + 'static>(error: &(dyn Error + 'static)) -> Option<&'static str> {
    error.is::<E>().then(type_name::<E>)
}

/// `T` of `&T`, `Box<T>` and the like, which report as what they hold.
fn unwrapped(mut name: &str) -> &str {
    const AROUND: [&str; 3] = ["alloc::boxed::Box<", "alloc::sync::Arc<", "alloc::rc::Rc<"];
    loop {
        let inner = name.strip_prefix("&mut ").or_else(|| name.strip_prefix('&')).or_else(|| {
            let around = AROUND.iter().find_map(|around| name.strip_prefix(around))?;
            around.strip_suffix('>')
        });
        match inner {
            Some(inner) => name = inner,
            None => return name,
        }
    }
}

/// How much of what an error prints is looked at, in bytes: no name of a type is longer.
const LOOKED_AT: usize = 100;

/// The name with which a derived `Debug` begins: that of the struct, or of the enum's variant.
///
/// It is a name only if nothing or fields follow it. A `Debug` that was written by hand to print a
/// sentence has none.
fn as_debugged(error: &dyn Debug) -> Option<String> {
    let (mut text, is_all) = debugged(error, LOOKED_AT)?;
    // The one type of the standard library that prints without its name.
    if text.starts_with("Os { code: ") || text.starts_with("Custom { kind: ") {
        text.clear();
        text.push_str(type_name::<std::io::Error>());
        return Some(text);
    }
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    let rest = &text[end..];
    let is_whole = if rest.is_empty() { is_all } else { has_fields(rest) };
    if is_whole && text.starts_with(char::is_uppercase) {
        text.truncate(end);
        return Some(text);
    }
    recycle::give(text);
    None
}

fn has_fields(rest: &str) -> bool {
    rest.starts_with('(') || rest.starts_with(" {")
}

#[cfg(test)]
mod tests {
    use std::fmt;
    use std::sync::Arc;

    use super::*;

    fn error() -> Box<dyn Error + Send + Sync> {
        Box::new("x".parse::<u8>().unwrap_err())
    }

    #[test]
    fn a_known_type_is_its_path_whatever_is_around_it() {
        let path = Some("core::num::error::ParseIntError");
        let error = "x".parse::<u8>().unwrap_err();
        assert_eq!(of(&error).as_deref(), path);
        assert_eq!(of(&&error).as_deref(), path);
        assert_eq!(of(&Box::new(error.clone())).as_deref(), path);
        assert_eq!(of(&Arc::new(error)).as_deref(), path);
    }

    #[test]
    fn a_trait_object_is_known_by_the_name_with_which_it_prints() {
        assert_eq!(of(&*error()).as_deref(), Some("ParseIntError"));
        let shared: Arc<dyn Error> = Arc::new(fmt::Error);
        assert_eq!(of(&shared).as_deref(), Some("Error"));
        let missing: Box<dyn Error> = Box::new(std::io::Error::from_raw_os_error(2));
        assert_eq!(of(&*missing).as_deref(), Some("std::io::error::Error"));
    }

    #[test]
    fn a_static_trait_object_of_the_standard_library_is_its_path() {
        assert_eq!(of_dyn(&*error()).as_deref(), Some("core::num::error::ParseIntError"));
    }

    #[test]
    fn only_a_derived_debug_tells_a_name() {
        let check = |printed: &str, expected: Option<&str>| {
            assert_eq!(as_debugged(&format_args!("{printed}")).as_deref(), expected, "{printed}");
        };
        check("Timeout", Some("Timeout"));
        check("NotFound(\"x\")", Some("NotFound"));
        check("Unpaid { order: 1 }", Some("Unpaid"));
        check("Ünpaid {\n    order: 1,\n}", Some("Ünpaid"));
        check("Failed to load the basket", None);
        check("cannot load", None);
        check("\"a text\"", None);
        check("", None);
        check("Error: no such thing\n\nCaused by:", None);
        check(&"A".repeat(LOOKED_AT + 1), None);
    }
}
