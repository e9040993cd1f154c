//! The laws of [`SearchIndex`].

use crate::ids::AggregateId;
use crate::observer::Observer;
use crate::occurrence::{ContentHash, Exception, HttpContext, Occurrence, Severity};
use crate::report::{Report, ReportedError};
use crate::search::{ErrorNumber, ErrorSet, SearchIndex};
use crate::testing::START;
use crate::view::ErrorView;

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
            every_match_is_found
            an_update_replaces_what_was_known
            what_is_removed_is_not_found
            texts_of_one_error_stay_when_another_goes
            a_number_may_stand_for_another_error
            a_scan_sees_every_text_folded_and_only_what_it_is_to
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
        assert_eq!(errors.found(&index, text), ["the-key"], "{text}");
    }
    assert_eq!(errors.found(&index, "something else"), [""; 0]);
}

/// A substring of one text, whatever its length.
pub fn an_error_is_found_by_any_part_of_a_text_and_not_across_two(mut index: impl SearchIndex) {
    let errors = Errors::of(&[("k", &[occurrence("o1", "naïve 日本 text")])]);
    errors.update(&mut index, "k");
    for part in ["naïve 日本 text", "aïve 日", "本", "e", " "] {
        assert_eq!(errors.found(&index, part), ["k"], "{part}");
    }
    for across in ["texts", "texttheclass", "the_frameother_frame", "the_frame\nother_frame"] {
        assert_eq!(errors.found(&index, across), [""; 0], "{across}");
    }
    assert_eq!(errors.found(&index, &"naïve".repeat(10_000)), [""; 0]);
}

/// In either, of any alphabet.
pub fn case_makes_no_difference(mut index: impl SearchIndex) {
    let errors = Errors::of(&[("k", &[occurrence("o1", "Große ÄPFEL Привет")])]);
    errors.update(&mut index, "k");
    for query in ["grosse", "GROßE", "große", "äpfel", "ÄPFEL", "пРИВЕТ", "THECLASS"] {
        let expected: &[&str] = if query == "grosse" { &[] } else { &["k"] };
        assert_eq!(errors.found(&index, query), expected, "{query}");
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
        assert_eq!(errors.found(&index, query), ["odd"], "{query}");
    }
}

/// It is part of every text.
pub fn the_empty_query_finds_everything(mut index: impl SearchIndex) {
    assert_eq!(index.search(""), ErrorSet::new());
    let errors = Errors::of(&[("b", &[]), ("a", &[occurrence("o1", "x")])]);
    errors.update(&mut index, "b");
    errors.update(&mut index, "a");
    assert_eq!(errors.found(&index, ""), ["b", "a"]);
}

/// However many of its texts match, and however many errors do.
pub fn every_match_is_found(mut index: impl SearchIndex) {
    let twice = [occurrence("o1", "same same"), occurrence("o2", "same")];
    let keys: Vec<_> = (0..300).rev().map(|n| format!("key-{n:03}")).collect();
    let errors = Errors::of(&keys.iter().map(|k| (k.as_str(), &twice[..])).collect::<Vec<_>>());
    for key in &keys {
        errors.update(&mut index, key);
        errors.update(&mut index, key);
    }
    assert_eq!(errors.found(&index, "same"), keys);
    assert_eq!(errors.found(&index, "key-123"), ["key-123"]);
}

/// What is no longer kept of an error does not find it.
pub fn an_update_replaces_what_was_known(mut index: impl SearchIndex) {
    Errors::of(&[("k", &[occurrence("o1", "before")])]).update(&mut index, "k");
    let errors = Errors::of(&[("k", &[occurrence("o2", "after")])]);
    errors.update(&mut index, "k");
    assert_eq!(errors.found(&index, "before"), [""; 0]);
    assert_eq!(errors.found(&index, "after"), ["k"]);
}

/// Removing it again, or something that was never there, does nothing.
pub fn what_is_removed_is_not_found(mut index: impl SearchIndex) {
    let errors =
        Errors::of(&[("a", &[occurrence("o1", "text")]), ("b", &[occurrence("o2", "text")])]);
    errors.update(&mut index, "a");
    errors.update(&mut index, "b");
    let never = ErrorNumber(77);
    for number in [errors.number("a"), errors.number("a"), never] {
        index.remove(number);
    }
    assert_eq!(errors.found(&index, "text"), ["b"]);
    errors.update(&mut index, "a");
    assert_eq!(errors.found(&index, "text"), ["a", "b"], "it may come back");
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
    index.remove(errors.number("a"));
    assert_eq!(errors.found(&index, "shared"), ["b"]);
    assert_eq!(errors.found(&index, "the_frame"), ["b"]);
}

/// Once the first is removed, or without that.
pub fn a_number_may_stand_for_another_error(mut index: impl SearchIndex) {
    let errors = Errors::of(&[
        ("first", &[occurrence("o1", "the old text")]),
        ("second", &[occurrence("o2", "the new text")]),
    ]);
    let number = errors.number("first");
    errors.update(&mut index, "first");
    index.update(number, errors.view("second"));
    assert_eq!(index.search("the old text"), ErrorSet::new());
    assert_eq!(index.search("first"), ErrorSet::new());
    assert_eq!(index.search("the new text"), [number].into_iter().collect());
    index.remove(number);
    index.update(number, errors.view("first"));
    assert_eq!(index.search("the old text"), [number].into_iter().collect());
    assert_eq!(index.search("second"), ErrorSet::new());
}

/// A scan within a set finds nothing beyond it, whatever matches.
pub fn a_scan_sees_every_text_folded_and_only_what_it_is_to(mut index: impl SearchIndex) {
    let errors =
        Errors::of(&[("a", &[occurrence("o1", "Up")]), ("b", &[occurrence("o2", "Down")])]);
    errors.update(&mut index, "a");
    errors.update(&mut index, "b");
    let number = |key| errors.number(key);
    let both: ErrorSet = [number("a"), number("b")].into_iter().collect();
    for text in ["b", "theclass", "the_frame", "patch", "down", "x-header", "the body"] {
        assert!(index.scan(None, &|found| found == text).contains(number("b")), "{text}");
    }
    assert_eq!(index.scan(None, &|text| text == "up"), [number("a")].into_iter().collect());
    assert_eq!(index.scan(None, &|_| true), both);
    assert_eq!(index.scan(None, &|text| text.contains("Class")), ErrorSet::new());
    let within: ErrorSet = [number("b")].into_iter().collect();
    assert_eq!(index.scan(Some(&within), &|_| true), within);
    assert_eq!(index.scan(Some(&within), &|text| text == "up"), ErrorSet::new());
    assert_eq!(index.scan(Some(&ErrorSet::new()), &|_| true), ErrorSet::new());
}

/// A state that holds the given errors, numbered in this order.
struct Errors {
    observer: Observer,
    keys: Vec<String>,
}

impl Errors {
    fn of(errors: &[(&str, &[Occurrence])]) -> Self {
        let mut observer = crate::testing::observer();
        let keys = errors.iter().map(|(key, _)| (*key).to_owned()).collect();
        let errors = errors.iter().map(|(key, occurrences)| ReportedError {
            key: (*key).into(),
            total_count: 1,
            severity: Severity::Error,
            created_at: Some(START),
            incarnations: None,
            occurrences: occurrences.to_vec(),
            unchanged: Vec::new(),
        });
        let report = Report { errors: errors.collect(), ..Report::default() };
        observer.pushed(START, &"service".into(), report);
        Self { observer, keys }
    }

    fn number(&self, key: &str) -> ErrorNumber {
        let at = self.keys.iter().position(|known| known == key);
        ErrorNumber(at.and_then(|at| at.try_into().ok()).expect("it is one of the errors"))
    }

    fn view(&self, key: &str) -> ErrorView<'_> {
        let id = AggregateId { service: "service".into(), key: key.into() };
        self.observer.state().error(&id).expect("it is one of the errors")
    }

    fn update(&self, index: &mut impl SearchIndex, key: &str) {
        index.update(self.number(key), self.view(key));
    }

    /// The keys of what is found, in the order of their numbers.
    fn found(&self, index: &impl SearchIndex, text: &str) -> Vec<&str> {
        index.search(text).iter().map(|number| self.keys[number.index()].as_str()).collect()
    }
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
