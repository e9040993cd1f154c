//! What people do to errors: to one, to those of a list, or to all that a query finds.

use std::time::Duration;

use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{Extension, Path, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use periskop_core::aggregate::Act;
use periskop_core::catalogue::Wanted;
use periskop_core::config::parse_duration;
use periskop_core::{AggregateId, Timestamp};
use serde::de::Error as _;
use serde::{Deserialize, Deserializer};
use serde_json::{Map, Value};
use utoipa::ToSchema;

use super::super::json::Json;
use super::{Named, errors, schema, search};
use crate::handle::{ActError, Handle};
use periskop_http::{Principal, Problem};

/// The longest reason or name that is kept, in bytes.
const LONGEST: usize = 4096;

/// Errors that something is done to at once, at most.
const AT_ONCE: usize = 10_000;

/// Who does it, why, and for how long. All may be left out, and so may the whole body. Where somebody
/// has authenticated, theirs is the name, whatever stands here.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Said {
    by: Option<String>,
    why: Option<String>,
    /// Of a mute: a time, or how long, such as `7d`.
    #[schema(example = "7d")]
    until: Option<String>,
    /// Of a mute: how many further occurrences.
    #[schema(minimum = 1)]
    count: Option<u64>,
}

/// The same for several errors: those that are listed, or those that are found.
#[derive(Debug, Default, Deserialize, ToSchema)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Many {
    by: Option<String>,
    why: Option<String>,
    /// Of a mute: a time, or how long, such as `7d`.
    #[schema(example = "7d")]
    until: Option<String>,
    /// Of a mute: how many further occurrences.
    #[schema(minimum = 1)]
    count: Option<u64>,
    /// Which errors; without it, those that `query` finds.
    #[serde(deserialize_with = "objects")]
    errors: Option<Vec<schema::ErrorName>>,
    /// In the query language.
    query: Option<String>,
    /// Narrows the query to these services.
    service: Vec<String>,
    /// Narrows it to these severities.
    severity: Vec<String>,
    /// Narrows it to these states, `new` among them.
    state: Vec<String>,
}

/// What is to be done, by whom and why.
#[derive(Debug)]
struct Deed {
    act: Act,
    by: String,
    why: String,
}

/// Does something to an error, and answers with the error as it is then; with nothing where it is
/// not listed any more. It is durable by then.
#[utoipa::path(
    post, path = "/api/v1/errors/{service}/{key}/{action}", operation_id = "actOnError", tag = "triage",
    params(("service" = String, Path, description = "The service, slashes percent-encoded"), ("key" = String, Path, description = "The aggregation key, slashes percent-encoded"), ("action" = schema::ActionName, Path, description = "What is done")),
    request_body(content = Option<Said>),
    responses(
        (status = 200, description = "The error", body = schema::ErrorDetail),
        (status = 204, description = "Done; it is not listed any more"),
        (status = 400, description = "What is wrong with the request", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "There is no such error, or no such action", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 413, description = "The body is too long", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "It is kept in memory until the store answers, or the server is starting or stopping, or the texts of many errors are not indexed yet", body = schema::ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn one(
    State(handle): State<Handle>,
    principal: Option<Extension<Principal>>,
    Path((service, key, action)): Path<(String, String, String)>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let named = Named::new(&service, &key);
    let said: Said = read(body)?;
    let deed = said.deed(&action, principal.as_deref(), handle.now())?;
    match handle.act(&named.0, deed.act, deed.by, deed.why).await {
        Ok(()) => Ok(errors::whole(&handle, &named)
            .unwrap_or_else(|_| StatusCode::NO_CONTENT.into_response())),
        Err(ActError::Unknown(_)) => Err(named.unknown()),
        Err(error) => Err(Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string())),
    }
}

/// Does something to several errors: to those of a list, or to all that a query finds. It is durable when
/// it is answered.
#[utoipa::path(
    post, path = "/api/v1/errors/{action}", operation_id = "actOnErrors", tag = "triage",
    params(("action" = schema::ActionName, Path, description = "What is done")),
    request_body(content = Many),
    responses(
        (status = 200, description = "What became of it", body = schema::Done),
        (status = 400, description = "What is wrong with the request", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "There is no such action", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 408, description = "The body took too long", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 413, description = "The body is too long", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "It is kept in memory until the store answers, or the server is starting or stopping", body = schema::ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn many(
    State(handle): State<Handle>,
    principal: Option<Extension<Principal>>,
    Path(action): Path<String>,
    body: Result<Bytes, BytesRejection>,
) -> Result<Response, Problem> {
    let mut many: Many = read(body)?;
    let said = Said {
        by: many.by.take(),
        why: many.why.take(),
        until: many.until.take(),
        count: many.count,
    };
    let deed = said.deed(&action, principal.as_deref(), handle.now())?;
    let ids = many.ids(&handle).await?;
    if ids.len() > AT_ONCE {
        let problem = format!("{} errors are more than {AT_ONCE} at once", ids.len());
        return Err(Problem::bad_request(problem).with_suggestion("narrow the query"));
    }
    let matched = ids.len();
    let done = handle.act_on(ids, deed.act, deed.by, deed.why).await;
    let done =
        done.map_err(|error| Problem::new(StatusCode::SERVICE_UNAVAILABLE, error.to_string()))?;
    let mut json = Json::default();
    json.open(b'{').member("matched", matched).member("done", done.done);
    json.name("unknown").open(b'[');
    for AggregateId { service, key } in &done.unknown {
        json.open(b'{').member("service", service.as_str());
        json.member("aggregation_key", key.as_str()).close(b'}');
    }
    json.close(b']').close(b'}');
    Ok(super::answer(json))
}

fn read<T: Default + for<'de> Deserialize<'de>>(
    body: Result<Bytes, BytesRejection>,
) -> Result<T, Problem> {
    let body = body.map_err(|refused| Problem::new(refused.status(), refused.body_text()))?;
    let wrong = |why: &dyn std::fmt::Display| {
        Problem::bad_request(format!("the body: {why}"))
            .with_suggestion("{\"by\": \"who\", \"why\": \"because\"}, or no body at all")
    };
    match body.trim_ascii().first() {
        None => Ok(T::default()),
        // A list would be taken for the members in their order.
        Some(b'{') => serde_json::from_slice(&body).map_err(|error| wrong(&error)),
        Some(_) => Err(wrong(&"expected an object")),
    }
}

/// Names of errors, each an object: a list would be taken for its members in their order.
fn objects<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<Vec<schema::ErrorName>>, D::Error> {
    let Some(objects) = Option::<Vec<Map<String, Value>>>::deserialize(deserializer)? else {
        return Ok(None);
    };
    let named = objects.into_iter().map(|object| serde_json::from_value(Value::Object(object)));
    named.collect::<Result<_, _>>().map(Some).map_err(D::Error::custom)
}

impl Said {
    fn deed(
        self,
        action: &str,
        principal: Option<&Principal>,
        now: Timestamp,
    ) -> Result<Deed, Problem> {
        for (name, text) in [("by", &self.by), ("why", &self.why)] {
            if text.as_ref().is_some_and(|text| text.len() > LONGEST) {
                let problem = format!("`{name}` is longer than {LONGEST} bytes");
                return Err(Problem::bad_request(problem));
            }
        }
        let act = self.act(action, now)?;
        let known = principal.and_then(Principal::name).map(str::to_owned);
        let by = known.or(self.by).unwrap_or_default();
        Ok(Deed { act, by, why: self.why.unwrap_or_default() })
    }

    fn act(&self, action: &str, now: Timestamp) -> Result<Act, Problem> {
        let until = self.until.as_deref().map(|text| until(text, now)).transpose()?;
        if self.count == Some(0) {
            return Err(Problem::bad_request("`count` must be at least 1"));
        }
        let known = ["resolve", "reopen", "mute", "unmute", "forget"];
        if !known.contains(&action) {
            let known = known.join(", ");
            return Err(Problem::not_found(format!("there is no action `{action}`"))
                .with_suggestion(format!("known actions: {known}")));
        }
        Act::of_parts(action, until, self.count).ok_or_else(|| {
            Problem::bad_request(if action == "mute" {
                "`until` and `count` exclude each other".to_owned()
            } else {
                format!("`until` and `count` are for muting, `{action}` has neither")
            })
        })
    }
}

/// A time in RFC 3339, or how long from now.
fn until(text: &str, now: Timestamp) -> Result<Timestamp, Problem> {
    let wrong = |why: &str| {
        let text: String = text.chars().take(100).collect();
        Problem::bad_request(format!("`until`: `{text}`: {why}"))
    };
    let at = match (Timestamp::parse(text), parse_duration(text)) {
        (Some(at), _) => at,
        (None, Ok(duration)) if duration > Duration::ZERO => now.plus(duration),
        _ => return Err(wrong("expected a time as in RFC 3339, or a duration such as 12h or 7d")),
    };
    if at <= now { Err(wrong("this is over")) } else { Ok(at) }
}

impl Many {
    async fn ids(self, handle: &Handle) -> Result<Vec<AggregateId>, Problem> {
        let is_narrowed =
            !self.service.is_empty() || !self.severity.is_empty() || !self.state.is_empty();
        match (self.errors, self.query) {
            (Some(_), Some(_)) => {
                Err(Problem::bad_request("`errors` and `query` exclude each other"))
            }
            (Some(_), None) if is_narrowed => Err(Problem::bad_request(
                "`service`, `severity` and `state` narrow a `query`, not `errors`",
            )),
            (Some(errors), None) => {
                let mut ids: Vec<_> = errors
                    .into_iter()
                    .map(|error| AggregateId {
                        service: error.service.into(),
                        key: error.aggregation_key.into(),
                    })
                    .collect();
                ids.sort_unstable();
                ids.dedup();
                Ok(ids)
            }
            (None, query) => {
                let parsed = search::query(query.as_deref())?;
                if parsed.is_empty() && !is_narrowed {
                    let problem = "neither `errors` nor a `query` says which errors are meant";
                    return Err(Problem::bad_request(problem)
                        .with_suggestion("{\"query\": \"service:web timeout\"}"));
                }
                let words = |name: &str, words: &[String], wanted: &str| {
                    Problem::bad_request(format!("`{name}`: {}: {wanted}", words.join(", ")))
                };
                let severities = self.severity.iter().map(|word| search::severity(word));
                let states = self.state.iter().map(|word| search::state(word));
                let wanted = Wanted {
                    query: parsed,
                    services: self.service.iter().map(Into::into).collect(),
                    severities: severities
                        .collect::<Option<_>>()
                        .ok_or_else(|| words("severity", &self.severity, search::SEVERITIES))?,
                    states: states
                        .collect::<Option<_>>()
                        .ok_or_else(|| words("state", &self.state, search::STATES))?,
                    ..Wanted::default()
                };
                search::searchable(handle, &wanted.query).await?;
                Ok(handle.all_wanted(&wanted))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use periskop_core::aggregate::MuteFor;

    use super::*;

    const NOW: Timestamp = Timestamp::from_micros(1_800_000_000_000_000);

    fn deed(action: &str, body: &str) -> Result<Deed, Problem> {
        read::<Said>(Ok(body.as_bytes().to_vec().into()))?.deed(action, None, NOW)
    }

    #[test]
    fn what_is_said_may_be_left_out_and_is_bounded() {
        assert!(deed("resolve", "").is_ok() && deed("reopen", " \n").is_ok());
        let said = deed("resolve", r#"{"by": "me", "why": null}"#).unwrap();
        assert_eq!((said.by.as_str(), said.why.as_str()), ("me", ""));
        for wrong in ["1", "{", "[null, null]", r#"{"By": "me"}"#, r#"{"by": 1}"#] {
            assert!(deed("resolve", wrong).is_err(), "{wrong}");
        }
        let long = format!(r#"{{"why": "{}"}}"#, "x".repeat(LONGEST + 1));
        assert!(deed("resolve", &long).is_err());
    }

    #[test]
    fn a_mute_lasts_until_a_time_for_a_count_or_for_ever() {
        let until = |text: &str| deed("mute", &format!(r#"{{"until": "{text}"}}"#)).map(|d| d.act);
        let day = NOW.plus(Duration::from_secs(86_400));
        assert_eq!(until("1d").unwrap(), Act::Mute(MuteFor::Until(day)));
        assert_eq!(until(&day.to_string()).unwrap(), Act::Mute(MuteFor::Until(day)));
        let further = deed("mute", r#"{"count": 5}"#).unwrap().act;
        assert_eq!(further, Act::Mute(MuteFor::Further(5)));
        assert_eq!(deed("mute", "").unwrap().act, Act::Mute(MuteFor::Ever));
        for wrong in ["2001-01-01T00:00:00Z", "yesterday", "0s", "-1h", ""] {
            assert!(until(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn what_makes_no_sense_together_is_refused() {
        for (action, body) in [
            ("mute", r#"{"count": 0}"#),
            ("mute", r#"{"count": -1}"#),
            ("mute", r#"{"count": 1, "until": "1d"}"#),
            ("resolve", r#"{"count": 1}"#),
            ("forget", r#"{"until": "1d"}"#),
            ("delete", ""),
        ] {
            assert!(deed(action, body).is_err(), "{action} {body}");
        }
    }
}
