//! `cargo fuzz run --features libfuzzer relabel`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::relabel::run);
