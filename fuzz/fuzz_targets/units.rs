//! `cargo fuzz run --features libfuzzer units`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::units::run);
