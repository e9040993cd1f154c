//! Who is let through, and what that costs.

use std::path::Path;

use axum::http::HeaderValue;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use proptest::prelude::*;

use super::*;

/// Of "right" and "also right", at the lowest cost.
fn hash(password: &str) -> String {
    bcrypt::hash(password, 4).expect("the system has random numbers")
}

fn web(text: &str) -> WebConfig {
    WebConfig::parse(text, Path::new("")).unwrap_or_else(|problems| panic!("{problems}"))
}

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

const READER: &str = "token-of-a-reader";
const PUSHER: &str = "token-of-a-pusher";

fn known() -> WebConfig {
    web(&format!(
        "basic_auth_users: {{ada: '{}', tim: '{}'}}\nbasic_auth_roles: {{tim: triage}}\n\
         tokens: [{{name: r, role: read, token: {READER}}}, {{name: p, role: push, token: {PUSHER}}}]",
        hash("right"),
        hash("also right"),
    ))
}

const HOME: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 1));
const ELSEWHERE: IpAddr = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 2));

async fn ask(
    access: &Access,
    need: Role,
    sent: &[&str],
    from: IpAddr,
) -> Result<Principal, Refusal> {
    let mut headers = HeaderMap::new();
    for value in sent {
        headers.append(header::AUTHORIZATION, HeaderValue::from_str(value).unwrap());
    }
    access.decide(need, &headers, Some(from), None).await.map_err(|denial| denial.refusal)
}

#[tokio::test(start_paused = true)]
async fn each_credential_is_good_for_its_roles() {
    let access = Access::new(&known());
    for (sent, name, may) in [
        (basic("ada", "right"), "ada", &Role::ALL[..]),
        (basic("tim", "also right"), "tim", &[Role::Read, Role::Triage]),
        (format!("Bearer {READER}"), "r", &[Role::Read]),
        (format!("bearer {PUSHER}"), "p", &[Role::Push]),
    ] {
        for need in Role::ALL {
            let done = ask(&access, need, &[&sent], HOME).await;
            match may.contains(&need) {
                true => assert_eq!(done.unwrap().name(), Some(name), "{name} {need}"),
                false => assert_eq!(done, Err(Refusal::Role), "{name} {need}"),
            }
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_the_right_credential_nothing_is_allowed() {
    for (n, sent, refusal) in [
        (1, vec![], Refusal::NoCredential),
        (2, vec![basic("ada", "wrong")], Refusal::WrongCredential),
        (3, vec![basic("nobody", "right")], Refusal::WrongCredential),
        (4, vec![basic("", "")], Refusal::WrongCredential),
        (5, vec!["Bearer token-of-nobody--".to_owned()], Refusal::WrongCredential),
        (6, vec![format!("Basic {READER}")], Refusal::WrongCredential),
        (7, vec![format!("Bearer {READER}"); 2], Refusal::WrongCredential),
        (8, vec!["nonsense".to_owned()], Refusal::WrongCredential),
    ] {
        let access = Access::new(&known());
        let sent: Vec<&str> = sent.iter().map(String::as_str).collect();
        let from = IpAddr::from([10, 0, 1, n]);
        for need in Role::ALL {
            assert_eq!(ask(&access, need, &sent, from).await, Err(refusal), "{sent:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn without_credentials_configured_everything_is_open_and_none_is_looked_at() {
    let access = Access::new(&WebConfig::default());
    for sent in [&[][..], &["nonsense"], &["Bearer x"]] {
        for need in Role::ALL {
            assert_eq!(ask(&access, need, sent, HOME).await.unwrap().name(), None);
        }
    }
    assert!(access.is_open() && access.challenges().is_empty());
}

#[tokio::test(start_paused = true)]
async fn anonymous_may_do_what_it_is_told_and_no_more() {
    for (anonymous, may) in
        [("none", &[][..]), ("read", &[Role::Read]), ("triage", &[Role::Read, Role::Triage])]
    {
        let access = Access::new(&web(&format!(
            "anonymous: {anonymous}\ntokens: [{{name: a, role: admin, token: {READER}}}]"
        )));
        for need in Role::ALL {
            let done = ask(&access, need, &[], HOME).await.is_ok();
            assert_eq!(done, may.contains(&need), "{anonymous} {need}");
            let wrong = ask(&access, need, &["Bearer wrong"], ELSEWHERE).await;
            assert_eq!(wrong, Err(Refusal::WrongCredential), "a wrong one is worse than none");
        }
    }
    let mirror = Access::new(&web("anonymous: read"));
    assert!(ask(&mirror, Role::Read, &["Bearer x"], HOME).await.is_ok());
    assert_eq!(ask(&mirror, Role::Triage, &[], HOME).await, Err(Refusal::Role));
}

#[tokio::test(start_paused = true)]
async fn a_certificate_names_who_sends_no_credential_and_gives_no_role() {
    let headers = HeaderMap::new();
    let open = Access::new(&WebConfig::default());
    let principal = open.decide(Role::Admin, &headers, Some(HOME), Some("ada.example")).await;
    assert_eq!(principal.unwrap().name(), Some("ada.example"));
    let guarded = Access::new(&known());
    let denial = guarded.decide(Role::Read, &headers, Some(HOME), Some("ada.example")).await;
    assert_eq!(denial.unwrap_err().refusal, Refusal::NoCredential);
    let readable = Access::new(&web("anonymous: read"));
    let reader = readable.decide(Role::Read, &headers, Some(HOME), Some("ada.example")).await;
    assert_eq!(reader.unwrap().name(), Some("ada.example"));
    let denial = readable.decide(Role::Triage, &headers, Some(HOME), Some("ada.example")).await;
    assert_eq!(denial.unwrap_err().refusal, Refusal::Role);
}

#[tokio::test(start_paused = true)]
async fn who_guesses_waits_and_who_has_been_right_does_not() {
    let access = Access::new(&known());
    let begun = tokio::time::Instant::now();
    let right = basic("ada", "right");
    assert!(ask(&access, Role::Read, &[&right], HOME).await.is_ok());
    for n in 0..8 {
        let wrong = basic("ada", &format!("guess {n}"));
        assert_eq!(ask(&access, Role::Read, &[&wrong], HOME).await, Err(Refusal::WrongCredential));
    }
    let guessing = begun.elapsed();
    assert!(guessing > Duration::from_secs(7), "{guessing:?}");
    for from in [HOME, ELSEWHERE] {
        assert!(ask(&access, Role::Read, &[&right], from).await.is_ok());
    }
    let known = begun.elapsed() - guessing;
    assert!(known < Duration::from_millis(250), "neither it nor a neighbour waits: {known:?}");
    let token = format!("Bearer {READER}");
    assert!(ask(&access, Role::Read, &[&token], HOME).await.is_ok());
    let new = begun.elapsed() - guessing - known;
    assert!(new > Duration::from_secs(4), "a guess is not told from a right one by time: {new:?}");
}

#[tokio::test(start_paused = true)]
async fn of_many_guesses_at_once_most_are_refused_at_once() {
    let access = Access::new(&known());
    let sent: Vec<String> = (0..40).map(|n| format!("Bearer guess-number-{n}-----")).collect();
    let mut asking = tokio::task::JoinSet::new();
    // The first ones are decided at once, so that the others have to wait.
    for sent in sent {
        let access = access.clone();
        asking.spawn(async move { ask(&access, Role::Read, &[&sent], HOME).await });
    }
    let answers = asking.join_all().await;
    let of = |refusal| answers.iter().filter(|answer| **answer == Err(refusal)).count();
    assert_eq!((of(Refusal::WrongCredential), of(Refusal::Throttled)), (6, 34));
    assert!(access.under_way().is_empty(), "nothing is kept of them");
}

#[tokio::test(start_paused = true)]
async fn a_client_that_hangs_up_leaves_nothing_behind() {
    let access = Access::new(&known());
    for n in 0..5 {
        ask(&access, Role::Read, &[&format!("Bearer wrong-{n}")], HOME).await.unwrap_err();
    }
    let asked = ask(&access, Role::Read, &["Bearer waits-its-turn"], HOME);
    tokio::time::timeout(Duration::from_millis(1), asked).await.unwrap_err();
    assert!(access.under_way().is_empty());
    assert_eq!(access.0.checks_waiting.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_same_password_is_checked_once_however_many_send_it() {
    let access = Access::new(&known());
    let right = basic("ada", "right");
    let mut asking = tokio::task::JoinSet::new();
    for _ in 0..100 {
        let (access, right) = (access.clone(), right.clone());
        asking.spawn(async move { ask(&access, Role::Read, &[&right], HOME).await });
    }
    assert!(asking.join_all().await.iter().all(Result::is_ok), "none is throttled");
}

#[tokio::test(start_paused = true)]
async fn a_reload_takes_over_at_once_and_forgets_who_was_right() {
    let access = Access::new(&known());
    let token = format!("Bearer {READER}");
    assert!(ask(&access, Role::Read, &[&token], HOME).await.is_ok());
    access.replace(&web("tokens: [{name: n, role: read, token: another-token-of-16}]"));
    assert_eq!(ask(&access, Role::Read, &[&token], HOME).await, Err(Refusal::WrongCredential));
    let another = ask(&access, Role::Read, &["Bearer another-token-of-16"], HOME).await;
    assert_eq!(another.unwrap().name(), Some("n"));
    let challenges = access.challenges();
    assert_eq!(challenges, ["Bearer realm=\"periskop\""], "no browser asks for a password");
}

#[tokio::test(start_paused = true)]
async fn a_token_in_a_file_is_read_again_when_it_changes() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("token");
    let text = "tokens: [{name: f, role: read, token_file: token}]";
    let web = WebConfig::parse(text, folder.path()).unwrap();
    let missing = web.check_files("web.").unwrap_err().to_string();
    assert!(missing.starts_with("web.tokens[f]: "), "{missing}");
    let access = Access::new(&web);
    let (first, second) = ("Bearer the-first-token-of-it", "Bearer the-second-token-of-it");
    let later = || tokio::time::advance(Duration::from_secs(1));
    assert_eq!(ask(&access, Role::Read, &[first], HOME).await, Err(Refusal::WrongCredential));

    std::fs::write(&file, " the-first-token-of-it\n").unwrap();
    assert!(web.check_files("").is_ok());
    later().await;
    assert_eq!(ask(&access, Role::Read, &[first], HOME).await.unwrap().name(), Some("f"));
    std::fs::write(&file, "the-second-token-of-it").unwrap();
    later().await;
    assert_eq!(ask(&access, Role::Read, &[first], HOME).await, Err(Refusal::WrongCredential));
    assert!(ask(&access, Role::Read, &[second], HOME).await.is_ok());
    std::fs::remove_file(&file).unwrap();
    later().await;
    assert!(ask(&access, Role::Read, &[second], HOME).await.is_ok(), "gone for a moment");
    access.replace(&web);
    assert!(ask(&access, Role::Read, &[second], HOME).await.is_ok(), "over a reload too");
}

#[tokio::test(start_paused = true)]
async fn all_requests_together_are_limited_where_that_is_configured() {
    let access = Access::new(&web("rate_limit: {interval: 1s, burst: 2}"));
    assert!(ask(&access, Role::Read, &[], HOME).await.is_ok());
    assert!(ask(&access, Role::Read, &[], ELSEWHERE).await.is_ok());
    assert_eq!(ask(&access, Role::Read, &[], HOME).await, Err(Refusal::RateLimit));
    tokio::time::advance(Duration::from_secs(1)).await;
    assert!(ask(&access, Role::Read, &[], HOME).await.is_ok());
}

#[test]
fn nothing_that_is_known_shows_in_debug() {
    let web = known();
    let shown = format!("{web:?} {:?}", Access::new(&web));
    for secret in [READER, PUSHER, "$2b$04$"] {
        assert!(!shown.contains(secret), "{shown}");
    }
}

proptest! {
    #[test]
    fn whatever_is_sent_it_is_refused_unless_it_is_a_credential(
        bytes in prop::collection::vec(any::<u8>(), 0..40),
        need in prop::sample::select(Role::ALL.to_vec()),
    ) {
        let Ok(value) = HeaderValue::from_bytes(&bytes) else { return Ok(()) };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        let access = Access::new(&web(&format!(
            "tokens: [{{name: a, role: admin, token: {READER}}}]"
        )));
        let headers = HeaderMap::from_iter([(header::AUTHORIZATION, value)]);
        let done = runtime.block_on(access.decide(need, &headers, Some(HOME), None));
        prop_assert_eq!(done.unwrap_err().refusal, Refusal::WrongCredential);
    }
}
