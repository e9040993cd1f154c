//! Whole histories of a simulated fleet, in virtual time.
//!
//! The same ones each time, since a history in tens of thousands may find something that is nobody's
//! change: `PROPTEST_RNG_SEED=2 cargo test -p periskop-core --features testing --test fleet` runs others.

use periskop_core::testing::fleet;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn config() -> ProptestConfig {
    let mut config = ProptestConfig::with_cases(2_000);
    if config.rng_seed == RngSeed::Random {
        config.rng_seed = RngSeed::Fixed(1);
    }
    config
}

proptest! {
    #![proptest_config(config())]

    #[test]
    fn a_server_shows_what_it_was_told(steps in fleet::steps()) {
        fleet::run(&steps);
    }
}
