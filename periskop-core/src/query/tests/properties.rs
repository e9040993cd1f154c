//! Laws.

use std::time::Duration;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::aggregate::Status;
use crate::occurrence::Severity;
use crate::query::Query;
use crate::query::expr::{Expr, Moment, Op, Seen, Term, TextField, Wanted};
use crate::query::pattern::{Matcher, Pattern};
use crate::search::fold;
use crate::testing::START;
use crate::testing::query::{Numbered, now, state, text};
use crate::time::Timestamp;

fn regex() -> impl Strategy<Value = Pattern> {
    let known = &[
        "a+b",
        "s|k",
        "ss",
        "(ab|ſ)k?",
        "^a",
        "b$",
        ".",
        "\\bor\\b",
        "[^a]b",
        "/",
        "\\\\",
        "a/x",
        "ΟΔΟΣ",
        "σ",
        "\u{212a}",
        "(?-i:S)",
        "(?s:w.l)",
        "ß",
        "µ",
        "İ",
        "(a|b)(k|1)",
        "\\d{2}",
        "x*",
        "a.{0,3}b",
        "\\pL1",
        "(?:10)?",
        "\"",
        " ",
    ];
    select(&known[..]).prop_map(|source| Pattern::Regex(Box::new(Matcher::new(source).unwrap())))
}

fn part() -> impl Strategy<Value = String> {
    text()
        .prop_filter("an empty one is none", |text| !text.is_empty())
        .prop_map(|text| fold(&text).into_owned())
}

fn pattern() -> impl Strategy<Value = Pattern> {
    prop_oneof![
        6 => part().prop_map(Pattern::Part),
        2 => regex(),
        1 => Just(Pattern::Some),
    ]
}

fn text_term() -> impl Strategy<Value = Term> {
    let names = [
        TextField::Class,
        TextField::Message,
        TextField::Url,
        TextField::Header("h".into()),
        TextField::Header("x-k".into()),
        TextField::Key,
        TextField::Label("zone".into()),
        TextField::Label("Zone".into()),
        TextField::Instance,
    ];
    let whole = prop_oneof![
        2 => part().prop_map(Pattern::Whole),
        2 => select(&["svc0", "svc1", "get", "a"][..]).prop_map(|w| Pattern::Whole(w.into())),
        1 => regex(),
        1 => Just(Pattern::Some),
    ];
    prop_oneof![
        3 => (select(names.to_vec()), pattern()).prop_map(|(name, p)| Term::Text(name, p)),
        1 => (select(vec![TextField::Service, TextField::Method]), whole)
            .prop_map(|(name, pattern)| Term::Text(name, pattern)),
    ]
}

fn op() -> impl Strategy<Value = Op> {
    select(Op::WRITTEN.map(|(_, op)| op).to_vec())
}

fn time() -> impl Strategy<Value = Timestamp> {
    prop_oneof![
        (0..4000_u64).prop_map(|seconds| START.plus(Duration::from_secs(seconds))),
        (-62_000_000_000_000_000..253_000_000_000_000_000_i64).prop_map(Timestamp::from_micros),
    ]
}

fn moment() -> impl Strategy<Value = (Op, Moment)> {
    let age = prop_oneof![0..4_000_000_u64, 0..9_000_000_000_000_u64]
        .prop_map(|millis| Moment::Age(Duration::from_millis(millis)));
    let day = (0..30_000_i64).prop_map(|n| Timestamp::from_micros(n * 86_400_000_000));
    prop_oneof![
        (op(), age).prop_map(|(op, age)| (if op == Op::Equal { Op::Less } else { op }, age)),
        (op(), time()).prop_map(|(op, time)| (op, Moment::Time(time))),
        day.prop_map(|day| (Op::Equal, Moment::Day(day))),
    ]
}

fn term() -> impl Strategy<Value = Term> {
    let severity =
        select(vec![None, Some(Severity::Info), Some(Severity::Warning), Some(Severity::Error)]);
    let state = select(vec![
        None,
        Some(Wanted::New),
        Some(Wanted::Is(Status::Open)),
        Some(Wanted::Is(Status::Resolved)),
        Some(Wanted::Is(Status::Regressed)),
        Some(Wanted::Is(Status::Muted)),
    ]);
    let rate = prop_oneof![Just(0.0), 0.0..2.0_f64, (0..20_u32).prop_map(|n| f64::from(n) / 15.0)]
        .prop_map(|rate| (rate * 1000.0).round() / 1000.0);
    prop_oneof![
        4 => pattern().prop_map(Term::Anywhere),
        4 => text_term(),
        1 => severity.prop_map(Term::Severity),
        1 => state.prop_map(Term::State),
        1 => (op(), prop_oneof![0..9_u64, any::<u64>()]).prop_map(|(op, n)| Term::Count(op, n)),
        1 => (op(), rate).prop_map(|(op, rate)| Term::Rate(op, rate)),
        1 => (select(vec![Seen::First, Seen::Last]), moment())
            .prop_map(|(seen, (op, moment))| Term::Seen(seen, op, moment)),
    ]
}

fn query() -> impl Strategy<Value = Query> {
    let leaf = term().prop_map(Expr::Term);
    let expr = leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            3 => vec(inner.clone(), 1..4).prop_map(Expr::all),
            3 => vec(inner.clone(), 1..4).prop_map(Expr::any),
            1 => inner.prop_map(Expr::negated),
        ]
    });
    // More regular expressions than are allowed are not read again.
    prop_oneof![1 => Just(Query::default()), 30 => expr.prop_map(Query)]
        .prop_filter("too many regular expressions", |query| {
            regexes(&query.0) <= crate::query::MAX_REGEXES
        })
}

fn regexes(expr: &Expr) -> usize {
    match expr {
        Expr::All(parts) | Expr::Any(parts) => parts.iter().map(regexes).sum(),
        Expr::Not(inner) => regexes(inner),
        Expr::Term(Term::Anywhere(Pattern::Regex(_)) | Term::Text(_, Pattern::Regex(_))) => 1,
        Expr::Term(_) => 0,
    }
}

/// Texts that are nearly queries.
fn nearly() -> impl Strategy<Value = String> {
    let pieces = &[
        "a",
        "b",
        "OR",
        "AND",
        "NOT",
        "-",
        "(",
        ")",
        "\"",
        "\\",
        "/",
        " ",
        " ",
        ":",
        "service",
        "severity:",
        "state:",
        "message:",
        "header.X:",
        "label.zone:",
        "count:",
        "rate:",
        "last_seen:",
        "first_seen:",
        ">",
        "<",
        "=",
        "1",
        "1h",
        "2026-01-01",
        "eror",
        "sevrity:",
        "*",
        "[",
        "\u{212a}",
        "lag",
        "openn",
        "(?i",
        "{2",
        "x.y:",
        "é",
    ];
    vec(select(&pieces[..]), 0..12).prop_map(|pieces| pieces.concat())
}

/// Reads again what it prints, or says what is wrong within the text and suggests what is right.
fn keeps_its_promises(text: &str) -> Result<(), TestCaseError> {
    match Query::parse(text) {
        Ok(query) => {
            let printed = query.to_string();
            prop_assert_eq!(Query::parse(&printed), Ok(query), "{} prints as {}", text, printed);
        }
        Err(error) => {
            prop_assert!(error.position + error.length <= text.chars().count());
            let Some(suggestion) = error.suggestion else {
                return Err(TestCaseError::fail(format!("nothing is suggested for {text:?}")));
            };
            let read = Query::parse(&suggestion);
            prop_assert!(read.is_ok(), "{text:?} becomes {suggestion:?}: {read:?}");
            prop_assert!(!read.is_ok_and(|query| query.is_empty()), "{text:?} becomes nothing");
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(debug_assertions) { 1500 } else { 20_000 }))]

    #[test]
    fn an_index_finds_what_a_look_at_everything_finds(
        state in state(),
        queries in vec(query(), 1..6),
        now in now(),
    ) {
        let errors = Numbered::new(state);
        for query in queries {
            let found = query.find(&errors, now);
            prop_assert_eq!(found, errors.scan(&query, now), "{}", query);
        }
    }

    #[test]
    fn a_query_reads_as_it_is_written(query in query()) {
        let written = query.to_string();
        prop_assert_eq!(Query::parse(&written), Ok(query), "{}", written);
    }

    #[test]
    fn what_is_nearly_a_query_gets_a_suggestion(text in nearly()) {
        keeps_its_promises(&text)?;
    }

    #[test]
    fn any_text_is_a_query_or_gets_a_suggestion(text in "\\PC{0,40}") {
        keeps_its_promises(&text)?;
    }
}
