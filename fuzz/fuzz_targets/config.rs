//! `cargo fuzz run --features libfuzzer config`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::config::run);
