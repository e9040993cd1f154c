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
    let file = directory.path().join("periskop.yaml");
    for example in examples {
        std::fs::write(&file, &example).unwrap();
        let mut command = Command::new(workspace::binary("periskop-server"));
        let output = command.arg("check-config").arg(&file).output().await.unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{said}\nin\n{example}");
    }
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
