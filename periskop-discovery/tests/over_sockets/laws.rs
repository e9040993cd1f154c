//! The laws of `Discovery` for the mechanisms here. (Those of DNS are beside its name server, in
//! `periskop-tests`.)

use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::discovery::Discovery;
use periskop_core::target::{Labels, TargetGroup};
use periskop_core::testing::discovery::Fleet;
use periskop_discovery::file_sd::{FileConfig, Pattern};
use periskop_discovery::http_client::HttpClientConfig;
use periskop_discovery::http_sd::HttpConfig;
use periskop_discovery::static_sd::StaticConfig;
use periskop_discovery::{BuildOptions, DiscoveryConfig};
use tempfile::TempDir;
use tokio::runtime::Runtime;
use tokio::time::timeout;

use crate::support::Server;

fn run(law: impl Future<Output = ()>) {
    Runtime::new().unwrap().block_on(async {
        timeout(Duration::from_secs(30), law).await.expect("nothing more came")
    });
}

fn build(config: &DiscoveryConfig) -> Box<dyn Discovery> {
    config.build(&BuildOptions::default()).unwrap()
}

/// One group for each target, so that sources come and go.
fn groups(addresses: &[&str]) -> String {
    let groups: Vec<_> =
        addresses.iter().map(|address| format!(r#"{{"targets": ["{address}"]}}"#)).collect();
    format!("[{}]", groups.join(","))
}

mod static_sd {
    use super::*;

    #[derive(Default)]
    struct StaticFleet(StaticConfig);

    #[async_trait]
    impl Fleet for StaticFleet {
        async fn set(&mut self, addresses: &[&str]) {
            let group = |(i, address): (usize, &&str)| TargetGroup {
                source: i.to_string(),
                targets: vec![Labels::from([("__address__", *address)])],
                labels: Labels::new(),
            };
            self.0.groups = addresses.iter().enumerate().map(group).collect();
        }

        async fn discover(&mut self) -> Box<dyn Discovery> {
            build(&DiscoveryConfig::new(self.0.clone()))
        }

        fn can_change(&self) -> bool {
            false
        }
    }

    periskop_core::discovery_conformance! { run: run, fleet: StaticFleet::default() }
}

mod file_sd {
    use super::*;

    struct FileFleet(TempDir);

    impl FileFleet {
        fn new() -> Self {
            Self(tempfile::tempdir().unwrap())
        }

        fn discovery(&self) -> Box<dyn Discovery> {
            let pattern = format!("{}/*.json", self.0.path().display());
            build(&DiscoveryConfig::new(FileConfig {
                files: vec![Pattern::parse(&pattern).unwrap()],
                // Only watching can be in time.
                refresh_interval: Duration::from_secs(3600),
            }))
        }

        fn write(&self, name: &str, text: &str) {
            let beside = self.0.path().join("being-written");
            std::fs::write(&beside, text).unwrap();
            std::fs::rename(beside, self.0.path().join(name)).unwrap();
        }
    }

    #[async_trait]
    impl Fleet for FileFleet {
        async fn set(&mut self, addresses: &[&str]) {
            self.write("targets.json", &groups(addresses));
        }

        async fn discover(&mut self) -> Box<dyn Discovery> {
            self.discovery()
        }
    }

    periskop_core::discovery_conformance! { run: run, fleet: FileFleet::new() }

    #[test]
    fn a_file_that_vanishes_takes_its_targets_along_and_a_bad_one_keeps_them() {
        run(async {
            let fleet = FileFleet::new();
            fleet.write("a.json", &groups(&["a:1"]));
            fleet.write("b.json", &groups(&["b:1"]));
            let mut discovery = fleet.discovery();
            assert_eq!(discovery.next().await.unwrap().len(), 2);

            fleet.write("a.json", "[{");
            let error = discovery.next().await.unwrap_err().to_string();
            assert!(error.contains("a.json: invalid answer"), "{error}");

            std::fs::remove_file(fleet.0.path().join("b.json")).unwrap();
            let groups = loop {
                // The bad file is told again with every look.
                if let Ok(groups) = discovery.next().await {
                    break groups;
                }
            };
            let source = format!("{}/b.json:0", fleet.0.path().display());
            assert_eq!(groups, [TargetGroup { source, ..TargetGroup::default() }]);
        });
    }

    #[test]
    fn a_directory_that_comes_later_is_found_by_the_interval() {
        run(async {
            let dir = tempfile::tempdir().unwrap();
            let later = dir.path().join("later");
            let pattern = format!("{}/*.yml", later.display());
            let mut discovery = build(&DiscoveryConfig::new(FileConfig {
                files: vec![Pattern::parse(&pattern).unwrap()],
                refresh_interval: Duration::from_millis(50),
            }));
            assert_eq!(discovery.next().await.unwrap(), []);
            std::fs::create_dir(&later).unwrap();
            std::fs::write(later.join("a.yml"), "- targets: [a:1]\n").unwrap();
            assert_eq!(discovery.next().await.unwrap()[0].targets.len(), 1);
        });
    }
}

mod http_sd {
    use super::*;

    #[derive(Default)]
    struct HttpFleet {
        body: Arc<Mutex<String>>,
        server: Option<Server>,
    }

    #[async_trait]
    impl Fleet for HttpFleet {
        async fn set(&mut self, addresses: &[&str]) {
            *self.body.lock().unwrap() = groups(addresses);
        }

        async fn discover(&mut self) -> Box<dyn Discovery> {
            let body = self.body.clone();
            let server = Server::plain(move |_| {
                let body = body.lock().unwrap().clone();
                (200, vec!["Content-Type: application/json".into()], body)
            })
            .await;
            let config = HttpConfig {
                url: server.url("/").into(),
                refresh_interval: Duration::from_millis(50),
                http: HttpClientConfig::default(),
            };
            self.server = Some(server);
            build(&DiscoveryConfig::new(config))
        }
    }

    periskop_core::discovery_conformance! { run: run, fleet: HttpFleet::default() }

    #[test]
    fn a_page_that_is_no_json_changes_nothing() {
        run(async {
            let server =
                Server::plain(|_| (200, vec!["Content-Type: text/html".into()], "<html>".into()))
                    .await;
            let mut discovery = build(&DiscoveryConfig::new(HttpConfig {
                url: server.url("/").into(),
                refresh_interval: Duration::from_millis(50),
                http: HttpClientConfig::default(),
            }));
            let error = discovery.next().await.unwrap_err().to_string();
            assert!(error.contains("unsupported content type \"text/html\""), "{error}");
        });
    }
}
