//! What texts are read as: the normal form of each.

use crate::query::{FIELDS, FORMS, Query};

#[track_caller]
fn check(text: &str, expected: &str) {
    let query = Query::parse(text).unwrap_or_else(|error| panic!("{text}: {error:?}"));
    assert_eq!(query.to_string(), expected, "{text}");
    assert_eq!(Query::parse(expected), Ok(query), "{text}");
}

#[track_caller]
fn check_all(cases: &[(&str, &str)]) {
    cases.iter().for_each(|(text, expected)| check(text, expected));
}

#[test]
fn words_are_folded_and_quoted_where_they_must_be() {
    check_all(&[
        ("", ""),
        (" \t\n ", ""),
        ("Timeout", "timeout"),
        ("a  b\tc", "a b c"),
        ("ΟΔΟΣ", "οδοσ"),
        ("\"two words\"", "\"two words\""),
        ("\"One\"", "one"),
        (r#""say \"hi\" \\ \n""#, r#""say \"hi\" \\ \\n""#),
        (r"a\b", r#""a\\b""#),
        ("a\"b", r#""a\"b""#),
        ("\" \"", "\" \""),
        ("*", "*"),
        ("\"*\"", "\"*\""),
        ("time*", "\"time*\""),
        ("or and not", "or and not"),
        ("\"OR\" \"AND\" \"NOT\"", "or and not"),
        ("ORDER NOTE ANDY", "order note andy"),
    ]);
}

#[test]
fn operators_bind_as_usual() {
    check_all(&[
        ("a AND b", "a b"),
        ("a OR b", "a OR b"),
        ("a b OR c d", "a b OR c d"),
        ("a (b OR c) d", "a (b OR c) d"),
        ("a AND (b AND c)", "a b c"),
        ("a OR (b OR c)", "a OR b OR c"),
        ("(a)", "a"),
        ("((a b))", "a b"),
        ("(a)(b)", "a b"),
        ("a OR(b)", "a OR b"),
        ("(a b) OR c", "a b OR c"),
        ("-a", "-a"),
        ("NOT a", "-a"),
        ("NOT NOT a", "a"),
        ("NOT -a", "a"),
        ("-(-a)", "a"),
        ("-(a b)", "-(a b)"),
        ("-(a OR b) c", "-(a OR b) c"),
        ("NOT (a OR b)", "-(a OR b)"),
        ("NOT(a)", "-a"),
        ("a AND NOT b", "a -b"),
        ("a OR -b", "a OR -b"),
        ("-\"a b\"", "-\"a b\""),
        ("-/a/", "-/a/"),
        ("-message:a", "-message:a"),
        ("-*", "-*"),
        ("-NOT", "-not"),
    ]);
}

#[test]
fn what_people_paste_is_text() {
    check_all(&[
        ("http://x/y?z=1", "\"http://x/y?z=1\""),
        ("std::io::Error", "\"std::io::error\""),
        ("java.lang.X:12", "\"java.lang.x:12\""),
        ("10.0.0.1:80", "\"10.0.0.1:80\""),
        ("12:30:00", "\"12:30:00\""),
        ("TypeError: oops", "\"typeerror:\" oops"),
        ("C:\\x", "\"c:\\\\x\""),
        ("file:/etc/x", "\"file:/etc/x\""),
        ("db-1:5432", "\"db-1:5432\""),
        (":x", "\":x\""),
        (":", "\":\""),
        ("größe:5", "\"größe:5\""),
        ("run()", "\"run()\""),
        ("(run())", "\"run()\""),
        ("at Main.run(Main.java:7)", "at \"main.run(main.java:7)\""),
        ("at X (Main.java:7)", "at x \"main.java:7\""),
        ("/api/orders", "\"/api/orders\""),
        ("/healthz", "\"/healthz\""),
        ("//x", "\"//x\""),
        ("/cart?id=3", "\"/cart?id=3\""),
        ("a - b", "a \"-\" b"),
        ("(a -)", "a \"-\""),
        ("--verbose", "\"--verbose\""),
        ("a -> b", "a \"->\" b"),
        ("[main]", "\"[main]\""),
        ("key=value", "key=value"),
        ("count=5", "count=5"),
        ("a|b", "\"a|b\""),
        ("{\"a\":1}", r#""{\"a\":1}""#),
        ("x-y_z", "x-y_z"),
        ("Foo$Bar@3f", "foo$bar@3f"),
    ]);
}

#[test]
fn fields_have_values() {
    check_all(&[
        ("service:Checkout", "service:checkout"),
        ("SERVICE:x", "service:x"),
        ("service:\"a b\"", "service:\"a b\""),
        ("severity:ERROR", "severity:error"),
        ("severity:\"info\"", "severity:info"),
        ("state:new", "state:new"),
        ("state:*", "state:*"),
        ("severity:*", "severity:*"),
        ("message:*", "message:*"),
        ("message:\"*\"", "message:\"*\""),
        ("class:java.lang.X", "class:java.lang.x"),
        ("class:a::b", "class:\"a::b\""),
        ("message:http://x", "message:\"http://x\""),
        ("message:f(x)", "message:\"f(x)\""),
        ("message:OR", "message:or"),
        ("message:-a", "message:\"-a\""),
        ("(message:a)", "message:a"),
        ("url:/api", "url:\"/api\""),
        ("url:/api/", "url:/api/"),
        ("url:\"/api/\"", "url:\"/api/\""),
        ("method:GET", "method:get"),
        ("method:/^p/", "method:/^p/"),
        ("header.User-Agent:curl", "header.user-agent:curl"),
        ("Header.X:a", "header.x:a"),
        ("label.Zone:EU", "label.Zone:eu"),
        ("LABEL.a.b:x", "label.a.b:x"),
        ("key:a:b", "key:\"a:b\""),
        ("instance:10.0.0.1:80", "instance:\"10.0.0.1:80\""),
    ]);
}

#[test]
fn several_values_share_a_field() {
    check_all(&[
        ("severity:(error OR warning)", "severity:error OR severity:warning"),
        ("a severity:(error OR info)", "a (severity:error OR severity:info)"),
        ("-severity:(error OR info)", "-(severity:error OR severity:info)"),
        ("severity:(-info)", "-severity:info"),
        ("severity:((error) OR (NOT info))", "severity:error OR -severity:info"),
        ("message:(a b)", "message:a message:b"),
        ("message:(a AND \"b c\" OR -/d/)", "message:a message:\"b c\" OR -message:/d/"),
        ("url:(http://x OR foo:bar)", "url:\"http://x\" OR url:\"foo:bar\""),
        ("count:(<5 OR >=10)", "count:<5 OR count:>=10"),
    ]);
}

#[test]
fn numbers_and_times_are_compared() {
    check_all(&[
        ("count:>100", "count:>100"),
        ("count:>=100", "count:>=100"),
        ("count:<100", "count:<100"),
        ("count:<=100", "count:<=100"),
        ("count:=100", "count:100"),
        ("count:007", "count:7"),
        ("count:>18446744073709551615", "count:>18446744073709551615"),
        ("count:>\"5\"", "count:>5"),
        ("rate:>0.50", "rate:>0.5"),
        ("rate:>5", "rate:>5"),
        ("rate:0", "rate:0"),
        ("last_seen:<1h", "last_seen:<1h"),
        ("last_seen:<90m", "last_seen:<1h30m"),
        ("last_seen:>=7d", "last_seen:>=1w"),
        ("last_seen:<0", "last_seen:<0s"),
        ("first_seen:>2026-01-01", "first_seen:>2026-01-01T00:00:00Z"),
        ("first_seen:2026-01-01", "first_seen:2026-01-01"),
        ("first_seen:=2026-01-01", "first_seen:2026-01-01"),
        ("first_seen:>2026-01-01T10:00:00+02:00", "first_seen:>2026-01-01T08:00:00Z"),
        ("first_seen:>2026-01-01T10:00", "first_seen:>2026-01-01T10:00:00Z"),
        ("first_seen:>2026-01-01T10:00:00.5", "first_seen:>2026-01-01T10:00:00.500000Z"),
        ("first_seen:>\"2026-01-01 10:00:00\"", "first_seen:>2026-01-01T10:00:00Z"),
        ("first_seen:2026-01-01T10:00:00Z", "first_seen:2026-01-01T10:00:00Z"),
    ]);
}

#[test]
fn a_slash_begins_a_regular_expression_that_a_slash_ends() {
    check_all(&[
        ("/a b/", "/a b/"),
        ("/A|B/", "/A|B/"),
        (r"/a\/b/", r"/a\/b/"),
        (r"/a\\/", r"/a\\/"),
        (r"/a\\\/b/", r"/a\\\/b/"),
        ("/(a)/ /b/", "/(a)/ /b/"),
        ("(/a/ OR /b/)", "/a/ OR /b/"),
        ("/a:\"b/", "/a:\"b/"),
    ]);
}

#[test]
fn every_example_of_the_help_is_a_query_that_does_what_it_is_there_for() {
    for help in FIELDS.iter().chain(FORMS) {
        let query = Query::parse(help.example).unwrap_or_else(|e| panic!("{}: {e}", help.name));
        assert!(!query.is_empty(), "{}", help.name);
        assert!(help.meaning.ends_with('.') && !help.meaning.contains("  "), "{}", help.meaning);
    }
    for field in FIELDS {
        let name = field.name.trim_end_matches("NAME");
        assert!(field.example.starts_with(name), "{}", field.name);
    }
}

#[test]
fn every_field_is_in_the_help() {
    let names: Vec<_> = FIELDS.iter().map(|field| field.name).collect();
    let expected = [
        "service",
        "severity",
        "state",
        "class",
        "message",
        "url",
        "method",
        "header.NAME",
        "key",
        "label.NAME",
        "instance",
        "count",
        "rate",
        "first_seen",
        "last_seen",
    ];
    assert_eq!(names, expected);
    let unknown = Query::parse("zzzzzz:1").unwrap_err();
    assert!(unknown.message.starts_with("there is no field `zzzzzz`"));
}

#[test]
fn a_query_tells_whether_it_says_anything_about_states() {
    for (text, expected) in [
        ("", false),
        ("state", false),
        ("a state:open", true),
        ("-(a OR state:(open OR muted))", true),
        ("\"state:open\"", false),
        ("state:*", true),
    ] {
        assert_eq!(Query::parse(text).unwrap().mentions_state(), expected, "{text}");
    }
}

#[test]
fn a_query_tells_whether_it_asks_for_texts() {
    for (text, expected) in [
        ("", false),
        ("*", false),
        ("timeout", true),
        ("-(state:open OR /a.c/)", true),
        ("message:refused", true),
        ("header.host:*", true),
        ("service:web key:a severity:error count:>1 last_seen:<1h rate:>1", false),
        ("instance:a label.zone:b", false),
    ] {
        assert_eq!(Query::parse(text).unwrap().asks_for_texts(), expected, "{text}");
    }
}

#[test]
fn only_what_says_nothing_is_empty() {
    assert!(Query::default().is_empty());
    assert!(Query::parse("  ").unwrap().is_empty());
    assert!(!Query::parse("*").unwrap().is_empty());
}
