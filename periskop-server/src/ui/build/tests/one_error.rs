//! The page of one error.

use super::super::super::asked::Span;
use super::super::super::chart::Event;
use super::super::super::view::{Done, Hidden, Undo};
use super::*;

const HOUR: Duration = Duration::from_secs(3_600);

impl World {
    fn page_at(&self, key: &str, query: &str) -> view::ErrorPage {
        let id = AggregateId { service: "shop".into(), key: key.into() };
        error(self.knowledge(&self.catalogue()), &id, &Asked::parse(query)).unwrap()
    }
}

#[test]
fn counts_are_grouped_by_the_label_that_is_asked_for() {
    let mut world = shop();
    world.instance("shop", "s3", Health::Up);
    let page = world.page_at("Timeout", "by=zone");
    let rows: Vec<_> = page.instances.iter().map(|row| (row.name.as_str(), row.count)).collect();
    assert_eq!(rows, [("a", 7)]);
    assert_eq!(page.instances[0].note, InstanceNote::Group { reporting: 2, known: 3 });
    assert_eq!(page.labels, [Text::new("zone")], "`instance` is what is shown without");
    let none = world.page_at("Timeout", "by=nothing");
    assert_eq!(none.instances[0].name.as_str(), "(none)");
    assert_eq!(world.page_at("Timeout", "by=instance").instances.len(), 3);
}

#[test]
fn a_chart_shows_the_stretch_that_was_selected() {
    let mut world = shop();
    for minute in 1..=60 {
        world.pass(60);
        world.scrape("shop", "s1", &[("Timeout", 3 + minute, "error")]);
    }
    let (from, to) = (world.now.minus(HOUR / 2), world.now.minus(HOUR / 4));
    let query = Asked::default().over(Span::Between(from, to)).to_query();
    let page = world.page_at("Timeout", &query);
    let series = page.bars.series();
    assert_eq!(series.counts, [1; 15], "a minute a bar");
    assert_eq!(series.from, from);
    assert_eq!(page.asked.to_query(), query, "links keep it");
}

#[test]
fn a_chart_marks_what_people_did_and_restarts() {
    let mut world = shop();
    world.pass(60);
    world.act("shop", "Timeout", Act::Resolve);
    world.pass(60);
    world.act("shop", "Timeout", Act::Reopen);
    world.pass(60);
    let kinds = |world: &World| world.page_at("Timeout", "range=1h").bars.legend();
    assert_eq!(kinds(&world), [(Event::Resolved, 1), (Event::Reopened, 1)]);
    // The same labels under another uuid, and a count that begins again.
    world.scrape_life("shop", "s1", world.now, &[("Timeout", 1, "error")]);
    world.pass(60);
    let restarted = (Event::Restarted, 1);
    assert_eq!(kinds(&world), [(Event::Resolved, 1), (Event::Reopened, 1), restarted]);
    let page = world.page_at("Timeout", "");
    assert_eq!(page.row.total, 8, "and nothing is lost");
    assert_eq!(page.instances.len(), 2, "it is one instance still");
}

#[test]
fn the_history_tells_who_hid_it_and_for_how_long() {
    let mut world = shop();
    let until = world.now.plus(HOUR);
    world.act("shop", "Timeout", Act::Mute(MuteFor::Until(until)));
    world.pass(1);
    world.act("shop", "Timeout", Act::Mute(MuteFor::Further(10)));
    world.pass(1);
    let id = AggregateId { service: "shop".into(), key: "Timeout".into() };
    world.try_act(&id, Act::Unmute, "eve", "it matters").unwrap();
    let history = world.page("shop", "Timeout").history;
    let told: Vec<_> = history.iter().map(|row| (row.what, row.until, row.by.as_str())).collect();
    assert_eq!(
        told,
        [
            ("unmuted", None, "eve"),
            ("muted", Some(Hidden::Further(10)), "ada"),
            ("muted", Some(Hidden::Until(until)), "ada"),
        ]
    );
    assert_eq!(history[0].why.as_str(), "it matters");
}

#[test]
fn what_was_just_done_can_be_taken_back() {
    let undo =
        |act, until: Option<&str>, count| Undo { act, until: until.map(str::to_owned), count };
    let mut world = shop();
    let until = world.now.plus(HOUR);
    for (act, done) in [
        (Act::Resolve, Some(undo("reopen", None, None))),
        (Act::Reopen, Some(undo("resolve", None, None))),
        (Act::Mute(MuteFor::Until(until)), Some(undo("unmute", None, None))),
        (Act::Unmute, Some(undo("mute", Some("3597s"), None))),
        (Act::Mute(MuteFor::Further(7)), Some(undo("unmute", None, None))),
        (Act::Unmute, Some(undo("mute", None, Some(7)))),
    ] {
        world.act("shop", "Timeout", act);
        let query = format!("done={}", act.as_str());
        let found = world.page_at("Timeout", &query).done.unwrap();
        assert_eq!(found.undo, done, "{act:?}");
        world.pass(1);
    }
    assert_eq!(world.page_at("Timeout", "").done, None, "only whoever did it is told");
    assert_eq!(world.page_at("Timeout", "done=resolve").done, None, "it was not the last act");
    world.pass(3_600);
    assert_eq!(world.page_at("Timeout", "done=unmute").done, None, "long ago");
    world.act("shop", "Timeout", Act::Unmute);
    world.act("shop", "Timeout", Act::Mute(MuteFor::Ever));
    let done = world.page_at("Timeout", "done=mute").done.unwrap();
    let ever = Some(Hidden::Ever);
    let undo = Some(undo("unmute", None, None));
    assert_eq!(done, Done { what: "muted", until: ever, undo });
}

#[test]
fn a_forgotten_error_has_no_page() {
    let mut world = shop();
    world.act("shop", "Timeout", Act::Forget);
    let id = AggregateId { service: "shop".into(), key: "Timeout".into() };
    assert!(error(world.knowledge(&world.catalogue()), &id, &Asked::default()).is_none());
}

#[test]
fn an_occurrence_can_be_copied_as_a_trace_and_as_json() {
    let occurrence = shop().page("shop", "Timeout").occurrence.unwrap();
    assert_eq!(
        occurrence.trace.as_str(),
        "TimeoutClass: Timeout went WRONG\n\n  at com.example.Main.main(Main.java:1)\n"
    );
    let raw: serde_json::Value = serde_json::from_str(occurrence.raw.as_str()).unwrap();
    assert_eq!(raw["uuid"], "s2-Timeout-4");
    assert_eq!(raw["http_context"]["request_method"], "POST");
}
