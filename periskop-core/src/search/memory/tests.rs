use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Mutex;

use proptest::prelude::*;

use super::*;
use crate::ids::{AggregateId, ReplicaId};
use crate::observer::{Observer, Settings};
use crate::occurrence::{ContentHash, Exception, HttpContext, Occurrence, Severity};
use crate::report::{Report, ReportedError};
use crate::search::ScanningIndex;
use crate::time::Timestamp;

crate::search_conformance! { index: MemoryIndex::new() }

/// Segments so small that they fill and are emptied out all the time.
mod with_tiny_segments {
    crate::search_conformance! { index: super::MemoryIndex::with_segments(64) }
}

const START: Timestamp = Timestamp::from_micros(1_750_000_000_000_000);

/// A state with one error.
struct Made {
    observer: Observer,
    id: AggregateId,
}

impl Made {
    fn of(key: &str, occurrences: Vec<Occurrence>) -> Self {
        let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), START);
        let error = ReportedError {
            key: key.into(),
            total_count: 1,
            severity: Severity::Error,
            created_at: Some(START),
            incarnations: None,
            occurrences,
            unchanged: Vec::new(),
        };
        let report = Report { errors: vec![error], ..Report::default() };
        observer.pushed(START, &"service".into(), report);
        Self { observer, id: AggregateId { service: "service".into(), key: key.into() } }
    }

    fn view(&self) -> ErrorView<'_> {
        self.observer.state().error(&self.id).expect("it was reported")
    }
}

fn occurrence(name: &str, message: &str, body: &str, frames: &[&str]) -> Occurrence {
    Occurrence {
        name: name.to_owned(),
        content: ContentHash::of(name.as_bytes()),
        time: Some(START),
        severity: Severity::Error,
        exceptions: vec![Exception {
            class: None,
            message: Some(message.to_owned()),
            stacktrace: frames.iter().map(|frame| (*frame).to_owned()).collect(),
        }],
        http: Some(HttpContext { body: Some(body.to_owned()), ..HttpContext::default() }),
    }
}

fn one(index: &MemoryIndex, text: &str) -> Vec<u32> {
    index.search(text).iter().map(|number| number.0).collect()
}

/// Texts that meet each other: of few words, with and without numbers, and of odd characters.
fn text() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "a",
        "b",
        "Ab",
        "1",
        "12",
        "1234",
        "a123",
        "σ",
        "ς",
        "Σ",
        "İ",
        "ß",
        "日本",
        "\0",
        " ",
        "-",
        "/",
        " of the user ",
        ": declined",
        "\u{10ffff}",
    ]);
    let short = prop::collection::vec(word.clone(), 0..6).prop_map(|words| words.concat());
    let long = (word, 100_usize..3000).prop_map(|(word, n)| word.repeat(n));
    prop_oneof![30 => short, 1 => long]
}

fn an_occurrence() -> impl Strategy<Value = Occurrence> {
    let frames = prop::collection::vec(text(), 0..4);
    let headers = prop::collection::vec((text(), text()), 0..3);
    (0..4_u8, prop::option::of(text()), prop::option::of(text()), frames, headers, text()).prop_map(
        |(name, class, message, stacktrace, headers, text)| Occurrence {
            name: format!("o{name}"),
            content: ContentHash::of(text.as_bytes()),
            time: Some(START),
            severity: Severity::Error,
            exceptions: vec![
                Exception { class: class.clone(), message, stacktrace: stacktrace.clone() },
                Exception { class, message: None, stacktrace },
            ],
            http: Some(HttpContext {
                method: Some("PUT".to_owned()),
                url: Some(text.clone()),
                headers,
                body: (name > 1).then_some(text),
            }),
        },
    )
}

#[derive(Clone, Debug)]
enum Step {
    Update(u32, String, Vec<Occurrence>),
    Remove(u32),
    Renumber(u32, u32),
}

fn step() -> impl Strategy<Value = Step> {
    let number = prop_oneof![0..6_u32, 60..70_u32];
    let occurrences = prop::collection::vec(an_occurrence(), 0..4);
    prop_oneof![
        6 => (number.clone(), text(), occurrences).prop_map(|(n, key, o)| Step::Update(n, key, o)),
        2 => number.clone().prop_map(Step::Remove),
        1 => (number.clone(), number).prop_map(|(a, b)| Step::Renumber(a, b)),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]
    #[test]
    fn it_answers_as_one_that_looks_at_everything(
        steps in prop::collection::vec(step(), 1..25),
        queries in prop::collection::vec(text(), 12),
        within in prop::collection::btree_set(0_u32..70, 0..40),
        segment in prop::sample::select(vec![8_usize, 64, 1000, SEGMENT]),
    ) {
        let mut index = MemoryIndex::with_segments(segment);
        let mut naive = ScanningIndex::new();
        let mut made = BTreeMap::new();
        for step in steps {
            match step {
                Step::Update(n, key, occurrences) => {
                    let new = Made::of(&key, occurrences);
                    index.update(ErrorNumber(n), new.view());
                    naive.update(ErrorNumber(n), new.view());
                    made.insert(n, new);
                }
                Step::Remove(n) => {
                    index.remove(ErrorNumber(n));
                    naive.remove(ErrorNumber(n));
                    made.remove(&n);
                }
                Step::Renumber(from, to) => {
                    index.remove(ErrorNumber(from));
                    naive.remove(ErrorNumber(from));
                    if let Some(moved) = made.remove(&from) {
                        index.update(ErrorNumber(to), moved.view());
                        naive.update(ErrorNumber(to), moved.view());
                        made.insert(to, moved);
                    }
                }
            }
        }
        let within: ErrorSet = within.into_iter().map(ErrorNumber).collect();
        for query in &queries {
            prop_assert_eq!(index.search(query), naive.search(query), "{:?}", query);
            let folded = fold(query);
            let predicates: [&(dyn Fn(&str) -> bool + Sync); 4] = [
                &|text| text.contains(&*folded),
                &|text| text == folded,
                &|text| text.ends_with(&*folded),
                &|text| text.len() > folded.len(),
            ];
            for (at, matches) in predicates.into_iter().enumerate() {
                for within in [None, Some(&within)] {
                    let expected = naive.scan(within, matches);
                    prop_assert_eq!(index.scan(within, matches), expected, "{} {:?}", at, query);
                }
            }
        }
        for n in made.keys() {
            index.remove(ErrorNumber(*n));
        }
        prop_assert_eq!(remains(&index), Vec::<u8>::new(), "nothing is left of anything");
    }
}

/// Every byte of text that lies in the index's own memory.
fn remains(index: &MemoryIndex) -> Vec<u8> {
    let own = index.own.memory().chain(index.shared.memory());
    own.flatten().copied().filter(|byte| *byte != DIVIDER).collect()
}

#[test]
fn a_query_may_lie_across_words_and_numbers() {
    let mut index = MemoryIndex::new();
    let message = "cannot charge order 73412 of user 8841: declined by 203.0.113.7";
    let made = Made::of("Failure@73412", vec![occurrence("o", message, "", &[])]);
    index.update(ErrorNumber(3), made.view());
    for start in 0..message.len() {
        for end in start + 1..=message.len() {
            assert_eq!(one(&index, &message[start..end]), [3], "{}", &message[start..end]);
        }
    }
    for absent in ["order 7341 ", "order 73412 of user 88412", "r 3", "73412failure", "1: b"] {
        assert_eq!(one(&index, absent), [0; 0], "{absent}");
    }
}

#[test]
fn what_is_removed_is_not_kept() {
    let mut index = MemoryIndex::with_segments(256);
    let secret = "the secret word 4711-secret of 4712 for secrets";
    let with = Made::of("k", vec![occurrence("o", secret, "secret", &["secret_frame"])]);
    let without = Made::of("k", vec![occurrence("o", "harmless 4713 text", "", &["frame"])]);
    let there = |index: &MemoryIndex| {
        let remains = remains(index);
        memchr::memmem::find_iter(&remains, "secret").count()
    };
    for update in [true, false] {
        for number in 0..20 {
            index.update(ErrorNumber(number), without.view());
        }
        index.update(ErrorNumber(7), with.view());
        assert!(there(&index) > 3);
        match update {
            true => index.update(ErrorNumber(7), without.view()),
            false => index.remove(ErrorNumber(7)),
        }
        assert_eq!(there(&index), 0);
        assert_eq!(one(&index, "harmless").len(), if update { 20 } else { 19 });
    }
}

#[test]
fn what_many_errors_have_takes_memory_once() {
    let frames: Vec<_> = (0..50).map(|n| format!("frame_of_some_length_{n:04}")).collect();
    let frames: Vec<_> = frames.iter().map(String::as_str).collect();
    let long = "the same long text without a number ".repeat(100);
    let mut index = MemoryIndex::new();
    for number in 0..1024 {
        let message = format!("the number {number:06}");
        let made =
            Made::of(&format!("key-{number:04}"), vec![occurrence("o", &message, &long, &frames)]);
        index.update(ErrorNumber(number), made.view());
    }
    let each = index.bytes() / 1024;
    assert!(each < 1200, "{each} bytes an error");
    let before = index.bytes();
    for number in 0..1024 {
        let made =
            Made::of(&format!("key-{number:04}"), vec![occurrence("o", &long, &long, &frames)]);
        index.update(ErrorNumber(number), made.view());
    }
    // Held once for each error it would be 3.7 MB more.
    assert!(index.bytes() < before + 100_000, "{} after {before}", index.bytes());
}

/// A million distinct frames, a long text, and one made of distinct trigrams cost what they weigh.
#[test]
fn hostile_texts_cost_in_proportion() {
    let mut index = MemoryIndex::new();
    let frames: Vec<_> = (0..100_000).map(|n| format!("f{n:x}")).collect();
    let frames: Vec<_> = frames.iter().map(String::as_str).collect();
    let made = Made::of("frames", vec![occurrence("o", "", "", &frames)]);
    index.update(ErrorNumber(0), made.view());
    let empty = MemoryIndex::new().bytes();
    assert!(index.bytes() - empty < frames.len() * 64, "{} bytes", index.bytes());

    let numbers: String = (0..100_000).map(|n| format!("{:x} ", n * 7919)).collect();
    let broken: String =
        (0..40_000).map(|n| format!("{}word-word{}", n % 7919, n % 4391)).collect();
    let words: String = (0..40_000_u32)
        .map(|n| format!("{}1234", "-abcdefgh".repeat(1 + n as usize % 9)))
        .collect();
    for (number, text) in (1..).zip([&numbers, &broken, &words]) {
        let made = Made::of("long", vec![occurrence("o", text, text, &[])]);
        let before = index.bytes();
        index.update(ErrorNumber(number), made.view());
        let grown = index.bytes() - before;
        assert!(grown < 6 * text.len() + (1 << 18), "{grown} bytes for {}", text.len());
        assert_eq!(one(&index, &text[1000..3000]), [number]);
        assert_eq!(one(&index, &text[text.len() - 30..]), [number]);
    }
}

#[test]
fn a_scan_is_shown_a_text_once() {
    let mut index = MemoryIndex::new();
    let frames = ["some frame", "some frame", "frame 12345"];
    let occurrences = ["o", "p"].map(|name| occurrence(name, "number 1234", "no number", &frames));
    for (number, key) in [(0, "key-1000"), (1, "key-1001")] {
        index.update(ErrorNumber(number), Made::of(key, occurrences.to_vec()).view());
    }
    let seen = Mutex::new(RefCell::new(BTreeMap::new()));
    let count = |text: &str| {
        let seen = seen.lock().expect("nobody panics with it");
        *seen.borrow_mut().entry(text.to_owned()).or_insert(0) += 1;
        false
    };
    assert_eq!(index.scan(None, &count), ErrorSet::new());
    let seen = seen.lock().expect("nobody panics with it").take();
    let expected = [
        ("frame 12345", 1),
        ("key-1000", 1),
        ("key-1001", 1),
        ("no number", 1),
        ("number 1234", 2),
        ("some frame", 1),
    ];
    assert_eq!(seen, expected.map(|(text, n)| (text.to_owned(), n)).into());
}
