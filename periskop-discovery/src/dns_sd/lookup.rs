//! Asking name servers, by the rules of Prometheus rather than of a caching resolver: what a
//! server answers is what counts now, and "no such name" is told apart from "no idea".

use std::net::SocketAddr;
use std::time::Duration;

use futures_util::StreamExt as _;
use hickory_resolver::net::NetError;
use hickory_resolver::net::runtime::TokioRuntimeProvider;
use hickory_resolver::net::tcp::TcpClientStream;
use hickory_resolver::net::udp::UdpClientStream;
use hickory_resolver::net::xfer::{DnsExchange, DnsHandle as _};
use hickory_resolver::proto::op::{DnsRequestOptions, DnsResponse, Query, ResponseCode};
use hickory_resolver::proto::rr::{Name, RData, RecordType};
use hickory_resolver::system_conf::read_system_conf;

/// How long one server may take, retransmissions included, where nothing else is configured.
const TIMEOUT: Duration = Duration::from_secs(5);

/// Who is asked.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum DnsServers {
    /// What `/etc/resolv.conf` says, read at each refresh: servers in order, search list, ndots.
    #[default]
    System,
    /// These, in order, whatever the system says.
    Fixed {
        /// Addresses of the servers; UDP first, TCP when an answer does not fit.
        servers: Vec<SocketAddr>,
        /// Domains that a name without a final dot may be short for.
        search: Vec<String>,
        /// A name of at least so many dots is tried as it is first.
        ndots: usize,
    },
}

#[derive(Debug, thiserror::Error)]
pub(super) enum LookupError {
    #[error("cannot read the system's resolver configuration: {0}")]
    System(NetError),
    #[error("not a domain name")]
    Name,
    /// Servers differ in why; the last one's reason is told.
    #[error("no server gave a usable answer: {reason}")]
    NoAnswer { reason: String },
}

/// The servers as they are configured now.
pub(super) struct Resolver {
    servers: Vec<SocketAddr>,
    search: Vec<Name>,
    ndots: usize,
    timeout: Duration,
}

impl Resolver {
    pub(super) fn new(servers: &DnsServers) -> Result<Self, LookupError> {
        match servers {
            DnsServers::System => {
                let (config, options) = read_system_conf().map_err(LookupError::System)?;
                let address = |ip| SocketAddr::new(ip, 53);
                Ok(Self {
                    servers: config.name_servers().iter().map(|s| address(s.ip)).collect(),
                    search: config.search().to_vec(),
                    ndots: options.ndots,
                    timeout: options.timeout,
                })
            }
            DnsServers::Fixed { servers, search, ndots } => Ok(Self {
                servers: servers.clone(),
                search: search
                    .iter()
                    .map(|domain| Name::from_str_relaxed(domain).map_err(|_| LookupError::Name))
                    .collect::<Result<_, _>>()?,
                ndots: *ndots,
                timeout: TIMEOUT,
            }),
        }
    }

    /// The answer section for a name. A name that does not exist anywhere on the search list has
    /// no records; where a server could not say, that is an error.
    pub(super) async fn records(
        &self,
        name: &str,
        record_type: RecordType,
    ) -> Result<Vec<RData>, LookupError> {
        let mut failed = None;
        for candidate in self.candidates(name)? {
            match self.ask_any(candidate, record_type).await {
                Ok(response) if response.metadata.response_code == ResponseCode::NoError => {
                    return Ok(response.answers.iter().map(|r| r.data.clone()).collect());
                }
                Ok(_) => {}
                // A later name may still have an answer, but that none exists is not known now.
                Err(error) => failed = Some(error),
            }
        }
        match failed {
            None => Ok(Vec::new()),
            Some(error) => Err(error),
        }
    }

    /// The names that `name` may stand for, in the order they are tried (resolv.conf(5)).
    fn candidates(&self, name: &str) -> Result<Vec<Name>, LookupError> {
        let mut parsed = Name::from_str_relaxed(name).map_err(|_| LookupError::Name)?;
        if parsed.is_fqdn() {
            return Ok(vec![parsed]);
        }
        let has_enough_dots = usize::from(parsed.num_labels()) > self.ndots;
        let mut names: Vec<Name> = self
            .search
            .iter()
            .filter_map(|domain| parsed.clone().append_domain(domain).ok())
            .collect();
        parsed.set_fqdn(true);
        if has_enough_dots {
            names.insert(0, parsed);
        } else {
            names.push(parsed);
        }
        Ok(names)
    }

    /// The first answer that says something: records, or that there is no such name.
    async fn ask_any(
        &self,
        name: Name,
        record_type: RecordType,
    ) -> Result<DnsResponse, LookupError> {
        let mut reason = "no server is configured".to_owned();
        for server in &self.servers {
            match self.ask(*server, name.clone(), record_type).await {
                Ok(response)
                    if matches!(
                        response.metadata.response_code,
                        ResponseCode::NoError | ResponseCode::NXDomain
                    ) =>
                {
                    return Ok(response);
                }
                Ok(response) => {
                    reason = format!("{server}: {}", response.metadata.response_code);
                }
                Err(error) => reason = format!("{server}: {error}"),
            }
        }
        Err(LookupError::NoAnswer { reason })
    }

    async fn ask(
        &self,
        server: SocketAddr,
        name: Name,
        record_type: RecordType,
    ) -> Result<DnsResponse, NetError> {
        let provider = TokioRuntimeProvider::default();
        let query = Query::query(name, record_type);
        let udp = UdpClientStream::builder(server, provider.clone())
            .with_timeout(Some(self.timeout))
            .exchange();
        let response = exchange(&udp, query.clone(), true).await?;
        if !response.metadata.truncation {
            return Ok(response);
        }
        let tcp = TcpClientStream::exchange(server, None, self.timeout, None, provider).await?;
        let response = exchange(&tcp, query, false).await?;
        if response.metadata.truncation {
            return Err(NetError::from("the answer is truncated even over TCP"));
        }
        Ok(response)
    }
}

async fn exchange(
    connection: &DnsExchange<TokioRuntimeProvider>,
    query: Query,
    edns: bool,
) -> Result<DnsResponse, NetError> {
    let mut options = DnsRequestOptions::default();
    options.use_edns = edns;
    let answer = connection.lookup(query, options).next().await;
    answer.unwrap_or_else(|| Err(NetError::from("the connection was closed")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn candidates(name: &str, search: &[&str], ndots: usize) -> Vec<String> {
        let search = search.iter().map(|s| (*s).to_owned()).collect();
        let resolver =
            Resolver::new(&DnsServers::Fixed { servers: vec![], search, ndots }).unwrap();
        resolver.candidates(name).unwrap().iter().map(ToString::to_string).collect()
    }

    #[test]
    fn a_name_with_a_final_dot_is_taken_as_it_is() {
        assert_eq!(candidates("web.example.com.", &["corp"], 5), ["web.example.com."]);
    }

    #[test]
    fn names_with_enough_dots_are_tried_as_they_are_first() {
        let search = ["svc.local", "local."];
        assert_eq!(
            candidates("_a._tcp.web", &search, 1),
            ["_a._tcp.web.", "_a._tcp.web.svc.local.", "_a._tcp.web.local."]
        );
        assert_eq!(candidates("web", &search, 1), ["web.svc.local.", "web.local.", "web."]);
        assert_eq!(candidates("a.b", &search, 5), ["a.b.svc.local.", "a.b.local.", "a.b."]);
    }

    #[tokio::test]
    async fn without_a_server_nothing_is_known() {
        let servers = DnsServers::Fixed { servers: vec![], search: vec![], ndots: 1 };
        let resolver = Resolver::new(&servers).unwrap();
        assert!(resolver.records("a.", RecordType::A).await.is_err());
    }
}
