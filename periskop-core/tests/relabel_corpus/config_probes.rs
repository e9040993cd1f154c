//! The cases of `config/`, `dns/`, `file/` and `http/` about discovery and HTTP client settings.
//! The crate that decodes those settings replays them.

use periskop_discovery::testing::config_cases;

use crate::{Corpus, folder};

#[test]
fn discovery_settings_are_taken_and_refused_as_by_prometheus() {
    let tally = config_cases(&folder());
    let corpus = Corpus {
        name: "config/sd_probes.json and others about discovery",
        run: tally.passed + tally.failed.len(),
        left_out: tally.not_run.len(),
        failures: tally.failed.iter().map(|(id, reason)| format!("{id}: {reason}")).collect(),
    };
    corpus.finish();
}
