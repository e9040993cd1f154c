//! `GET /api/v1/errors`: found, filtered, sorted, a page at a time.

use std::collections::HashMap;

use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, header};
use axum::response::Response;
use periskop_core::catalogue::{Facets, Page, Place, Sort, Wanted};
use periskop_core::engine::Engine;
use periskop_core::{ServiceName, Timestamp};

use super::super::json::Json;
use super::super::view;
use super::params::Params;
use super::{schema, search};
use crate::answers::Answer;
use crate::handle::Handle;
use periskop_http::Problem;

const KNOWN: [&str; 10] = [
    "query",
    "service",
    "severity",
    "state",
    "seen_since",
    "sort",
    "order",
    "limit",
    "cursor",
    "facet_label",
];
const DEFAULT_LIMIT: usize = 100;
const LIMIT: usize = 1000;

/// Errors, found, filtered, sorted, a page at a time. Parameters that may be given several times mean
/// any of their values.
#[utoipa::path(
    get, path = "/api/v1/errors", operation_id = "listErrors", tag = "errors",
    params(schema::ListParams),
    responses(
        (status = 200, description = "A page of errors", body = schema::ErrorList),
        (status = 304, description = "It is what `If-None-Match` says is known"),
        (status = 400, description = "What is wrong with the request", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 503, description = "The texts of many errors are not indexed yet", body = schema::ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn list(
    State(handle): State<Handle>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let wanted = parse(uri.query())?;
    search::searchable(&handle, &wanted.query).await?;
    let now = handle.now();
    let name = format!("list {}", uri.query().unwrap_or_default());
    let answer = handle.answers().get(name, now, || {
        let json = handle.look(|engine, catalogue| {
            written(engine, &catalogue.list(engine.state(), &wanted, now), &wanted, now)
        });
        Ok::<_, Problem>(Answer::new(StatusCode::OK, json.finish()))
    });
    let mut response = answer.await?.to(&headers);
    response.headers_mut().insert(header::CONTENT_TYPE, super::JSON);
    Ok(response)
}

fn parse(query: Option<&str>) -> Result<Wanted, Problem> {
    let params = Params::parse(query, &KNOWN)?;
    let sort = params.read("sort", |text| {
        Sort::parse(text).ok_or("expected last_seen, first_seen, count or rate")
    })?;
    let ascending = params.read("order", |text| match text {
        "desc" => Ok(false),
        "asc" => Ok(true),
        _ => Err("expected asc or desc"),
    })?;
    let at = |text: &str| Timestamp::parse(text).ok_or("expected a time as in RFC 3339");
    Ok(Wanted {
        query: search::query(params.text("query"))?,
        services: params.texts("service").map(ServiceName::from).collect(),
        severities: params.words("severity", search::severity, search::SEVERITIES)?,
        states: params.words("state", search::state, search::STATES)?,
        seen_since: params.read("seen_since", at)?,
        sort: sort.unwrap_or_default(),
        ascending: ascending.unwrap_or(false),
        limit: params.number("limit", 1, LIMIT)?.unwrap_or(DEFAULT_LIMIT),
        // The first page has none.
        after: params.text("cursor").map(place).transpose()?,
        facet_label: params.text("facet_label").map(str::to_owned),
    })
}

fn place(cursor: &str) -> Result<Place, Problem> {
    Place::parse(cursor).map_err(|error| Problem::bad_request(format!("`cursor`: {error}")))
}

fn written(engine: &Engine, page: &Page<'_>, wanted: &Wanted, now: Timestamp) -> Json {
    let mut json = Json::default();
    json.open(b'{').name("errors").open(b'[');
    let mut targets = HashMap::new();
    for error in &page.errors {
        let service = error.service();
        let targets = *targets
            .entry(service)
            .or_insert_with(|| engine.service(service).map_or(0, |s| s.target_count()));
        json.open(b'{');
        view::summary(&mut json, *error, now, targets);
        json.close(b'}');
    }
    json.close(b']').member("total", page.total).member("occurrences", page.occurrences);
    json.name("facets");
    facets(&mut json, &page.facets, wanted.facet_label.as_deref());
    json.member("next_cursor", page.next.as_ref().map(ToString::to_string)).close(b'}');
    json
}

fn facets(json: &mut Json, facets: &Facets<'_>, label: Option<&str>) {
    json.open(b'{').name("service").open(b'{');
    for (service, n) in &facets.services {
        json.member(service.as_str(), n);
    }
    json.close(b'}').name("severity").open(b'{');
    for (severity, n) in &facets.severities {
        json.member(severity.as_str(), n);
    }
    json.close(b'}').name("state").open(b'{');
    for (state, n) in &facets.states {
        json.member(state.as_str(), n);
    }
    // Some of those that are open.
    json.member("new", facets.new).close(b'}');
    if label.is_some() {
        json.member("label", &facets.label);
    }
    json.close(b'}');
}

#[cfg(test)]
mod tests {
    use periskop_core::aggregate::Status;
    use periskop_core::catalogue::Choice;

    use super::*;

    #[test]
    fn a_filter_that_makes_no_sense_is_refused_by_name() {
        for (query, word) in [
            ("sevrity=error", "sevrity"),
            ("severity=fatal", "fatal"),
            ("state=closed", "closed"),
            ("limit=0", "limit"),
            ("limit=1001", "limit"),
            ("sort=name", "name"),
            ("order=down", "down"),
            ("cursor=x", "cursor"),
            ("seen_since=today", "seen_since"),
            ("limit=", "limit"),
            ("severity=", "severity"),
            ("query=sevrity:error", "sevrity"),
        ] {
            let problem = parse(Some(query)).err().unwrap();
            assert!(format!("{problem:?}").contains(word), "{query}: {problem:?}");
        }
        let wanted = parse(Some("state=open,regressed&state=new&query=")).unwrap();
        let open = [Status::Open, Status::Regressed].map(Choice::Is);
        assert_eq!(wanted.states, [open[0], open[1], Choice::New]);
        assert!(wanted.query.is_empty());
    }
}
