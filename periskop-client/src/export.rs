//! The exporter format, written.

use periskop_core::{Exception, HttpContext, Occurrence, Report, ReportedError};
use serde_json::{Map, Value, json};

pub(crate) fn write(report: &Report) -> Vec<u8> {
    let errors: Vec<_> = report.errors.iter().map(error).collect();
    json!({ "target_uuid": report.target_uuid, "aggregated_errors": errors })
        .to_string()
        .into_bytes()
}

fn error(error: &ReportedError) -> Value {
    json!({
        "aggregation_key": error.key.as_str(),
        "total_count": error.total_count,
        "severity": error.severity.as_str(),
        "created_at": error.created_at.map(|at| at.to_string()),
        "latest_errors": error.occurrences.iter().map(occurrence).collect::<Vec<_>>(),
    })
}

fn occurrence(occurrence: &Occurrence) -> Value {
    // From the innermost outwards, each in the one that it caused.
    let error = occurrence.exceptions.iter().rev().fold(Value::Null, exception);
    json!({
        "error": error,
        "uuid": occurrence.name,
        "timestamp": occurrence.time.map(|at| at.to_string()),
        "severity": occurrence.severity.as_str(),
        "http_context": occurrence.http.as_ref().map(http),
    })
}

#[expect(clippy::needless_pass_by_value, reason = "the form that `fold` asks for")]
fn exception(cause: Value, exception: &Exception) -> Value {
    json!({
        "class": exception.class,
        "message": exception.message,
        "stacktrace": exception.stacktrace,
        "cause": cause,
    })
}

fn http(http: &HttpContext) -> Value {
    let headers: Map<_, _> = http
        .headers
        .iter()
        .map(|(name, value)| (name.clone(), Value::from(value.as_str())))
        .collect();
    json!({
        "request_method": http.method,
        "request_url": http.url,
        "request_headers": headers,
        "request_body": http.body,
    })
}
