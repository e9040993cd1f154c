//! `cargo fuzz run --features libfuzzer stored`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::stored::run);
