//! The conformance corpus for targets, recorded from Prometheus 3.14.0: relabelling, target
//! groups, and the configuration files that it refuses.
//!
//! Reads `tests/corpus/sd-fixtures`, or the folder of the same form that the environment variable
//! `SD_FIXTURES` names, and runs whatever cases its files hold. Each file's count goes to
//! standard error; all failures of a file are told, not only the first.

mod config_errors;
mod config_probes;
mod relabel;
mod target;
mod target_group;

use std::fmt::{Debug, Display};
use std::io::Write as _;
use std::path::PathBuf;

use serde_json::Value as Json;

/// The result of one case: what is wrong with it, for people.
type Outcome = Result<(), String>;

/// One file of the corpus, and how its cases went.
struct Corpus {
    name: &'static str,
    run: usize,
    left_out: usize,
    failures: Vec<String>,
}

impl Corpus {
    /// Reads a file of JSON. One that is not there has no cases: corpora may be partial.
    fn read(name: &'static str) -> (Self, Json) {
        let path = folder().join(name);
        let json = match std::fs::read_to_string(&path) {
            Ok(text) => serde_json::from_str(&text).unwrap_or_else(|e| panic!("{name}: {e}")),
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => Json::Array(Vec::new()),
            Err(e) => panic!("{}: {e}", path.display()),
        };
        (Self { name, run: 0, left_out: 0, failures: Vec::new() }, json)
    }

    /// Notes how a case went.
    fn case(&mut self, id: impl Display, outcome: Outcome) {
        self.run += 1;
        if let Err(reason) = outcome {
            self.failures.push(format!("{id}: {reason}"));
        }
    }

    /// Notes a case that is not about anything here.
    fn leave_out(&mut self) {
        self.left_out += 1;
    }

    /// Tells the count, and fails with all failures if there are any.
    fn finish(self) {
        let passed = self.run - self.failures.len();
        // Not `eprintln!`, which the test harness would swallow.
        let _ = writeln!(
            std::io::stderr(),
            "{}: {passed} passed, {} failed, {} not run",
            self.name,
            self.failures.len(),
            self.left_out,
        );
        assert!(
            self.failures.is_empty(),
            "{} of {} cases of {} failed:\n\n{}",
            self.failures.len(),
            self.run,
            self.name,
            self.failures.join("\n\n"),
        );
    }
}

/// The corpus's folder.
fn folder() -> PathBuf {
    // What is relative is so to the top of the repository, where commands are given.
    let folder =
        std::env::var_os("SD_FIXTURES").unwrap_or_else(|| "tests/corpus/sd-fixtures".into());
    let folder = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/..")).join(folder);
    assert!(folder.is_dir(), "{} is not a folder", folder.display());
    folder
}

/// The items of a list, or nothing.
fn items(json: &Json) -> &[Json] {
    json.as_array().map_or(&[], Vec::as_slice)
}

/// A text of a case that must be there.
fn text<'a>(case: &'a Json, field: &str) -> &'a str {
    case[field].as_str().unwrap_or_else(|| panic!("no {field} in {case}"))
}

/// Compares, and shows both where they differ.
fn same<T: PartialEq + Debug>(found: &T, wanted: &T) -> Outcome {
    if found == wanted { Ok(()) } else { Err(format!("found  {found:?}\nwanted {wanted:?}")) }
}

/// A message must hold a part of Prometheus's.
fn refused<T: Debug>(found: Result<T, String>, wanted: &str) -> Outcome {
    match found {
        Err(message) if message.contains(wanted) => Ok(()),
        Err(message) => Err(format!("refused with {message:?}\nwanted       {wanted:?}")),
        Ok(value) => Err(format!("taken: {value:?}\nwanted {wanted:?}")),
    }
}
