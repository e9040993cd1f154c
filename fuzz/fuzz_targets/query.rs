//! `cargo fuzz run --features libfuzzer query`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::query::run);
