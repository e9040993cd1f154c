//! `cargo fuzz run --features libfuzzer merge`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::merge::run);
