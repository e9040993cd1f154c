//! Pages from what an observer has scraped.

mod one_error;

use periskop_core::{AggregateId, Observer, ReplicaId, Settings};

use super::super::asked::Asked;
use super::super::filter::{ErrorFilter, StateFilter};
use super::super::view::InstanceNote;
use super::super::world::{START, World, shop};
use super::*;

impl World {
    fn knowledge<'a>(&'a self, catalogue: &'a Catalogue) -> Knowledge<'a> {
        Knowledge {
            state: self.observer.state(),
            catalogue,
            fleet: &self.fleet,
            now: self.now,
            started: Timestamp::parse(START).unwrap(),
        }
    }

    fn list(&self, query: &str) -> view::ErrorsPage {
        errors(self.knowledge(&self.catalogue()), ErrorFilter::parse(query))
    }

    fn keys(&self, query: &str) -> Vec<String> {
        self.list(query).rows.iter().map(|row| row.key.as_str().to_owned()).collect()
    }

    fn page(&self, service: &str, key: &str) -> view::ErrorPage {
        let id = AggregateId { service: service.into(), key: key.into() };
        error(self.knowledge(&self.catalogue()), &id, &Asked::default()).unwrap()
    }
}

#[test]
fn the_list_is_sorted_as_asked_and_the_newest_comes_first_by_default() {
    let world = shop();
    assert_eq!(world.keys(""), ["Note", "Timeout", "Slow"]);
    assert_eq!(world.keys("sort=count"), ["Slow", "Timeout", "Note"]);
    assert_eq!(world.keys("sort=count&order=asc"), ["Note", "Timeout", "Slow"]);
    assert_eq!(world.keys("sort=rate")[0], "Slow");
}

#[test]
fn a_row_tells_class_message_counts_and_times() {
    let row = shop().list("severity=error").rows.remove(0);
    assert_eq!((row.class.as_str(), row.message.as_str()), ("TimeoutClass", "Timeout went WRONG"));
    assert_eq!(row.total, 7);
    assert_eq!(row.state, view::State::New(Lately::Hour));
    assert_eq!(row.first_seen, Timestamp::parse("2026-11-20T00:00:10Z").unwrap());
    assert_eq!(row.series.counts.len(), 24);
    assert_eq!(row.series.counts[23], 7, "the present hour is the last bar");
}

#[test]
fn filters_narrow_the_list_and_say_what_the_others_would_show() {
    let mut world = shop();
    world.act("shop", "Slow", Act::Resolve);
    let page = world.list("severity=info");
    assert_eq!(page.total, 1);
    let count = |state| page.facets.states.iter().find(|(s, _)| *s == state).unwrap().1;
    assert_eq!((count(StateFilter::Open), count(StateFilter::Resolved)), (1, 0));
    let severities: Vec<usize> = page.facets.severities.iter().map(|(_, n)| *n).collect();
    assert_eq!(severities, [1, 0, 1], "of the open ones, whatever severity is chosen");
    assert_eq!(world.keys("state=resolved"), ["Slow"]);
    assert_eq!(world.keys("state=all").len(), 3);
    assert_eq!(world.keys("service=mail").len(), 0);
    assert_eq!(world.list("service=mail").facets.services[0].0.as_str(), "mail");
}

#[test]
fn search_finds_any_text_without_regard_to_case() {
    let world = shop();
    for q in
        ["went+wrong", "TIMEOUTCLASS", "%22main.java:1%22", "cart?step", "x-trace", "SHOP.example"]
    {
        assert!(world.keys(&format!("q={q}")).contains(&"Timeout".to_owned()), "{q}");
    }
    assert!(world.keys("q=nowhere").is_empty());
}

#[test]
fn a_search_that_cannot_be_read_is_marked_and_mended() {
    let page = shop().list("q=went+sevrity:error&service=shop");
    let problem = page.problem.unwrap();
    let marked = [&problem.before, &problem.marked, &problem.after].map(Text::as_str);
    assert_eq!(marked.concat(), "went sevrity:error");
    assert!(problem.marked.as_str().starts_with("sevrity"), "{problem:?}");
    let (shown, query) = problem.suggestion.unwrap();
    assert_eq!(shown.as_str(), "went severity:error");
    assert_eq!(query, "?service=shop&q=went%20severity%3Aerror", "filters stay");
    assert_eq!((page.total, page.rows.len()), (0, 0));
}

#[test]
fn a_search_for_a_state_is_not_hidden_by_what_is_usual() {
    let mut world = shop();
    world.act("shop", "Slow", Act::Resolve);
    assert_eq!(world.keys("q=state:resolved"), ["Slow"]);
    assert_eq!(world.list("q=state:resolved").state, StateFilter::All);
    assert!(world.keys("q=state:resolved&state=open").is_empty(), "unless that was chosen");
    assert!(world.keys("q=slow").is_empty());
}

#[test]
fn errors_are_counted_by_a_label_and_narrowed_by_it() {
    let world = shop();
    let facets = world.list("label=zone").facets;
    assert_eq!(facets.label_names, [Text::new("zone")]);
    assert_eq!(facets.labels, [(Text::new("a"), 3)]);
    let page = world.list("q=timeout");
    let query = page.labelled(&Text::new("zone"), &Text::new("a"));
    assert_eq!(world.keys(&query[1..]), ["Timeout"]);
    let none = page.labelled(&Text::new("zone"), &Text::new("b\"\\"));
    assert!(world.list(&none[1..]).problem.is_none(), "{none}");
    assert!(world.keys(&none[1..]).is_empty());
}

#[test]
fn the_list_is_restricted_to_what_was_seen_lately() {
    let mut world = shop();
    world.pass(2 * 3_600);
    world.scrape("shop", "s1", &[("Timeout", 5, "error")]);
    assert_eq!(world.keys("seen=1h"), ["Timeout"]);
    assert_eq!(world.keys("seen=24h").len(), 3);
}

#[test]
fn a_long_list_comes_in_pages() {
    let mut world = World::new();
    world.pass(60);
    let keys: Vec<String> = (0..120).map(|i| format!("E{i:03}")).collect();
    let all: Vec<_> = keys.iter().map(|key| (key.as_str(), 1, "error")).collect();
    world.scrape("shop", "s1", &all);
    assert_eq!(world.keys("")[0], "E000", "equals stay in the order of their keys");
    let mut seen = world.keys("");
    let mut next = world.list("").next();
    while let Some(query) = next {
        let page = world.list(&query[1..]);
        seen.extend(page.rows.iter().map(|row| row.key.as_str().to_owned()));
        next = page.next();
    }
    assert_eq!(seen, keys, "each once, in order");
}

#[test]
fn a_resolved_error_leaves_the_list_and_comes_back_as_regressed() {
    let mut world = shop();
    world.act("shop", "Timeout", Act::Resolve);
    assert_eq!(world.keys(""), ["Note", "Slow"]);
    assert_eq!(world.page("shop", "Timeout").row.state, view::State::Resolved);
    world.pass(60);
    world.scrape("shop", "s1", &[("Timeout", 5, "error")]);
    let page = world.page("shop", "Timeout");
    assert_eq!(page.row.state, view::State::Regressed);
    let history: Vec<_> = page.history.iter().map(|row| row.what).collect();
    assert_eq!(history, ["came back", "resolved"]);
    assert_eq!(page.history[1].by.as_str(), "ada");
}

#[test]
fn a_muted_error_says_for_how_long() {
    let mut world = shop();
    let until = world.now.plus(Duration::from_secs(3_600));
    world.act("shop", "Timeout", Act::Mute(MuteFor::Until(until)));
    let muted = Muted::For(Duration::from_secs(3_600));
    assert_eq!(world.list("state=muted").rows[0].state, view::State::Muted(muted));
}

#[test]
fn instances_are_counted_side_by_side_with_those_that_report_none() {
    let mut world = shop();
    world.instance("shop", "s3", Health::Up);
    let page = world.page("shop", "Timeout");
    assert_eq!((page.reporting, page.known), (2, 3));
    let rows: Vec<_> = page
        .instances
        .iter()
        .map(|row| (row.name.as_str(), row.count, row.share, row.note))
        .collect();
    assert_eq!(
        rows,
        [
            ("s2", 4, 100, InstanceNote::Reports),
            ("s1", 3, 75, InstanceNote::Reports),
            ("s3", 0, 0, InstanceNote::None)
        ]
    );
    assert_eq!(page.instances[0].labels, [(Text::new("zone"), Text::new("a"))]);
}

#[test]
fn the_count_of_an_instance_that_is_gone_stays() {
    let mut world = shop();
    world.observer.departed(world.now, &"shop".into(), "http://s1/");
    world.fleet.0.get_mut("shop").unwrap().remove(0);
    let page = world.page("shop", "Timeout");
    assert_eq!((page.reporting, page.known), (1, 1));
    let gone = page.instances.iter().find(|row| row.name.as_str() == "s1").unwrap();
    assert_eq!((gone.count, gone.note), (3, InstanceNote::Gone));
}

#[test]
fn what_was_counted_before_anybody_looked_is_said() {
    assert_eq!(shop().page("shop", "Timeout").before, 0);
    let mut late = World::new();
    late.pass(8 * 3_600);
    late.observer = Observer::new(ReplicaId::from_u64(2), Settings::default(), late.now);
    late.pass(60);
    late.scrape("shop", "s1", &[("Timeout", 30, "error")]);
    late.pass(60);
    late.scrape("shop", "s1", &[("Timeout", 32, "error")]);
    let page = late.page("shop", "Timeout");
    assert_eq!((page.row.total, page.bars.series().total(), page.before), (32, 2, 30));
}

#[test]
fn occurrences_are_stepped_through_by_name() {
    let world = shop();
    let id = AggregateId { service: "shop".into(), key: "Timeout".into() };
    let show = |name: Option<&str>| {
        let asked = Asked::default().showing(name);
        error(world.knowledge(&world.catalogue()), &id, &asked).unwrap().occurrence.unwrap()
    };
    let newest = show(None);
    assert_eq!((newest.name.as_str(), newest.place, newest.of), ("s2-Timeout-4", 1, 2));
    assert_eq!(newest.newer, None);
    let older = newest.older.unwrap();
    let second = show(Some(older.as_str()));
    assert_eq!((second.name.as_str(), second.place), ("s1-Timeout-3", 2));
    assert_eq!((second.newer.unwrap().as_str(), second.older), ("s2-Timeout-4", None));
    assert_eq!(show(Some("no longer kept")).place, 1);
}

#[test]
fn a_request_comes_with_the_command_that_sends_it_again() {
    let http = shop().page("shop", "Timeout").occurrence.unwrap().http.unwrap();
    let curl = http.curl.unwrap();
    assert!(curl.as_str().contains("--url 'http://shop.example/cart?step=2'"), "{curl}");
    assert!(curl.as_str().contains(r"-H 'X-Trace: it'\''s'"), "{curl}");
}

#[test]
fn an_unknown_error_has_no_page() {
    let world = shop();
    for (service, key) in [("shop", "Nope"), ("nope", "Timeout")] {
        let id = AggregateId { service: service.into(), key: key.into() };
        assert!(error(world.knowledge(&world.catalogue()), &id, &Asked::default()).is_none());
    }
}

#[test]
fn the_overview_begins_with_the_worst_and_forgets_nobody() {
    let mut world = shop();
    world.fleet.add_service("idle".into());
    world.instance("calm", "c1", Health::Up);
    world.pass(60);
    world.scrape("calm", "c1", &[]);
    let page = overview(world.knowledge(&world.catalogue()));
    let names: Vec<_> = page.services.iter().map(|row| row.name.as_str()).collect();
    assert_eq!(names, ["shop", "mail", "calm", "idle"]);
    let shop = &page.services[0];
    assert_eq!((shop.up, shop.instances, shop.open, shop.new), (2, 2, 3, 3));
    assert_eq!(shop.series.total(), 58);
    assert_eq!(shop.trend, None, "two minutes are nothing to compare with");
    assert_eq!((page.up(), page.instances(), page.open()), (3, 4, 3));
}

#[test]
fn a_rate_is_compared_with_what_was_usual() {
    let mut world = World::new();
    world.instance("shop", "s1", Health::Up);
    for minute in 1..=240 {
        world.pass(60);
        let burst = if minute > 225 { (minute - 225) * 9 } else { 0 };
        world.scrape("shop", "s1", &[("Timeout", minute + burst, "error")]);
    }
    let trend = world.page("shop", "Timeout").trend.unwrap();
    assert!((9.0..11.0).contains(&trend), "{trend}");
}
