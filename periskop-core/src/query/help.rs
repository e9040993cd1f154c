//! The language as a table, from which help pages are made.

/// One thing that a query can say.
#[derive(Clone, Copy, Debug)]
pub struct Help {
    /// The field's name, or the form, with what is to be replaced in capitals.
    pub name: &'static str,
    /// What it means, in a sentence.
    pub meaning: &'static str,
    /// A query that uses it.
    pub example: &'static str,
}

const fn help(name: &'static str, meaning: &'static str, example: &'static str) -> Help {
    Help { name, meaning, example }
}

/// Every form of a query that is no field.
pub const FORMS: &[Help] = &[
    help(
        "WORD",
        "Any text of the error has it as a part, in upper or lower case: key, class, message, \
         stack trace and causes, URL, method, headers and body.",
        "timeout",
    ),
    help(
        "\"PHRASE\"",
        "The same of a text with blanks or with characters that mean something here. \\\" is a \
         quote and \\\\ a backslash.",
        "\"connection reset\"",
    ),
    help(
        "/REGEX/",
        "Any text matches the regular expression, in upper or lower case. A slash in it is \
         written \\/.",
        r"/order \d+ (lost|not found)/",
    ),
    help("A B", "Both. AND may stand between them.", "timeout checkout"),
    help("A OR B", "At least one of them. A blank binds tighter than OR.", "timeout OR refused"),
    help("-A", "Not this. NOT with a blank says the same.", "timeout -staging"),
    help("(A OR B) C", "Parentheses group.", "(timeout OR refused) -staging"),
    help("FIELD:(A OR B)", "One of several values of a field.", "severity:(error OR warning)"),
    help("FIELD:*", "The field has any value.", "-url:*"),
];

/// Every field. A value is a word, a `"phrase"` or, where texts are compared, a `/regex/`.
pub const FIELDS: &[Help] = &[
    help("service", "The service has this name.", "service:checkout"),
    help("severity", "The severity is error, warning or info.", "severity:error"),
    help(
        "state",
        "The state is open, regressed, resolved or muted; or new: open, and first seen within \
         the last 24 hours.",
        "state:(new OR regressed)",
    ),
    help(
        "class",
        "The class of the exception, or of one of its causes, has this as a part.",
        "class:TimeoutException",
    ),
    help(
        "message",
        "The message of the exception, or of one of its causes, has this as a part.",
        "message:\"connection reset\"",
    ),
    help("url", "The URL of the request has this as a part.", "url:/api/orders"),
    help("method", "The method of the request is this one.", "method:POST"),
    help(
        "header.NAME",
        "A header of the request of this name has this as a part of its value.",
        "header.User-Agent:curl",
    ),
    help("key", "The aggregation key has this as a part.", "key:NullPointerException"),
    help(
        "label.NAME",
        "A target that reported the error has a label of this name with this as a part of its \
         value.",
        "label.zone:eu-west-1",
    ),
    help(
        "instance",
        "The instance label of a target that reported the error, or what the target calls \
         itself, has this as a part.",
        "instance:10.0.3.7",
    ),
    help("count", "It happened so often. A number alone means exactly.", "count:>100"),
    help("rate", "It happened so often per minute over the last fifteen minutes.", "rate:>=0.5"),
    help(
        "first_seen",
        "When it was first seen. A date is compared as a time in UTC, a duration as the age.",
        "first_seen:>2026-01-01",
    ),
    help(
        "last_seen",
        "When it was last seen: <1h is less than an hour ago. Units are ms, s, m, h, d, w and y.",
        "last_seen:<1h",
    ),
];
