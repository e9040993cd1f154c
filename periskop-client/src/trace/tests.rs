use std::error::Error;
use std::fmt;

use periskop_core::ReportedError;
use tracing::{error, error_span, info, info_span, warn};
use tracing_registry::layer::SubscriberExt;

use super::*;

#[derive(Debug, thiserror::Error)]
#[error("the order is not paid")]
struct Unpaid(#[source] std::num::ParseIntError);

fn heard(run: impl FnOnce()) -> Vec<ReportedError> {
    let collector = Collector::new();
    let subscriber = tracing_registry::registry().with(ReportLayer::new(&collector));
    tracing::subscriber::with_default(subscriber, run);
    collector.snapshot().errors
}

fn frames(error: &ReportedError) -> &[String] {
    &error.occurrences[0].exceptions[0].stacktrace
}

#[test]
fn errors_and_warnings_are_counted_and_what_is_less_is_not() {
    let errors = heard(|| {
        for order in 0..2 {
            error!(target: "shop", order, "order {order} is lost");
        }
        warn!(target: "shop", "slow");
        info!(target: "shop", "fine");
    });
    let mut told: Vec<_> = errors
        .iter()
        .map(|error| {
            let exception = &error.occurrences[0].exceptions[0];
            assert_eq!(exception.class.as_deref(), Some("shop"));
            (exception.message.clone().unwrap(), error.total_count, error.severity)
        })
        .collect();
    told.sort();
    let expected = [
        ("order 0 is lost".to_owned(), 2, Severity::Error),
        ("slow".to_owned(), 1, Severity::Warning),
    ];
    assert_eq!(told, expected, "fields and messages do not split an error");
}

#[test]
fn an_error_in_a_field_is_class_message_and_causes() {
    let errors = heard(|| {
        let unpaid = Unpaid("x".parse::<u8>().unwrap_err());
        let error: &(dyn Error + 'static) = &unpaid;
        error!(target: "shop", error, order = 17, password = "s3cr3t", "cannot ship");
    });
    let [error] = &errors[..] else { panic!("{errors:?}") };
    let [outer, inner] = &error.occurrences[0].exceptions[..] else { panic!("{error:?}") };
    assert_eq!(outer.class.as_deref(), Some("Unpaid"));
    assert_eq!(outer.message.as_deref(), Some("cannot ship: the order is not paid"));
    assert_eq!(inner.class.as_deref(), Some("core::num::error::ParseIntError"));
    assert!(error.key.as_str().starts_with("Unpaid@"));
    assert!(frames(error)[0].starts_with("shop (") && frames(error)[0].contains("tests.rs:"));
    assert_eq!(frames(error)[1], "with order=17 password=<redacted>");
}

#[test]
fn spans_are_context_and_tell_the_request() {
    let errors = heard(|| {
        let _request =
            info_span!(target: "web", "request", method = "GET", uri = "/a?token=x").entered();
        let checkout =
            error_span!(target: "web", "checkout", order = 17, user = tracing::field::Empty);
        checkout.record("user", "me");
        let _checkout = checkout.entered();
        error!(target: "web", "lost");
    });
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(
        frames(error)[1..],
        [
            r#"in span checkout{order=17 user="me"}"#,
            r#"in span request{method="GET" uri="/a?token=x"}"#
        ]
    );
    let http = error.occurrences[0].http.as_ref().unwrap();
    assert_eq!(http.method.as_deref(), Some("GET"));
    assert_eq!(http.url.as_deref(), Some("/a?token=<redacted>"));
}

#[test]
fn an_event_raised_by_an_error_that_is_being_printed_does_not_lead_to_another() {
    #[derive(Debug)]
    struct Loud;
    impl fmt::Display for Loud {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            let error: &(dyn Error + 'static) = self;
            error!(target: "loud", error, "while printing");
            f.write_str("loud")
        }
    }
    impl Error for Loud {}
    let errors = heard(|| {
        let error: &(dyn Error + 'static) = &Loud;
        error!(target: "loud", error);
    });
    let [error] = &errors[..] else { panic!("{errors:?}") };
    assert_eq!(error.total_count, 1);
    assert_eq!(error.occurrences[0].exceptions[0].message.as_deref(), Some("loud"));
}

#[test]
fn everything_that_events_and_spans_say_is_bounded() {
    let long = "x".repeat(1 << 20);
    let errors = heard(|| {
        let spans: Vec<_> =
            (0..100).map(|_| info_span!(target: "long", "deep", long = %long).entered()).collect();
        error!(target: "long", long = %long, other = %long, "{long}");
        // Spans are left in the order in which they were entered last.
        spans.into_iter().rev().for_each(drop);
    });
    let exception = &errors[0].occurrences[0].exceptions[0];
    assert!(exception.message.as_ref().unwrap().len() <= MESSAGES);
    assert!(exception.stacktrace.len() <= SPANS + 2);
    assert!(exception.stacktrace.iter().all(|frame| frame.len() < 1100));
}

const MESSAGES: usize = 16 * 1024 + 8;
