//! Counts by the labels that instances have after relabelling.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use axum::extract::{Path, State};
use axum::http::Uri;
use axum::response::Response;
use periskop_core::ServiceName;

use super::super::json::Json;
use super::params::Params;
use super::{Named, answer, schema, unknown_service};
use crate::handle::Handle;
use periskop_http::Problem;

/// Values in one answer, the largest counts first.
const VALUES: usize = 1000;

/// The total of an error by the value of a label; `""` is what instances without it counted.
#[utoipa::path(
    get, path = "/api/v1/errors/{service}/{key}/counts", operation_id = "errorCounts", tag = "errors",
    params(("service" = String, Path, description = "The service, slashes percent-encoded"), ("key" = String, Path, description = "The aggregation key, slashes percent-encoded"), ("by" = String, Query, description = "A label of the instances after relabelling")),
    responses(
        (status = 200, description = "Its counts", body = schema::LabelCounts),
        (status = 400, description = "What is wrong with the request", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "There is no such error", body = schema::ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn of_error(
    State(handle): State<Handle>,
    named: Named,
    uri: Uri,
) -> Result<Response, Problem> {
    let label = label(&uri)?;
    let counts = handle.read(|engine| {
        let error = engine.state().error(&named.0)?;
        Some(written(&label, error.counts_by(&label)))
    });
    counts.map(answer).ok_or_else(|| named.unknown())
}

/// The same of all errors of a service together.
#[utoipa::path(
    get, path = "/api/v1/services/{service}/counts", operation_id = "serviceCounts", tag = "services",
    params(("service" = String, Path, description = "The service, slashes percent-encoded"), ("by" = String, Query, description = "A label of the instances after relabelling")),
    responses(
        (status = 200, description = "Its counts", body = schema::LabelCounts),
        (status = 400, description = "What is wrong with the request", body = schema::ProblemDetails, content_type = "application/problem+json"),
        (status = 404, description = "There is no such service", body = schema::ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn of_service(
    State(handle): State<Handle>,
    Path(service): Path<String>,
    uri: Uri,
) -> Result<Response, Problem> {
    let label = label(&uri)?;
    let name = ServiceName::from(&service);
    let counts = handle.read(|engine| {
        let state = engine.state();
        if !state.knows(&name) && engine.service(&name).is_none() {
            return None;
        }
        let mut sums: BTreeMap<&str, u64> = BTreeMap::new();
        for (value, count) in state.errors_of(&name).flat_map(|error| error.counts_by(&label)) {
            let sum = sums.entry(value).or_default();
            *sum = sum.saturating_add(count);
        }
        Some(written(&label, sums))
    });
    counts.map(answer).ok_or_else(|| unknown_service(&name))
}

fn label(uri: &Uri) -> Result<String, Problem> {
    let params = Params::parse(uri.query(), &["by"])?;
    params.text("by").map(str::to_owned).ok_or_else(|| {
        Problem::bad_request("`by` must name a label").with_suggestion("?by=instance")
    })
}

fn written(label: &str, counts: BTreeMap<&str, u64>) -> Json {
    let mut counts: Vec<_> = counts.into_iter().collect();
    counts.sort_by_key(|(_, count)| Reverse(*count));
    let mut json = Json::default();
    json.open(b'{').member("label", label).name("counts").open(b'[');
    for (value, count) in counts.iter().take(VALUES) {
        json.open(b'{').member("value", value).member("count", count).close(b'}');
    }
    json.close(b']').close(b'}');
    json
}
