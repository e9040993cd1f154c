//! Pages: a view model in, HTML out. No state, no clock, no I/O.

use std::borrow::Borrow;

use askama::Template;
use periskop_core::query::{FIELDS, FORMS, Help};
use periskop_core::{Severity, Timestamp};

use super::asked::{Asked, Range, Span};
use super::filter::{Seen, Sort, StateFilter};
use super::format::{self, Ago, Moment};
use super::frames::Frames;
use super::target_filter::TargetState;
use super::text::Text;
use super::view::{
    ErrorPage, ErrorRow, ErrorsPage, Health, Hidden, InstanceNote, Overview, ProblemPage,
    StatusPage, TargetsPage,
};
use super::{assets, chart, filter, link};

/// What every page knows: where it is mounted and what time it is.
#[derive(Clone, Debug)]
pub struct Site {
    /// The path below which everything is, without a slash at its end; empty at the root.
    pub base: String,
    /// When the page is made.
    pub now: Timestamp,
    /// What everybody should know, on top of every page.
    pub notice: Option<Text>,
}

impl Site {
    /// The overview of services.
    pub fn overview(&self, page: &Overview) -> String {
        render(&OverviewHtml { site: self, page })
    }

    /// The list of errors.
    pub fn errors(&self, page: &ErrorsPage) -> String {
        render(&ErrorsHtml { site: self, page })
    }

    /// One error.
    pub fn error(&self, page: &ErrorPage) -> String {
        render(&ErrorHtml { site: self, page })
    }

    /// Targets and their health.
    pub fn targets(&self, page: &TargetsPage) -> String {
        render(&TargetsHtml { site: self, page })
    }

    /// Build, run time and configuration.
    pub fn status(&self, page: &StatusPage) -> String {
        render(&StatusHtml { site: self, page })
    }

    /// How to search.
    pub fn help(&self) -> String {
        render(&HelpHtml { site: self, page: &HELP })
    }

    /// What could not be done.
    pub fn problem(&self, page: &ProblemPage) -> String {
        render(&ProblemHtml { site: self, page })
    }

    /// The address of an error.
    pub fn error_href(&self, row: &ErrorRow) -> String {
        format!("{}{}", self.base, link::error(&row.error_id()))
    }

    /// The address of an error's page that shows what is asked for.
    fn error_at(&self, row: &ErrorRow, asked: impl Borrow<Asked>) -> String {
        link::with_query(self.error_href(row), &asked.borrow().to_query())
    }

    /// The address of an error in the API.
    fn api_href(&self, row: &ErrorRow) -> String {
        let (service, key) = (link::encode(row.service.as_str()), link::encode(row.key.as_str()));
        format!("{}/api/v1/errors/{service}/{key}", self.base)
    }

    /// The list of errors of one service.
    fn service_href(&self, service: &Text) -> String {
        format!("{}/errors?service={}", self.base, link::encode(service.as_str()))
    }

    fn ago(&self, at: &Timestamp) -> Ago {
        Ago::new(*at, self.now)
    }

    fn moment(&self, at: &Timestamp) -> Moment {
        Moment(*at)
    }

    fn age(&self, at: &Timestamp) -> Ago {
        Ago::bare(*at, self.now)
    }
}

/// Rendering writes to a string and calls nothing that fails, so that an error can only be a
/// mistake in a template; it costs that page, not the process.
fn render(template: &impl Template) -> String {
    template.render().unwrap_or_else(|error| {
        tracing::error!(%error, "a page could not be rendered");
        "This page could not be rendered; the log says why.".to_owned()
    })
}

/// The query language, from its own table.
const HELP: [(&str, &[Help]); 2] = [("Texts, and how they go together", FORMS), ("Fields", FIELDS)];

/// For how long an error can be muted by a click: the duration, and its name on the page.
const MUTES: [(&str, &str); 3] = [("1h", "1 h"), ("24h", "24 h"), ("7d", "7 d")];

macro_rules! page {
    ($(#[$attribute:meta])* $name:ident, $path:literal, $page:ty) => {
        $(#[$attribute])*
        #[derive(Template)]
        #[template(path = $path)]
        struct $name<'a> {
            site: &'a Site,
            page: &'a $page,
        }
    };
}

page!(OverviewHtml, "overview.html", Overview);
page!(ErrorsHtml, "errors.html", ErrorsPage);
page!(ErrorHtml, "error.html", ErrorPage);
page!(TargetsHtml, "targets.html", TargetsPage);
page!(StatusHtml, "status.html", StatusPage);
page!(HelpHtml, "help.html", [(&'static str, &'static [Help])]);
page!(ProblemHtml, "problem.html", ProblemPage);

#[cfg(test)]
mod tests {
    use super::super::filter::ErrorFilter;
    use super::super::fixture::{self, HOSTILE, site};
    use super::super::view::{Facets, Muted, State};
    use super::*;

    /// Text that a browser would show as a tag, if it were not escaped.
    fn tags(html: &str) -> Vec<&str> {
        html.split('<').skip(1).filter_map(|tag| tag.split(['>', ' ', '\n']).next()).collect()
    }

    #[test]
    fn what_a_hostile_target_writes_is_shown_as_text() {
        for html in fixture::hostile_pages(&site()) {
            assert!(!html.contains("<script>") && !html.contains("<img"), "{html}");
            assert!(html.contains("&#60;script&#62;alert(1)"), "{html}");
            // What a form sends back is as it was; nobody sees it.
            let shown = html.split(" value=\"").enumerate().map(|(i, part)| match i {
                0 => part,
                _ => part.split_once('"').map_or("", |(_, rest)| rest),
            });
            assert!(!shown.collect::<String>().contains(['\x1b', '\u{202e}']), "{html}");
            let allowed = ["script", "/script"];
            assert_eq!(tags(&html).iter().filter(|t| allowed.contains(t)).count(), 2 * 4);
        }
    }

    #[test]
    fn no_attribute_can_be_left() {
        for html in fixture::hostile_pages(&site()) {
            for tag in html.split('<').skip(1).filter_map(|tag| tag.split('>').next()) {
                assert!(
                    !tag.contains("onerror") || tag.contains("&#34;") || tag.contains("%22"),
                    "{tag}"
                );
                assert_eq!(tag.matches('"').count() % 2, 0, "{tag}");
            }
        }
    }

    #[test]
    fn no_page_has_an_inline_script_or_style() {
        for html in fixture::hostile_pages(&site()) {
            let html = html.replace(&HOSTILE.replace('<', "&#60;"), "");
            assert!(!html.contains("<style") && !html.contains(" style="));
            assert!(!html.contains(" onclick") && !html.contains("hx-on"));
            assert!(!html.contains("javascript:"));
        }
    }

    #[test]
    fn every_link_and_form_is_below_the_base_path() {
        let site = Site { base: "/tools/periskop".to_owned(), ..site() };
        for html in fixture::hostile_pages(&site) {
            for attribute in ["href=\"", "src=\"", "action=\"", "hx-get=\"", "hx-post=\""] {
                for value in html.split(attribute).skip(1) {
                    assert!(
                        value.starts_with("/tools/periskop/") || value.starts_with('#'),
                        "{attribute}{}",
                        &value[..value.len().min(60)]
                    );
                }
            }
        }
    }

    #[test]
    fn a_notice_is_on_every_page_and_live_pages_update_it() {
        let quiet = site();
        let site = Site { notice: Some(Text::new("the <store> is away")), ..site() };
        for (told, untold) in
            fixture::hostile_pages(&site).iter().zip(fixture::hostile_pages(&quiet))
        {
            assert!(told.contains("the &#60;store&#62; is away"), "{told}");
            assert!(!untold.contains("is away") && untold.contains(r#"id="notice""#), "{untold}");
            for live in told.split(r#"id="live""#).skip(1) {
                let tag = live.split('>').next().unwrap();
                assert!(tag.contains("#notice"), "{tag}");
            }
        }
    }

    #[test]
    fn a_target_that_was_not_tried_yet_shows_how_it_was_found_last() {
        let html = site().targets(&fixture::targets());
        assert!(html.contains("not tried yet; was down since"), "{html}");
        assert!(html.contains("connection refused"));
    }

    #[test]
    fn a_resolved_error_can_be_reopened_and_an_open_one_resolved() {
        let mut page = fixture::error();
        assert!(site().error(&page).contains(r#"name="act" value="resolve""#));
        page.row.state = State::Resolved;
        let html = site().error(&page);
        assert!(html.contains(r#"name="act" value="reopen""#));
        assert!(html.contains(r#"name="until" value="24h""#), "{html}");
        page.row.state = State::Muted(Muted::Ever);
        let html = site().error(&page);
        assert!(html.contains(r#"name="act" value="unmute""#) && !html.contains("value=\"24h\""));
    }

    #[test]
    fn the_help_shows_every_operator_with_an_example_to_try() {
        let html = site().help();
        for help in FORMS.iter().chain(FIELDS) {
            let link = format!("href=\"/errors?q={}\"", link::encode(help.example));
            assert!(html.contains(&link), "{}", help.name);
        }
    }

    #[test]
    fn forgetting_says_what_it_does_before_it_does_it() {
        let html = site().error(&fixture::error());
        let (_, rest) = html.split_once("<details class=\"forget\">").unwrap();
        let (told, button) = rest.split_once(r#"value="forget""#).unwrap();
        assert!(told.contains("cannot be undone") && button.contains("for good"), "{told}");
    }

    #[test]
    fn a_full_list_of_hostile_texts_stays_small() {
        let mut page = fixture::errors();
        let mut row = page.rows.swap_remove(0);
        (row.class, row.message) =
            (Text::brief(&HOSTILE.repeat(9), 150), Text::brief(&HOSTILE.repeat(40), 300));
        page.rows = (0..50)
            .map(|i| ErrorRow { key: Text::new(format!("{HOSTILE}{i}")), ..row.clone() })
            .collect();
        let html = site().errors(&page);
        assert!(html.len() < 150_000, "{}", html.len());
    }

    #[test]
    fn the_other_occurrences_keep_the_range() {
        let mut page = fixture::error();
        page.asked.span = Span::Last(Range::Week);
        let html = site().error(&page);
        assert!(
            html.contains("?occurrence=b0b7e0de-51d5-11ea-8aad-f894c260afe5&#38;range=7d"),
            "{html}"
        );
    }

    #[test]
    fn an_empty_list_says_what_to_do_next() {
        let empty = |query: &str, services, resolved| {
            site().errors(&ErrorsPage {
                filter: ErrorFilter::parse(query),
                total: 0,
                occurrences: 0,
                rows: Vec::new(),
                next: None,
                facets: Facets {
                    states: vec![(StateFilter::Resolved, resolved)],
                    ..Facets::default()
                },
                services,
                ..fixture::errors()
            })
        };
        assert!(empty("", 0, 0).contains("No service has been scraped yet"));
        assert!(empty("", 2, 0).contains("2 services are being scraped and nothing is open."));
        let html = empty("q=timeout", 2, 3);
        assert!(html.contains("Nothing matches"), "{html}");
        assert!(
            html.contains(r#"href="/errors?state=resolved&#38;q=timeout">3 errors resolved</a>"#),
            "{html}"
        );
        assert!(site().overview(&Overview::default()).contains("No service yet"));
        assert!(site().targets(&TargetsPage::default()).contains("Nothing to scrape"));
    }
}
