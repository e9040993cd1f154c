//! DNS discovery beside BIND: each type of record, an answer that is too long for a datagram, and
//! names that are not there.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use periskop_core::discovery::Discovery;
use periskop_core::target::TargetGroup;
use periskop_discovery::dns_sd::{DnsConfig, DnsServers, RecordType};
use periskop_discovery::{BuildOptions, DiscoveryConfig};
use periskop_tests::process::Process;
use periskop_tests::skip;
use tokio::net::TcpListener;
use tokio::process::Command;
use tokio::time::timeout;

const PORT: u16 = 9000;
/// So many services do not fit into a datagram; BIND takes a hundred of one type at most.
const MANY: usize = 90;

/// A name server for `example.test.`; it ends with the test.
struct Bind {
    address: SocketAddr,
    _process: Process,
    _dir: tempfile::TempDir,
}

/// Debian's, which is not on everybody's path.
fn named() -> Option<PathBuf> {
    let found = ["/usr/sbin/named", "/usr/bin/named", "/usr/local/sbin/named"];
    found.iter().map(PathBuf::from).find(|path| path.exists())
}

fn zone() -> String {
    let mut zone = String::from(
        "$TTL 60\n\
         @ IN SOA ns1 hostmaster 1 3600 600 86400 60\n\
         @ IN NS ns1\n\
         @ IN NS ns2.elsewhere.test.\n\
         @ IN MX 10 mail\n\
         ns1 IN A 127.0.0.1\n\
         web IN A 192.0.2.1\n\
         web IN A 192.0.2.2\n\
         web IN AAAA 2001:db8::1\n\
         www IN CNAME web\n\
         _web._tcp IN SRV 0 0 8080 a\n\
         _web._tcp IN SRV 0 0 8081 b\n\
         only4 IN A 192.0.2.9\n",
    );
    for n in 0..MANY {
        zone.push_str(&format!("_many._tcp IN SRV 0 0 {} host-{n}\n", 1000 + n));
    }
    zone
}

impl Bind {
    /// Starts it, if it is installed.
    async fn start() -> Option<Self> {
        let Some(named) = named() else {
            skip("BIND is not installed (named)");
            return None;
        };
        let dir = tempfile::tempdir().expect("a directory can be made");
        // Free a moment ago, for TCP and most likely for UDP.
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = listener.local_addr().expect("a bound socket has an address");
        drop(listener);
        let here = dir.path().display();
        let config = format!(
            "options {{ directory \"{here}\"; listen-on port {} {{ 127.0.0.1; }}; \
             listen-on-v6 {{ none; }}; recursion no; pid-file none; session-keyfile none; \
             minimal-responses yes; dnssec-validation no; }};\n\
             controls {{ }};\n\
             zone \"example.test\" {{ type primary; file \"zone\"; }};\n",
            address.port()
        );
        let put = |name: &str, text: String| {
            std::fs::write(dir.path().join(name), text).expect("a file can be written");
        };
        put("named.conf", config);
        put("zone", zone());
        let mut command = Command::new(named);
        command.args(["-g", "-n", "1", "-c"]).arg(dir.path().join("named.conf"));
        let process = Process::start(&mut command);
        Some(Self { address, _process: process, _dir: dir })
    }

    /// The groups that are found, once it is ready.
    async fn find(&self, record_type: RecordType, names: &[&str]) -> Vec<TargetGroup> {
        let config = DnsConfig {
            names: names.iter().map(|name| (*name).to_owned()).collect(),
            refresh_interval: Duration::from_millis(100),
            record_type,
            port: PORT,
        };
        let servers = vec![self.address];
        let dns = DnsServers::Fixed { servers, search: vec!["example.test".into()], ndots: 1 };
        let options = BuildOptions { dns, ..BuildOptions::default() };
        let mut discovery =
            DiscoveryConfig::new(config).build(&options).expect("nothing can be wrong with it");
        timeout(periskop_tests::PATIENCE, first_answer(&mut discovery)).await.expect("an answer")
    }
}

/// What is told when the server listens.
async fn first_answer(discovery: &mut Box<dyn Discovery>) -> Vec<TargetGroup> {
    loop {
        match discovery.next().await {
            Ok(groups) if !groups.is_empty() => return groups,
            Ok(_) | Err(_) => {}
        }
    }
}

fn addresses(group: &TargetGroup) -> Vec<&str> {
    let mut addresses: Vec<_> =
        group.targets.iter().map(|target| target.get("__address__")).collect();
    addresses.sort_unstable();
    addresses
}

#[tokio::test]
async fn each_type_of_record_is_found_as_bind_has_it() {
    let Some(bind) = Bind::start().await else { return };
    for (record_type, name, wanted) in [
        (RecordType::A, "web.example.test", vec!["192.0.2.1:9000", "192.0.2.2:9000"]),
        (RecordType::A, "web", vec!["192.0.2.1:9000", "192.0.2.2:9000"]),
        (RecordType::A, "www.example.test.", vec!["192.0.2.1:9000", "192.0.2.2:9000"]),
        (RecordType::Aaaa, "web.example.test", vec!["[2001:db8::1]:9000"]),
        (
            RecordType::Srv,
            "_web._tcp.example.test",
            vec!["a.example.test:8080", "b.example.test:8081"],
        ),
        (RecordType::Mx, "example.test", vec!["mail.example.test:9000"]),
        (RecordType::Ns, "example.test", vec!["ns1.example.test:9000", "ns2.elsewhere.test:9000"]),
        (RecordType::Aaaa, "only4.example.test", vec![]),
        (RecordType::A, "nobody.example.test.", vec![]),
    ] {
        let groups = bind.find(record_type, &[name]).await;
        let [group] = &groups[..] else { panic!("{name}: {groups:?}") };
        assert_eq!((group.source.as_str(), addresses(group)), (name, wanted), "{name}");
    }
}

#[tokio::test]
async fn an_answer_that_does_not_fit_into_a_datagram_is_found_whole() {
    let Some(bind) = Bind::start().await else { return };
    let groups = bind.find(RecordType::Srv, &["_many._tcp.example.test"]).await;
    assert_eq!(groups[0].targets.len(), MANY);
}
