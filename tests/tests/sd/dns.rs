//! DNS discovery beside a real name server: the laws of `Discovery`, and what one question with
//! one answer cannot show.

use std::future::Future;
use std::time::Duration;

use async_trait::async_trait;
use hickory_resolver::proto::op::ResponseCode;
use hickory_resolver::proto::rr::rdata::{A, CNAME, SRV};
use hickory_resolver::proto::rr::{Name, RData, RecordType as WireType};
use periskop_core::discovery::Discovery;
use periskop_core::target::TargetGroup;
use periskop_core::testing::discovery::Fleet;
use periskop_discovery::dns_sd::{DnsConfig, DnsServers, RecordType};
use periskop_discovery::{BuildOptions, DiscoveryConfig};
use periskop_tests::sd::dns::{DnsServer, Reply, Zone};
use tokio::runtime::Runtime;
use tokio::time::timeout;

fn run(law: impl Future<Output = ()>) {
    let runtime = Runtime::new().expect("a runtime can be made");
    runtime.block_on(async {
        timeout(periskop_tests::PATIENCE, law).await.expect("nothing more came");
    });
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("a valid name")
}

fn discover(
    servers: &[&DnsServer],
    search: &[&str],
    names: &[&str],
    record_type: RecordType,
) -> Box<dyn Discovery> {
    let config = DnsConfig {
        names: names.iter().map(|name| (*name).to_owned()).collect(),
        refresh_interval: Duration::from_millis(50),
        record_type,
        port: 80,
    };
    let dns = DnsServers::Fixed {
        servers: servers.iter().map(|server| server.address()).collect(),
        search: search.iter().map(|domain| (*domain).to_owned()).collect(),
        ndots: 1,
    };
    let options = BuildOptions { dns, ..BuildOptions::default() };
    DiscoveryConfig::new(config).build(&options).expect("nothing can be wrong with it")
}

fn a(last: u8) -> RData {
    RData::A(A::new(192, 0, 2, last))
}

fn zone(entries: impl IntoIterator<Item = (&'static str, Reply)>) -> Zone {
    let entries = entries.into_iter();
    entries.map(|(name, reply)| ((name.to_owned(), WireType::A), reply)).collect()
}

fn addresses(group: &TargetGroup) -> Vec<&str> {
    group.targets.iter().map(|target| target.get("__address__")).collect()
}

mod laws {
    use super::*;

    const NAME: &str = "_web._tcp.example.com.";

    #[derive(Default)]
    struct DnsFleet {
        zone: Zone,
        server: Option<DnsServer>,
    }

    #[async_trait]
    impl Fleet for DnsFleet {
        async fn set(&mut self, addresses: &[&str]) {
            let record = |address: &&str| {
                let (host, port) = address.split_once(':').expect("an address with a port");
                let port = port.parse().expect("a port is a number");
                RData::SRV(SRV::new(0, 0, port, name(&format!("{host}."))))
            };
            let records: Vec<RData> = addresses.iter().map(record).collect();
            let reply = match records.is_empty() {
                true => Reply::code(ResponseCode::NXDomain),
                false => Reply::records(records),
            };
            self.zone = Zone::from([((NAME.to_owned(), WireType::SRV), reply)]);
            if let Some(server) = &self.server {
                server.set(self.zone.clone());
            }
        }

        async fn discover(&mut self) -> Box<dyn Discovery> {
            let server = DnsServer::start(self.zone.clone()).await;
            let discovery = discover(&[&server], &[], &[NAME], RecordType::Srv);
            self.server = Some(server);
            discovery
        }
    }

    periskop_core::discovery_conformance! { run: run, fleet: DnsFleet::default() }
}

#[tokio::test]
async fn an_answer_that_is_too_long_for_udp_is_asked_for_over_tcp() {
    let truncated = Reply { truncated: true, ..Reply::records([a(1), a(2)]) };
    let server = DnsServer::start(zone([("web.", truncated)])).await;
    let mut discovery = discover(&[&server], &[], &["web."], RecordType::A);
    let groups = discovery.next().await.expect("the server is there");
    assert_eq!(addresses(&groups[0]), ["192.0.2.1:80", "192.0.2.2:80"]);
}

#[tokio::test]
async fn a_name_without_a_final_dot_is_looked_for_in_the_search_list() {
    let zone = zone([("web.corp.example.", Reply::records([a(1)]))]);
    let server = DnsServer::start(zone).await;
    let mut discovery =
        discover(&[&server], &["a.example", "corp.example"], &["web"], RecordType::A);
    let groups = discovery.next().await.expect("the server is there");
    assert_eq!(groups[0].source, "web");
    assert_eq!(groups[0].targets[0].get("__meta_dns_name"), "web");
    assert_eq!(addresses(&groups[0]), ["192.0.2.1:80"]);
}

#[tokio::test]
async fn aliases_on_the_way_are_no_targets() {
    let reply = Reply::records([RData::CNAME(CNAME(name("other."))), a(1)]);
    let server = DnsServer::start(zone([("web.", reply)])).await;
    let mut discovery = discover(&[&server], &[], &["web."], RecordType::A);
    let groups = discovery.next().await.expect("the server is there");
    assert_eq!(addresses(&groups[0]), ["192.0.2.1:80"]);
}

#[tokio::test]
async fn a_server_that_fails_passes_the_question_on() {
    let broken = DnsServer::start(zone([("web.", Reply::code(ResponseCode::ServFail))])).await;
    let server = DnsServer::start(zone([("web.", Reply::records([a(1)]))])).await;
    let mut discovery = discover(&[&broken, &server], &[], &["web."], RecordType::A);
    let groups = discovery.next().await.expect("the second server is there");
    assert_eq!(addresses(&groups[0]), ["192.0.2.1:80"]);
}

#[tokio::test]
async fn a_name_that_fails_keeps_its_targets_and_does_not_stop_the_others() {
    let before = [("a.", Reply::records([a(1)])), ("b.", Reply::records([a(2)]))];
    let server = DnsServer::start(zone(before)).await;
    let mut discovery = discover(&[&server], &[], &["a.", "b."], RecordType::A);
    assert_eq!(discovery.next().await.expect("the server is there").len(), 2);

    let after = [("a.", Reply::records([a(3)])), ("b.", Reply::code(ResponseCode::ServFail))];
    server.set(zone(after));
    let groups = discovery.next().await.expect("one name is enough");
    assert_eq!(groups.len(), 1, "{groups:?}");
    assert_eq!((groups[0].source.as_str(), addresses(&groups[0])), ("a.", vec!["192.0.2.3:80"]));
    let error = discovery.next().await.expect_err("b. failed").to_string();
    assert!(error.starts_with("b. (A): ") && error.contains("Server Failure"), "{error}");
}
