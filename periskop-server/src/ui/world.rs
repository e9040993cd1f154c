//! A server under test, in virtual time: what it scraped, without anything that scrapes.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use periskop_core::aggregate::{Act, ActionId};
use periskop_core::catalogue::Catalogue;
use periskop_core::search::ScanningIndex;
use periskop_core::target::Labels;
use periskop_core::wire::exporter;
use periskop_core::{
    AggregateId, Observer, ReplicaId, ServiceName, Settings, Timestamp, UnknownError,
};

use super::build::{Fleet, Instance};
use super::view::Health;

/// See the [module](self).
pub(super) struct World {
    pub(super) observer: Observer,
    pub(super) fleet: Instances,
    pub(super) now: Timestamp,
    acts: u128,
}

/// The instances of each service.
#[derive(Default)]
pub(super) struct Instances(pub(super) BTreeMap<ServiceName, Vec<Instance>>);

impl Instances {
    pub(super) fn add_service(&mut self, service: ServiceName) {
        self.0.entry(service).or_default();
    }

    fn add(&mut self, service: ServiceName, instance: Instance) {
        self.0.entry(service).or_default().push(instance);
    }
}

impl Fleet for Instances {
    fn services(&self) -> Vec<&ServiceName> {
        self.0.keys().collect()
    }

    fn count(&self, service: &ServiceName) -> (usize, usize) {
        let all = self.instances(service);
        (all.len(), all.iter().filter(|instance| instance.health == Health::Up).count())
    }

    fn instances(&self, service: &ServiceName) -> Vec<Instance> {
        self.0.get(service).cloned().unwrap_or_default()
    }

    fn label_names(&self, most: usize) -> BTreeSet<&str> {
        let instances = self.0.values().flatten().take(most);
        instances.flat_map(|instance| instance.labels.iter().map(|(name, _)| name)).collect()
    }
}

/// When it begins.
pub(super) const START: &str = "2026-11-20T00:00:00Z";

impl World {
    pub(super) fn new() -> Self {
        let now = Timestamp::parse(START).unwrap();
        let observer = Observer::new(ReplicaId::from_u64(1), Settings::default(), now);
        Self { observer, fleet: Instances::default(), now, acts: 0 }
    }

    /// What lists are made from at this moment.
    pub(super) fn catalogue(&self) -> Catalogue {
        let mut catalogue = Catalogue::new(ScanningIndex::new());
        catalogue.take_all(self.observer.state());
        catalogue
    }

    pub(super) fn instance(&mut self, service: &str, name: &str, health: Health) {
        let labels = Labels::from([("instance", name), ("zone", "a")]);
        self.observer.discovered(&service.into(), &format!("http://{name}/"));
        self.fleet.add(service.into(), Instance { labels, health });
    }

    /// `errors`: key, count, severity.
    pub(super) fn scrape(&mut self, service: &str, instance: &str, errors: &[(&str, u64, &str)]) {
        let begun = Timestamp::parse("2026-11-20T00:00:10Z").unwrap();
        self.scrape_life(service, instance, begun, errors);
    }

    /// As [`scrape`](Self::scrape), of an instance that began to count at `begun`.
    pub(super) fn scrape_life(
        &mut self,
        service: &str,
        instance: &str,
        begun: Timestamp,
        errors: &[(&str, u64, &str)],
    ) {
        let errors: Vec<_> = errors
            .iter()
            .map(|(key, count, severity)| {
                serde_json::json!({
                    "aggregation_key": key,
                    "total_count": count,
                    "severity": severity,
                    "created_at": begun.to_string(),
                    "latest_errors": [{
                        "uuid": format!("{instance}-{key}-{count}"),
                        "timestamp": self.now.to_string(),
                        "severity": severity,
                        "error": {
                            "class": format!("{key}Class"),
                            "message": format!("{key} went WRONG\n"),
                            "stacktrace": ["at com.example.Main.main(Main.java:1)"],
                            "cause": null
                        },
                        "http_context": {
                            "request_method": "POST",
                            "request_url": "/cart?step=2",
                            "request_headers": {"Host": "shop.example", "X-Trace": "it's"},
                            "request_body": "{}"
                        }
                    }]
                })
            })
            .collect();
        let body = serde_json::json!({"target_uuid": instance, "aggregated_errors": errors});
        let options = exporter::Options::default();
        let report = exporter::parse(body.to_string().as_bytes(), self.now, &options).unwrap();
        let labels = Labels::from([("instance", instance), ("zone", "a")]);
        let url = format!("http://{instance}/");
        self.observer.scraped(self.now, &service.into(), &url, &labels, report);
    }

    pub(super) fn act(&mut self, service: &str, key: &str, act: Act) {
        let id = AggregateId { service: service.into(), key: key.into() };
        self.try_act(&id, act, "ada", "").unwrap();
    }

    pub(super) fn try_act(
        &mut self,
        id: &AggregateId,
        act: Act,
        by: &str,
        why: &str,
    ) -> Result<(), UnknownError> {
        self.acts += 1;
        self.observer.act(self.now, id, ActionId(self.acts), act, by, why).map(drop)
    }

    pub(super) fn pass(&mut self, seconds: u64) {
        self.now = self.now.plus(Duration::from_secs(seconds));
    }
}

/// Two instances of `shop` with three errors, and one of `mail` that does not answer.
pub(super) fn shop() -> World {
    let mut world = World::new();
    world.instance("shop", "s1", Health::Up);
    world.instance("shop", "s2", Health::Up);
    world.instance("mail", "m1", Health::Down);
    world.pass(60);
    world.scrape("shop", "s1", &[("Timeout", 3, "error"), ("Slow", 50, "warning")]);
    world.pass(60);
    world.scrape("shop", "s2", &[("Timeout", 4, "error"), ("Note", 1, "info")]);
    world
}
