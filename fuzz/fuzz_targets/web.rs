//! `cargo fuzz run --features libfuzzer web`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::web::run);
