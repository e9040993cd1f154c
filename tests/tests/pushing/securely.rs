//! Pushing, scraping and looking with credentials over TLS, each from the side that we ship: the Rust
//! client pushes to a gateway, and a server scrapes it.

use std::path::Path;
use std::process::Command;
use std::time::Duration;

use periskop_client::push::{Gateway as Client, PushError};
use periskop_client::{Capture, Collector};
use periskop_tests::app::{App, go_app, python_app};
use periskop_tests::eventually;
use periskop_tests::gateway::Gateway;
use periskop_tests::server::Server;

const TOKENS: &str = "tokens:
- {name: jobs, role: push, token_file: jobs.token}
- {name: periskop, role: read, token: periskop-may-read-it}
";

/// A certificate for loopback, which is its own authority, and who may do what.
fn configure(folder: &Path, job_token: &str) {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).expect("a certificate");
    let write = |name: &str, text: String| {
        std::fs::write(folder.join(name), text).expect("a temporary file");
    };
    write("gateway.crt", made.cert.pem());
    write("gateway.key", made.signing_key.serialize_pem());
    write("jobs.token", format!("{job_token}\n"));
    write(
        "web.yaml",
        format!("tls_server_config: {{cert_file: gateway.crt, key_file: gateway.key}}\n{TOKENS}"),
    );
}

async fn gateway(folder: &Path) -> Gateway {
    let file = folder.join("web.yaml");
    let gateway = Gateway::start(&["--web.config", file.to_str().expect("a path")]).await;
    assert!(gateway.url.starts_with("https://"), "{}", gateway.url);
    gateway
}

/// A job that has failed so often.
fn failed(times: usize) -> Collector {
    let collector = Collector::new();
    (0..times).for_each(|_| collector.record(Capture::message("no").class("Failed").key("job")));
    collector
}

fn client(gateway: &Gateway, folder: &Path) -> periskop_client::push::GatewayBuilder {
    Client::builder(format!("{}/errors", gateway.url)).ca_file(folder.join("gateway.crt"))
}

async fn push(client: Client, collector: &Collector) -> Result<(), PushError> {
    client.push_once_async(collector).await
}

async fn scraping(gateway: &Gateway, folder: &Path, token: &str) -> Server {
    Server::start(&format!(
        "services:\n\
         - name: jobs\n  \
           static_configs: [{{targets: ['{}']}}]\n  \
           scraper:\n    \
             endpoint: /-/errors\n    \
             scheme: https\n    \
             refresh_interval: 200ms\n    \
             tls_config: {{ca_file: '{}'}}\n    \
             authorization: {{credentials: {token}}}\n",
        gateway.address(),
        folder.join("gateway.crt").display()
    ))
    .await
}

#[tokio::test]
async fn what_a_rust_job_pushes_with_a_token_is_scraped_with_another() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "jobs-may-push-to-it");
    let gateway = gateway(folder.path()).await;
    let server = scraping(&gateway, folder.path(), "periskop-may-read-it").await;
    let with_file = client(&gateway, folder.path());
    let with_file = with_file.bearer_token_file(folder.path().join("jobs.token")).build().unwrap();
    let job = failed(3);
    push(with_file.clone(), &job).await.unwrap();
    push(with_file.clone(), &job).await.unwrap();
    push(with_file, &failed(2)).await.unwrap();
    let shown = server.error_of("jobs", "Failed", 5).await;
    assert_eq!(shown.aggregation_key, "job");
}

#[tokio::test]
async fn a_pusher_in_the_background_pushes_what_is_left_when_it_is_shut_down() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "jobs-may-push-to-it");
    let gateway = gateway(folder.path()).await;
    let server = scraping(&gateway, folder.path(), "periskop-may-read-it").await;
    let client = client(&gateway, folder.path()).bearer_token("jobs-may-push-to-it");
    let job = failed(1);
    let pusher = client.build().unwrap().spawn(&job).unwrap();
    server.error_of("jobs", "Failed", 1).await;
    job.record(Capture::message("no").class("Failed").key("job"));
    pusher.shutdown_async(Duration::from_secs(10)).await.unwrap();
    server.error_of("jobs", "Failed", 2).await;
}

#[tokio::test]
async fn without_the_right_credential_nobody_pushes_or_scrapes_and_nothing_tells_it() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "jobs-may-push-to-it");
    let gateway = gateway(folder.path()).await;
    let job = failed(3);
    for (token, expected) in [
        (None, "401"),
        (Some("somebody-elses-token"), "401"),
        (Some("periskop-may-read-it"), "403"),
    ] {
        let mut client = client(&gateway, folder.path());
        if let Some(token) = token {
            client = client.bearer_token(token);
        }
        let error = push(client.build().unwrap(), &job).await.unwrap_err();
        let told = format!("{error} {error:?}");
        assert!(told.contains(expected), "{told}");
        assert!(token.is_none_or(|token| !told.contains(token)), "{told}");
    }
    let server = scraping(&gateway, folder.path(), "jobs-may-push-to-it").await;
    eventually("the target is down, and says why", || async {
        let (_, targets) = server.get("/api/v1/targets").await;
        assert!(!targets.contains("jobs-may-push"), "{targets}");
        if targets.contains("403") { Ok(()) } else { Err(targets) }
    })
    .await;
    assert!(server.errors("jobs").await.is_empty());
}

/// The published clients have no setting for a credential, but two of them send the password that
/// stands in the gateway's address.
#[tokio::test]
async fn the_python_and_the_go_client_push_with_a_password_in_the_address() {
    let folder = tempfile::tempdir().unwrap();
    // Of `s3cr3t-of-the-jobs`.
    let hash = "$2y$12$eXOSu/OMEkZjRmCpfSIieemnqhLDGEkAFKkhnjzJCsQYrg7xLWFCu";
    let web = format!(
        "basic_auth_users: {{jobs: {hash}}}\nbasic_auth_roles: {{jobs: push}}\nanonymous: read\n"
    );
    let file = folder.path().join("web.yaml");
    std::fs::write(&file, web).unwrap();
    let gateway = Gateway::start(&["--web.config", file.to_str().unwrap()]).await;
    for (app, kind) in [(python_app as fn(&str) -> _, "value"), (go_app, "plain")] {
        for credentials in ["jobs:a-guess@", "jobs:s3cr3t-of-the-jobs@"] {
            // Where it cannot be had, that is told by name.
            let Some(mut command) = app("0") else { break };
            let address = format!("http://{credentials}{}", gateway.address());
            let mut app = App::start(command.env("PERISKOP_PUSH_TO", address)).await;
            let told = app.raise(kind, 4).await;
            let (_, pushed) = gateway.get("/-/errors").await;
            let is_there = pushed.contains(&told.class);
            assert_eq!(is_there, credentials.contains("s3cr3t"), "{credentials} {pushed}");
        }
    }
}

/// Neither needs a restart: the file of a token is read again when it changes, and everything else
/// at a hangup signal.
#[cfg(unix)]
#[tokio::test]
async fn tokens_are_changed_while_it_runs() {
    let folder = tempfile::tempdir().unwrap();
    configure(folder.path(), "jobs-may-push-to-it");
    let gateway = gateway(folder.path()).await;
    let job = failed(1);
    let with = |token: &'static str| {
        let client = client(&gateway, folder.path()).bearer_token(token).build().unwrap();
        let job = job.clone();
        async move { push(client, &job).await }
    };
    with("jobs-may-push-to-it").await.unwrap();
    std::fs::write(folder.path().join("jobs.token"), "another-token-for-jobs").unwrap();
    eventually("the other token is known", || with("another-token-for-jobs")).await;
    with("jobs-may-push-to-it").await.unwrap_err();

    let file = folder.path().join("web.yaml");
    let changed = std::fs::read_to_string(&file).unwrap().replace("role: push", "role: read");
    std::fs::write(&file, changed).unwrap();
    let asked = Command::new("kill").args(["-HUP", &gateway.id().to_string()]).status();
    assert!(asked.unwrap().success());
    eventually("the role has changed", || async {
        match with("another-token-for-jobs").await {
            Err(error) if error.to_string().contains("403") => Ok(()),
            other => Err(other),
        }
    })
    .await;

    // A broken file changes nothing.
    std::fs::write(&file, "tokens: {").unwrap();
    let asked = Command::new("kill").args(["-HUP", &gateway.id().to_string()]).status();
    assert!(asked.unwrap().success());
    let error = with("another-token-for-jobs").await.unwrap_err();
    assert!(error.to_string().contains("403"), "{error}");
}
