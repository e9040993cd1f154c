//! A name server that knows what it is told, over UDP and TCP.

use std::collections::HashMap;
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::{Arc, PoisonError, RwLock};

use hickory_resolver::proto::op::{Message, MessageType, ResponseCode};
use hickory_resolver::proto::rr::rdata::{A, AAAA, CNAME, MX, NS, SRV};
use hickory_resolver::proto::rr::{Name, RData, Record, RecordType};
use serde::Deserialize;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream, UdpSocket};
use tokio::task::JoinHandle;

/// One question and its answer, as the fixtures write them.
#[derive(Clone, Debug, Deserialize)]
pub struct Question {
    qname: String,
    qtype: String,
    rcode: String,
    answer: Vec<Answer>,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "type")]
enum Answer {
    A {
        a: Ipv4Addr,
    },
    #[serde(rename = "AAAA")]
    Aaaa {
        aaaa: Ipv6Addr,
    },
    #[serde(rename = "CNAME")]
    Cname {
        target: String,
    },
    #[serde(rename = "MX")]
    Mx {
        preference: u16,
        mx: String,
    },
    #[serde(rename = "NS")]
    Ns {
        ns: String,
    },
    #[serde(rename = "SRV")]
    Srv {
        port: u16,
        target: String,
    },
}

impl From<&Answer> for RData {
    fn from(answer: &Answer) -> Self {
        match answer {
            Answer::A { a } => Self::A(A(*a)),
            Answer::Aaaa { aaaa } => Self::AAAA(AAAA(*aaaa)),
            Answer::Cname { target } => Self::CNAME(CNAME(name(target))),
            Answer::Mx { preference, mx } => Self::MX(MX::new(*preference, name(mx))),
            Answer::Ns { ns } => Self::NS(NS(name(ns))),
            Answer::Srv { port, target } => Self::SRV(SRV::new(0, 0, *port, name(target))),
        }
    }
}

/// What a server answers to one question.
#[derive(Clone, Debug)]
pub struct Reply {
    /// How it went.
    pub code: ResponseCode,
    /// The answer section.
    pub records: Vec<RData>,
    /// Over UDP only a part fits.
    pub truncated: bool,
}

impl Reply {
    /// Records, all of which fit.
    pub fn records(records: impl Into<Vec<RData>>) -> Self {
        Self { code: ResponseCode::NoError, records: records.into(), truncated: false }
    }

    /// No records.
    pub fn code(code: ResponseCode) -> Self {
        Self { code, records: Vec::new(), truncated: false }
    }
}

/// Names, with a final dot, and their replies.
pub type Zone = HashMap<(String, RecordType), Reply>;

type Shared = Arc<RwLock<Zone>>;

/// A running server; dropping it stops it. What it does not know does not exist.
pub struct DnsServer {
    address: SocketAddr,
    zone: Shared,
    tasks: [JoinHandle<()>; 2],
}

impl DnsServer {
    /// Serves one question.
    ///
    /// # Panics
    ///
    /// Where the question is none, or loopback cannot be listened on.
    pub async fn answering(question: &Question) -> Self {
        let code = match question.rcode.as_str() {
            "NOERROR" => ResponseCode::NoError,
            "NXDOMAIN" => ResponseCode::NXDomain,
            "SERVFAIL" => ResponseCode::ServFail,
            other => panic!("unknown rcode {other}"),
        };
        let record_type: RecordType = question.qtype.parse().expect("a type of record");
        let records = question.answer.iter().map(RData::from).collect();
        let reply = Reply { code, records, truncated: false };
        Self::start(Zone::from([((question.qname.clone(), record_type), reply)])).await
    }

    /// Begins to serve on a port of loopback, the same for UDP and TCP.
    ///
    /// # Panics
    ///
    /// Where loopback cannot be listened on.
    pub async fn start(zone: Zone) -> Self {
        let (tcp, udp) = bind().await;
        let address = tcp.local_addr().expect("a bound socket has an address");
        let zone = Shared::new(RwLock::new(zone));
        let tasks = [
            tokio::spawn(serve_udp(udp, zone.clone())),
            tokio::spawn(serve_tcp(tcp, zone.clone())),
        ];
        Self { address, zone, tasks }
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Knows this from now on.
    pub fn set(&self, zone: Zone) {
        *self.zone.write().unwrap_or_else(PoisonError::into_inner) = zone;
    }
}

impl Drop for DnsServer {
    fn drop(&mut self) {
        self.tasks.iter().for_each(JoinHandle::abort);
    }
}

/// A port that is free for one protocol may be taken for the other.
async fn bind() -> (TcpListener, UdpSocket) {
    for _ in 0..100 {
        let tcp = TcpListener::bind("127.0.0.1:0").await.expect("loopback has a free port");
        let address = tcp.local_addr().expect("a bound socket has an address");
        if let Ok(udp) = UdpSocket::bind(address).await {
            return (tcp, udp);
        }
    }
    panic!("no port is free for both UDP and TCP");
}

async fn serve_udp(socket: UdpSocket, zone: Shared) {
    let mut buffer = [0; 4096];
    while let Ok((length, from)) = socket.recv_from(&mut buffer).await {
        if let Some(answer) = answer(&zone, &buffer[..length], true) {
            let _ = socket.send_to(&answer, from).await;
        }
    }
}

async fn serve_tcp(listener: TcpListener, zone: Shared) {
    while let Ok((stream, _)) = listener.accept().await {
        let zone = zone.clone();
        tokio::spawn(async move {
            // The client closes when it has what it wants.
            let _ = serve_connection(stream, &zone).await;
        });
    }
}

async fn serve_connection(mut stream: TcpStream, zone: &Shared) -> io::Result<()> {
    loop {
        let mut question = vec![0; stream.read_u16().await?.into()];
        stream.read_exact(&mut question).await?;
        let Some(answer) = answer(zone, &question, false) else { return Ok(()) };
        let length = u16::try_from(answer.len()).map_err(io::Error::other)?;
        stream.write_u16(length).await?;
        stream.write_all(&answer).await?;
    }
}

fn answer(zone: &Shared, question: &[u8], over_udp: bool) -> Option<Vec<u8>> {
    let mut message = Message::from_vec(question).ok()?;
    let query = message.queries.first()?.clone();
    let asked = (query.name().to_string(), query.query_type());
    let unknown = Reply::code(ResponseCode::NXDomain);
    let zone = zone.read().unwrap_or_else(PoisonError::into_inner);
    let reply = zone.get(&asked).unwrap_or(&unknown);
    message.metadata.message_type = MessageType::Response;
    message.metadata.response_code = reply.code;
    if over_udp && reply.truncated {
        message.metadata.truncation = true;
    } else {
        let record = |data: &RData| Record::from_rdata(query.name().clone(), 1, data.clone());
        message.add_answers(reply.records.iter().map(record));
    }
    message.to_vec().ok()
}

fn name(text: &str) -> Name {
    Name::from_ascii(text).expect("fixtures hold valid names")
}
