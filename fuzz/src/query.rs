//! Queries as people and scripts write them.

use std::sync::OnceLock;
use std::time::Duration;

use periskop_core::query::{MAX_LENGTH, Query};
use periskop_core::testing::query::Numbered;
use periskop_core::{
    ContentHash, Exception, HttpContext, Observer, Occurrence, ReplicaId, Report, ReportedError,
    Settings, Severity, Timestamp,
};

/// Whatever reads as a query prints as a text that reads as the same query, and finds by an index
/// what it finds by a look at each error. What does not, is told where it is wrong and, unless it
/// is too large, what would be right.
///
/// # Panics
///
/// If a promise is broken.
pub fn run(input: &[u8]) {
    let text = String::from_utf8_lossy(input);
    let length = text.chars().count();
    match Query::parse(&text) {
        Ok(query) => {
            let printed = query.to_string();
            assert_eq!(Query::parse(&printed).as_ref(), Ok(&query), "{text:?} is {printed}");
            let now = now();
            let errors = errors();
            assert_eq!(query.find(errors, now), errors.scan(&query, now), "{printed}");
        }
        Err(error) => {
            assert!(error.position + error.length <= length, "{error:?}");
            assert!(error.message.len() < 1000, "{error:?}");
            match error.suggestion {
                Some(right) => assert!(Query::parse(&right).is_ok(), "{text:?}: {right:?}"),
                None => assert!(
                    length > MAX_LENGTH / 2
                        || ["at most", "nested more"]
                            .iter()
                            .any(|most| error.message.contains(most)),
                    "nothing is suggested: {error:?}"
                ),
            }
        }
    }
}

fn now() -> Timestamp {
    Timestamp::from_micros(1_770_000_000_000_000)
}

/// A few errors that some query finds and another does not.
fn errors() -> &'static Numbered {
    static ERRORS: OnceLock<Numbered> = OnceLock::new();
    ERRORS.get_or_init(|| {
        let start = now().minus(Duration::from_secs(7200));
        let mut observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), start);
        for (n, severity) in [Severity::Error, Severity::Warning].into_iter().enumerate() {
            let at = now()
                .minus(Duration::from_secs(3600))
                .plus(Duration::from_secs(1800) * u32::from(n > 0));
            let exception = |class: &str, message: &str| Exception {
                class: Some(class.to_owned()),
                message: Some(message.to_owned()),
                stacktrace: vec![format!("at Cart.add(Cart.java:{n})")],
            };
            let http = HttpContext {
                method: Some("GET".to_owned()),
                url: Some("http://shop/cart".to_owned()),
                headers: vec![("User-Agent".to_owned(), "curl/8".to_owned())],
                body: None,
            };
            let occurrence = Occurrence {
                name: format!("o{n}"),
                content: ContentHash::of(&[]),
                time: Some(at),
                severity,
                exceptions: vec![
                    exception("Timeout", "read timed out after 30s"),
                    exception("ſ Kelvin", "Größe ΟΔΟΣ \"quoted\" \\ İ"),
                ],
                http: (n > 0).then_some(http),
            };
            let error = ReportedError {
                key: format!("key {n}").as_str().into(),
                total_count: 100,
                severity,
                created_at: None,
                incarnations: None,
                occurrences: vec![occurrence],
                unchanged: Vec::new(),
            };
            let report = Report {
                target_uuid: Some(format!("pusher-{n}")),
                errors: vec![error],
                ..Report::default()
            };
            drop(observer.pushed(at, &format!("service-{n}").as_str().into(), report));
        }
        Numbered::new(observer.into_state())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn some_queries_find_something_and_some_do_not() {
        let found = |text: &str| Query::parse(text).map(|query| query.find(errors(), now()).len());
        assert_eq!(found("timeout"), Ok(2));
        assert_eq!(found("url:cart severity:warning"), Ok(1));
        assert_eq!(found("missing"), Ok(0));
    }
}
