//! Service discovery as Prometheus does it: every recorded case of the mechanisms we have, over
//! real sockets and files.
//!
//! The cases are in `tests/corpus/sd-fixtures`; `SD_FIXTURES` names another folder of the same
//! form. The end prints how many passed and failed, and names what has no mechanism here yet.

use std::io::Write as _;
use std::path::PathBuf;

use periskop_discovery::testing::{KEYS, Tally, config_cases};
use periskop_tests::sd::{cases, replay};

#[tokio::test]
async fn discovery_tells_what_prometheus_told() {
    // What is relative is so to the top of the repository, where commands are given.
    let named =
        std::env::var_os("SD_FIXTURES").unwrap_or_else(|| "tests/corpus/sd-fixtures".into());
    let fixtures = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(named);

    let mut tally = Tally::default();
    for case in cases(&fixtures) {
        if KEYS.contains(&case.key()) {
            tally.count(&case.name, replay(&case).await);
        } else {
            tally.not_run.push(case.name);
        }
    }
    tally.add(config_cases(&fixtures));
    // Not `println!`: the harness swallows that when a test passes, and this is worth knowing then.
    let _ = writeln!(std::io::stderr(), "{tally}");
    assert!(tally.failed.is_empty(), "{} cases failed, see above", tally.failed.len());
}
