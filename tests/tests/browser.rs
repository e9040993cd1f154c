//! The pages in a real browser: `tests/browser/test_*.py`, each against a server of its own that
//! has something to show. Some get a server that scrapes a program of Rust's client; the others
//! start one themselves, with programs whose errors they make happen (`tests/browser/fleet.py`).
//!
//! `PERISKOP_PYTHON` names an interpreter with selenium, `PERISKOP_CHROMIUM` and
//! `PERISKOP_CHROMEDRIVER` the browser and its driver, `PERISKOP_AXE` the script `axe.min.js` of
//! axe-core; `scripts/test` prepares all four.

use std::ffi::{OsStr, OsString};
use std::time::Duration;

use periskop_client::{Capture, Collector, DEFAULT_PATH, HttpContext, Severity};
use periskop_tests::server::Server;
use periskop_tests::{skip, workspace};
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

/// How long the browser may take for one file. It starts slowly on a loaded machine.
const PATIENCE: Duration = Duration::from_secs(240);

/// A program that has had a few errors, one of them hostile to whoever shows it.
async fn program_with_errors() -> String {
    let collector = Collector::new();
    let request = HttpContext {
        method: Some("POST".into()),
        url: Some("http://shop.example/pay?order='1'&token=abc".into()),
        headers: vec![("X-Request".into(), "it's \"7\"".into())],
        body: Some("{\"price\": \"$12\"}".into()),
    };
    for n in 1..=12 {
        collector.record(
            Capture::message(format!("payment {n} was refused"))
                .class("shop.PaymentRefused")
                .key("shop.PaymentRefused@1")
                .stacktrace(["shop.Pay.charge(Pay.scala:12)", "shop.Main.main(Main.scala:3)"])
                .http(request.clone()),
        );
    }
    collector.record(
        Capture::message("<script>document.title = 'broken'</script><b>bold</b>")
            .class("<img src=x onerror=alert(1)>")
            .key("<b>&\"'/ä ?#%2F")
            .severity(Severity::Warning),
    );
    let error = "x".parse::<u8>().expect_err("x is no number");
    collector.record(Capture::of(&error).key("numbers").severity(Severity::Info));
    let answer = async move || collector.export();
    let app = axum::Router::new().route(DEFAULT_PATH, axum::routing::get(answer));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let address = listener.local_addr().expect("it is bound").to_string();
    tokio::spawn(async move { axum::serve(listener, app).await });
    address
}

/// The interpreter, where there is a browser too; `None` where not, which has been said.
fn python() -> Option<OsString> {
    let variables = ["PERISKOP_PYTHON", "PERISKOP_CHROMIUM", "PERISKOP_CHROMEDRIVER"];
    let [Some(python), Some(_), Some(_)] = variables.map(std::env::var_os) else {
        skip(format_args!("{} are not all set", variables.join(", ")));
        return None;
    };
    Some(python)
}

/// Runs one file of tests in the browser.
async fn run(file: &str) {
    let Some(python) = python() else { return };
    let address = program_with_errors().await;
    let server = Server::scraping("shop", &address).await;
    server.error_of("shop", "shop.PaymentRefused", 12).await;
    run_at(&python, file, &server.url).await;
}

async fn run_at(python: &OsString, file: &str, url: &str) {
    done(python, file, ("PERISKOP_URL", url.as_ref())).await;
}

/// Runs one file of tests that start a server of their own.
async fn run_with_fleet(file: &str) {
    let Some(python) = python() else { return };
    let server = workspace::binary("periskop-server");
    done(&python, file, ("PERISKOP_SERVER", server.as_ref())).await;
}

async fn done(python: &OsString, file: &str, variable: (&str, &OsStr)) {
    let finished = timeout(PATIENCE, python_tests(python, file, variable)).await;
    finished.expect("the browser is done in time");
}

async fn python_tests(python: &OsString, file: &str, (name, value): (&str, &OsStr)) {
    let output = Command::new(python)
        .current_dir(workspace::root().join("tests/browser"))
        .args(["-B", "-m", "unittest", "--verbose", file])
        .env(name, value)
        .kill_on_drop(true)
        .output()
        .await
        .expect("python can be started");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[tokio::test]
async fn the_pages_show_what_was_scraped() {
    run("test_pages.py").await;
}

#[tokio::test]
async fn the_pages_work_as_people_use_them() {
    run("test_ui.py").await;
}

#[tokio::test]
async fn the_pages_work_where_a_password_is_asked_for() {
    let Some(python) = python() else { return };
    let address = program_with_errors().await;
    let server = Server::listening(&format!(
        "web:\n  \
           basic_auth_users: {{tim: {HASH}}}\n  \
           basic_auth_roles: {{tim: triage}}\n\
         services:\n\
         - name: shop\n  \
           static_configs: [{{targets: ['{address}']}}]\n  \
           scraper: {{endpoint: /-/exceptions, refresh_interval: 200ms}}\n"
    ))
    .await;
    let url = server.url.replace("http://", &format!("http://tim:{PASSWORD}@"));
    run_at(&python, "test_password.py", &url).await;
}

#[tokio::test]
async fn errors_are_found() {
    run_with_fleet("test_search.py").await;
}

#[tokio::test]
async fn errors_are_triaged() {
    run_with_fleet("test_triage.py").await;
}

#[tokio::test]
async fn what_happens_is_shown_and_moves_nothing() {
    run_with_fleet("test_live.py").await;
}

#[tokio::test]
async fn the_pages_work_without_scripts() {
    run_with_fleet("test_without_scripts.py").await;
}

#[tokio::test]
async fn the_pages_are_light_or_dark_and_fit_a_phone() {
    run_with_fleet("test_looks.py").await;
}

#[tokio::test]
async fn the_pages_work_below_a_path() {
    run_with_fleet("test_below_a_path.py").await;
}

#[tokio::test]
async fn hostile_texts_are_harmless() {
    run_with_fleet("test_hostile.py").await;
}

#[tokio::test]
async fn the_pages_are_accessible() {
    if std::env::var_os("PERISKOP_AXE").is_none() {
        return skip("PERISKOP_AXE is not set");
    }
    run_with_fleet("test_accessibility.py").await;
}

const PASSWORD: &str = "s3cr3t-of-the-jobs";
const HASH: &str = "$2y$12$eXOSu/OMEkZjRmCpfSIieemnqhLDGEkAFKkhnjzJCsQYrg7xLWFCu";
