//! Harnesses for fuzzing: functions of bytes that panic when a promise is broken.
//!
//! They run in two ways. With `cargo fuzz run NAME` (nightly, libFuzzer) they are searched for
//! inputs that break them; on stable, `cargo test -p periskop-fuzz` replays `corpus/NAME`, every
//! input that ever broke one from `regressions/NAME`, and some thousands of mutations of these from
//! a fixed seed.
//!
//! A new harness is a module here and a line in [`HARNESSES`] and in `tests/replay.rs`, and a
//! wrapper of three lines in `fuzz_targets/`. An input that breaks one is made as small as it can
//! be and committed to `regressions/NAME` under a name that tells its story.

pub mod authorization;
pub mod config;
pub mod exporter;
pub mod group;
pub mod merge;
pub mod mutate;
pub mod push;
pub mod query;
pub mod relabel;
pub mod stored;
pub mod time;
pub mod units;
pub mod web;

#[cfg(all(fuzzing, feature = "libfuzzer"))]
#[doc(hidden)]
pub use libfuzzer_sys;

/// A function of hostile bytes that panics when a promise is broken.
pub type Harness = fn(&[u8]);

/// Every harness, by the name of its folders and of its binary.
pub const HARNESSES: &[(&str, Harness)] = &[
    ("authorization", authorization::run),
    ("config", config::run),
    ("exporter", exporter::run),
    ("group", group::run),
    ("merge", merge::run),
    ("push", push::run),
    ("query", query::run),
    ("relabel", relabel::run),
    ("stored", stored::run),
    ("time", time::run),
    ("units", units::run),
    ("web", web::run),
];

/// The binary for libFuzzer of a harness. Without libFuzzer it is an empty program, so that it is
/// compiled and linted everywhere.
#[macro_export]
macro_rules! fuzz {
    ($harness:path) => {
        #[cfg(all(fuzzing, feature = "libfuzzer"))]
        $crate::libfuzzer_sys::fuzz_target!(|input: &[u8]| $harness(input));

        #[cfg(not(all(fuzzing, feature = "libfuzzer")))]
        fn main() {
            let _: $crate::Harness = $harness;
        }
    };
}
