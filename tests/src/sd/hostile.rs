//! A backend that was well and then is not.

use std::time::Duration;

use tokio::time::{Instant, timeout};

use super::case::Case;
use super::compare::State;
use super::mock::{Fault, Mock};
use super::replay::{OFTEN, check_first, start, told};

/// How long a backend goes on with one fault.
const LASTS: Duration = OFTEN.saturating_mul(4);
/// How long one answer with something wrong in it is waited for.
const PATIENCE: Duration = OFTEN.saturating_mul(10);
/// An error is one line on a page.
const LONGEST_ERROR: usize = 600;
/// Text that no error and no other host may show: what the cases have for credentials.
const SECRETS: [&str; 4] = ["secret", "wJalrXUtnFEMI", "Bearer ", "Basic "];
/// Headers that say who we are.
const CREDENTIALS: [&str; 6] = [
    "authorization:",
    "cookie:",
    "x-amz-security-token:",
    "x-auth-token:",
    "x-consul-token:",
    "x-ovh-signature:",
];

/// Everything that a backend might do instead of answering.
fn faults(elsewhere: &Mock) -> Vec<(&'static str, Fault)> {
    let noise: Vec<u8> =
        (0..4096_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_be_bytes()).collect();
    let answer =
        |status, content_type, body: &[u8]| Fault::Answer(status, content_type, body.into());
    vec![
        ("garbage", answer(200, "application/json", &noise)),
        ("a page", answer(200, "text/html", b"<!doctype html><html><body>Log in</body></html>")),
        ("an empty answer", answer(200, "application/json", b"")),
        ("a wrong type", answer(200, "application/json", b"\"\"")),
        ("deep nesting", answer(200, "application/json", "[".repeat(100_000).as_bytes())),
        ("401", answer(401, "application/json", br#"{"message":"no"}"#)),
        ("403", answer(403, "text/plain", b"a\nb\x1b[31mc")),
        ("429", answer(429, "text/plain", b"")),
        ("500", answer(500, "text/html", b"<html>oops</html>")),
        ("half", Fault::Half),
        ("a cut", Fault::Cut),
        ("nothing", Fault::Nothing),
        ("2 GB, as told", Fault::Endless(true)),
        ("a redirect to elsewhere", Fault::Elsewhere(elsewhere.address())),
    ]
}

/// Finds what the case's backend has, and then lets it fail in every way. What was found stays;
/// errors are one line without a credential; no other host is told one.
///
/// # Errors
///
/// What was lost or told.
pub async fn endure(case: &Case) -> Result<(), String> {
    let elsewhere = Mock::start("http", Vec::new(), case.dir.clone()).await;
    endure_each(case, &elsewhere, faults(&elsewhere)).await
}

/// The same with an answer that does not come to an end, and does not say so.
///
/// # Errors
///
/// What was lost or told.
pub async fn endure_a_flood(case: &Case) -> Result<(), String> {
    let elsewhere = Mock::start("http", Vec::new(), case.dir.clone()).await;
    endure_each(case, &elsewhere, vec![("2 GB", Fault::Endless(false))]).await
}

/// Answers with something wrong in them, over and over: whatever comes of it is told as an answer or
/// as an error, in time.
///
/// # Errors
///
/// Which answer was too much.
pub async fn endure_mutations(case: &Case, count: u64) -> Result<(), String> {
    let mut running = start(case, case.request.transport.as_str()).await?;
    for seed in 0..count {
        running.mock.behave(Some(Fault::Mutated(seed)));
        running.begin_anew()?;
        match timeout(PATIENCE, running.discovery.next()).await {
            // A mechanism that watches may wait for better.
            Err(_) if running.mock.asked() > 0 => {}
            Err(_) => return Err(format!("after mutation {seed} nothing is asked")),
            Ok(Ok(_)) => {}
            Ok(Err(error)) => check_error(&format!("mutation {seed}"), &error.to_string())?,
        }
    }
    Ok(())
}

async fn endure_each(
    case: &Case,
    elsewhere: &Mock,
    faults: Vec<(&'static str, Fault)>,
) -> Result<(), String> {
    let scheme = case.request.transport.as_str();
    elsewhere.behave(Some(Fault::Answer(200, "text/html", b"<html>".to_vec())));
    let mut running = start(case, scheme).await?;
    if running.expected.error.is_some() || running.expected.sequence.is_some() {
        return Ok(());
    }
    check_first(&mut running.discovery, &running.expected).await?;
    let mut state = State::default();
    state.update(running.expected.groups.iter().flatten().cloned());
    let order = running.expected.order();

    for (name, fault) in faults {
        running.mock.behave(Some(fault));
        elsewhere.behave(Some(Fault::Answer(200, "text/html", b"<html>".to_vec())));
        let deadline = Instant::now() + LASTS;
        while let Some(left) = deadline.checked_duration_since(Instant::now()) {
            match timeout(left, running.discovery.next()).await {
                Err(_) => break,
                Ok(Err(error)) => check_error(name, &error.to_string())?,
                Ok(Ok(groups)) => {
                    let mut after = state.clone();
                    after.update(told(&groups));
                    after.compare(&state, order).map_err(|d| format!("after {name}:\n{d}"))?;
                }
            }
        }
        if let Some(line) = elsewhere
            .heard()
            .iter()
            .find(|line| is_secret(line) || CREDENTIALS.iter().any(|name| line.starts_with(name)))
        {
            return Err(format!("another host was told {line}"));
        }
    }
    Ok(())
}

fn check_error(fault: &str, error: &str) -> Result<(), String> {
    if error.contains(char::is_control) || error.len() > LONGEST_ERROR {
        return Err(format!("after {fault} the error is no line to be shown: {error:?}"));
    }
    match is_secret(error) {
        true => Err(format!("after {fault} the error shows a credential: {error}")),
        false => Ok(()),
    }
}

fn is_secret(text: &str) -> bool {
    SECRETS.iter().any(|secret| text.contains(secret))
}
