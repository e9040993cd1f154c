//! Failed requests as problem details (RFC 9457).

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

/// Why a request was not done, in words that its sender can act on.
///
/// Answers `application/problem+json` with `type` (always `about:blank`), `title`, `status`,
/// `detail` and, where there is one, `suggestion` and the place of what is wrong in the body:
/// `offset`, `line`, `column`; or `position`, the character in the text of a parameter.
#[derive(Debug, Clone, Serialize)]
pub struct Problem {
    #[serde(rename = "type")]
    kind: &'static str,
    title: &'static str,
    #[serde(serialize_with = "as_number")]
    status: StatusCode,
    detail: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    suggestion: Option<String>,
    #[serde(flatten)]
    place: Option<Place>,
}

/// A place in a request.
#[derive(Debug, Clone, Copy, Serialize)]
#[serde(untagged)]
enum Place {
    Body { offset: usize, line: usize, column: usize },
    Parameter { position: usize },
}

impl Problem {
    /// A problem with this status, explained by `detail`.
    pub fn new(status: StatusCode, detail: impl Into<String>) -> Self {
        Self {
            kind: "about:blank",
            title: status.canonical_reason().unwrap_or("Error"),
            status,
            detail: detail.into(),
            suggestion: None,
            place: None,
        }
    }

    /// 400: the request says something that cannot be meant.
    pub fn bad_request(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, detail)
    }

    /// 404: there is no such thing.
    pub fn not_found(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::NOT_FOUND, detail)
    }

    /// 403: not from there.
    pub fn forbidden(detail: impl Into<String>) -> Self {
        Self::new(StatusCode::FORBIDDEN, detail)
    }

    /// The HTTP status.
    pub fn status(&self) -> StatusCode {
        self.status
    }

    /// What is wrong, for people.
    pub fn detail(&self) -> &str {
        &self.detail
    }

    /// What was probably meant.
    #[must_use]
    pub fn with_suggestion(mut self, suggestion: impl Into<String>) -> Self {
        self.suggestion = Some(suggestion.into());
        self
    }

    /// Where in the body: the byte from 0, its line and its column in bytes from 1.
    #[must_use]
    pub fn at(mut self, offset: usize, line: usize, column: usize) -> Self {
        self.place = Some(Place::Body { offset, line, column });
        self
    }

    /// Where in the text of a parameter: the character, from 0.
    #[must_use]
    pub fn at_character(mut self, position: usize) -> Self {
        self.place = Some(Place::Parameter { position });
        self
    }

    /// The same as plain text: on the reference's routes, whose readers show it as it is.
    pub fn into_text(self) -> Response {
        let plain = (header::CONTENT_TYPE, "text/plain; charset=utf-8");
        (self.status, [plain], format!("{}\n", self.detail)).into_response()
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let json = (header::CONTENT_TYPE, "application/problem+json");
        let body = serde_json::to_vec(&self).unwrap_or_default();
        (self.status, [json], body).into_response()
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, s: S) -> Result<S::Ok, S::Error> {
    s.serialize_u16(status.as_u16())
}
