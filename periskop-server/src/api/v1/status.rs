//! What this server is, how it is configured and how it fares.

use std::collections::BTreeMap;

use axum::extract::State;
use axum::response::Response;
use periskop_core::ServiceName;
use periskop_core::aggregate::Status;
use periskop_core::catalogue::Service;
use periskop_core::engine::{Engine, Health};

use super::super::json::Json;
use super::super::view::time;
use super::{answer, schema};
use crate::handle::Handle;

/// The services that are configured and those that are known.
#[utoipa::path(
    get, path = "/api/v1/services", operation_id = "services", tag = "services",
    responses(
        (status = 200, description = "The services", body = schema::ServiceList),
    ),
)]
pub(super) async fn services(State(handle): State<Handle>) -> Response {
    let now = handle.now();
    let mut json = Json::default();
    handle.look(|engine, catalogue| {
        let configured = engine.services().map(|service| service.name());
        let mut names: Vec<&ServiceName> = configured.chain(engine.state().services()).collect();
        names.sort_unstable();
        names.dedup();
        let known = catalogue.services(now).into_iter().map(|service| (service.name, service));
        let known: BTreeMap<&ServiceName, Service<'_>> = known.collect();
        json.open(b'{').name("services").open(b'[');
        for name in names {
            let errors: BTreeMap<&str, usize> = Status::ALL
                .map(|status| {
                    let errors = known.get(name).map_or(0, |service| service.count(status));
                    (status.as_str(), errors)
                })
                .into();
            json.open(b'{')
                .member("name", name.as_str())
                .member("configured", engine.service(name).is_some())
                .member("targets", healths(engine, name))
                .member("errors", errors)
                .close(b'}');
        }
        json.close(b']').close(b'}');
    });
    answer(json)
}

fn healths(engine: &Engine, service: &ServiceName) -> BTreeMap<&'static str, usize> {
    let healths = engine.service(service).map(|service| service.healths()).unwrap_or_default();
    [Health::Up, Health::Down, Health::Unknown]
        .map(|health| (health.as_str(), healths.of(health)))
        .into()
}

/// The configuration in force as YAML, secrets hidden; as in Prometheus.
#[utoipa::path(
    get, path = "/api/v1/status/config", operation_id = "config", tag = "status",
    responses(
        (status = 200, description = "The configuration", body = schema::ConfigAnswer),
    ),
)]
pub(super) async fn config(State(handle): State<Handle>) -> Response {
    data(|json| {
        json.member("yaml", handle.config().to_yaml());
    })
}

/// What this server is.
#[utoipa::path(
    get, path = "/api/v1/status/buildinfo", operation_id = "buildInfo", tag = "status",
    responses(
        (status = 200, description = "The version", body = schema::BuildAnswer),
    ),
)]
pub(super) async fn build_info() -> Response {
    data(|json| {
        json.member("version", env!("CARGO_PKG_VERSION"));
    })
}

/// How this server fares.
#[utoipa::path(
    get, path = "/api/v1/status/runtimeinfo", operation_id = "runtimeInfo", tag = "status",
    responses(
        (status = 200, description = "How it fares", body = schema::RuntimeAnswer),
    ),
)]
pub(super) async fn runtime_info(State(handle): State<Handle>) -> Response {
    let reload = handle.metrics().last_reload();
    data(|json| {
        json.member("startTime", time(handle.started()))
            .member("serverTime", time(handle.now()))
            .member("reloadConfigSuccess", reload.is_none_or(|(is_good, _)| is_good))
            .member("lastConfigTime", time(reload.and_then(|r| r.1).unwrap_or(handle.started())))
            .member("listenAddress", handle.listening().map(|address| address.to_string()))
            // Whether anybody is asked who they are: worth a look where the address is not loopback.
            .member("accessControl", !handle.access().is_open())
            .name("store");
        match handle.store() {
            None => json.value(None::<&str>),
            Some(store) => json
                .open(b'{')
                .member("name", store.name)
                .member("loaded", store.is_loaded)
                .member("up", store.is_up)
                .member("since", time(store.since))
                .member("lastError", store.last_error)
                .member("pending", store.pending)
                .close(b'}'),
        };
        handle.look(|engine, catalogue| {
            json.member("services", engine.services().count())
                .member("targets", engine.services().map(|s| s.target_count()).sum::<usize>())
                .member("errors", catalogue.len())
                .member("replica", engine.observer().id().to_string());
        });
    })
}

/// Prometheus's envelope.
fn data(members: impl FnOnce(&mut Json)) -> Response {
    let mut json = Json::default();
    json.open(b'{').member("status", "success").name("data").open(b'{');
    members(&mut json);
    json.close(b'}').close(b'}');
    answer(json)
}
