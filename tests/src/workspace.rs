//! Where things are: the repository and its binaries.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::time::SystemTime;

/// The top of the repository.
///
/// # Panics
///
/// Never: this package lies one below it.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the package lies in the workspace")
}

/// The conformance data called `name`.
pub fn corpus(name: &str) -> PathBuf {
    root().join("tests/corpus").join(name)
}

/// The binary `name` of the workspace, in the profile of this test, built if it is missing or
/// older than the sources. (`cargo test --workspace` has built it; `cargo test -p periskop-tests`
/// has not, since a package does not depend on another's binaries.)
///
/// # Panics
///
/// If it cannot be built.
pub fn binary(name: &str) -> PathBuf {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let directory = profile_directory();
        let sources = newest_source();
        let fresh = ["periskop-server", "periskop-pushgw"]
            .iter()
            .all(|name| modified(&executable(&directory, name)).is_some_and(|at| at >= sources));
        if !fresh {
            build(&directory);
        }
        directory
    });
    executable(directory, name)
}

/// The example `name` of the workspace, if it has been built.
pub fn example(name: &str) -> Option<PathBuf> {
    let example = executable(&profile_directory().join("examples"), name);
    example.is_file().then_some(example)
}

/// A directory for what tests build, which is there.
///
/// # Panics
///
/// If it cannot be made.
pub fn scratch() -> PathBuf {
    let scratch = profile_directory().with_file_name("tmp");
    std::fs::create_dir_all(&scratch).expect("the target directory can be written to");
    scratch
}

/// Every file below `directory` that is the repository's own: what is built, hidden or fetched is
/// left out.
pub fn files_below(directory: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let Ok(entries) = std::fs::read_dir(directory) else { return files };
    for path in entries.flatten().map(|entry| entry.path()) {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let foreign = name.starts_with('.') || name == "target" || name == "__pycache__";
        if foreign || path.is_symlink() {
            continue;
        }
        if path.is_dir() {
            files.extend(files_below(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

/// `target/debug` of `target/debug/deps/this-test`.
fn profile_directory() -> PathBuf {
    let this = std::env::current_exe().expect("a test runs from a file");
    this.ancestors().nth(2).expect("cargo puts tests two below").to_owned()
}

fn executable(directory: &Path, name: &str) -> PathBuf {
    directory.join(name).with_extension(std::env::consts::EXE_EXTENSION)
}

fn build(directory: &Path) {
    let profile = match directory.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    };
    let status = Command::new(env!("CARGO"))
        .current_dir(root())
        .args(["build", "--quiet", "-p", "periskop-server", "-p", "periskop-pushgw"])
        .args(["--profile", profile, "--target-dir"])
        .arg(directory.parent().expect("a profile's directory lies in the target directory"))
        .status()
        .expect("cargo can be started");
    assert!(status.success(), "the binaries do not build");
}

fn newest_source() -> SystemTime {
    ["core", "storage", "discovery", "client", "http", "server", "pushgw"]
        .iter()
        .flat_map(|name| files_below(&root().join(format!("periskop-{name}"))))
        .filter(|path| !path.components().any(|part| part.as_os_str() == "tests"))
        .filter_map(|path| modified(&path))
        .max()
        .unwrap_or(SystemTime::UNIX_EPOCH)
}

fn modified(path: &Path) -> Option<SystemTime> {
    path.metadata().ok()?.modified().ok()
}
