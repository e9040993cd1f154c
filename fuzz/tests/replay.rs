//! Every harness, on stable: its corpus, what once broke it, and mutations of both.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use periskop_fuzz::HARNESSES;
use periskop_fuzz::mutate::Mutator;

/// So many mutations that all harnesses together stay within seconds.
const MUTATIONS: usize = 5_000;

#[test]
fn authorization() {
    replay("authorization");
}

#[test]
fn config() {
    replay("config");
}

#[test]
fn exporter() {
    replay("exporter");
}

#[test]
fn group() {
    replay("group");
}

#[test]
fn merge() {
    replay("merge");
}

#[test]
fn push() {
    replay("push");
}

#[test]
fn query() {
    replay("query");
}

#[test]
fn relabel() {
    replay("relabel");
}

#[test]
fn stored() {
    replay("stored");
}

#[test]
fn time() {
    replay("time");
}

#[test]
fn units() {
    replay("units");
}

#[test]
fn web() {
    replay("web");
}

#[test]
fn every_harness_is_replayed_and_has_a_binary() {
    let this = include_str!("replay.rs");
    for (name, _) in HARNESSES {
        assert!(this.contains(&format!("replay(\"{name}\")")), "{name} is not replayed");
        let binary = folder("fuzz_targets").join(format!("{name}.rs"));
        assert!(binary.is_file(), "{} is missing", binary.display());
    }
}

fn replay(name: &str) {
    let (_, run) = HARNESSES.iter().find(|known| known.0 == name).expect("a harness of that name");
    let seeds: Vec<_> =
        ["corpus", "regressions"].iter().flat_map(|kind| files(&folder(kind).join(name))).collect();
    assert!(!seeds.is_empty(), "{name} has no corpus to begin with");
    let attempt = |what: &str, input: &[u8]| {
        if let Err(broken) = catch_unwind(AssertUnwindSafe(|| run(input))) {
            eprintln!("{name} breaks on {what}: {:?}", String::from_utf8_lossy(input));
            resume_unwind(broken);
        }
    };
    for seed in &seeds {
        attempt("a seed", seed);
        // Cut off anywhere, as connections are; long ones at some places only.
        for end in (0..seed.len()).step_by(1 + seed.len() / 500) {
            attempt("a seed cut off", &seed[..end]);
        }
    }
    for input in Mutator::new(&seeds, 0x0070_6572_6973_6b6f).take(MUTATIONS) {
        attempt("a mutation", &input);
    }
}

fn folder(name: &str) -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(name)
}

fn files(folder: &Path) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut paths: Vec<_> = entries.flatten().map(|entry| entry.path()).collect();
    paths.sort();
    paths.iter().filter_map(|path| std::fs::read(path).ok()).collect()
}
