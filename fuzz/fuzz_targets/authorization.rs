//! `cargo fuzz run --features libfuzzer authorization`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::authorization::run);
