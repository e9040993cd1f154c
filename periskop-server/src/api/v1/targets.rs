//! `GET /api/v1/targets`, in the shape of Prometheus's own, so that tools and habits carry over.

use axum::extract::State;
use axum::http::Uri;
use axum::response::Response;
use periskop_core::ServiceName;
use periskop_core::config::format_duration;
use periskop_core::engine::{Engine, Health, TargetView};

use super::super::json::Json;
use super::super::view::{self, time};
use super::params::Params;
use super::{answer, schema};
use crate::handle::Handle;
use periskop_http::Problem;

/// Go's zero time, which Prometheus answers for a target that was not scraped yet.
const NEVER: &str = "0001-01-01T00:00:00Z";
/// Dropped targets in one answer; a service may discover a whole cluster and keep three.
const DROPPED: usize = 1000;

/// What is scraped, and what is not; as in Prometheus.
#[utoipa::path(
    get, path = "/api/v1/targets", operation_id = "targets", tag = "targets",
    params(schema::TargetParams),
    responses(
        (status = 200, description = "The targets", body = schema::TargetsAnswer),
        (status = 400, description = "What is wrong with the request", body = schema::ProblemDetails, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn targets(State(handle): State<Handle>, uri: Uri) -> Result<Response, Problem> {
    let params = Params::parse(uri.query(), &["state", "scrapePool"])?;
    let state = params.read("state", |text| match text {
        "any" => Ok((true, true)),
        "active" => Ok((true, false)),
        "dropped" => Ok((false, true)),
        _ => Err("expected active, dropped or any"),
    })?;
    let (active, dropped) = state.unwrap_or((true, true));
    let pool = params.text("scrapePool").map(ServiceName::from);
    let mut json = Json::default();
    json.open(b'{').member("status", "success").name("data").open(b'{');
    handle.read(|engine| {
        let is_wanted = |service: &ServiceName| pool.as_ref().is_none_or(|pool| pool == service);
        json.name("activeTargets").open(b'[');
        if active {
            let mut targets: Vec<_> =
                engine.targets().filter(|target| is_wanted(target.service())).collect();
            targets.sort_by_key(|t| (t.service().clone(), t.target().url().to_owned()));
            targets.into_iter().for_each(|target| active_target(&mut json, target));
        }
        json.close(b']').name("droppedTargets").open(b'[');
        if dropped {
            dropped_targets(&mut json, engine, &is_wanted);
        }
        json.close(b']').name("droppedTargetCounts").open(b'{');
        for service in engine.services().filter(|s| is_wanted(s.name())) {
            json.member(service.name().as_str(), service.dropped_count());
        }
        json.close(b'}');
    });
    json.close(b'}').close(b'}');
    Ok(answer(json))
}

fn active_target(json: &mut Json, view: TargetView<'_>) {
    let (target, status) = (view.target(), view.status());
    let url = view::without_userinfo(target.url());
    json.open(b'{').name("discoveredLabels");
    view::labels(json, target.discovered());
    json.name("labels");
    view::labels(json, &target.public_labels());
    json.member("scrapePool", view.service().as_str())
        .member("scrapeUrl", &url)
        .member("globalUrl", &url)
        .member("lastError", last_error(view))
        .member("lastScrape", status.last_scrape.map_or_else(|| NEVER.to_owned(), time))
        .member("lastScrapeDuration", status.last_duration.as_secs_f64())
        .member("health", status.health.as_str())
        .member("scrapeInterval", format_duration(target.interval()))
        .member("scrapeTimeout", format_duration(target.timeout()))
        .close(b'}');
}

/// Why it is down; of a target that this process has not tried yet, why it last was.
fn last_error(view: TargetView<'_>) -> String {
    let status = view.status();
    match (&status.last_error, view.last_state()) {
        (Some(error), _) => error.to_string(),
        (None, Some(last)) if status.health == Health::Unknown => last.reason().to_owned(),
        (None, _) => String::new(),
    }
}

fn dropped_targets(json: &mut Json, engine: &Engine, is_wanted: &dyn Fn(&ServiceName) -> bool) {
    let services = engine.services().filter(|service| is_wanted(service.name()));
    let dropped = services.flat_map(|s| s.dropped().map(move |target| (s.name(), target)));
    for (service, target) in dropped.take(DROPPED) {
        json.open(b'{').name("discoveredLabels");
        view::labels(json, &target.discovered);
        json.member("scrapePool", service.as_str());
        if let Some(error) = target.error {
            json.member("lastError", error.to_string());
        }
        json.close(b'}');
    }
}
