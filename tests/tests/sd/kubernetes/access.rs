//! How the API server is reached, and as whom.

use std::path::Path;

use periskop_discovery::{BuildOptions, Environment};
use periskop_tests::sd::kubernetes::ApiServer;
use serde_json::{Value as Json, json};

use super::listener::{Listener, objects, pod};

/// A folder with a kubeconfig file for a server whose certificate is `ca.crt` there.
fn kubeconfig(folder: &Path, server: &ApiServer, user: &Json) -> Json {
    let config = json!({
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "contexts": [{"name": "here", "context": {"cluster": "c", "user": "u"}}],
        "clusters": [{"name": "c", "cluster": {
            "server": format!("https://{}", server.address()),
            "certificate-authority": "ca.crt",
        }}],
        "users": [{"name": "u", "user": user}],
    });
    let path = folder.join("kubeconfig");
    std::fs::write(&path, config.to_string()).expect("the folder can be written to");
    json!({"role": "pod", "kubeconfig_file": path})
}

#[tokio::test]
async fn a_kubeconfig_file_says_where_and_as_whom() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("ca.crt");
    let content = objects([("pods", vec![pod("a", "1.1.1.1")])]);
    let server = ApiServer::start(content, Some(&authority)).await;
    let item = kubeconfig(folder.path(), &server, &json!({"token": "let me in"}));
    let mut listener = Listener::build(&item, &BuildOptions::default()).expect("it can be built");
    listener.hear_of(&["1.1.1.1"]).await;
    assert_eq!(server.asked_as().into_iter().collect::<Vec<_>>(), ["Bearer let me in"]);
}

/// A credential plugin that runs a command of the shell.
fn plugin(command: &str) -> Json {
    json!({"exec": {
        "apiVersion": "client.authentication.k8s.io/v1",
        "command": "sh",
        "args": ["-c", command],
        "interactiveMode": "Never",
    }})
}

#[tokio::test]
async fn a_credential_plugin_is_asked_for_a_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("ca.crt");
    let content = objects([("pods", vec![pod("a", "1.1.1.1")])]);
    let server = ApiServer::start(content, Some(&authority)).await;
    let says = json!({
        "apiVersion": "client.authentication.k8s.io/v1",
        "kind": "ExecCredential",
        "status": {"token": "let me in"},
    });
    let user = plugin(&format!("echo '{says}'"));
    let item = kubeconfig(folder.path(), &server, &user);
    let mut listener = Listener::build(&item, &BuildOptions::default()).expect("it can be built");
    listener.hear_of(&["1.1.1.1"]).await;
    assert_eq!(server.asked_as().into_iter().collect::<Vec<_>>(), ["Bearer let me in"]);
}

#[tokio::test]
async fn what_is_wrong_with_credentials_is_told_without_them() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("ca.crt");
    let server = ApiServer::start(objects([]), Some(&authority)).await;
    for (command, told) in [
        ("echo hunter2; echo hunter2 >&2; exit 3", "the credential plugin failed: exit status: 3"),
        ("echo '{hunter2: [hunter2'", "what the credential plugin says cannot be read"),
    ] {
        let item = kubeconfig(folder.path(), &server, &plugin(command));
        let error = Listener::build(&item, &BuildOptions::default()).err().expect("no token");
        assert!(error.contains(told), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
    }
    let path = folder.path().join("broken");
    let text = "users:\n- name: u\n  user:\n    token: hunter2: hunter2\n";
    std::fs::write(&path, text).expect("the folder can be written to");
    let item = json!({"role": "pod", "kubeconfig_file": path});
    let error = Listener::build(&item, &BuildOptions::default()).err().expect("no YAML");
    assert!(error.contains("broken: line 4, column"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn an_api_server_that_is_not_trusted_is_told_without_the_token() {
    let folder = tempfile::tempdir().expect("a folder");
    let authority = folder.path().join("ca.crt");
    let server = ApiServer::start(objects([]), Some(&authority)).await;
    let item = kubeconfig(folder.path(), &server, &json!({"token": "hunter2"}));
    // Another certificate than the server's.
    let _another = ApiServer::start(objects([]), Some(&authority)).await;
    let mut listener = Listener::build(&item, &BuildOptions::default()).expect("it can be built");
    let error = listener.hear_an_error().await;
    assert!(error.contains("certificate"), "{error}");
    assert!(!error.contains("hunter2"), "{error}");
}

#[tokio::test]
async fn outside_of_a_cluster_its_own_api_server_is_missing() {
    let environment = Environment::fixed([("HOME", "/")]);
    let options = BuildOptions { environment, ..BuildOptions::default() };
    let error = Listener::build(&json!({"role": "pod"}), &options).err().expect("nothing to ask");
    assert!(
        error.contains("KUBERNETES_SERVICE_HOST and KUBERNETES_SERVICE_PORT must be"),
        "{error}"
    );
}
