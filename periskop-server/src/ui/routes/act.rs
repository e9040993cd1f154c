//! What a form asks to be done to an error.

use std::time::Duration;

use periskop_core::Timestamp;
use periskop_core::aggregate::{Act, MuteFor};
use periskop_core::config::parse_duration;
use url::form_urlencoded;

/// An act, and why.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Deed {
    pub(super) act: Act,
    /// May be empty.
    pub(super) why: String,
}

/// The longest reason that is kept, in bytes: as in the API.
const LONGEST_WHY: usize = 4_096;

/// The longest mute that ends by itself. Whoever wants more wants it for ever.
const LONGEST_MUTE: Duration = Duration::from_secs(10 * 365 * 24 * 3_600);

impl Deed {
    /// Reads a form: `act`, for a mute `until` (a duration) or `count`, and `why`. Fields left
    /// empty were not filled in; the rest of the form is not looked at.
    ///
    /// # Errors
    ///
    /// Says what is wrong, for whoever sent the form.
    pub(super) fn parse(form: &[u8], now: Timestamp) -> Result<Self, String> {
        let (mut word, mut until, mut count, mut why) = (None, None, None, None);
        for (name, value) in form_urlencoded::parse(form) {
            let field: &mut Option<String> = match &*name {
                "act" => &mut word,
                "until" => &mut until,
                "count" => &mut count,
                "why" => &mut why,
                _ => continue,
            };
            *field = Some(value.trim().to_owned()).filter(|value| !value.is_empty());
        }
        let why = why.unwrap_or_default();
        if why.len() > LONGEST_WHY {
            return Err(format!("The reason is longer than {LONGEST_WHY} bytes."));
        }
        // A button of the list has one value: `mute 1h`.
        if let Some((mute, long)) = word.as_deref().and_then(|word| word.split_once(' ')) {
            (word, until) = (Some(mute.to_owned()), Some(long.to_owned()));
        }
        let act = match word.as_deref() {
            Some("resolve") => Act::Resolve,
            Some("reopen") => Act::Reopen,
            Some("unmute") => Act::Unmute,
            Some("forget") => Act::Forget,
            Some("mute") => Act::Mute(mute(until.as_deref(), count.as_deref(), now)?),
            _ => {
                return Err("The form names no action that is known: resolve, reopen, mute, \
                            unmute or forget."
                    .to_owned());
            }
        };
        Ok(Self { act, why })
    }
}

fn mute(until: Option<&str>, count: Option<&str>, now: Timestamp) -> Result<MuteFor, String> {
    match (until, count) {
        (None, None) => Ok(MuteFor::Ever),
        (Some(_), Some(_)) => {
            Err("A mute ends after a time or after a number of occurrences, not both.".to_owned())
        }
        (Some(until), None) => match parse_duration(until) {
            Ok(long) if long.is_zero() || long > LONGEST_MUTE => {
                Err("A mute for a time lasts up to 10 years.".to_owned())
            }
            Ok(long) => Ok(MuteFor::Until(now.plus(long))),
            Err(problem) => Err(format!("For how long to mute: {problem}.")),
        },
        (None, Some(count)) => match count.parse() {
            Ok(n) if n > 0 => Ok(MuteFor::Further(n)),
            _ => Err("For how many occurrences to mute: a whole number above 0.".to_owned()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> Timestamp {
        Timestamp::parse("2026-11-23T12:00:00Z").unwrap()
    }

    #[test]
    fn a_form_says_what_is_to_be_done_and_why() {
        let hour = now().plus(Duration::from_secs(3_600));
        for (form, act, why) in [
            ("act=resolve", Act::Resolve, ""),
            ("act=reopen&why=+not+yet+", Act::Reopen, "not yet"),
            ("act=unmute&why=", Act::Unmute, ""),
            ("act=forget&other=1", Act::Forget, ""),
            ("act=mute", Act::Mute(MuteFor::Ever), ""),
            ("act=mute&until=1h&count=&why=a%26b", Act::Mute(MuteFor::Until(hour)), "a&b"),
            ("act=mute+1h", Act::Mute(MuteFor::Until(hour)), ""),
            ("act=mute&count=100", Act::Mute(MuteFor::Further(100)), ""),
        ] {
            let deed = Deed { act, why: why.to_owned() };
            assert_eq!(Deed::parse(form.as_bytes(), now()), Ok(deed), "{form}");
        }
    }

    #[test]
    fn a_form_that_cannot_be_followed_is_told_what_is_wrong() {
        for (form, word) in [
            ("", "no action"),
            ("act=explode", "no action"),
            ("\0\u{fffd}=%ff&act", "no action"),
            ("act=mute&until=soon", "how long"),
            ("act=mute&until=0", "10 years"),
            ("act=mute&until=200y", "10 years"),
            ("act=mute&count=-1", "whole number"),
            ("act=mute&count=0", "whole number"),
            ("act=mute&count=1&until=1h", "not both"),
        ] {
            let problem = Deed::parse(form.as_bytes(), now()).unwrap_err();
            assert!(problem.contains(word), "{form}: {problem}");
        }
        let long = format!("act=resolve&why={}", "x".repeat(LONGEST_WHY + 1));
        assert!(Deed::parse(long.as_bytes(), now()).unwrap_err().contains("longer"));
    }
}
