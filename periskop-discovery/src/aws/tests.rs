//! Where credentials come from, and what becomes of them.

use std::sync::{Arc, Mutex};

use periskop_core::config::{At, Fields, Node, Problems, Secret, decode, parse};
use periskop_core::discovery::DiscoveryError;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

use super::client::EC2;
use super::credentials::Credentials;
use super::paging::Pages;
use super::session::Session;
use super::settings::AwsApi;
use crate::build::BuildOptions;
use crate::environment::Environment;

/// A backend that answers as told, and keeps what it was asked.
pub(crate) struct Backend {
    pub(crate) url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Backend {
    pub(crate) async fn start(
        answer: impl Fn(&str, usize) -> (u16, String) + Send + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://{}", listener.local_addr().expect("bound"));
        let asked = Arc::new(Mutex::new(Vec::new()));
        let log = asked.clone();
        tokio::spawn(async move {
            loop {
                let (mut stream, _) = listener.accept().await.expect("a connection");
                let mut request = Vec::new();
                while !is_whole(&request) {
                    let mut chunk = [0; 4096];
                    let n = stream.read(&mut chunk).await.expect("a request");
                    request.extend_from_slice(&chunk[..n]);
                    if n == 0 {
                        break;
                    }
                }
                let request = String::from_utf8(request).expect("a text");
                let n = {
                    let mut log = log.lock().expect("not poisoned");
                    log.push(request.clone());
                    log.len()
                };
                let (status, body) = answer(&request, n);
                let head = format!(
                    "HTTP/1.1 {status} X\r\ncontent-length: {}\r\nconnection: close\r\n\r\n",
                    body.len()
                );
                stream.write_all((head + &body).as_bytes()).await.expect("it is read");
            }
        });
        Self { url, asked }
    }

    pub(crate) fn asked(&self) -> Vec<String> {
        self.asked.lock().expect("not poisoned").clone()
    }
}

fn is_whole(request: &[u8]) -> bool {
    let text = String::from_utf8_lossy(request);
    let Some((head, body)) = text.split_once("\r\n\r\n") else { return false };
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
    body.len() >= length.and_then(|length| length.parse().ok()).unwrap_or(0)
}

fn settings_of(text: &str) -> AwsApi {
    let read = |at: &At<'_>, problems: &mut Problems| {
        let mut fields = Fields::new(at, problems)?;
        let aws = AwsApi::take(&mut fields);
        fields.finish();
        Some(aws)
    };
    decode(&parse(text).expect("YAML"), read).expect("settings")
}

fn session(settings: &str, environment: &[(&str, &str)]) -> Session {
    let aws = settings_of(settings);
    let environment = environment.iter().copied();
    let environment = Environment::fixed(environment);
    let options = BuildOptions { environment, ..BuildOptions::default() };
    Session::new(&aws, &options).expect("settings that work")
}

fn sts_answer(action: &str, expiration: &str) -> (u16, String) {
    let answer = format!(
        "<{action}Response><{action}Result><Credentials><AccessKeyId>ASIA</AccessKeyId>\
         <SecretAccessKey>s3</SecretAccessKey><SessionToken>t0k</SessionToken>\
         <Expiration>{expiration}</Expiration></Credentials></{action}Result></{action}Response>"
    );
    (200, answer)
}

async fn key(session: &Session) -> String {
    session.credentials().await.expect("credentials").access_key
}

const LATE: &str = "2999-01-01T00:00:00Z";

#[tokio::test]
async fn keys_are_looked_for_in_the_order_of_aws() {
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("credentials");
    let text = "[default]\naws_access_key_id=DEFAULT\naws_secret_access_key=x\n\
                [ops]\naws_access_key_id=OPS\naws_secret_access_key=x\n\
                [sso]\nsso_session=corp\n";
    std::fs::write(&file, text).expect("written");
    let path = file.to_str().expect("a text");
    let keys = [("AWS_ACCESS_KEY_ID", "ENV"), ("AWS_SECRET_ACCESS_KEY", "x")];
    let files = [("AWS_SHARED_CREDENTIALS_FILE", path), ("AWS_EC2_METADATA_DISABLED", "true")];
    let both = [keys, files].concat();
    let ops = [files.as_slice(), &[("AWS_PROFILE", "ops")]].concat();

    assert_eq!(key(&session("{access_key: A, secret_key: x, profile: ops}", &both)).await, "A");
    assert_eq!(key(&session("{access_key: A, profile: ops}", &both)).await, "OPS");
    assert_eq!(key(&session("{}", &both)).await, "ENV");
    assert_eq!(key(&session("{}", &files)).await, "DEFAULT");
    assert_eq!(key(&session("{}", &ops)).await, "OPS");
    for (settings, reason) in [
        ("{profile: none}", "there is no profile \"none\""),
        ("{profile: sso}", "profile \"sso\" has sso_session, which is not supported"),
    ] {
        let error = session(settings, &files).credentials().await.unwrap_err();
        assert!(error.to_string().contains(reason), "{error}");
    }
    let nothing = session("{}", &[("AWS_EC2_METADATA_DISABLED", "true")]);
    let error = nothing.credentials().await.unwrap_err().to_string();
    assert!(error.contains("none in the settings, the environment or a profile"), "{error}");
}

#[tokio::test]
async fn a_role_is_assumed_and_kept_until_shortly_before_its_end() {
    let sts = Backend::start(|_, n| {
        sts_answer("AssumeRole", if n == 1 { "2001-01-01T00:00:00Z" } else { LATE })
    })
    .await;
    let settings = "{access_key: A, secret_key: x, role_arn: 'arn:r', external_id: e1, region: r}";
    let session = session(settings, &[("AWS_ENDPOINT_URL_STS", &sts.url)]);
    for _ in 0..3 {
        let credentials = session.credentials().await.unwrap();
        assert_eq!(credentials.session_token, Some(Secret::new("t0k")));
    }
    let asked = sts.asked();
    assert_eq!(asked.len(), 2, "the first ones had ended, the second ones are kept");
    assert!(asked[0].contains("RoleArn=arn%3Ar") && asked[0].contains("ExternalId=e1"));
    assert!(asked[0].contains("Credential=A/") && asked[0].contains("/r/sts/aws4_request"));
}

#[tokio::test]
async fn a_profile_leads_to_a_role_by_another_profile_but_not_in_a_circle() {
    let sts = Backend::start(|_, _| sts_answer("AssumeRole", LATE)).await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("config");
    let text = "[profile a]\nrole_arn = arn:a\nsource_profile = b\n\
                [profile b]\naws_access_key_id=B\naws_secret_access_key=x\n\
                [profile c]\nrole_arn = arn:c\nsource_profile = d\n\
                [profile d]\nrole_arn = arn:d\nsource_profile = c\n";
    std::fs::write(&file, text).expect("written");
    let path = file.to_str().expect("a text");
    let variables = [("AWS_CONFIG_FILE", path), ("AWS_ENDPOINT_URL", sts.url.as_str())];
    assert_eq!(key(&session("{profile: a, region: r}", &variables)).await, "ASIA");
    assert!(sts.asked()[0].contains("Credential=B/"));
    let error = session("{profile: c, region: r}", &variables).credentials().await.unwrap_err();
    assert!(error.to_string().contains("in a circle"), "{error}");
}

#[tokio::test]
async fn the_token_of_a_web_identity_is_read_again() {
    let sts = Backend::start(|_, _| {
        sts_answer("AssumeRoleWithWebIdentity", "2001-01-01T00:00:00Z") // has ended already
    })
    .await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    let variables = [
        ("AWS_WEB_IDENTITY_TOKEN_FILE", file.to_str().expect("a text")),
        ("AWS_ROLE_ARN", "arn:w"),
        ("AWS_REGION", "r"),
        ("AWS_ENDPOINT_URL_STS", sts.url.as_str()),
    ];
    let session = session("{}", &variables);
    for token in ["one", "two"] {
        std::fs::write(&file, format!("{token}\n")).expect("written");
        key(&session).await;
    }
    let asked = sts.asked();
    assert!(asked[0].contains("WebIdentityToken=one") && asked[1].contains("WebIdentityToken=two"));
    assert!(!asked[0].contains("authorization"), "nobody has signed it");
}

#[tokio::test]
async fn the_machine_tells_its_role_and_region_to_who_has_its_token() {
    let imds = Backend::start(|request, _| {
        let line = request.lines().next().unwrap_or_default();
        let known = request.contains("x-aws-ec2-metadata-token: tok");
        let body = match line.split(' ').nth(1).unwrap_or_default() {
            "/latest/api/token" if line.starts_with("PUT") => "tok",
            _ if !known => return (401, String::new()),
            "/latest/meta-data/iam/security-credentials/" => "node\n",
            "/latest/meta-data/iam/security-credentials/node" => {
                r#"{"Code": "Success", "AccessKeyId": "M", "SecretAccessKey": "x", "Token": "t",
                    "Expiration": "2999-01-01T00:00:00Z"}"#
            }
            "/latest/dynamic/instance-identity/document" => r#"{"region": "eu-south-1"}"#,
            _ => return (404, String::new()),
        };
        (200, body.to_owned())
    })
    .await;
    let session = session("{}", &[("AWS_EC2_METADATA_SERVICE_ENDPOINT", &imds.url)]);
    assert_eq!(key(&session).await, "M");
    assert_eq!(session.region().await.unwrap(), "eu-south-1");
}

#[tokio::test]
async fn the_container_tells_its_role_to_who_has_the_token_of_its_file() {
    let agent = Backend::start(|request, _| match request.contains("authorization: Basic abc") {
        true => (200, r#"{"AccessKeyId": "C", "SecretAccessKey": "x"}"#.into()),
        false => (403, String::new()),
    })
    .await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("token");
    std::fs::write(&file, "Basic abc\n").expect("written");
    let token = ("AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE", file.to_str().expect("a text"));
    let full = format!("{}/v1/credentials?x=y", agent.url);
    let variable = "AWS_CONTAINER_CREDENTIALS_FULL_URI";
    assert_eq!(key(&session("{}", &[token, (variable, &full)])).await, "C");
    assert!(agent.asked()[0].starts_with("GET /v1/credentials?x=y "));

    let elsewhere = session("{}", &[token, (variable, "http://example.com/")]);
    let error = elsewhere.credentials().await.unwrap_err();
    assert!(error.to_string().contains("neither https nor this machine"), "{error}");
}

async fn ask(session: &Session) -> Result<(), DiscoveryError> {
    let client = session.client(EC2);
    client.query("could not describe instances", "DescribeInstances", "1", &[]).await.map(|_| ())
}

#[tokio::test]
async fn a_refusal_is_one_line_without_secrets_and_drops_the_credentials() {
    let ec2 = Backend::start(|_, _| {
        let message = "no 'x-secret' here\nx-amz-security-token:t0k";
        (
            401,
            format!(
                "<Response><Errors><Error><Code>AuthFailure</Code><Message>{message}</Message>\
                 </Error></Errors></Response>"
            ),
        )
    })
    .await;
    let dir = tempfile::tempdir().expect("a directory");
    let file = dir.path().join("credentials");
    let write = |key: &str| {
        let text = format!("[p]\naws_access_key_id={key}\naws_secret_access_key=x-secret\n");
        std::fs::write(&file, text).expect("written");
    };
    let variables = [("AWS_SHARED_CREDENTIALS_FILE", file.to_str().expect("a text"))];
    let settings = format!("{{endpoint: '{}', region: r, profile: p}}", ec2.url);
    let session = session(&settings, &variables);
    write("OLD");
    let error = ask(&session).await.unwrap_err().to_string();
    let reason = "could not describe instances: HTTP status 401, api error AuthFailure: no \
                  '<secret>' here";
    assert_eq!(error, format!("{}/: {reason}", ec2.url));
    write("NEW");
    ask(&session).await.unwrap_err();
    let asked = ec2.asked();
    assert_eq!(asked.len(), 2, "who is refused does not ask again");
    assert!(asked[0].contains("Credential=OLD/") && asked[1].contains("Credential=NEW/"));
}

#[tokio::test]
async fn who_is_asked_too_often_is_asked_again_in_a_moment() {
    let ec2 = Backend::start(|_, n| match n {
        1 => (400, r#"{"__type": "com.x#ThrottlingException"}"#.into()),
        _ => (200, "<DescribeInstancesResponse/>".into()),
    })
    .await;
    let settings = format!("{{endpoint: '{}', region: r, access_key: A, secret_key: x}}", ec2.url);
    ask(&session(&settings, &[])).await.unwrap();
    assert_eq!(ec2.asked().len(), 2);
}

#[tokio::test]
async fn what_is_no_answer_to_the_question_is_an_error() {
    for body in ["", "<html/>", "<DescribeInstancesResponse>", "{}"] {
        let ec2 = Backend::start(|_, _| (200, body.into())).await;
        let settings =
            format!("{{endpoint: '{}', region: r, access_key: A, secret_key: x}}", ec2.url);
        assert!(ask(&session(&settings, &[])).await.is_err(), "{body:?}");
    }
}

#[tokio::test]
async fn an_api_is_where_the_settings_the_environment_or_the_region_say() {
    let of_service = ("AWS_ENDPOINT_URL_EC2", "http://service/x/");
    let of_all = ("AWS_ENDPOINT_URL", "http://all");
    let ignored = ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true");
    for (settings, environment, wanted) in [
        ("{endpoint: 'http://here', region: r}", &[of_service, of_all][..], "http://here/"),
        ("{region: r}", &[of_service, of_all], "http://service/x/"),
        ("{region: r}", &[of_all], "http://all/"),
        ("{region: r}", &[of_all, ignored], "https://ec2.r.amazonaws.com/"),
        ("{region: cn-north-1}", &[], "https://ec2.cn-north-1.amazonaws.com.cn/"),
    ] {
        let session = session(settings, environment);
        assert_eq!(session.client(EC2).url("/").await.unwrap().as_str(), wanted);
    }
    let elsewhere = session("{region: 'x.example/#'}", &[]);
    assert!(elsewhere.client(EC2).url("/").await.is_err(), "a region chooses no host");
}

#[test]
fn pages_that_lead_in_a_circle_are_an_error() {
    let mut pages = Pages::new("could not list");
    assert!(pages.turn(Some("a")).unwrap());
    assert_eq!(pages.token(), Some("a"));
    assert!(pages.turn(Some("a")).is_err());
    let mut pages = Pages::new("could not list");
    let circle = (0..).map(|i| pages.turn(Some(["a", "b"][i % 2]))).take(20_000);
    assert!(circle.into_iter().any(|turned| turned.is_err()));
    assert!(!Pages::new("could not list").turn(Some("")).unwrap());
}

#[test]
fn secrets_are_in_no_debug_output() {
    let credentials =
        Credentials::from_texts(Some("A".into()), Some("hunter2".into()), Some("hunter3".into()));
    let settings = "{access_key: A, secret_key: hunter2}";
    let (aws, session) = (settings_of(settings), session(settings, &[]));
    let printed = Node::mapping(aws.effective());
    let shown = format!("{credentials:?} {aws:?} {session:?} {printed}");
    assert!(!shown.contains("hunter"), "{shown}");
}
