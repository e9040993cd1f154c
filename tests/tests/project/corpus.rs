//! The copies of the conformance data in this repository are what they were copied from.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use periskop_tests::{skip, workspace};

/// `PERISKOP_SHARED`, else `../shared` beside the clone.
fn shared() -> Option<PathBuf> {
    let named = std::env::var_os("PERISKOP_SHARED").unwrap_or_else(|| "../shared".into());
    let folder = workspace::root().join(named);
    if folder.is_dir() {
        return Some(folder);
    }
    skip(format_args!("there is no {}", folder.display()));
    None
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    let mut contents = BTreeMap::new();
    for file in workspace::files_below(folder) {
        let bytes = std::fs::read(&file).expect("a listed file can be read");
        contents.insert(file.strip_prefix(folder).expect("it lies below").to_owned(), bytes);
    }
    contents
}

fn assert_same(name: &str) {
    let Some(shared) = shared() else { return };
    let (ours, theirs) = (contents(&workspace::corpus(name)), contents(&shared.join(name)));
    let drifted: Vec<_> = ours
        .keys()
        .chain(theirs.keys())
        .filter(|file| ours.get(*file) != theirs.get(*file))
        .collect();
    assert!(!theirs.is_empty(), "{name} has files");
    assert!(drifted.is_empty(), "{name}: copy these again: {drifted:?}");
}

#[test]
fn the_merge_histories_have_not_drifted() {
    assert_same("merge-histories");
}

#[test]
fn the_wire_cases_have_not_drifted() {
    assert_same("wire-cases");
}

#[test]
fn the_service_discovery_fixtures_have_not_drifted() {
    assert_same("sd-fixtures");
}

#[test]
fn the_samples_have_not_drifted() {
    assert_same("samples");
}
