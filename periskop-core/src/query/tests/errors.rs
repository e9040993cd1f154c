//! What is no query: what is said, where, and what is suggested.

use crate::query::{MAX_DEPTH, MAX_LENGTH, MAX_REGEXES, MAX_TERMS, Query, QueryError};

fn error(text: &str) -> QueryError {
    match Query::parse(text) {
        Ok(query) => panic!("{text} is a query: {query}"),
        Err(error) => error,
    }
}

/// `marked` is the text with `⟨` and `⟩` around what is wrong.
#[track_caller]
fn check(marked: &str, message: &str, suggestion: &str) {
    let text = marked.replace(['⟨', '⟩'], "");
    let place = |mark| marked.chars().position(|c| c == mark).expect("it is marked");
    let (start, end) = (place('⟨'), place('⟩') - 1);
    let error = error(&text);
    assert_eq!(error.to_string(), error.message);
    assert!(error.message.contains(message), "{text}: {}", error.message);
    assert_eq!((error.position, error.length), (start, end - start), "{text}: {error:?}");
    assert_eq!(error.suggestion.as_deref(), Some(suggestion), "{text}: {}", error.message);
    assert!(Query::parse(suggestion).is_ok(), "{suggestion}");
}

#[track_caller]
fn check_all(cases: &[(&str, &str, &str)]) {
    cases.iter().for_each(|(marked, message, suggestion)| check(marked, message, suggestion));
}

#[test]
fn an_unknown_field_is_corrected_or_quoted() {
    check_all(&[
        (
            "a ⟨sevrity⟩:error",
            "there is no field `sevrity` (did you mean `severity`?); to search for the text, quote it",
            "a severity:error",
        ),
        ("⟨foo⟩:bar b", "there is no field `foo`; to search", "\"foo:bar\" b"),
        ("⟨code⟩:500", "no field `code`", "\"code:500\""),
        ("⟨localhost⟩:8080", "no field `localhost`", "\"localhost:8080\""),
        ("⟨servce⟩:\"a b\"", "mean `service`", "service:\"a b\""),
        ("⟨mesage⟩:/a b/", "mean `message`", "message:/a b/"),
        ("⟨cuont⟩:>5", "mean `count`", "count:>5"),
        ("⟨Sevrity⟩:error", "no field `Sevrity`", "severity:error"),
        ("-⟨stat⟩:open", "mean `state`", "-state:open"),
        ("(a OR ⟨clas⟩:b)", "mean `class`", "(a OR class:b)"),
        ("⟨status⟩:open", "mean `state`", "state:open"),
        ("⟨level⟩:warn", "mean `severity`", "severity:warning"),
        ("⟨host⟩:x", "mean `instance`", "instance:x"),
        ("⟨last-seen⟩:<1h", "mean `last_seen`", "last_seen:<1h"),
        ("⟨lastseen⟩:<1h", "mean `last_seen`", "last_seen:<1h"),
        ("⟨headers.X⟩:a", "mean `header.x`", "header.x:a"),
        ("⟨labels.zone⟩:a", "mean `label.zone`", "label.zone:a"),
        ("⟨label⟩:a", "mean `label.NAME`", "\"label:a\""),
        ("⟨header⟩:a", "mean `header.NAME`", "\"header:a\""),
        ("⟨foo⟩:(a OR b)", "no field `foo`", "\"foo:(a\" OR b"),
        ("ü ⟨sevrity⟩:error", "no field", "ü severity:error"),
    ]);
}

#[test]
fn a_value_is_missing() {
    check_all(&[
        ("⟨message:⟩", "nothing after `message:`", "\"message:\""),
        ("⟨message:⟩ foo", "nothing after `message:`", "message:foo"),
        ("⟨severity:⟩  error b", "nothing after", "severity:error b"),
        ("(⟨url:⟩)", "nothing after `url:`", "(\"url:\")"),
        ("count:⟨>⟩", "nothing after `>`", "count:>1"),
        ("(last_seen:⟨<=⟩)", "nothing after `<=`", "(last_seen:<=1h)"),
        ("count:⟨>⟩ 100", "nothing after `>`", "count:>100"),
        ("message:⟨\"\"⟩", "-message:* is none", "message:*"),
        ("label.a:⟨\"\"⟩", "-label.a:* is none", "label.a:*"),
    ]);
}

#[test]
fn a_value_is_none_of_those_there_are() {
    check_all(&[
        ("severity:⟨eror⟩", "`eror` is none of error, warning, info", "severity:error"),
        ("severity:⟨warn⟩", "none of", "severity:warning"),
        ("severity:⟨critical⟩ a", "none of", "severity:error a"),
        ("severity:⟨\"very bad\"⟩", "`very bad` is none of", "severity:error"),
        ("severity:(error OR ⟨wraning⟩)", "none of", "severity:(error OR warning)"),
        ("state:⟨fixed⟩", "none of open, regressed, resolved, muted, new", "state:resolved"),
        ("state:⟨opne⟩", "none of", "state:open"),
        ("state:⟨unresolved⟩", "none of", "state:open"),
        ("-state:⟨silenced⟩", "none of", "-state:muted"),
        ("state:⟨/open/⟩", "none of", "state:open"),
    ]);
}

#[test]
fn values_that_exclude_each_other_want_or() {
    check_all(&[
        ("severity:(error ⟨⟩warning)", "write OR between them", "severity:(error OR warning)"),
        ("state:(open ⟨AND⟩ new)", "write OR between them", "state:(open OR new)"),
        ("service:(a ⟨⟩b c)", "write OR between them", "service:(a OR b OR c)"),
    ]);
}

#[test]
fn a_number_is_none() {
    check_all(&[
        ("count:>⟨many⟩", "`many` is no whole number", "count:>1"),
        ("count:>⟨1.5⟩", "no whole number", "count:>2"),
        ("count:>⟨10k⟩", "no whole number", "count:>10000"),
        ("count:>⟨1,000⟩", "no whole number", "count:>1000"),
        ("count:⟨-5⟩", "no whole number", "count:1"),
        ("count:⟨99999999999999999999⟩", "no whole number", "count:18446744073709551615"),
        ("count:⟨*⟩", "no whole number", "count:1"),
        ("count:⟨=>⟩5", "an operator is one of", "count:>=5"),
        ("count:⟨==⟩5", "an operator is one of", "count:=5"),
        ("count:⟨<<⟩5", "an operator is one of", "count:<=5"),
        ("rate:>⟨fast⟩", "`fast` is no number", "rate:>1"),
        ("rate:>⟨5/min⟩", "no number", "rate:>5"),
        ("rate:>⟨.5⟩", "no number", "rate:>0.5"),
        ("rate:>⟨1e3⟩", "no number", "rate:>1"),
        ("rate:>⟨inf⟩", "no number", "rate:>1"),
        ("rate:>⟨0.123456789012345678901⟩", "no number", "rate:>0.12345678901234568"),
    ]);
}

#[test]
fn a_time_is_none() {
    check_all(&[
        ("last_seen:⟨1h⟩", "last_seen:<1h is less than that ago", "last_seen:<1h"),
        ("last_seen:⟨=1h⟩", "an age is compared", "last_seen:<1h"),
        ("last_seen:<⟨5⟩", "neither a duration", "last_seen:<5m"),
        ("last_seen:<⟨1.5h⟩", "neither a duration", "last_seen:<1h30m"),
        ("last_seen:<⟨2days⟩", "neither", "last_seen:<2d"),
        ("last_seen:<⟨30min⟩", "neither", "last_seen:<30m"),
        ("last_seen:<⟨1month⟩", "neither", "last_seen:<30d"),
        ("last_seen:<⟨\"90 s\"⟩", "neither", "last_seen:<1m30s"),
        ("last_seen:<⟨1H⟩", "neither", "last_seen:<1h"),
        ("last_seen:<⟨yesterday⟩", "neither", "last_seen:<1h"),
        ("last_seen:<⟨-1h⟩", "neither", "last_seen:<1h"),
        ("last_seen:<⟨99999999999y⟩", "neither", "last_seen:<1h"),
        ("first_seen:>⟨2026⟩", "nor a date", "first_seen:>2026-01-01"),
        ("first_seen:>⟨2026-02⟩", "nor a date", "first_seen:>2026-02-01"),
        ("first_seen:>⟨2026-1-5⟩", "nor a date", "first_seen:>2026-01-05"),
        ("first_seen:>⟨2026-02-30⟩", "nor a date", "first_seen:>2026-02-28"),
        ("first_seen:>⟨2026/12/24⟩", "nor a date", "first_seen:>2026-12-24"),
        ("first_seen:>⟨2026-13-01⟩", "nor a date", "first_seen:>2026-12-01"),
        ("first_seen:>⟨2026-01-01T25:00:00Z⟩", "or time", "first_seen:>2026-01-01"),
        ("first_seen:>⟨9999-12-31T23:59:59-23:00⟩", "or time", "first_seen:>9999-12-31"),
    ]);
}

#[test]
fn a_comparison_wants_its_colon() {
    check_all(&[
        ("⟨count>100⟩", "a colon belongs between `count` and its value", "count:>100"),
        ("a ⟨last_seen<1h⟩", "a colon belongs", "a last_seen:<1h"),
        ("⟨rate>=5⟩", "a colon belongs", "rate:>=5"),
    ]);
}

#[test]
fn quotes_are_closed_and_end_a_term() {
    check_all(&[
        ("a ⟨\"b c⟩", "this quote is not closed", "a \"b c\""),
        ("⟨\"a\\\"⟩", "not closed", "\"a\\\"\""),
        ("⟨\"⟩", "not closed", "\"\\\"\\\"\""),
        ("message:⟨\"b⟩", "not closed", "message:\"b\""),
        ("⟨\"\"⟩", "nothing between these quotes", "\"\\\"\\\"\""),
        ("a ⟨\"\"⟩", "nothing between", "a"),
        ("\"a\"⟨b⟩ c", "a blank belongs after a closing quote", "\"a\" b c"),
        ("\"level\"⟨:\"error\"⟩ c", "a blank belongs", "\"\\\"level\\\":\\\"error\\\"\" c"),
        ("message:\"a\"⟨b⟩", "a blank belongs", "message:\"a\" b"),
    ]);
}

#[test]
fn parentheses_are_paired_and_not_empty() {
    check_all(&[
        ("⟨(⟩a b", "this parenthesis is not closed", "(a b)"),
        ("⟨(⟩", "not closed", "\"(\""),
        ("a ⟨(⟩b OR (c)", "not closed", "a (b OR (c))"),
        ("severity:⟨(⟩error", "not closed", "severity:(error)"),
        ("a⟨)⟩", "this parenthesis closes nothing", "a"),
        ("(a) ⟨)⟩ b", "closes nothing", "(a) b"),
        ("⟨)⟩", "closes nothing", "\")\""),
        ("a ⟨()⟩", "nothing in these parentheses", "a"),
        ("⟨( )⟩", "nothing in these parentheses", "\"()\""),
        ("f(a b⟨)⟩", "closes nothing", "f(a b"),
    ]);
}

#[test]
fn an_operator_has_something_on_each_side() {
    check_all(&[
        ("a ⟨OR⟩", "OR needs something on both sides", "a"),
        ("⟨OR⟩ a", "OR needs", "a"),
        ("a OR ⟨OR⟩ b", "OR needs", "a OR b"),
        ("⟨OR⟩", "OR needs", "\"OR\""),
        ("a ⟨AND⟩", "AND needs", "a"),
        ("⟨AND⟩ a", "AND needs", "a"),
        ("a AND ⟨AND⟩ b", "AND needs", "a AND b"),
        ("a ⟨AND⟩ OR b", "AND needs", "a OR b"),
        ("a OR ⟨AND⟩ b", "AND needs", "a OR b"),
        ("(a ⟨OR⟩) b", "OR needs", "(a) b"),
        ("a ⟨NOT⟩", "NOT needs something after it", "a"),
        ("⟨NOT⟩", "NOT needs", "\"NOT\""),
        ("a ⟨NOT⟩ OR b", "NOT needs", "a OR b"),
        ("(⟨NOT⟩) a", "NOT needs", "a"),
        ("a ⟨NOT⟩ AND b", "NOT needs", "a AND b"),
    ]);
}

#[test]
fn a_regular_expression_can_be_compiled() {
    check_all(&[
        ("⟨/a(/⟩ b", "not understood: unclosed group", "\"a(\" b"),
        ("message:⟨/[/⟩", "not understood", "message:\"[\""),
        ("⟨/*/⟩", "repetition operator missing expression", "\"*\""),
        ("⟨//⟩", "this regular expression is empty", "\"//\""),
        ("url:⟨//⟩", "is empty", "url:\"//\""),
        ("a ⟨/b(c|d)⟩", "this regular expression is not closed", "a /b(c|d)/"),
        ("⟨/b[⟩", "not closed", "\"b[\""),
        ("/a|b/⟨i⟩ c", "no flags here", "/a|b/ c"),
        ("⟨/(?=a)/⟩", "look-around", "\"(?=a)\""),
        (r"⟨/(a)\1/⟩", "backreferences are not supported", r#""(a)\\1""#),
        ("⟨/\\w{1000}/⟩", "it is too large", "\"\\\\w{1000}\""),
    ]);
}

#[test]
fn several_mistakes_are_mended_together() {
    check_all(&[
        ("⟨sevrity⟩:eror (a", "no field", "severity:error (a)"),
        ("(a ⟨OR⟩", "OR needs", "(a)"),
        ("⟨foo⟩:1 bar:2 state:x", "no field", "\"foo:1\" \"bar:2\" state:new"),
    ]);
    let many = "x:y ".repeat(30);
    let quoted = format!("\"{}\"", many.trim());
    assert_eq!(error(&many).suggestion, Some(quoted), "too many are one phrase");
}

#[test]
fn what_is_beyond_the_bounds_is_refused_and_said_so() {
    let check = |text: &str, position: usize, message: &str| {
        let error = error(text);
        assert_eq!(error.message, message);
        assert_eq!((error.position, error.suggestion), (position, None));
        assert_eq!(error.position + error.length.max(1), text.chars().count().max(position + 1));
    };
    let longest = "ü".repeat(MAX_LENGTH);
    assert!(Query::parse(&longest).is_ok());
    check(&format!("{longest}x"), MAX_LENGTH, "a query has at most 4096 characters");
    // Written with the quotes that it needs it would be too long to be read again.
    assert_eq!(error(&"\\".repeat(MAX_LENGTH)).message, "a query has at most 4096 characters");

    let most = "a ".repeat(MAX_TERMS);
    assert!(Query::parse(&most).is_ok());
    check(&format!("{most}b c"), 2 * MAX_TERMS, "a query has at most 100 terms");
    assert!(Query::parse(&format!("message:({}b)", "a OR ".repeat(MAX_TERMS))).is_err());

    let regexes = "/a/ ".repeat(MAX_REGEXES);
    assert!(Query::parse(&regexes).is_ok());
    check(&format!("{regexes}/b/"), 40, "a query has at most 10 regular expressions");

    let nested = |depth: usize| format!("{}a{}", "(".repeat(depth), ")".repeat(depth));
    assert!(Query::parse(&nested(MAX_DEPTH)).is_ok());
    let error = error(&nested(MAX_DEPTH + 1));
    assert_eq!(error.message, "parentheses are nested more than 32 deep");
    assert_eq!((error.position, error.length, error.suggestion), (MAX_DEPTH, 1, None));
}

#[test]
fn hostile_texts_neither_overflow_the_stack_nor_take_long() {
    for piece in ["(", ")", "-(", "NOT ", "\"", "/", "a:", "message:(", "-", "\\", "(?:", "[", "*"]
    {
        for text in [piece.repeat(MAX_LENGTH / piece.len()), piece.repeat(100_000)] {
            if let Err(error) = Query::parse(&text) {
                assert!(error.message.len() < 300, "{}", error.message);
            }
        }
    }
    assert!(Query::parse(&("NOT ".repeat(1001) + "a")).is_ok());
    for regex in ["(a+)+$", "\\w{50}", "(((a{9}){9}){9}){9}", &"(".repeat(300), "[\\w--\\d]{99}"] {
        let text = format!("/{regex}/ ").repeat(MAX_REGEXES);
        let parsed = Query::parse(&text);
        assert!(
            parsed.is_ok_and(|q| !q.is_empty()) || error(&text).suggestion.is_some(),
            "{regex}"
        );
    }
}
