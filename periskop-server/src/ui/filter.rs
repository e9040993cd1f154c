//! What the list of errors shows, as it stands in the address: the URL is the state.

use periskop_core::Severity;
use url::form_urlencoded;

use super::link::encode;
use super::text::is_hidden;

/// The query of the list of errors.
///
/// Reading is lenient: an unknown value is the default, so that an old bookmark still opens. The
/// page shows which filter applies.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ErrorFilter {
    /// Only this service.
    pub service: Option<String>,
    /// Only this severity.
    pub severity: Option<Severity>,
    /// Only this state.
    pub state: StateFilter,
    /// Only errors whose text contains this, without regard to case; empty: all.
    pub q: String,
    /// By what to sort.
    pub sort: Sort,
    /// Smallest or oldest first instead of last.
    pub ascending: bool,
    /// The page, from 0.
    pub page: usize,
}

/// States that can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum StateFilter {
    /// Open or regressed: what wants somebody's attention.
    #[default]
    Open,
    /// Open, and first seen not long ago.
    New,
    /// Resolved, and then it came back.
    Regressed,
    /// Hidden for now.
    Muted,
    /// Resolved.
    Resolved,
    /// Every error.
    All,
}

/// Orders of the list.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// By the newest occurrence.
    #[default]
    LastSeen,
    /// By the oldest.
    FirstSeen,
    /// By the number of occurrences.
    Count,
    /// By occurrences per minute, now.
    Rate,
}

/// The longest search text that is read, in characters.
const LONGEST_QUERY: usize = 1_000;

impl ErrorFilter {
    /// Reads the query of an address, without its `?`.
    pub fn parse(query: &str) -> Self {
        let mut filter = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "service" if !value.is_empty() => filter.service = Some(value.into_owned()),
                "severity" => filter.severity = Severity::parse(&value),
                "state" => filter.state = StateFilter::parse(&value).unwrap_or_default(),
                // A search box has one line and shows what it holds.
                "q" => {
                    let visible = value.trim().chars().filter(|c| !is_hidden(*c));
                    filter.q = visible.take(LONGEST_QUERY).collect();
                }
                "sort" => filter.sort = Sort::parse(&value).unwrap_or_default(),
                "order" => filter.ascending = value == "asc",
                // People count from 1.
                "page" => filter.page = value.parse::<usize>().map_or(0, |n| n.saturating_sub(1)),
                _ => {}
            }
        }
        filter
    }

    /// The query of an address that [`ErrorFilter::parse`] reads back, with its `?`; empty for the
    /// default.
    pub fn to_query(&self) -> String {
        let mut query = String::new();
        let mut add = |name: &str, value: &str| {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(name);
            query.push('=');
            query.push_str(&encode(value));
        };
        if let Some(service) = &self.service {
            add("service", service);
        }
        if let Some(severity) = self.severity {
            add("severity", severity.as_str());
        }
        if self.state != StateFilter::default() {
            add("state", self.state.as_str());
        }
        if !self.q.is_empty() {
            add("q", &self.q);
        }
        if self.sort != Sort::default() {
            add("sort", self.sort.as_str());
        }
        if self.ascending {
            add("order", "asc");
        }
        if self.page > 0 {
            add("page", &(self.page + 1).to_string());
        }
        query
    }

    /// Whether nothing is asked for but the default.
    pub fn is_plain(&self) -> bool {
        let sorted = Self { sort: Sort::default(), ascending: false, page: 0, ..self.clone() };
        sorted == Self::default()
    }

    /// This filter changed by `change`, from its first page.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut filter = Self { page: 0, ..self.clone() };
        change(&mut filter);
        filter
    }
}

impl StateFilter {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 6] =
        [Self::Open, Self::New, Self::Regressed, Self::Muted, Self::Resolved, Self::All];

    /// The value in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::New => "new",
            Self::Regressed => "regressed",
            Self::Muted => "muted",
            Self::Resolved => "resolved",
            Self::All => "all",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

impl Sort {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 4] = [Self::LastSeen, Self::FirstSeen, Self::Count, Self::Rate];

    /// The value in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::LastSeen => "last_seen",
            Self::FirstSeen => "first_seen",
            Self::Count => "count",
            Self::Rate => "rate",
        }
    }

    /// The name on the page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::LastSeen => "last seen",
            Self::FirstSeen => "first seen",
            Self::Count => "count",
            Self::Rate => "rate",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|sort| sort.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_the_filter_that_wrote_it() {
        for state in StateFilter::ALL {
            for sort in Sort::ALL {
                let filter = ErrorFilter {
                    service: Some("a/b & c".to_owned()),
                    severity: Some(Severity::Warning),
                    state,
                    q: "timed out + 100% \"x\" <b>".to_owned(),
                    sort,
                    ascending: true,
                    page: 3,
                };
                let query = filter.to_query();
                assert_eq!(ErrorFilter::parse(&query[1..]), filter, "{query}");
            }
        }
    }

    #[test]
    fn the_default_has_the_shortest_address() {
        assert_eq!(ErrorFilter::parse("").to_query(), "");
        assert_eq!(ErrorFilter::parse("q=&service=&state=open&page=1").to_query(), "");
    }

    #[test]
    fn an_unknown_value_is_the_default() {
        let query = "state=x&severity=x&sort=x&order=x&page=-1&other=1";
        assert_eq!(ErrorFilter::parse(query), ErrorFilter::default());
    }

    #[test]
    fn a_changed_filter_starts_at_its_first_page() {
        let filter = ErrorFilter { page: 4, ..ErrorFilter::default() };
        let changed = filter.with(|f| f.state = StateFilter::Muted);
        assert_eq!(changed.to_query(), "?state=muted");
    }
}
