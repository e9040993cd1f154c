//! An address of loopback for each instance, and who listens there.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tokio::net::{TcpListener, TcpSocket};

use super::Serial;

/// Where instances are: one port, an address each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Addresses {
    first: Ipv4Addr,
    port: u16,
}

/// How instances are listened for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Listening {
    /// A listener at each address: at one that is not there any more nobody answers.
    Each,
    /// One listener for all of them, which costs one descriptor. It is bound to the device of
    /// loopback, and nothing from elsewhere reaches it. Linux alone can do that.
    Together,
}

/// Connections and files that are not listeners.
const SPARE: u64 = 100;
const BACKLOG: u32 = 1024;

impl Addresses {
    /// Addresses from this one on. Port 0 is one that is free at the first address.
    ///
    /// # Errors
    ///
    /// The first address is not one of loopback, or has no free port.
    pub fn from(first: Ipv4Addr, port: u16) -> io::Result<Self> {
        if !first.is_loopback() {
            let problem = format!("{first} is not an address of loopback (127.0.0.0/8)");
            return Err(io::Error::new(io::ErrorKind::InvalidInput, problem));
        }
        let port = match port {
            0 => std::net::TcpListener::bind((first, 0))?.local_addr()?.port(),
            port => port,
        };
        Ok(Self { first, port })
    }

    /// Where an instance is. After sixteen million of them addresses are used again.
    pub fn of(self, serial: Serial) -> SocketAddr {
        let host = (u32::from(self.first) & HOSTS).wrapping_add(serial) & HOSTS;
        SocketAddr::new(IpAddr::V4(Ipv4Addr::from(NETWORK | host)), self.port)
    }

    /// Which instance is there.
    pub fn serial(self, address: SocketAddr) -> Option<Serial> {
        match address.ip() {
            IpAddr::V4(ip) if ip.is_loopback() => {
                Some(u32::from(ip).wrapping_sub(u32::from(self.first)) & HOSTS)
            }
            _ => None,
        }
    }

    /// Listens at the address of an instance.
    ///
    /// # Errors
    ///
    /// Somebody else does, or there are no descriptors left.
    pub fn listen(self, serial: Serial) -> io::Result<TcpListener> {
        listen(self.of(serial), None)
    }

    /// Listens at all addresses.
    ///
    /// # Errors
    ///
    /// Somebody else does, or this system cannot confine it to loopback.
    pub fn listen_together(self) -> io::Result<TcpListener> {
        listen((Ipv4Addr::UNSPECIFIED, self.port).into(), Some(b"lo"))
    }
}

const NETWORK: u32 = 127 << 24;
const HOSTS: u32 = (1 << 24) - 1;

fn listen(address: SocketAddr, device: Option<&[u8]>) -> io::Result<TcpListener> {
    let socket = TcpSocket::new_v4()?;
    socket.set_reuseaddr(true)?;
    if let Some(device) = device {
        confine(&socket, device)?;
    }
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

#[cfg(target_os = "linux")]
fn confine(socket: &TcpSocket, device: &[u8]) -> io::Result<()> {
    socket.bind_device(Some(device))
}

#[cfg(not(target_os = "linux"))]
fn confine(_: &TcpSocket, _: &[u8]) -> io::Result<()> {
    let problem = "so many instances need more open files (ulimit -n)";
    Err(io::Error::new(io::ErrorKind::Unsupported, problem))
}

impl Listening {
    /// A listener each, as long as there is a descriptor for that and another one for a connection
    /// to each instance. Raises the limit of descriptors as far as that may be done.
    pub fn for_instances(n: usize) -> Self {
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, ..limit };
        // If it cannot be raised, it stays what it is.
        let limit = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => raised.current,
            Err(_) => limit.current,
        };
        match limit {
            Some(limit) if 2 * n as u64 + SPARE > limit => Self::Together,
            _ => Self::Each,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_instance_has_an_address_of_loopback_that_leads_back_to_it() {
        let addresses = Addresses::from("127.1.0.250".parse().unwrap(), 9800).unwrap();
        assert_eq!(addresses.of(0), "127.1.0.250:9800".parse().unwrap());
        assert_eq!(addresses.of(10), "127.1.1.4:9800".parse().unwrap());
        for serial in [0, 5, 255, 100_000, HOSTS] {
            let address = addresses.of(serial);
            assert!(address.ip().is_loopback(), "{address}");
            assert_eq!(addresses.serial(address), Some(serial));
        }
        assert_eq!(addresses.serial("10.0.0.1:9800".parse().unwrap()), None);
    }

    #[test]
    fn only_loopback_is_listened_on() {
        assert!(Addresses::from("10.0.0.1".parse().unwrap(), 9800).is_err());
    }

    #[tokio::test]
    async fn one_listener_for_all_addresses_is_confined_to_loopback() {
        let addresses = Addresses::from("127.1.0.1".parse().unwrap(), 0).unwrap();
        let listener = addresses.listen_together().unwrap();
        let client = tokio::net::TcpStream::connect(addresses.of(70_000)).await.unwrap();
        let (accepted, peer) = listener.accept().await.unwrap();
        assert_eq!(addresses.serial(accepted.local_addr().unwrap()), Some(70_000));
        assert_eq!(peer, client.local_addr().unwrap());
    }
}
