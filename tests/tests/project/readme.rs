//! What the README shows works.

use periskop_tests::workspace;
use tokio::process::Command;

/// The blocks of a language in a Markdown text.
fn blocks(markdown: &str, language: &str) -> Vec<String> {
    let fence = format!("```{language}\n");
    let blocks = markdown.split(&fence).skip(1).filter_map(|rest| rest.split("```").next());
    blocks.map(str::to_owned).collect()
}

fn readme() -> String {
    let file = workspace::root().join("README.md");
    std::fs::read_to_string(file).expect("there is a README")
}

#[tokio::test]
async fn its_configurations_are_valid() {
    let examples = blocks(&readme(), "yaml");
    assert!(!examples.is_empty());
    let directory = tempfile::tempdir().unwrap();
    put_named_files(directory.path());
    let file = directory.path().join("periskop.yaml");
    for example in examples {
        std::fs::write(&file, &example).unwrap();
        let mut command = Command::new(workspace::binary("periskop-server"));
        let output = command.arg("check-config").arg(&file).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\nin\n{example}");
    }
}

/// The certificate and the token that the section about `web` names.
fn put_named_files(directory: &std::path::Path) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]);
    let made = made.expect("a certificate can be made");
    let put = |name: &str, text: &str| {
        std::fs::write(directory.join(name), text).expect("a file can be written");
    };
    put("server.crt", &made.cert.pem());
    put("server.key", &made.signing_key.serialize_pem());
    std::fs::create_dir(directory.join("secrets")).expect("a directory can be made");
    put("secrets/deploy-token", "a token of the example".replace(' ', "-").as_str());
}

#[test]
fn the_files_that_it_names_are_there() {
    let readme = readme();
    let links = readme.split("](").skip(1).filter_map(|rest| rest.split(')').next());
    let files: Vec<_> = links.filter(|link| !link.contains("://")).collect();
    assert!(!files.is_empty());
    for file in files {
        assert!(workspace::root().join(file).exists(), "{file}");
    }
}
