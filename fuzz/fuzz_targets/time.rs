//! `cargo fuzz run --features libfuzzer time`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::time::run);
