//! The binary: what it prints, how it ends, what signals do to it.

#![allow(clippy::unwrap_used, reason = "what helps a test fails as a test does")]

use std::io::{BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{Child, Command, Stdio};

fn periskop() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_periskop-server"));
    command.env_remove("CONFIG_FILE").env_remove("PORT").env_remove("RUST_LOG");
    command
}

fn file_with(text: &str) -> tempfile::NamedTempFile {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), text).unwrap();
    file
}

/// Exit code, standard output, standard error.
fn check_config(text: &str) -> (Option<i32>, String, String) {
    let file = file_with(text);
    let output = periskop().arg("check-config").arg(file.path()).output().unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (output.status.code(), text(output.stdout), text(output.stderr))
}

#[test]
fn check_config_says_that_a_file_is_fine() {
    let (code, said, _) = check_config("services: [{name: a}]");
    assert_eq!(code, Some(0));
    assert!(said.contains("fine, 1 service"), "{said}");
}

#[test]
fn check_config_tells_every_mistake_and_ends_with_1() {
    let (code, _, errors) =
        check_config("servces: []\nrepository: {type: oracle}\nretention: soon\n");
    assert_eq!(code, Some(1));
    for line in ["line 1,", "line 2,", "line 3,"] {
        assert!(errors.contains(line), "{errors}");
    }
}

#[test]
fn check_config_looks_into_the_files_of_the_web_configuration() {
    let (code, _, errors) = check_config(
        "web:\n  tls_server_config: {cert_file: no.crt, key_file: no.key}\n  tokens: [{name: a, role: read, token_file: no.token}]\n",
    );
    assert_eq!(code, Some(1));
    assert!(errors.contains("no.crt") && errors.contains("no.token"), "{errors}");
}

#[test]
fn a_password_is_hashed_and_a_token_made_as_the_configuration_wants_them() {
    let mut hashing = periskop()
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    hashing.stdin.take().unwrap().write_all(b"correct horse\n").unwrap();
    let hash = text(&hashing.wait_with_output().unwrap().stdout).trim().to_owned();
    let made = periskop().arg("new-token").output().unwrap().stdout;
    let digest = text(&made).lines().find(|line| line.starts_with("token_sha256: ")).unwrap();
    let (code, _, errors) = check_config(&format!(
        "web:\n  basic_auth_users: {{ada: '{hash}'}}\n  tokens:\n  - name: ci\n    role: read\n    {digest}\n"
    ));
    assert_eq!(code, Some(0), "{errors}");
    let refused = periskop().arg("hash-password").stdin(Stdio::null()).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(text(&refused.stderr).contains("the password is empty"));
}

#[test]
fn a_file_that_is_not_there_is_named() {
    let output = periskop().args(["--config", "no/such/file.yaml"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stderr).contains("no/such/file.yaml"));
}

fn text(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap()
}

#[test]
fn an_export_has_nothing_but_data_on_standard_output() {
    let output = periskop().args(["storage", "export", "--storage", "memory"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let lines: Vec<_> = text(&output.stdout).lines().collect();
    assert_eq!(lines, [r#"{"periskop_state":{"version":1}}"#, r#"{"end":{"lines":0}}"#]);
    assert!(text(&output.stderr).contains("reading memory"));

    let file = file_with(text(&output.stdout));
    let import = ["storage", "import", "--storage", "memory"];
    let output = periskop().args(import).arg(file.path()).output().unwrap();
    assert_eq!((output.status.code(), text(&output.stdout)), (Some(0), ""));
}

#[cfg(unix)]
#[test]
fn a_closed_standard_error_changes_nothing() {
    let storage = env!("CARGO_BIN_EXE_periskop-server");
    let script = format!("exec '{storage}' storage check --storage memory 2>&-");
    let output = Command::new("sh").args(["-c", &script]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(text(&output.stdout).starts_with("memory: fine\n"), "{}", text(&output.stdout));
    assert!(text(&output.stdout).contains(" 0 errors\n"));
}

#[test]
fn what_cannot_be_imported_ends_with_1_and_says_where() {
    let file = file_with("{\"periskop_state\":{\"version\":1}}\nnonsense\n");
    let import = ["storage", "import", "--storage", "memory"];
    let output = periskop().args(import).arg(file.path()).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = text(&output.stderr);
    for line in ["nothing was imported", "\nline 2: ", "\nafter line 2: the last line is missing"] {
        assert!(said.contains(line), "{line}: {said}");
    }
    let output = periskop().args(["storage", "check"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).starts_with("error: which store?"), "{}", text(&output.stderr));
}

/// A running server; killed if the test fails.
struct Running {
    child: Child,
    url: String,
}

impl Running {
    /// Waits for the address.
    fn start(command: &mut Command) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let lines = BufReader::new(child.stdout.as_mut().unwrap()).lines();
        let url = lines
            .map_while(Result::ok)
            .find_map(|line| line.strip_prefix("listening on ").map(str::to_owned));
        Self { child, url: url.expect("it says where it listens") }
    }

    fn signal(&self, name: &str) {
        let id = self.child.id().to_string();
        assert!(Command::new("kill").args([name, &id]).status().unwrap().success());
    }

    /// Reads the log up to a line that has `words` in it.
    fn until_logged(&mut self, words: &str) {
        let log = BufReader::new(self.child.stderr.as_mut().unwrap());
        let found = log.lines().map_while(Result::ok).any(|line| line.contains(words));
        assert!(found, "the log ended without `{words}`");
    }

    /// Exit code and the rest of the log.
    fn stop(mut self) -> (Option<i32>, String) {
        self.signal("-TERM");
        let mut log = String::new();
        self.child.stderr.take().unwrap().read_to_string(&mut log).unwrap();
        (self.child.wait().unwrap().code(), log)
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It has ended already where the test went well.
        let _ = self.child.kill();
    }
}

#[cfg(unix)]
#[test]
fn it_says_where_it_listens_and_stops_when_told_to() {
    let running = Running::start(periskop().args(["--listen", "127.0.0.1:0"]));
    assert!(running.url.starts_with("http://127.0.0.1:"), "{}", running.url);
    let (code, log) = running.stop();
    assert_eq!(code, Some(0), "{log}");
}

#[cfg(unix)]
#[test]
fn with_a_configuration_a_port_is_that_of_all_addresses() {
    let file = file_with("services: []\n");
    let mut command = periskop();
    command.env("CONFIG_FILE", file.path()).env("PORT", "0").args(["--log-format", "json"]);
    let running = Running::start(&mut command);
    assert!(running.url.starts_with("http://127.0.0.1:"), "an address to open: {}", running.url);
    let (code, log) = running.stop();
    assert_eq!(code, Some(0));
    let warning = log.lines().find(|line| line.contains("open to whoever")).unwrap();
    assert!(serde_json::from_str::<serde_json::Value>(warning).is_ok(), "{warning}");
}

#[cfg(unix)]
#[test]
fn a_hangup_reloads_the_configuration() {
    let file = file_with("services: []\n");
    let mut command = periskop();
    command.arg("--config").arg(file.path()).args(["--listen", "127.0.0.1:0"]);
    let mut running = Running::start(&mut command);
    let write = |path: &Path, text: &str| std::fs::write(path, text).unwrap();
    write(file.path(), "servces: []\n");
    running.signal("-HUP");
    running.until_logged("configuration not reloaded");
    write(file.path(), "services: [{name: a}]\n");
    running.signal("-HUP");
    running.until_logged("configuration reloaded");
    assert_eq!(running.stop().0, Some(0));
}
