//! What the list of errors shows, as it stands in the address: the URL is the state.

use std::time::Duration;

use periskop_core::Severity;
pub use periskop_core::catalogue::Sort;
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
    /// Only this state; without it the search decides, and then [`StateFilter::Open`].
    pub state: Option<StateFilter>,
    /// Only errors that match this search; empty: all.
    pub q: String,
    /// Only errors that were seen within this.
    pub seen: Seen,
    /// The label whose values are counted beside the list.
    pub label: Option<String>,
    /// By what to sort.
    pub sort: Sort,
    /// Smallest or oldest first instead of last.
    pub ascending: bool,
    /// After which place in the list the page begins, as the page before it said.
    pub cursor: Option<String>,
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

/// How lately an error was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Seen {
    /// Whenever.
    #[default]
    Ever,
    /// Within an hour.
    Hour,
    /// Within a day.
    Day,
    /// Within a week.
    Week,
    /// Within thirty days.
    Month,
}

/// The longest search text that is read, in characters.
const LONGEST_QUERY: usize = 1_000;

/// The longest cursor or label that is read, in bytes.
const LONGEST_NAME: usize = 16_384;

impl ErrorFilter {
    /// Reads the query of an address, without its `?`.
    pub fn parse(query: &str) -> Self {
        let mut filter = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            let short = !value.is_empty() && value.len() <= LONGEST_NAME;
            match &*name {
                "service" if !value.is_empty() => filter.service = Some(value.into_owned()),
                "severity" => filter.severity = Severity::parse(&value),
                "state" => filter.state = StateFilter::parse(&value),
                // A search box has one line and shows what it holds.
                "q" => {
                    let visible = value.trim().chars().filter(|c| !is_hidden(*c));
                    filter.q = visible.take(LONGEST_QUERY).collect();
                }
                "seen" => filter.seen = Seen::parse(&value),
                "label" if short => filter.label = Some(value.into_owned()),
                "sort" => filter.sort = Sort::parse(&value).unwrap_or_default(),
                "order" => filter.ascending = value == "asc",
                "cursor" if short => filter.cursor = Some(value.into_owned()),
                _ => {}
            }
        }
        filter
    }

    /// The query of an address that [`ErrorFilter::parse`] reads back, with its `?`; empty for the
    /// default.
    pub fn to_query(&self) -> String {
        let mut query = String::new();
        for (name, value) in self.pairs() {
            query.push(if query.is_empty() { '?' } else { '&' });
            query.push_str(name);
            query.push('=');
            query.push_str(&encode(value));
        }
        query
    }

    /// What a search form keeps beside the search itself.
    pub fn beside_search(&self) -> Vec<(&'static str, &str)> {
        let all = self.pairs().into_iter();
        all.filter(|(name, _)| !matches!(*name, "q" | "cursor")).collect()
    }

    fn pairs(&self) -> Vec<(&'static str, &str)> {
        let mut pairs: Vec<(&'static str, &str)> = Vec::new();
        pairs.extend(self.service.as_deref().map(|value| ("service", value)));
        pairs.extend(self.severity.map(|severity| ("severity", severity.as_str())));
        pairs.extend(self.state.map(|state| ("state", state.as_str())));
        if !self.q.is_empty() {
            pairs.push(("q", &self.q));
        }
        if self.seen != Seen::default() {
            pairs.push(("seen", self.seen.as_str()));
        }
        pairs.extend(self.label.as_deref().map(|value| ("label", value)));
        if self.sort != Sort::default() {
            pairs.push(("sort", self.sort.as_str()));
        }
        if self.ascending {
            pairs.push(("order", "asc"));
        }
        pairs.extend(self.cursor.as_deref().map(|value| ("cursor", value)));
        pairs
    }

    /// Whether nothing is asked for but the default.
    pub fn is_plain(&self) -> bool {
        let state = self.state.filter(|state| *state != StateFilter::default());
        let sorted = Self {
            state,
            sort: Sort::default(),
            ascending: false,
            cursor: None,
            label: None,
            ..self.clone()
        };
        sorted == Self::default()
    }

    /// This filter changed by `change`, from its first page.
    #[must_use]
    pub fn with(&self, change: impl FnOnce(&mut Self)) -> Self {
        let mut filter = Self { cursor: None, ..self.clone() };
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

impl Seen {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 5] = [Self::Ever, Self::Hour, Self::Day, Self::Week, Self::Month];

    /// The value in an address.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Ever => "any",
            Self::Hour => "1h",
            Self::Day => "24h",
            Self::Week => "7d",
            Self::Month => "30d",
        }
    }

    /// The name on the page.
    pub const fn label(self) -> &'static str {
        match self {
            Self::Ever => "any time",
            Self::Hour => "last hour",
            Self::Day => "last 24 h",
            Self::Week => "last 7 d",
            Self::Month => "last 30 d",
        }
    }

    /// How long ago at most; `None` for whenever.
    pub const fn within(self) -> Option<Duration> {
        const HOUR: u64 = 3_600;
        Some(Duration::from_secs(match self {
            Self::Ever => return None,
            Self::Hour => HOUR,
            Self::Day => 24 * HOUR,
            Self::Week => 7 * 24 * HOUR,
            Self::Month => 30 * 24 * HOUR,
        }))
    }

    fn parse(text: &str) -> Self {
        Self::ALL.into_iter().find(|seen| seen.as_str() == text).unwrap_or_default()
    }
}

/// What a list is sorted by, in words.
pub const fn label(sort: Sort) -> &'static str {
    match sort {
        Sort::LastSeen => "last seen",
        Sort::FirstSeen => "first seen",
        Sort::Count => "count",
        Sort::Rate => "rate",
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
                    state: Some(state),
                    q: "timed out + 100% \"x\" <b>".to_owned(),
                    seen: Seen::Week,
                    label: Some("zone".to_owned()),
                    sort,
                    ascending: true,
                    cursor: Some("0a~b/c".to_owned()),
                };
                let query = filter.to_query();
                assert_eq!(ErrorFilter::parse(&query[1..]), filter, "{query}");
            }
        }
    }

    #[test]
    fn the_default_has_the_shortest_address() {
        assert_eq!(ErrorFilter::parse("").to_query(), "");
        assert_eq!(ErrorFilter::parse("q=&service=&state=&seen=any&cursor=&label=").to_query(), "");
    }

    #[test]
    fn an_unknown_value_is_the_default() {
        let query = "state=x&severity=x&sort=x&order=x&seen=x&other=1";
        assert_eq!(ErrorFilter::parse(query), ErrorFilter::default());
    }

    #[test]
    fn a_changed_filter_starts_at_its_first_page() {
        let filter = ErrorFilter { cursor: Some("x".to_owned()), ..ErrorFilter::default() };
        let changed = filter.with(|f| f.state = Some(StateFilter::Muted));
        assert_eq!(changed.to_query(), "?state=muted");
    }
}
