//! What queries find, by an index and by a look at each error.

use std::time::Duration;

use crate::aggregate::{Act, ActionId, MuteFor};
use crate::ids::{AggregateId, ReplicaId};
use crate::observer::{Observer, Settings};
use crate::occurrence::{ContentHash, Exception, HttpContext, Occurrence, Severity};
use crate::query::{Indexed, NEW_FOR, Query};
use crate::report::{Report, ReportedError};
use crate::target::Labels;
use crate::testing::query::Numbered;
use crate::time::Timestamp;

const HOUR: Duration = Duration::from_secs(3600);

fn now() -> Timestamp {
    Timestamp::parse("2026-02-10T12:00:00Z").unwrap()
}

fn ago(hours: u32) -> Timestamp {
    now().minus(HOUR * hours)
}

fn exception(class: &str, message: &str, frame: &str) -> Exception {
    Exception {
        class: Some(class.into()),
        message: Some(message.into()),
        stacktrace: vec![frame.into()],
    }
}

fn request(method: &str, url: &str, headers: &[(&str, &str)], body: &str) -> Option<HttpContext> {
    Some(HttpContext {
        method: Some(method.into()),
        url: Some(url.into()),
        headers: headers.iter().map(|(n, v)| ((*n).into(), (*v).into())).collect(),
        body: Some(body.into()),
    })
}

struct Story(Observer, u128);

impl Story {
    /// A target of a service, known by its labels, reports an error that just happened.
    fn tell(
        &mut self,
        at: Timestamp,
        (service, labels): (&str, &[(&str, &str)]),
        (key, count, severity): (&str, u64, Severity),
        exceptions: &[Exception],
        http: Option<HttpContext>,
    ) {
        self.1 += 1;
        let name = format!("o{}", self.1);
        let occurrence = Occurrence {
            content: ContentHash::of(name.as_bytes()),
            name,
            time: Some(at),
            severity,
            exceptions: exceptions.to_vec(),
            http,
        };
        let error = ReportedError {
            key: key.into(),
            total_count: count,
            severity,
            // Nothing is first seen after its counter began.
            created_at: Some(if key == "Leak" { ago(30) } else { at }),
            incarnations: None,
            occurrences: vec![occurrence],
            unchanged: Vec::new(),
        };
        let mut report = Report { errors: vec![error], ..Report::default() };
        if labels.is_empty() {
            report.target_uuid = Some("Batch-7".into());
            drop(self.0.pushed(at, &service.into(), report));
        } else {
            let labels = labels.iter().copied().collect::<Labels>();
            let url = format!("http://{}/-/exceptions", labels.get("instance"));
            drop(self.0.scraped(at, &service.into(), &url, &labels, report));
        }
    }

    fn act(&mut self, at: Timestamp, service: &str, key: &str, act: Act) {
        self.1 += 1;
        let id = AggregateId { service: service.into(), key: key.into() };
        drop(self.0.act(at, &id, ActionId(self.1), act, "ann", "").expect("it is known"));
    }
}

/// Five errors: `npe`, `slow` and `Leak` of the service `Checkout`, `quota` and `noise` of `billing`.
fn errors() -> Numbered {
    let mut story = Story(Observer::new(ReplicaId::from_u64(1), Settings::default(), ago(999)), 0);
    let eu = ("Checkout", &[("instance", "10.0.0.1:80"), ("zone", "eu"), ("empty", "")][..]);
    let us = ("Checkout", &[("instance", "10.0.0.2:80"), ("zone", "US"), ("Zone", "x")][..]);
    let batch = ("billing", &[][..]);
    let npe = [
        exception("java.lang.NullPointerException", "cart is null", "at Cart.add(Cart.java:12)"),
        exception("DbError", "Connection reset\nby peer", "db.rs"),
    ];
    let get =
        request("GET", "http://shop/cart?id=3", &[("User-Agent", "curl/8"), ("X-Id", "a:1")], "");
    story.tell(ago(48), eu, ("npe", 250, Severity::Error), &npe, get);
    let slow = [exception("Timeout", "read timed out after 30s", "async fn poll")];
    let post = request("POST", "/api/orders", &[("User-Agent", "App/2")], "{\"order\": 17}");
    story.tell(ago(1), us, ("slow", 5, Severity::Warning), &slow, post);
    let leak = [exception("OutOfMemory", "100% \"full\" \\ done", "main()")];
    story.tell(ago(30), us, ("Leak", 1, Severity::Error), &leak, None);
    story.act(ago(29), "Checkout", "Leak", Act::Resolve);
    story.tell(ago(2), us, ("Leak", 3, Severity::Error), &leak, None);
    let quota = [exception("Quota", "Größe überschritten: ſession ΟΔΟΣ", "")];
    story.tell(ago(5), batch, ("quota", 1, Severity::Info), &quota, None);
    story.act(ago(4), "billing", "quota", Act::Resolve);
    let noise = [Exception::default()];
    story.tell(ago(3), batch, ("noise", 9, Severity::Info), &noise, request("get", "", &[], ""));
    story.act(ago(3), "billing", "noise", Act::Mute(MuteFor::Ever));
    Numbered::new(story.0.into_state())
}

/// The expected keys are in the order of services and keys.
#[track_caller]
fn check_all(cases: &[(&str, &[&str])]) {
    let errors = errors();
    for (text, expected) in cases {
        let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"));
        assert_eq!(errors.keys(&query.find(&errors, now())), *expected, "{text}");
        assert_eq!(errors.keys(&errors.scan(&query, now())), *expected, "{text}, by looking");
    }
}

const ALL: &[&str] = &["Leak", "npe", "slow", "noise", "quota"];

#[test]
fn words_and_phrases_are_parts_of_any_text() {
    check_all(&[
        ("", ALL),
        ("*", ALL),
        ("-*", &[]),
        ("NPE", &["npe"]),
        ("nullpointer", &["npe"]),
        ("CART IS", &["npe"]),
        ("\"cart is\"", &["npe"]),
        ("\"is cart\"", &[]),
        ("\"reset\nby\"", &["npe"]),
        ("cart.java:12", &["npe"]),
        ("dberror", &["npe"]),
        ("http://shop", &["npe"]),
        ("post", &["slow"]),
        ("user-agent", &["npe", "slow"]),
        ("curl/8", &["npe"]),
        ("\"\\\"order\\\": 17\"", &["slow"]),
        ("\"\\\"full\\\" \\\\ done\"", &["Leak"]),
        ("100%", &["Leak"]),
        ("GRÖßE", &["quota"]),
        ("οδοσ", &["quota"]),
        ("session", &[]),
        ("checkout", &[]),
        ("fn", &["slow"]),
        ("main()", &["Leak"]),
        ("cart connection", &["npe"]),
        ("\"cart connection\"", &[]),
        ("zzz", &[]),
    ]);
}

#[test]
fn terms_combine() {
    check_all(&[
        ("npe OR slow", &["npe", "slow"]),
        ("npe slow", &[]),
        ("npe OR slow timed", &["npe", "slow"]),
        ("(npe OR slow) timed", &["slow"]),
        ("-npe", &["Leak", "slow", "noise", "quota"]),
        ("NOT npe", &["Leak", "slow", "noise", "quota"]),
        ("-(npe OR slow)", &["Leak", "noise", "quota"]),
        ("-(npe slow)", ALL),
        ("a -npe", &["Leak", "slow", "quota"]),
        ("user-agent -curl", &["slow"]),
        ("npe OR -zzz", ALL),
        ("npe AND NOT npe", &[]),
    ]);
}

#[test]
fn services_severities_and_methods_are_whole() {
    check_all(&[
        ("service:checkout", &["Leak", "npe", "slow"]),
        ("service:check", &[]),
        ("service:/^check/", &["Leak", "npe", "slow"]),
        ("service:*", ALL),
        ("service:(billing OR other)", &["noise", "quota"]),
        ("severity:error", &["Leak", "npe"]),
        ("severity:(warning OR info)", &["slow", "noise", "quota"]),
        ("-severity:info", &["Leak", "npe", "slow"]),
        ("severity:*", ALL),
        ("method:get", &["npe", "noise"]),
        ("method:GET", &["npe", "noise"]),
        ("method:ge", &[]),
        ("method:*", &["npe", "slow", "noise"]),
        ("-method:*", &["Leak", "quota"]),
        ("method:/p.+t/", &["slow"]),
    ]);
}

#[test]
fn states_follow_from_what_people_did() {
    check_all(&[
        ("state:open", &["npe", "slow"]),
        ("state:regressed", &["Leak"]),
        ("state:resolved", &["quota"]),
        ("state:muted", &["noise"]),
        ("state:new", &["slow"]),
        ("state:(new OR regressed)", &["Leak", "slow"]),
        ("state:open -state:new", &["npe"]),
        ("state:*", ALL),
    ]);
}

#[test]
fn an_error_is_new_for_a_day() {
    let errors = errors();
    let query = Query::parse("state:new").unwrap();
    let first_seen = ago(1);
    for (now, expected) in [
        (first_seen.plus(NEW_FOR), &["slow"][..]),
        (first_seen.plus(NEW_FOR + Duration::from_micros(1)), &[]),
        // A clock that is behind makes nothing old.
        (first_seen.minus(HOUR), &["slow"]),
    ] {
        assert_eq!(errors.keys(&query.find(&errors, now)), expected, "{now}");
        assert_eq!(errors.keys(&errors.scan(&query, now)), expected, "{now}, by looking");
    }
}

#[test]
fn texts_of_occurrences_are_found_by_part() {
    check_all(&[
        ("class:timeout", &["slow"]),
        ("class:read", &[]),
        ("class:dberr", &["npe"]),
        ("class:*", &["Leak", "npe", "slow", "quota"]),
        ("message:timeout", &[]),
        ("message:\"timed out\"", &["slow"]),
        ("message:reset", &["npe"]),
        ("message:(cart reset)", &["npe"]),
        ("message:größe", &["quota"]),
        ("-message:*", &["noise"]),
        ("url:/cart", &["npe"]),
        ("url:/api/", &["slow"]),
        ("url:*", &["npe", "slow"]),
        ("url:npe", &[]),
        ("header.user-agent:app", &["slow"]),
        ("header.User-Agent:*", &["npe", "slow"]),
        ("header.x-id:a:1", &["npe"]),
        ("header.user:curl", &[]),
        ("header.x-id:curl", &[]),
        ("key:leak", &["Leak"]),
        ("key:a", &["Leak", "quota"]),
        ("key:/^n/", &["npe", "noise"]),
        ("key:*", ALL),
    ]);
}

#[test]
fn labels_are_those_of_the_sources_that_count() {
    check_all(&[
        ("label.zone:eu", &["npe"]),
        ("label.zone:u", &["Leak", "npe", "slow"]),
        ("label.zone:us", &["Leak", "slow"]),
        ("label.Zone:us", &[]),
        ("label.Zone:x", &["Leak", "slow"]),
        ("label.zone:/^(eu|us)$/", &["Leak", "npe", "slow"]),
        ("label.zone:*", &["Leak", "npe", "slow"]),
        ("label.empty:*", &[]),
        ("label.other:*", &[]),
        ("-label.zone:*", &["noise", "quota"]),
        ("instance:10.0.0.2", &["Leak", "slow"]),
        ("instance:10.0.0", &["Leak", "npe", "slow"]),
        ("instance:batch", &["noise", "quota"]),
        ("instance:*", ALL),
        ("instance:/:80$/", &["Leak", "npe", "slow"]),
    ]);
}

#[test]
fn numbers_are_compared() {
    check_all(&[
        ("count:>5", &["npe", "noise"]),
        ("count:>=5", &["npe", "slow", "noise"]),
        ("count:<3", &["quota"]),
        ("count:<=3", &["Leak", "quota"]),
        ("count:3", &["Leak"]),
        ("count:(1 OR 9)", &["noise", "quota"]),
        ("count:>=0", ALL),
        ("rate:>0", &[]),
        ("rate:0", ALL),
    ]);
    let errors = errors();
    let rising = Query::parse("rate:>0").unwrap();
    assert!(!rising.find(&errors, ago(2)).is_empty(), "some rose then");
}

#[test]
fn times_are_compared_by_age_or_by_date() {
    check_all(&[
        ("last_seen:<90m", &["slow"]),
        ("last_seen:<=1h", &["slow"]),
        ("last_seen:<1h", &[]),
        ("last_seen:>2h", &["npe", "noise", "quota"]),
        ("first_seen:>1d", &["Leak", "npe"]),
        ("last_seen:>=2026-02-10", &["Leak", "slow", "noise", "quota"]),
        ("last_seen:>2026-02-10T09:30:00Z", &["Leak", "slow"]),
        ("last_seen:>2026-02-10T10:30+01:00", &["Leak", "slow"]),
        ("last_seen:>2026-02-10T09:30", &["Leak", "slow"]),
        ("last_seen:2026-02-10T11:00:00Z", &["slow"]),
        ("first_seen:2026-02-09", &["Leak"]),
        ("first_seen:2026-02-08", &["npe"]),
        ("first_seen:(2026-02-08 OR 2026-02-09)", &["Leak", "npe"]),
        ("first_seen:<2026-02-09", &["npe"]),
        ("last_seen:<0", &[]),
        ("last_seen:>0", ALL),
    ]);
}

#[test]
fn regular_expressions_see_folded_texts_in_any_case() {
    check_all(&[
        ("/timed? out/", &["slow"]),
        ("/TIMED|CART/", &["npe", "slow"]),
        ("/^cart/", &["npe"]),
        ("/^cart$/", &[]),
        (r"/Cart\.java:\d+/", &["npe"]),
        (r"/http:\/\/shop/", &["npe"]),
        ("/ſESSION/", &["quota"]),
        ("/session/", &["quota"]),
        ("/Σ/", &["quota"]),
        ("/ς/", &["quota"]),
        ("/reset.by/", &[]),
        ("/(?s)reset.by/", &["npe"]),
        (r"/reset\sby/", &["npe"]),
        ("/(?-i:CART)/", &[]),
        ("/.*/", ALL),
        ("-/a/", &["noise"]),
        ("message:/^read/", &["slow"]),
        ("class:/^read/", &[]),
        ("message:/x*/", &["Leak", "npe", "slow", "quota"]),
    ]);
}

#[test]
fn what_is_forgotten_is_not_found_by_who_counted_it() {
    let mut story = Story(Observer::new(ReplicaId::from_u64(1), Settings::default(), ago(999)), 0);
    let a = ("s", &[("instance", "a:1")][..]);
    let b = ("s", &[("instance", "b:1")][..]);
    let exceptions = [exception("C", "secret", "")];
    story.tell(ago(3), a, ("k", 2, Severity::Error), &exceptions, None);
    story.act(ago(2), "s", "k", Act::Forget);
    story.tell(ago(1), b, ("k", 1, Severity::Error), &[exception("C", "new", "")], None);
    let errors = Numbered::new(story.0.into_state());
    for (text, expected) in [("instance:b", 1), ("instance:a", 0), ("secret", 0), ("new", 1)] {
        let query = Query::parse(text).unwrap();
        assert_eq!(query.find(&errors, now()).len(), expected, "{text}");
        assert_eq!(errors.scan(&query, now()).len(), expected, "{text}, by looking");
    }
    assert_eq!(errors.all().len(), 1);
}
