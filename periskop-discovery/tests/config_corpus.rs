//! Configuration recorded from Prometheus 3.14: `cargo test -p periskop-discovery --features
//! testing`. `SD_FIXTURES` names another folder of fixtures of the same form.

use std::path::PathBuf;

#[test]
fn configuration_is_taken_and_refused_as_by_prometheus() {
    // What is relative is so to the top of the repository, where commands are given.
    let named =
        std::env::var_os("SD_FIXTURES").unwrap_or_else(|| "tests/corpus/sd-fixtures".into());
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(named);
    let tally = periskop_discovery::testing::config_cases(&fixtures);
    println!("{tally}");
    assert!(tally.failed.is_empty(), "see above");
    assert!(tally.passed > 0, "no case in {}", fixtures.display());
}
