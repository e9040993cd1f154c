//! One occurrence, to be read and to be copied.

use std::borrow::Cow;

use periskop_core::texts::{ExceptionView, HttpView, OccurrenceView};
use periskop_core::view::ErrorView;

use super::super::text::Text;
use super::super::view::{ExceptionCard, HttpCard, OccurrenceCard};
use super::super::{frames, shell};
use super::{LONGEST_LINE, LONGEST_TEXT};
use crate::api;

/// The longest body that a command line is made with, in bytes. Linux takes 128 KiB a word.
const LONGEST_COMMAND: usize = 64 * 1_024;

/// Causes that are shown.
const MOST_EXCEPTIONS: usize = 50;

/// Frames of an exception that are shown.
const MOST_FRAMES: usize = 500;

/// The longest text that is there to be copied, in characters.
const LONGEST_COPY: usize = 200_000;

/// The occurrence called `name`; the newest if it is not kept, none if none is.
pub(super) fn card(error: ErrorView<'_>, name: Option<&str>) -> Option<OccurrenceCard> {
    let all: Vec<OccurrenceView<'_>> = error.occurrences().collect();
    let at = all.iter().position(|o| name.is_some_and(|name| o.name() == name)).unwrap_or(0);
    let shown = *all.get(at)?;
    let name_of = |at: Option<usize>| Some(Text::new(all.get(at?)?.name()));
    Some(OccurrenceCard {
        name: Text::new(shown.name()),
        place: at + 1,
        of: all.len(),
        newer: name_of(at.checked_sub(1)),
        older: name_of(Some(at + 1)),
        time: shown.time(),
        severity: shown.severity(),
        exceptions: shown.exceptions().take(MOST_EXCEPTIONS).map(exception).collect(),
        further: shown.exceptions().skip(MOST_EXCEPTIONS).count(),
        http: shown.http().map(request),
        trace: Text::clip(&trace(shown), LONGEST_COPY),
        raw: Text::clip(&api::occurrence_indented(shown), LONGEST_COPY),
    })
}

fn exception(exception: ExceptionView<'_>) -> ExceptionCard {
    ExceptionCard {
        class: Text::clip(exception.class().unwrap_or_default(), LONGEST_LINE),
        message: Text::clip(&exception.message().unwrap_or_default(), LONGEST_TEXT),
        frames: frames::group(exception.frames().take(MOST_FRAMES)),
        further: exception.frames().len().saturating_sub(MOST_FRAMES),
    }
}

/// Exceptions with their frames, a cause after what it caused.
fn trace(occurrence: OccurrenceView<'_>) -> String {
    let mut trace = String::new();
    for (i, exception) in occurrence.exceptions().enumerate() {
        if i > 0 {
            trace.push_str("Caused by: ");
        }
        let message = exception.message();
        let said = [exception.class(), message.as_deref()];
        let said: Vec<_> = said.into_iter().flatten().filter(|text| !text.is_empty()).collect();
        trace.push_str(&said.join(": "));
        trace.push('\n');
        for frame in exception.frames() {
            if trace.len() > 4 * LONGEST_COPY {
                return trace;
            }
            trace.push_str("  ");
            trace.push_str(frame);
            trace.push('\n');
        }
    }
    trace
}

fn request(http: HttpView<'_>) -> HttpCard {
    let (method, url) = (http.method().unwrap_or_default(), http.url().unwrap_or_default());
    let headers: Vec<(&str, Cow<'_, str>)> = http.headers().collect();
    let borrowed: Vec<_> = headers.iter().map(|(name, value)| (*name, &**value)).collect();
    let body = http.body();
    let curl = shell::curl(&shell::Request {
        method,
        url: &url,
        headers: &borrowed,
        body: body.as_deref(),
    });
    let show = |(name, value): &(&str, &str)| {
        (Text::clip(name, LONGEST_LINE), Text::clip(value, LONGEST_TEXT))
    };
    HttpCard {
        method: Text::clip(method, LONGEST_LINE),
        url: Text::clip(&url, LONGEST_TEXT),
        headers: borrowed.iter().map(show).collect(),
        body: Text::clip(&body.unwrap_or_default(), LONGEST_TEXT),
        curl: (curl.len() <= LONGEST_COMMAND).then(|| Text::new(curl)),
    }
}
