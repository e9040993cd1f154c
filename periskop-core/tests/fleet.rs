//! Whole histories of a simulated fleet, in virtual time.

use periskop_core::testing::fleet;
use proptest::prelude::*;

proptest! {
    #![proptest_config(ProptestConfig { cases: 1000, ..ProptestConfig::default() })]

    #[test]
    fn a_server_shows_what_it_was_told(steps in fleet::steps()) {
        fleet::run(&steps);
    }
}
