//! The recorded answers of the reference, exchange by exchange.

use serde_json::{Value, json};

use crate::support::{Server, instance, payload, sample};

/// Where an answer differs on purpose, and why.
const DIFFERENCES: &[(&str, &str)] = &[
    ("services without slash", "paths work with and without the slash"),
    ("errors without slash", "paths work with and without the slash"),
    ("errors, service with a slash, encoded", "a service's name may hold a slash"),
    ("own errors", "the content type is the right one"),
    ("preflight, localhost origin", "no cross-origin page may ask for anything: no CORS"),
    ("CORS, localhost origin", "no cross-origin page may ask for anything: no CORS"),
    ("post to services", "405 says that the path is right and the method is not"),
    ("resolve, unknown service", "404 says what there is not"),
    ("resolve, unknown key", "404 for an error that is not there: 204 hid a script's mistake"),
    ("web root", "the pages are served here"),
];

/// Where an occurrence or an error is written otherwise on purpose:
/// - `stacktrace` and `request_headers` are empty, never null: readers need not look first;
/// - an error's severity is that of its newest occurrence;
/// - an error without `created_at` begins with its oldest occurrence, not in the year 1;
/// - errors come sorted by key, the reference's come in any order.
fn as_we_write_it(reference: &Value) -> Value {
    let mut errors = reference.as_array().unwrap().clone();
    for error in &mut errors {
        let occurrences = error["latest_errors"].as_array_mut().unwrap();
        for occurrence in occurrences.iter_mut() {
            empty_if_null(&mut occurrence["error"]["stacktrace"], json!([]));
            let mut cause = &mut occurrence["error"]["cause"];
            while !cause.is_null() {
                empty_if_null(&mut cause["stacktrace"], json!([]));
                cause = &mut cause["cause"];
            }
            if !occurrence["http_context"].is_null() {
                empty_if_null(&mut occurrence["http_context"]["request_headers"], json!({}));
            }
        }
        let newest = occurrences.iter().max_by_key(|o| o["timestamp"].as_i64()).unwrap().clone();
        let oldest = occurrences.iter().map(|o| o["timestamp"].as_i64().unwrap()).min().unwrap();
        error["severity"] = newest["severity"].clone();
        if error["created_at"].as_i64().unwrap() < 0 {
            error["created_at"] = oldest.into();
        }
        if error["created_at"].as_i64().unwrap() > oldest {
            error["created_at"] = oldest.into();
        }
    }
    sorted(errors, "aggregation_key")
}

fn empty_if_null(value: &mut Value, empty: Value) {
    if value.is_null() {
        *value = empty;
    }
}

fn sorted(mut list: Vec<Value>, by: &str) -> Value {
    list.sort_by_key(|item| item[by].as_str().map(str::to_owned));
    list.into()
}

async fn server_of_the_recording() -> Server {
    let mock = instance(sample("reference-mocktarget.json")).await;
    let python = instance(sample("clients/periskop-python-0.2.0.json")).await;
    let not_json = instance("not json").await;
    Server::start(&format!(
        "\
global: {{refresh_interval: 1s}}
services:
- name: mock-target
  static_configs: [{{targets: ['{mock}']}}]
  scraper: {{endpoint: /errors}}
- name: python/api
  static_configs: [{{targets: ['{python}']}}]
  scraper: {{endpoint: /errors}}
- name: down
  static_configs: [{{targets: ['{not_json}', '127.0.0.1:1']}}]
  scraper: {{endpoint: /errors}}
"
    ))
    .await
}

#[tokio::test]
async fn answers_are_those_of_the_reference_but_where_they_differ_on_purpose() {
    let server = server_of_the_recording().await;
    let recorded: Value = serde_json::from_str(&sample("reference-api.json")).unwrap();
    let mut compared = 0;
    for exchange in recorded["exchanges"].as_array().unwrap() {
        let name = exchange["name"].as_str().unwrap();
        if name.starts_with("gateway") {
            continue;
        }
        compared += 1;
        let request = &exchange["request"];
        let headers: Vec<(&str, &str)> = request["headers"]
            .as_object()
            .unwrap()
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str().unwrap()))
            .collect();
        let (method, path) =
            (request["method"].as_str().unwrap(), request["path"].as_str().unwrap());
        let body = request["body"].as_str().unwrap_or_default();
        let ours = server.send(method, path, &headers, body).await;
        let theirs = &exchange["answer"];
        let their_status = theirs["status"].as_u64().unwrap();
        let difference = DIFFERENCES.iter().find(|(which, _)| *which == name);
        if difference.is_none() {
            assert_eq!(u64::from(ours.status), their_status, "{name}");
            let kind = theirs["headers"]["content-type"].as_str().unwrap_or_default();
            assert_eq!(ours.header("content-type"), kind, "{name}");
        }
        assert_eq!(ours.header("access-control-allow-origin"), "", "{name}");
        let their_body = theirs["body"].as_str().unwrap_or_default();
        match name {
            "services" | "CORS, localhost origin" | "CORS, other origin" => {
                let mut names: Vec<Value> = serde_json::from_str::<Vec<Value>>(their_body).unwrap();
                names.sort_by_key(|name| name.as_str().map(str::to_owned));
                assert_eq!(ours.json(), Value::from(names), "{name}");
            }
            "errors" | "errors right after resolve" | "errors of a service that never reported" => {
                let theirs: Value = serde_json::from_str(their_body).unwrap();
                assert_eq!(
                    sorted(ours.json().as_array().unwrap().clone(), "aggregation_key"),
                    as_we_write_it(&theirs),
                    "{name}"
                );
            }
            "targets" => {
                let theirs: Value = serde_json::from_str(their_body).unwrap();
                let (ours, theirs) = (ours.json(), theirs);
                for (service, targets) in theirs.as_object().unwrap() {
                    let ours = ours[service].as_array().unwrap();
                    assert_eq!(ours.len(), targets.as_array().unwrap().len(), "{service}");
                    for target in ours {
                        assert!(target["endpoint"].as_str().unwrap().ends_with("/errors"));
                        assert_eq!(target.as_object().unwrap().len(), 1);
                    }
                }
            }
            "metrics" => {
                for line in their_body.lines().filter(|l| l.starts_with("periskop_error_occ")) {
                    let (labels, count) = line.rsplit_once("} ").unwrap();
                    for label in labels.split_once('{').unwrap().1.split("\",") {
                        // The severity of the newest occurrence; see above.
                        if label.starts_with("severity") {
                            continue;
                        }
                        let label = label.trim_end_matches('"');
                        assert!(
                            ours.body.lines().any(|l| l.contains(label) && l.ends_with(count)),
                            "{line}: {label}"
                        );
                    }
                }
                for name in [
                    "# TYPE periskop_instances_scrapped gauge",
                    "# TYPE periskop_errors_scrapped_total counter",
                    "# TYPE periskop_error_occurrences counter",
                    "# TYPE periskop_application_errors_total counter",
                    "periskop_instances_scrapped{service_name=\"down\"} 2",
                ] {
                    assert!(ours.body.contains(name), "{name}");
                }
            }
            "own errors" => {
                let theirs: Value = serde_json::from_str(their_body).unwrap();
                let ours = ours.json();
                let first = &ours["aggregated_errors"][0];
                for field in theirs["aggregated_errors"][0].as_object().unwrap().keys() {
                    assert!(first.get(field).is_some(), "{field}");
                }
            }
            "health" | "errors, unknown service" => assert_eq!(ours.body, their_body, "{name}"),
            "services without slash"
            | "errors without slash"
            | "errors, service with a slash, encoded"
            | "web root" => assert_eq!(ours.status, 200, "{name}"),
            "preflight, localhost origin" | "resolve" => assert_eq!(ours.status, 204, "{name}"),
            "post to services" => assert_eq!(ours.status, 405, "{name}"),
            "resolve, unknown service" | "resolve, unknown key" => {
                assert_eq!(ours.status, 404, "{name}");
                assert!(ours.header("content-type").starts_with("text/plain"), "{name}");
            }
            _ => panic!("a recorded exchange that nothing compares: {name}"),
        }
    }
    assert_eq!(compared, 20);
}

#[tokio::test]
async fn the_service_of_a_target_that_never_answered_well_is_known() {
    let server = server_of_the_recording().await;
    assert_eq!(server.get("/services/").await.json(), json!(["down", "mock-target", "python/api"]));
    assert_eq!(server.get("/services/down/errors").await.json(), json!([]));
}

#[tokio::test]
async fn a_double_slash_before_services_is_one() {
    let server = Server::of(&[("a/b", payload(&["k"]))]).await;
    for path in ["//services/", "//services/a/b/errors/", "//services/a%2Fb/errors"] {
        assert_eq!(server.get(path).await.status, 200, "{path}");
    }
}

#[tokio::test]
async fn an_error_without_known_occurrences_has_one_made_of_what_is_known() {
    let body = r#"{"aggregated_errors": [{"aggregation_key": "k", "total_count": 3,
        "created_at": "2026-11-01T00:00:00Z", "severity": null, "latest_errors": []}]}"#;
    let server = Server::of(&[("s", body.to_owned())]).await;
    let errors = server.get("/services/s/errors/").await.json();
    let only = &errors[0]["latest_errors"][0];
    assert_eq!(errors[0]["severity"], "error");
    assert!(only["timestamp"].as_i64().unwrap() >= 1_793_491_200, "when it was last seen");
    assert_eq!(only["error"]["class"], "k");
    assert_eq!(only["error"]["stacktrace"], json!([]));
}
