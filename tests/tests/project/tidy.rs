//! The rules of the house, as far as a machine can read them: style, invariants and the way in
//! which the crates depend on each other. ARCHITECTURE.md gives the reasons.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

use periskop_tests::workspace;
use serde::Deserialize;

/// Every text file that we wrote, by its path from the top. The conformance data is not ours.
fn sources() -> BTreeMap<String, String> {
    let root = workspace::root();
    workspace::files_below(root)
        .into_iter()
        .map(|path| {
            let name = path
                .strip_prefix(root)
                .expect("it lies below")
                .to_string_lossy()
                .replace('\\', "/");
            (path, name)
        })
        .filter(|(_, name)| !name.starts_with("tests/corpus/"))
        .filter(|(_, name)| !name.starts_with("fuzz/corpus/") && !name.starts_with("fuzz/regr"))
        .filter_map(|(path, name)| Some((name, std::fs::read_to_string(path).ok()?)))
        .collect()
}

fn rust() -> impl Iterator<Item = (String, String)> {
    sources().into_iter().filter(|(name, _)| name.ends_with(".rs"))
}

/// The code of a file before its unit tests, which come last in this house.
fn outside_tests(text: &str) -> &str {
    text.split("#[cfg(test)]").next().unwrap_or(text)
}

/// `name:line` of every line that `wrong` objects to, comments left out.
fn lines_that(
    files: impl IntoIterator<Item = (String, String)>,
    wrong: impl Fn(&str) -> bool,
) -> Vec<String> {
    let mut found = Vec::new();
    for (name, text) in files {
        for (number, line) in text.lines().enumerate() {
            if !line.trim_start().starts_with("//") && wrong(line) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    found
}

#[track_caller]
fn assert_none(found: &[String], rule: &str) {
    assert!(found.is_empty(), "{rule}:\n{}", found.join("\n"));
}

#[test]
fn no_file_is_too_long_to_be_one_idea() {
    let long: Vec<_> = rust()
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > 600)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    assert_none(&long, "a file of more than 600 lines is split along an idea");
}

#[test]
fn nothing_is_left_for_later() {
    let words = [concat!("to", "do!("), concat!("unimple", "mented!("), concat!("#[ig", "nore")];
    let later = lines_that(rust(), |line| words.iter().any(|word| line.contains(word)));
    assert_none(&later, "what is there is real, and every test runs");
}

#[test]
fn every_exception_to_a_lint_has_a_reason() {
    let kinds = [concat!("#[al", "low("), concat!("#[exp", "ect("), "#![allow(", "#![expect("];
    let mut without = Vec::new();
    for (name, text) in rust() {
        let lines: Vec<_> = text.lines().collect();
        for (number, line) in lines.iter().enumerate() {
            if !kinds.iter().any(|kind| line.trim_start().starts_with(kind)) {
                continue;
            }
            let mut attribute = String::new();
            for part in &lines[number..] {
                attribute.push_str(part);
                if part.contains(")]") {
                    break;
                }
            }
            let commented = number > 0 && lines[number - 1].trim_start().starts_with("// ");
            if !(attribute.contains("reason = ") || attribute.contains(")] // ") || commented) {
                without.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none(&without, "an exception to a lint says why");
}

#[test]
fn no_module_is_a_drawer() {
    let drawers = ["utils", "util", "common", "manager", "helpers", "helper", "misc"];
    let named: Vec<_> = rust()
        .map(|(name, _)| name)
        .filter(|name| {
            let path = Path::new(name).with_extension("");
            path.components().any(|part| drawers.iter().any(|drawer| part.as_os_str() == *drawer))
        })
        .collect();
    assert_none(&named, "a module is named after what it is");
}

#[test]
fn no_test_sleeps() {
    let sleeping = concat!("thread::sl", "eep(");
    let files = rust().filter(|(name, _)| name.contains("tests"));
    assert_none(&lines_that(files, |line| line.contains(sleeping)), "a condition is awaited");
}

#[test]
fn a_binary_only_wires() {
    let long: Vec<_> = rust()
        .filter(|(name, _)| name.ends_with("src/main.rs"))
        .map(|(name, text)| (name, text.lines().count()))
        .filter(|(_, lines)| *lines > 60)
        .map(|(name, lines)| format!("{name}: {lines} lines"))
        .collect();
    assert_none(&long, "main parses arguments, builds and runs (invariant 8)");
}

#[test]
fn nothing_names_a_developers_machine() {
    let places = [concat!("/ho", "me/"), concat!("/wo", "rk/"), concat!("/Us", "ers/")];
    let mut found = Vec::new();
    for (name, text) in sources() {
        for (number, line) in outside_tests(&text).lines().enumerate() {
            if places.iter().any(|place| line.contains(place)) {
                found.push(format!("{name}:{}: {}", number + 1, line.trim()));
            }
        }
    }
    assert_none(&found, "paths are relative to the repository");
}

#[test]
fn the_readmes_two_commands_are_there() {
    let readme = std::fs::read_to_string(workspace::root().join("README.md")).unwrap();
    let mut blocks = readme.split("```sh\n").skip(1).filter_map(|rest| rest.split("```").next());
    assert_eq!(blocks.next().map(str::trim), Some("cargo run --release -- demo"));
    assert_eq!(blocks.next().map(str::trim), Some("./scripts/test"));
    let ci = std::fs::read_to_string(workspace::root().join(".ci/run")).unwrap();
    assert!(ci.lines().any(|line| line.trim().trim_start_matches("exec ") == "./scripts/test"));
}

#[derive(Deserialize)]
struct Metadata {
    packages: Vec<Package>,
}

#[derive(Deserialize)]
struct Package {
    name: String,
    manifest_path: String,
    license: Option<String>,
    dependencies: Vec<Dependency>,
}

#[derive(Deserialize)]
struct Dependency {
    name: String,
    kind: Option<String>,
}

fn cargo(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .current_dir(workspace::root())
        .args(arguments)
        .output()
        .expect("cargo can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).expect("cargo prints UTF-8")
}

fn packages() -> Vec<Package> {
    let printed = cargo(&["metadata", "--no-deps", "--offline", "--format-version", "1"]);
    let metadata: Metadata = serde_json::from_str(&printed).expect("cargo prints JSON");
    metadata.packages
}

#[test]
fn versions_and_lints_have_one_place() {
    let mut found = Vec::new();
    for package in packages() {
        let manifest = std::fs::read_to_string(&package.manifest_path).unwrap();
        if !manifest.contains("[lints]\nworkspace = true") {
            found.push(format!("{} does not inherit the lints", package.name));
        }
        let mut among_dependencies = false;
        for line in manifest.lines() {
            if line.starts_with('[') {
                among_dependencies = line.trim_end_matches(']').ends_with("dependencies");
                continue;
            }
            // A path alone is no version: cargo leaves it out of what it publishes.
            let elsewhere = line.contains("workspace = true")
                || (line.contains("path = ") && !line.contains("version"));
            if among_dependencies && line.contains('=') && !line.starts_with('#') && !elsewhere {
                found.push(format!("{}: {line}", package.name));
            }
        }
        assert_eq!(package.license.as_deref(), Some("Apache-2.0"), "{}", package.name);
    }
    assert_none(&found, "the workspace's manifest is the one place for versions and lints");
}

#[test]
fn the_crates_depend_on_each_other_in_one_direction() {
    let allowed: BTreeMap<&str, &[&str]> = BTreeMap::from([
        ("periskop-core", &[][..]),
        ("periskop-storage", &["periskop-core"]),
        ("periskop-discovery", &["periskop-core"]),
        ("periskop-client", &["periskop-core"]),
        ("periskop-http", &["periskop-core"]),
        (
            "periskop-server",
            // The gateway is there for the demo's batch job, as a library; it does not know us.
            &[
                "periskop-core",
                "periskop-storage",
                "periskop-discovery",
                "periskop-client",
                "periskop-http",
                "periskop-pushgw",
            ],
        ),
        (
            "periskop-pushgw",
            &["periskop-core", "periskop-storage", "periskop-client", "periskop-http"],
        ),
        (
            "periskop-fuzz",
            &[
                "periskop-core",
                "periskop-discovery",
                "periskop-http",
                "periskop-server",
                "periskop-pushgw",
            ],
        ),
    ]);
    let mut found = Vec::new();
    for package in packages() {
        // Tests may use everything.
        let Some(allowed) = allowed.get(package.name.as_str()) else { continue };
        for dependency in package.dependencies {
            let ours = dependency.name.starts_with("periskop-") && dependency.kind.is_none();
            if ours && !allowed.contains(&dependency.name.as_str()) {
                found.push(format!("{} -> {}", package.name, dependency.name));
            }
        }
    }
    assert_none(&found, "nothing depends on what depends on it, nor on a neighbour");
}

#[test]
fn core_has_no_runtime_and_no_socket_in_its_tree() {
    let of_core = ["tree", "-p", "periskop-core", "-e", "normal", "--prefix", "none", "--offline"];
    let runtimes = [
        "tokio",
        "async-std",
        "smol",
        "mio",
        "hyper",
        "reqwest",
        "axum",
        "h2",
        "socket2",
        "rustls",
        "ureq",
        "isahc",
        "surf",
        "tower",
    ];
    for features in [&[][..], &["--features", "testing"]] {
        let tree = cargo(&[&of_core[..], features].concat());
        let crates: Vec<_> = tree.lines().filter_map(|line| line.split(' ').next()).collect();
        assert!(crates.contains(&"regex"), "the tree is that of core: {tree}");
        let found: Vec<_> = runtimes.iter().filter(|name| crates.contains(name)).collect();
        assert!(found.is_empty(), "core is pure (invariant 1), but its tree has {found:?}");
    }
}

#[test]
fn core_reads_no_clock_rolls_no_dice_and_opens_nothing() {
    let impure = [
        "SystemTime",
        "Instant::now",
        "std::fs",
        "std::net",
        "std::thread",
        "std::env",
        "RandomState",
        "rand::",
    ];
    let code = rust()
        .filter(|(name, _)| name.starts_with("periskop-core/src/"))
        .filter(|(name, _)| !name.contains("/testing") && !name.ends_with("tests.rs"))
        .map(|(name, text)| (name, outside_tests(&text).to_owned()));
    let found = lines_that(code, |line| impure.iter().any(|word| line.contains(word)));
    assert_none(&found, "time and randomness are arguments (invariant 1)");
}

#[test]
fn only_the_wire_and_the_configuration_know_serde() {
    let code = rust()
        .filter(|(name, _)| name.starts_with("periskop-core/src/"))
        .filter(|(name, _)| {
            let place = &name["periskop-core/src/".len()..];
            !["wire/", "config/", "testing/"].iter().any(|known| place.starts_with(known))
        })
        .map(|(name, text)| (name, outside_tests(&text).to_owned()));
    let found = lines_that(code, |line| line.contains("serde"));
    assert_none(&found, "domain types do not derive serde (invariant 2)");
}
