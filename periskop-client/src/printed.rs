//! What a value prints, as far as it is kept, whatever the value does while it prints.

use std::cell::Cell;
use std::fmt::{self, Display, Write};
use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::recycle;

/// What `value` prints, at most `limit` bytes of it.
///
/// `to_string` would panic where the value's own `Display` fails, and would first make all of an
/// endless text. A `Display` that panics costs its text: the error is counted all the same.
pub(crate) fn printed(value: &dyn Display, limit: usize) -> String {
    let mut bounded = Bounded { text: recycle::text(), limit, is_cut: false };
    let _printing = Printing::begin();
    let outcome = catch_unwind(AssertUnwindSafe(|| {
        // What has been written before it failed is what there is.
        let _ = write!(bounded, "{value}");
    }));
    if outcome.is_err() {
        bounded.text.push_str("… (its text could not be made: Display panicked)");
    } else if bounded.is_cut {
        bounded.text.push('…');
    }
    bounded.text
}

/// The first `limit` bytes of what `value` prints for debugging, and whether that is all of it.
pub(crate) fn debugged(value: &dyn fmt::Debug, limit: usize) -> Option<(String, bool)> {
    let mut bounded = Bounded { text: recycle::text(), limit, is_cut: false };
    let _printing = Printing::begin();
    catch_unwind(AssertUnwindSafe(|| {
        let _ = write!(bounded, "{value:?}");
    }))
    .ok()?;
    Some((bounded.text, !bounded.is_cut))
}

/// `text`, cut at a character where it is longer than `limit` bytes.
pub(crate) fn shortened(mut text: String, limit: usize) -> String {
    if text.len() > limit {
        text.truncate(text.floor_char_boundary(limit));
        text.push('…');
        text.shrink_to_fit();
    }
    text
}

/// Whether this thread is in the middle of printing somebody's error: what that reports itself,
/// by an event for example, could begin all over again.
#[cfg_attr(not(feature = "tracing"), expect(dead_code, reason = "only events are heard then"))]
pub(crate) fn is_printing() -> bool {
    PRINTING.try_with(Cell::get).unwrap_or(true)
}

thread_local! {
    static PRINTING: Cell<bool> = const { Cell::new(false) };
}

struct Printing {
    before: bool,
}

impl Printing {
    fn begin() -> Self {
        Self { before: PRINTING.try_with(|printing| printing.replace(true)).unwrap_or(true) }
    }
}

impl Drop for Printing {
    fn drop(&mut self) {
        let _ = PRINTING.try_with(|printing| printing.set(self.before));
    }
}

/// Takes text up to a limit, and then refuses.
struct Bounded {
    text: String,
    limit: usize,
    is_cut: bool,
}

impl Write for Bounded {
    fn write_str(&mut self, more: &str) -> fmt::Result {
        let room = self.limit - self.text.len();
        if more.len() <= room {
            self.text.push_str(more);
            return Ok(());
        }
        self.text.push_str(&more[..more.floor_char_boundary(room)]);
        self.is_cut = true;
        // Nothing that is shorter may find room after what did not.
        self.limit = self.text.len();
        Err(fmt::Error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Prints<F>(F);

    impl<F: Fn(&mut fmt::Formatter<'_>) -> fmt::Result> Display for Prints<F> {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            (self.0)(f)
        }
    }

    #[test]
    fn a_display_that_fails_panics_or_never_ends_costs_only_its_own_text() {
        let broken = Prints(|f: &mut fmt::Formatter<'_>| {
            f.write_str("so far")?;
            Err(fmt::Error)
        });
        assert_eq!(printed(&broken, 100), "so far");
        let panics = Prints(|f: &mut fmt::Formatter<'_>| {
            f.write_str("so far")?;
            panic!("on purpose")
        });
        assert!(printed(&panics, 100).starts_with("so far…"));
        let endless = Prints(|f: &mut fmt::Formatter<'_>| {
            loop {
                f.write_str("ü")?;
            }
        });
        assert_eq!(printed(&endless, 5), "üü…");
    }

    #[test]
    fn what_fits_is_not_marked() {
        assert_eq!(printed(&"abc", 3), "abc");
        assert_eq!(printed(&"abcd", 3), "abc…");
        assert_eq!(shortened("aüb".into(), 2), "a…");
        assert_eq!(shortened("aüb".into(), 4), "aüb");
    }

    #[test]
    fn whoever_prints_is_known_to_print() {
        let seen = Cell::new(false);
        let prints = Prints(|_: &mut fmt::Formatter<'_>| {
            seen.set(PRINTING.get());
            Ok(())
        });
        assert!(!PRINTING.get());
        printed(&prints, 10);
        assert!(seen.get() && !PRINTING.get());
    }
}
