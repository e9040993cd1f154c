//! How to search: every operator with an example that can be tried.

/// Operators of one kind.
#[derive(Debug)]
pub struct Group {
    /// What they are about.
    pub title: &'static str,
    /// Each with an example, and what that finds.
    pub examples: &'static [(&'static str, &'static str)],
}

/// All of them.
pub static GROUPS: [Group; 5] = [
    Group {
        title: "Texts",
        examples: &[
            (
                "timeout",
                "anywhere in an error: class, message, frames, causes, request, key; in capitals or not, and within words",
            ),
            ("\"timed out after\"", "these words as they stand, blanks included"),
            ("timeout -health", "what has “timeout”, without what has “health”"),
            ("/order [0-9]+ failed/", "a regular expression"),
        ],
    },
    Group {
        title: "Parts of an error",
        examples: &[
            ("class:Timeout", "part of the class of the exception or of a cause"),
            ("message:\"card declined\"", "part of a message"),
            ("key:Timeout@", "part of the aggregation key"),
            ("url:/checkout", "part of the address of the request"),
            ("header.user-agent:curl", "part of a header of the request"),
            ("method:POST", "the whole method of the request"),
        ],
    },
    Group {
        title: "Where and how bad",
        examples: &[
            ("service:checkout", "the whole name of the service"),
            ("severity:error", "error, warning or info"),
            (
                "state:muted",
                "open, regressed, resolved or muted; without it the list shows what is unresolved",
            ),
            ("instance:10.2.4.17", "part of the name of an instance that has reported it"),
            ("label.zone:eu-west", "part of a label of such an instance"),
        ],
    },
    Group {
        title: "How often and when",
        examples: &[
            ("count:>100", "more than 100 occurrences"),
            ("rate:>=10", "10 a minute or more, now"),
            ("last_seen:<1h", "seen within the last hour"),
            ("first_seen:>7d", "known for more than seven days"),
            (
                "first_seen:>2026-01-01",
                "first seen after a day, or a time such as 2026-01-01T08:00:00Z",
            ),
        ],
    },
    Group {
        title: "Together",
        examples: &[
            ("timeout severity:error", "both: a blank is AND"),
            ("timeout OR refused", "one of them"),
            (
                "(timeout OR refused) service:checkout",
                "AND binds tighter than OR; parentheses say otherwise",
            ),
            ("-(state:open severity:info)", "not both of what stands in the parentheses"),
        ],
    },
];
