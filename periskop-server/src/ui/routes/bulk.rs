//! What a form of the list asks to be done to some errors.

use periskop_core::{AggregateId, Timestamp};
use url::form_urlencoded;

use super::super::link;
use super::act::Deed;

/// An act, and to which errors.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Bulk {
    pub(super) deed: Deed,
    pub(super) whom: Whom,
}

/// To which errors something is done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Whom {
    /// To these.
    Selected(Vec<AggregateId>),
    /// To everything that the list's filter matches.
    Matching,
}

/// The most errors that can be selected one by one.
const MOST_SELECTED: usize = 1_000;

impl Bulk {
    /// Reads a form: what [`Deed::parse`] reads, `error` for each that is selected, `all` for
    /// everything that matches.
    ///
    /// # Errors
    ///
    /// Says what is wrong, for whoever sent the form.
    pub(super) fn parse(form: &[u8], now: Timestamp) -> Result<Self, String> {
        let deed = Deed::parse(form, now)?;
        let mut selected = Vec::new();
        for (name, value) in form_urlencoded::parse(form) {
            match &*name {
                "all" if value == "1" => return Ok(Self { deed, whom: Whom::Matching }),
                "error" => selected.push(
                    link::of_value(&value)
                        .ok_or_else(|| format!("“{value}” names no error: service/key."))?,
                ),
                _ => {}
            }
        }
        if selected.is_empty() {
            return Err("No error is selected. Tick the boxes of those that are meant, or the \
                        one for all that match."
                .to_owned());
        }
        if selected.len() > MOST_SELECTED {
            return Err(format!("More than {MOST_SELECTED} errors are selected."));
        }
        Ok(Self { deed, whom: Whom::Selected(selected) })
    }
}

#[cfg(test)]
mod tests {
    use periskop_core::aggregate::{Act, MuteFor};

    use super::*;

    fn parse(form: &str) -> Result<Bulk, String> {
        Bulk::parse(form.as_bytes(), Timestamp::EPOCH)
    }

    #[test]
    fn a_form_names_what_is_selected_or_everything() {
        let id =
            |service: &str, key: &str| AggregateId { service: service.into(), key: key.into() };
        let some = parse("act=mute&error=a%252Fb%2Fc%2520d&error=shop%2FTimeout").unwrap();
        assert_eq!(some.deed.act, Act::Mute(MuteFor::Ever));
        assert_eq!(some.whom, Whom::Selected(vec![id("a/b", "c d"), id("shop", "Timeout")]));
        assert_eq!(parse("error=x%2Fy&act=resolve&all=1").unwrap().whom, Whom::Matching);
    }

    #[test]
    fn a_form_that_names_nothing_is_told_so() {
        for (form, word) in [
            ("act=resolve", "No error is selected"),
            ("error=a%2Fb", "no action"),
            ("act=resolve&error=nonsense", "names no error"),
            ("act=resolve&error=%25ff%2Fa", "names no error"),
        ] {
            let problem = parse(form).unwrap_err();
            assert!(problem.contains(word), "{form}: {problem}");
        }
    }
}
