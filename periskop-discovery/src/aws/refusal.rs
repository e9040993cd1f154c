//! Why an API of AWS refuses: a code and a message, in one of five forms.

use std::fmt;

use serde_json::Value;

use crate::backend::Answer;
use crate::xml::Document;

/// How much of a message is told.
const MESSAGE_LIMIT: usize = 240;

/// Codes that say that the credentials are wrong, or not valid any more.
const OF_CREDENTIALS: [&str; 12] = [
    "AuthFailure",
    "UnauthorizedOperation",
    "AccessDenied",
    "AccessDeniedException",
    "ExpiredToken",
    "ExpiredTokenException",
    "InvalidAccessKeyId",
    "InvalidClientTokenId",
    "InvalidSignatureException",
    "RequestExpired",
    "SignatureDoesNotMatch",
    "UnrecognizedClientException",
];

/// Codes that say that it may be otherwise in a moment: the list of AWS's SDK.
const PASSING: [&str; 16] = [
    "BandwidthLimitExceeded",
    "EC2ThrottledException",
    "LimitExceededException",
    "PriorRequestNotComplete",
    "ProvisionedThroughputExceededException",
    "RequestLimitExceeded",
    "RequestThrottled",
    "RequestThrottledException",
    "RequestTimeout",
    "RequestTimeoutException",
    "SlowDown",
    "ThrottledException",
    "Throttling",
    "ThrottlingException",
    "TooManyRequestsException",
    "TransactionInProgressException",
];

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Refusal {
    status: u16,
    code: String,
    message: String,
}

impl Refusal {
    /// What an answer that is no success says.
    pub(super) fn of(answer: &Answer) -> Self {
        let status = answer.status.as_u16();
        let (mut code, message) = match answer.body.first() {
            Some(b'<') => Document::parse(&answer.body).ok().map(|d| of_xml(&d)),
            _ => serde_json::from_slice(&answer.body).ok().map(|json| of_json(&json)),
        }
        .unwrap_or_default();
        if code.is_empty() {
            answer.header("x-amzn-errortype").clone_into(&mut code);
        }
        Self { status, code: plain(&code), message: one_line(&message) }
    }

    /// Whether other credentials may help.
    pub(super) fn is_of_credentials(&self) -> bool {
        OF_CREDENTIALS.contains(&self.code.as_str())
    }

    /// Whether asking again soon may help.
    pub(super) fn may_pass(&self) -> bool {
        matches!(self.status, 500 | 502 | 503 | 504) || PASSING.contains(&self.code.as_str())
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { status, code, message } = self;
        match (code.as_str(), message.as_str()) {
            ("", "") => write!(f, "server returned HTTP status {status}"),
            (code, "") => write!(f, "HTTP status {status}, api error {code}"),
            (code, message) => write!(f, "HTTP status {status}, api error {code}: {message}"),
        }
    }
}

fn of_xml(document: &Document) -> (String, String) {
    let root = document.root();
    let error = root.at(&["Errors", "Error"]).or(root.child("Error")).unwrap_or(root);
    (error.text_at(&["Code"]).to_owned(), error.text_at(&["Message"]).to_owned())
}

fn of_json(json: &Value) -> (String, String) {
    let text = |names: &[&str]| {
        let found = names.iter().find_map(|name| json.get(name).and_then(Value::as_str));
        found.unwrap_or_default().to_owned()
    };
    (text(&["__type", "code", "Code"]), text(&["message", "Message"]))
}

/// `com.amazonaws#NameException:http://…` is `NameException`.
fn plain(code: &str) -> String {
    let code = code.split(':').next().unwrap_or_default();
    let code = code.rsplit('#').next().unwrap_or_default();
    one_line(code)
}

/// The first line: further ones of a refused signature hold what was signed.
fn one_line(text: &str) -> String {
    let line = text.trim().lines().next().unwrap_or_default();
    let fit = line.chars().filter(|c| !c.is_control());
    fit.take(MESSAGE_LIMIT).collect::<String>().trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_is_read() {
        let xml = |text: &str| of_xml(&Document::parse(text.as_bytes()).unwrap());
        let wanted = ("A".to_owned(), "m".to_owned());
        let error = "<Error><Type>Sender</Type><Code>A</Code><Message>m</Message></Error>";
        assert_eq!(xml(&format!("<Response><Errors>{error}</Errors></Response>")), wanted);
        assert_eq!(xml(&format!("<ErrorResponse x=\"y\">{error}</ErrorResponse>")), wanted);
        assert_eq!(xml(error), wanted);
        let json = |text: &str| {
            let (code, message) = of_json(&serde_json::from_str(text).unwrap());
            (plain(&code), message)
        };
        assert_eq!(json(r#"{"__type": "com.amazon#A", "Message": "m"}"#), wanted);
        assert_eq!(json(r#"{"code": "A:http://x", "message": "m"}"#), wanted);
        assert_eq!(json("[1]"), (String::new(), String::new()));
    }

    #[test]
    fn only_the_first_line_of_a_message_is_told() {
        assert_eq!(one_line("\n no match\nx-amz-security-token:hunter2"), "no match");
    }
}
