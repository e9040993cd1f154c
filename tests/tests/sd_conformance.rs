//! Service discovery as Prometheus does it: every recorded case of the mechanisms we have, over
//! real sockets and files.
//!
//! The cases are in `tests/corpus/sd-fixtures`; `SD_FIXTURES` names another folder of the same
//! form. The end prints how many passed and failed, and names what has no mechanism here.

use std::io::Write as _;
use std::path::PathBuf;

use futures_util::StreamExt as _;
use periskop_discovery::testing::{Tally, config_cases, has_mechanism};
use periskop_tests::sd::{Case, cannot_replay, cases, replay};
use periskop_tests::skip;

/// So many cases at once: they wait more than they work.
const AT_ONCE: usize = 8;

#[tokio::test]
async fn discovery_tells_what_prometheus_told() {
    // What is relative is so to the top of the repository, where commands are given.
    let named =
        std::env::var_os("SD_FIXTURES").unwrap_or_else(|| "tests/corpus/sd-fixtures".into());
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(named);

    let (run, not_run): (Vec<_>, Vec<_>) =
        cases(&fixtures).into_iter().partition(|case| has_mechanism(case.key()) && can_run(case));
    let outcomes = futures_util::stream::iter(run)
        .map(|case| async move { (case.name.clone(), replay(&case).await) })
        .buffered(AT_ONCE);
    let mut tally = Tally::default();
    tally.not_run.extend(not_run.into_iter().map(|case| case.name));
    for (name, outcome) in outcomes.collect::<Vec<_>>().await {
        tally.count(name, outcome);
    }
    tally.add(config_cases(&fixtures));
    // Not `println!`: the harness swallows that when a test passes, and this is worth knowing then.
    let _ = writeln!(std::io::stderr(), "{tally}");
    assert!(tally.failed.is_empty(), "{} cases failed, see above", tally.failed.len());
}

/// Whether the case's backend is here; says so where it is not.
fn can_run(case: &Case) -> bool {
    match cannot_replay(case) {
        Some(why) => {
            skip(format!("{}: {why}", case.name));
            false
        }
        None => true,
    }
}
