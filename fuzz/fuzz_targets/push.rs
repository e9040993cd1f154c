//! `cargo fuzz run --features libfuzzer push`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::push::run);
