//! `cargo fuzz run --features libfuzzer group`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::group::run);
