//! `periskop-server sd`, on real backends.

use std::path::Path;

use axum::Router;
use axum::http::header::CONTENT_TYPE;
use axum::routing::get;
use periskop_tests::target::Target;
use periskop_tests::workspace;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::process::Command;

/// Exit code, standard output, standard error.
async fn sd(config: &Path, arguments: &[&str]) -> (Option<i32>, String, String) {
    let mut command = Command::new(workspace::binary("periskop-server"));
    let output = command.arg("sd").arg(config).args(arguments).output().await.expect("it runs");
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}

/// Answers with a group at `/good`, and with 500 elsewhere.
async fn backend() -> Target {
    let group = json!([{"targets": ["10.0.3.1:80"], "labels": {"__meta_state": "stopped"}}]);
    let good = async move || ([(CONTENT_TYPE, "application/json")], group.to_string());
    let bad = async || axum::http::StatusCode::INTERNAL_SERVER_ERROR;
    Target::application(Router::new().route("/good", get(good)).fallback(get(bad))).await
}

#[tokio::test]
async fn it_shows_what_each_mechanism_finds_and_says_which_fails() {
    let backend = backend().await;
    // Never accepts a connection, which the kernel does.
    let silent = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let folder = tempfile::tempdir().unwrap();
    let config = folder.path().join("periskop.yaml");
    std::fs::write(
        folder.path().join("fleet.yaml"),
        "- targets: ['10.0.2.1:80', '10.0.2.2/x']\n  labels: {__meta_state: running}\n",
    )
    .unwrap();
    let http = &backend.address;
    let silent = silent.local_addr().unwrap();
    std::fs::write(
        &config,
        format!(
            "services:
- name: api
  static_configs: [{{targets: ['10.0.1.1:80'], labels: {{__meta_state: running}}}}]
  file_sd_configs: [{{files: [fleet.yaml]}}]
  http_sd_configs: [{{url: 'http://{http}/good'}}]
  relabel_configs:
  - {{source_labels: [__meta_state], regex: running, action: keep}}
  - {{target_label: zone, replacement: north}}
- name: web
  static_configs: [{{targets: ['10.0.4.1:80']}}]
  http_sd_configs:
  - url: 'http://ada:geheim@{http}/bad'
  - url: 'http://{silent}/'
",
        ),
    )
    .unwrap();

    let (code, out, err) = sd(&config, &["--service", "api"]).await;
    assert_eq!(code, Some(0), "{err}");
    assert!(out.starts_with("service api: 2 targets, 1 invalid, 1 dropped\n"), "{out}");
    for line in [
        "  file: 2 found in 1 group",
        "  http: 1 found in 1 group",
        "  static: 1 found in 1 group",
        "  target http://10.0.1.1:80/-/exceptions",
        "  target http://10.0.2.1:80/-/exceptions",
        "            zone=\"north\"",
        "  invalid: \"10.0.2.2/x\" is not a valid hostname",
        "  dropped by relabel_configs[0], keep: [__meta_state] is \"stopped\", \
         which does not match running",
        "    before  __address__=\"10.0.3.1:80\"",
    ] {
        assert!(out.lines().any(|found| found == line), "{line}\nin\n{out}");
    }

    let (code, out, err) = sd(&config, &["--json", "--timeout", "5s"]).await;
    assert_eq!(code, Some(1));
    assert!(err.contains("error: 2 of 6 discoveries failed or did not answer"), "{err}");
    let json: Value = serde_json::from_str(&out).unwrap();
    let web = &json["services"][1];
    assert_eq!(web["targets"][0]["scrapeUrl"], "http://10.0.4.1:80/-/exceptions");
    let errors = web["discoveries"].as_array().unwrap().iter().map(|asked| &asked["errors"]);
    let errors = errors.filter_map(|errors| errors[0].as_str()).collect::<Vec<_>>();
    assert_eq!(errors.len(), 2, "{out}");
    assert!(errors[0].contains("HTTP status 500"), "{errors:?}");
    assert_eq!(errors[1], "no answer within 5s");
    assert!(!out.contains("geheim") && !err.contains("geheim"));

    let (code, out, err) = sd(&config, &["--service", "wbe"]).await;
    assert_eq!((code, out.as_str()), (Some(1), ""));
    assert!(err.contains("no service \"wbe\" in this configuration; it has: api, web"), "{err}");
}
