//! Configuration recorded from Prometheus 3.14: `cargo test -p periskop-discovery --features
//! testing`. `SD_FIXTURES` names another folder of fixtures of the same form.

use std::path::PathBuf;

#[test]
fn configuration_is_taken_and_refused_as_by_prometheus() {
    let ours = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/corpus/sd-fixtures");
    let fixtures = std::env::var_os("SD_FIXTURES").map_or_else(|| ours.into(), PathBuf::from);
    let tally = periskop_discovery::testing::config_cases(&fixtures);
    println!("{tally}");
    assert!(tally.failed.is_empty(), "see above");
    assert!(tally.passed > 100, "only {} cases", tally.passed);
}
