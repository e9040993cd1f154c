//! The laws of discovery, for each kind of mechanism: static, watched files, and whatever is
//! polled.

#![expect(clippy::unwrap_used, reason = "a test that cannot be set up fails")]

use std::fs;
use std::future::Future;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use async_trait::async_trait;
use periskop_core::discovery::{Discovery, DiscoveryError};
use periskop_core::target::{Labels, TargetGroup};
use periskop_core::testing::discovery::Fleet;
use periskop_discovery::file_sd::{FileConfig, FileDiscovery, Pattern};
use periskop_discovery::static_sd::{StaticConfig, StaticDiscovery};
use periskop_discovery::{Found, Polling, Refresh};

/// Runs a law, which has gone wrong if it is still waiting after so long.
fn run(law: impl Future<Output = ()>) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let limit = Duration::from_secs(30);
    runtime.block_on(async { tokio::time::timeout(limit, law).await }).expect("it waits for ever");
}

/// One group of each target, as most mechanisms with several sources have them.
fn groups(addresses: &[&str]) -> Vec<TargetGroup> {
    let group = |address: &&str| TargetGroup {
        source: format!("of {address}"),
        targets: vec![Labels::from([("__address__", *address)])],
        labels: Labels::new(),
    };
    addresses.iter().map(group).collect()
}

/// Groups in a configuration.
#[derive(Default)]
struct Static(Vec<TargetGroup>);

#[async_trait]
impl Fleet for Static {
    async fn set(&mut self, addresses: &[&str]) {
        self.0 = groups(addresses);
    }

    async fn discover(&mut self) -> Box<dyn Discovery> {
        Box::new(StaticDiscovery::new(StaticConfig { groups: self.0.clone() }))
    }

    fn can_change(&self) -> bool {
        false
    }
}

/// A folder with a file of each target.
struct Files(tempfile::TempDir);

#[async_trait]
impl Fleet for Files {
    async fn set(&mut self, addresses: &[&str]) {
        let folder = self.0.path();
        for file in fs::read_dir(folder).unwrap() {
            fs::remove_file(file.unwrap().path()).unwrap();
        }
        for (n, address) in addresses.iter().enumerate() {
            // Renamed into place, so that nobody reads half of it.
            let written = folder.join(format!("{n}.tmp"));
            fs::write(&written, format!(r#"[{{"targets": ["{address}"]}}]"#)).unwrap();
            fs::rename(written, folder.join(format!("{n}.json"))).unwrap();
        }
    }

    async fn discover(&mut self) -> Box<dyn Discovery> {
        let pattern = self.0.path().join("*.json");
        Box::new(FileDiscovery::new(FileConfig {
            files: vec![Pattern::parse(pattern.to_str().unwrap()).unwrap()],
            refresh_interval: Duration::from_secs(1),
        }))
    }
}

/// A back end that is asked now and then.
#[derive(Clone, Default)]
struct Polled(Arc<Mutex<Vec<TargetGroup>>>);

#[async_trait]
impl Refresh for Polled {
    async fn refresh(&mut self) -> Result<Found, DiscoveryError> {
        Ok(self.0.lock().unwrap().clone().into())
    }
}

#[async_trait]
impl Fleet for Polled {
    async fn set(&mut self, addresses: &[&str]) {
        *self.0.lock().unwrap() = groups(addresses);
    }

    async fn discover(&mut self) -> Box<dyn Discovery> {
        Box::new(Polling::new(self.clone(), Duration::from_millis(5)))
    }
}

mod of_static_groups {
    periskop_core::discovery_conformance! { run: super::run, fleet: super::Static::default() }
}

mod of_watched_files {
    periskop_core::discovery_conformance! {
        run: super::run,
        fleet: super::Files(tempfile::tempdir().unwrap()),
    }
}

mod of_polling {
    periskop_core::discovery_conformance! { run: super::run, fleet: super::Polled::default() }
}
