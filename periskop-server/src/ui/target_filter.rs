//! What the page of targets shows, as it stands in the address.

use url::form_urlencoded;

use super::link::encode;

/// The query of the page of targets. Reading is lenient, as for the list of errors.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TargetFilter {
    /// Only these.
    pub state: TargetState,
    /// Only this service, with all of its targets, a page at a time.
    pub service: Option<String>,
    /// The page of a service's targets, from 0.
    pub page: usize,
}

/// Targets that can be asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum TargetState {
    /// Every target, and those that were dropped.
    #[default]
    All,
    /// Those that answer.
    Up,
    /// Those that do not.
    Down,
    /// Those that have not been tried yet.
    Unknown,
    /// Those that relabelling dropped.
    Dropped,
}

impl TargetFilter {
    /// Reads the query of an address, without its `?`.
    pub fn parse(query: &str) -> Self {
        let mut filter = Self::default();
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "state" => filter.state = TargetState::parse(&value).unwrap_or_default(),
                "service" if !value.is_empty() => filter.service = Some(value.into_owned()),
                // People count from 1.
                "page" => filter.page = value.parse::<usize>().map_or(0, |n| n.saturating_sub(1)),
                _ => {}
            }
        }
        filter
    }

    /// The query of an address that [`TargetFilter::parse`] reads back, with its `?`; empty for the
    /// default.
    pub fn to_query(&self) -> String {
        let mut pairs = Vec::new();
        if self.state != TargetState::default() {
            pairs.push(format!("state={}", self.state.as_str()));
        }
        if let Some(service) = &self.service {
            pairs.push(format!("service={}", encode(service)));
        }
        if self.page > 0 {
            pairs.push(format!("page={}", self.page + 1));
        }
        if pairs.is_empty() { String::new() } else { format!("?{}", pairs.join("&")) }
    }

    /// This filter with another state, from its first page.
    #[must_use]
    pub fn in_state(&self, state: TargetState) -> Self {
        Self { state, page: 0, ..self.clone() }
    }

    /// This filter with another service, or all, from its first page.
    #[must_use]
    pub fn of(&self, service: Option<&str>) -> Self {
        Self { service: service.map(str::to_owned), page: 0, ..self.clone() }
    }

    /// This filter's page `n`, from 0.
    #[must_use]
    pub fn at(&self, page: usize) -> Self {
        Self { page, ..self.clone() }
    }
}

impl TargetState {
    /// All, in the order in which they are offered.
    pub const ALL: [Self; 5] = [Self::All, Self::Up, Self::Down, Self::Unknown, Self::Dropped];

    /// The value in an address, and the name on the page.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::All => "all",
            Self::Up => "up",
            Self::Down => "down",
            Self::Unknown => "unknown",
            Self::Dropped => "dropped",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.as_str() == text)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_as_the_filter_that_wrote_it() {
        for state in TargetState::ALL {
            let filter = TargetFilter { state, service: Some("a/b & c".to_owned()), page: 3 };
            assert_eq!(TargetFilter::parse(&filter.to_query()[1..]), filter);
        }
        assert_eq!(TargetFilter::parse("state=x&page=-1&service=").to_query(), "");
    }
}
