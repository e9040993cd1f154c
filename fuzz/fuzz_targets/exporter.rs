//! `cargo fuzz run --features libfuzzer exporter`
#![cfg_attr(fuzzing, no_main)]
periskop_fuzz::fuzz!(periskop_fuzz::exporter::run);
