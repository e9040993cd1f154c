//! Backends that were well and then answer garbage, errors, half an answer, nothing, or far too
//! much: no mechanism loses a target, panics, or tells what it should not.

use std::io::Write as _;
use std::path::Path;

use futures_util::StreamExt as _;
use periskop_discovery::testing::{Tally, has_mechanism};
use periskop_tests::sd::{Case, cases, endure, endure_a_flood, endure_mutations};

/// So many cases at once: they wait more than they work.
const AT_ONCE: usize = 16;
/// So many answers of each case have something wrong in them.
const MUTATIONS: u64 = 20;

/// Runs all cases of HTTP backends that are wanted.
async fn run<F: Future<Output = Result<(), String>>>(
    wanted: impl Fn(&Case) -> bool,
    endure: impl Fn(Case) -> F,
) {
    let fixtures = Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/corpus/sd-fixtures"));
    let cases = cases(fixtures).into_iter();
    let cases =
        cases.filter(|case| has_mechanism(case.key()) && case.is_over_http() && wanted(case));
    let outcomes = futures_util::stream::iter(cases)
        .map(|case| async { (case.name.clone(), endure(case).await) })
        .buffered(AT_ONCE);
    let mut tally = Tally::default();
    for (name, outcome) in outcomes.collect::<Vec<_>>().await {
        tally.count(name, outcome);
    }
    let _ = writeln!(std::io::stderr(), "{tally}");
    assert!(tally.passed > 0, "there are cases");
    assert!(tally.failed.is_empty(), "{} cases failed, see above", tally.failed.len());
}

#[tokio::test]
async fn a_backend_that_fails_takes_no_targets_with_it() {
    run(|_| true, async |case| endure(&case).await).await;
}

#[tokio::test]
async fn an_answer_without_an_end_is_not_read_to_its_end() {
    // One of those that ask as all do, and one that watches.
    let wanted = ["vultr/", "consul/"];
    let is_wanted = |case: &Case| wanted.iter().any(|name| case.name.starts_with(name));
    run(is_wanted, async |case| endure_a_flood(&case).await).await;
}

#[tokio::test]
async fn an_answer_with_something_wrong_in_it_is_an_answer_or_an_error() {
    run(|_| true, async |case| endure_mutations(&case, MUTATIONS).await).await;
}
