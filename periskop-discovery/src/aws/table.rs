//! Labels of mechanisms that tell nearly everything that an API says: which element becomes which
//! label, as data.

use periskop_core::Timestamp;
use periskop_core::target::Labels;

use super::text;
use crate::xml::Element;

/// What an element holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// A text, be it empty.
    Text,
    /// One of the words that the API knows; empty is not set.
    Word,
    /// A whole number.
    Number,
    /// `true` or `false`.
    Bool,
    /// A time, told to the second in UTC.
    Time,
}

/// The end of a label's name, the names of elements on the way (by `/`), and what is there.
pub(crate) type Entry = (&'static str, &'static str, Kind);

/// Sets the labels of a table that the element has something for.
pub(crate) fn set_all(labels: &mut Labels, prefix: &str, table: &[Entry], element: &Element) {
    for (name, path, kind) in table {
        let path: Vec<_> = path.split('/').collect();
        if let Some(value) = text(element, &path).and_then(|text| value(text, *kind)) {
            labels.insert(format!("{prefix}{name}"), value);
        }
    }
}

/// What a label says of a text. `None` for what is not of its kind.
fn value(text: &str, kind: Kind) -> Option<String> {
    match kind {
        Kind::Text => Some(text.to_owned()),
        Kind::Word => Some(text.to_owned()).filter(|word| !word.is_empty()),
        Kind::Number => text.trim().parse::<i64>().ok().map(|number| number.to_string()),
        Kind::Bool => text.trim().parse::<bool>().ok().map(|yes| yes.to_string()),
        Kind::Time => {
            let time = Timestamp::parse(text.trim())?.to_string();
            Some(format!("{}Z", time.get(..19)?))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_kind_is_told_as_go_prints_it() {
        for (text, kind, wanted) in [
            ("", Kind::Text, Some("")),
            ("", Kind::Word, None),
            ("007", Kind::Number, Some("7")),
            ("many", Kind::Number, None),
            ("true", Kind::Bool, Some("true")),
            ("2024-01-15T10:30:00.123Z", Kind::Time, Some("2024-01-15T10:30:00Z")),
            ("yesterday", Kind::Time, None),
        ] {
            assert_eq!(value(text, kind).as_deref(), wanted, "{text:?} {kind:?}");
        }
    }
}
