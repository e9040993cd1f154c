//! What people do to errors.

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, State};
use axum::http::StatusCode;
use axum::response::Response;
use periskop_core::aggregate::Act;
use serde::Deserialize;

use super::{Named, errors};
use crate::handle::{ActError, Handle};
use periskop_http::{Principal, Problem};

/// The longest reason or name that is kept, in bytes.
const LONGEST: usize = 4096;

/// Who does it, and why. Both may be left out, and so may the whole body. Where somebody has
/// authenticated, theirs is the name, whatever stands here.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
struct Reason {
    by: Option<String>,
    why: Option<String>,
}

/// `POST …/resolve`: dealt with; whatever is new from now on brings it back.
pub(super) async fn resolve(
    State(handle): State<Handle>,
    principal: Option<Extension<Principal>>,
    named: Named,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    act(&handle, principal.as_deref(), &named, Act::Resolve, body).await
}

/// `POST …/reopen`: not dealt with after all.
pub(super) async fn reopen(
    State(handle): State<Handle>,
    principal: Option<Extension<Principal>>,
    named: Named,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    act(&handle, principal.as_deref(), &named, Act::Reopen, body).await
}

/// Answers with the error as it is then.
async fn act(
    handle: &Handle,
    principal: Option<&Principal>,
    named: &Named,
    act: Act,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let body = body.map_err(|refused| Problem::new(refused.status(), refused.body_text()))?;
    let Reason { by, why } = Reason::parse(&body)?;
    let known = principal.and_then(Principal::name).map(str::to_owned);
    let (by, why) = (known.or(by).unwrap_or_default(), why.unwrap_or_default());
    match handle.act(&named.0, act, by, why).await {
        Ok(()) => errors::whole(handle, named),
        Err(ActError::Unknown(_)) => Err(named.unknown()),
        Err(error) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

impl Reason {
    fn parse(body: &[u8]) -> Result<Self, Problem> {
        if body.trim_ascii().is_empty() {
            return Ok(Self::default());
        }
        let reason: Self = serde_json::from_slice(body).map_err(|e| {
            Problem::bad_request(format!("the body: {e}"))
                .with_suggestion("{\"by\": \"who\", \"why\": \"because\"}, or no body at all")
        })?;
        for (name, text) in [("by", &reason.by), ("why", &reason.why)] {
            if text.as_ref().is_some_and(|text| text.len() > LONGEST) {
                let problem = format!("`{name}` is longer than {LONGEST} bytes");
                return Err(Problem::bad_request(problem));
            }
        }
        Ok(reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reason_may_be_left_out_and_is_bounded() {
        assert!(Reason::parse(b"").is_ok() && Reason::parse(b" \n").is_ok());
        let reason = Reason::parse(br#"{"by": "me", "why": null}"#).unwrap();
        assert_eq!((reason.by.as_deref(), reason.why), (Some("me"), None));
        for wrong in ["1", "{", r#"{"By": "me"}"#, r#"{"by": 1}"#] {
            assert!(Reason::parse(wrong.as_bytes()).is_err(), "{wrong}");
        }
        let long = format!(r#"{{"why": "{}"}}"#, "x".repeat(LONGEST + 1));
        assert!(Reason::parse(long.as_bytes()).is_err());
    }
}
