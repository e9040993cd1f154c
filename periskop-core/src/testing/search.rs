//! The laws of [`SearchIndex`].

use crate::ids::AggregateId;
use crate::observer::Observer;
use crate::occurrence::{ContentHash, Exception, HttpContext, Occurrence, Severity};
use crate::report::{Report, ReportedError};
use crate::search::SearchIndex;
use crate::testing::START;

/// Makes one `#[test]` of each law of [`SearchIndex`](crate::search::SearchIndex). `index` makes
/// a new index, which knows nothing, for each test.
///
/// ```
/// use periskop_core::search::ScanningIndex;
/// periskop_core::search_conformance! { index: ScanningIndex::default() }
/// ```
#[macro_export]
macro_rules! search_conformance {
    (index: $index:expr $(,)?) => {
        $crate::search_conformance! { @laws $index;
            an_error_is_found_by_each_of_its_texts
            an_error_is_found_by_any_part_of_a_text_and_not_across_two
            case_makes_no_difference
            a_query_is_taken_literally
            the_empty_query_finds_everything
            every_match_is_found_once_in_order
            an_update_replaces_what_was_known
            what_is_removed_is_not_found
            texts_of_one_error_stay_when_another_goes
        }
    };
    (@laws $index:expr; $($law:ident)*) => {
        $(#[test]
        fn $law() {
            $crate::testing::search::$law($index);
        })*
    };
}

/// Class, message, frames, causes, method, URL, headers, body and key.
pub fn an_error_is_found_by_each_of_its_texts(mut index: impl SearchIndex) {
    let errors = Errors::of(&[("the-key", &[occurrence("o1", "the message")])]);
    errors.update(&mut index, "the-key");
    for text in [
        "the-key",
        "TheClass",
        "the message",
        "the_frame",
        "TheCause",
        "cause message",
        "PATCH",
        "http://localhost/the/url",
        "X-Header",
        "the value",
        "the body",
    ] {
        assert_eq!(found(&index, text), ["the-key"], "{text}");
    }
    assert_eq!(found(&index, "something else"), [""; 0]);
}

/// A substring of one text, whatever its length.
pub fn an_error_is_found_by_any_part_of_a_text_and_not_across_two(mut index: impl SearchIndex) {
    let errors = Errors::of(&[("k", &[occurrence("o1", "naïve 日本 text")])]);
    errors.update(&mut index, "k");
    for part in ["naïve 日本 text", "aïve 日", "本", "e", " "] {
        assert_eq!(found(&index, part), ["k"], "{part}");
    }
    for across in ["texts", "texttheclass", "the_frameother_frame", "the_frame\nother_frame"] {
        assert_eq!(found(&index, across), [""; 0], "{across}");
    }
    assert_eq!(found(&index, &"naïve".repeat(10_000)), [""; 0]);
}

/// In either, of any alphabet.
pub fn case_makes_no_difference(mut index: impl SearchIndex) {
    let errors = Errors::of(&[("k", &[occurrence("o1", "Große ÄPFEL Привет")])]);
    errors.update(&mut index, "k");
    for query in ["grosse", "GROßE", "große", "äpfel", "ÄPFEL", "пРИВЕТ", "THECLASS"] {
        let expected: &[&str] = if query == "grosse" { &[] } else { &["k"] };
        assert_eq!(found(&index, query), expected, "{query}");
    }
}

/// No character has a meaning of its own.
pub fn a_query_is_taken_literally(mut index: impl SearchIndex) {
    let odd = r#"a.*b %_ \ [x] "q" 'r' (?i) -z AND \0"#;
    let errors = Errors::of(&[
        ("odd", &[occurrence("o1", odd)]),
        ("plain", &[occurrence("o2", "axxb a b x q r z")]),
    ]);
    errors.update(&mut index, "odd");
    errors.update(&mut index, "plain");
    for query in [odd, ".*", "%_", r"\ ", "[x]", r#""q""#, "'r'", "(?i)", " -z", r"\0"] {
        assert_eq!(found(&index, query), ["odd"], "{query}");
    }
}

/// It is part of every text.
pub fn the_empty_query_finds_everything(mut index: impl SearchIndex) {
    assert_eq!(found(&index, ""), [""; 0]);
    let errors = Errors::of(&[("b", &[]), ("a", &[occurrence("o1", "x")])]);
    errors.update(&mut index, "b");
    errors.update(&mut index, "a");
    assert_eq!(found(&index, ""), ["a", "b"]);
}

/// However many of its texts match, and however many errors do.
pub fn every_match_is_found_once_in_order(mut index: impl SearchIndex) {
    let twice = [occurrence("o1", "same same"), occurrence("o2", "same")];
    let keys: Vec<_> = (0..300).rev().map(|n| format!("key-{n:03}")).collect();
    let errors = Errors::of(&keys.iter().map(|k| (k.as_str(), &twice[..])).collect::<Vec<_>>());
    for key in &keys {
        errors.update(&mut index, key);
        errors.update(&mut index, key);
    }
    let mut sorted = keys.clone();
    sorted.reverse();
    assert_eq!(found(&index, "same"), sorted);
    assert_eq!(found(&index, "key-123"), ["key-123"]);
}

/// What is no longer kept of an error does not find it.
pub fn an_update_replaces_what_was_known(mut index: impl SearchIndex) {
    Errors::of(&[("k", &[occurrence("o1", "before")])]).update(&mut index, "k");
    Errors::of(&[("k", &[occurrence("o2", "after")])]).update(&mut index, "k");
    assert_eq!(found(&index, "before"), [""; 0]);
    assert_eq!(found(&index, "after"), ["k"]);
}

/// Removing it again, or something that was never there, does nothing.
pub fn what_is_removed_is_not_found(mut index: impl SearchIndex) {
    let errors =
        Errors::of(&[("a", &[occurrence("o1", "text")]), ("b", &[occurrence("o2", "text")])]);
    errors.update(&mut index, "a");
    errors.update(&mut index, "b");
    for id in [id("a"), id("a"), id("never")] {
        index.remove(&id);
    }
    assert_eq!(found(&index, "text"), ["b"]);
    errors.update(&mut index, "a");
    assert_eq!(found(&index, "text"), ["a", "b"], "it may come back");
}

/// Errors that share a text do not share its fate.
pub fn texts_of_one_error_stay_when_another_goes(mut index: impl SearchIndex) {
    let errors = Errors::of(&[
        ("a", &[occurrence("o1", "shared"), occurrence("o2", "shared")]),
        ("b", &[occurrence("o3", "shared")]),
    ]);
    errors.update(&mut index, "a");
    errors.update(&mut index, "b");
    errors.update(&mut index, "a");
    index.remove(&id("a"));
    assert_eq!(found(&index, "shared"), ["b"]);
    assert_eq!(found(&index, "the_frame"), ["b"]);
}

/// A state that holds the given errors.
struct Errors(Observer);

impl Errors {
    fn of(errors: &[(&str, &[Occurrence])]) -> Self {
        let mut observer = crate::testing::observer();
        let errors = errors.iter().map(|(key, occurrences)| ReportedError {
            key: (*key).into(),
            total_count: 1,
            severity: Severity::Error,
            created_at: Some(START),
            incarnations: None,
            occurrences: occurrences.to_vec(),
        });
        let report = Report { errors: errors.collect(), ..Report::default() };
        observer.pushed(START, &"service".into(), report);
        Self(observer)
    }

    fn update(&self, index: &mut impl SearchIndex, key: &str) {
        index.update(self.0.state().error(&id(key)).expect("it is one of the errors"));
    }
}

fn id(key: &str) -> AggregateId {
    AggregateId { service: "service".into(), key: key.into() }
}

fn found(index: &impl SearchIndex, query: &str) -> Vec<String> {
    index.search(query).iter().map(|id| id.key.as_str().to_owned()).collect()
}

fn occurrence(name: &str, message: &str) -> Occurrence {
    let exception = |class: &str, message: &str, frame: &str| Exception {
        class: Some(class.to_owned()),
        message: Some(message.to_owned()),
        stacktrace: vec![frame.to_owned(), "other_frame".to_owned()],
    };
    Occurrence {
        name: name.to_owned(),
        content: ContentHash::of(name.as_bytes()),
        time: Some(START),
        severity: Severity::Error,
        exceptions: vec![
            exception("TheClass", message, "the_frame"),
            exception("TheCause", "cause message", "third_frame"),
        ],
        http: Some(HttpContext {
            method: Some("PATCH".to_owned()),
            url: Some("http://localhost/the/url".to_owned()),
            headers: vec![("X-Header".to_owned(), "the value".to_owned())],
            body: Some("the body".to_owned()),
        }),
    }
}
