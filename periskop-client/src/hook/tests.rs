use super::*;
use crate::Backtraces;

/// What panics in threads that are called `name`; other tests' are left out.
fn panics(backtraces: Backtraces, run: impl Fn() + Send + Sync) -> Vec<(u64, Capture)> {
    let collector = Collector::builder().backtraces(backtraces).build();
    install_panic_hook(&collector);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            let thread = std::thread::Builder::new().name("of the host".into());
            assert!(thread.spawn_scoped(scope, &run).unwrap().join().is_err());
        }
    });
    let errors = collector.snapshot().errors.into_iter();
    errors
        .filter_map(|error| {
            let occurrence = error.occurrences.into_iter().next()?;
            let is_ours =
                occurrence.exceptions[0].stacktrace.iter().any(|f| f.contains("`of the host`"));
            let mut capture = Capture::message("").key(error.key.as_str());
            capture.exceptions = occurrence.exceptions;
            is_ours.then_some((error.total_count, capture))
        })
        .collect()
}

#[test]
fn panics_of_one_place_are_one_error_with_message_place_and_thread() {
    let panics = panics(Backtraces::Never, || panic!("order {} is lost", 17));
    let [(2, capture)] = &panics[..] else { panic!("{panics:?}") };
    let exception = &capture.exceptions[0];
    assert_eq!(exception.class.as_deref(), Some("panic"));
    assert_eq!(exception.message.as_deref(), Some("order 17 is lost"));
    assert!(exception.stacktrace[0].contains("hook/tests.rs:"), "{exception:?}");
    assert_eq!(exception.stacktrace[1], "in the thread `of the host`");
    assert!(capture.aggregation_key().starts_with("panic@"));
}

#[test]
fn a_payload_that_is_no_text_and_a_stack_are_recorded_too() {
    #[inline(never)]
    fn lose_an_order() {
        panic::panic_any(17_u8);
    }
    let panics = panics(Backtraces::Always, lose_an_order);
    let [(2, capture)] = &panics[..] else { panic!("{panics:?}") };
    let exception = &capture.exceptions[0];
    assert_eq!(exception.message.as_deref(), Some("a panic whose payload is no text"));
    let frames = &exception.stacktrace;
    assert!(frames[1..].iter().any(|f| f.contains("lose_an_order")), "{frames:?}");
}
